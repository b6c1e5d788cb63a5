r"""The second verb: the weights that produce the wanted fields, in closed form."""

import math

import torch

from . import checks
from .arithmetic import own_arithmetic
from .checks import Same
from .few_samples import moments_for
from .moments import Moments, add_in_chunks, checked
from .rounding import CHUNK, representable


@own_arithmetic
def regress(
    x: Same,
    h_star: Same,
    *,
    ridge: float = 0.0,
    sample_weight: Same | None = None,
    fit_intercept: bool = True,
) -> tuple[Same, Same]:
    r"""Return the weights and bias that best produce the fields `h_star` from the inputs `x`.

    Definition, row-major (:math:`H = X W + b`):

    .. math:: W, b = \arg\min \sum_i w_i \lVert x_i W + b - h^*_i \rVert^2
              + \lambda \lVert W \rVert^2,
              \qquad \lambda = \mathrm{ridge} \cdot \mathrm{mean\,diag}(C).

    C is the scatter matrix :math:`\sum w_i (x_i - \bar x)(x_i - \bar x)'` (without intercept:
    :math:`\sum w_i x_i x_i'`), so `ridge` has no unit and means the same for inputs of any scale.
    Constant and duplicate columns make C singular: of all solutions the one of least norm is taken
    (a constant column gets weight 0, duplicates share one weight). Being normal equations, they
    resolve directions down to about sqrt(eps * (d_in + 64)) of the strongest one.

    Parameters
    ----------
    x : array `[n, d_in]`, floating
        Inputs, one sample a row.
    h_star : array `[n, d_out]` of the same type
        Wanted fields (`erlib.reflect`).
    ridge : float >= 0
        Relative strength of the penalty; 0 is ordinary least squares.
    sample_weight : array `[n]` of the same type, >= 0, optional
        Weight of each sample.
    fit_intercept : bool
        Whether there is a bias b; it is not penalised.

    Returns
    -------
    weight : array `[d_in, d_out]`
        Like `x`.
    bias : array `[d_out]`
        Like `x`; 0 without intercept.

    Raises
    ------
    ValueError
        If an array has the wrong shape, is empty, not floating, holds NaN or Inf, or a weight is
        negative or all are 0, or the solution overflows the dtype.

    Notes
    -----
    With many more columns than samples a smaller problem is solved (`erlib.few_samples`): the same
    result. Samples given in chunks: `erlib.Moments`.

    Source: ordinary ridge regression; in ER the step "weights from fields", Hoang et al., Phys.
    Rev. E 99, 023311 (2019).

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> weight, bias = regress(x, x @ [[1.0], [-2.0]] + 3)
    >>> bool(np.allclose(weight.ravel(), [1, -2]) and np.allclose(bias, 3))
    True
    """
    ridge = checks.not_negative("ridge", ridge)
    inputs, targets, weights = checked(x, h_star, sample_weight)
    moments = moments_for(len(inputs), inputs.shape[1], fit_intercept)
    add_in_chunks(moments, inputs, targets, weights)
    weight, bias = (representable(part, inputs.dtype) for part in moments.solve(ridge))
    return checks.like(weight, x), checks.like(bias, x)


class Regression:
    r"""Regress ever new fields on the same inputs, and say at once which fields come of it.

    With :math:`(C + \lambda I)^{-1} = P P'` (`regress`) and whitened inputs
    :math:`Z = (X - \bar x) P`, beside them a column of ones,

    .. math:: H = Z Z' H^*, \qquad W = P Z' H^*:

    two products with the inputs, and weights only when they are asked for. For tensors already
    checked.

    >>> x = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
    >>> line = Regression(x)
    >>> fields, coefficients = line(2 * x + 5)
    >>> [round(value, 10) for part in line.weights(coefficients) for value in part.ravel().tolist()]
    [2.0, 5.0]
    """

    def __init__(
        self,
        x: torch.Tensor,
        ridge: float = 0.0,
        sample_weight: torch.Tensor | None = None,
        fit_intercept: bool = True,
    ) -> None:
        moments = Moments(fit_intercept).add(x, x.new_zeros(len(x), 1), sample_weight)
        moments.check_solvable()
        self.root, self.size = moments.inverse_root(ridge), math.sqrt(moments.n)
        self.mean = moments.x / moments.n + moments.origin if fit_intercept else None
        if fit_intercept:
            # In two steps: in x.dtype the mean itself has lost digits where it is large.
            centred = (x - moments.origin) - (moments.x / moments.n).to(x.dtype)
            whitened = centred @ self.root.to(x.dtype)
            self.z = torch.cat([whitened, x.new_full((len(x), 1), 1 / self.size)], dim=1)
        else:
            self.z = x @ self.root.to(x.dtype)
        self.weighted = self.z if sample_weight is None else self.z * sample_weight[:, None]

    def __call__(self, h_star: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """H `[n, d_out]`, and their coefficients Z' H*."""
        if len(h_star) <= CHUNK:
            coefficients = self.weighted.T @ h_star
        else:
            parts = zip(self.weighted.split(CHUNK), h_star.split(CHUNK))
            coefficients = sum((z.T @ h).double() for z, h in parts).to(h_star.dtype)
        return self.z @ coefficients, coefficients

    def weights(self, coefficients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """W `[d_in, d_out]` and b `[d_out]`."""
        found = coefficients.double()
        if self.mean is None:
            weight, bias = self.root @ found, found.new_zeros(found.shape[1])
        else:
            weight = self.root @ found[:-1]
            bias = found[-1] / self.size - self.mean @ weight
        return weight.to(coefficients.dtype), bias.to(coefficients.dtype)
