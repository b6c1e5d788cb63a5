"""The implicit loss against quadrature, closed forms and finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from references import output, ratio_field
from scipy import integrate, special

from erlib import reflect
from erlib.activations import NAMES, activation
from erlib.theory.implicit_loss import implicit_loss

EXAMPLES = settings(deadline=None, max_examples=40, derandomize=True)
every_activation = pytest.mark.parametrize("name", NAMES)
ODD = [name for name in NAMES if "relu" not in name]


def loss(h, target, name="tanh"):
    return implicit_loss(np.array([float(h)]), np.array([float(target)]), name)[0]


@every_activation
@pytest.mark.parametrize("target", [-1.5, -1.0, 0.0, 0.3, 1.0])
def test_it_is_the_work_against_reflection(name, target):
    def force(u):
        return u - ratio_field(np.array(u), np.array(target), name)

    for h in (-6.0, -1.3, -0.02, 0.5, 2.0, 9.0):
        by_quadrature = integrate.quad(force, 0, h, epsabs=1e-13, epsrel=1e-13, limit=200)[0]
        assert loss(h, target, name) == pytest.approx(by_quadrature, rel=1e-11, abs=1e-12)


def test_tanh_has_a_closed_form():
    # The antiderivative of u coth u, by the dilogarithm.
    h = np.concatenate([-np.logspace(-2, 2, 60), np.logspace(-2, 2, 60)])
    size = abs(h)
    phi = size**2 / 2 + size * np.log1p(-np.exp(-2 * size)) + np.pi**2 / 12
    phi -= special.spence(1 - np.exp(-2 * size)) / 2
    for target in (-1.0, 0.4, 1.0):
        wanted = h**2 / 2 - target * np.sign(h) * phi
        np.testing.assert_allclose(
            implicit_loss(h, np.full_like(h, target)), wanted, rtol=1e-11, atol=1e-12 * size.max()
        )


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("identity", lambda h, t: h**2 / 2 - t * h),
        ("softsign", lambda h, t: h**2 / 2 - t * (h + h * abs(h) / 2)),
        ("relu", lambda h, t: np.where(h > 0, h**2 / 2 - t * h, 0)),
        ("leaky_relu", lambda h, t: h**2 / 2 - t * np.where(h > 0, h, 100 * h)),
    ],
)
def test_closed_forms_of_the_simple_units(name, formula):
    h = np.linspace(-5, 5, 41)
    for target in (-1.0, 0.0, 2.0):
        found = implicit_loss(h, np.full_like(h, target), name)
        np.testing.assert_allclose(found, formula(h, target), rtol=1e-12, atol=1e-12)


@every_activation
@EXAMPLES
@given(h=st.floats(-20, 20).filter(lambda h: abs(h) > 1e-3), target=st.floats(-3, 3))
def test_its_downhill_force_is_the_step_of_reflection(name, h, target):
    step = 1e-4
    slope = (loss(h + step, target, name) - loss(h - step, target, name)) / (2 * step)
    wanted = h - reflect(np.array([h]), np.array([target]), name)[0]
    assert slope == pytest.approx(wanted, rel=1e-5, abs=1e-5)


@every_activation
def test_a_field_of_zero_has_no_loss(name):
    assert loss(0, 1, name) == 0


@pytest.mark.parametrize("name", ODD)
@EXAMPLES
@given(h=st.floats(-20, 20), target=st.floats(-3, 3))
def test_it_does_not_tell_up_from_down(name, h, target):
    assert loss(-h, -target, name) == loss(h, target, name)


@pytest.mark.parametrize("name", ["tanh", "erf", "softsign", "identity"])
@pytest.mark.parametrize("target", [-0.9, -0.2, 0.0, 0.6])
def test_its_minimum_is_where_observed_is_predicted(name, target):
    unit = activation(name)
    lowest = unit.inverse(torch.tensor(target, dtype=torch.float64)).item()
    assert output(np.array(lowest), name) == pytest.approx(target, abs=1e-12)
    for away in (-0.5, -0.01, 0.01, 0.5):
        assert loss(lowest + away, target, name) > loss(lowest, target, name)


def test_arrays_of_every_kind():
    h, target = np.linspace(-2, 2, 12).reshape(3, 4), np.ones((3, 4))
    found = implicit_loss(h, target)
    assert found.shape == (3, 4) and found.dtype == np.float64
    single = implicit_loss(torch.tensor(h).float(), torch.tensor(target).float())
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single, found, rtol=1e-5, atol=1e-6)


ones = np.ones((2, 3))


@pytest.mark.parametrize(
    ("h", "target", "name", "complaint"),
    [
        (ones, ones.T, "tanh", r"target: shape \(3, 2\) differs from h's \(2, 3\)"),
        (ones * np.nan, ones, "tanh", "h: 6 of 6 entries are NaN or Inf"),
        (ones, ones * np.inf, "tanh", "target: 6 of 6 entries are NaN or Inf"),
        (ones[:0], ones[:0], "tanh", "h: empty"),
        (ones.astype(int), ones, "tanh", "h: expected floating-point numbers, found int64"),
        (ones, torch.ones(2, 3), "tanh", "target: found Tensor where h is ndarray"),
        (ones, ones, "sigmoid", "activation: unknown 'sigmoid'"),
    ],
)
def test_bad_input_is_named(h, target, name, complaint):
    with pytest.raises(ValueError, match=complaint):
        implicit_loss(h, target, name)
