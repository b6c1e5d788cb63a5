r"""All that a least-squares solution needs of the data: sums over samples.

They can be added up chunk by chunk, in any order, and do not grow with the number of samples.
"""

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any, Self

import torch

from . import checks
from .arithmetic import own_arithmetic
from .checks import Array
from .rounding import CHUNK, CONSTANT, representable, squarable
from .solver import inverse_root, ridge_solver


class Moments:
    r"""Sufficient statistics of a linear regression of H* `[n, d_out]` on X `[n, d_in]`.

    Accumulates, over samples i with weights :math:`w_i` (1 unless given),

    .. math:: n = \sum w_i, \quad \sum w_i x_i, \quad \sum w_i h_i, \quad
              S_{xx} = \sum w_i x_i x_i', \quad S_{xh} = \sum w_i x_i h_i'.

    Products are formed in the dtype of X (float16 and bfloat16 in float32; in float64 where they
    would not be normal numbers) and summed in float64. With an intercept all of X is taken relative
    to the mean of the first chunk, so that a large common offset does not cancel digits. Memory:
    `d_in * (d_in + d_out)` float64 numbers, whatever the number of samples.

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
        inputs, targets, weights = checked(x, h_star, sample_weight)
        if self.n and (inputs.shape[1], targets.shape[1]) != tuple(self.xh.shape):
            raise ValueError(
                f"x, h_star: {inputs.shape[1]} and {targets.shape[1]} columns, earlier chunks had "
                f"{self.xh.shape[0]} and {self.xh.shape[1]}"
            )
        add_in_chunks(self, inputs, targets, weights)
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
            self.begin(x.mean(0), h.shape[1])
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

    def begin(self, origin: torch.Tensor, d_out: int) -> None:
        """The sums of no sample, of inputs relative to `origin` `[d_in]`, in its dtype."""
        d_in = len(origin)
        double: dict[str, Any] = {"dtype": torch.float64, "device": origin.device}
        self.dtype, self._factored = origin.dtype, None
        self.origin = origin if self.fit_intercept else None
        self.x, self.h = torch.zeros(d_in, **double), torch.zeros(d_out, **double)
        self.xx, self.xh = torch.zeros(d_in, d_in, **double), torch.zeros(d_in, d_out, **double)

    def move_to(self, origin: torch.Tensor) -> None:
        r"""Take inputs relative to another `origin` `[d_in]`, in the dtype of the products.

        .. math:: \sum (x + d)(x + d)' = \sum x x' + s d' + d s' + n d d', \quad s = \sum x.

        Exact but for rounding in float64, as long as the step d is no larger than the inputs vary:
        which two means of the same data are.
        """
        step = self.origin.double() - origin.double()
        self.xx.addr_(self.x, step).addr_(step, self.x).addr_(step, step, alpha=self.n)
        self.xh.addr_(step, self.h)
        self.x.add_(step, alpha=self.n)
        self.origin, self._factored = origin, None

    def replace_fields(
        self,
        pairs: Iterable[tuple[torch.Tensor, torch.Tensor]],
        summed: Callable[..., Iterable] | None = None,
    ) -> None:
        """Forget all fields and take those of `pairs`: the same inputs in chunks, with new fields.

        The inputs' own moments stay, and with them the factor of the last `solve`: regressing new
        fields on the same inputs then costs no more than a pass over them. For chunks already
        checked, of unit weight. The number of fields may change. Where other processes have a part
        of the samples, `summed` makes of this one's sums (n, sum h, sum x h') those of all. Raises
        ValueError if they are not as many rows as before.
        """
        n, self.xh, self.h = 0, 0.0, 0.0
        for x, h in pairs:
            n += len(x)
            if self.fit_intercept:
                x = x - self.origin
            self.h = self.h + h.sum(0, dtype=torch.float64)
            self.xh = self.xh + (x.T @ h).double()
        if summed:
            n, self.h, self.xh = summed(n, self.h, self.xh)
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


def checked(x, h_star, sample_weight):
    """The data of a regression as tensors, or ValueError."""
    inputs, targets = checks.samples(x, "h_star", h_star)
    if sample_weight is not None:
        checks.same_kind("sample_weight", sample_weight, "x", x)
        sample_weight = checks.sample_weight(sample_weight, "x", inputs)
    return inputs, targets, sample_weight


def add_in_chunks(moments, x, h, weights=None):
    """Let `moments`, or `few_samples.Rows`, accumulate tensors already checked."""
    for rows in range(0, len(x), CHUNK):
        part = slice(rows, rows + CHUNK)
        moments.accumulate(x[part], h[part], None if weights is None else weights[part])
