"""`target_propagation` against loops over samples, and against backpropagation where they agree."""

import numpy as np
import pytest
import torch

from erlib import ERNetwork
from erlib.baselines import backprop, target_propagation


def problem(n=25):
    random = torch.Generator().manual_seed(2)
    x = torch.randn(n, 5, generator=random, dtype=torch.float64)
    return x, torch.randint(3, (n,), generator=random)


def test_a_single_layer_is_backpropagation():
    x, labels = problem()
    one, other = (ERNetwork.dense([5, 3], dtype=torch.float64) for _ in range(2))
    for step in (target_propagation(one, rate=0.01), backprop(other, rate=0.01)):
        for _ in range(3):
            step(x, labels)
    torch.testing.assert_close(one(x), other(x), rtol=1e-10, atol=1e-12)


def test_gradients_are_those_of_the_local_losses():
    x, labels = problem()
    net = ERNetwork.dense([5, 8, 6, 3], activation="tanh", dtype=torch.float64)
    weights = [layer.weight.detach().numpy().copy() for layer in net.layers]
    a0 = x.numpy()
    a1 = np.tanh(a0 @ weights[0])
    a2 = np.tanh(a1 @ weights[1])
    scores = a2 @ weights[2]
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    wanted = 0.7 * (np.eye(3)[labels.numpy()] - p)

    def inverse(outputs, inputs):  # ridge regression with a bias, by stacked rows
        centred = outputs - outputs.mean(0)
        penalty = 0.2 * (centred**2).sum() / centred.shape[1]
        rows = np.vstack([centred, np.sqrt(penalty) * np.eye(centred.shape[1])])
        right = np.vstack([inputs - inputs.mean(0), np.zeros((centred.shape[1], inputs.shape[1]))])
        return np.linalg.lstsq(rows, right, rcond=None)[0]

    to_two = wanted @ inverse(scores, a2)
    to_one = to_two @ inverse(a2, a1)
    target_propagation(net, rate=1e-9, target_step=0.7, ridge=0.2)(x, labels)
    expected = [
        sum(np.outer(a, d * (1 - t**2)) for a, d, t in zip(a0, to_one, a1)),
        sum(np.outer(a, d * (1 - t**2)) for a, d, t in zip(a1, to_two, a2)),
        sum(np.outer(a, d) for a, d in zip(a2, wanted)),
    ]
    for layer, total in zip(net.layers, expected):
        found = layer.linear.weight.grad.numpy().T
        np.testing.assert_allclose(found, -total / len(x), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"rate": 0}, "rate"), ({"target_step": -1}, "target_step"), ({"ridge": -1}, "ridge")],
)
def test_bad_settings_are_named(wrong, named):
    with pytest.raises(ValueError, match=f"^{named}"):
        target_propagation(ERNetwork.dense([2, 2]), **wrong)
