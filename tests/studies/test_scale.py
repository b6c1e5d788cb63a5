import pandas as pd
import pytest
import torch

import erlib
from erlib import ERNetwork
from erlib.studies import scale as study

SIZES = [5, 4, 3, 2]


def test_sums_and_solutions_are_those_that_the_regressions_make(monkeypatch):
    seen = {"sums": 0, "solution": 0.0}

    class Counted(erlib.Moments):
        def accumulate(self, x, h, weights=None):
            seen["sums"] += len(x) * x.shape[1] * (x.shape[1] + h.shape[1])
            super().accumulate(x, h, weights)

        def solver(self, ridge):
            seen["solution"] += len(self.xx) ** 3 / 3 + len(self.xx) * self.xh.numel()
            return super().solver(ridge)

    monkeypatch.setattr("erlib.layers.Moments", Counted)
    net = ERNetwork.dense(SIZES, dtype=torch.float64)
    x = torch.rand(20, 5, dtype=torch.float64)
    erlib.streamed.one_update(net, [(x[:12], torch.arange(12) % 2), (x[12:], torch.arange(8) % 2)])
    counted = study.operations("one update", SIZES, 20)
    assert counted["sums"] == seen["sums"]
    assert counted["solution"] == pytest.approx(seen["solution"])
    assert counted["reading"] == 3 * 20 and counted["deforming"] == 0
    assert counted["inverse"] == 4 * 3 * 3 + 3 * 2 * 2


def test_products_are_those_of_every_field_that_a_pass_needs():
    up, down = 5 * 4 + 4 * 3 + 3 * 2, {0: 4 * 3 + 3 * 2, 1: 3 * 2, 2: 0}
    below = {0: 0, 1: 5 * 4, 2: 5 * 4 + 4 * 3}
    counted = study.operations("one update", SIZES, 1)["products"]
    assert counted == sum(up + down[at] + below[at] for at in range(3))
    adam = study.operations("Adam", SIZES, 256)
    assert adam["products"] == 256 * (2 * 20 + 3 * 12 + 3 * 6) and adam["steps"] == 2 * up


@pytest.fixture
def rows():
    points = [(w, d, n) for w in (50, 500, 5000) for d in (1, 3) for n in (100, 10_000)]
    table = pd.DataFrame(points, columns=["width", "depth", "samples"])
    return table.assign(deformed=table.samples > 100, method="one update", seconds=1.0)


def test_fitted_constants_are_those_that_made_the_seconds(rows):
    kinds = study.operations("one update", SIZES, 1)
    true = pd.Series([1e-6, 2e-11, 4e-11, 3e-11, 5e-11, 7e-5], kinds)
    rows["seconds"] = study.predicted(rows, "one update", true)
    found = study.fitted(rows, "one update")
    pd.testing.assert_series_equal(
        study.predicted(rows, "one update", found), rows.seconds, check_names=False
    )
    assert found["deforming"] == pytest.approx(7e-5) and found["sums"] == pytest.approx(4e-11)


def test_a_solution_alone_tells_its_constant(rows):
    alone = {"method": "solution", "width": 400, "depth": 1, "samples": 1, "deformed": False}
    count = 400**3 / 3 + 400**2 * 10
    found = study.fitted(pd.DataFrame([alone | {"seconds": 3.0}]), "one update")
    assert found["solution"] == pytest.approx(3 / count)


def test_machines_share_the_samples_and_not_the_solution(rows):
    kinds = study.operations("one update", SIZES, 1)
    constants = pd.Series(1e-9, kinds)
    one, many = (study.on_machines(constants, SIZES, 1000, k, bandwidth=1e6) for k in (1, 10))
    whole = 1e-9 * sum(study.operations("one update", SIZES, 1000).values())
    assert sum(one.values()) == pytest.approx(whole) and one["messages"] == 0
    assert many["samples"] == pytest.approx(one["samples"] / 10)
    assert many["solution"] == one["solution"]
    assert many["messages"] == pytest.approx(2 * study.sent("one update", SIZES, 1000) / 1e6)


def test_gradients_are_sent_for_each_batch_and_sums_once():
    once, twice = (study.sent("Adam", SIZES, n) for n in (128, 256))
    assert twice == 2 * once == 2 * 4 * (20 + 12 + 6)
    assert study.sent("one update", SIZES, 128) == study.sent("one update", SIZES, 10**9)


def test_measured_rows_say_what_was_varied():
    assert study.measured("width").depth.eq(1).all()
    assert study.measured("depth").depth.nunique() > 2
    assert study.measured("samples").added.min() >= 1


def test_pairs_are_in_order_and_say_what_is_sent():
    rows = pd.DataFrame(
        [
            {"what": what, "batch": batch, "repeat": 0, "processes": count, "seconds": 6.0 / count}
            for what in ("Adam", "one update", "sequential")
            for batch in (128, 512)
            for count in (1, 2)
            if what != "one update" or batch == 512
        ]
    ).assign(samples=60_000)
    found = study.pairs(rows)
    assert found.name[0] == "one update" and found.name[1] == "sequential ER, batches of 128"
    assert found.one.eq(6).all() and found.two.eq(3).all()
    assert found.sent[3] == pytest.approx(4 * found.sent[4]) and found.sent[1:3].isna().all()


def test_adam_on_machines_sends_its_gradients_for_each_batch():
    constants = pd.Series(1e-9, study.operations("Adam", SIZES, 1))
    few, many = (
        study.on_machines(constants, SIZES, 1000, 4, bandwidth=1e6, batch=b) for b in (10, 100)
    )
    assert few["messages"] == pytest.approx(10 * many["messages"])
    assert few["solution"] == pytest.approx(10 * many["solution"])
    assert few["samples"] == many["samples"]
