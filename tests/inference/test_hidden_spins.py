"""Hidden spins: the flips against the whole likelihood, and spins that are found again."""

import numpy as np
import pytest
import torch

from erlib.inference import hidden_spins, ising
from erlib.inference.hidden_spins import infer_hidden, recovery


def log_likelihood(spins, weight):
    """Of a whole series given its first state, by the definition."""
    total = 0.0
    for before, after in zip(spins[:-1].numpy(), spins[1:].numpy()):
        h = before @ weight.numpy()
        total += float((after * h - np.log(2 * np.cosh(h))).sum())
    return total


@pytest.mark.parametrize("length", [6, 7])
@pytest.mark.parametrize("parity", [0, 1])
def test_flips_have_the_probabilities_of_the_whole_likelihood(monkeypatch, length, parity):
    weight = ising.couplings(4, 1.5, seed=2)
    spins = ising.simulate(weight, length - 1, seed=3)
    asked = []
    monkeypatch.setattr(
        torch, "sigmoid", lambda gain: asked.append(gain.clone()) or torch.zeros_like(gain)
    )
    hidden_spins._draw(spins.clone(), weight, 2, parity, torch.Generator().manual_seed(0))
    expected = []
    for t in range(parity, length, 2):
        flipped = spins.clone()
        flipped[t, 2] *= -1
        expected.append(log_likelihood(flipped, weight) - log_likelihood(spins, weight))
    np.testing.assert_allclose(asked[0].numpy(), expected, rtol=1e-10, atol=1e-10)


def test_a_draw_changes_one_spin_at_times_of_one_parity_only():
    weight = ising.couplings(4, 0.1, seed=2)
    spins = ising.simulate(weight, 40, seed=3)
    drawn = spins.clone()
    hidden_spins._draw(drawn, weight, 1, 0, torch.Generator().manual_seed(0))
    changed = (drawn != spins).nonzero()
    assert len(changed) > 5  # weak couplings: about half of the 21
    assert bool((changed[:, 1] == 1).all()) and bool((changed[:, 0] % 2 == 0).all())


@pytest.mark.slow
def test_a_hidden_spin_is_found_again_and_guesses_are_not():
    s = ising.simulate(ising.couplings(8, 3.0, seed=4), 800)
    found = infer_hidden(s[:, :7], 1, sweeps=25, seed=0)
    assert found.spins.shape == (801, 1) and found.weight.shape == (8, 8)
    assert recovery(found.spins, s[:, 7:]) > 0.85
    guess = torch.where(torch.rand(801, 1, generator=torch.Generator().manual_seed(1)) < 0.5, 1, -1)
    assert recovery(guess.double(), s[:, 7:]) < 0.6
    assert found.discrepancy[-1] < 0.75 * found.discrepancy[0]


def test_recovery_does_not_mind_names_and_signs():
    true = ising.simulate(ising.couplings(3, 1.0), 100)
    assert recovery(-true[:, [2, 0, 1]], true) == 1
    wrong = true.clone()
    wrong[:10, 0] *= -1
    assert recovery(wrong, true) == pytest.approx(1 - 10 / 101 / 3)


@pytest.mark.parametrize(
    ("observed", "hidden", "sweeps", "message"),
    [
        (np.zeros((5, 2)), 1, 1, r"^observed: expected a series"),
        (np.ones((1, 2)), 1, 1, r"^observed: expected a series"),
        (np.ones((5, 2)), 0, 1, r"^hidden: expected an integer >= 1"),
        (np.ones((5, 2)), 1, 0, r"^sweeps: expected an integer >= 1"),
    ],
)
def test_bad_input_is_named(observed, hidden, sweeps, message):
    with pytest.raises(ValueError, match=message):
        infer_hidden(observed, hidden, sweeps=sweeps)
