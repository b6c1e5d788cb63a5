"""The statements of notebooks 01 and 02 on a single layer: S1 to S4, S7, the first update.

References: loops over samples, quadrature-free closed forms, scipy's maximum-likelihood solution,
explicit Jacobians by finite differences. S5 and S6 are in test_gradient.py.
"""

import itertools

import numpy as np
import pytest
import references
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from references import one_thread  # noqa: F401
from scipy import optimize

from erlib import activation, reflect, regress
from erlib.activations import NAMES
from erlib.theory.implicit_loss import implicit_loss

EXAMPLES = settings(deadline=None, max_examples=60, derandomize=True)
shapes = {"n": st.integers(12, 80), "d": st.integers(1, 8), "units": st.integers(1, 4)}
seeds = st.integers(0, 2**32 - 1)


def draw(n, d, units, seed, scale=1.0):
    """Inputs, observed spins that depend on them, and start weights of any size."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * np.exp(rng.normal(size=d))
    chance = 1 / (1 + np.exp(-2 * x @ rng.normal(size=(d, units))))
    return (
        x,
        np.where(rng.random((n, units)) < chance, 1.0, -1.0),
        scale * rng.normal(size=(d, units)),
    )


def update(x, t, weight, name="tanh", **options):
    """One update without bias; new weights."""
    return regress(x, reflect(x @ weight, t, name), fit_intercept=False, **options)[0]


def relative(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


# ---------------------------------------------------------------- S1, S2


@EXAMPLES
@given(**shapes, seed=seeds, size=st.floats(-3, 3))
def test_s1_a_linear_unit_is_least_squares_after_one_update_from_any_start(n, d, units, seed, size):
    x, _, start = draw(n, d, units, seed, 10.0**size)
    t = np.random.default_rng(seed).normal(size=(n, units))
    assume(np.linalg.cond(np.hstack([x, np.ones((n, 1))])) < 100)
    found = np.vstack(
        [part.reshape(-1, units) for part in regress(x, reflect(x @ start, t, "identity"))]
    )
    wanted = np.vstack([part.reshape(-1, units) for part in references.least_squares(x, t)])
    # the start cancels in h + (t - h), to the rounding of the start
    assert relative(found, wanted) < 1e-12 * max(1, 10.0**size)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "identity"])
def test_s1_holds_for_no_other_unit(name):
    x, t, start = draw(60, 4, 2, 0)
    ends = [update(x, t, weight, name) for weight in (start, start[::-1])]
    assert relative(*ends) > 1e-2, "the start matters"


@pytest.mark.parametrize("name", NAMES)
@EXAMPLES
@given(**shapes, seed=seeds)
def test_s2_it_is_a_unit_step_whitened_by_the_inputs(name, n, d, units, seed):
    x, t, weight = draw(n, d, units, seed)
    assume(np.linalg.cond(x) < 100)
    step, correlation = np.zeros_like(weight), np.zeros((d, d))
    for row, target in zip(x, t):  # sample by sample, from the definition of the ratio
        h = row @ weight
        factors = [references.ratio(entry, name) for entry in h]
        step += np.outer(row, factors * (target - references.output(h, name)))
        correlation += np.outer(row, row)
    wanted = weight + np.linalg.solve(correlation, step)
    assert relative(update(x, t, weight, name), wanted) < 1e-9


# ---------------------------------------------------------------- S3


def losses(x, t, weight, count, name="tanh", ridge=0.0):
    """Sum over samples of the implicit loss, with the penalty, before and after each update."""
    found = []
    for step in range(count + 1):
        weight = update(x, t, weight, name, ridge=ridge) if step else weight
        strength = ridge * np.mean(np.sum(x**2, 0))
        penalty = strength / 2 * np.sum(weight**2, 0)
        found.append(implicit_loss(x @ weight, t, name).sum(0) + penalty)
    return np.array(found)


def rises(found):
    """How many updates of a unit raised its loss by more than rounding."""
    return int((found[1:] > found[:-1] + 1e-12 * (1 + abs(found[:-1]))).sum())


@pytest.mark.slow
@pytest.mark.parametrize("ridge", [0.0, 0.3], ids="ridge={}".format)
@pytest.mark.parametrize("name", ["tanh", "erf", "softsign", "identity"])
def test_s3_no_update_raises_the_implicit_loss(name, ridge):
    updates = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n, d = rng.integers(5, 150), rng.integers(1, 15)
        x, t, start = draw(n, d, 5, seed, np.exp(2 * rng.normal()))
        found = losses(x, t, start, 8, name, ridge)
        updates += found[1:].size
        assert rises(found) == 0
    assert updates == 1600  # of single units; 12,800 in all cases of this test


@EXAMPLES
@given(**shapes, seed=seeds, size=st.floats(-3, 3), target=st.floats(0, 1))
def test_s3_for_targets_within_the_range_of_tanh(n, d, units, seed, size, target):
    x, t, start = draw(n, d, units, seed, 10.0**size)
    assert rises(losses(x, target * t, start, 4)) == 0


def trap(target, name="tanh"):
    """500 weak inputs, and a strong one of the other sign, which decides the curvature."""
    x = np.vstack([np.full((500, 1), 0.02), [[-3.0]]])
    return losses(x, np.full_like(x, target), np.ones((1, 1)), 12, name)


def test_s3_targets_out_of_range_can_raise_it():
    assert rises(trap(1.0)) == 0
    assert rises(trap(1.5)) > 3
    # curvature is 1 - t g': with t = 1.5 up to 2.5
    h = np.array([-9.0, -8.999, -8.998])
    second = np.diff(implicit_loss(h, np.full(3, 1.5)), n=2)[0] / 1e-6
    assert second == pytest.approx(2.5, abs=1e-3)


def test_s3_a_jump_of_the_ratio_can_raise_it():
    found = losses(np.ones((1, 1)), np.ones((1, 1)), np.full((1, 1), -0.1), 2, "leaky_relu")
    assert found[:, 0] == pytest.approx([0.005 + 10, 5000 - 100, -0.5])  # h = -0.1, 100, 1


def test_s3_the_curvature_of_tanh_stays_between_0_and_2():
    h = np.concatenate([-np.logspace(-3, 1, 200)[::-1], np.logspace(-3, 1, 200)])
    step = 1e-3 * np.maximum(1, abs(h))
    for target in (-1.0, 1.0):
        t = np.full_like(h, target)
        second = sum(
            factor * implicit_loss(h + shift * step, t)
            for factor, shift in ((1, 1), (-2, 0), (1, -1))
        )
        curvature = second / step**2
        assert curvature.min() > -1e-6 and curvature.max() < 2 + 1e-6
        assert curvature[h * target < -5].min() > 1.9, "near 2 where it is wrong and confident"


# ---------------------------------------------------------------- S4


GRID = np.concatenate([-np.logspace(-3, 1.4, 500)[::-1], np.logspace(-3, 1.4, 500)])


@pytest.mark.parametrize("name", ["tanh", "erf", "softsign", "identity", "leaky_relu"])
def test_s4_the_ratio_is_the_inverse_slope_somewhere_between(name):
    """Intermediate values: 1/g lies between the smallest and the largest slope from 0 to h."""
    grid = GRID[abs(GRID) < 20]
    factor = activation(name).factor(torch.tensor(grid)).numpy()
    for h, g in zip(grid, factor):
        slopes = [references.SLOPE[name](h * part) for part in np.linspace(1e-9, 1 - 1e-9, 400)]
        assert min(slopes) * (1 - 1e-12) <= 1 / g <= max(slopes) * (1 + 1e-12)


def test_s4_for_tanh_the_place_is_known():
    g = activation("tanh").factor(torch.tensor(GRID)).numpy()
    place = np.arccosh(np.sqrt(g))  # cosh^2 = 1 / slope
    inside = place[abs(GRID) > 1e-2]
    assert (inside > 0).all() and (inside < abs(GRID[abs(GRID) > 1e-2])).all()


def test_s4_fails_where_f_is_flat_and_where_f_0_is_not_0():
    assert references.SLOPE["relu"](-2.0) == 0 and references.ratio(-2.0, "relu") == 0
    h = -2.0
    logistic = 1 / (1 + np.exp(-h))
    assert h / logistic < 0 < 4, "every inverse slope of the logistic function is at least 4"


@pytest.mark.parametrize("name", ["tanh", "erf", "softsign"])
def test_s4_the_ratio_lies_between_the_inverse_slopes_at_0_and_at_h(name):
    for h in np.linspace(-5, 5, 101):
        g, slope = references.ratio(h, name), references.SLOPE[name]
        assert 1 / slope(0.0) * (1 - 1e-12) <= g <= 1 / slope(h) * (1 + 1e-12)


@EXAMPLES
@given(h=st.floats(-50, 50).filter(bool), size=st.floats(0.01, 100))
def test_s4_piecewise_linear_units_are_inverted_exactly_while_signs_agree(h, size):
    target = references.OUTPUT["leaky_relu"](h) * size
    inverse = target if target > 0 else target / 0.01
    found = reflect(np.array([h]), np.array([target]), "leaky_relu")[0]
    assert found == pytest.approx(inverse, rel=1e-9)


# ---------------------------------------------------------------- where the ratio comes from


@EXAMPLES
@given(h=st.floats(-15, 15).filter(lambda h: abs(h) > 1e-3), u=st.floats(-15, 15))
def test_the_ratio_minimises_a_bound_of_the_free_energy(h, u):
    def energy(u):
        return np.logaddexp(u, -u)

    g = h / np.tanh(h)

    def bound(u):
        return energy(h) + (u**2 - h**2) / (2 * g)

    assert bound(u) >= energy(u) - 1e-12
    assert bound(h) == energy(h) and bound(-h) == pytest.approx(energy(-h), rel=1e-15)
    for t in (-1.0, 1.0):
        star = reflect(np.array([h]), np.array([t]))[0]
        assert all(bound(star) - t * star <= bound(v) - t * v + 1e-12 for v in (u, h, star + 0.1))
        assert energy(star) - t * star <= energy(h) - t * h + 1e-12


def test_the_regression_is_the_linear_response_of_the_free_energy():
    rng = np.random.default_rng(0)
    x, h = rng.normal(size=(40, 3)), rng.normal(size=40)

    def free_energy(source, beta):
        return np.log(np.mean(np.exp(x @ source - beta * h)))

    # Second derivatives at 0 by finite differences: d2F/dJdJ = <dx dx>, d2F/dJdbeta = -<dx dh>.
    step, eye = 1e-3, np.eye(3)

    def second(one, other):
        signs = itertools.product((1, -1), repeat=2)
        return sum(a * b * free_energy(*(step * (a * one + b * other))[0]) for a, b in signs) / (
            4 * step**2
        )

    def point(source, beta):
        return np.array([(source, beta)], dtype=object)

    matrix = [[second(point(one, 0.0), point(other, 0.0)) for other in eye] for one in eye]
    cross = [-second(point(one, 0.0), point(np.zeros(3), 1.0)) for one in eye]
    weight, _ = regress(x, h[:, None])
    np.testing.assert_allclose(np.linalg.solve(matrix, cross), weight[:, 0], rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------- S7


def one(h):
    return np.ones_like(h)


def slope(h):
    return 1 / np.cosh(h) ** 2


FAMILY = {  # target, weight of a sample in the regression
    "least squares": (lambda h, t: t, one),
    "boehning": (lambda h, t: h + t - np.tanh(h), one),
    "er": (reflect, one),
    "weighted er": (reflect, lambda h: np.tanh(h) / h if h.all() else one(h)),
    "newton": (lambda h, t: h + (t - np.tanh(h)) / slope(h), slope),
}


def step_of(method, x, t, weight):
    target, of_sample = FAMILY[method]
    h = x @ weight
    return regress(x, target(h, t), sample_weight=of_sample(h)[:, 0], fit_intercept=False)[0]


def fixed_point(method, x, t, most=5000):
    weight = np.zeros((x.shape[1], 1))
    for _ in range(most):
        weight, before = step_of(method, x, t, weight), weight
        if np.linalg.norm(weight - before) < 1e-14 * np.linalg.norm(weight):
            break
    return weight


def maximum_likelihood(x, t):
    def score(w):
        return x.T @ (t[:, 0] - np.tanh(x @ w)) / len(t)

    def loss(w):
        return np.logaddexp(0, -2 * t[:, 0] * (x @ w)).mean()

    near = optimize.minimize(loss, np.zeros(x.shape[1]), jac=lambda w: -score(w), method="BFGS").x
    return optimize.root(score, near, tol=1e-14).x[:, None]


def overlapping(seed, scale=1.0, n=300, d=4):
    """Spins from the model, not separable."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    chance = 1 / (1 + np.exp(-2 * scale * x @ rng.normal(size=(d, 1)) / d**0.5))
    return x, np.where(rng.random((n, 1)) < chance, 1.0, -1.0)


@pytest.mark.parametrize("seed", range(4))
def test_s7_where_each_method_stops(seed):
    x, t = overlapping(seed)
    best = maximum_likelihood(x, t)
    assert np.linalg.norm(x.T @ (t - np.tanh(x @ best))) < 1e-10
    for method in ("boehning", "weighted er", "newton"):
        assert relative(fixed_point(method, x, t), best) < 1e-8
    plain = fixed_point("er", x, t)
    assert 1e-4 < relative(plain, best) < 0.3, "ER stops beside it ..."
    h = x @ plain
    np.testing.assert_allclose(x.T @ (h / np.tanh(h) * (t - np.tanh(h))), 0, atol=1e-8)
    squares = np.linalg.lstsq(x, t)[0]
    assert relative(fixed_point("least squares", x, t), squares) < 1e-12


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("method", ["boehning", "er", "weighted er"])
def test_s7_errors_shrink_by_the_predicted_factor(method, scale):
    x, t = overlapping(1, scale, n=600)
    end = fixed_point(method, x, t)
    h = x @ end
    g = h / np.tanh(h)
    slope_of_g = 1 / np.tanh(h) - h / np.sinh(h) ** 2
    if method == "er":
        jacobian = np.linalg.solve(x.T @ x, x.T @ (t * slope_of_g * x))
    else:
        metric = x.T @ x if method == "boehning" else x.T @ (x / g)
        jacobian = np.eye(4) - np.linalg.solve(metric, x.T @ (slope(h) * x))
    # The table's formula is the derivative of the update, by finite differences ...
    shifts = 1e-6 * np.eye(4)
    numeric = [
        (step_of(method, x, t, end + s[:, None]) - step_of(method, x, t, end - s[:, None])) / 2e-6
        for s in shifts
    ]
    np.testing.assert_allclose(np.hstack(numeric), jacobian, atol=1e-6)
    # ... and what is measured from afar ends at its largest eigenvalue.
    weight, sizes = np.zeros((4, 1)), []
    for _ in range(2000):
        weight, before = step_of(method, x, t, weight), weight
        sizes.append(np.linalg.norm(weight - before))
        if sizes[-1] < 1e-9 * sizes[0]:
            break
    measured = (sizes[-1] / sizes[-5]) ** (1 / 4)
    assert measured == pytest.approx(abs(np.linalg.eigvals(jacobian)).max(), rel=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_s7_the_assumed_curvatures_are_ordered_and_likelihood_never_falls(seed):
    """1 >= 1/g >= slope: Boehning and weighted ER bound the free energy, so they only climb."""
    h = np.linspace(-8, 8, 400)
    assert (np.tanh(h) / h <= 1).all() and (np.tanh(h) / h >= slope(h)).all()
    x, t = overlapping(seed, 2.0)
    for method in ("boehning", "weighted er"):
        weight = np.random.default_rng(seed).normal(size=(4, 1)) * 5
        values = []
        for _ in range(40):
            values.append(-np.logaddexp(0, -2 * t * (x @ weight)).sum())
            weight = step_of(method, x, t, weight)
        assert (np.diff(values) > -1e-9).all()


def test_s7_the_factor_along_the_true_weights_for_gaussian_inputs():
    """<z^2 (1 - 2H / sinh 2H)>, H = s z: the population value that a large sample approaches."""
    rng = np.random.default_rng(0)
    scale, n = 1.0, 200_000
    x = rng.normal(size=(n, 2))
    h = scale * x[:, :1]
    t = np.where(rng.random((n, 1)) < 1 / (1 + np.exp(-2 * h)), 1.0, -1.0)
    slope_of_g = 1 / np.tanh(h) - h / np.sinh(h) ** 2
    jacobian = np.linalg.solve(x.T @ x, x.T @ (t * slope_of_g * x))
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    shrink = 1 - 2 * scale * nodes / np.sinh(2 * scale * nodes)
    along = (weights * nodes**2 * shrink).sum() / weights.sum()
    across = (weights * shrink).sum() / weights.sum()
    np.testing.assert_allclose(np.diag(jacobian), [along, across], atol=0.02)


# ---------------------------------------------------------------- the first update


@pytest.mark.slow
@EXAMPLES
@given(seed=seeds, scale=st.floats(0.05, 3))
def test_the_error_of_the_first_update_is_bounded_by_the_largest_field(seed, scale):
    x, t = overlapping(seed, scale, n=80, d=3)
    end = fixed_point("er", x, t, most=400)
    last = step_of("er", x, t, end)
    assume(relative(last, end) < 1e-10)  # not separable: there is a fixed point
    first, fields = x @ step_of("er", x, t, np.zeros((3, 1))), x @ end
    largest = abs(fields).max()
    bound = 1 / np.tanh(largest) - largest / np.sinh(largest) ** 2
    assert np.linalg.norm(first - fields) <= bound * np.linalg.norm(fields) + 1e-12
    assert bound < 2 / 3 * largest


def test_for_gaussian_inputs_the_first_update_points_in_the_right_direction():
    rng = np.random.default_rng(0)
    x, true = rng.normal(size=(400_000, 5)), rng.normal(size=(5, 1))
    for scale in (0.5, 4.0):
        h = x @ (scale * true)
        t = np.where(rng.random(h.shape) < 1 / (1 + np.exp(-2 * h)), 1.0, -1.0)
        first, _ = regress(x, reflect(np.zeros_like(t), t), fit_intercept=False)
        cosine = (first * true).sum() / np.linalg.norm(first) / np.linalg.norm(true)
        assert cosine > 0.9999
        assert np.linalg.norm(first) < 0.9 * scale * np.linalg.norm(true), "but it is too short"
