"""The inverse mappings against explicit matrices, sample by sample."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from references import inverted, krylov, one_thread  # noqa: F401

from erlib import invert
from erlib.invert import METHODS, check_settings, conjugate_gradients

EXAMPLES = settings(deadline=None, max_examples=40, derandomize=True)
SHAPES = {"wide": (7, 3), "narrow": (3, 7), "square": (4, 4), "one": (1, 1), "column": (5, 1)}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
KNOBS = {
    "pinv": {},
    "damped": {"damping": 0.5},
    "cg": {"steps": 2},
    "transpose": {},
}


def problem(d_in, d_out, rank=None, n=6, seed=0):
    """Changes of the fields, and weights whose singular values lie between 0.5 and 2."""
    rng = np.random.default_rng(seed)
    rank = min(d_in, d_out) if rank is None else rank
    left = np.linalg.qr(rng.normal(size=(d_in, d_in)))[0][:, :rank]
    right = np.linalg.qr(rng.normal(size=(d_out, d_out)))[0][:rank]
    return rng.normal(size=(n, d_out)), left * rng.uniform(0.5, 2, rank) @ right


def relative(found, wanted):
    return abs(found - wanted).max() / abs(wanted).max()


def cosines(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


# ---------------------------------------------------------------- the members of the family


@every_shape
@pytest.mark.parametrize("method", METHODS)
def test_each_method_is_its_formula(method, shape):
    delta, weight = problem(*shape)
    knobs = {"steps": 1} if method == "cg" and 1 in shape else KNOBS[method]
    found = invert(delta, weight, method=method, **knobs)
    assert found.shape == (len(delta), shape[0])
    assert relative(found, inverted(delta, weight, method, **knobs)) < 1e-12


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("method", ["pinv", "damped", "transpose"])
@pytest.mark.parametrize("shape", [(7, 3), (3, 7), (4, 4)], ids=str)
def test_weights_of_low_rank(shape, method, rank):
    delta, weight = problem(*shape, rank=rank)
    found = invert(delta, weight, method=method, **KNOBS[method])
    if method == "pinv":
        wanted = delta @ np.linalg.pinv(weight, rcond=1e-10)
    else:
        # mu is relative to the mean over all min(d_in, d_out) singular values, also those of 0
        wanted = inverted(delta, weight, method, **KNOBS[method])
    assert relative(found, wanted) < 1e-12


@EXAMPLES
@given(
    d_in=st.integers(1, 9),
    d_out=st.integers(1, 9),
    rank=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_pinv_asks_for_the_smallest_change_that_comes_closest(d_in, d_out, rank, seed):
    delta, weight = problem(d_in, d_out, min(rank, d_in, d_out), seed=seed)
    change = invert(delta, weight)
    missing = delta - change @ weight
    assert abs(missing @ weight.T).max() < 1e-12, "no other change comes closer"
    project = np.linalg.pinv(weight, rcond=1e-10).T @ weight.T
    np.testing.assert_allclose(change @ project.T, change, atol=1e-12, err_msg="none is smaller")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_below_the_rounding_of_the_weights_is_not_inverted(dtype):
    delta, weight = problem(20, 5, rank=2)
    found = invert(delta.astype(dtype), weight.astype(dtype))
    wanted = delta @ np.linalg.pinv(weight, rcond=1e-10)
    assert relative(found, wanted) < 20 * np.finfo(dtype).eps


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(4, 2), (2, 4)], ids=str)
def test_weights_of_zero_ask_for_nothing(shape, method):
    found = invert(np.ones((3, shape[1])), np.zeros(shape), method=method, **KNOBS[method])
    assert (found == 0).all() and found.shape == (3, shape[0])


@every_shape
@pytest.mark.parametrize("method", METHODS)
def test_a_change_of_zero_asks_for_nothing(method, shape):
    delta, weight = problem(*shape)
    delta[::2] = 0
    found = invert(delta, weight, method=method, **KNOBS[method])
    assert (found[::2] == 0).all() and (found[1::2] != 0).any(1).all()


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize("rank", [None, 2], ids=["full rank", "rank 2"])
@pytest.mark.parametrize("shape", [(7, 3), (3, 7), (4, 4)], ids=str)
def test_damping_leads_from_the_pseudo_inverse_to_the_transpose(shape, rank):
    delta, weight = problem(*shape, rank=rank)
    square = np.mean(np.linalg.svd(weight, compute_uv=False) ** 2)
    pinv, transpose = delta @ np.linalg.pinv(weight, rcond=1e-10), delta @ weight.T
    low = [relative(invert(delta, weight, method="damped", damping=d), pinv) for d in (1e-4, 1e-8)]
    assert low[0] < 1e-2 and low[1] == pytest.approx(1e-4 * low[0], rel=1e-2), "first order"
    for tiny in (1e-20, 1e-300):
        assert relative(invert(delta, weight, method="damped", damping=tiny), pinv) < 1e-12
    for strong in (1e4, 1e8):
        found = invert(delta, weight, method="damped", damping=strong) * strong * square
        assert relative(found, transpose) < 10 / strong


@every_shape
def test_one_step_of_cg_is_the_transpose_scaled_for_each_sample(shape):
    delta, weight = problem(*shape)
    found = invert(delta, weight, method="cg", steps=1)
    np.testing.assert_allclose(cosines(found, delta @ weight.T), 1, rtol=1e-14)
    for one, change in zip(delta, found):  # and it goes as far along it as pays
        image = one @ weight.T @ weight
        best = (one @ image) / (image @ image)
        np.testing.assert_allclose(change, best * one @ weight.T, rtol=1e-12)


@EXAMPLES
@given(
    d_in=st.integers(3, 9),
    d_out=st.integers(3, 9),
    steps=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_steps_of_cg_reach_the_best_point_of_their_krylov_space(d_in, d_out, steps, seed):
    delta, weight = problem(d_in, d_out, seed=seed)
    values = np.linalg.svd(weight, compute_uv=False)
    assume(np.diff(values[::-1]).min() > 0.05)  # else the space has fewer dimensions than steps
    found = invert(delta, weight, method="cg", steps=steps)
    assert relative(found, krylov(delta, weight, steps)) < 1e-6


@EXAMPLES
@given(
    d_in=st.integers(1, 9),
    d_out=st.integers(1, 9),
    rank=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_many_steps_of_cg_are_the_pseudo_inverse(d_in, d_out, rank, seed):
    rank = min(rank, d_in, d_out)
    delta, weight = problem(d_in, d_out, rank, seed=seed)
    pinv = delta @ np.linalg.pinv(weight, rcond=1e-10)
    for steps in (3 * rank + 3, 200):  # it stays there
        found = invert(delta, weight, method="cg", steps=steps)
        np.testing.assert_allclose(found, pinv, atol=1e-10 * max(1, abs(pinv).max()))


def test_cg_stops_where_every_sample_has_arrived():
    delta, weight = map(torch.from_numpy, problem(5, 3))
    steps = []

    def forward(u):
        steps.append(u)
        return u @ weight

    conjugate_gradients(forward, lambda v: v @ weight.T, delta, steps=10_000)
    assert len(steps) < 10


def test_an_overflow_is_not_taken_for_an_arrival():
    delta, weight = torch.full((2, 3), 1e30), torch.full((4, 3), 1e10)
    assert invert(delta, weight, method="cg", steps=5).isnan().all()


def test_each_sample_is_by_itself():
    delta, weight = problem(6, 4)
    delta *= 10.0 ** np.arange(-150, 150, 50)[:, None]
    for method in METHODS:
        together = invert(delta, weight, method=method, **KNOBS[method])
        alone = [invert(one[None], weight, method=method, **KNOBS[method])[0] for one in delta]
        for one, other in zip(together, alone):
            assert relative(one, other) < 1e-13, method


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [1e-12, 1e-6, 1e6], ids="{:g}".format)
def test_small_weights_in_float32_are_only_scaled(factor, method):
    delta, weight = (array.astype("float32") for array in problem(20, 5))
    wanted = inverted(delta.astype(float), weight.astype(float), method, **KNOBS[method])
    power = 1 if method == "transpose" else -1
    found = invert(delta, (weight * factor).astype("float32"), method=method, **KNOBS[method])
    assert relative(found, wanted * factor**power) < 1e-5


# ---------------------------------------------------------------- any linear map


def test_cg_inverts_a_convolution():
    """A convolution with stride is no matrix here; its dense matrix gives the least squares."""
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(3, 2, 3, 3, generator=generator, dtype=torch.float64)

    def forward(u):
        return torch.nn.functional.conv2d(u, kernel, stride=2, padding=1)

    def backward(v):
        return torch.nn.functional.conv_transpose2d(
            v, kernel, stride=2, padding=1, output_padding=1
        )

    unit = torch.eye(2 * 6 * 6, dtype=torch.float64).reshape(-1, 2, 6, 6)
    dense = forward(unit).flatten(1)
    back = torch.eye(dense.shape[1], dtype=torch.float64).reshape(-1, 3, 3, 3)
    torch.testing.assert_close(backward(back).flatten(1), dense.T, msg="it is the transpose")
    delta = torch.randn(5, 3, 3, 3, generator=generator, dtype=torch.float64)
    wanted = np.linalg.lstsq(dense.numpy().T, delta.flatten(1).numpy().T)[0].T
    found = conjugate_gradients(forward, backward, delta, 60)
    assert found.shape == (5, 2, 6, 6)
    assert relative(found.flatten(1).numpy(), wanted) < 1e-10
    few = conjugate_gradients(forward, backward, delta, 3).flatten(1).numpy()
    assert relative(few, krylov(delta.flatten(1).numpy(), dense.numpy(), 3)) < 1e-10


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")  # torch's own
def test_cg_inverts_the_jacobian_of_a_module():
    """vjp and jvp of any module at each sample: here a pooled convolution with tanh."""
    generator = torch.Generator().manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3, dtype=torch.float64), torch.nn.Tanh(), torch.nn.AvgPool2d(2)
    )
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    x = torch.randn(3, 1, 6, 6, generator=generator, dtype=torch.float64)
    out, pull = torch.func.vjp(module, x)
    delta = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    found = conjugate_gradients(
        lambda u: torch.func.jvp(module, (x,), (u,))[1], lambda v: pull(v)[0], delta, 30
    ).detach()
    for sample, change, one in zip(x, found, delta):
        jacobian = torch.autograd.functional.jacobian(lambda s: module(s[None])[0], sample)
        dense = jacobian.reshape(one.numel(), -1).numpy()
        wanted = np.linalg.lstsq(dense, one.flatten().numpy())[0]
        assert relative(change.flatten().numpy(), wanted) < 1e-9


# ---------------------------------------------------------------- array types


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("method", METHODS)
def test_arrays_come_back_as_given_and_inputs_stay(method, dtype, kind):
    delta, weight = (array.astype(dtype) for array in problem(7, 3))
    make = np.array if kind == "numpy" else torch.tensor
    given_delta, given_weight = make(delta), make(weight)
    found = invert(given_delta, given_weight, method=method, **KNOBS[method])
    assert type(found) is type(given_delta) and found.dtype == given_delta.dtype
    exact = inverted(delta.astype(float), weight.astype(float), method, **KNOBS[method])
    assert relative(np.asarray(found, dtype=float), exact) < 30 * np.finfo(dtype).eps
    assert (np.asarray(given_delta) == delta).all() and (np.asarray(given_weight) == weight).all()


# ---------------------------------------------------------------- refused

delta, weight = np.ones((2, 3)), np.ones((5, 3))


@pytest.mark.parametrize(
    ("delta", "weight", "complaint"),
    [
        (delta[:, :2], weight, r"delta: 2 columns, weight \[d_in, d_out\] has 3"),
        (delta[0], weight, r"delta: expected 2 axes, found shape \(3,\)"),
        (delta, weight[0], r"weight: expected 2 axes, found shape \(3,\)"),
        (delta * np.nan, weight, "delta: 6 of 6 entries are NaN or Inf"),
        (delta, weight * np.inf, "weight: 15 of 15 entries are NaN or Inf"),
        (delta[:0], weight, r"delta: empty, shape \(0, 3\)"),
        (delta, weight[:0], r"weight: empty, shape \(0, 3\)"),
        (delta.astype(int), weight, "delta: expected floating-point numbers, found int64"),
        (delta.astype("uint8"), weight, "delta: .* found uint8; images need scaling"),
        (delta.tolist(), weight, "delta: expected a NumPy array or a torch tensor, found list"),
        (delta, torch.tensor(weight), "weight: found Tensor where delta is ndarray"),
        (torch.tensor(delta), weight, "weight: found ndarray where delta is Tensor"),
    ],
)
def test_bad_arrays_are_named(delta, weight, complaint):
    with pytest.raises(ValueError, match=complaint):
        invert(delta, weight)


BAD_SETTINGS = [
    ({"method": "inverse"}, "method: unknown 'inverse'; known: cg, damped, pinv, transpose"),
    ({"method": None}, "method: unknown None"),
    ({"method": ["pinv"]}, r"method: unknown \['pinv'\]"),
    ({"method": "damped"}, r"damping: 0.0 with method 'damped'; .* needs damping > 0"),
    ({"damping": 0.1}, "damping: 0.1 with method 'pinv'; .* no other method takes any"),
    ({"method": "cg", "steps": 1, "damping": 0.1}, "damping: 0.1 with method 'cg'"),
    ({"method": "damped", "damping": -1.0}, "damping: expected a finite number >= 0, found -1.0"),
    ({"method": "damped", "damping": np.nan}, "damping: expected a finite number >= 0, found nan"),
    ({"method": "damped", "damping": "1"}, "damping: expected a number >= 0, found '1'"),
    ({"method": "damped", "damping": True}, "damping: expected a number >= 0, found True"),
    ({"method": "cg"}, "steps: expected an integer >= 1, found None"),
    ({"method": "cg", "steps": 0}, "steps: expected an integer >= 1, found 0"),
    ({"method": "cg", "steps": 1.5}, "steps: expected an integer >= 1, found 1.5"),
    ({"method": "cg", "steps": True}, "steps: expected an integer >= 1, found True"),
    ({"steps": 3}, "steps: 3 with method 'pinv'; only 'cg' takes steps"),
    ({"method": "damped", "damping": 1.0, "steps": 3}, "steps: 3 with method 'damped'"),
]


@pytest.mark.parametrize(("given", "complaint"), BAD_SETTINGS, ids=str)
def test_bad_settings_are_named(given, complaint):
    with pytest.raises(ValueError, match=complaint):
        invert(delta, weight, **given)
    with pytest.raises(ValueError, match=complaint):
        check_settings(**{"method": "pinv", "damping": 0.0, "steps": None, **given})
