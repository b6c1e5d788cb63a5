"""Each part that is taken from ER is the only one that goes."""

import copy

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch

import erlib
from erlib.baselines import foof
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


def test_foof_of_one_layer_is_the_baseline():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(90, 8, generator=random, dtype=torch.float64)
    y = torch.randint(0, 3, (90,), generator=random)
    net = erlib.ERNetwork.dense([8, 3], hidden_bias=True, dtype=torch.float64)
    module = torch.nn.Linear(8, 3).double()
    with torch.no_grad():
        module.weight.copy_(net.layers[0].weight.T)
        module.bias.copy_(net.layers[0].bias)
    foof(net, rate=0.7, ridge=0.3 + 8 / 90)(x, y)
    study.Foof(module, updates=5, rate=0.7, memory=0.0, part=1.0).step(x, y)
    torch.testing.assert_close(module.weight.T, net.layers[0].weight, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(module.bias, net.layers[0].bias, rtol=1e-10, atol=1e-12)


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
    found = study.against_adam(pd.DataFrame(rows), {"mnist": tuned}).set_index("network")
    assert found.gain.to_dict() == pytest.approx({"dense": -0.5, "deeper": 8.0})
    assert found.tuned.to_dict() == {"dense": True, "deeper": False}


def test_the_regressed_length_is_where_least_is_missing():
    """Of a linear module, whose outputs change by what first order says."""
    net, observed = torch.nn.Linear(5, 3).double(), torch.eye(3, dtype=torch.float64)[y] - 0.4
    wanted = (erlib.reflect(net(x), observed) - net(x)).detach()
    weight, bias = erlib.regress(x, wanted, ridge=5.0)
    caused = x @ weight + bias
    best = float((caused * wanted).sum() / caused.square().sum())
    grid = [0.0, best - 0.01, best, best + 0.01]
    left = study.along(net, [weight.T, bias], {"own": (x, observed)}, grid).left
    assert left[0] == pytest.approx(100) and left.idxmin() == 2


def test_cifar10_is_paired_by_seed():
    for passes in (8, 24):
        ends = study.beside_adam(passes)
        assert ends.notna().all(axis=None) and [*ends.columns] == ["joint ER", "Adam"]
        assert study.lead(ends).endswith(f"({len(ends)} seeds)")
    ends = study.cifar10_ends().groupby(["arm", "passes"]).time.first()
    assert ends["Adam", 24] == 24 and 1.5 < ends["joint ER", 8] / 8 < 2.5


def test_a_training_that_overflows_counts_as_lost_beyond_measure():
    lost = study.ablation().set_index(["part", "seed"]).lost
    assert lost["common length"].isna().any() and lost["regression"].min() > 10
    assert abs(lost["ratio"].mean()) < 0.5
    assert {*study.ablation().part} <= {*PARTS} == {*study.PART_NAMES}


def test_bars_of_the_ablation_are_sorted_and_say_what_overflows():
    lost = {"ratio": [0.0, 0.2], "memory": [4.0, 5.0], "common length": [1.0, float("nan")]}
    rows = [{"part": part, "lost": value} for part, values in lost.items() for value in values]
    figure, axes = plt.subplots()
    study.draw_ablation(axes, pd.DataFrame(rows))
    assert [t.get_text() for t in axes.get_yticklabels()] == [
        study.PART_NAMES[part] for part in ("common length", "memory", "ratio")
    ]
    assert axes.texts[0].get_text() == "overflows, 1 of 2 seeds"
    plt.close(figure)
