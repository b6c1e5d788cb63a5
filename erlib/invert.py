r"""The third verb: from a wanted change of the fields to a wanted change of the layer below."""

from collections.abc import Callable

import torch

from . import checks
from .arithmetic import own_arithmetic
from .checks import Same

Map = Callable[[torch.Tensor], torch.Tensor]

METHODS = ("pinv", "damped", "cg", "transpose")


@own_arithmetic
def invert(
    delta: Same,
    weight: Same,
    *,
    method: str = "pinv",
    damping: float = 0.0,
    steps: int | None = None,
) -> Same:
    r"""Return the change of the inputs that produces the change `delta` of the fields.

    The layer below is asked for the target
    :math:`T_{below} = A_{below} + \mathrm{invert}(H^* - H, W)`. The map is one of a family between
    the pseudo-inverse and the transpose (:math:`\delta` is one row):

    ============= ==========================================================================
    ``pinv``      :math:`\delta W^+`: the smallest change that comes closest to `delta`
    ``damped``    :math:`\delta (W'W + \mu I)^{-1} W'`, :math:`\mu` = damping * mean squared
                  singular value :math:`\lVert W\rVert_F^2 / \min(d_{in}, d_{out})`
    ``cg``        `steps` conjugate-gradient steps towards ``pinv``, for each sample by itself
    ``transpose`` :math:`\delta W'`: what backpropagation does
    ============= ==========================================================================

    ``damped`` tends to ``pinv`` for damping -> 0 and, times :math:`\mu`, to ``transpose`` for
    damping -> infinity; ``cg`` with one step is the transpose scaled for each sample, and with many
    steps the pseudo-inverse.

    Parameters
    ----------
    delta : array `[n, d_out]`, floating
        Wanted change of the fields, :math:`H^* - H`.
    weight : array `[d_in, d_out]` of the same type
        Weights W of the layer.
    method : ``pinv``, ``damped``, ``cg`` or ``transpose``
    damping : float > 0, only for ``damped``
    steps : int >= 1, only for ``cg``

    Returns
    -------
    array `[n, d_in]`
        Like `delta`.

    Raises
    ------
    ValueError
        If the shapes do not fit, an array is empty, not floating or holds NaN or Inf, the method is
        unknown, or damping or steps is missing, out of range or given to a method without it.

    Notes
    -----
    Source: that ER is gradient descent with target propagation's inverse mapping is the paper's
    claim (abstract); the family and its knobs are this companion's own.

    Examples
    --------
    >>> import torch
    >>> w = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> delta = torch.ones(1, 3, dtype=torch.float64)
    >>> bool(torch.allclose(invert(delta, w) @ w, delta))     # the fields change by just delta
    True
    """
    change, weights = checks.tensor("delta", delta, ndim=2), checks.tensor("weight", weight, ndim=2)
    checks.same_kind("weight", weight, "delta", delta)
    if change.shape[1] != weights.shape[1]:
        raise ValueError(
            f"delta: {change.shape[1]} columns, weight [d_in, d_out] has {weights.shape[1]}"
        )
    check_settings(method, damping, steps)
    if change.dtype.itemsize < 4:
        change = change.float()
    to_below = inverse_map(weights.to(change.dtype), method, damping, steps)
    return checks.like(to_below(change), delta)


def check_settings(method: str, damping: object, steps: object, name: str = "method") -> None:
    """Raise ValueError unless `method` is known and has just the settings that belong to it."""
    checks.choice(name, method, METHODS)
    damping = checks.not_negative("damping", damping)
    if (method == "damped") != (damping > 0):
        raise ValueError(
            f"damping: {damping} with {name} {method!r}; 'damped' needs damping > 0 and "
            "no other method takes any"
        )
    if method == "cg":
        checks.positive_integer("steps", steps)
    elif steps is not None:
        raise ValueError(f"steps: {steps!r} with {name} {method!r}; only 'cg' takes steps")


def inverse_map(
    weight: torch.Tensor, method: str = "pinv", damping: float = 0.0, steps: int | None = None
) -> Map:
    """Return `invert` as an unchecked function of delta, the inverse of `weight` taken once."""
    if method == "transpose":
        return lambda delta: delta @ weight.T
    if method == "cg":
        assert steps is not None  # by check_settings
        return lambda delta: conjugate_gradients(
            lambda u: u @ weight, lambda v: v @ weight.T, delta, steps
        )
    inverse = _inverse(weight, damping)  # pinv is damped by 0
    return lambda delta: delta @ inverse


def _inverse(weight: torch.Tensor, damping: float) -> torch.Tensor:
    """W'(WW' + mu I)^-1 `[d_out, d_in]`: each singular value s of W becomes 1 / (s + mu / s)."""
    u, s, vt = torch.linalg.svd(weight.double(), full_matrices=False)
    mu = damping * s.square().mean()
    # What is below the rounding of the weights themselves counts as 0, and 0 stays 0.
    known = s > max(weight.shape) * torch.finfo(weight.dtype).eps * s.max()
    gain = torch.where(known, 1 / (s + mu / s), 0)
    return (vt.T * gain @ u.T).to(weight.dtype)


def conjugate_gradients(
    forward: Map, backward: Map, delta: torch.Tensor, steps: int
) -> torch.Tensor:
    r"""Minimise :math:`\lVert u J - \delta \rVert` from u = 0, each row by itself.

    By `steps` steps, or fewer where every row has arrived. `forward(u)` is u J, `backward(v)` is
    v J', so any linear map will do, a convolution or a Jacobian-vector product too; the first axis
    counts samples. This is conjugate gradients on the normal equations u JJ' = delta J' (CGLS):
    started at 0 it stays in the range of J' and so ends at the pseudo-inverse, also where J'J is
    singular and conjugate gradients on v J'J = delta would break down.
    """

    def squared(t):  # in float64, where the square of a small float32 number is not yet 0
        return torch.linalg.vector_norm(t.flatten(1), dim=1, dtype=torch.float64).square()

    def quotient(a, b):  # 0 / 0 = 0: nothing is left to do
        return torch.where(b > 0, a / torch.where(b > 0, b, 1), 0)

    def times(factor, t):
        return factor.to(t.dtype).reshape(-1, *[1] * (t.ndim - 1)) * t

    residual = delta
    gradient = backward(residual)
    solution, direction, size = torch.zeros_like(gradient), gradient, squared(gradient)
    for taken in range(1, steps + 1):
        image = forward(direction)
        if taken == 1:
            # A gradient below the rounding of its own terms, about eps |J| |delta|, has no
            # direction: followed into the null space of J it leads far away. Such a sample has
            # arrived and takes no further step. |J|^2 is taken along the first gradient.
            rounding = (10 * torch.finfo(delta.dtype).eps) ** 2 * squared(delta)
            rounding = rounding * quotient(squared(image), size)
        going = size > rounding
        if bool((size <= rounding).all()):  # not where numbers have overflowed to NaN
            return solution
        step = torch.where(going, quotient(size, squared(image)), 0)
        solution = solution + times(step, direction)
        if taken == steps:
            return solution
        residual = residual - times(step, image)
        gradient = backward(residual)
        size, old_size = squared(gradient), size
        direction = gradient + times(quotient(size, old_size), direction)
    return solution
