"""All ways in which a hyperplane divides a few points in two: the arrangement of `threshold`."""

import itertools
import math

import numpy as np
import torch

from .. import checks
from ..arithmetic import own_arithmetic
from ..batches import Seed, generator
from ..checks import Array

_MOST = 20_000  # dichotomies that are listed


@own_arithmetic
def hyperplanes(
    x: Array, units: int | None = None, *, seed: Seed = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return u `[d, P]` and c `[P]` that give every dichotomy 1{x u + c >= 0} of x `[n, d]` once.

    n points in general position have :math:`2 \sum_{i=0}^{d} \binom{n-1}{i}` (Cover's formula);
    others fewer. Each is a cone of (u, c), and each cone has an edge, where the hyperplane goes
    through points that span it: these are listed, and the points on them told apart in all ways, by
    the same means. With `units` so many are sampled instead: u Gaussian, and the hyperplane half
    way between two random samples. Raises ValueError if there may be more than 20,000.

    >>> corners = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    >>> len(hyperplanes(corners)[1])                                          # all but XOR and XNOR
    14
    """
    rows = checks.tensor("x", x, ndim=2).double()
    if units is not None:
        random, shape = generator(seed), (rows.shape[1], checks.positive_integer("units", units))
        u = torch.randn(shape, generator=random, dtype=torch.float64)
        ends = rows[torch.randint(len(rows), (2, shape[1]), generator=random)]
        return u, -(ends.mean(0) * u.T).sum(1)
    distinct = rows.unique(dim=0)
    n, d = distinct.shape
    most = 2 * sum(math.comb(n - 1, i) for i in range(min(d, n - 1) + 1))
    if most > _MOST:
        raise ValueError(f"x: {n} samples in {d} dimensions have up to {most} dichotomies; sample")
    centre, size = distinct.mean(0), float((distinct - distinct.mean(0)).abs().max()) or 1.0
    z = torch.cat([(distinct - centre) / size, distinct.new_ones(n, 1)], 1)
    u = torch.from_numpy(_cells(z.numpy())) / size
    return u[:, :-1].T, u[:, -1] * size - u[:, :-1] @ centre


def _cells(z: np.ndarray) -> np.ndarray:
    """Vectors `[P, d]`, one for each sign pattern without 0 of z u, for rows z that are not 0."""
    _, size, axes = np.linalg.svd(z, full_matrices=False)
    rank = int((size > 1e-9 * size[0]).sum())
    axes = axes[:rank]
    z = z @ axes.T
    if rank == len(z):  # independent points have all patterns
        signs = np.array(list(itertools.product([1.0, -1.0], repeat=rank)))
        return np.linalg.solve(z, signs.T).T @ axes
    if rank == 1:
        return np.array([[1.0], [-1.0]]) @ axes
    found: dict[bytes, np.ndarray] = {}
    edges = set()
    for chosen in itertools.combinations(z, rank - 1):
        _, size, across = np.linalg.svd(np.array(chosen))
        if size[-1] <= 1e-9 * size[0]:
            continue
        off = z @ across[-1]
        on = np.abs(off) <= 1e-9 * np.linalg.norm(z, axis=1)
        if on.tobytes() in edges:
            continue
        edges.add(on.tobytes())
        for beside in _cells(z[on]):
            # So short a step that no other point changes its side.
            step = 0.5 * np.abs(off[~on]).min() / np.abs(z[~on] @ beside).max(initial=1.0)
            for edge in (across[-1], -across[-1]):
                u = edge + step * beside
                found.setdefault((z @ u > 0).tobytes(), u / np.linalg.norm(u))
    return np.array(list(found.values())) @ axes
