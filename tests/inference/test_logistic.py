"""Maximum likelihood against its own equations, and the choice of the penalty."""

import numpy as np
import pytest

from erlib.inference import ising
from erlib.inference.logistic import PENALTIES, maximum_likelihood


def series(n=5, g=1.0, length=1500):
    true = ising.couplings(n, g, seed=1).numpy()
    s = ising.simulate(true, length, seed=2)
    return true, s[:-1], s[1:]


@pytest.mark.parametrize("penalty", [0, 3.0])
def test_the_score_vanishes(penalty):
    _, x, y = series()
    w = maximum_likelihood(x, y, penalty=penalty)
    # Derivative of sum log(1 + exp(-2 t h)) + penalty/2 |w|^2: -x'(t - tanh h) + penalty w.
    score = -x.T @ (y - np.tanh(x @ w)) + penalty * w
    assert np.abs(score).max() < 1e-2  # of a sum over 1,500 samples
    other = w + 0.01
    assert np.abs(-x.T @ (y - np.tanh(x @ other)) + penalty * other).max() > 1


def test_of_several_penalties_all_units_take_one_and_it_is_a_good_one():
    true, x, y = series(n=12, g=2.0, length=150)
    chosen = maximum_likelihood(x, y, penalty="cv")
    each = {p: maximum_likelihood(x, y, penalty=p) for p in PENALTIES}
    same = [p for p, w in each.items() if np.allclose(chosen, w, atol=1e-6)]
    assert len(same) == 1
    error = {p: np.mean((w - true) ** 2) for p, w in each.items()}
    assert error[same[0]] < 1.5 * min(error.values())
    assert error[same[0]] < 0.5 * max(error.values())


def test_judges_decide():
    _, x, y = series(n=6, g=2.0, length=120)
    y = y.copy()
    y[:, 0] = np.sign(x[:, 0] + 0.1)  # one unit is noise-free: it wants no penalty
    alone = maximum_likelihood(x, y, penalty=(0.5, 64.0), judges=1, folds=3)
    assert np.allclose(alone, maximum_likelihood(x, y, penalty=0.5), atol=1e-6)


def test_bad_input_is_named():
    _, x, y = series(length=60)
    with pytest.raises(ValueError, match=r"^observed: expected \+1 and -1"):
        maximum_likelihood(x, 0 * y)
    with pytest.raises(ValueError, match=r"^observed: expected \+1 and -1, and both"):
        maximum_likelihood(x, np.ones_like(y))
    with pytest.raises(ValueError, match=r"^observed: 10 samples \(rows\), x has 60"):
        maximum_likelihood(x, y[:10])
    with pytest.raises(ValueError, match=r"^penalty: expected a finite number >= 0"):
        maximum_likelihood(x, y, penalty=-1.0)
    with pytest.raises(ValueError, match=r"^penalty: unknown 'best'"):
        maximum_likelihood(x, y, penalty="best")
