r"""The second verb: the weights that produce the wanted fields, in closed form.

Everything the least-squares solution needs of the data are sums over samples, `Moments`: they can
be added up chunk by chunk, in any order, and their size does not grow with the number of samples.
"""

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any, Self

import torch
from scipy.linalg import lapack

from . import checks
from .arithmetic import own_arithmetic
from .checks import Array, Same
from .rounding import CONSTANT, representable, squarable

# Rows whose products are formed at once. It bounds the scratch memory; above about a thousand rows
# the speed of a matrix product no longer depends on it.
CHUNK = 4096


class Moments:
    r"""Sufficient statistics of a linear regression of H* `[n, d_out]` on X `[n, d_in]`.

    Accumulates, over samples i with weights :math:`w_i` (1 unless given),

    .. math:: n = \sum w_i, \quad \sum w_i x_i, \quad \sum w_i h_i, \quad
              S_{xx} = \sum w_i x_i x_i', \quad S_{xh} = \sum w_i x_i h_i'.

    Products are formed in the dtype of X (float16 and bfloat16 in float32; in float64 where they
    would not be normal numbers) and summed in float64.
    With an intercept all of X is taken relative to the mean of the first chunk, so that a large
    common offset does not cancel digits.

    Memory: `d_in * (d_in + d_out)` float64 numbers, whatever the number of samples.

    >>> import torch
    >>> x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> h = x @ torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64) + 4
    >>> parts = Moments().add(x[:20], h[:20]).add(x[20:], h[20:])
    >>> weight, bias = parts.solve()
    >>> [round(v, 10) for v in weight.flatten().tolist() + bias.tolist()]
    [1.0, 2.0, 3.0, 4.0]
    """

    xh: Any  # tensors, once there are samples; no origin without an intercept
    h: Any
    origin: Any
    _factored: Any

    def __init__(self, fit_intercept: bool = True) -> None:
        self.fit_intercept = fit_intercept
        self.n = 0.0

    @own_arithmetic
    def add(self, x: Array, h_star: Array, sample_weight: Array | None = None) -> Self:
        """Add samples: x `[n, d_in]`, h_star `[n, d_out]`, weights `[n]` >= 0. Returns self.

        Raises ValueError for arrays that `erlib.regress` refuses, or of another width than before.
        """
        inputs, targets, weights = _checked(x, h_star, sample_weight)
        if self.n and (inputs.shape[1], targets.shape[1]) != tuple(self.xh.shape):
            raise ValueError(
                f"x, h_star: {inputs.shape[1]} and {targets.shape[1]} columns, earlier chunks had "
                f"{self.xh.shape[0]} and {self.xh.shape[1]}"
            )
        _accumulate(self, inputs, targets, weights)
        return self

    def accumulate(
        self, x: torch.Tensor, h: torch.Tensor, weights: torch.Tensor | None = None
    ) -> None:
        """`add` for tensors already checked, as one chunk."""
        if x.dtype.itemsize < 4:
            x = x.float()
        h = h.to(x.dtype)
        if weights is not None and not bool(weights.all()):  # 0 times what is huge is not 0
            there = weights > 0
            x, h, weights = x[there], h[there], weights[there]
        if not len(x):
            return
        if not self.n:
            d_in, d_out = x.shape[1], h.shape[1]
            double: dict[str, Any] = {"dtype": torch.float64, "device": x.device}
            self.dtype = x.dtype
            self.origin = x.mean(0) if self.fit_intercept else None
            self.x, self.h = torch.zeros(d_in, **double), torch.zeros(d_out, **double)
            self.xx, self.xh = torch.zeros(d_in, d_in, **double), torch.zeros(d_in, d_out, **double)
        if self.fit_intercept:
            x = x - self.origin
        x = squarable(x)
        if x.dtype != h.dtype or not float(h.abs().amax()) < 1e12:
            x, h = x.double(), h.double()
        weighted = x if weights is None else x * weights.to(x.dtype)[:, None]
        self.n += len(x) if weights is None else float(weights.double().sum())
        self.xx += weighted.T @ x
        self.xh += weighted.T @ h
        if self.fit_intercept:
            self.x += weighted.sum(0, dtype=torch.float64)
            weighted_h = h if weights is None else h * weights.to(h.dtype)[:, None]
            self.h += weighted_h.sum(0, dtype=torch.float64)
        self._factored = None

    def replace_fields(self, pairs: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Forget all fields and take those of `pairs`: the same inputs in chunks, with new fields.

        The inputs' own moments stay, and with them the factor of the last `solve`: regressing new
        fields on the same inputs then costs no more than a pass over them. For chunks already
        checked, of unit weight. The number of fields may change. Raises ValueError if they are not
        as many rows as before.
        """
        n, self.xh, self.h = 0, 0.0, 0.0
        for x, h in pairs:
            n += len(x)
            if self.fit_intercept:
                x = x - self.origin
            self.h = self.h + h.sum(0, dtype=torch.float64)
            self.xh = self.xh + (x.T @ h).double()
        if n != self.n:
            raise ValueError(f"pairs: {n} rows, the moments are of {self.n:g}")

    def divided(self, scale: torch.Tensor) -> Self:
        """The moments of inputs divided by `scale` `[d_in]`, a number for each column."""
        found = copy.copy(self)
        found._factored = None
        found.xx, found.xh = self.xx / torch.outer(scale, scale), self.xh / scale[:, None]
        if self.n and self.fit_intercept:
            found.x, found.origin = self.x / scale, self.origin.double() / scale
        return found

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_factored": None}  # a function: it is made again when needed

    @own_arithmetic
    def solve(self, ridge: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
        r"""Return `weight [d_in, d_out]`, `bias [d_out]` as tensors in the dtype of the products.

        Solves :math:`(C + \lambda I) W = B` with the centred (no intercept: raw) moments C, B and
        :math:`\lambda` = ridge * mean diagonal of C, by Cholesky in float64; where C is singular to
        working precision, the minimum-norm solution.
        """
        ridge = checks.not_negative("ridge", ridge)
        self.check_solvable()
        x_mean, h_mean = self.x / self.n, self.h / self.n
        cross = self.xh
        if self.fit_intercept:
            cross = cross - self.n * torch.outer(x_mean, h_mean)
        weight = self.solver(ridge)(cross)
        bias = torch.zeros_like(self.h)
        if self.fit_intercept:
            bias = h_mean - (x_mean + self.origin.double()) @ weight
        return representable(weight, self.dtype), representable(bias, self.dtype)

    def check_solvable(self) -> None:
        """Raise ValueError if there is no sample with a weight, or sums have overflowed."""
        if not self.n:
            raise ValueError("sample_weight: no sample with a positive weight, nothing to solve")
        if not math.isfinite(self.xx.sum() + self.xh.sum()):
            kind = str(self.dtype).removeprefix("torch.")
            raise ValueError(f"x, h_star: sums of products overflow {kind}; scale them down first")

    def solver(self, ridge: float) -> Callable[[torch.Tensor], torch.Tensor]:
        """The function from moments B with the inputs (centred if C is) to weights; kept."""
        if self._factored is None or self._factored[0] != ridge:
            gram, varies = self._gram()
            solve = ridge_solver(gram, ridge, torch.finfo(self.dtype).eps)
            self._factored = ridge, lambda cross: solve(cross * varies)
        return self._factored[1]

    def inverse_root(self, ridge: float) -> torch.Tensor:
        """P `[d_in, rank]`, such that W = P P' B solves what `solve` does."""
        gram, varies = self._gram()
        return varies * inverse_root(gram, ridge, torch.finfo(self.dtype).eps)

    def _gram(self):
        """C, and `[d_in, 1]` which columns vary: the rows and columns of the others are 0."""
        if not self.fit_intercept:
            return self.xx, torch.ones_like(self.x, dtype=torch.bool)[:, None]
        x_mean = self.x / self.n
        gram = self.xx - self.n * torch.outer(x_mean, x_mean)
        # A column that varies by no more than the rounding of its own making is constant.
        rounding = CONSTANT * torch.finfo(self.dtype).eps * (x_mean + self.origin)
        varies = (gram.diagonal() > self.n * rounding.square())[:, None]
        return gram * (varies & varies.T), varies


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


def ridge_solver(
    gram: torch.Tensor, ridge: float, precision: float
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the function that solves (gram + ridge * mean(diag gram) I) W = cross; float64.

    Minimum norm if singular. `precision` is the relative accuracy of the products summed in
    `gram`. Their rounding errors, acting as a random matrix, move eigenvalues by less than
    sqrt(d_in) * precision: a ridge of about that size makes the matrix safely positive. Without
    it, what is below (d_in + sqrt(CHUNK)) * precision of the largest counts as 0; sqrt(CHUNK) is
    what errors of one sign along a chunk can add up to.
    """
    size, factor, root = _factored(gram, ridge, precision)
    if root is not None:
        return lambda cross: root @ (root.T @ cross)
    return lambda cross: torch.cholesky_solve(cross / size, factor) / size


def inverse_root(gram: torch.Tensor, ridge: float, precision: float) -> torch.Tensor:
    """P `[d_in, rank]`, such that P P' cross is what `ridge_solver` finds."""
    size, factor, root = _factored(gram, ridge, precision)
    if root is not None:
        return root
    one = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return torch.linalg.solve_triangular(factor.T, one, upper=True) / size


def _factored(gram, ridge, precision):
    """Lengths of columns `[d_in, 1]` and the Cholesky factor, or, if singular, P itself."""
    tolerance = (len(gram) + math.sqrt(CHUNK)) * precision
    safe = ridge > math.sqrt(len(gram)) * precision / 2
    shifted = gram.clone()
    shifted.diagonal().add_(ridge * gram.diagonal().mean())
    # With columns of length 1 whether the matrix is singular does not depend on their units. One
    # of length 0 is by itself: it keeps a 1 on the diagonal and gets no weight.
    size = shifted.diagonal().sqrt()[:, None]
    empty = size[:, 0] == 0
    size = torch.where(size > 0, size, 1)
    scaled = shifted / (size * size.T)
    scaled.diagonal()[empty] = 1
    factor, failed = torch.linalg.cholesky_ex(scaled)
    if not failed and (safe or _smallest_eigenvalue(factor) > tolerance):
        return size, factor, None
    values, vectors = torch.linalg.eigh(scaled)
    kept = values > tolerance * values[-1]
    root = vectors[:, kept] / values[kept].sqrt() / size
    root[empty] = 0
    # Of all solutions the one of least norm: without a part along what the inputs do not show.
    unseen = torch.linalg.qr(vectors[:, ~kept] / size)[0]
    return None, None, root - unseen @ (unseen.T @ root)


def _smallest_eigenvalue(factor):
    """Of factor factor' (lower triangle), estimated from below within a factor sqrt(d_in).

    LAPACK's estimate of 1 / |inverse|_1. No pivot tells: where columns depend on each other the
    last pivot is rounding, magnified by the square of the coefficients of that dependence.
    """
    upper = factor.cpu().numpy().T  # the factor in the order that LAPACK reads, without a copy
    estimate, _ = lapack.dpocon(upper, anorm=1.0, uplo="U")
    return estimate


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
    weight `[d_in, d_out]`, bias `[d_out]` : arrays like `x` (bias 0 without intercept).

    Raises
    ------
    ValueError
        If an array has the wrong shape, is empty, not floating, holds NaN or Inf, or a weight is
        negative or all are 0, or the solution overflows the dtype.

    With many more columns than samples a smaller problem is solved (`erlib.few_samples`): the same
    result. Samples given in chunks: `erlib.Moments`.

    Source: ordinary ridge regression; in ER the step "weights from fields", Hoang et al., Phys.
    Rev. E 99, 023311 (2019).

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> weight, bias = regress(x, x @ [[1.0], [-2.0]] + 3)
    >>> bool(np.allclose(weight.ravel(), [1, -2]) and np.allclose(bias, 3))
    True
    """
    ridge = checks.not_negative("ridge", ridge)
    inputs, targets, weights = _checked(x, h_star, sample_weight)
    from .few_samples import moments_for  # which builds on Moments

    moments = moments_for(len(inputs), inputs.shape[1], fit_intercept)
    _accumulate(moments, inputs, targets, weights)
    weight, bias = (representable(part, inputs.dtype) for part in moments.solve(ridge))
    return checks.like(weight, x), checks.like(bias, x)


def _accumulate(moments, x, h, weights):
    for rows in range(0, len(x), CHUNK):
        part = slice(rows, rows + CHUNK)
        moments.accumulate(x[part], h[part], None if weights is None else weights[part])


def _checked(x, h_star, sample_weight):
    inputs = checks.tensor("x", x, ndim=2)
    targets = checks.tensor("h_star", h_star, ndim=2)
    checks.same_kind("h_star", h_star, "x", x)
    if len(targets) != len(inputs):
        raise ValueError(f"h_star: {len(targets)} samples (rows), x has {len(inputs)}")
    if sample_weight is None:
        return inputs, targets, None
    checks.same_kind("sample_weight", sample_weight, "x", x)
    weights = checks.sample_weight(sample_weight, "x", inputs)
    return inputs, targets, weights
