"""`threshold_network`: every dichotomy is found, and no network trained by gradient is better."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

import erlib
from erlib import regress
from erlib.baselines.hyperplanes import hyperplanes
from erlib.baselines.threshold import (
    lower_bound,
    threshold_features,
    threshold_network,
)
from erlib.coding import observed_outputs


def points(n, d, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=random, dtype=torch.float64)


def dichotomies(x):
    weight, bias = hyperplanes(x)
    return (x.double() @ weight + bias >= 0).T


def problem(n=20):
    x = points(n, 2, seed=4)
    return x, (x[:, 0] * x[:, 1]).sign() + 0.1 * points(n, 1, seed=5)[:, 0]


@pytest.mark.parametrize(("n", "d"), [(1, 2), (6, 1), (4, 5), (20, 2), (9, 3), (8, 4)])
def test_points_in_general_position_have_as_many_dichotomies_as_cover_says(n, d):
    found = dichotomies(1000 + 0.1 * points(n, d))
    assert (
        len(found) == len(found.unique(dim=0)) == 2 * sum(math.comb(n - 1, i) for i in range(d + 1))
    )


def test_there_are_104_threshold_functions_of_three_bits():
    corners = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)))
    assert len(dichotomies(corners).unique(dim=0)) == len(hyperplanes(corners)[1]) == 104


def test_on_a_grid_with_a_repeated_point_they_are_those_that_a_linear_program_separates():
    grid = torch.tensor([*itertools.product([0.0, 1, 2], repeat=2), (2.0, 2.0)])
    separable = set()
    z = np.hstack([grid.numpy(), np.ones((10, 1))])
    for half in itertools.product([-1, 1], repeat=9):
        signs = np.array([*half, half[-1]])
        rows = -signs[:, None] * z
        if linprog(np.zeros(3), rows, -np.ones(10), bounds=(None, None)).status == 0:
            separable.add(tuple((signs > 0).tolist()))
    found = [tuple(row) for row in dichotomies(grid).tolist()]
    assert len(found) == len(separable) and set(found) == separable


def test_the_optimum_satisfies_its_conditions_and_has_no_gap():
    x, y = problem()
    for penalty in (0.01, 0.3):
        net = threshold_network(x, y, penalty=penalty)
        d, w = dichotomies(x).double().T, net.readout[:, 0]
        residual = y - net.fields(x)[:, 0]
        assert (d.T @ residual).abs().max() < penalty * (1 + 1e-6)
        at_units = net.outputs(x).T @ residual
        torch.testing.assert_close(at_units, penalty * w.sign(), rtol=1e-4, atol=0)
        cost = residual.square().sum() / 2 + penalty * w.abs().sum()
        assert net.objective == pytest.approx(float(cost), rel=1e-12)
        assert 0 <= net.gap + 1e-12 < 1e-8


def test_the_bound_holds_for_any_readout():
    x, y = problem()
    net, d = threshold_network(x, y, penalty=0.2), dichotomies(x).double().T
    for seed in range(20):
        w = 0.03 * points(d.shape[1], 1, seed)[:, 0]
        assert lower_bound(d, y, w, 0.2) <= net.objective + 1e-12


def test_no_network_trained_with_straight_through_gradients_is_better():
    x, y = problem()
    penalty, nets, units = 0.1, 30, 30
    optimum = threshold_network(x, y, penalty=penalty).objective
    random = torch.Generator().manual_seed(1)
    u, c, s, w = (
        torch.randn(nets, size, units, generator=random, dtype=torch.float64).requires_grad_()
        for size in (2, 1, 1, 1)
    )
    best = torch.full((nets,), math.inf, dtype=torch.float64)
    optimiser = torch.optim.Adam([u, c, s, w], lr=0.03)
    for _ in range(250):
        soft = torch.sigmoid(3 * (x @ u + c))
        hard = soft + ((x @ u + c >= 0).double() - soft).detach()
        miss = (hard * s * w).sum(2) - y
        cost = miss.square().sum(1) / 2 + penalty / 2 * (s.square() + w.square()).sum((1, 2))
        best = torch.minimum(best, cost.detach())
        optimiser.zero_grad()
        cost.sum().backward()
        optimiser.step()
    assert best.min() > optimum and best.max() < 0.5 * y.square().sum() / 2  # they did learn


def test_sampled_hyperplanes_cost_at_least_as_much():
    x, y = problem()
    full = threshold_network(x, y, penalty=0.1)
    some, more = (threshold_network(x, y, penalty=0.1, units=units, seed=3) for units in (20, 200))
    assert full.objective < more.objective < some.objective
    assert len(more.bias) <= 200 and more.gap < 1e-8


def test_features_are_units_with_a_regressed_readout():
    data = erlib.load("digits", dtype=torch.float64)
    net = threshold_features(data.x_train, data.y_train, 60, readout_ridge=0.2, seed=1)
    x = data.x_train.flatten(1)
    outputs = (x @ net.weight + net.bias >= 0).double()
    assert torch.equal(net.outputs(data.x_train), outputs) and 0.1 < outputs.mean() < 0.9
    weight, offset = regress(outputs, observed_outputs(data.y_train, 10, x.dtype), ridge=0.2)
    torch.testing.assert_close(net.fields(x), outputs @ weight + offset)
    assert net.score(data.x_test, data.y_test) > 0.85 and math.isnan(net.gap)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"penalty": 0}, "penalty"),
        ({"y": torch.zeros(19)}, "y: 19 samples, x has 20"),
        ({"units": 0}, "units"),
        ({"x": points(200, 5)}, r"x: 200 samples in 5 dimensions have up to \d+ dichotomies"),
    ],
)
def test_bad_input_is_named(changed, named):
    x, y = problem()
    given = {"x": x, "y": y, "penalty": 0.1, **changed}
    if len(given["x"]) > 20:
        given["y"] = torch.zeros(200)
    with pytest.raises(ValueError, match=f"^{named}"):
        threshold_network(
            given["x"], given["y"], penalty=given["penalty"], units=given.get("units")
        )
