"""`likelihood_ratio` against autograd through smoothed losses, and its variance."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

from erlib import ERNetwork
from erlib.baselines.forward_gradient import forward_gradient
from erlib.baselines.likelihood_ratio import likelihood_ratio


def problem(n=3, classes=2):
    random = torch.Generator().manual_seed(4)
    x = torch.randn(n, 3, generator=random, dtype=torch.float64)
    return x, torch.randint(classes, (n,), generator=random)


def network(*sizes):
    return ERNetwork.dense(sizes, activation="tanh", hidden_bias=True, dtype=torch.float64)


def flat(parts):
    return torch.cat([part.flatten() for part in parts])


def gradient(net, loss, layers=None):
    parameters = [p for layer in layers or net.layers for p in layer.parameters()]
    return flat(torch.autograd.grad(loss, parameters))


def smoothed(net, x, labels, noise, noisy):
    """E[loss] with noise in the two units of each noisy layer, by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    axes = 2 * len(noisy)
    grid = torch.tensor(list(itertools.product(nodes, repeat=axes)))
    share = torch.tensor(list(itertools.product(weights, repeat=axes))).prod(1)
    below, left = x[:, None], grid
    for index, layer in enumerate(net.layers):
        field = below @ layer.weight + layer.bias
        if index in noisy:
            field, left = field + noise * left[:, :2], left[:, 2:]
        below = torch.tanh(field)
    return -(field.log_softmax(2)[range(len(x)), :, labels] @ share / share.sum()).mean()


@pytest.mark.parametrize("antithetic", [True, False])
@pytest.mark.parametrize("layerwise", [True, False])
def test_mean_is_the_gradient_of_the_smoothed_loss(layerwise, antithetic):
    (x, labels), net, noise = problem(), network(3, 2, 2), 1.5
    if layerwise:
        expected = [
            gradient(net, smoothed(net, x, labels, noise, [i]), [layer])
            for i, layer in enumerate(net.layers)
        ]
        expected = torch.cat(expected)
    else:
        expected = gradient(net, smoothed(net, x, labels, noise, [0, 1]))
    how = {"layerwise": layerwise, "antithetic": antithetic}
    step = likelihood_ratio(net, rate=1.0, noise=noise, copies=200_000, **how)
    found = flat(step.estimate(x, labels))
    assert (found - expected).norm() < 0.02 * expected.norm()
    # The smoothed loss is another one than the loss.
    clean = gradient(net, functional.cross_entropy(net(x), labels))
    assert (found - clean).norm() > 0.1 * clean.norm()


def test_with_small_noise_the_mean_is_the_gradient():
    (x, labels), net = problem(n=6, classes=3), network(3, 5, 3)
    clean = gradient(net, functional.cross_entropy(net(x), labels))
    step = likelihood_ratio(net, rate=1.0, noise=0.01, copies=20_000)
    assert (flat(step.estimate(x, labels)) - clean).norm() < 0.02 * clean.norm()


def test_with_vanishing_noise_a_pair_is_a_draw_of_the_forward_gradient():
    (x, labels), net = problem(n=6, classes=3), network(3, 3)
    pairs = likelihood_ratio(net, rate=1.0, noise=1e-4, copies=8, seed=7).estimate(x, labels)
    forward = forward_gradient(net, rate=1.0, perturb="fields", draws=4, seed=7)
    torch.testing.assert_close(flat(pairs), flat(forward.estimate(x, labels)), rtol=1e-5, atol=1e-8)


def variance(net, x, labels, repeats=400, **settings):
    step = likelihood_ratio(net, rate=1.0, **settings)
    found = torch.stack([flat(step.estimate(x, labels)) for _ in range(repeats)])
    return float(found.var(0).sum())


@pytest.mark.parametrize("antithetic", [True, False])
def test_variance_falls_as_one_over_the_copies(antithetic):
    data, net = problem(n=6, classes=3), network(3, 5, 3)
    few, many = (variance(net, *data, copies=c, antithetic=antithetic) for c in (4, 40))
    assert few / many == pytest.approx(10, rel=0.15)


@pytest.mark.parametrize("layerwise", [True, False])
def test_antithetic_pairs_have_less_variance_the_more_so_for_small_noise(layerwise):
    data, net = problem(n=6, classes=3), network(3, 5, 3)
    less = {}
    for noise in (0.1, 1.0):
        how = {"copies": 20, "noise": noise, "layerwise": layerwise}
        single, paired = (variance(net, *data, antithetic=a, **how) for a in (False, True))
        less[noise] = single / paired
    assert less[0.1] > 30 and less[1.0] > 1


def test_noise_in_one_layer_at_a_time_has_less_variance():
    data, net = problem(n=6, classes=3), network(3, 5, 5, 3)
    one, all_ = (variance(net, *data, copies=20, layerwise=w) for w in (True, False))
    assert one < all_


def test_a_step_moves_the_weights_against_the_estimate_and_declines():
    (x, labels), net, other = problem(), network(3, 5, 2), network(3, 5, 2)
    step = likelihood_ratio(net, rate=0.5, updates=2, copies=4, seed=3)
    estimate = likelihood_ratio(other, rate=0.5, copies=4, seed=3).estimate
    for share in (0.5, 0.25, 0.0):
        before = flat(net.parameters()).detach()
        other.load_state_dict(net.state_dict())
        expected = before - share * flat(estimate(x, labels))
        assert torch.equal(flat(other.parameters()), before)
        step(x, labels)
        torch.testing.assert_close(flat(net.parameters()).detach(), expected)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"rate": 0}, "rate"),
        ({"noise": 0}, "noise"),
        ({"copies": 0}, "copies"),
        ({"copies": 3}, "copies: 3"),
        ({"updates": 0}, "updates"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_settings_are_named(wrong, named):
    with pytest.raises(ValueError, match=f"^{named}"):
        likelihood_ratio(network(3, 2), **{"rate": 1.0, **wrong})
