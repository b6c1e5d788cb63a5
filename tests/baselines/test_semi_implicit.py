"""`semi_implicit`: the proximal problem against a dense solver, and its two limits."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from erlib import ERNetwork
from erlib.baselines import semi_implicit


def problem(n=30):
    random = torch.Generator().manual_seed(3)
    x = torch.randn(n, 5, generator=random, dtype=torch.float64)
    return x, torch.randint(3, (n,), generator=random)


def test_a_linear_layer_gets_the_proximal_solution():
    x, labels = problem()
    net = ERNetwork.dense([5, 3], dtype=torch.float64)
    wanted = 2.0 * (functional.one_hot(labels, 3) - net(x).detach().softmax(1)).numpy()
    before = net.layers[0].weight.detach().numpy().copy()
    semi_implicit(net, rate=2.0, proximity=0.5, steps=20)(x, labels)
    with_bias = np.hstack([x.numpy(), np.ones((len(x), 1))])
    penalty = 0.5 * (with_bias**2).mean() * len(x)
    rows = np.vstack([with_bias, np.sqrt(penalty) * np.eye(6)])
    solution = np.linalg.lstsq(rows, np.vstack([wanted, np.zeros((6, 3))]), rcond=None)[0]
    change = net.layers[0].weight.detach().numpy() - before
    np.testing.assert_allclose(change, solution[:-1], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(net.layers[0].bias.detach(), solution[-1], rtol=1e-9, atol=1e-12)


def test_far_from_free_it_is_gradient_descent():
    x, labels = problem()
    net = ERNetwork.dense([5, 8, 3], dtype=torch.float64)
    before = [layer.linear.weight.detach().clone() for layer in net.layers]
    functional.cross_entropy(net(x), labels).backward()
    gradients = [layer.linear.weight.grad for layer in net.layers]
    semi_implicit(net, rate=1.0, proximity=1e7)(x, labels)
    for layer, old, gradient in zip(net.layers, before, gradients):
        change = (layer.linear.weight - old).flatten()
        assert functional.cosine_similarity(change, -gradient.flatten(), dim=0) > 1 - 1e-6


def test_it_brings_the_loss_down():
    x, _ = problem(200)
    labels = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    net = ERNetwork.dense([5, 20, 3], dtype=torch.float64)
    first = functional.cross_entropy(net(x), labels).item()
    step = semi_implicit(net, rate=1.0)
    for _ in range(30):
        step(x, labels)
    assert functional.cross_entropy(net(x), labels).item() < 0.5 * first


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"rate": 0}, "rate"), ({"proximity": 0}, "proximity"), ({"steps": 0}, "steps")],
)
def test_bad_settings_are_named(wrong, named):
    with pytest.raises(ValueError, match=f"^{named}"):
        semi_implicit(ERNetwork.dense([2, 2]), **{"rate": 1.0, **wrong})
