"""The controls of one update change what they say, and nothing else."""

import pytest
import torch

from erlib.studies import one_update as study

DIGITS = {"dataset": "digits", "width": 30}


def errors(**more):
    return {row["arm"]: row["accuracy"] for row in study.compared(seed=0, **DIGITS, **more)}


def test_each_control_is_the_same_whichever_others_run():
    everything = errors()
    for names in (("ER",), ("own fields", "random features"), ("shuffled", "ER")):
        alone = errors(names=names)
        assert alone.items() <= everything.items()
    assert everything["ER"] > everything["random features"]


def test_shuffled_labels_are_as_many_of_each_class():
    labels = torch.arange(50) % 5
    other = study.shuffled(labels, seed=1)
    assert torch.equal(other.bincount(), labels.bincount()) and not torch.equal(other, labels)


def test_in_a_narrow_layer_shuffled_labels_are_as_bad_as_their_mean():
    rows = [row for seed in range(4) for row in study.told(seed=seed, dataset="digits", width=15)]
    arms = {row["arm"] for row in rows}
    mean = {arm: sum(row["accuracy"] for row in rows if row["arm"] == arm) / 4 for arm in arms}
    assert abs(mean["shuffled"] - mean["the mean"]) < 0.03
    assert mean["shuffled"] < mean["own fields"] - 0.1


def test_what_is_told_is_what_the_controls_are_told():
    rows = {row["arm"]: row["accuracy"] for row in study.told(seed=0, **DIGITS)}
    rows.pop("the mean")
    assert rows.items() <= errors(names=("own fields", "shuffled", "ER")).items()


def test_projected_weights_lie_in_the_strongest_directions_and_nothing_else_changes():
    rows = {row["arm"]: row for row in study.projected(seed=0, strongest=20, **DIGITS)}
    assert abs(rows["projected"].pop("share") - 1) < 1e-12
    assert rows["random features"]["share"] < 0.6 < rows["own fields"]["share"]
    same = errors(names=("random features", "own fields", "ER"))
    assert all(rows[arm]["accuracy"] == same[arm] for arm in same if arm in rows)


def test_of_one_hidden_layer_both_suspects_change_the_update():
    rows = {row["arm"]: row["accuracy"] for row in study.suspected(seed=0, depth=1, **DIGITS)}
    assert rows["ER"] == errors(names=("ER",))["ER"]
    assert len(set(rows.values())) == 3


def test_the_compared_update_is_the_networks_own():
    data = study.images("digits")
    net = study.network(data, 30, seed=3).one_update(
        data.x_train.flatten(1), data.y_train, **study.PENALTIES
    )
    (row, *_) = study.compared(dataset="digits", width=30, seed=3, names=("ER",))
    assert row["accuracy"] == net.score(data.x_test.flatten(1), data.y_test)


def test_going_on_starts_from_the_one_update():
    rows = study.going_on(dataset="digits", seed=0, width=30, later=(1, 2))
    first = [row["accuracy"] for row in rows if row["updates"] == 1]
    assert first[0] == first[1] == errors(names=("ER",))["ER"]


def test_validation_never_sees_the_test_images():
    held, data = study.images("digits", held_out=True), study.images("digits")
    assert len(held.x_train) + len(held.x_test) == len(data.x_train)
    usual = study.validated(dataset="digits", choice="ridge", value=3.0, seed=0, width=30)
    same = study.validated(dataset="digits", choice="inverse", value="pinv", seed=0, width=30)
    assert usual == same


@pytest.mark.parametrize("arm", ["patches", "Gaussian filters"])
def test_a_front_end_beats_the_hidden_layer(arm):
    once, _ = study.on_front_end(dataset="digits", arm=arm, seed=0, filters=8, units=0)
    assert once["accuracy"] > errors(names=("ER",))["ER"]
