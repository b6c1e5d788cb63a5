r"""Kinetic Ising networks: data from a single layer whose weights are known.

Spins :math:`s_i = \pm 1` are updated all at once, each by its own field of the spins before,

.. math:: H_i(t) = \sum_j s_j(t) W_{ji}, \qquad
          P[s_i(t+1) \mid s(t)] = \frac{e^{s_i(t+1) H_i(t)}}{2 \cosh H_i(t)}, \qquad
          \langle s_i(t+1) \rangle = \tanh H_i(t),

row-major as everywhere in erlib: W `[from, to]`. To infer W from a series is a single-layer problem
for each spin, with inputs s(t) and observed outputs s(t+1).

Source of the test bed: Roudi and Hertz, Phys. Rev. Lett. 106, 048702 (2011); used for ER by Hoang,
Song, Periwal and Jo, Phys. Rev. E 99, 023311 (2019).
"""

import torch

from .. import checks
from ..arithmetic import own_arithmetic
from ..batches import Seed, generator
from ..checks import Same


@own_arithmetic
def couplings(n: int, g: float, *, seed: Seed = 0) -> torch.Tensor:
    r"""Draw W `[n, n]`, float64, independent normal with variance g^2 / n, self-couplings too.

    `g` is the standard deviation of fields: below about 1 spins are noisy, at 4 mostly determined.
    Raises ValueError unless n >= 1 and g >= 0.

    >>> couplings(100, 2.0).std().mul(10).round().item()
    2.0
    """
    n, g = checks.positive_integer("n", n), checks.not_negative("g", g)
    draw = torch.randn(n, n, generator=generator(seed), dtype=torch.float64)
    return g * n**-0.5 * draw


@own_arithmetic
def simulate(weight: Same, steps: int, *, seed: Seed = 0) -> Same:
    """Draw a series `[steps + 1, n]` of spins +1 and -1 that starts with all spins up.

    weight : array `[n, n]`, floating, W `[from, to]`. Returns what `weight` is (NumPy or torch).
    Raises ValueError for another shape, NaN or Inf, or steps below 1.

    >>> s = simulate(couplings(5, 1.0), 100)
    >>> tuple(s.shape), bool((s.abs() == 1).all())
    ((101, 5), True)
    """
    w = checks.tensor("weight", weight, ndim=2)
    if w.shape[0] != w.shape[1]:
        raise ValueError(f"weight: expected [n, n], found shape {tuple(w.shape)}")
    checks.positive_integer("steps", steps)
    spins = torch.ones(steps + 1, len(w), dtype=w.dtype)
    # One uniform number decides a spin: up if it is below P(+1) = (1 + tanh H) / 2.
    level = 2 * torch.rand(steps, len(w), generator=generator(seed), dtype=torch.float64) - 1
    for t in range(steps):
        up = level[t] < torch.tanh(spins[t] @ w)
        spins[t + 1] = torch.where(up, 1.0, -1.0)
    return checks.like(spins, weight)
