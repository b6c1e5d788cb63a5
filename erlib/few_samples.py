r"""The second verb where columns are many and samples few: the same solution in its dual form.

With centred inputs X, each row times the root of its weight, and :math:`XX' = U S^2 U'`,

.. math:: W = (X'X + \lambda I)^{-1} X'H = X' U (S^2 + \lambda)^{-1} U' H.

:math:`XX'` has a row for each sample where `erlib.Moments` has one for each column. It cannot be
added up from chunks: all samples must be at hand.
"""

import math

import torch

from .rounding import CONSTANT, representable, squarable

#: Below so many columns either form is quick.
MANY_COLUMNS = 1000


def few(samples, columns):
    """Whether the dual form is worth it."""
    return columns >= MANY_COLUMNS and 2 * samples <= columns


class FewSamples:
    r"""A ridge regression on x `[n, d_in]`, already checked, by the eigenvectors U of :math:`XX'`.

    Arguments, and what singular means, as for `erlib.regress.Moments`; `dtype` is that in which x
    was given.

    >>> x = torch.randn(3, 2000, generator=torch.Generator().manual_seed(0)).double()
    >>> weight, bias = FewSamples(x).solve(torch.tensor([[1.0], [2.0], [4.0]]).double())
    >>> [round(value, 10) for value in (x @ weight + bias).flatten().tolist()]
    [1.0, 2.0, 4.0]
    """

    def __init__(self, x, ridge=0.0, sample_weight=None, fit_intercept=True, dtype=None):
        eps, columns = torch.finfo(dtype or x.dtype).eps, x.shape[1]
        share = x.new_ones(len(x)) if sample_weight is None else sample_weight.to(x.dtype)
        self.root, self.share, self.mean = share.sqrt()[:, None], share.double(), None
        if fit_intercept:
            # In two steps: in the dtype of x the mean itself has lost digits where it is large.
            origin = x.mean(0)
            rows = x - origin
            rest = self.share @ rows.double() / self.share.sum()
            rows.sub_(rest.to(x.dtype)).mul_(self.root)
            self.mean = origin.double() + rest
            spread = torch.linalg.vector_norm(rows, dim=0, dtype=torch.float64)
            rows[:, spread <= CONSTANT * eps * self.mean.abs() * self.share.sum().sqrt()] = 0
        else:
            rows = x * self.root
        self.rows = rows
        gram = (rows @ rows.T).double()
        if not math.isfinite(gram.sum()):
            raise ValueError("x, h_star: sums of products overflow float64; scale them down first")
        self.penalty = ridge * gram.trace() / columns
        s2, u = torch.linalg.eigh(gram)
        safe = ridge > math.sqrt(columns) * eps / 2
        kept = s2 > (len(x) if safe else columns + 64) * eps * s2[-1]
        self.s2, self.u = s2[kept], u[:, kept]

    def solve(self, h):
        """Weight `[d_in, d_out]` and bias `[d_out]` (zero without intercept) for fields h."""
        mean = self.share @ h.double() / self.share.sum()
        wanted = h.double() if self.mean is None else h.double() - mean
        dual = self.u.T @ (self.root.double() * wanted) / (self.s2 + self.penalty)[:, None]
        weight = self.back(dual)
        bias = torch.zeros_like(mean) if self.mean is None else mean - self.mean @ weight
        return weight, bias

    def back(self, coefficients):
        """X'U times these: weights, float64."""
        return (self.rows.T @ (self.u @ coefficients).to(self.rows.dtype)).double()

    def whitened(self):
        """Z = XP `[n, rank]` for :math:`P = X'U (S^2 (S^2 + \\lambda))^{-1/2}`, rows unweighted."""
        return self.u * (self.s2 / (self.s2 + self.penalty)).sqrt() / self.root

    def unwhitened(self, found):
        """P times `found`."""
        return self.back(found / (self.s2 * (self.s2 + self.penalty)).sqrt()[:, None])


class Rows:
    """Samples themselves, with the two calls of `erlib.regress.Moments` that a single use needs."""

    def __init__(self, fit_intercept=True):
        self.fit_intercept, self.parts = fit_intercept, []

    def accumulate(self, x, h, weights=None):
        """Add tensors already checked."""
        if weights is None:
            weights = x.new_ones(len(x))
        there = weights > 0
        self.parts.append((x[there], h[there], weights[there]))

    def solve(self, ridge=0.0):
        """Return `weight [d_in, d_out]`, `bias [d_out]` as tensors in the dtype of x."""
        x, h, weights = (torch.cat(part) for part in zip(*self.parts))
        if not len(x):
            raise ValueError("sample_weight: no sample with a positive weight, nothing to solve")
        kind = x.dtype if x.dtype.itemsize > 2 else torch.float32
        x = squarable(x.to(kind))
        found = FewSamples(x, ridge, weights, self.fit_intercept, kind).solve(h)
        return tuple(representable(part, kind) for part in found)
