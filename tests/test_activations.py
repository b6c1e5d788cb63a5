"""Activations against their formulas in 60-digit arithmetic."""

import copy
import math
import pickle

import mpmath
import numpy as np
import pytest
import torch

from erlib.activations import NAMES, activation

EXACT = {
    "tanh": mpmath.tanh,
    "erf": mpmath.erf,
    "softsign": lambda h: h / (1 + abs(h)),
    "identity": lambda h: h,
    "relu": lambda h: max(h, mpmath.mpf(0)),
    # erlib's leak is the float64 number 0.01
    "leaky_relu": lambda h: h if h >= 0 else mpmath.mpf(0.01) * h,
}
SMOOTH = ("tanh", "erf", "softsign", "identity")
every_activation = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def sixty_digits():
    with mpmath.workdps(60):
        yield


def fields(low=1e-300, high=1e3, dtype=torch.float64):
    """Both signs, a dense logarithmic grid and random numbers between."""
    size = np.geomspace(low, high, 700)
    span = np.random.default_rng(0).uniform(math.log(low), math.log(high), 300)
    size = np.concatenate([size, np.exp(span)])
    size = size[(size >= low) & (size <= high)]
    return torch.from_numpy(np.concatenate([size, -size])).to(dtype)


def exact(formula, values):
    return [formula(mpmath.mpf(value)) for value in values.tolist()]


def worst_relative(found, wanted):
    """Largest relative difference; where 0 is wanted, 0 must be found."""
    pairs = list(zip(found.tolist(), wanted))
    assert all(value == 0 for value, true in pairs if true == 0)
    return float(max(abs(value - true) / abs(true) for value, true in pairs if true != 0))


def exact_factor(name):
    """g = h / f(h) from its definition; 0 where f is 0 on an interval."""
    return lambda h: h / EXACT[name](h) if EXACT[name](h) != 0 else mpmath.mpf(0)


@every_activation
def test_the_factor_is_h_over_f(name):
    h = fields()
    assert worst_relative(activation(name).factor(h), exact(exact_factor(name), h)) < 1e-14


@every_activation
def test_the_factor_in_float32_is_right_to_a_few_units_in_the_last_place(name):
    h = fields(low=1e-37, dtype=torch.float32)
    found = activation(name).factor(h)
    assert found.dtype == torch.float32
    assert worst_relative(found, exact(exact_factor(name), h)) < 4 * torch.finfo(torch.float32).eps


@every_activation
def test_the_output(name):
    h = fields()
    assert worst_relative(activation(name).f(h), exact(EXACT[name], h)) < 1e-14


@every_activation
def test_the_slope_is_the_derivative_of_the_output(name):
    h = fields(low=1e-3, high=6)[::7]
    slope = exact(lambda value: mpmath.diff(EXACT[name], value, h=mpmath.mpf("1e-20")), h)
    assert worst_relative(activation(name).slope(h), slope) < 1e-13


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16], ids=str)
def test_at_zero_the_factor_is_one_over_the_slope(name, dtype):
    zero = torch.tensor([0.0, -0.0], dtype=dtype)
    slope = mpmath.diff(EXACT[name], 0)
    assert activation(name).f(zero).tolist() == [0, 0]
    eps = torch.finfo(dtype).eps
    assert worst_relative(activation(name).slope(zero), [slope] * 2) < 2 * eps
    assert worst_relative(activation(name).factor(zero), [1 / slope] * 2) < 2 * eps


def test_kinks_belong_to_one_side():
    zero = torch.tensor([0.0, -0.0], dtype=torch.float64)
    relu, leaky = activation("relu"), activation("leaky_relu")
    assert relu.slope(zero).tolist() == relu.factor(zero).tolist() == [0, 0], "zero is off"
    assert leaky.slope(zero).tolist() == leaky.factor(zero).tolist() == [1, 1], "zero is on"


@every_activation
def test_the_factor_is_the_inverse_slope_somewhere_between_zero_and_h(name):
    # S4: 1/f'(0) <= g(h) <= 1/f'(h), both ends included; the off side of relu has no ratio.
    h = fields(low=1e-3, high=5)
    h = h[h > 0] if name == "relu" else h
    known = activation(name)
    at_zero = known.slope(torch.copysign(torch.full_like(h, 1e-300), h))
    assert (known.factor(h) * at_zero >= 1 - 1e-15).all()
    assert (known.factor(h) * known.slope(h) <= 1 + 1e-15).all()


def test_the_factor_grows_like_h_where_the_inverse_slope_explodes():
    six = torch.tensor(6.0, dtype=torch.float64)
    assert activation("tanh").factor(six).item() == pytest.approx(6.0, abs=1e-3)
    assert 1 / activation("tanh").slope(six).item() == pytest.approx(40_689, abs=1)


@every_activation
def test_the_inverse_gives_back_the_field(name):
    h = fields(low=1e-300, high=3)
    h = h[h >= 0] if name == "relu" else h
    known = activation(name)
    back = known.inverse(known.f(h))
    # The rounding of f(h) alone moves h by eps f / (f' h), at h = 3 for erf 1e4 units.
    allowed = 4e-16 * (2 + (known.f(h) / (known.slope(h) * h)).abs())
    assert ((back - h).abs() <= allowed * h.abs()).all()


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("tanh", [-1, -0.5, 0, 1], [-1.001, 1.001, 5]),
        ("erf", [-1, -0.5, 0, 1], [-1.001, 1.001, 5]),
        ("softsign", [-0.999, 0, 0.999], [-1, 1, -1.5, 5]),
        ("identity", [-9, 0, 9], []),
        ("relu", [0, 9], [-1e-300, -9]),
        ("leaky_relu", [-9, 0, 9], []),
    ],
    ids=NAMES,
)
def test_the_inverse_is_nan_just_where_f_never_comes(name, inside, outside):
    known = activation(name)
    inside = torch.tensor(inside, dtype=torch.float64)
    assert not known.inverse(inside).isnan().any()
    assert known.f(known.inverse(inside)).tolist() == pytest.approx(inside.tolist(), rel=1e-14)
    assert known.inverse(torch.tensor(outside, dtype=torch.float64)).isnan().all()


@every_activation
@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str
)
def test_every_formula_keeps_dtype_and_shape(name, dtype):
    h = torch.tensor([[-0.75, 0.0, 0.5]], dtype=dtype)
    for formula in ("f", "slope", "factor", "inverse"):
        found = getattr(activation(name), formula)(h)
        assert found.dtype == dtype and found.shape == h.shape, formula
        assert found.data_ptr() != h.data_ptr() or name == "identity"


def test_an_activation_is_found_by_name_and_passes_through():
    for name in NAMES:
        assert activation(name).name == name
        assert activation(activation(name)) is activation(name)
    assert repr(activation("erf")) == "Activation('erf')"


@every_activation
def test_a_copy_of_an_activation_is_the_same_object(name):
    known = activation(name)
    assert copy.copy(known) is known
    assert copy.deepcopy({"of": [known]})["of"][0] is known
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(known, protocol)) is known


@pytest.mark.parametrize("name", ["sigmoid", "Tanh", "", None, 3, ["tanh"], torch.tanh], ids=repr)
def test_an_unknown_name_is_answered_with_the_known_ones(name):
    with pytest.raises(ValueError, match=r"activation: unknown .*known: erf, .*tanh"):
        activation(name)
