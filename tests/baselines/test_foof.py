"""`foof` against its formula, written out for one layer at a time."""

import pytest
import torch
from torch.nn import functional

from erlib import ERNetwork
from erlib.baselines import foof


def problem(n=30):
    random = torch.Generator().manual_seed(1)
    x = torch.randn(n, 5, generator=random, dtype=torch.float64)
    return x, torch.randint(3, (n,), generator=random)


def test_change_is_the_gradient_divided_by_the_gram_matrix():
    x, labels = problem()
    net = ERNetwork.dense([5, 7, 3], hidden_bias=True, dtype=torch.float64)
    weights = [layer.linear.weight.detach().clone() for layer in net.layers]
    inputs, _ = net.trace(x)
    functional.cross_entropy(net(x), labels, reduction="sum").backward()
    gradients = [layer.linear.weight.grad for layer in net.layers]
    bias_gradients = [layer.linear.bias.grad for layer in net.layers]
    foof(net, rate=0.5, ridge=0.2)(x, labels)
    for layer, before, a, gradient, summed in zip(
        net.layers, weights, inputs, gradients, bias_gradients
    ):
        a = a.detach()
        centred = a - a.mean(0)
        gram = centred.T @ centred
        gram += 0.2 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
        # The gradient with respect to weights of centred inputs: the bias takes up the mean.
        of_centred = gradient - torch.outer(summed, a.mean(0))
        expected = -0.5 * torch.linalg.solve(gram, of_centred.T).T
        torch.testing.assert_close(layer.linear.weight - before, expected, rtol=1e-9, atol=1e-12)


def test_a_huge_ridge_gives_the_direction_of_the_gradient():
    x, labels = problem()
    net = ERNetwork.dense([5, 7, 3], dtype=torch.float64)
    functional.cross_entropy(net(x), labels).backward()
    before, gradient = (
        net.layers[0].linear.weight.detach().clone(),
        net.layers[0].linear.weight.grad,
    )
    foof(net, rate=1.0, ridge=1e5)(x, labels)
    change = net.layers[0].linear.weight - before
    cosine = functional.cosine_similarity(change.flatten(), -gradient.flatten(), dim=0)
    assert cosine > 1 - 1e-9


@pytest.mark.parametrize(("wrong", "named"), [({"rate": 0}, "rate"), ({"ridge": -1}, "ridge")])
def test_bad_settings_are_named(wrong, named):
    with pytest.raises(ValueError, match=f"^{named}"):
        foof(ERNetwork.dense([2, 2]), **{"rate": 1.0, **wrong})
