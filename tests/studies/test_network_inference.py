"""The methods of network inference do what their names say, and committed rows come back."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch

from erlib.notebook.published import published
from erlib.studies import network_inference as study

SMALL = {"g": 2.0, "size": 8, "length": 200, "draw": 0}


@pytest.mark.parametrize("method", ["naive mean field", "TAP", "ER"])
def test_a_committed_row_comes_back(method):
    table = published("10_network_inference.inference")
    (committed,) = table.query("method == @method and g == 2 and draw == 0").mse
    where = {"g": 2.0, "size": study.SIZE, "length": study.LENGTH, "draw": 0}
    (row,) = study.inferred(method=method, **where)
    assert row["mse"] == pytest.approx(committed, rel=1e-9)


def test_sparse_couplings_are_few_and_as_strong():
    true, states, after = study.network(2.0, 60, 50, 0, dense=0.1)
    assert 0.05 < (true != 0).double().mean() < 0.15 and states.shape == after.shape == (50, 60)
    assert float(true.square().sum(0).mean()) ** 0.5 == pytest.approx(2.0, rel=0.1)
    dense, *_ = study.network(2.0, 60, 50, 0)
    assert torch.equal(true[true != 0], (dense / 0.1**0.5)[true != 0])


def test_published_errors_are_of_methods_and_strengths_in_the_table():
    table = published("10_network_inference.inference")
    known = set(zip(table.method, table.g))
    assert set(study.PUBLISHED) <= known and set(table.method) == set(study.METHODS)


@pytest.mark.parametrize(
    ("method", "g", "published", "within"),
    [
        ("ER", 2.0, 0.0022213612, 0.002),
        ("ER", 4.0, 0.0069106234, 0.001),
        ("naive mean field", 2.0, 0.016432508, 0.0001),
    ],
)
def test_the_authors_network_gives_what_they_printed(method, g, published, within):
    true, x, y = study.authors_network(g)
    found = study.infer(method, x, y, g)
    assert float((found - true).square().mean()) == pytest.approx(published, rel=within)


def test_ratios_are_paired_and_in_the_map_only_sure_cells_have_a_colour():
    rows = [
        {"g": 1.0, "ratio": 5, "draw": draw, "method": method, "mse": error * 10**draw}
        for draw in range(3)
        for method, error in (("ER", 2 + 0.01 * draw), ("rival", 1), ("equal", 2 + 0.01))
    ]
    table = pd.DataFrame(rows)
    (one,) = study.ratios(table, "rival", ["g", "ratio"]).to_dict("records")
    assert one["low"] < one["ratio"] == pytest.approx(2.01, abs=1e-3) and 1.95 < one["low"]
    axes = plt.figure().subplots(1, 2)
    sure, level = (study.draw_map(ax, table, rival) for ax, rival in zip(axes, ("rival", "equal")))
    assert not sure.get_array().mask.any() and level.get_array().mask.all()
    plt.close()


def test_weighted_er_takes_part_at_its_strength_only(monkeypatch):
    monkeypatch.setattr(study, "inferred", lambda method, **where: [{"method": method}])
    all_of_them, others = (
        [row["method"] for row in study.compared(g=g, draw=0, size=4, length=100)] for g in (2, 1)
    )
    assert all_of_them == list(study.METHODS)
    assert others == [method for method in all_of_them if not method.startswith("weighted")]


def test_the_difference_ends_at_maximum_likelihood_and_the_ratio_elsewhere():
    _, x, y = study.network(1.0, 5, 200, 0)
    best = study.infer("maximum likelihood", x, y, 1.0)
    (ratio, difference) = (study._fit(x, y, rule, None, 300).weight for rule in ("er", "boehning"))
    torch.testing.assert_close(difference, best, atol=1e-3, rtol=0)
    assert (ratio - best).abs().max() > 0.01  # its fixed point is another


def test_the_discrepancy_turns_for_er_alone():
    ends = {}
    for rule in ("er", "boehning"):
        (path,) = study.path(rule=rule, **SMALL | {"size": 20, "length": 400}, updates=300)
        ends[rule] = path["discrepancy"][-1] / min(path["discrepancy"]) - 1
        assert len(path["error"]) == 300 and 1 < path["stopped"] <= 300
    assert ends["er"] > 10 * ends["boehning"]


def test_validation_changes_how_many_updates_and_nothing_else():
    _, x, y = study.network(**SMALL)
    found = study.infer("ER, stopped by validation", x, y, 2.0, updates=40)
    same = [
        most
        for most in range(1, 41)
        if torch.equal(study._fit(x, y, "er", None, most).weight, found)
    ]
    assert len(same) == 1


def test_the_true_prior_is_told_the_strength():
    _, x, y = study.network(**SMALL)
    weak, strong = (study.infer("maximum likelihood + true prior", x, y, g) for g in (0.5, 4.0))
    assert weak.norm() < strong.norm()


def test_the_map_has_its_methods_and_its_samples():
    rows = study.mapped(g=1.0, ratio=40, draw=0, size=2, updates=20)
    assert [row["method"] for row in rows] == list(study.MAPPED)
    (direct,) = study.inferred(method="ER", g=1.0, size=2, length=80, draw=0, updates=20)
    assert direct["mse"] == rows[0]["mse"]


def test_spins_that_the_rule_does_not_stop_are_counted():
    (few,) = study.unstopped(**SMALL, updates=2)
    (many,) = study.unstopped(**SMALL, updates=500)
    assert few["spins"] == 8 and few["unstopped"] > many["unstopped"]


def test_hidden_states_are_recovered_for_the_right_number_only():
    where = {"g": 4.0, "size": 6, "length": 200, "seed": 0, "true_count": 1, "sweeps": 2}
    (right,), (wrong,) = (study.hidden(guess=guess, **where) for guess in (1, 2))
    assert right["recovery"] >= 0.5 and wrong["recovery"] is None
    assert (
        right.keys()
        == wrong.keys()
        == set(published("10_network_inference.hidden"))
        - {
            "guess",
            "seed",
        }
    )


def test_committed_paths_hold_the_first_network_of_the_table():
    paths = {(path["rule"], path["g"]): path for path in study.committed_paths()}
    table = published("10_network_inference.inference")
    first = table.query("method == 'ER' and draw == 0").set_index("g").mse
    assert paths["er", 2.0]["at"] == pytest.approx(first[2.0], rel=1e-9)


def test_with_few_samples_a_penalty_helps_er_as_it_helps_the_likelihood():
    rows = [row for draw in range(2) for row in study.penalised(g=2.0, ratio=5, draw=draw, size=12)]
    error = {
        name: sum(row["mse"] for row in rows if row["method"] == name)
        for name in ("ER", "ER + penalty", "maximum likelihood + penalty")
    }
    assert error["ER + penalty"] < 0.5 * error["ER"]
    assert 0.6 < error["ER + penalty"] / error["maximum likelihood + penalty"] < 1.7
