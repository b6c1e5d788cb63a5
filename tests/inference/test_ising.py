"""`erlib.inference.ising`: couplings of a given strength, series of a known model."""

import numpy as np
import pytest
import torch

from erlib.inference import ising


def test_couplings_have_the_strength_asked_for():
    found = ising.couplings(300, 2.0, seed=3)
    assert abs(float(found.std()) * 300**0.5 - 2) < 0.03
    assert abs(float(found.mean())) < 0.002
    assert torch.equal(found, ising.couplings(300, 2.0, seed=3))
    assert not torch.equal(found, ising.couplings(300, 2.0, seed=4))


def test_spins_follow_their_fields():
    weight = ising.couplings(3, 1.5, seed=0)
    s = ising.simulate(weight, 200_000, seed=1)
    before, after = s[:-1], s[1:]
    for state in torch.cartesian_prod(*[torch.tensor([-1.0, 1.0]).double()] * 3):
        then = after[(before == state).all(1)]
        assert len(then) > 200
        # Four standard errors of a mean of spins, or what Monte Carlo leaves of none.
        error = 4 / len(then) ** 0.5
        assert float((then.mean(0) - torch.tanh(state @ weight)).abs().max()) < error


def test_rows_go_from_and_columns_to():
    weight = np.zeros((2, 2))
    weight[0, 1] = 50.0  # spin 0 decides spin 1
    s = ising.simulate(weight, 300, seed=0)
    assert isinstance(s, np.ndarray)
    assert (s[1:, 1] == s[:-1, 0]).all()
    assert 0.3 < (s[:, 0] == 1).mean() < 0.7


def test_a_series_starts_with_all_spins_up_and_repeats():
    weight = ising.couplings(5, 1.0)
    s = ising.simulate(weight, 20, seed=7)
    assert s.shape == (21, 5) and bool((s[0] == 1).all())
    assert torch.equal(s, ising.simulate(weight, 20, seed=7))


def test_no_global_generator_is_touched():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    ising.simulate(ising.couplings(4, 1.0), 10)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ising.couplings(0, 1.0), r"^n: expected an integer >= 1"),
        (lambda: ising.couplings(3, -1.0), r"^g: expected a finite number >= 0"),
        (lambda: ising.simulate(np.zeros((2, 3)), 5), r"^weight: expected \[n, n\]"),
        (lambda: ising.simulate(np.full((2, 2), np.nan), 5), r"^weight: 4 of 4 entries are NaN"),
        (lambda: ising.simulate(np.zeros((2, 2)), 0), r"^steps: expected an integer >= 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
