"""The experiments of notebook 09: the family's ends, the starts, what counts as failed."""

import itertools

import pytest
import torch

from erlib.notebook.published import published
from erlib.notebook.tables import select
from erlib.studies import inverse_mapping as study

SMALL = {"dataset": "digits", "width": 15, "dtype": "float64"}
TRAINING = {**SMALL, "seed": 0, "passes": 1, "batch": 300}


@pytest.mark.parametrize("shape", study.SHAPES)
def test_the_family_leads_from_one_end_to_the_other(shape):
    steps, damping = (select(study.family(), shape=shape, knob=k) for k in ("steps", "damping"))
    assert steps[0]["to transpose"] < 1e-4 and steps[-1]["to pinv"] < 1e-3
    for rows in (steps[::-1], damping):  # both from the pseudo-inverse on
        angles = [row["to pinv"] for row in rows]
        assert all(a < b + 1e-5 for a, b in itertools.pairwise(angles))
    assert damping[-1]["to transpose"] < 1


def test_the_published_rows_are_those_of_the_study():
    for table, column, names in (
        ("depth", "arm", study.DEEP),
        ("growth", "inverse", study.GROWTH),
        ("training", "inverse", study.FAMILY),
        ("directions", "step", study.FAMILY | study.ONLY),
        ("scale", "arm", study.SCALED),
        ("ranks", "arm", study.RANKED),
        ("map", "arm", study.MAPS),
        ("map", "ridge", study.RIDGES),
        ("line", "share", study.LINE),
    ):
        assert set(published(f"09_inverse_mapping.{table}")[column]) == set(names), table


def test_starts():
    data = study.images("digits")
    drawn, twice = (study.network(data, 15, 3, start=start) for start in ("drawn", 2.0))
    for layer, (one, other) in enumerate(zip(drawn.layers, twice.layers), 1):
        assert torch.equal(other.weight, (2.0 if layer <= 3 else 1.0) * one.weight)
    for layer in study.network(data, 15, 3, start="orthogonal").layers[:-1]:
        values = torch.linalg.svdvals(layer.weight.detach())
        assert torch.allclose(values, torch.full_like(values, 2**0.5))
    shapes = [layer.weight.shape for layer in study.network(data, 15, 3, start="shrinking").layers]
    assert all(below > above for below, above in shapes)


def test_the_pseudo_inverse_asks_for_more_with_each_layer_and_the_transpose_does_not():
    def asked(inverse, layers):
        (row,) = study.asked(inverse=inverse, layers=layers, seed=0, **SMALL)
        return row["growth"]

    assert asked("pinv", 4) > 20 * asked("pinv", 1)
    assert 0.2 < asked("transpose", 4) / asked("transpose", 1) < 5
    assert asked("cg(1)", 4) < 0.2 * asked("cg(1)", 1)


def test_of_two_layers_depth_is_the_comparison_of_inverses():
    adam = {"adam_batch": 50, "adam_rates": (0.01,)}
    for method, inverse in (("plain ER", "transpose"), ("sequential ER", "pinv")):
        (deep,) = study.at_depth(arm=f"{method}, {inverse}", layers=2, **TRAINING, **adam)
        (one,) = study.by_inverse(arm=method, inverse=inverse, **TRAINING)
        assert deep["accuracy"] == one["accuracy"]


def test_an_overflow_counts_as_guessing_and_a_mistake_is_raised():
    settings = TRAINING | {"width": 30, "passes": 4, "batch": 100}
    half, drawn, _ = study.from_other_starts(arm="plain ER, transpose", **settings)
    assert half["diverged"] and half["accuracy"] == 0.1
    assert not drawn["diverged"] and drawn["accuracy"] > 0.5
    with pytest.raises(ValueError, match="batch_size"):
        study.by_inverse(arm="plain ER", inverse="pinv", **TRAINING | {"batch": 0})


@pytest.mark.slow
def test_the_last_layers_step_knows_no_inverse():
    rows = study.directions(start="as drawn", seed=0, batch=300, few=20, **SMALL)
    last = [select(rows, step=step, layer=3)[0]["size"] for step in study.FAMILY]
    assert last == pytest.approx([last[0]] * len(last))
    for row in select(rows, step="the gradient itself"):
        assert row["to gradient"] == pytest.approx(1)


def test_small_steps_of_any_inverse_go_downhill():
    rows = study.along_the_step(seed=0, batch=100, **SMALL)
    small = [row["loss"] for row in select(rows, share=0.02, moved="all layers")]
    assert len(small) == len(study.FAMILY) and max(small) < 1


def test_a_regressed_factor_stands_where_a_fixed_one_falls():
    settings = TRAINING | {"share": 3.0, "ridge": 10.0, "passes": 4, "batch": 100}
    found = {}
    for factor in ("factor 1", "regressed factor"):
        (row,) = study.on_the_map(arm=f"sequential, as plain, {factor}", **settings)
        found[factor] = row["accuracy"]
    assert found["regressed factor"] > found["factor 1"]


def test_ranks_begin_with_the_random_network():
    settings = {**TRAINING, "updates": 2, "adam_batch": 50, "adam_rates": (0.01,)}
    first = []
    for arm in ("plain ER, pinv", "whole updates, own fields, penalty 3"):
        rows = study.ranks(arm=arm, **settings)
        assert [row["updates"] for row in rows] == [0, 0, 1, 1, 2, 2]
        first.append(rows[:2])
    assert first[0] == first[1]


def test_wishes_of_their_own_length_are_those_of_fit_and_rescaled_ones_train_by_direction_alone():
    data, how = study.images("digits"), {"passes": 1, "batch": 100, "seed": 0}
    by_hand, fitted = (study.network(data, 20) for _ in range(2))
    study.equal_length_fit(by_hand, data, "pinv", False, **how)
    fitted.fit(data.x_train, data.y_train, ridge=study.RIDGE, batch_size=100, inverse="pinv")
    for ours, its in zip(by_hand.parameters(), fitted.parameters()):
        torch.testing.assert_close(ours, its)
    once, twice = (study.network(data, 20) for _ in range(2))
    study.equal_length_fit(once, data, "damped 10", True, **how)  # a direction near its
    study.equal_length_fit(twice, data, "transpose", False, **how)
    assert abs(once.score(data.x_test, data.y_test) - twice.score(data.x_test, data.y_test)) < 0.05
