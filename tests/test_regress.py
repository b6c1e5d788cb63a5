"""The closed form against numpy.linalg.lstsq, and what a sum over samples must be."""

import itertools
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from references import least_squares, one_thread, scatter  # noqa: F401

from erlib import Moments, regress
from erlib.regress import CHUNK, Regression
from erlib.solver import ridge_solver

EXAMPLES = settings(deadline=None, max_examples=40, derandomize=True)
with_and_without_intercept = pytest.mark.parametrize(
    "fit_intercept", [True, False], ids=["intercept", "no intercept"]
)
with_and_without_ridge = pytest.mark.parametrize("ridge", [0.0, 0.3], ids="ridge={}".format)
seeds = st.integers(0, 2**32 - 1)


def problem(n=60, d_in=5, d_out=3, seed=0):
    """Inputs of unlike scales around means that are not 0, fields, weights of samples."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d_in)) * rng.uniform(0.5, 3, d_in) + rng.normal(size=d_in)
    return x, rng.normal(size=(n, d_out)) + rng.normal(size=d_out), rng.uniform(0, 2, n)


def assert_same(found, wanted, rtol=1e-10):
    """Weights and bias agree relative to the largest of each."""
    for one, other in zip(found, wanted):
        np.testing.assert_allclose(one, other, rtol=0, atol=rtol * max(abs(other).max(), 1e-300))


def tensors(*arrays, dtype=torch.float64):
    return [torch.tensor(array, dtype=dtype) for array in arrays]


# ---------------------------------------------------------------- the solution


@with_and_without_intercept
@pytest.mark.parametrize("ridge", [0.0, 1e-6, 0.3, 10.0], ids="ridge={}".format)
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("shape", [(60, 5, 3), (6, 5, 1), (50, 1, 2), (2, 1, 1)], ids=str)
def test_it_is_the_least_squares_solution(shape, ridge, weighted, fit_intercept):
    x, h, weights = problem(*shape)
    weights = weights + 0.1 if weighted else None
    found = regress(x, h, ridge=ridge, sample_weight=weights, fit_intercept=fit_intercept)
    assert_same(found, least_squares(x, h, ridge, weights, fit_intercept), rtol=1e-11)
    if not fit_intercept:
        assert (found[1] == 0).all()


@EXAMPLES
@given(
    n=st.integers(1, 40),
    d_in=st.integers(1, 8),
    d_out=st.integers(1, 3),
    ridge=st.sampled_from([1e-3, 1.0]),
    fit_intercept=st.booleans(),
    seed=seeds,
)
def test_any_shape_with_a_ridge(n, d_in, d_out, ridge, fit_intercept, seed):
    x, h, weights = problem(n, d_in, d_out, seed)
    weights = weights + 0.1
    found = regress(x, h, ridge=ridge, sample_weight=weights, fit_intercept=fit_intercept)
    if n == 1 and fit_intercept:  # the scatter is 0, and so is the penalty
        assert (found[0] == 0).all()
        np.testing.assert_allclose(found[1], h[0], rtol=1e-14)
    else:
        assert_same(found, least_squares(x, h, ridge, weights, fit_intercept), rtol=1e-9)


@with_and_without_ridge
def test_the_penalty_is_relative_to_the_mean_square_of_the_inputs(ridge):
    x, h, _ = problem()
    weight, bias = regress(x, h, ridge=ridge)
    penalty = ridge * np.trace(scatter(x)) / 5
    gradient = x.T @ (x @ weight + bias - h) + penalty * weight
    assert abs(gradient).max() < 1e-11
    assert abs((x @ weight + bias - h).mean(0)).max() < 1e-13, "the bias is not penalised"


@pytest.mark.parametrize("factor", [1e-6, 0.1, 7.0, 1e6], ids="{:g}".format)
@with_and_without_intercept
@with_and_without_ridge
def test_inputs_in_another_unit_give_weights_in_that_unit(ridge, fit_intercept, factor):
    x, h, _ = problem()
    weight, bias = regress(x, h, ridge=ridge, fit_intercept=fit_intercept)
    scaled = regress(factor * x, h, ridge=ridge, fit_intercept=fit_intercept)
    assert_same(scaled, (weight / factor, bias), rtol=1e-12)


def test_columns_of_very_different_scale_are_no_rounding_error():
    x, h, _ = problem()
    scale = 10.0 ** np.array([-9, -3, 0, 3, 9])
    weight = regress(x * scale, h)[0] * scale[:, None]
    assert_same([weight], least_squares(x, h)[:1], rtol=1e-13)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6], ids="{:g}".format)
@with_and_without_ridge
def test_a_large_common_offset_costs_no_digits(offset, ridge):
    # Sixteenths are exact at every offset here: what differs is only what erlib rounds.
    x, h, _ = problem(n=500)
    x = np.round(x * 16) / 16
    found = regress(x + offset, h, ridge=ridge)
    weight, bias = least_squares(x, h, ridge)
    assert_same(found[:1], [weight], rtol=1e-8)
    assert_same(found[1:], [bias - offset * weight.sum(0)], rtol=1e-8)


# ---------------------------------------------------------------- singular


def minimum_norm(x, h, intercept=True, rcond=1e-7):
    """The solution of least norm of W by the pseudo-inverse of the centred inputs."""
    mean, h_mean = (x.mean(0), h.mean(0)) if intercept else (0, np.zeros(h.shape[1]))
    around = np.where(abs(x - mean) > 1e-12 * abs(mean), x - mean, 0)  # not the mean's rounding
    weight = np.linalg.pinv(around, rcond=rcond) @ (h - h_mean)
    return weight, h_mean - mean @ weight if intercept else h_mean


SINGULAR = {
    "duplicate columns": lambda x: np.hstack([x, x[:, :2]]),
    "a sum of columns": lambda x: np.hstack([x, x.sum(1, keepdims=True)]),
    "a column of zeros": lambda x: np.hstack([x, 0 * x[:, :1]]),
    "a constant column": lambda x: np.hstack([x, 0 * x[:, :1] + 0.1]),
    "only constant columns": lambda x: 0 * x + np.array([0.1, 0, -7, 1e6, 1 / 3]),
    "fewer samples than columns": lambda x: np.hstack([x, x[::-1], x**2, x[::-1] ** 2])[:12],
    "one sample": lambda x: x[:1],
}


@with_and_without_intercept
@pytest.mark.parametrize("case", SINGULAR)
def test_a_singular_problem_has_the_solution_of_least_norm(case, fit_intercept):
    x, h, _ = problem()
    x = SINGULAR[case](x)
    h = h[: len(x)]
    found = regress(x, h, fit_intercept=fit_intercept)
    assert_same(found, minimum_norm(x, h, fit_intercept), rtol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [20, 1000, 9000], ids="n={}".format)
@pytest.mark.parametrize("seed", range(5), ids="seed={}".format)
def test_dependence_is_seen_through_the_rounding_of_many_products(n, dtype, seed):
    # Rounding errors of the products add up over a chunk: seen to reach 28 eps at 4,096 rows.
    rng = np.random.default_rng(seed)
    x = rng.integers(-64, 64, size=(n, 3)) / 64.0
    x = np.hstack([x, x.sum(1, keepdims=True)]).astype(dtype)  # exactly dependent
    h = rng.normal(size=(n, 2)).astype(dtype)
    weight, _ = regress(x, h)
    wanted, _ = minimum_norm(x.astype(float), h.astype(float))
    assert_same([weight], [wanted], rtol=1e-10 if dtype == "float64" else 1e-3)


@pytest.mark.parametrize("closeness", [0.1, 0.01], ids="closeness={}".format)
def test_a_column_close_to_another_before_a_copy(closeness):
    """The small pivot of the second column magnifies the rounding in that of the third."""
    for seed in range(200):
        a, b, h = np.random.default_rng(seed).normal(size=(3, 50, 1))
        x = np.hstack([a, a + closeness * b, b])
        found = regress(x, h, fit_intercept=False)
        assert_same(found, minimum_norm(x, h, False), rtol=1e-8)


@with_and_without_intercept
@pytest.mark.parametrize("surplus", [-1, 0, 1])
def test_about_as_many_samples_as_inputs(surplus, fit_intercept):
    """Here the last pivot of a singular matrix is rounding magnified, sometimes a hundredfold."""
    for seed in range(300):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(3, 40))
        x, h = rng.normal(size=(n, n + surplus)), rng.normal(size=(n, 2))
        centred = x - x.mean(0) if fit_intercept else x
        values = np.linalg.svd(centred, compute_uv=False)
        if values[values > 1e-9 * values[0]][-1] < 1e-3 * values[0]:
            continue  # close to singular: normal equations lose the digits asked for below
        found, wanted = (
            regress(x, h, fit_intercept=fit_intercept),
            minimum_norm(x, h, fit_intercept),
        )
        assert_same(found, wanted, rtol=1e-7)


@pytest.mark.parametrize("seed", range(10), ids="seed={}".format)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_constant_gets_no_weight_even_if_its_last_bit_varies(dtype, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(int(rng.integers(3, 6000)), 3))
    constant = rng.normal() * 100
    x[:, 1] = constant * (1 + rng.choice([0, 2e-16], size=len(x)))
    x, h = x.astype(dtype), rng.normal(size=(len(x), 2)).astype(dtype)
    weight, _ = regress(x, h)
    wanted = least_squares(x[:, [0, 2]].astype(float), h.astype(float))[0]
    assert (weight[1] == 0).all() or abs(weight[1]).max() < 1e-12
    assert_same([weight[[0, 2]]], [wanted], rtol=1e-9 if dtype == "float64" else 1e-3)
    alone, bias = regress(x[:, [1]], h)
    assert (alone == 0).all()
    np.testing.assert_allclose(bias, h.mean(0), rtol=1e-3, atol=1e-6)


def test_a_small_ridge_picks_the_same_solution_as_none():
    x, h, _ = problem()
    x = SINGULAR["duplicate columns"](x)
    assert_same(regress(x, h, ridge=1e-8), regress(x, h), rtol=1e-6)


def test_ridge_solver_takes_a_gram_matrix_of_zeros():
    zero = torch.zeros(3, 3, dtype=torch.float64)
    assert (ridge_solver(zero, 1.0, 1e-16)(zero[:, :2]) == 0).all()


# ---------------------------------------------------------------- sums over samples


def run_in_pieces(x, h, weights, cuts, fit_intercept=True):
    moments = Moments(fit_intercept)
    edges = [0, *sorted(cuts), len(x)]
    for start, end in itertools.pairwise(edges):
        if end > start:
            part = None if weights is None else weights[start:end]
            moments.add(x[start:end], h[start:end], part)
    return moments


@EXAMPLES
@given(
    cuts=st.lists(st.integers(0, 60), max_size=8),
    weighted=st.booleans(),
    fit_intercept=st.booleans(),
    ridge=st.sampled_from([0.0, 0.3]),
    seed=seeds,
)
def test_neither_order_nor_split_into_chunks_matter(cuts, weighted, fit_intercept, ridge, seed):
    x, h, weights = problem(seed=seed)
    weights = np.where(weights < 0.3, 0, weights) if weighted else None
    whole = regress(x, h, ridge=ridge, sample_weight=weights, fit_intercept=fit_intercept)
    order = np.random.default_rng(seed).permutation(len(x))
    x, h, weights = x[order], h[order], weights[order] if weighted else None
    pieces = run_in_pieces(x, h, weights, cuts, fit_intercept).solve(ridge)
    assert_same([part.numpy() for part in pieces], whole)


@with_and_without_intercept
@pytest.mark.parametrize("chunk", [1, 7, 60, 4096], ids="CHUNK={}".format)
def test_the_size_of_the_internal_chunks_changes_nothing(chunk, fit_intercept, monkeypatch):
    x, h, weights = problem()
    wanted = least_squares(x, h, 0.0, weights, fit_intercept)
    for module in ("erlib.moments", "erlib.solver"):
        monkeypatch.setattr(sys.modules[module], "CHUNK", chunk)
    assert_same(regress(x, h, sample_weight=weights, fit_intercept=fit_intercept), wanted)


def test_a_first_chunk_far_from_the_rest_changes_nothing():
    x, h, _ = problem(n=300)
    x[:5] += 100
    wanted = least_squares(x, h)
    assert_same([part.numpy() for part in run_in_pieces(x, h, None, [5]).solve()], wanted)


def test_a_chunk_without_weight_is_no_chunk():
    x, h, weights = problem()
    weights[:20] = 0
    wanted = regress(x[20:], h[20:], sample_weight=weights[20:])
    moments = run_in_pieces(x, h, weights, [20])
    assert_same([part.numpy() for part in moments.solve()], wanted)


@with_and_without_intercept
@with_and_without_ridge
def test_weights_count_samples(ridge, fit_intercept):
    x, h, _ = problem()
    options = {"ridge": ridge, "fit_intercept": fit_intercept}
    times = np.arange(60) % 3
    found = regress(x, h, sample_weight=times.astype(float), **options)
    rows = np.repeat(np.arange(60), times)  # weight 2 is twice the sample, weight 0 none
    assert_same(found, regress(x[rows], h[rows], **options), rtol=1e-12)


def test_one_weight_for_all_is_no_weight():
    x, h, _ = problem()
    found = regress(x, h, ridge=0.3, sample_weight=np.full(60, 1e-3))
    assert_same(found, regress(x, h, ridge=0.3), rtol=1e-12)


def test_the_moments_are_the_sums_of_their_definition():
    x, h, weights = problem(n=9)
    moments = Moments(fit_intercept=False).add(x, h, weights)
    assert moments.n == pytest.approx(sum(weights))
    xx = sum(w * np.outer(row, row) for w, row in zip(weights, x))
    xh = sum(w * np.outer(row, one) for w, row, one in zip(weights, x, h))
    np.testing.assert_allclose(moments.xx, xx, rtol=1e-12)
    np.testing.assert_allclose(moments.xh, xh, rtol=1e-12, atol=1e-13)
    shifted = Moments().add(x, h, weights)
    np.testing.assert_allclose(shifted.origin, x.mean(0), rtol=1e-14)
    around = x - x.mean(0)
    np.testing.assert_allclose(shifted.x, (weights[:, None] * around).sum(0), atol=1e-14)
    np.testing.assert_allclose(shifted.h, (weights[:, None] * h).sum(0), rtol=1e-13)
    np.testing.assert_allclose(shifted.xh, (weights[:, None] * around).T @ h, atol=1e-13)


@with_and_without_intercept
def test_ten_times_the_samples_need_no_more_memory(fit_intercept):
    def numbers(n):
        x, h, _ = problem(n=n, d_in=6, d_out=2)
        held = vars(Moments(fit_intercept).add(x, h)).values()
        return sum(value.numel() for value in held if isinstance(value, torch.Tensor))

    assert numbers(9000) == numbers(900) <= 6 * (6 + 2) + 2 * 6 + 2


# ---------------------------------------------------------------- array types


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@with_and_without_ridge
def test_arrays_come_back_as_given_and_inputs_stay(ridge, dtype, kind):
    arrays = [array.astype(dtype) for array in problem(n=5000)]
    given_arrays = [np.array(a) if kind == "numpy" else torch.tensor(a) for a in arrays]
    x, h, weights = given_arrays
    found = regress(x, h, sample_weight=weights, ridge=ridge)
    assert all(type(part) is type(x) and part.dtype == x.dtype for part in found)
    for before, after in zip(arrays, given_arrays):
        assert (before == np.asarray(after)).all()
    wide = [a.astype(float) for a in arrays]
    wanted = least_squares(wide[0], wide[1], ridge, wide[2])
    tolerance = {"float64": 1e-11, "float32": 1e-5, "float16": 2e-3}[dtype]
    assert_same([np.asarray(part, dtype=float) for part in found], wanted, rtol=tolerance)


def test_float32_sums_do_not_drift_over_many_chunks():
    x, h, _ = problem(n=4096)
    parts, (x32, h32) = Moments(), tensors(x, h, dtype=torch.float32)
    for _ in range(30):
        parts.add(x32, h32)
    weight = parts.solve()[0]
    assert weight.dtype == torch.float32
    wanted = least_squares(x32.numpy().astype(float), h32.numpy().astype(float))[0]
    assert_same([weight.numpy()], [wanted], rtol=1e-5)


def test_a_float32_offset_costs_only_its_own_rounding():
    x, h, _ = problem(n=3000)
    x = (np.round(x * 16) / 16 + 1e4).astype("float32")
    wanted = least_squares(x.astype(float) - 1e4, h)[0]
    assert_same([regress(x, h.astype("float32"))[0]], [wanted], rtol=1e-4)


# ---------------------------------------------------------------- refused


x, h, _ = problem(n=4, d_in=2, d_out=1)
once = np.ones(4)


def weighted(weights):
    return x, h, {"sample_weight": weights}


BAD = {
    "rows": (x, h[:3], {}, r"h_star: 3 samples \(rows\), x has 4"),
    "x with one axis": (x[0], h, {}, r"x: expected 2 axes, found shape \(2,\)"),
    "h_star with one axis": (x, h[:, 0], {}, r"h_star: expected 2 axes, found shape \(4,\)"),
    "NaN": (x * [1, np.nan], h, {}, r"x: 4 of 8 .* NaN or Inf, the first is nan at \(0, 1\)"),
    "Inf": (x, h * np.inf, {}, "h_star: 4 of 4 .* NaN or Inf, the first is -?inf"),
    "no rows": (x[:0], h[:0], {}, r"x: empty, shape \(0, 2\)"),
    "no columns": (x, h[:, :0], {}, r"h_star: empty, shape \(4, 0\)"),
    "integers": (x.astype(int), h, {}, "x: expected floating-point numbers, found int64"),
    "images": (x.astype("uint8"), h, {}, "x: .* found uint8; images need scaling"),
    "list": (x.tolist(), h, {}, "x: expected a NumPy array or a torch tensor, found list"),
    "mixed": (x, torch.tensor(h), {}, "h_star: found Tensor where x is ndarray"),
    "mixed weights": (*weighted(torch.ones(4)), "sample_weight: found Tensor where x is ndarray"),
    "number of weights": (*weighted(once[:3]), "sample_weight: 3 weights, x has 4"),
    "a column of weights": (*weighted(h), "sample_weight: expected 1 axes"),
    "integer weights": (*weighted(once.astype(int)), "sample_weight: expected .*, found int64"),
    "NaN weights": (*weighted(once * np.nan), "sample_weight: 4 of 4 .* NaN"),
    "negative weight": (
        *weighted(once * [1, 1, -2, 1]),
        "sample_weight: negative, the smallest is -2.0",
    ),
    "no weight": (*weighted(0 * once), "sample_weight: no sample with a positive"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("call", ["regress", "Moments.add"])
def test_bad_arrays_are_named(call, case):
    x, h, options, complaint = BAD[case]
    with pytest.raises(ValueError, match=complaint):
        if call == "regress":
            regress(x, h, **options)
        else:
            Moments().add(x, h, **options).solve()


@pytest.mark.parametrize("ridge", [-1e-9, np.nan, np.inf, "1", None, True, 1j, x], ids=repr)
def test_a_ridge_that_is_no_penalty_is_refused(ridge):
    for call in (regress, lambda x, h, ridge: Moments().add(x, h).solve(ridge)):
        with pytest.raises(ValueError, match=r"ridge: expected a (finite )?number >= 0, found"):
            call(x, h, ridge=ridge)


def test_later_chunks_must_have_the_columns_of_the_first():
    moments = Moments().add(x, h)
    for wider_x, wider_h in ((np.ones((4, 3)), h), (x, np.ones((4, 2)))):
        with pytest.raises(ValueError, match=r"x, h_star: \d and \d columns, .* had 2 and 1"):
            moments.add(wider_x, wider_h)
    assert_same([part.numpy() for part in moments.solve()], regress(x, h), rtol=1e-15)


def test_nothing_added_is_nothing_to_solve():
    with pytest.raises(ValueError, match="no sample with a positive weight"):
        Moments().solve()


@pytest.mark.parametrize(
    ("factor", "complaint"),
    [
        (1e160, "x, h_star: sums of products overflow float64; scale"),
        (1e-160, "x: products of .* underflow float64; scale it up"),
    ],
)
@pytest.mark.parametrize("columns", [4, 1200], ids=["sums", "few samples"])
def test_products_that_float64_does_not_hold_are_refused(columns, factor, complaint):
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(30, columns)) * factor
    with pytest.raises(ValueError, match=complaint):
        regress(wide, rng.normal(size=(30, 2)))


@pytest.mark.parametrize("scale", [1e-30, 1e-18, 1e15, 1e25])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("columns", [5, 1200], ids=["sums", "few samples"])
def test_single_precision_inputs_of_any_size(columns, fit_intercept, scale):
    rng = np.random.default_rng(0)
    x, fields = rng.normal(size=(40, columns)).astype("f4"), rng.normal(size=(40, 2)).astype("f4")
    how = {"ridge": 0.1, "fit_intercept": fit_intercept}
    usual, bias = regress(x, fields, **how)
    weight, same = regress(x * np.float32(scale), fields, **how)
    np.testing.assert_allclose(weight.astype(float) * scale, usual, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(same, bias, rtol=1e-3, atol=1e-5)


def test_weights_too_large_for_the_dtype_are_refused():
    x = np.random.default_rng(0).normal(size=(40, 2)).astype("f4")
    with pytest.raises(ValueError, match="x: the weights overflow float32; scale the inputs up"):
        regress(x * np.float32(1e-37), x * np.float32(1e5))
    with pytest.raises(ValueError, match="x: the weights overflow float16"):
        regress((x / 100).astype("f2"), (x * 1e4).astype("f2"))


# ---------------------------------------------------------------- many columns, few samples


@pytest.mark.parametrize("columns", ["independent", "constant and twice the same"])
@pytest.mark.parametrize("rows", ["independent", "twice the same"])
@pytest.mark.parametrize("ridge", [0.0, 1e-9, 0.1])
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_few_samples_find_what_singular_values_find(fit_intercept, weighted, ridge, rows, columns):
    rng = np.random.default_rng(0)
    wide, fields = rng.normal(size=(30, 1200)) + 3, rng.normal(size=(30, 2))
    if columns != "independent":
        wide[:, 1], wide[:, 2] = 7.0, wide[:, 0]
    if rows != "independent":
        wide[1], wide[2] = wide[0], wide[0]
    weights = rng.uniform(0.5, 2, size=30) * (np.arange(30) != 4) if weighted else None
    how = {"ridge": ridge, "fit_intercept": fit_intercept}
    weight, bias = regress(wide, fields, sample_weight=weights, **how)
    root = np.sqrt(np.ones(30) if weights is None else weights)[:, None]
    mean, centre = (
        (root**2 * part).sum(0) / (root**2).sum() if fit_intercept else np.zeros(part.shape[1])
        for part in (wide, fields)
    )
    u, s, vt = np.linalg.svd(root * (wide - mean), full_matrices=False)
    kept = s > 1e-10 * s[0]
    u, s, vt = u[:, kept], s[kept, None], vt[kept]
    penalty = ridge * (s**2).sum() / 1200
    wanted = vt.T @ (s / (s**2 + penalty) * (u.T @ (root * (fields - centre))))
    wanted_bias, scale = centre - mean @ wanted, abs(wanted).max()
    np.testing.assert_allclose(weight, wanted, rtol=0, atol=1e-8 * scale)
    np.testing.assert_allclose(bias, wanted_bias, rtol=0, atol=1e-7)
    if columns != "independent" and fit_intercept:
        assert (weight[1] == 0).all()


# ---------------------------------------------------------------- new fields on the same inputs


@pytest.mark.parametrize("columns", ["independent", "constant and twice the same"])
@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("n", [40, CHUNK + 40], ids=["one chunk", "two chunks"])
def test_regression_finds_again_and_again_what_regress_finds(
    n, fit_intercept, weighted, ridge, columns
):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 4)) * [1, 1, 10, 0.1] + 3
    if columns != "independent":
        x[:, 1], x[:, 2] = 7, x[:, 0]
    weights = rng.uniform(0.1, 2, n) if weighted else None
    inputs, shares = torch.tensor(x), None if weights is None else torch.tensor(weights)
    regression = Regression(inputs, ridge, shares, fit_intercept)
    for d_out in (1, 3):
        h = rng.normal(size=(n, d_out)) + 2
        expected = regress(x, h, ridge=ridge, sample_weight=weights, fit_intercept=fit_intercept)
        fields, coefficients = regression(torch.tensor(h))
        found = [part.numpy() for part in regression.weights(coefficients)]
        assert_same(found, expected, rtol=1e-10)
        np.testing.assert_allclose(fields.numpy(), x @ found[0] + found[1], rtol=0, atol=1e-11)


def test_regression_in_single_precision_is_as_good_as_regress():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(500, 20)) @ rng.normal(size=(20, 20)) + 5).astype("float32")
    h = rng.normal(size=(500, 2)).astype("float32")
    exact = [part.astype("float32") for part in regress(x.astype("d"), h.astype("d"))]
    regression = Regression(torch.tensor(x))
    found = regression.weights(regression(torch.tensor(h))[1])
    for one, two, true in zip(found, regress(x, h), exact):
        error, allowed = abs(one.numpy() - true).max(), abs(two - true).max()
        assert error <= 10 * allowed + 1e-6 * abs(true).max()


def test_regression_names_what_it_cannot_solve():
    with pytest.raises(ValueError, match=r"sums of products overflow float64"):
        Regression(torch.full((3, 2), 1e160, dtype=torch.float64), fit_intercept=False)
    with pytest.raises(ValueError, match=r"no sample with a positive weight"):
        Regression(torch.ones(3, 2), sample_weight=torch.zeros(3))


# ---------------------------------------------------------------- what must not reach the others


@pytest.mark.parametrize("rubbish", [-9999, 1e6, 1e30], ids="{:g}".format)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_of_weight_zero_are_not_there(dtype, rubbish):
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(500, 5)).astype(dtype), rng.uniform(0.5, 1, 500).astype(dtype)
    h = (x @ rng.normal(size=(5, 2)) + rng.normal(size=(500, 2))).astype(dtype)
    gone = np.arange(500) % 10 == 0
    expected = regress(x[~gone], h[~gone], sample_weight=weights[~gone])
    x[gone], h[gone], weights[gone] = rubbish, rubbish, 0
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    for one, two in zip(regress(x, h, sample_weight=weights), expected):
        np.testing.assert_allclose(one, two, rtol=0, atol=tolerance)


@pytest.mark.parametrize("extra", ["constant", "duplicate", "both"])
def test_a_singular_column_takes_nothing_from_one_of_small_scale(extra):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(400, 2)) * [1, 1e-3]).astype("float32")
    h = (x @ [[2.0], [3000.0]]).astype("float32")
    more = {"constant": [np.full(400, 3)], "duplicate": [x[:, 0]], "both": [np.ones(400), x[:, 0]]}
    wide = np.column_stack([x, *more[extra]]).astype("float32")
    weight, _ = regress(wide, h)
    np.testing.assert_allclose(weight[1], 3000, rtol=1e-3)
    shared = 1 if extra == "constant" else 2
    np.testing.assert_allclose(weight[0], 2 / shared, rtol=1e-3)


@pytest.mark.parametrize("offset", [0, 1e4, 1e5], ids="{:g}".format)
def test_regression_keeps_the_digits_of_inputs_with_an_offset(offset):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(300, 4)) + offset).astype("float32")
    h = rng.normal(size=(300, 1)).astype("float32")
    exact, _ = regress(x.astype("d"), h.astype("d"))
    regression = Regression(torch.tensor(x))
    fields, coefficients = regression(torch.tensor(h))
    np.testing.assert_allclose(regression.weights(coefficients)[0], exact, rtol=0, atol=5e-6)
    centred = x.astype("d") - x.astype("d").mean(0)
    np.testing.assert_allclose(fields, centred @ exact + h.astype("d").mean(), rtol=0, atol=1e-5)
