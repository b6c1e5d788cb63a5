"""Each part that is taken from ER is the only one that goes."""

import copy

import pandas as pd
import pytest
import torch

import erlib
from erlib.studies import any_module as study
from erlib.studies.any_module import PARTS, Without

random = torch.Generator().manual_seed(0)
x = torch.randn(60, 5, generator=random, dtype=torch.float64)
y = torch.randint(0, 3, (60,), generator=random)
NET = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3)).double()


def moved(kind=erlib.ER, updates=4, steps=2, **settings):
    net = copy.deepcopy(NET)
    er = kind(net, updates=updates, part=1.0, **settings)
    for _ in range(steps):
        er.step(x, y)
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize("part", PARTS)
def test_each_part_matters(part):
    assert float((moved() - moved(Without, without=part)).abs().max()) > 1e-6


def test_parts_that_are_settings_are_those_settings():
    assert torch.equal(moved(Without, without="memory"), moved(memory=0.0))
    assert torch.equal(moved(Without, without="soft outputs"), moved(code=1.0))


def test_without_the_regression_a_layer_follows_its_gradient():
    net = torch.nn.Linear(5, 3).double()
    before, h = net.weight.detach().clone(), net(x).detach()
    wanted = erlib.reflect(h, 0.8 * (2 * torch.nn.functional.one_hot(y, 3).double() - 1)) - h
    Without(net, updates=1, part=1.0, without="regression").step(x, y)
    change, gradient = net.weight.detach() - before, wanted.T @ x
    cosine = torch.cosine_similarity(change.flatten(), gradient.flatten(), dim=0)
    assert float(cosine) == pytest.approx(1.0, abs=1e-12)


def test_without_the_ratio_the_difference_is_asked():
    net = torch.nn.Linear(5, 3).double()
    er = Without(net, updates=1, without="ratio")
    h = net(x).detach()
    observed = 0.8 * (2 * torch.nn.functional.one_hot(y, 3).double() - 1)
    torch.testing.assert_close(er._wanted(h, y), observed - torch.tanh(h))


def test_an_unknown_part_is_named():
    with pytest.raises(ValueError, match="without: unknown 'rate'"):
        Without(NET, updates=1, without="rate")


def test_lengths_on_other_images_are_right_with_the_penalty():
    rows = study.lengths(dataset="digits", penalty="d / n", samples=64, seed=0)
    found = {row["of"]: row["length"] for row in rows}
    assert abs(found["fresh"] - 1) < 0.15 < found["own"] - 1


def test_dense_networks_are_compared_with_adam_as_tuned_for_them():
    keys = {"data": "mnist", "network": "dense", "passes": 6, "seed": 0}
    rows = [keys | {"method": "ER", "accuracy": 0.98}, keys | {"method": "Adam", "accuracy": 0.9}]
    rows += [row | {"network": "deeper"} for row in rows]
    tuned = pd.DataFrame({"arm": "Adam", "seed": [0, 0], "accuracy": [0.5, 0.985]})
    found = study.over_adam(pd.DataFrame(rows), {"mnist": tuned}).set_index("network").gain
    assert found.to_dict() == pytest.approx({"dense": -0.5, "deeper": 8.0})
