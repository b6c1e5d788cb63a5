r"""Multilayer Expectation Reflection: loops over the three verbs.

A network is a list of layers, each a linear map :math:`H_l = A_{l-1} W_l + b_l` with an activation
:math:`A_l = f_l(H_l)`, :math:`A_0 = X`. One update asks two questions:

* **targets**, from the top down, with the old weights: which fields :math:`H_l^*` would the data
  ask for? *Reflect* the output fields, *invert* to a target for the layer below, *reflect* there,
  and so on.
* **sweep**, from the bottom up: which weights come closest to these fields? *Regress* the first
  layer on its inputs, recompute its outputs with the new weights, regress the next layer on those.

Mini-batch training (`ERNetwork.fit`) asks for the same targets and moves all layers at once, each
by its share, because every layer by itself would already correct the whole error.

(Longer than files are here: it is one class, whose public calls carry their definitions.)
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from . import checks, problems
from .activations import Activation
from .activations import activation as activation_by_name
from .arithmetic import own_arithmetic
from .batches import Seed, generator, minibatches
from .checks import Array, Same
from .coding import class_labels
from .layers import AT_ONCE, ConvLayer, DenseLayer, dense_only
from .modules import paired
from .progress import progress
from .reflect import reflected
from .regress import CHUNK


class ERNetwork(nn.Module):
    r"""A network trained by Expectation Reflection.

    Parameters
    ----------
    layers : list or torch.nn.Sequential
        ``torch.nn.Linear`` and ``Conv2d`` modules, each but the last followed by an activation: a
        name (`erlib.activations.NAMES`) or the torch module (``nn.ReLU()``). The last layer is a
        Linear, its activation is `output`. Pooling, flattening, and batch normalisation and dropout
        in inference form may stand before a linear map; they stay as they are. The modules
        themselves are trained, in place. Dense networks are made by `ERNetwork.dense`.
    output : str
        Activation of the output units; tanh with observed outputs coded +1 and -1.

    Notes
    -----
    All arithmetic is done in the dtype of the layers, and on their device; inputs of another
    floating dtype are converted. On a GPU (``net.to("cuda")``) inputs are tensors that are there,
    labels may be anywhere.

    A network is kept in a file as any torch module is, by its weights::

        torch.save(net.state_dict(), "net.pt")
        ERNetwork.dense(sizes).load_state_dict(torch.load("net.pt", weights_only=True))

    What is chosen, there being no loss and no learning rate to choose: the initial weights
    (`dense`), the coding of the classes (+1 for the class, -1 for the others), the penalty of each
    regression (`ridge`), the inverse mapping, and in `fit` the batch size and each layer's share.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> y = (x[:, 0] * x[:, 1] > 0).long()                   # XOR: no linear classifier does it
    >>> net = ERNetwork.dense([2, 50, 2], seed=0, dtype=torch.float64)
    >>> net.one_update(x, y, ridge=0.1).score(x, y) > 0.95
    True
    """

    layers: Sequence[DenseLayer]  # a ModuleList

    @own_arithmetic
    def __init__(
        self, layers: Sequence | nn.Sequential, *, output: str | Activation = "tanh"
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(paired(layers, activation_by_name(output)))  # type: ignore

    @classmethod
    @own_arithmetic
    def dense(
        cls,
        sizes: Sequence[int],
        *,
        activation: str | Activation = "relu",
        hidden_bias: bool = False,
        readout_scale: float = 1.0,
        seed: Seed = 0,
        dtype: torch.dtype = torch.float32,
        output: str | Activation = "tanh",
    ) -> Self:
        r"""A fully connected network with Gaussian initial weights.

        Parameters
        ----------
        sizes : list of int
            Widths from input to output, for example ``[784, 1000, 10]``.
        activation : str
            Activation of the hidden layers.
        hidden_bias : bool
            Whether hidden units have a bias. Without, the set where a ReLU unit is active is a
            half-space through the origin: the black image.
        readout_scale : float > 0
            Initial scale of the last layer. Hidden targets grow as it shrinks, and for
            readout_scale -> 0 the initial hidden weights only decide which samples are active in
            which unit.
        seed : int or torch.Generator
            Source of the initial weights; the global generator is never touched.
        dtype : torch.dtype
        output : str
            Activation of the output units.

        Notes
        -----
        Hidden weights have variance 2 / d_in (ReLU; 1 / d_in otherwise), the readout
        readout_scale^2 / d_in; biases are 0.
        """
        if not isinstance(sizes, (list, tuple)) or len(sizes) < 2:
            raise ValueError(f"sizes: expected a list of at least two widths, found {sizes!r}")
        sizes = [checks.positive_integer("sizes", size) for size in sizes]
        scale = checks.not_negative("readout_scale", readout_scale)
        if scale == 0:
            raise ValueError("readout_scale: 0 has no inverse; take a small number such as 1e-4")
        if not (isinstance(dtype, torch.dtype) and dtype in (torch.float32, torch.float64)):
            raise ValueError(f"dtype: expected torch.float32 or torch.float64, found {dtype!r}")
        name = activation_by_name(activation).name
        random = generator(seed)
        layers = []
        for index, (d_in, d_out) in enumerate(itertools.pairwise(sizes)):
            last = index == len(sizes) - 2
            linear = _linear(d_in, d_out, last or hidden_bias, dtype)
            std = scale * d_in**-0.5 if last else ((2 if "relu" in name else 1) / d_in) ** 0.5
            with torch.no_grad():
                # Drawn in float64 so that both dtypes start from the same network.
                draw = torch.randn(d_in, d_out, generator=random, dtype=torch.float64)
                linear.weight.copy_(std * draw.T)
                if linear.bias is not None:
                    linear.bias.zero_()
            layers += [linear] if last else [linear, name]
        return cls(layers, output=output)

    # ------------------------------------------------------------------ one update

    @own_arithmetic
    @torch.no_grad()
    def one_update(
        self,
        x: Array,
        y: Array,
        *,
        ridge: float = 3.0,
        readout_ridge: float = 1e-5,
        inverse: str | None = None,
        damping: float = 0.0,
        steps: int | None = None,
    ) -> Self:
        """One ER update of every layer from all the data; returns self.

        `targets` from the top down, then `sweep` from the bottom up.

        Parameters
        ----------
        x : array `[n, ...]`, floating
            Inputs: images `[n, channels, height, width]` where the first layer is a convolution;
            otherwise all axes but the first are flattened.
        y : integer array `[n]` or floating array `[n, d_out]`
            Class of each sample (0 .. d_out - 1), or observed outputs themselves.
        ridge, readout_ridge : float >= 0
            Relative penalty (`erlib.regress`) of the hidden layers and of the last layer.
        inverse, damping, steps
            The inverse mapping: `method`, `damping` and `steps` of `erlib.invert`. Unless given it
            is ``pinv`` where every layer above the first has a matrix to invert, else
            ``transpose``; convolutions take that or ``cg``.

        Raises
        ------
        ValueError
            If a shape does not fit, x is empty, not floating or holds NaN or Inf, a label is no
            class or all labels are one class, or a setting is out of range. The network is then
            unchanged.
        """
        problems.check_training(self, *problems.problem(self, x, y, inverse, damping, steps)[:2])
        targets = self.targets(x, y, inverse=inverse, damping=damping, steps=steps)
        return self.sweep(x, targets, ridge=ridge, readout_ridge=readout_ridge)

    @own_arithmetic
    @torch.no_grad()
    def targets(
        self,
        x: Same,
        y: Array,
        *,
        inverse: str | None = None,
        damping: float = 0.0,
        steps: int | None = None,
    ) -> list[Same]:
        """The fields H* that the data ask of each layer, first layer first.

        Of shape `[n, d_out]`, or `[n, d_out, height, width]` for a convolution.

        Computed from the top down with the present weights; nothing is changed. The result has
        the array type of x and the dtype of the network. Parameters and errors as in `one_update`.
        """
        inputs, observed, mapping = problems.problem(self, x, y, inverse, damping, steps)
        to_below = self.inverse_maps(**mapping)
        wanted: list = []
        for part in progress(self._chunks(inputs), "targets"):
            _, fields = self.trace(inputs[part])
            wanted = wanted or [inputs.new_empty(len(inputs), *h.shape[1:]) for h in fields]
            for h_star, rows in zip(self.top_down(fields, observed[part], to_below), wanted):
                rows[part] = h_star
        return [h_star.numpy() for h_star in wanted] if isinstance(x, np.ndarray) else wanted

    @own_arithmetic
    @torch.no_grad()
    def sweep(
        self,
        x: Array,
        targets: Sequence[Array | None],
        *,
        ridge: float = 3.0,
        readout_ridge: float = 1e-5,
        sample_weight: Array | None = None,
    ) -> Self:
        """Regress every layer, bottom up, on the new outputs of the one below; returns self.

        `targets` holds the wanted fields of each layer (`ERNetwork.targets`), or None for a layer
        that is to keep its weights: with both, controls such as a frozen hidden layer or shuffled
        hidden targets are one line. `sample_weight` `[n]` is that of `erlib.regress`, for dense
        layers. Other parameters and errors as in `one_update`.
        """
        x = problems.inputs_of(self, x)
        targets = problems.wanted_fields(self, x, targets)
        if sample_weight is not None:
            dense_only(self, "a sweep with sample_weight")
            sample_weight = checks.sample_weight(sample_weight, "x", x).to(x.device)
        ridges = [ridge] * (len(self.layers) - 1) + [readout_ridge]
        for name, value in (("ridge", ridge), ("readout_ridge", readout_ridge)):
            checks.not_negative(name, value)
        new: list = []
        inputs = x
        for layer, h_star, penalty in zip(self.layers, targets, ridges):
            weight, bias = layer.weight, layer.bias
            if h_star is not None:
                moments = layer.moments(len(x))
                for part in progress(self._chunks(x), f"layer {len(new) + 1} of {len(targets)}"):
                    for rows in layer.pieces(layer.inputs(inputs[part]), h_star[part]):
                        weights = None if sample_weight is None else sample_weight[part]
                        moments.accumulate(*rows, weights)
                weight, bias = moments.solve(penalty)
            new.append((weight, bias))
            if len(new) < len(targets):
                outputs: Any = None
                for part in self._chunks(x):
                    field = layer.field(layer.inputs(inputs[part]), weight, bias)
                    if outputs is None:
                        outputs = inputs.new_empty(len(x), *field.shape[1:])
                    outputs[part] = layer.activation.f(field)
                inputs = outputs
        # Only now, so that an interrupted sweep leaves the network as it was.
        for layer, (weight, bias) in zip(self.layers, new):
            layer.assign(weight, bias)
        return self

    # ------------------------------------------------------------------ mini-batches

    @own_arithmetic
    @torch.no_grad()
    def fit(
        self,
        x: Array,
        y: Array,
        *,
        passes: int = 1,
        batch_size: int = 500,
        share: float | None = None,
        ridge: float = 0.3,
        inverse: str | None = None,
        damping: float = 0.0,
        steps: int | None = None,
        seed: Seed = 0,
        watch: Callable[[int], object] | None = None,
    ) -> Self:
        r"""Train by mini-batch ER; returns self.

        For each batch all targets are taken with the present weights, then every layer moves by

        .. math:: \Delta W_l, \Delta b_l =
            \mathrm{share} \cdot \mathrm{regress}(A_{l-1}, H_l^* - H_l).

        Here the penalty `ridge` draws the change to zero, not the weights. `share` is 1 / number of
        layers unless given.

        Parameters
        ----------
        x, y
            As in `one_update`.
        passes, batch_size : int >= 1
            Passes through the data, each in a new random order drawn from `seed`; the last batch of
            a pass is left out if it is less than half full.
        share : float >= 0, optional
        ridge : float >= 0
            Relative penalty (`erlib.regress`), in all layers.
        inverse, damping, steps
            As in `one_update`.
        seed : int or torch.Generator
            Source of the order of the samples.
        watch : callable, optional
            Called with the number of updates so far after each of them.

        Raises
        ------
        ValueError
            As `one_update`.

        Notes
        -----
        The named variant of this loop that generalises better: `erlib.sequential`.
        """
        x, observed, mapping = problems.problem(self, x, y, inverse, damping, steps)
        problems.check_training(self, x, observed)
        ridge = checks.not_negative("ridge", ridge)
        share = 1 / len(self.layers) if share is None else checks.not_negative("share", share)
        batches = minibatches(len(x), batch_size, passes, seed)
        for update, part in enumerate(progress(batches, f"fit, {passes} passes"), 1):
            changes = self._changes(x[part], observed[part], ridge, mapping, True)
            for layer, (weight, bias) in zip(self.layers, changes):
                layer.assign(weight, bias, share=share)
            if watch:
                watch(update)
        return self

    @own_arithmetic
    @torch.no_grad()
    def settle(self, x: Array, y: Array, *, updates: int = 20, readout_ridge: float = 1e-5) -> Self:
        r"""Update the readout alone, `updates` times, with all the data; returns self.

        The hidden layers keep their weights, so the Gram matrix of the readout's inputs stays what
        it is: it is factored once, and every further update,

        .. math:: H^* = H \circ T / A, \qquad W_L, b_L = \mathrm{regress}(A_{L-1}, H^*),

        costs a pass over the readout's inputs. This is single-layer ER on features: without
        penalty its implicit loss never rises (statement S3).

        Parameters and errors as in `one_update`. Memory: the hidden outputs of all samples.
        """
        checks.positive_integer("updates", updates)
        checks.not_negative("readout_ridge", readout_ridge)
        x, observed, _ = problems.problem(self, x, y, None, 0.0, None)
        problems.check_training(self, x, observed, least=0.0)  # the fields below are what they are
        layer = self.layers[-1]
        inputs = x.new_empty(len(x), layer.weight.shape[0])
        moments = layer.moments()
        for part in progress(self._chunks(x), "settle"):
            inputs[part] = self.trace(x[part])[0][-1]
            moments.accumulate(*layer.rows(inputs[part], observed[part]))
        weight, bias = layer.weight, layer.bias

        def fields_wanted():
            for part in self._chunks(x):
                h = layer.field(inputs[part], weight, bias)
                yield layer.rows(inputs[part], reflected(h, observed[part], layer.activation))

        for _ in progress(range(updates), "settle"):
            moments.replace_fields(fields_wanted())
            weight, bias = moments.solve(readout_ridge)
        layer.assign(weight, bias)
        return self

    @own_arithmetic
    @torch.no_grad()
    def changes(
        self,
        x: Array,
        y: Array,
        *,
        ridge: float = 0.3,
        inverse: str | None = None,
        damping: float = 0.0,
        steps: int | None = None,
    ) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
        r"""What the data ask `fit` to add to each layer, before its share; nothing is changed.

        .. math:: \Delta W_l, \Delta b_l = \mathrm{regress}(A_{l-1}, H_l^* - H_l).

        Returns a list of (:math:`\Delta W` `[d_in, d_out]`, :math:`\Delta b` `[d_out]` or None)
        with tensors, first layer first. Parameters and errors as in `fit`. The same by automatic
        differentiation: `erlib.theory.gradient`.
        """
        x, observed, mapping = problems.problem(self, x, y, inverse, damping, steps)
        ridge = checks.not_negative("ridge", ridge)
        return [
            (weight, None if layer.bias is None else bias)
            for layer, (weight, bias) in zip(
                self.layers, self._changes(x, observed, ridge, mapping)
            )
        ]

    def _changes(self, x, observed, ridge, inverse, bounded=False, solved=None):
        inputs, fields = self.trace(x)
        if bounded:
            problems.require_bounded(fields)
        to_below = self.inverse_maps(**inverse)
        changes = []
        for layer, below, h, h_star in zip(
            self.layers, inputs, fields, self.top_down(fields, observed, to_below)
        ):
            moments = layer.moments() if solved else layer.moments(len(x))
            for rows in layer.pieces(below, h_star - h):
                moments.accumulate(*rows)
            changes.append(solved(layer, moments, ridge) if solved else moments.solve(ridge))
        return changes

    # ------------------------------------------------------------------ use

    @own_arithmetic
    def trace(self, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Inputs A_{l-1} and fields H_l of every layer, first layer first; with autograd if on.

        Inputs are what the linear map of a layer sees, after pooling and the like.
        """
        inputs, fields = [], []
        for layer in self.layers:
            inputs.append(layer.inputs(x))
            fields.append(layer.field(inputs[-1]))
            x = layer.activation.f(fields[-1])
        return inputs, fields

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Output fields H_L of x `[n, d_in]`: ``net(x)``, unchecked and with autograd."""
        return self.trace(x)[1][-1]

    @own_arithmetic
    @torch.no_grad()
    def decision_function(self, x: Same) -> Same:
        """Output fields H_L `[n, d_out]`, as the array type and dtype of x."""
        return checks.like(self._output_fields(x), x)

    @own_arithmetic
    @torch.no_grad()
    def predict(self, x: Array) -> Array:
        """Class of each sample `[n]`: the output unit with the largest field (integers, like x)."""
        # Not by decision_function: rounded to the dtype of x, different fields may become equal.
        classes = self._output_fields(x).argmax(1)
        return classes.numpy() if isinstance(x, np.ndarray) else classes

    @own_arithmetic
    def score(self, x: Array, y: Array) -> float:
        """Fraction of samples `[n]` whose predicted class is y, between 0 and 1."""
        labels = class_labels(y, self.layers[-1].weight.shape[1])
        predicted = torch.as_tensor(self.predict(x))
        problems.same_length(predicted, labels)
        right = (predicted == labels.to(predicted.device)).sum()
        return int(right) / len(labels)  # a mean on a GPU may differ in the last digit

    def __repr__(self) -> str:
        first = self.layers[0].linear
        sizes = [first.in_channels if isinstance(first, nn.Conv2d) else first.in_features]
        for layer in self.layers:
            linear, width = layer.linear, layer.weight.shape[1]
            convolved = isinstance(linear, nn.Conv2d)
            kernel = linear.kernel_size if convolved else ()
            kernel = "x".join(map(str, kernel[:1] if len(set(kernel)) == 1 else kernel))
            sizes.append(f"{width}c{kernel}" if convolved else width)
        names = [layer.activation.name for layer in self.layers]
        return f"ERNetwork({'-'.join(map(str, sizes))}, {', '.join(names)})"

    # ------------------------------------------------------------------ inside

    def chunk_size(self, x):
        """Samples whose fields are held at once: of images, as many as make bounded numbers."""
        size = CHUNK
        if any(isinstance(layer, ConvLayer) for layer in self.layers):
            largest = max(h.numel() for h in self.trace(x[:1])[1])
            size = min(size, max(1, AT_ONCE // largest))
        return size

    def _chunks(self, x):
        size = self.chunk_size(x)
        return [slice(start, start + size) for start in range(0, len(x), size)]

    def _output_fields(self, x):
        x = problems.inputs_of(self, x)
        return torch.cat([self(x[part]) for part in self._chunks(x)])

    def inverse_maps(self, **inverse):
        """For each layer but the first, the map from its fields to the outputs below."""
        return [None, *(layer.to_below(**inverse) for layer in self.layers[1:])]

    def top_down(self, fields, target, to_below, down_to=0):
        """Reflected fields H* of every layer, first layer first: reflect, invert, reflect, ...

        Those of the layers from the one with index `down_to`.
        """
        wanted = []
        for index in reversed(range(down_to, len(self.layers))):
            layer, h = self.layers[index], fields[index]
            h_star = reflected(h, target, layer.activation)
            wanted.append(h_star)
            if index > down_to:
                below = self.layers[index - 1].activation.f(fields[index - 1])
                target = below + to_below[index](h_star - h, layer.near(below))
        return wanted[::-1]


def _linear(d_in, d_out, bias, dtype):
    """A torch.nn.Linear without its own initial draw, which would use the global generator."""
    return nn.utils.skip_init(nn.Linear, d_in, d_out, bias=bias, dtype=dtype)
