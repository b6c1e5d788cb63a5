r"""Hidden spins of a kinetic Ising network: Expectation Reflection inside a sampler.

Some spins of the network are never seen. Their series are guessed, the couplings inferred from all
series, the guesses drawn anew given the couplings, and so on:

1. *reflect, regress*: W of all spins, by single-layer ER with its rule to stop;
2. each hidden spin in turn flips with the probability that flipping has given all other spins,

.. math:: P[\text{flip } s_h(t)] = \frac{\mathcal L_\text{flipped}}{\mathcal L + \mathcal
          L_\text{flipped}}, \qquad \mathcal L = P[s_h(t) \mid s(t-1)]
          \prod_i P[s_i(t+1) \mid s(t)].

Spins at times t and t + 2 do not meet in any of these factors, so all even times are drawn at once,
then all odd ones.

Source: Hoang, Jo and Periwal, Phys. Rev. E 99, 042114 (2019), who go through the times one by one.
"""

from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment

from .. import checks
from ..arithmetic import own_arithmetic
from ..batches import Seed, generator
from ..checks import Array
from ..progress import progress
from ..single_layer import single_layer_fit


class HiddenSpins(NamedTuple):
    """What `infer_hidden` found, as tensors.

    `spins` `[steps + 1, hidden]`; `weight` `[n, n]`, W `[from, to]` of all spins, hidden ones last;
    `discrepancy`, of each sweep :math:`(n / n_{obs}) \\sum_{i\\,observed} \\langle (s_i - \\tanh
    H_i)^2 \\rangle`, which is smallest where `hidden` is the true number.
    """

    spins: torch.Tensor
    weight: torch.Tensor
    discrepancy: list


@own_arithmetic
@torch.no_grad()
def infer_hidden(
    observed: Array, hidden: int, *, sweeps: int = 100, updates: int = 300, seed: Seed = 0
) -> HiddenSpins:
    """Infer the series of `hidden` unseen spins and all couplings; see the module.

    observed : array `[steps + 1, n_obs]` of +1 and -1, floating. hidden : int >= 1. sweeps : int,
    how often couplings and hidden spins are renewed. updates : the most that ER makes in each.
    The hidden spins are named in any order, and known up to a sign each (`recovery`).
    Raises ValueError for other arrays and numbers.

    >>> from erlib.inference import ising
    >>> s = ising.simulate(ising.couplings(8, 3.0, seed=1), 600)
    >>> found = infer_hidden(s[:, :7], 1, sweeps=20)
    >>> recovery(found.spins, s[:, 7:]) > 0.8
    True
    """
    seen = checks.tensor("observed", observed, ndim=2).double()
    if len(seen) < 2 or not bool((seen.abs() == 1).all()):
        raise ValueError("observed: expected a series of at least two rows of +1 and -1")
    hidden = checks.positive_integer("hidden", hidden)
    checks.positive_integer("sweeps", sweeps)
    random = generator(seed)
    n_obs = seen.shape[1]
    guess = torch.rand(len(seen), hidden, generator=random, dtype=torch.float64) < 0.5
    spins = torch.cat([seen, torch.where(guess, 1.0, -1.0).double()], dim=1)
    discrepancies = []
    for _ in progress(range(sweeps), f"{hidden} hidden spins"):
        weight = _couplings(spins, updates)
        left = spins[1:] - torch.tanh(spins[:-1] @ weight)
        per_spin = left[:, :n_obs].square().mean(0).sum() / n_obs
        discrepancies.append(float(per_spin * spins.shape[1]))
        for parity in (0, 1):
            for unit in range(n_obs, spins.shape[1]):
                _draw(spins, weight, unit, parity, random)
    return HiddenSpins(spins[:, n_obs:].clone(), _couplings(spins, updates), discrepancies)


@own_arithmetic
def recovery(found: Array, true: Array) -> float:
    """Share of right spins `[steps, hidden]` under the best naming and sign of the hidden units.

    Guessing gives more than one half, as the signs are chosen afterwards. Raises ValueError if the
    arrays are not of one shape.
    """
    found, true = (checks.tensor(n, v, ndim=2) for n, v in (("found", found), ("true", true)))
    checks.same_shape("found", found, "true", true)
    agreement = (found.double().T @ true.double()).abs() / len(found)  # 1: all spins, or none
    rows, columns = linear_sum_assignment(-agreement.numpy())
    return float((1 + agreement[rows, columns].mean()) / 2)


def _couplings(spins, updates):
    fit = single_layer_fit(spins[:-1], spins[1:], updates=updates, fit_intercept=False)
    return fit.weight


def _draw(spins, weight, unit, parity, random):
    """Draw one hidden spin anew at all times of one parity, in place."""
    now = spins[parity::2]
    value = now[:, unit]
    gain = torch.zeros(len(now), dtype=torch.float64)  # log likelihood, flipped minus as it is
    first = 1 - parity  # nothing comes before time 0
    from_before = spins[1 - parity :: 2] @ weight[:, unit]
    gain[first:] -= 2 * value[first:] * from_before[: len(now) - first]
    after = spins[parity + 1 :: 2]
    field = now[: len(after)] @ weight
    flipped = field - 2 * torch.outer(value[: len(after)], weight[unit])
    gain[: len(after)] += (_log_likelihood(after, flipped) - _log_likelihood(after, field)).sum(1)
    draw = torch.rand(len(now), generator=random, dtype=torch.float64)
    now[:, unit] = torch.where(draw < torch.sigmoid(gain), -value, value)


def _log_likelihood(spins, fields):
    return -torch.nn.functional.softplus(-2 * spins * fields)
