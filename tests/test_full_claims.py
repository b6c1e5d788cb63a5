"""What README and the notebooks say of full runs holds in the tables that these runs left."""

import numpy as np
import pytest

from erlib import paths
from erlib.intervals import mean_interval
from erlib.readme import read_rows
from erlib.tables import select

SETS = {"mnist": "05_convolution", "fashion_mnist": "05_convolution.fashion_mnist"}
both = pytest.mark.parametrize("run", SETS.values(), ids=SETS)


def table(run, name):
    return read_rows(paths.RESULTS / f"{run}.{name}.csv")


def ends(run, kind, arm, passes=None):
    """Accuracy in % of each seed at the end of its curve, or after so many passes."""
    rows = select(table(run, "curves"), kind=kind, arm=arm)
    if passes:
        rows = [row for row in rows if abs(row["passes"] - passes) < 0.01]
    return 100 * np.array(list({row["seed"]: row["accuracy"] for row in rows}.values()))


def accuracies(run, name, arm):
    return 100 * np.array([row["accuracy"] for row in select(table(run, name), arm=arm)])


def test_sequential_er_is_ahead_of_adam_early_only():
    for name, run in SETS.items():
        for kind in ("small", "deep"):
            early, quarter, half, late = (
                np.divide(
                    *(100 - ends(run, kind, arm, at).mean() for arm in ("sequential ER", "Adam"))
                )
                for at in (0.125, 0.25, 0.5, 2)
            )
            assert early < (0.6 if name == "mnist" else 0.82)
            assert quarter < 1
            assert (half < 0.95) == (kind == "deep")
            assert (late < 1) == (name == "mnist" and kind == "deep")
        at_the_end = (ends(run, "deep", arm).mean() for arm in ("sequential ER", "Adam"))
        assert abs(np.subtract(*at_the_end)) < 0.15
        adam = ends(run, "small", "Adam, equal time")
        assert (ends(run, "small", "sequential ER")[: len(adam)] < adam).all()


def test_the_small_network_is_behind_on_mnist_and_undecided_on_fashion_mnist():
    lead = {
        name: ends(run, "small", "Adam") - ends(run, "small", "sequential ER")
        for name, run in SETS.items()
    }
    assert 0.25 < lead["mnist"].mean() < 0.45
    mean, half = mean_interval(lead["fashion_mnist"])
    assert abs(mean) < half
    assert sorted(lead["fashion_mnist"])[1] > 0.4
    tried = select(table(SETS["fashion_mnist"], "tuning"), kind="small")
    assert max(tried, key=lambda row: row["accuracy"]) == max(
        tried, key=lambda row: row["candidate"]
    )


def test_91_of_fashion_mnist_is_not_reached_and_augmentation_costs_a_point():
    run = SETS["fashion_mnist"]
    assert max(ends(run, kind, "sequential ER").max() for kind in ("small", "deep")) < 91
    for arm in ("sequential ER", "Adam"):
        cost = ends(run, "deep", arm).mean() - ends(run, "deep", f"{arm} + augmentation").mean()
        assert 0.8 < cost < 1.5


@both
def test_one_update_of_a_hidden_layer_on_fixed_filters_is_worse_than_none(run):
    er, random, own = (
        accuracies(run, "second_layer", arm) for arm in ("ER", "random", "own fields")
    )
    assert (er < random - 0.4).all()
    assert (er > own).all()
    assert accuracies(run, "second_layer", "sequential ER").min() > random.max() + 0.5


def test_numbers_of_the_second_layer_are_those_of_the_tables():
    text = (paths.ROOT / "README.md").read_text(encoding="utf-8")
    for run in SETS.values():
        mean, half = mean_interval(accuracies(run, "second_layer", "sequential ER"))
        assert f"{mean:.2f} ± {half:.2f} %" in text
        er, random = (accuracies(run, "second_layer", arm).mean() for arm in ("ER", "random"))
        assert f"{er:.2f} against {random:.2f} %" in text


@both
def test_half_the_patches_make_the_same_network(run):
    every, second = (accuracies(run, "gram", arm) for arm in ("all patches", "every second"))
    assert abs(every - second).max() < 0.15
