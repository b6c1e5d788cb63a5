"""The ratio step against its definition, entry by entry."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from references import OUTPUT, output, ratio_field

from erlib import activation, reflect
from erlib.activations import NAMES

EXAMPLES = settings(deadline=None, max_examples=50, derandomize=True)
every_activation = pytest.mark.parametrize("name", NAMES)
size = st.floats(-20, 20, allow_subnormal=False)


@every_activation
def test_the_field_is_multiplied_by_observed_over_predicted(name):
    rng = np.random.default_rng(0)
    h, target = rng.normal(size=(2, 30, 4)) * [[[1, 1e-3, 3, 8]]]
    h = np.where(output(h, name) == 0, 1.0, h)  # relu's off side has its own test
    assert np.isfinite(h * target / output(h, name)).all()
    np.testing.assert_allclose(
        reflect(h, target, name), h * target / output(h, name), rtol=1e-11, atol=1e-13
    )


@every_activation
@EXAMPLES
@given(h=size, target=size)
def test_both_forms_are_one(name, h, target):
    """H T / A = H + g (T - A), also for numbers that no one would choose."""
    found = reflect(np.array([h]), np.array([target]), name)
    # The second form adds numbers of the size of H and of T/A: rounding is relative to those.
    factor = activation(name).factor(torch.tensor(h, dtype=torch.float64)).item()
    scale = abs(h) + factor * (abs(target) + abs(OUTPUT[name](h)))
    assert abs(found - ratio_field(h, target, name)) <= 2e-15 * scale


@pytest.mark.parametrize("tiny", [0.0, -0.0, 1e-320, -1e-300, 1e-30], ids=str)
@pytest.mark.parametrize(
    ("name", "limit"),
    [("tanh", 1), ("erf", math.sqrt(math.pi) / 2), ("softsign", 1), ("identity", 1)],
)
def test_a_field_of_zero_has_the_limit(name, limit, tiny):
    found = reflect(np.array([tiny, tiny]), np.array([1.0, -0.25]), name)
    np.testing.assert_allclose(found, [limit, -0.25 * limit], rtol=1e-15)


def test_a_silent_relu_keeps_its_field():
    h = np.array([-3.0, -1e-300, 0.0])
    assert reflect(h, np.array([5.0, -5.0, 5.0]), "relu").tolist() == h.tolist()


def test_a_misclassified_field_flips_and_a_right_one_does_not():
    h = np.random.default_rng(0).normal(size=200) * 3
    target = np.random.default_rng(1).choice([-1.0, 1.0], size=200)
    found = reflect(h, target)
    assert 50 < (h * target < 0).sum() < 150, "both kinds are there"
    assert (np.sign(found) == target).all()
    np.testing.assert_allclose(abs(found), [abs(v / math.tanh(v)) for v in h], rtol=1e-14)


@every_activation
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16], ids=str)
def test_where_observed_is_predicted_nothing_changes_to_the_last_bit(name, dtype):
    h = 4 * torch.randn(500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    h = torch.cat([h.to(dtype), torch.tensor([0.0, -0.0, 60000.0, -1e-7], dtype=dtype)])
    assert torch.equal(reflect(h, activation(name).f(h), name), h)


@every_activation
@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_arrays_come_back_as_given_and_inputs_stay(name, kind, dtype):
    rng = np.random.default_rng(0)
    h, target = rng.normal(size=(2, 3, 4, 2)).astype(dtype)
    exact = ratio_field(h.astype(float), target.astype(float), name)
    make = np.array if kind == "numpy" else torch.tensor
    given_h, given_target = make(h), make(target)
    found = reflect(given_h, given_target, name)
    assert type(found) is type(given_h) and found.dtype == given_h.dtype
    assert found.shape == given_h.shape
    # Units in the last place of the largest number that is added, 100 |h| for leaky_relu.
    eps = np.finfo(dtype).eps
    scale = (100 if name == "leaky_relu" else 1) * (abs(h) + abs(target) + 2).astype(float)
    assert (abs(np.asarray(found, dtype=float) - exact) <= 8 * eps * scale).all()
    assert (np.asarray(given_h) == h).all() and (np.asarray(given_target) == target).all()


def test_any_memory_layout_will_do():
    h = np.random.default_rng(0).normal(size=(6, 4))
    target = np.ones((6, 4))
    wanted = reflect(h, target)
    frozen = h.copy()
    frozen.flags.writeable = False
    record = np.zeros((6, 4), dtype=[("h", "f8"), ("flag", "i1")])
    record["h"] = h
    for layout in (np.asfortranarray(h), h[::-1][::-1], frozen, record["h"], h.astype(">f8")):
        found = reflect(layout, target)
        assert (found == wanted).all() and found.dtype == layout.dtype
    assert (reflect(h[::-1], target) == wanted[::-1]).all()
    assert (reflect(torch.tensor(h).T, torch.tensor(target).T).numpy() == wanted.T).all()
    assert reflect(np.array(0.5), np.array(1.0)) == 0.5 / math.tanh(0.5), "no axis"


def test_a_tensor_that_wants_gradients_gives_one_that_does_not():
    h = torch.ones(2, requires_grad=True)
    assert not reflect(h, torch.ones(2)).requires_grad


ones = np.ones((2, 3))


@pytest.mark.parametrize(
    ("h", "target", "complaint"),
    [
        (ones, np.ones((3, 2)), r"target: shape \(3, 2\) differs from h's \(2, 3\)"),
        (ones, np.ones(3), r"target: shape \(3,\) differs"),
        (ones * np.nan, ones, r"h: 6 of 6 entries are NaN or Inf, the first is nan at \(0, 0\)"),
        (ones, ones * [1, 1, np.inf], r"target: 2 of 6 .* the first is inf at \(0, 2\)"),
        (np.ones((0, 3)), np.ones((0, 3)), r"h: empty, shape \(0, 3\)"),
        (ones.astype(int), ones, "h: expected floating-point numbers, found int64"),
        (ones, ones > 0, "target: expected floating-point numbers, found bool"),
        (ones.astype("uint8"), ones, "h: .* found uint8; images need scaling first.*255"),
        (ones.astype(complex), ones, "h: expected floating-point numbers, found dtype complex128"),
        (torch.ones(2, dtype=torch.complex64), torch.ones(2), "h: .* found complex64"),
        (ones.astype(str), ones, "h: expected floating-point numbers, found dtype <U"),
        (ones.tolist(), ones, "h: expected a NumPy array or a torch tensor, found list"),
        (ones, None, "target: expected a NumPy array or a torch tensor, found NoneType"),
        (0.5, ones, "h: expected a NumPy array or a torch tensor, found float"),
        (ones, torch.ones(2, 3), "target: found Tensor where h is ndarray; pass both"),
        (torch.ones(2, 3), ones, "target: found ndarray where h is Tensor; pass both"),
    ],
)
def test_bad_arrays_are_named(h, target, complaint):
    with pytest.raises(ValueError, match=complaint):
        reflect(h, target)


def test_an_unknown_activation_is_named():
    with pytest.raises(ValueError, match="activation: unknown 'sigmoid'; known: erf"):
        reflect(ones, ones, "sigmoid")
