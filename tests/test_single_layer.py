"""`single_layer_fit` against a loop over units and samples with numpy.linalg.lstsq."""

import itertools
import sys

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from references import (  # noqa: F401
    RATIO_AT_0,
    SLOPE,
    least_squares,
    one_thread,
    output,
    ratio,
    ratio_field,
)

from erlib.single_layer import RULES, STOPS, single_layer_fit

EXAMPLES = settings(deadline=None, max_examples=25, derandomize=True)
seeds = st.integers(0, 2**32 - 1)
each_rule = pytest.mark.parametrize("rule", RULES)
each_activation = pytest.mark.parametrize(
    "activation", ["tanh", "erf", "softsign", "identity", "leaky_relu"]
)
with_and_without_intercept = pytest.mark.parametrize(
    "fit_intercept", [True, False], ids=["intercept", "no intercept"]
)
SLOPES = {**SLOPE, "leaky_relu": lambda h: 1.0 if h >= 0 else 0.01}
LIKELIEST = ("weighted_er", "boehning", "newton")  # the rules that settle at maximum likelihood


def problem(n=40, d_in=3, d_out=2, seed=0, activation="tanh"):
    """Inputs of unlike scales and means, noisy outputs of a layer, weights of samples."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d_in)) * rng.uniform(0.5, 2, d_in) + rng.normal(size=d_in)
    h = x @ rng.normal(size=(d_in, d_out)) / 3 + 0.7 * rng.normal(size=(n, d_out))
    return x, output(h, activation), rng.uniform(0.2, 2, n)


def classes(n=200, d_in=3, d_out=2, seed=0):
    """Inputs and outputs +1 and -1 that overlap."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d_in)) + rng.normal(size=d_in) / 2
    h = x @ rng.normal(size=(d_in, d_out)) / 2 + rng.normal(size=d_out) / 3
    return x, np.where(rng.random((n, d_out)) < 1 / (1 + np.exp(-2 * h)), 1.0, -1.0)


def one_target(rule, name, h, t):
    """Target and weight of one sample, in the forms of the table."""
    at_zero, m, slope = 1 / SLOPES[name](0.0), output(h, name), SLOPES[name](h)
    reflected = float(ratio_field(h, t, name))
    return {
        "least_squares": lambda: (at_zero * t, 1),
        "boehning": lambda: (h + at_zero * (t - m), 1),
        "er": lambda: (reflected, 1),
        "weighted_er": lambda: (reflected, at_zero / ratio(h, name)),
        "newton": lambda: (h + (t - m) / slope, slope * at_zero),
    }[rule]()


def reference(
    x, observed, rule="er", activation="tanh", ridge=0.0, updates=100, stop=None, weights=None,
    fit_intercept=True, start=None,
):  # fmt: skip
    """One unit after the other: weight and bias, number of updates, and its discrepancies."""
    weights = np.ones(len(x)) if weights is None else weights
    found = []
    for unit, t in enumerate(observed.T):
        w, b = (np.zeros(x.shape[1]), 0.0) if start is None else (start[0][:, unit], start[1][unit])
        h, discrepancies = x @ w + b, []
        for _ in range(updates):
            pairs = [one_target(rule, activation, *sample) for sample in zip(h, t)]
            target, omega = np.array(pairs, dtype=float).T
            w, b = least_squares(x, target[:, None], ridge, omega * weights, fit_intercept)
            before, h = h, (x @ w + b)[:, 0]
            discrepancies.append(weights @ (t - output(h, activation)) ** 2 / sum(weights))
            if stop == "discrepancy" and len(discrepancies) > 1:
                if discrepancies[-1] >= discrepancies[-2]:
                    break
            if stop == "settled" and np.linalg.norm(h - before) <= 1e-8 * np.linalg.norm(h):
                break
        found.append((w[:, 0], b[0], discrepancies))
    return found


def assert_same(found, wanted, rtol=1e-10):
    """Weights and bias agree relative to the largest of each."""
    for one, other in zip(found[:2], wanted[:2]):
        one, other = np.asarray(one), np.asarray(other)
        np.testing.assert_allclose(one, other, rtol=0, atol=rtol * max(abs(other).max(), 1e-300))


def assert_is_reference(found, wanted, rtol=1e-8):
    assert_same(found, (np.stack([w for w, _, _ in wanted], 1), [b for _, b, _ in wanted]), rtol)
    assert found.updates.tolist() == [len(each) for _, _, each in wanted]
    assert len(found.discrepancy) == max(found.updates)
    for unit, (_, _, each) in enumerate(wanted):
        stays = each + [each[-1]] * (len(found.discrepancy) - len(each))
        np.testing.assert_allclose([d[unit] for d in found.discrepancy], stays, rtol=rtol)


# ---------------------------------------------------------------- the updates


@with_and_without_intercept
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@each_activation
@each_rule
def test_updates_are_those_of_the_formula(rule, activation, weighted, fit_intercept):
    x, observed, weights = problem(activation=activation)
    weights = weights if weighted else None
    chosen = {"rule": rule, "activation": activation, "ridge": 0.03, "updates": 4, "stop": None}
    chosen["fit_intercept"] = fit_intercept
    found = single_layer_fit(x, observed, sample_weight=weights, **chosen)
    assert_is_reference(found, reference(x, observed, weights=weights, **chosen))
    assert fit_intercept or (found.bias == 0).all()


@each_activation
@each_rule
def test_the_first_update_is_least_squares_on_the_observed_outputs(rule, activation):
    x, observed, weights = problem(activation=activation)
    found = single_layer_fit(
        x, observed, rule=rule, activation=activation, ridge=0.1, updates=1, sample_weight=weights
    )
    at_zero = RATIO_AT_0.get(activation, 1.0)
    assert_same(found, least_squares(x, at_zero * observed, 0.1, weights), rtol=1e-11)


@with_and_without_intercept
@pytest.mark.parametrize("rule", LIKELIEST)
def test_maximum_likelihood_is_where_these_rules_settle(rule, fit_intercept):
    x, t = classes()
    weights = np.random.default_rng(1).uniform(0.2, 2, len(x))
    found = single_layer_fit(
        x, t, rule=rule, stop="settled", updates=5000, sample_weight=weights,
        fit_intercept=fit_intercept,
    )  # fmt: skip
    assert max(found.updates) < 5000
    for unit in range(2):
        wanted = likeliest(x, t[:, unit], weights, fit_intercept)
        assert_same((found.weight[:, unit], found.bias[unit]), wanted, rtol=1e-5)


def likeliest(x, t, weights, fit_intercept):
    """Weight and bias of largest likelihood, P(t) = 1 / (1 + exp(-2 t h)), by scipy."""
    columns = np.hstack([x, np.ones((len(x), 1))]) if fit_intercept else x

    def loss(w):
        h = columns @ w
        score = columns.T @ (weights * 2 * t / (1 + np.exp(2 * t * h)))
        return weights @ np.log1p(np.exp(-2 * t * h)), -score

    best = scipy.optimize.minimize(
        loss, np.zeros(columns.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-7}
    ).x
    return (best[:-1], best[-1]) if fit_intercept else (best, 0.0)


def test_er_settles_elsewhere():
    """Where g(h) (t - m), not t - m, is uncorrelated with the inputs."""
    x, t = classes()
    found = single_layer_fit(x, t, rule="er", stop="settled", updates=5000)
    h = x @ found.weight + found.bias
    score = x.T @ (t - np.tanh(h)) / len(x)
    weighted = x.T @ (h / np.tanh(h) * (t - np.tanh(h))) / len(x)
    assert abs(weighted).max() < 1e-6 < 1e-3 < abs(score).max()


def test_least_squares_is_finished_after_one_update():
    x, observed, _ = problem()
    one, more = (
        single_layer_fit(x, observed, rule="least_squares", updates=k, stop=None) for k in (1, 5)
    )
    assert_same(more, one, rtol=1e-12)


@each_rule
def test_with_a_linear_output_all_rules_are_least_squares(rule):
    x, observed, weights = problem(activation="identity")
    found = single_layer_fit(
        x, observed, rule=rule, activation="identity", sample_weight=weights, stop=None
    )
    assert_same(found, least_squares(x, observed, weights=weights))


@EXAMPLES
@given(
    rule=st.sampled_from(RULES),
    factor=st.sampled_from([1, 1e-3, 7.0, 1e4]),
    sign=st.sampled_from([1, -1]),
    seed=seeds,
)
def test_units_of_inputs_and_signs_of_outputs_are_those_of_the_weights(rule, factor, sign, seed):
    x, observed, _ = problem(seed=seed)
    how = {"rule": rule, "updates": 4, "stop": None, "ridge": 0.1}
    one = single_layer_fit(x, observed, **how)
    other = single_layer_fit(factor * x, sign * observed, **how)
    assert_same(other, (sign * one.weight / factor, sign * one.bias), rtol=1e-8)


@each_rule
@pytest.mark.parametrize("chunk", [1, 7])
def test_the_size_of_the_internal_chunks_changes_nothing(rule, chunk, monkeypatch):
    x, observed, weights = problem()
    chosen = {"rule": rule, "updates": 4, "stop": None, "sample_weight": weights}
    whole = single_layer_fit(x, observed, **chosen)
    for module in ("erlib.moments", "erlib.regress", "erlib.solver"):
        monkeypatch.setattr(sys.modules[module], "CHUNK", chunk)
    assert_same(single_layer_fit(x, observed, **chosen), whole, rtol=1e-9)


@pytest.mark.parametrize(
    ("rule", "solved"),
    [("least_squares", 1), ("boehning", 1), ("er", 1), ("weighted_er", 10), ("newton", 10)],
)
def test_inputs_are_factored_once_where_no_weight_changes(rule, solved, monkeypatch):
    module = sys.modules["erlib.solver"]
    factored, called = module._factored, []
    monkeypatch.setattr(
        module, "_factored", lambda *given: called.append(given) or factored(*given)
    )
    x, observed, _ = problem()
    single_layer_fit(x, observed, rule=rule, updates=5, stop=None)
    assert len(called) == solved  # for weights of their own: two units, five updates


# ---------------------------------------------------------------- weights of samples


@with_and_without_intercept
@pytest.mark.parametrize("stop", [None, *STOPS])
@each_rule
def test_weights_count_samples(rule, stop, fit_intercept):
    x, t = classes(n=90)
    times = np.arange(90) % 3
    rows = np.repeat(np.arange(90), times)  # weight 2 is twice the sample, weight 0 none
    chosen = {"rule": rule, "stop": stop, "updates": 30, "fit_intercept": fit_intercept}
    found = single_layer_fit(x, t, sample_weight=times.astype(float), **chosen)
    repeated = single_layer_fit(x[rows], t[rows], **chosen)
    assert_same(found, repeated, rtol=1e-8)
    np.testing.assert_allclose(found.discrepancy[0], repeated.discrepancy[0], rtol=1e-10)
    if stop != "discrepancy":  # which compares the last bits once nothing changes any more
        assert found.updates.tolist() == repeated.updates.tolist()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@each_rule
def test_samples_of_weight_zero_may_hold_anything(rule, dtype):
    x, t = (array.astype(dtype) for array in classes())
    weights = np.random.default_rng(1).uniform(0.5, 1, len(x)).astype(dtype)
    gone = np.arange(len(x)) % 7 == 0
    how = {"rule": rule, "updates": 5, "stop": None}
    wanted = single_layer_fit(x[~gone], t[~gone], sample_weight=weights[~gone], **how)
    x[gone], weights[gone] = 1e8, 0
    found = single_layer_fit(x, t, sample_weight=weights, **how)
    assert_same(found, wanted, rtol=1e-9 if dtype == "float64" else 1e-4)


# ---------------------------------------------------------------- when units stop


def rising():
    """Units whose discrepancy rises, by far more than rounding, after 11 to 134 updates."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 5)) + rng.normal(size=5) / 2
    h = x @ rng.normal(size=(5, 6)) + 2 * rng.normal(size=6) / 3
    t = np.where(rng.random((60, 6)) < 1 / (1 + np.exp(-2 * h)), 1.0, -1.0)
    return x, t[:, [1, 4, 5]]


@pytest.mark.parametrize(("stop", "ridge"), [("discrepancy", 0.0), ("settled", 0.3)])
@pytest.mark.parametrize("rule", ["er", "weighted_er", "boehning"])
def test_each_unit_stops_by_itself(rule, stop, ridge):
    x, t = rising()
    chosen = {"rule": rule, "stop": stop, "ridge": ridge, "updates": 200}
    found = single_layer_fit(x, t, **chosen)
    assert len(set(found.updates.tolist())) > 1 and max(found.updates) < 200
    assert_is_reference(found, reference(x, t, **chosen))


@EXAMPLES
@given(rule=st.sampled_from(["er", "weighted_er"]), stop=st.sampled_from(STOPS), seed=seeds)
def test_units_together_are_units_one_at_a_time(rule, stop, seed):
    x, t = classes(n=60, d_in=2, d_out=3, seed=seed)
    chosen = {"rule": rule, "stop": stop, "ridge": 0.3, "updates": 20}
    together = single_layer_fit(x, t, **chosen)
    for unit in range(3):
        alone = single_layer_fit(x, t[:, [unit]], **chosen)
        assert_same((together.weight[:, [unit]], together.bias[[unit]]), alone, rtol=1e-6)


def test_the_weights_after_the_discrepancy_rose_are_kept():
    x, t = rising()
    found = single_layer_fit(x, t)
    for unit, made in enumerate(found.updates.tolist()):
        course = [d[unit] for d in found.discrepancy]
        assert all(later < earlier for earlier, later in itertools.pairwise(course[: made - 1]))
        assert course[made - 1] >= course[made - 2]
        kept, before = (
            single_layer_fit(x, t[:, [unit]], stop=None, updates=k) for k in (made, made - 1)
        )
        assert_same((found.weight[:, [unit]], found.bias[[unit]]), kept, rtol=1e-9)
        assert abs(found.weight[:, unit] - before.weight[:, 0]).max() > 1e-5


def test_a_unit_that_has_stopped_stays_as_it_is():
    x, t = rising()
    seen = []
    found = single_layer_fit(x, t, updates=200, watch=lambda w, b: seen.append(w.numpy().copy()))
    first, last = min(found.updates), max(found.updates)
    unit = found.updates.tolist().index(first)
    assert first < last == len(seen)
    for weight, discrepancy in zip(seen[first:], found.discrepancy[first:]):
        assert (weight[:, unit] == seen[first - 1][:, unit]).all()
        assert discrepancy[unit] == found.discrepancy[first - 1][unit]


@pytest.mark.parametrize("rule", ["er", "weighted_er"])
def test_settled_is_a_change_of_fields_below_1e_8(rule):
    x, t = classes()
    made = single_layer_fit(x, t[:, :1], rule=rule, stop="settled", updates=1000).updates.item()
    fields = []
    single_layer_fit(
        x, t[:, :1], rule=rule, stop=None, updates=made,
        watch=lambda w, b: fields.append(x @ w.numpy() + b.numpy()),
    )  # fmt: skip
    moved = [np.linalg.norm(b - a) / np.linalg.norm(b) for a, b in itertools.pairwise(fields)]
    assert moved[-1] <= 1e-8 < min(moved[:-1])


def test_settled_is_reached_in_single_precision():
    x, t = (array.astype("float32") for array in classes(d_out=20))
    for rule in ("er", "boehning"):
        assert single_layer_fit(x, t, rule=rule, stop="settled", updates=1000).updates.max() < 1000


# ---------------------------------------------------------------- start, watch, results


@with_and_without_intercept
@pytest.mark.parametrize(("first", "then"), [(1, 4), (3, 2)])
@each_rule
def test_some_updates_and_then_some_more_are_all_of_them(rule, first, then, fit_intercept):
    x, observed, weights = problem()
    chosen = {"rule": rule, "stop": None, "ridge": 0.1, "sample_weight": weights}
    chosen["fit_intercept"] = fit_intercept
    begun = single_layer_fit(x, observed, updates=first, **chosen)
    found = single_layer_fit(x, observed, updates=then, start=begun[:2], **chosen)
    whole = single_layer_fit(x, observed, updates=first + then, **chosen)
    assert_same(found, whole, rtol=1e-11)
    np.testing.assert_allclose(found.discrepancy, whole.discrepancy[first:], rtol=1e-11)


@pytest.mark.parametrize("rule", ["er", "boehning", "weighted_er", "newton"])
def test_any_weights_will_do_for_a_start_and_stay_as_they_are(rule):
    x, observed, _ = problem()
    rng = np.random.default_rng(5)
    start = rng.normal(size=(3, 2)) / 4, rng.normal(size=2) / 4
    copies = [part.copy() for part in start]
    chosen = {"rule": rule, "stop": None, "updates": 3, "start": start}
    assert_is_reference(single_layer_fit(x, observed, **chosen), reference(x, observed, **chosen))
    assert all((one == other).all() for one, other in zip(copies, start))


@each_rule
def test_watch_sees_the_weights_after_every_update(rule):
    """Which stay as they were."""
    x, observed, _ = problem()
    seen = []
    single_layer_fit(
        x, observed, rule=rule, stop=None, updates=4, watch=lambda *weights: seen.append(weights)
    )
    assert len(seen) == 4
    for updates, weights in enumerate(seen, 1):
        assert all(isinstance(part, torch.Tensor) for part in weights)
        assert_same(weights, single_layer_fit(x, observed, rule=rule, stop=None, updates=updates))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@each_rule
def test_arrays_come_back_as_given_and_inputs_stay(rule, dtype):
    arrays = [array.astype(dtype) for array in problem()]
    chosen = {"rule": rule, "stop": None, "updates": 3, "ridge": 0.1}
    wide = [array.astype(float) for array in arrays]
    wanted = single_layer_fit(wide[0], wide[1], sample_weight=wide[2], **chosen)
    for kind in (np.array, torch.tensor):
        x, observed, weights = (kind(array) for array in arrays)
        found = single_layer_fit(x, observed, sample_weight=weights, **chosen)
        for part, shape in zip(found[:2], ((3, 2), (2,))):
            assert type(part) is type(x) and part.dtype == x.dtype and part.shape == shape
        for each in (found.updates, *found.discrepancy):
            assert type(each) is type(x) and each.shape == (2,)
        assert_same(found, wanted, rtol=1e-12 if dtype == "float64" else 1e-4)
        for before, after in zip(arrays, (x, observed, weights)):
            assert (before == np.asarray(after)).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@each_rule
def test_half_precision_is_floating_too(rule, dtype):
    """Computed with in float32: only the results are rounded."""
    arrays = [torch.tensor(array).to(dtype) for array in problem()]
    wide = [array.double() for array in arrays]
    chosen = {"rule": rule, "updates": 3, "stop": None}
    wanted = single_layer_fit(wide[0], wide[1], sample_weight=wide[2], **chosen)
    kinds = [lambda array: array]
    if dtype == torch.float16:  # NumPy has no bfloat16
        kinds.append(lambda array: array.numpy())
    for kind in kinds:
        x, observed, weights = map(kind, arrays)
        found = single_layer_fit(x, observed, sample_weight=weights, **chosen)
        assert all(type(part) is type(x) and part.dtype == x.dtype for part in found[:2])
        again = single_layer_fit(
            x, observed, sample_weight=weights, start=found[:2], **{**chosen, "updates": 1}
        )
        assert again.weight.dtype == x.dtype
        rounded = [torch.as_tensor(part).double() for part in found[:2]]
        assert_same(rounded, wanted, rtol=torch.finfo(dtype).eps)


# ---------------------------------------------------------------- refused


def separable(dtype="float64"):
    x = np.random.default_rng(0).normal(size=(40, 2))
    return x.astype(dtype), np.where(x[:, :1] > 0, 1, -1).astype(dtype)


NEWTON = r"rule: 'newton' overflows in update \d+; 'er' has a bounded step"


@pytest.mark.parametrize("stop", [None, *STOPS])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_newton_overflows_on_separable_data_and_er_does_not(dtype, stop):
    x, t = separable(dtype)
    with pytest.raises(ValueError, match=rf"^{NEWTON}$"):
        single_layer_fit(x, t, rule="newton", stop=stop, updates=500)
    found = single_layer_fit(x, t, rule="er", stop=stop, updates=500)
    assert np.isfinite(found.weight).all()
    assert (np.sign(x @ found.weight + found.bias) == t).mean() > 0.95


def test_weights_that_overflow_are_refused():
    x = np.array([[1, 0.9], [0.9, 1]], dtype="float32")
    start = np.full((2, 1), 5e37, dtype="float32"), np.zeros(1, dtype="float32")
    t = np.array([[1], [-1]], dtype="float32")  # asks for weights of 1e39
    with pytest.raises(ValueError, match=r"^rule: 'er' overflows in update 2$"):
        single_layer_fit(x, t, start=start, fit_intercept=False)


x, t, once = *separable(), np.ones(40)
zeros = np.zeros((2, 1)), np.zeros(1)
BAD = {
    "x with one axis": ({"x": x[0]}, r"x: expected 2 axes, found shape \(2,\)"),
    "observed with one axis": ({"observed": t[:, 0]}, r"observed: expected 2 axes"),
    "rows": ({"observed": t[:3]}, r"observed: 3 samples \(rows\), x has 40$"),
    "NaN": ({"x": x * np.nan}, r"x: 80 of 80 entries are NaN or Inf"),
    "Inf": ({"observed": t * np.inf}, r"observed: 40 of 40 entries are NaN or Inf"),
    "no rows": ({"x": x[:0]}, r"x: empty, shape \(0, 2\)"),
    "no units": ({"observed": t[:, :0]}, r"observed: empty, shape \(40, 0\)"),
    "integers": ({"observed": t.astype(int)}, r"observed: expected floating-point numbers"),
    "list": ({"x": x.tolist()}, r"x: expected a NumPy array or a torch tensor, found list"),
    "mixed": ({"observed": torch.tensor(t)}, r"observed: found Tensor where x is ndarray"),
    "number of weights": ({"sample_weight": once[:3]}, r"sample_weight: 3 weights, x has 40"),
    "negative weight": ({"sample_weight": -once}, r"sample_weight: negative"),
    "no weight": ({"sample_weight": 0 * once}, r"sample_weight: no sample with a positive weight"),
    "NaN weight": ({"sample_weight": once * np.nan}, r"sample_weight: 40 of 40"),
    "activation": ({"activation": "sigmoid"}, r"activation: unknown 'sigmoid'; known: erf, .*tanh"),
    "relu": ({"activation": "relu"}, r"activation: 'relu' says nothing at a field of 0"),
    "ridge": ({"ridge": -1}, r"ridge: expected a finite number >= 0, found -1"),
    "no updates": ({"updates": 0}, r"updates: expected an integer >= 1, found 0"),
    "half an update": ({"updates": 1.5}, r"updates: expected an integer >= 1, found 1.5"),
    "shape of start": (
        {"start": (np.zeros((2, 3)), np.zeros(3))},
        r"start: shapes \(2, 3\) and \(3,\), expected \(2, 1\) and \(1,\)",
    ),
    "shape of its bias": (
        {"start": (np.zeros((2, 1)), np.zeros(2))},
        r"start: shapes \(2, 1\) and \(2,\), expected \(2, 1\) and \(1,\)",
    ),
    "axes of start": ({"start": (np.zeros(2), np.zeros(1))}, r"start: expected 2 axes"),
    "NaN in start": ({"start": (zeros[0] * np.nan, zeros[1])}, r"start: 2 of 2 entries are NaN"),
    "bias of start": (
        {"start": (zeros[0], np.ones(1)), "fit_intercept": False},
        r"start: its bias is not 0, but fit_intercept is False",
    ),
    "overflow": ({"x": x * 1e160}, r"x, h_star: sums of products overflow float64"),
    "overflow of weights": (
        {"x": torch.tensor(x * 1e-6).half(), "observed": torch.tensor(t).half()},
        r"x: the weights overflow float16",
    ),
}
for name in ("ER", "er ", "weighted-er", "irls", "", None, 1):
    BAD[f"rule {name!r}"] = {"rule": name}, r"rule: unknown .*; known: boehning, er, least_squares"
for name in ("Discrepancy", "none", "", False, 0):
    BAD[f"stop {name!r}"] = {"stop": name}, r"stop: unknown .*; known: discrepancy, settled$"


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named(case):
    wrong, complaint = BAD[case]
    with pytest.raises(ValueError, match=rf"^{complaint}"):
        single_layer_fit(**{"x": x, "observed": t, **wrong})
