"""`evbmf` against a slow minimiser of its free energy; `adas` against its rule by hand."""

import math
import sys

import numpy as np
import pytest
import torch
from scipy import optimize
from torch import nn
from torch.nn import functional

import erlib
from erlib import ERNetwork
from erlib.baselines.adas import adas
from erlib.baselines.knowledge_gain import evbmf, knowledge_gain

module = sys.modules[adas.__module__]  # `erlib.baselines.adas` is the function


def matrix(values, noise, shape=(4, 9), seed=0):
    """A matrix with these singular values, and Gaussian noise."""
    random = np.random.default_rng(seed)
    left = np.linalg.qr(random.standard_normal((shape[0], len(values))))[0]
    right = np.linalg.qr(random.standard_normal((shape[1], len(values))))[0]
    return left * values @ right.T + noise * random.standard_normal(shape)


def least_free_energy(y, rank):
    """2F, E[B A'] and the noise's variance, by descent from the singular vectors of `rank`."""
    y = torch.from_numpy(y)
    (low, high), (u, s, v) = y.shape, torch.linalg.svd(y, full_matrices=False)
    a, b = v[:rank].T * s[:rank].sqrt(), u[:, :rank] * s[:rank].sqrt()
    small = torch.full((2 * rank + 1,), -2.0, dtype=y.dtype)
    start = torch.cat([a.flatten(), b.flatten(), small])

    def energy(point):
        a, b, logs = point.split([high * rank, low * rank, 2 * rank + 1])
        a, b = a.reshape(high, rank), b.reshape(low, rank)
        s_a, s_b, variance = logs.exp().split([rank, rank, 1])
        square_a, square_b = a.T @ a + high * s_a.diag(), b.T @ b + low * s_b.diag()
        # The priors' variances are those that are best: the mean squares of the columns.
        prior_a, prior_b = square_a.diagonal() / high, square_b.diagonal() / low
        misfit = y.square().sum() - 2 * (y * (b @ a.T)).sum() + (square_a * square_b).sum()
        divergence = high * (prior_a / s_a).log() + low * (prior_b / s_b).log()
        return low * high * (2 * math.pi * variance).log() + misfit / variance + divergence.sum()

    def both(point):
        point = torch.from_numpy(point).requires_grad_()
        value = energy(point).sum()
        return value.item(), torch.autograd.grad(value, point)[0].numpy()

    limits = {"maxiter": 3000, "maxfun": 3000, "ftol": 1e-14, "gtol": 1e-8}
    found = optimize.minimize(both, start.numpy(), jac=True, method="L-BFGS-B", options=limits)
    a, b = np.split(found.x[: (low + high) * rank], [high * rank])
    product = b.reshape(low, rank) @ a.reshape(high, rank).T
    return found.fun, np.linalg.svd(product, compute_uv=False), math.exp(found.x[-1])


@pytest.mark.parametrize(
    ("values", "noise", "seed", "rank"),
    [
        ([], 1.0, 2, 0),
        ([], 1.0, 1, 1),  # in so small a matrix noise may be taken for a signal, by F itself
        ([9.0], 0.7, 2, 1),
        ([20.0, 9.0], 0.5, 2, 2),
    ],
)
def test_it_is_the_minimum_of_the_free_energy(values, noise, seed, rank):
    y = matrix(np.array(values), noise, seed=seed)
    kept, variance = evbmf(y)
    assert len(kept) == rank
    # Of rank 3 and more this matrix, of 4 rows, could be without any noise.
    found = [least_free_energy(y, tried) for tried in range(3)]
    least = min(energy for energy, *_ in found)
    energy, product, noise_found = found[rank]
    assert energy == pytest.approx(least, abs=1e-3)  # more components come near, and are idle
    assert kept.numpy() == pytest.approx(product[:rank], rel=1e-4)
    assert variance == pytest.approx(noise_found, rel=1e-4)


def test_scale_and_orientation_are_of_no_account():
    y = matrix(np.array([8.0, 5.0]), 0.3, (12, 30))
    values, variance = evbmf(y)
    turned = evbmf(torch.from_numpy(1e-3 * y.T))
    assert len(values) == 2
    np.testing.assert_allclose(turned.values, 1e-3 * values, rtol=1e-6)
    assert turned.variance == pytest.approx(1e-6 * variance, rel=1e-6)
    assert variance == pytest.approx(0.09, rel=0.15)
    assert (values < torch.linalg.svdvals(torch.from_numpy(y))[:2]).all()


def test_without_noise_nothing_is_lost_and_nothing_is_found_in_nothing():
    values, variance = evbmf(matrix(np.array([3.0, 2.0]), 0.0, (10, 20)))
    np.testing.assert_allclose(values, [3, 2], rtol=1e-9)
    assert variance < 1e-20
    assert len(evbmf(np.zeros((3, 4))).values) == 0 == knowledge_gain(np.zeros((3, 4, 2)))
    assert len(evbmf(np.ones((1, 50))).values) == 0


@pytest.mark.parametrize("seed", range(4))
def test_gain_of_noise_and_of_a_single_product(seed):
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(24, 12, 3, 3, generator=random)
    parts = [torch.randn(size, generator=random) for size in noise.shape]
    signal = torch.einsum("a,b,c,d->abcd", *(part / part.norm() for part in parts))
    assert knowledge_gain(noise) == 0
    assert knowledge_gain(noise + 60 * signal) == pytest.approx((1 / 24 + 1 / 12) / 2)
    assert knowledge_gain(torch.eye(6)) == pytest.approx(0, abs=1e-9)  # nothing stands out


def test_gain_counts_ranks_by_their_share_of_the_largest():
    y = matrix(np.array([8.0, 4.0]), 1e-6, (10, 30))
    assert knowledge_gain(y) == pytest.approx((1 + 0.5) / 10, rel=1e-6)
    kernel = y.reshape(10, 5, 2, 3)
    by_input = evbmf(np.moveaxis(kernel, 1, 0).reshape(5, -1)).values
    by_output = (1 + 0.5) / 10
    expected = (float((by_input / by_input[0]).sum()) / 5 + by_output) / 2
    assert knowledge_gain(kernel) == pytest.approx(expected, rel=1e-6)


def modules():
    torch.manual_seed(1)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(24, 3))
    return nn.Sequential(nn.Conv2d(1, 4, 2), nn.ReLU(), nn.Conv2d(4, 6, 2), nn.ReLU(), flat)


def images(n=20):
    random = torch.Generator().manual_seed(4)
    return torch.randn(n, 1, 4, 4, generator=random), torch.randint(3, (n,), generator=random)


def test_the_rates_follow_the_rule(monkeypatch):
    # Gains of two kernels, at the start and after each of four epochs of two updates.
    told = iter([0.0, 0.2, 0.0, 0.3, 0.1, 0.3, 0.0, 0.1, 0.4, 0.1])
    monkeypatch.setattr(module, "knowledge_gain", lambda kernel: next(told))
    step = adas(modules(), every=2, rate=0.1, beta=0.5, zeta=2.0)
    rates = []
    for _ in range(8):
        step(*images())
        rates.append(list(step.rates))
    assert rates[::2] == [[0.1, 0.1], *rates[1:-1:2]]
    by_hand = [
        [0.1, 0.05 + 2 * 0.1],  # noise keeps its rate
        [0.05 + 2 * 0.1, 0.125],
        [0, 0],  # not below nothing
        [0.8, 0],
    ]
    for found, expected in zip(rates[1::2], by_hand):
        assert found == pytest.approx(expected, abs=1e-12)
    assert step.gains == [0.4, 0.1]


def test_steps_are_those_of_sgd_whose_groups_have_these_rates(monkeypatch):
    told = iter([0.1, 0.2, 0.15, 0.3, 0.15, 0.3])
    monkeypatch.setattr(module, "knowledge_gain", lambda kernel: next(told))
    net, plain = modules(), modules()
    step = adas(net, every=2, rate=0.05, beta=0.5)
    first, second = plain[:2], plain[2:]
    groups = [{"params": part.parameters(), "lr": 0.05} for part in (first, second)]
    optimiser = torch.optim.SGD(groups, momentum=0.9)
    for update in range(4):
        step(*images())
        if update == 2:  # the dense layer has the rate of the convolution before it
            for group, rate in zip(optimiser.param_groups, (0.075, 0.125)):
                group["lr"] = rate
        optimiser.zero_grad()
        functional.cross_entropy(plain(images()[0]), images()[1]).backward()
        optimiser.step()
    for one, other in zip(net.parameters(), plain.parameters()):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_dense_layers_are_measured_if_asked():
    data = erlib.load("digits")
    net = ERNetwork.dense([64, 50, 10])
    step = adas(net, every=10, dense=True)
    for start in range(0, 640, 32):
        step(data.x_train[start : start + 32].flatten(1), data.y_train[start : start + 32])
    assert len(step.rates) == 2 and step.gains == [
        knowledge_gain(layer.linear.weight) for layer in net.layers
    ]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"every": 0}, "every"),
        ({"rate": 0}, "rate"),
        ({"beta": 1}, "beta"),
        ({"beta": -1}, "beta"),
        ({"zeta": 0}, "zeta"),
        ({"network": nn.Linear(2, 2)}, "network"),
    ],
)
def test_bad_settings_are_named(wrong, named):
    with pytest.raises(ValueError, match=f"^{named}"):
        adas(**{"network": modules(), "every": 1, **wrong})


@pytest.mark.parametrize(
    "wrong", [np.ones(3), np.ones((2, 0)), np.full((2, 2), np.nan), np.ones((2, 2), int)]
)
def test_bad_kernels_are_named(wrong):
    with pytest.raises(ValueError, match=r"^kernel"):
        knowledge_gain(wrong)
    with pytest.raises(ValueError, match=r"^matrix"):
        evbmf(wrong)
