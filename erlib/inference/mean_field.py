r"""Couplings of a kinetic Ising network from mean-field theory: naive, TAP and exact.

All three start from the regression slopes B `[d_in, d_out]` of the next spins on the spins, B =
C^-1 D in the correlations C at equal times and D between successive ones, and divide those into
each spin by a number, the mean slope of its tanh:

.. math:: W_{ji} = B_{ji} / a_i.
"""

import math

import torch

from .. import checks
from ..arithmetic import own_arithmetic
from ..checks import Same
from ..regress import regress

#: The names that `kind` takes.
KINDS = ("naive", "tap", "exact")
# A grid for averages over a standard normal number: for smooth functions the trapezoidal rule is
# exact to rounding long before its step is this small.
_GRID = torch.linspace(-8, 8, 161, dtype=torch.float64)
_NORMAL = torch.exp(-_GRID.square() / 2) / math.sqrt(2 * math.pi) * (_GRID[1] - _GRID[0])


@own_arithmetic
def mean_field(x: Same, observed: Same, *, kind: str = "naive", most: int = 100) -> Same:
    r"""Return W `[d_in, d_out]` from inputs x `[n, d_in]` and the spins that follow `[n, d_out]`.

    With magnetisations m of the following spins, :math:`\mu` of the inputs:

    * ``naive``: :math:`a_i = 1 - m_i^2`, the slope at the mean field.
    * ``tap``: :math:`a_i = (1 - m_i^2)(1 - F_i)`, where :math:`F(1 - F)^2 = (1 - m_i^2) \sum_j
      W_{ji}^2 (1 - \mu_j^2)` with the naive W; the root below 1/3, or 1/3 where there is none.
    * ``exact``: :math:`a_i = \langle 1 - \tanh^2(H_i + z \sqrt{\Delta_i}) \rangle` over a normal z,
      where :math:`\Delta_i = \sum_j W_{ji}^2 (1 - \mu_j^2)` and :math:`m_i = \langle \tanh(H_i + z
      \sqrt{\Delta_i}) \rangle`, iterated from :math:`\Delta_i = 1`. For strong couplings there need
      not be a self-consistent solution: at most `most` times, each spin until its training
      discrepancy :math:`\langle (s - \tanh \sum_j s_j W_{ji})^2 \rangle` rises, whose W is not
      taken. ``most=1`` is what the code of Hoang et al. (2019) computes under this name: its
      discrepancies begin at 0, so that the first iteration is the last.

    Spins that never change have no slope; their couplings are 0. Raises ValueError for arrays that
    `erlib.regress` refuses, values other than +1 and -1, or an unknown kind.

    Source: Roudi and Hertz, Phys. Rev. Lett. 106, 048702 (2011); Mezard and Sakellariou, J. Stat.
    Mech. L07001 (2011); the start and the rule to stop, Hoang et al. (2019).

    >>> from erlib.inference import ising
    >>> true = ising.couplings(10, 0.3)
    >>> s = ising.simulate(true, 20000)
    >>> found = mean_field(s[:-1], s[1:], kind="exact")
    >>> (found - true).square().mean().item() < 1e-3
    True
    """
    checks.choice("kind", kind, KINDS)
    checks.positive_integer("most", most)
    found, _ = regress(x, observed)
    slopes = torch.as_tensor(found).double()
    inputs, spins = (torch.as_tensor(part).double() for part in (x, observed))
    for name, part in (("x", inputs), ("observed", spins)):
        if not bool((part.abs() == 1).all()):
            raise ValueError(f"{name}: expected spins +1 and -1")
    free, m = 1 - inputs.mean(0).square(), spins.mean(0)
    moves = m.abs() < 1
    slope = torch.where(moves, 1 - m.square(), 1)
    weight = torch.where(moves, slopes / slope, 0)
    if kind == "tap":
        weight = weight / (1 - _onsager(slope * (free @ weight.square())))
    if kind == "exact":
        weight = _self_consistent(slopes, m, free, inputs, spins, moves, most)
    return checks.like(weight, x)


def _onsager(value):
    """The root F <= 1/3 of F (1 - F)^2 = value; 1/3 where the left side never gets there."""
    low, high = torch.zeros_like(value), torch.full_like(value, 1 / 3)
    return _bisected(low, high, lambda f: f * (1 - f).square() < value, 60)[1]


def _self_consistent(slopes, m, free, inputs, spins, active, most):
    weight = torch.zeros_like(slopes)
    variance = torch.ones_like(m)
    best = torch.full_like(m, torch.inf)
    for _ in range(most):
        noise = variance.sqrt()
        field = _mean_field_of(m, noise)
        mean_slope = (1 - torch.tanh(field + _GRID[:, None] * noise).square()).T @ _NORMAL
        new = torch.where(active, slopes / mean_slope, weight)
        discrepancy = (spins - torch.tanh(inputs @ new)).square().mean(0)
        active = active & (discrepancy < best)
        if not bool(active.any()):
            break
        weight, best = torch.where(active, new, weight), torch.where(active, discrepancy, best)
        variance = free @ weight.square()
    return weight


def _mean_field_of(m, noise):
    """The field H at which the mean of tanh(H + z noise) is m, by bisection."""
    reach = 20 + 8 * noise
    low, high = _bisected(
        -reach, reach, lambda h: torch.tanh(h + _GRID[:, None] * noise).T @ _NORMAL < m, 50
    )
    return (low + high) / 2


def _bisected(low, high, below, steps):
    """Where `below` ends being true: the bounds halved so many times."""
    for _ in range(steps):
        middle = (low + high) / 2
        yes = below(middle)
        low, high = torch.where(yes, middle, low), torch.where(yes, high, middle)
    return low, high
