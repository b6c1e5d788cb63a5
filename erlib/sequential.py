r"""Sequential ER: mini-batch ER whose layers correct what is left, a named variant of `fit`.

In `ERNetwork.fit` all layers move at once; each alone would correct the whole error, so each gets
a share, a step length in disguise. Here the layers of a batch move one after the other, from the
top down, and each is asked only for **what is left** of the wanted change of the output fields:

1. *reflect* the output fields once: :math:`\varepsilon = H_L^* - H_L` is wanted;
2. for each layer from the last to the first: *invert* :math:`\varepsilon` down to its fields,
   *regress* that on its inputs, move it, and subtract from :math:`\varepsilon` the change of the
   output fields that it causes.

Five details, each for a reason:

* *The move is regressed too.* A hidden layer's regression realises only a part of what it was asked
  for. The factor by which it best produces :math:`\varepsilon` is one more least-squares problem,
  with one unknown. With it the scale of the inverse mapping cancels: pseudo-inverse and transpose
  do equally well (with one hidden layer).
* *The penalty is large*, ten times the mean variance of the inputs: a batch says little about most
  directions of its inputs, and in those nothing should move.
* *Classes are coded +0.8 and -0.8*, outputs that tanh can reach. With +1 and -1 a field that is
  right is asked to grow for ever, and the training data are learned by heart.
* *It starts smooth*: the hidden layers are first updated once with all the data, as in
  `ERNetwork.one_update`. The penalty of that regression removes from random weights the directions
  in which the data hardly vary. The readout stays random.
* *Moves decline* linearly to 0 over the passes, so that the last batches are averaged.

What each is worth, notebook 05 measures by taking it back; the ratio itself is worth nothing there:
`wanted` may as well be T - A or T - H.

There is no step length but these: the penalty bounds the move in directions of which the batch
says little (there the readout's move is a gradient step of length 1 / penalty), and the decline
needs the number of passes in advance, so that two calls are not one long call.

A batch mostly has fewer samples than a layer has inputs, so the regression is solved in its dual
form, by a Gram matrix of samples.

All of this is this companion's own. Nearest relatives: with ReLU units and the transpose, a hidden
layer's step is that of `erlib.baselines.foof` with another error above it and a length that is
fitted; with the target T - H in place of the ratio it is block Gauss-Newton on the squared error of
the fields, damped. Semi-implicit backpropagation (`erlib.baselines.semi_implicit`) also goes top
down with new weights and a penalty on the change of weights, but takes gradients of the
cross-entropy as targets.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from . import checks
from .activations import Activation
from .arithmetic import own_arithmetic
from .augment import Augment, augmented
from .batches import Seed, minibatches
from .checks import Array
from .network import ERNetwork
from .problems import check_training, problem, require_bounded
from .progress import progress


class Variant(NamedTuple):
    """What an experiment puts in the place of a part of the method.

    ``wanted(fields, observed)`` in place of `reflection` as the wanted change of the output fields;
    ``regression(x, h, ridge, fit_intercept=...)`` in place of
    `erlib.regress_batch.regress_batch`, for a convolution on all its patches; a fixed `factor` >= 0
    of hidden layers in place of the regressed one. Where other processes have a part of the batch,
    ``total(a, b)`` makes of two sums over this one's samples those over all.
    """

    wanted: Callable | None = None
    regression: Callable | None = None
    factor: float | None = None
    total: Callable | None = None


def variant_fit(
    network: ERNetwork, x: Array, y: Array, variant: Variant, **settings: Any
) -> ERNetwork:
    """`sequential_fit` with a part of it replaced."""
    given = inspect.signature(sequential_fit).bind(network, x, y, **settings)
    given.apply_defaults()
    return _train(variant, **given.arguments)


def sequential_fit(
    network: ERNetwork,
    x: Array,
    y: Array,
    *,
    passes: int = 6,
    batch_size: int = 128,
    ridge: float = 10.0,
    code: float = 0.8,
    inverse: str | None = None,
    damping: float = 0.0,
    steps: int | None = None,
    first_update: bool | int = True,
    first_ridge: float = 3.0,
    share: float = 1.0,
    decline: bool = True,
    augment: Augment | None = None,
    seed: Seed = 0,
    watch: Callable[[int], object] | None = None,
) -> ERNetwork:
    r"""Train `network` by sequential ER; returns it.

    For update k = 0, 1, ... of K and each layer l from L down to 1, starting from
    :math:`\varepsilon = H_L^* - H_L`,

    .. math::
        \delta_L &= \varepsilon, \qquad
               \delta_l = g(H_l) \circ (\delta_{l+1} W_{l+1}^+), \qquad
               R_l = \mathrm{regress}(A_{l-1}, \delta_l), \\
        s_l &= \arg\min_{s \ge 0} \lVert s \, \mathrm{d}H_L[R_l] - \varepsilon \rVert^2
               \quad (s_L = 1), \\
        \Delta W_l &= (1 - k/K) \, s_l R_l, \qquad
        \varepsilon \leftarrow \varepsilon - \mathrm{d}H_L[\Delta W_l],

    where :math:`\mathrm{d}H_L[R]` is the change of the output fields that R causes, to first order:
    weights of the layers above are the new ones, slopes and inputs those from before the batch.

    Parameters
    ----------
    network : ERNetwork
    x, y, passes, batch_size
        As in `ERNetwork.fit`.
    ridge : float > 0
        Relative penalty of the change of weights (`erlib.regress`), in all layers.
    code : float, 0 < code <= 1
        Size of the observed outputs of class labels, +code and -code; observed outputs that are
        given themselves (floating y) stay as they are.
    inverse, damping, steps
        As in `ERNetwork.one_update`.
    first_update : bool or int >= 1
        Whether to begin with one update of the hidden layers from all the data, or from so many of
        the first samples, with the relative penalty `first_ridge`. It keeps all fields of these
        samples in memory, which for convolutions is much.
    first_ridge : float >= 0
    share : float > 0
        The part of each move that is made.
    decline : bool
        Whether moves decline over the passes.
    augment : callable, optional
        Called with the inputs of every batch, as they were given, returns those that are used
        (`erlib.augment.shifts_and_flips`). The first update takes the data as they are.
    seed, watch
        As in `ERNetwork.fit`.

    Raises
    ------
    ValueError
        As `ERNetwork.fit`.

    Examples
    --------
    >>> import erlib
    >>> data = erlib.load("digits")
    >>> net = erlib.ERNetwork.dense([64, 100, 10], hidden_bias=True)
    >>> net = sequential_fit(net, data.x_train, data.y_train, batch_size=32)
    >>> net.score(data.x_test, data.y_test) > 0.96
    True
    """
    return _train(Variant(), **locals())


@own_arithmetic
@torch.no_grad()
def _train(
    variant,
    network,
    x,
    y,
    *,
    passes,
    batch_size,
    ridge,
    code,
    inverse,
    damping,
    steps,
    first_update,
    first_ridge,
    share,
    decline,
    augment,
    seed,
    watch,
):
    shape = getattr(x, "shape", ())[1:]
    settings: dict[str, Any] = {"inverse": inverse, "damping": damping, "steps": steps}
    x, observed, mapping = problem(network, x, y, **settings)
    check_training(network, x, observed)
    check_settings(ridge, first_ridge, code, share)
    if not isinstance(first_update, bool):
        checks.positive_integer("first_update", first_update)
    if getattr(y, "ndim", None) != 2:
        observed = code * observed
    if variant.factor is not None:
        checks.not_negative("factor", variant.factor)
    batches = minibatches(len(x), batch_size, passes, seed)
    network.inverse_maps(**mapping)  # complains of a layer without such an inverse
    if first_update:
        some = slice(None) if first_update is True else slice(first_update)
        first = x[some]
        targets = network.targets(first, observed[some], **settings)
        network.sweep(first, [*targets[:-1], None], ridge=first_ridge)
        del first, targets  # as large as all fields
    for update, part in enumerate(progress(batches, f"sequential ER, {passes} passes")):
        size = share * (1 - update / len(batches)) if decline else share
        batch = augmented(augment, x[part], shape)
        step(network.layers, batch, observed[part], ridge, size, mapping, variant)
        if watch:
            watch(update + 1)
    return network


def check_settings(ridge: float, first_ridge: float, code: float, share: float) -> None:
    """Raise ValueError naming the setting of `sequential_fit` that is out of range."""
    checks.positive("ridge", ridge)
    checks.not_negative("first_ridge", first_ridge)
    if not 0 < checks.not_negative("code", code) <= 1:
        raise ValueError(f"code: expected a number above 0 and up to 1, found {code!r}")
    checks.positive("share", share)


def step(
    layers: Sequence[Any],
    outputs: torch.Tensor,
    observed: torch.Tensor,
    ridge: float,
    size: float,
    mapping: dict[str, Any],
    variant: Variant | None = None,
) -> None:
    """One update of the layers from inputs and observed outputs of one batch, already checked.

    `size` is the part of each move that is made, `mapping` are the settings of the inverse.
    """
    variant = variant or Variant()
    near, fields = [], []
    for layer in layers:
        near.append(layer.near(outputs))
        fields.append(layer.field(near[-1].inputs))
        outputs = layer.activation.f(fields[-1])
    require_bounded(fields)
    factors = [layer.activation.factor(h) for layer, h in zip(layers, fields[:-1])]
    slopes = [layer.activation.slope(h) for layer, h in zip(layers, fields[:-1])]
    wanted = variant.wanted or functools.partial(reflection, layers[-1].activation)
    left = wanted(fields[-1], observed)
    to_below: dict[int, Callable] = {}  # of the layers that have their new weights
    for index in reversed(range(len(layers))):
        asked = left
        for above in reversed(range(index + 1, len(layers))):
            asked = factors[above - 1] * to_below[above](asked, near[above])
        weight, bias, caused = layers[index].regressed(
            near[index].inputs, asked, ridge, variant.regression
        )
        for below in range(index, len(layers) - 1):
            caused = near[below + 1].push(slopes[below] * caused)
        move = size
        if index < len(layers) - 1:
            fixed = variant.factor
            move *= _best_factor(caused, left, variant.total) if fixed is None else fixed
        layers[index].assign(weight, bias, share=move)
        left = left - move * caused
        if index:
            to_below[index] = layers[index].to_below(**mapping)


def reflection(
    activation: Activation, fields: torch.Tensor, observed: torch.Tensor
) -> torch.Tensor:
    """H* - H: the change of the fields H that multiplies them by T / A, as `erlib.reflect`."""
    return activation.factor(fields) * (observed - activation.f(fields))


def _best_factor(caused: torch.Tensor, wanted: torch.Tensor, total: Callable | None) -> float:
    """argmin over s >= 0 of |s caused - wanted|^2."""
    size, along = float(caused.square().sum()), float((caused * wanted).sum())
    if total:
        size, along = total(size, along)
    return max(0.0, along / size) if size else 0.0
