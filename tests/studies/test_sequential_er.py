"""Sequential ER taken apart: what stands in the place of its parts, on data small enough to see."""

import copy
import os

import pytest
import torch
import yaml

import erlib
from erlib.batches import minibatches
from erlib.notebook import paths
from erlib.notebook.published import published
from erlib.sequential import Variant, sequential_fit, variant_fit
from erlib.studies import sequential_er as study

KEPT = ("dataset", "images", "passes", "batch", "er_batch", "dtype")


def ablated(arm, **changed):
    """Validation accuracy on 200 of the digits."""
    given = {"dataset": "digits", "seed": 0, "width": 20, "images": 200, "passes": 3, "batch": 20}
    (row,) = study.ablated(arm=arm, **given | {"er_batch": 100} | changed)
    return row["accuracy"]


def problem(n=30, d=4):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=random, dtype=torch.float64) + 1
    return x, torch.randn(n, 3, generator=random, dtype=torch.float64)


@pytest.mark.parametrize("arm", [arm for arm in study.ALL if arm not in ("plain ER", "Adam")])
def test_every_part_can_be_taken_back(arm):
    assert ablated(arm) > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["plain ER", "Adam"])  # they need more updates
def test_the_others_learn_too(arm):
    assert ablated(arm, passes=10, adam_rate=0.01, er_batch=20) > 0.6


def test_in_the_order_of_the_method_it_is_the_method():
    data = study.images("digits")
    x, y, how = data.x_train[:200], data.y_train[:200], {"passes": 2, "batch_size": 20, "seed": 1}
    ours, its, other = (study.network(data, 20, 15) for _ in range(3))
    study.in_order(ours, x, y, "last to first", **how)
    sequential_fit(its, x, y, inverse="transpose", **how)
    study.in_order(other, x, y, "at once", **how)
    torch.testing.assert_close(study.weights_of(ours), study.weights_of(its))
    assert not torch.equal(study.weights_of(other)[0], study.weights_of(its)[0])


def test_a_part_taken_back_is_another_training():
    different = set(map(ablated, ("sequential ER", "small penalty (0.3)", "code 1")))
    assert len(different) == 3


def test_published_tables_have_the_names_of_the_study():
    for table in ("05_sequential_er", "05_sequential_er.fashion_mnist"):
        names = set(published(f"{table}.ablation").arm)
        assert set(study.ALL) - {"FOOF", *study.ORDERS} <= names <= set(study.ALL)


@pytest.mark.slow
@pytest.mark.skipif("ERLIB_DATA" not in os.environ, reason="no folder with the real data sets")
@pytest.mark.parametrize("arm", ["sequential ER", "code 1", "gradient step, 1 / penalty"])
def test_published_rows_come_out_again(arm):
    file = paths.NOTEBOOKS / "full" / "05_sequential_er.fashion_mnist.yaml"
    given = yaml.safe_load(file.read_text(encoding="utf-8"))
    given = {"width": given.pop("hidden")} | {name: given[name] for name in given if name in KEPT}
    (row,) = study.ablated(arm=arm, seed=0, **given)
    table = published("05_sequential_er.fashion_mnist.ablation").query("seed == 0")
    expected = table[table.arm == arm].accuracy.item()
    assert row["accuracy"] == pytest.approx(expected, abs=0.003)  # on another machine


def test_what_is_lost_is_paired_and_only_of_what_is_there():
    rows = [
        {"arm": arm, "seed": seed, "accuracy": accuracy - 0.1 * seed}
        for arm, accuracy in (("sequential ER", 0.9), ("code 1", 0.8))
        for seed in (0, 1)
    ]
    ((part, points),) = study.lost(rows).items()
    assert part.startswith("soft outputs") and points == pytest.approx([10, 10])


def test_what_a_fixed_length_loses_is_paired_with_its_inverse():
    whole = [{"arm": arm, "seed": 0, "accuracy": 0.9} for arm in ("sequential ER", "transpose")]
    fixed = [
        {"inverse": inverse, "factor": factor, "seed": 0, "accuracy": 0.8 + factor / 100 - lower}
        for inverse, lower in (("pinv", 0.0), ("transpose", 0.1))
        for factor in (1, 10.0)
    ]
    lost = study.lost([*whole, *study.as_arms(fixed, 10)])
    assert lost["regressed length (10, pinv)"] == pytest.approx([0])
    assert lost["regressed length (10, transpose)"] == pytest.approx([10])
    assert not any("(1, " in part for part in lost)


def test_a_fixed_factor_of_one_is_the_part_taken_back():
    given = {"dataset": "digits", "seed": 0, "width": 20, "images": 200, "passes": 3, "batch": 20}
    for inverse in ("pinv", "transpose"):
        (row,) = study.with_factor(factor=1.0, inverse=inverse, **given)
        assert row["accuracy"] == ablated(f"{inverse}, fixed factor 1")


@pytest.mark.parametrize("data", ["lengths", "fashion_mnist_lengths"])
@pytest.mark.parametrize("inverse", ["pinv", "transpose"])
def test_fixed_lengths_of_ten_and_thirty_do_and_others_do_not(data, inverse):
    table = published(f"05_sequential_er.{data}.factors").query(f"inverse == '{inverse}'")
    error = table.groupby("factor").error.mean()
    whole = published(f"05_sequential_er.{data}.ablation").groupby("arm").error.mean()
    regressed = whole["sequential ER" if inverse == "pinv" else inverse]
    assert max(error[10], error[30]) < regressed + 0.1
    assert min(error[1], error[100]) > regressed + 0.2


def test_the_length_that_fits_depends_on_the_width():
    given = {"dataset": "mnist5k", "seed": 0, "images": 1000, "passes": 4, "batch": 64}
    right = {}
    for width in (10, 50):
        (regressed,) = study.ablated(arm="sequential ER", width=width, er_batch=200, **given)
        (fixed,) = study.with_factor(factor=10.0, width=width, **given)
        right[width] = regressed["accuracy"], fixed["accuracy"]
    assert right[10][0] > right[10][1] + 0.2
    assert right[50][0] < right[50][1] + 0.05


def test_a_length_that_overflows_counts_as_chance():
    given = {"dataset": "digits", "seed": 0, "width": 20, "images": 200, "passes": 3, "batch": 20}
    assert study.with_factor(factor=1e30, **given) == [{"accuracy": 0.1}]


def test_gradient_step_is_the_best_along_the_gradient():
    x, h = problem()
    weight, bias, given = study.gradient_step(x, h, 0.0)
    torch.testing.assert_close(x @ weight + bias, given)
    best = (given - h).square().sum()
    for stretch in (0.99, 1.01):
        other = stretch * (given - h.mean(0)) + h.mean(0)
        assert (other - h).square().sum() > best


def test_penalised_step_is_the_regression_with_a_huge_penalty():
    x, h = problem()
    weight, bias, _ = study.penalised_step(x, h, 1e9)
    expected, constant = erlib.regress(x, h, ridge=1e9)
    torch.testing.assert_close(weight, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(bias, constant)


def test_with_a_factor_of_zero_the_readout_trains_alone():
    data = study.images("digits")
    x, y = data.x_train[:200], data.y_train[:200]
    start = study.network(data, 20)
    net = variant_fit(copy.deepcopy(start), x, y, Variant(factor=0.0), first_update=False)
    assert torch.equal(net.layers[0].weight, start.layers[0].weight)
    assert not torch.equal(net.layers[1].weight, start.layers[1].weight)


def test_at_once_in_one_batch_is_plain_er():
    data = study.images("digits")
    x, y = data.x_train[:100].flatten(1), data.y_train[:100]
    net, plain = study.network(data, 20), study.network(data, 20)
    study.at_once(net, x, y, passes=1, batch_size=100, seed=0, share=0.5)
    observed = study.soft(y, x)
    plain.sweep(x, [plain.targets(x, observed)[0], None], ridge=3.0)
    order = minibatches(100, 100, 1, 0)[0]
    changes = plain.changes(x[order], observed[order], ridge=10.0, inverse="transpose")
    for layer, change in zip(plain.layers, changes):
        layer.assign(*change, share=0.5)
    for one, other in zip(study.weights_of(net), study.weights_of(plain)):
        torch.testing.assert_close(one, other)


def test_plain_er_overshoots_where_sequential_er_does_not():
    rows = study.overshoot(dataset="digits", width=50, updates=40, batch=64, shares=(0.0, 1.0))
    left = {(row["arm"], row["share"]): row["left"] for row in rows}
    assert left["plain ER", 0.0] == left["sequential ER", 0.0] == pytest.approx(100)
    assert left["sequential ER", 1.0] < 60 < left["plain ER", 1.0]


def test_a_large_penalty_and_soft_outputs_keep_plain_er_from_overshooting():
    given = {"dataset": "digits", "width": 50, "updates": 40, "batch": 64, "shares": (0.5, 1.0)}
    plain, careful = (
        {row["share"]: row["left"] for row in study.overshoot(**given | trained)[:2]}
        for trained in ({}, {"ridge": 10.0, "code": 0.8})
    )
    assert careful[1.0] < careful[0.5] < 100 and plain[1.0] > plain[0.5]


def test_what_is_drawn_has_a_name_in_the_parts_and_its_runs_in_the_quick_profile():
    assert set(study.SHOWN) <= set(study.PARTS)
    arms = {arm for part in study.SHOWN for arm in study.PARTS[part]}
    assert arms - {"pinv, fixed factor 10"} == set(study.FEW)
    assert set(study.FEW) <= set(study.ALL)


def test_everything_recorded_has_its_seeds_and_widths():
    given = {"dataset": "digits", "images": 200, "passes": 2, "batch": 20, "er_batch": 100}
    tables = study.compared(
        hidden=40, seeds=[0, 1], parts=["sequential ER", "T − A"], factors=[10.0], **given
    )
    assert [len(rows) for rows in tables.values()] == [4, 4, 12]
    assert {row["width"] for row in tables["widths"]} == {10, 30, 40}
    assert {row["arm"] for row in tables["widths"]} == {"sequential ER", "pinv, fixed factor 10"}
