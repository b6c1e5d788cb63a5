"""What notebook 06 compares, on the digits and on random numbers."""

import pytest
import torch

from erlib.batches import minibatches
from erlib.notebook.published import published
from erlib.studies import training

SIZES = {"batch": 50, "er_batch": 100}
DIGITS = {"dataset": "digits", "width": 20, **SIZES}


@pytest.mark.parametrize("n, size", [(10, 4), (9, 4), (3, 8), (100, 20)])
def test_updates_are_counted_as_the_loops_do(n, size):
    assert training.updates_in_a_pass(n, size) == len(minibatches(n, size, 1, seed=0))


def test_splits_share_no_image_and_leave_the_test_images_alone():
    whole, rates, choices = (
        training.images("digits", judged=judged) for judged in ("test", "rates", "choices")
    )
    assert len(rates.y_test) == len(choices.y_test) == len(whole.y_train) // 6
    assert len(rates.y_train) + len(rates.y_test) == len(whole.y_train)
    assert not torch.equal(rates.x_test, choices.x_test)


@pytest.mark.parametrize("method", training.METHODS)
def test_each_method_trains_the_same_network(method):
    data = training.images("digits")
    x, y, net = data.x_train[:500], data.y_train[:500], training.network(data, 30)
    rate = training.grids([0.03]).get(method, ((0.03,),))[0]
    passes = 30 if method == "L-BFGS" else 5
    training.train_by(method, net, x, y, passes=passes, seed=0, rate=rate, batch=20, er_batch=100)
    assert net.score(x, y) > 0.7


def test_a_training_that_diverges_ends_at_chance():
    rows = training.curve(arm="SGD", seed=0, passes=2, rate=(1e6,), **DIGITS)
    assert rows[-1]["accuracy"] < 0.2


def test_the_first_update_of_sequential_er_counts_as_a_pass():
    rows = training.curve(arm="sequential ER", seed=0, passes=3, **DIGITS)
    assert rows[0]["passes"] == 0 and 1 < rows[1]["passes"] < 1.1 and rows[-1]["passes"] == 3
    assert [row["passes"] for row in training.curve(arm="SGD", seed=0, passes=2, rate=(0.1,),
                                                    **DIGITS)][-1] == 2  # fmt: skip


def test_the_best_rate_is_chosen_and_others_are_kept_in_the_table():
    rates = ((1e-9,), (0.03,))
    found = training.tuned(arm="Adam", rates=rates, passes=2, **DIGITS)
    assert found["best"] == (0.03,) and [row["candidate"] for row in found["rows"]] == [
        "1e-09",
        "0.03",
    ]
    assert training.rate_of("Adam", [1e-9, 0.03], passes=2, **DIGITS) == (0.03,)
    assert training.rate_of("sequential ER", [0.03], passes=2, **DIGITS) == ()
    assert training.rate_of("Adam, MNIST's rate", [0.03], 0.004, passes=2, **DIGITS) == (0.004,)


def test_one_factor_alone_is_multiplied():
    common = {"seed": 0, "passes": 2, "images_used": 200, **DIGITS}

    def accuracy(choice, factor, rate=()):
        (row,) = training.off_by(choice=choice, factor=factor, rate=rate, **common)
        return row["accuracy"]

    same = {accuracy(choice, 1.0) for choice in ("ridge", "first ridge", "batch", "code", "move")}
    assert len(same) == 1, "a factor of 1 is the method itself"
    assert accuracy("FOOF: rate", 2.0, (5.0, 10.0)) == accuracy("FOOF: rate", 1.0, (10.0, 10.0))
    assert accuracy("FOOF: ridge", 2.0, (10.0, 5.0)) == accuracy("FOOF: rate", 1.0, (10.0, 10.0))


def test_points_lost_are_those_beside_the_best():
    rows = [
        {"choice": choice, "factor": factor, "accuracy": accuracy}
        for choice, points in {
            "code": {0.1: 0.5, 0.3: 0.96, 1.0: 0.95, 1.25: 0.93},
            "batch": {0.3: 0.9, 1.0: 0.94, 3.0: 0.93},
            "move": {0.3: 0.9, 1.0: 0.95, 3.0: 0.1, 10.0: 0.2},
            "FOOF: ridge": {1.0: 0.9, 3.0: 0.8},
        }.items()
        for factor, accuracy in points.items()
    ]
    found = training.from_best(rows)
    assert list(found) == ["move", "code", "batch"], "as they are drawn, not as they come"
    assert found == pytest.approx({"move": 85, "code": 46, "batch": 4})


def test_every_setting_that_is_drawn_was_tried():
    assert set(training.DRAWN) <= set(training.TRIED)


def test_the_choices_of_the_full_profile_are_those_of_the_study():
    table = published("06_training_curves.sensitivity").groupby("choice").factor.unique()
    assert {choice: sorted(found) for choice, found in table.items()} == training.TRIED


@pytest.mark.parametrize("arm", training.FEW)
def test_with_few_labels_every_method_is_above_chance(arm, monkeypatch):
    monkeypatch.setattr(training, "FEW_UPDATES", 20)
    (row,) = training.with_few(arm=arm, labels=5, seed=0, passes=2, rate=(0.03,), **DIGITS)
    assert row["accuracy"] > 0.3


@pytest.mark.parametrize("arm", training.ONCE)
def test_with_one_pass_too(arm):
    (row,) = training.one_pass(arm=arm, seed=0, **DIGITS)
    assert row["accuracy"] > 0.5


def test_only_numbers_of_labels_that_every_class_has():
    assert training.available([5, 100, 10_000], "digits") == [5, 100]
