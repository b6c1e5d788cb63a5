"""`rifle` against a loop written out, its renewals against least squares, and on new classes."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import erlib
from erlib import ERNetwork
from erlib.baselines import backprop, train
from erlib.baselines.rifle import rifle


def problem(n=60):
    random = torch.Generator().manual_seed(4)
    x = torch.randn(n, 5, generator=random, dtype=torch.float64)
    return x, torch.randint(3, (n,), generator=random)


def network():
    return ERNetwork.dense([5, 7, 3], hidden_bias=True, dtype=torch.float64)


def test_it_is_the_loop_written_out():
    x, labels = problem()
    net = network()
    hidden, readout = (layer.linear for layer in network().layers)
    weights = [hidden.weight, hidden.bias, readout.weight, readout.bias]
    buffers = [torch.zeros_like(weight) for weight in weights]
    random = torch.Generator().manual_seed(9)
    step = rifle(net, rate=0.2, updates=9, periods=2, seed=9)
    for t in range(11):
        if t in (0, 4):  # 4 updates, then 5
            draw = torch.randn(7, 3, generator=random, dtype=torch.float64)
            with torch.no_grad():
                readout.weight.copy_(draw.T / math.sqrt(7))
                readout.bias.zero_()
        part = t / 4 if t < 4 else (t - 4) / 5
        above, below = (
            0.1 * (1 + math.cos(math.pi * min(1, share))) if t < 9 else 0 for share in (part, t / 9)
        )
        loss = functional.cross_entropy(readout(hidden(x).relu()), labels)
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for i, gradient in enumerate(gradients):
                buffers[i] = 0.9 * buffers[i] + gradient
                weights[i] -= (below if i < 2 else above) * buffers[i]
        step(x, labels)
        torch.testing.assert_close(net.layers[0].linear.weight, hidden.weight, rtol=1e-10, atol=0)
        torch.testing.assert_close(net(x), readout(hidden(x).relu()), rtol=1e-10, atol=1e-12)
    assert step.renewals == 2


def test_a_solved_readout_is_least_squares_on_what_the_hidden_layer_gives():
    x, labels = problem()
    net = network()
    hidden = net.layers[0].linear(x).relu().detach().numpy()
    rifle(net, rate=1e-13, updates=1, periods=1, solve=(x, labels))(x[:8], labels[:8])
    rows = np.hstack([hidden, np.ones((60, 1))])
    coded = 2.0 * np.eye(3)[labels.numpy()] - 1
    fields = rows @ np.linalg.lstsq(rows, coded, rcond=None)[0]
    np.testing.assert_allclose(net(x).detach().numpy(), fields, rtol=0, atol=1e-4)


def test_a_new_readout_lets_gradients_reach_the_layer_below():
    x, labels = problem(n=12)
    net = network()
    step = rifle(net, rate=0.3, updates=402, periods=2)
    sizes = []
    for _ in range(202):
        step(x, labels)
        sizes.append(net.layers[0].linear.weight.grad.norm().item())
    assert sizes[201] > 10 * sizes[200]  # the 202nd is the first of the second period


def test_a_single_layer_and_a_convolution_are_served():
    x, labels = problem()
    net = ERNetwork.dense([5, 3], dtype=torch.float64)
    before = functional.cross_entropy(net(x), labels)
    step = rifle(net, rate=0.3, updates=40, periods=2, solve=(x, labels))
    for _ in range(40):
        step(x, labels)
    assert functional.cross_entropy(net(x), labels) < before
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)]
    net = ERNetwork([layer.double() for layer in layers])
    images = torch.cat([x, x[:, :1] ** 2, x[:, 1:2] ** 2, x**3], 1)[:, :12].reshape(-1, 1, 3, 4)
    step = rifle(net, rate=0.01, updates=4, periods=2, solve=(images, labels))
    for _ in range(4):
        step(images, labels)
    assert step.renewals == 2 and torch.isfinite(net(images)).all()


def test_on_new_classes_a_solved_readout_knows_at_once_what_a_drawn_one_has_to_learn():
    data = erlib.load("digits")
    first, held = data.y_train < 5, data.y_test >= 5
    x, y = data.x_train[~first], data.y_train[~first] - 5
    x_held, y_held = data.x_test[held], data.y_test[held] - 5
    at_once, trained = [], []
    for solve in (None, (x, y)):
        net = ERNetwork.dense([64, 50, 5])
        known = data.x_train[first], data.y_train[first]
        train(net, *known, backprop(net, rate=0.01), passes=3, batch_size=32)
        rifle(net, rate=1e-9, updates=1, periods=1, solve=solve)(x[:32].flatten(1), y[:32])
        at_once.append(net.score(x_held, y_held))
        step = rifle(net, rate=0.03, updates=110, solve=solve)
        trained.append(train(net, x, y, step, passes=5, batch_size=32).score(x_held, y_held))
    assert at_once[0] < 0.5 and at_once[1] > 0.9
    assert min(trained) > 0.93


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"rate": 0}, "rate"),
        ({"updates": 0}, "updates"),
        ({"periods": 0}, "periods"),
        ({"periods": 11}, "periods"),
        ({"seed": -1}, "seed"),
        ({"solve": (torch.ones(2, 4), torch.tensor([0, 1]))}, "x"),
        ({"solve": (torch.ones(2, 5), torch.tensor([0, 3]))}, "y"),
    ],
)
def test_bad_settings_are_named(wrong, named):
    with pytest.raises(ValueError, match=f"^{named}"):
        rifle(network(), **{"rate": 1.0, "updates": 10, **wrong})
