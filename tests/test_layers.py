"""The layers of a network: checked when given, a linear map by loops, inverse and assignment."""

import copy

import numpy as np
import pytest
import torch
from references import field, inverted
from torch import nn

from erlib.activations import activation
from erlib.layers import DenseLayer
from erlib.modules import paired

with_and_without_bias = pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])


def linear(d_in=4, d_out=3, bias=True, seed=0, dtype=torch.float64):
    layer = nn.Linear(d_in, d_out, bias=bias, dtype=dtype)
    generator = torch.Generator().manual_seed(seed)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, generator=generator)
    return layer


def dense(**options):
    return DenseLayer(linear(**options), activation("tanh"))


@with_and_without_bias
def test_the_field_is_x_w_plus_b(bias):
    layer, x = dense(bias=bias), np.random.default_rng(0).normal(size=(7, 4))
    assert layer.weight.shape == (4, 3), "row-major, unlike torch"
    with torch.no_grad():
        weight = layer.weight.numpy()
        wanted = field(x, weight, layer.bias.numpy() if bias else None)
        np.testing.assert_allclose(layer.field(torch.tensor(x)), wanted, rtol=1e-13)
        np.testing.assert_allclose(layer.linear(torch.tensor(x)), wanted, rtol=1e-13)
        other = torch.tensor(2 * weight), torch.ones(3, dtype=torch.float64) if bias else None
        wanted = field(x, 2 * weight, np.ones(3) if bias else None)
        np.testing.assert_allclose(layer.field(torch.tensor(x), *other), wanted, rtol=1e-13)


@with_and_without_bias
def test_weights_are_taken_over_or_moved_by_a_share(bias):
    layer, new = dense(bias=bias), (torch.ones(4, 3), torch.full((3,), 5.0))
    before = layer.weight.clone(), None if layer.bias is None else layer.bias.clone()
    parameter = layer.linear.weight
    with torch.no_grad():
        layer.assign(*new, share=0.25)
        torch.testing.assert_close(layer.weight, before[0] + 0.25)
        if bias:
            torch.testing.assert_close(layer.bias, before[1] + 1.25)
        layer.assign(*new)
    assert (layer.weight == 1).all() and (layer.bias is None or (layer.bias == 5).all())
    assert layer.linear.weight is parameter and layer.weight.dtype == torch.float64, "in place"


@with_and_without_bias
def test_regression_sees_inputs_and_fields_as_they_are(bias):
    layer, x, h = dense(bias=bias), torch.ones(2, 4), torch.ones(2, 3)
    assert layer.rows(x, h) == (x, h)
    assert layer.moments().fit_intercept == bias and not layer.moments().n


@pytest.mark.parametrize(
    "inverse",
    [{"method": "pinv"}, {"method": "damped", "damping": 0.5}, {"method": "cg", "steps": 2}],
    ids=lambda inverse: inverse["method"],
)
def test_to_below_is_the_inverse_mapping_of_the_weights(inverse):
    layer, delta = dense(), np.random.default_rng(0).normal(size=(5, 3))
    with torch.no_grad():
        near = layer.near(torch.zeros(5, 4, dtype=torch.float64))
        found = layer.to_below(**inverse)(torch.tensor(delta), near)
        np.testing.assert_allclose(found, inverted(delta, layer.weight.numpy(), **inverse))


# ---------------------------------------------------------------- what is given


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (nn.Tanh(), "tanh"),
        (nn.ReLU(), "relu"),
        (nn.ReLU(inplace=True), "relu"),
        (nn.LeakyReLU(), "leaky_relu"),
        (nn.Identity(), "identity"),
        (nn.Softsign(), "softsign"),
        ("erf", "erf"),
        (activation("erf"), "erf"),
    ],
    ids=str,
)
def test_torch_activations_and_names_mean_the_same(given, name):
    first, second = linear(), linear(3, 2)
    layers = paired([first, given, second], activation("identity"))
    assert [layer.activation.name for layer in layers] == [name, "identity"]
    assert [layer.linear for layer in layers] == [first, second], "the modules, not copies"
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    if isinstance(given, nn.Module):
        torch.testing.assert_close(layers[0].activation.f(x), copy.deepcopy(given)(x.clone()))


def test_any_sequence_of_modules_will_do():
    modules = [linear(), nn.ReLU(), linear(3, 2)]
    for given in (modules, tuple(modules), nn.Sequential(*modules)):
        assert [type(layer) for layer in paired(given, activation("tanh"))] == [DenseLayer] * 2


BAD = {
    "empty": ([], r"layers: expected a non-empty list of torch layers, found \[\]"),
    "no list": (linear(), "layers: expected a non-empty list .*found Linear"),
    "text": ("relu", "layers: expected a non-empty list .*found 'relu'"),
    "activation last": ([linear(), nn.ReLU()], "layers: the last one must be a Linear"),
    "activation first": (
        ["relu"],
        r"layers\[0\]: expected a layer of torch.nn, found 'relu'; known: Linear, ",
    ),
    "no activation": (
        [linear(), linear(3, 3), linear(3, 2)],
        r"layers\[1\]: expected an activation, found Linear",
    ),
    "width": (
        [linear(), "relu", linear(5, 2)],
        r"layers\[2\]: takes 5 inputs, the layer before has 3 outputs",
    ),
    "unknown module": (
        [linear(), nn.GELU(), linear(3, 2)],
        r"layers\[1\]: expected an activation, found GELU.*; known: Tanh, ReLU, .*leaky_relu",
    ),
    "unknown name": ([linear(), "gelu", linear(3, 2)], "activation: unknown 'gelu'; known: erf"),
    "another leak": (
        [linear(), nn.LeakyReLU(0.2), linear(3, 2)],
        r"layers\[1\]: LeakyReLU only with slope 0.01, found LeakyReLU\(negative_slope=0.2\)",
    ),
    "mixed dtypes": (
        [linear(), "relu", linear(3, 2, dtype=torch.float32)],
        r"layers\[2\]: found torch.float32, expected .*the same in all layers",
    ),
    "half precision": (
        [linear(dtype=torch.float16)],
        r"layers\[0\]: found torch.float16, expected torch.float32 or torch.float64",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_network_is_refused(case):
    given, complaint = BAD[case]
    with pytest.raises(ValueError, match=complaint):
        paired(given, activation("tanh"))
