r"""The second verb where columns are many and samples few: the same solution from a small problem.

Weights that a regression finds lie in the span of its samples, so it may as well be done in that
span. With the thin decomposition :math:`X - \bar x = Z V'`, V orthonormal `[d_in, rank]`,

.. math:: W = V \, \mathrm{regress}(Z, H^*), \qquad \mathrm{rank} < n,

where `erlib.Moments` of X would have a row and a column for each column of X. All samples must be
at hand: this cannot be added up from chunks.
"""

import math

import torch

from .moments import Moments
from .rounding import CONSTANT, representable, squarable

#: Below so many columns there is nothing to gain.
MANY_COLUMNS = 1000


def few(samples: int, columns: int) -> bool:
    """Whether the small problem is worth making."""
    return columns >= MANY_COLUMNS and 2 * samples <= columns


def moments_for(samples: int, columns: int, fit_intercept: bool) -> "Moments | Rows":
    """Empty `Moments` for so many samples in all, or `Rows` where these are few."""
    return Rows(fit_intercept) if few(samples, columns) else Moments(fit_intercept)


class Span:
    """Coordinates `z` `[n, rank]` of x `[n, d_in]` in the span of its samples; already checked.

    >>> x = torch.randn(3, 2000, generator=torch.Generator().manual_seed(0)).double()
    >>> span = Span(x)
    >>> span.z.shape, bool(torch.allclose(span.z @ span.v.T + span.mean, x))
    (torch.Size([3, 2]), True)
    """

    def __init__(self, x: torch.Tensor, fit_intercept: bool = True) -> None:
        eps = torch.finfo(x.dtype).eps
        self.mean, rows, nothing = x.new_zeros(x.shape[1]), x, []
        if fit_intercept:
            # In two steps: in the dtype of x the mean itself has lost digits where it is large.
            origin = x.mean(0)
            rows = x - origin
            rest = rows.mean(0)
            rows -= rest
            self.mean = origin.double() + rest
            constant = CONSTANT * eps * self.mean.abs() * math.sqrt(len(x))
            spread = torch.linalg.vector_norm(rows, dim=0, dtype=torch.float64)
            nothing = (spread <= constant).nonzero()[:, 0]
            rows[:, nothing] = 0
        rows = squarable(rows)
        gram = (rows @ rows.T).double()
        if not math.isfinite(gram.sum()):
            raise ValueError("x, h_star: sums of products overflow float64; scale them down first")
        squares, u = torch.linalg.eigh(gram)
        kept = squares > (x.shape[1] + 64) * eps * squares[-1]
        kept[-1] = True  # a coordinate of zeros, where all columns are constant
        values = squares[kept].clamp(min=0).sqrt()
        u = u[:, kept]
        self.z = (u * values).to(x.dtype)
        self.v = rows.T @ (u / torch.where(values > 0, values, 1)).to(rows.dtype)
        self.v[nothing] = 0  # without rounding

    def ridge(self, ridge: float) -> float:
        """What is relative to the mean over the columns of x, relative to that over those of z."""
        return ridge * self.z.shape[1] / len(self.v)

    def weights(
        self, weight: torch.Tensor, bias: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight `[d_in, d_out]` and bias `[d_out]` on x of those on z; float64."""
        weight = self.v.double() @ weight.double()
        return weight, bias.double() - self.mean.double() @ weight


class Rows:
    """Samples themselves, with the two calls of `Moments` that a single regression needs."""

    def __init__(self, fit_intercept: bool = True) -> None:
        self.fit_intercept = fit_intercept
        self.parts: list[tuple[torch.Tensor, ...]] = []

    def accumulate(
        self, x: torch.Tensor, h: torch.Tensor, weights: torch.Tensor | None = None
    ) -> None:
        """Add tensors already checked."""
        if weights is None:
            weights = x.new_ones(len(x))
        there = weights > 0
        self.parts.append((x[there], h[there], weights[there]))

    def solve(self, ridge: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
        """Return `weight [d_in, d_out]`, `bias [d_out]` as tensors in the dtype of x."""
        x, h, weights = (torch.cat(part) for part in zip(*self.parts))
        if not len(x):
            raise ValueError("sample_weight: no sample with a positive weight, nothing to solve")
        kind = x.dtype if x.dtype.itemsize > 2 else torch.float32
        span = Span(x.to(kind), self.fit_intercept)
        moments = Moments(self.fit_intercept)
        moments.accumulate(span.z.double(), h.double(), weights)
        weight, bias = span.weights(*moments.solve(span.ridge(ridge)))
        return representable(weight, kind), representable(bias, kind)
