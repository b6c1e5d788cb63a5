"""Solve (gram + ridge * mean(diag gram) I) W = cross in float64, singular or not."""

import math
from collections.abc import Callable

import torch
from scipy.linalg import lapack

from .rounding import CHUNK


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
