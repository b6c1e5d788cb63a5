"""The neighbours: what is compared is what is said."""

import math

import pandas as pd
import pytest
import torch

from erlib.baselines import threshold_network
from erlib.network import ERNetwork
from erlib.studies import neighbours as study
from erlib.studies import neighbours_drawn as drawn
from erlib.studies import neighbours_small as small

RACE = {"dataset": "digits", "width": 20, "batch": 32, "dtype": "float64"}


SLOW = {"forward gradient, weights", "desire"}  # at this size; their own tests train them


@pytest.mark.parametrize("arm", [arm for arm in study.RACE if arm not in SLOW])
def test_methods_learn_in_three_passes(arm):
    rates = study.RACE[arm].rates
    rate = tuple(study.tuned(arm=arm, rates=rates, passes=3, **RACE)["best"]) if rates else ()
    (row,) = study.race(arm=arm, seed=0, passes=3, rate=rate, **RACE)
    assert row["accuracy"] > 0.8 and row["passes"] == 3 and row["seconds"] > 0


def test_methods_start_from_the_same_weights_unless_they_spike():
    data = small.images("digits")
    first = [study._start(arm, data, 20, 3).layers[0].weight for arm in ("Adam", "one update")]
    assert torch.equal(*first)
    assert study._start("desire", data, 20, 3).layers[0].bias is None


def test_rates_are_chosen_without_the_test_images(monkeypatch):
    looked_at = []
    images = study.images
    monkeypatch.setattr(
        study, "images", lambda *names: looked_at.append(names[2:]) or images(*names)
    )
    chosen = study.tuned(arm="Adam", rates=((1e-6,), (0.01,)), passes=1, **RACE)
    assert chosen["best"] == (0.01,) and looked_at == [("rates",)]


def test_in_equal_time_a_cheap_method_gets_more_passes():
    tables = study.compared(
        arms=["Adam", "sequential ER"], slow=[], seeds=[0], passes=4, equal_seconds=True, **RACE
    )
    rows = pd.DataFrame(tables["race"]).set_index(["arm", "equal"])
    assert ("sequential ER", "seconds") not in rows.index
    ratio = rows.seconds["sequential ER", "passes"] / rows.seconds["Adam", "passes"]
    assert rows.passes["Adam", "seconds"] == max(1, int(4 * ratio))


def test_a_guess_in_the_weights_has_the_cosine_of_a_random_direction():
    found = [
        row
        for seed in range(4)
        for row in small.guessed(
            guess="direction in the weights", draws=30, seed=seed, dataset="digits", width=20
        )
    ]
    expected = math.sqrt(30 / (30 + found[0]["numbers"]))
    assert sum(row["cosine"] for row in found) / 4 == pytest.approx(expected, rel=0.5)


def test_one_update_of_er_is_least_squares_on_the_wave():
    x, y = small.wave_points()
    net = small.wave_network(20, 1)
    list(small.wave_updates(net, "random features", 1, 0.0, seed=1))
    with torch.no_grad():
        hidden = net.trace(x)[0][-1]
    ones = torch.cat([hidden, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    best = torch.linalg.lstsq(ones, y).solution
    least = float((ones @ best - y).square().mean())
    error = float((net(x).detach() - y).square().mean())
    assert least <= error < 1.1 * least + 1e-6


def test_no_units_cost_less_than_the_optimum():
    for arm in small.UNITS:
        (row,) = small.threshold_cost(arm=arm, seed=1, n=8, units=4, penalty=0.1)
        assert row["cost"] >= row["least"] - row["gap"] - 1e-12


def test_the_optimum_s_own_units_cost_the_optimum():
    x, y = small.few_points(8, 1)
    net = threshold_network(x, y, penalty=0.1)
    found = small.cost(x, y, net.weight, net.bias, 0.1)
    assert found == pytest.approx(net.objective, rel=1e-9)


def test_fine_tuning_renews_a_copy():
    of = {"seed": 0, "rate": 0.03, "dataset": "digits", "width": 20, "labels": 5, "passes": 4}
    first = small.fine_tuned(arm="solved once", **of)
    small.fine_tuned(arm="drawn 4 times", **of)
    assert small.fine_tuned(arm="solved once", **of) == first


def test_generations_learn_from_the_outputs_before():
    rows = small.generations(arm="random features", seed=0, count=2, dataset="digits", width=30)
    assert [row["generation"] for row in rows] == [1, 2]
    assert all(0 < row["rank"] <= 30 for row in rows)


@pytest.mark.parametrize("arm", small.CONVOLVED)
def test_the_convolutional_network_learns_by_each_method(arm):
    rate = 0.003 if arm == "Adam" else 0.03
    (row,) = small.convolved(arm=arm, seed=0, dataset="digits", passes=4, rate=rate)
    assert row["accuracy"] > 0.8


def test_the_map_has_every_method_of_the_race():
    on_map = " ".join(drawn.MAP)
    for arm in set(study.RACE) - {"one update", "sequential ER", "joint ER"}:
        assert arm.split(",")[0] in on_map
    assert isinstance(small.wave_network(3, 0), ERNetwork)


def test_the_table_has_a_line_a_method_and_no_number_where_there_is_none():
    rows = [{"arm": "Adam", "equal": equal, "error": 2.0} for equal in ("passes", "seconds")]
    rows += [{"arm": "one update", "equal": "passes", "error": error} for error in (1.0, 1.5)]
    table = drawn.table({"MNIST": pd.DataFrame(rows), "other": pd.DataFrame(rows[:1])})
    assert [*table.index] == ["one update", "Adam"]
    assert [*table.loc["one update"]][3:] == ["1.2", "", "", ""]
    assert [*table.loc["Adam"]][3:] == ["2.0", "2.0", "2.0", ""]
