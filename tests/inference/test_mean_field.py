"""Mean-field theories against their equations, solved in another way."""

import numpy as np
import pytest
from scipy import integrate, optimize

from erlib.inference import ising
from erlib.inference.mean_field import KINDS, mean_field


def series(n=6, g=0.6, length=4000):
    true = ising.couplings(n, g, seed=1).numpy()
    s = ising.simulate(true, length, seed=2)
    return true, s[:-1], s[1:]


def slopes(x, y):
    """C^-1 D of centred spins."""
    dx, dy = x - x.mean(0), y - y.mean(0)
    return np.linalg.solve(dx.T @ dx, dx.T @ dy)


def normal_mean(f):
    density = lambda z: np.exp(-z * z / 2) / np.sqrt(2 * np.pi)  # noqa: E731
    return integrate.quad(lambda z: density(z) * f(z), -9, 9)[0]


def mean_slope(m, noise):
    """Of tanh over a normal field of this width whose mean output is m."""
    field = optimize.brentq(lambda h: normal_mean(lambda z: np.tanh(h + z * noise)) - m, -5, 5)
    return normal_mean(lambda z: 1 - np.tanh(field + z * noise) ** 2)


def test_naive_divides_by_the_slope_at_the_mean_field():
    _, x, y = series()
    expected = slopes(x, y) / (1 - y.mean(0) ** 2)
    np.testing.assert_allclose(mean_field(x, y, kind="naive"), expected, rtol=1e-9)


def test_tap_solves_its_cubic():
    _, x, y = series(g=0.3)
    naive = slopes(x, y) / (1 - y.mean(0) ** 2)
    factor = 1 - naive[0] / mean_field(x, y, kind="tap")[0]  # F of each spin
    right = (1 - y.mean(0) ** 2) * ((1 - x.mean(0) ** 2) @ naive**2)
    np.testing.assert_allclose(factor * (1 - factor) ** 2, right, rtol=1e-8)
    assert (factor < 1 / 3).all()


def test_tap_stops_at_a_third_where_the_cubic_has_no_root():
    _, x, y = series(g=3.0)
    naive = mean_field(x, y, kind="naive")
    right = (1 - y.mean(0) ** 2) * ((1 - x.mean(0) ** 2) @ naive**2)
    without = right > 4 / 27
    assert without.any()
    found = mean_field(x, y, kind="tap")
    np.testing.assert_allclose(found[:, without], naive[:, without] * 1.5, rtol=1e-8)


def test_exact_is_self_consistent_for_weak_couplings():
    _, x, y = series()
    found, b, m = mean_field(x, y, kind="exact", most=200), slopes(x, y), y.mean(0)
    consistent = 0
    for i in range(len(m)):
        noise = np.sqrt((1 - x.mean(0) ** 2) @ found[:, i] ** 2)
        consistent += np.allclose(found[:, i], b[:, i] / mean_slope(m[i], noise), rtol=1e-3)
    assert consistent >= 4  # of 6: the rule to stop ends some a little earlier


def test_one_iteration_is_that_from_unit_variance():
    _, x, y = series()
    found, b, m = mean_field(x, y, kind="exact", most=1), slopes(x, y), y.mean(0)
    np.testing.assert_allclose(found[:, 0], b[:, 0] / mean_slope(m[0], 1.0), rtol=1e-6)


def test_exact_is_nearer_than_naive_where_couplings_are_strong():
    true, x, y = series(n=20, g=2.0, length=4000)
    error = {kind: np.mean((mean_field(x, y, kind=kind) - true) ** 2) for kind in KINDS}
    assert error["exact"] < 0.5 * error["tap"] < 0.5 * error["naive"]


def test_a_spin_that_never_moves_gets_no_couplings():
    _, x, y = series()
    y = y.copy()
    y[:, 2] = 1
    for kind in KINDS:
        found = mean_field(x, y, kind=kind)
        assert (found[:, 2] == 0).all() and np.isfinite(found).all()


def test_bad_input_is_named():
    _, x, y = series(length=50)
    with pytest.raises(ValueError, match=r"^kind: unknown 'bethe'"):
        mean_field(x, y, kind="bethe")
    with pytest.raises(ValueError, match=r"^observed: expected spins \+1 and -1"):
        mean_field(x, 0.5 * y)
    with pytest.raises(ValueError, match=r"^most: expected an integer >= 1"):
        mean_field(x, y, kind="exact", most=0)
