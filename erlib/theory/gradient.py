r"""The same update by automatic differentiation: backpropagation with two substitutions.

Backpropagation of :math:`E = \frac12 \lVert T - A_L \rVert^2` carries the error down by

.. math:: \delta_L = f'(H_L) \circ (T - A_L), \qquad
          \delta_l = f'(H_l) \circ (\delta_{l+1} W_{l+1}'), \qquad
          -\partial E / \partial W_l = A_{l-1}' \delta_l.

Expectation Reflection is what this becomes when every unit multiplies by its **ratio** g = h / f(h)
instead of its slope f', every layer hands down by its **pseudo-inverse** W^+ instead of its
transpose W', and the resulting gradients are divided by the Gram matrix of the layer's inputs.

This is the second code path of statement S5 (notebook 03): a torch network whose backward pass has
the substitutions, and one `.backward()`. It calls none of the verbs: units are torch's own
functions and the ratio is an explicit quotient; inverses come from QR factorisations, where the
verbs take singular values and solve normal equations.
"""

import math

import torch
from scipy import linalg
from torch.nn import functional

from .. import checks
from ..activations import activation
from ..arithmetic import own_arithmetic
from ..checks import Array
from ..layers import dense_only
from ..network import ERNetwork
from ..rounding import CONSTANT

#: Of each layer, for weight `[d_in, d_out]` and bias `[d_out]`.
Changes = list[tuple[torch.Tensor, torch.Tensor | None]]

# Units as torch has them, with 1/f'(0), the limit of the ratio where output and field are both 0
# (a silent ReLU unit has none and keeps its field).
_UNITS = {
    "tanh": (torch.tanh, 1.0),
    "erf": (torch.erf, math.sqrt(math.pi) / 2),
    "softsign": (functional.softsign, 1.0),
    "identity": (lambda h: h, 1.0),
    "relu": (torch.relu, 0.0),
    "leaky_relu": (functional.leaky_relu, 1.0),
}
_ACTIVATIONS = {name: activation(name) for name in _UNITS}
FACTORS = ("ratio", "slope")
INVERSES = ("pinv", "transpose")


class _RatioUnit(torch.autograd.Function):
    """A = f(H); backward multiplies by H / A where autograd would multiply by f'(H)."""

    @staticmethod
    def forward(ctx, h, name):
        f, ctx.limit = _UNITS[name]
        a = f(h)
        ctx.save_for_backward(h, a)
        return a

    @staticmethod
    def backward(ctx, error):
        h, a = ctx.saved_tensors
        silent = a == 0
        return error * torch.where(silent, ctx.limit, h / torch.where(silent, 1, a)), None


class _InverseMap(torch.autograd.Function):
    """H = X W; backward hands X the error times W^+ where autograd would take W'."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x @ weight

    @staticmethod
    def backward(ctx, error):
        x, weight = ctx.saved_tensors
        below = least_squares(weight.T, error.T).T  # error W^+: the smallest u, u W nearest error
        return below, x.T @ error


@own_arithmetic
def gradient_changes(
    network: ERNetwork,
    x: Array,
    target: Array,
    *,
    factor: str = "ratio",
    inverse: str = "pinv",
    precondition: bool = True,
    ridge: float = 0.0,
) -> Changes:
    r"""Return what one gradient step adds to each layer of `network`, which is left unchanged.

    With the defaults this is the ER update that `ERNetwork.changes` computes by reflecting,
    regressing and inverting: for every layer, with inputs X = A_{l-1} and their centred Gram
    matrix C (raw, for a layer without bias),

    .. math:: \Delta W = (C + \lambda I)^{-1}
              (X' \delta - \bar x' \textstyle\sum \delta), \qquad
              \Delta b = \bar\delta - \bar x \, \Delta W,

    where :math:`X'\delta` and :math:`\sum\delta` are the gradients for weight and bias, and
    :math:`\lambda` = ridge * mean diag(C). Together the two lines are one multiplication of the
    gradient by the inverse Gram matrix of (x, 1); where C is singular, by its pseudo-inverse. Where
    inputs vary little about a large mean the two gradients of the first line nearly cancel, which
    costs the digits of mean / variation.

    Parameters
    ----------
    network : ERNetwork
        Taken for its weights and the names of its activations only.
    x : array `[n, d_in]`, floating
        Inputs.
    target : array `[n, d_out]`, floating
        Observed outputs T.
    factor : str
        ``ratio`` (ER) or ``slope`` (backpropagation: f', by autograd).
    inverse : str
        ``pinv`` (ER) or ``transpose`` (backpropagation: by autograd).
    precondition : bool
        Divide by the Gram matrix of the inputs. With ``slope``, ``transpose`` and False the result
        is the negative gradient of E itself.
    ridge : float >= 0
        Relative damping of the preconditioner.

    Returns
    -------
    list of tuples of tensors
        (:math:`\Delta W` `[d_in, d_out]`, :math:`\Delta b` `[d_out]` or None), first layer first.

    Raises
    ------
    ValueError
        If an array does not fit the network, is empty, not floating or holds NaN or Inf, a weight
        does, a layer has an activation of your own, a setting is unknown or out of range, or the
        result overflows.

    Notes
    -----
    Source: that ER is gradient descent with target propagation's inverse mapping is the paper's
    claim (abstract); this form of it, with its factors, is the companion's own.

    Examples
    --------
    >>> import erlib
    >>> net = erlib.ERNetwork.dense([3, 5, 2], dtype=torch.float64)
    >>> draw = torch.randn(20, 5, generator=torch.Generator().manual_seed(0)).double()
    >>> x, t = draw.split([3, 2], 1)
    >>> [(by_gradient, _), _] = gradient_changes(net, x, t)
    >>> [(by_verbs, _), _] = net.changes(x, t, ridge=0)
    >>> bool(torch.allclose(by_gradient, by_verbs, rtol=1e-12))
    True
    """
    checks.choice("factor", factor, FACTORS)
    checks.choice("inverse", inverse, INVERSES)
    ridge = checks.not_negative("ridge", ridge)
    if not isinstance(precondition, bool):
        raise ValueError(f"precondition: expected True or False, found {precondition!r}")
    x, target = checked(network, x, target)
    parameters = copied_parameters(network, differentiated=True)
    with torch.enable_grad():
        inputs, output = forward(network, parameters, x, factor, inverse)
        (0.5 * (target - output).square().sum()).backward()
    changes = []
    for layer_inputs, (weight, bias) in zip(inputs, parameters):
        change = (-weight.grad, None if bias is None else -bias.grad)
        changes.append(_divide(*change, layer_inputs.detach(), ridge) if precondition else change)
    return finite(changes)


def least_squares(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The smallest u with a u nearest b, by QR with column pivoting.

    By scipy: torch's own gelsy starts from stale pivots (pytorch issue 187411), and in 2.13 gave
    wrong solutions where a is singular.
    """
    rounding = 16 * max(a.shape) * torch.finfo(a.dtype).eps
    arrays = a.detach().numpy(), b.detach().numpy()
    u, *_ = linalg.lstsq(*arrays, cond=rounding, lapack_driver="gelsy", check_finite=False)
    return torch.from_numpy(u)


def checked(network: ERNetwork, x: Array, target: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """x and target as tensors in the dtype of the network, or ValueError."""
    if not isinstance(network, ERNetwork):
        raise ValueError(f"network: expected an ERNetwork, found {type(network).__name__}")
    dense_only(network, "this")
    x, target = checks.samples(x, "target", target)
    for number, layer in enumerate(network.layers, start=1):
        checks.require_finite(f"network: weights of layer {number}", layer.weight.detach())
        if layer.activation != _ACTIVATIONS.get(layer.activation.name):
            known = ", ".join(sorted(_UNITS))
            raise ValueError(f"network: layer {number} has {layer.activation!r}; known: {known}")
    first, last = network.layers[0].weight, network.layers[-1].weight
    if x.shape[1] != first.shape[0]:
        raise ValueError(f"x: {x.shape[1]} columns, the network has {first.shape[0]} inputs")
    checks.same_shape("target", target, "the output", x.new_empty(len(x), last.shape[1]))
    return x.to(first.dtype), target.to(first.dtype)


def copied_parameters(network: ERNetwork, differentiated: bool) -> list:
    """Copies of weight `[d_in, d_out]` and bias of each layer, which may collect gradients."""

    def copied(part):
        return None if part is None else part.detach().clone().requires_grad_(differentiated)

    return [(copied(layer.weight), copied(layer.bias)) for layer in network.layers]


def forward(
    network: ERNetwork, parameters: list, x: torch.Tensor, factor: str, inverse: str
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Inputs of each layer, and the outputs of the last."""
    inputs = []
    for layer, (weight, bias) in zip(network.layers, parameters):
        inputs.append(x)
        h = _InverseMap.apply(x, weight) if inverse == "pinv" else x @ weight
        h = h if bias is None else h + bias
        name = layer.activation.name
        x = _RatioUnit.apply(h, name) if factor == "ratio" else _UNITS[name][0](h)
    return inputs, x


def _divide(weight, bias, x, ridge):
    """The gradient divided by the Gram matrix of (x, 1), or of x where there is no bias.

    The Gram matrix is never formed: with G = X'X, G^+ = X^+ (X')^+, two least-squares problems.
    """
    centre = torch.zeros_like(x[0]) if bias is None else x.mean(0)
    rows = x - centre
    if bias is not None:
        weight = weight - torch.outer(centre, bias)
        # A column that varies by no more than the rounding of what it was computed from.
        rounding = CONSTANT * torch.finfo(x.dtype).eps * centre.abs() * len(x) ** 0.5
        rows[:, rows.norm(dim=0) <= rounding] = 0
    damping = (ridge * rows.square().sum() / rows.shape[1]).sqrt()
    rows = torch.cat([rows, damping * torch.eye(rows.shape[1], dtype=rows.dtype)])
    weight = least_squares(rows, least_squares(rows.T, weight))
    return weight, None if bias is None else bias / len(x) - centre @ weight


def finite(changes: Changes) -> Changes:
    """The changes, or ValueError if they hold NaN or Inf."""
    for number, change in enumerate(changes, start=1):
        if not all(part is None or bool(part.isfinite().all()) for part in change):
            raise ValueError(f"x, target: the change of layer {number} overflows; scale down")
    return changes
