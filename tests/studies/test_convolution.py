"""What notebook 07 compares starts alike, differs in what is said, and is the library's own."""

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from erlib import ER, ERNetwork
from erlib.batches import minibatches
from erlib.notebook.published import published
from erlib.sequential import sequential_fit
from erlib.studies import convolution as study

DIGITS = {"dataset": "digits", "channels": (4, 8), "seed": 0, "passes": 1, "batch": 128}


def test_all_methods_start_from_the_same_network():
    starts = [
        study.trained(kind="small", arm=arm, rate=0.003, **DIGITS)["points"][0]["accuracy"]
        for arm in ("sequential ER", "Adam", "joint ER")
    ]
    assert len(set(starts)) == 1


def test_sequential_er_is_the_librarys_with_the_frozen_setting():
    data = study.images("digits")
    found = study.trained(kind="small", arm="sequential ER", **DIGITS)
    net = ERNetwork(study.module_of(data, "small", (4, 8), 0))
    how = {"inverse": "transpose", "first_update": False, "ridge": 1.0}
    sequential_fit(net, data.x_train, data.y_train, passes=1, batch_size=128, **how)
    assert found["points"][-1]["accuracy"] == net.score(data.x_test, data.y_test)
    assert found["moved"] > 0


def test_joint_er_is_that_of_any_module():
    data = study.images("digits")
    x, y = data.x_train[:600], data.y_train[:600]
    one, other = (study.module_of(data, "deep", (4, 8, 8), 0) for _ in range(2))
    study.train_by("joint ER", one, x, y, passes=1, batch=100, seed=3)
    batches = minibatches(len(x), 100, 1, 3)
    er = ER(other, updates=len(batches))
    for part in batches:
        er.step(x[part], y[part])
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_an_unknown_method_is_named():
    data = study.images("digits")
    module = study.module_of(data, "small", (4, 8), 0)
    with pytest.raises(ValueError, match=r"^arm: 'SGD'"):
        study.train_by("SGD", module, data.x_train, data.y_train, passes=1, batch=100, seed=0)


def test_updates_in_a_pass_are_those_of_the_batches():
    for n, size in ((1437, 32), (100, 128), (150, 100), (149, 100)):
        assert study.updates_in_a_pass(n, size) == len(minibatches(n, size, 1, 0))


def test_what_is_wanted_of_a_map_is_one_backward_pass():
    """The transpose of ERNetwork, layer after layer, and autograd through all of them."""
    data = study.images("digits")
    x, y = data.x_train[:50], data.y_train[:50]
    module = study.module_of(data, "small", (4, 8), 0)
    net = ERNetwork(module)
    _, fields = net.trace(x)
    targets = net.targets(x, y, inverse="transpose")
    below = module[1](module[0](x)).detach().requires_grad_()
    wanted = (targets[-1] - fields[-1]).detach()
    (delta,) = torch.autograd.grad(module[2:](below), below, wanted)
    torch.testing.assert_close(targets[0] - fields[0].detach(), delta)


@pytest.mark.parametrize(("arm", "fixed"), [("readout only", 2), ("first layer fixed", 1)])
def test_layers_said_to_stay_are_not_trained(arm, fixed):
    layers = list(study.module_of(study.images("digits"), "small", (4, 8), 0))
    stays = layers[: study.PARTLY[arm] % len(layers)]
    assert sum(isinstance(part, nn.Conv2d) for part in stays) == fixed
    assert not isinstance(layers[len(stays)], nn.ReLU | nn.MaxPool2d | nn.Flatten)
    (row,) = study.partly(arm=arm, **DIGITS)
    assert 0.5 < row["accuracy"] < 1


def test_one_update_on_filters_in_parts_is_that_of_all_images():
    """The sums of a thousand images at a time, and `one_update` of the readout with all of them."""
    how = {"dataset": "digits", "filters": 8, "seed": 1}
    (row,) = study.on_filters(arm="as they are", **how)
    assert row["features"] == 8 * 2 * study.GRID**2
    rows = {row["arm"]: row["accuracy"] for row in study.without_ratio(**how)}
    assert abs(row["accuracy"] - rows["patches, one ER update"]) < 0.005
    assert rows["patches, one ER update"] > rows["pixels, one ER update"]


@pytest.mark.slow
def test_the_tables_of_both_networks():
    how = {"dataset": "digits", "batch": 256, "seeds": [0, 1], "once": ["Adam, equal time"]}
    tables = study.end_to_end(
        channels={"small": [2, 2], "deep": [2, 2, 2]},
        passes={"small": 1, "deep": 1},
        arms={"small": ["Adam, equal time"], "deep": []},
        rates=[0.001, 0.01],
        penalties=[1.0],
        images_used=300,
        **how,
    )
    ends = {(r["kind"], r["arm"], r["seed"]): r["passes"] for r in tables["curves"]}
    small = {name: passes for name, passes in ends.items() if name[0] == "small"}
    assert small["small", "Adam, equal time", 0] == study.EQUAL_TIME * small["small", "Adam", 0]
    assert ("small", "Adam, equal time", 1) not in ends and ("deep", "Adam", 1) in ends
    settings = [(row["ridge"], row["code"]) for row in tables["fit"]]
    assert settings == [(1.0, 0.8), (1.0, 1.0), (None, None)]
    for name in ("tuning", "curves", "fit", "filters"):
        columns = published(f"07_convolution.cifar10.{name}").columns
        assert {*columns} - {"error"} == tables[name][0].keys()


def test_full_curves_are_of_three_data_sets_and_three_seeds():
    table = study.full_curves()
    ends = table[table.passes > 0.9].groupby(["data", "arm", table.passes.round()]).size()
    shown = ends[ends.index.get_level_values("arm").isin(["sequential ER", "Adam", "joint ER"])]
    assert set(shown) == {3}
    assert {*table[table.arm == "joint ER"].data} == {"CIFAR-10"}
    passes = table[table.data == "CIFAR-10"].groupby("arm").passes.max()
    assert passes.round().to_dict() == {"sequential ER": 8, "Adam": 8, "joint ER": 8}


def test_errors_on_own_and_on_other_images_are_those_of_the_tables():
    rows = study.full_fits().set_index(["images", "arm"])
    assert [*rows.loc["unchanged"].index] == ["sequential ER", "Adam"]
    assert [*rows.loc["changed"].index] == ["sequential ER", "Adam", "joint ER"]
    long = published("benchmarks/cifar10_long").query("part == 'test' and method == 'Adam'")
    assert rows.error["changed", "Adam"] == pytest.approx(long.error.mean())
    assert rows.seeds["changed", "Adam"] == len(long) == 3
    assert (rows.fitted < rows.error).all()


def test_pictures_are_each_on_their_own_scale():
    shown = {"one": torch.eye(3), "ten times": 10 * torch.eye(3)}
    figure = study.pictures(shown, [(1, 2, 0, 1)])
    one, ten = (axes.images[0].get_array() for axes in figure.axes)
    assert (one == ten).all() and figure.axes[1].patches[0].get_xy() == (-0.5, 1.5)
    plt.close(figure)


@pytest.mark.slow
def test_recorded_tables_have_the_columns_of_the_published_ones():
    how = {"small": [2, 2], "deep": [2, 2, 2], "small_arms": [], "deep_arms": [], "once": None}
    how |= {"seeds": [0], "passes": 1, "deep_passes": 1, "batch": 256, "adam_rates": [0.01]}
    how |= {"er_penalties": [1.0], "tuning_images": 300, "filters": [4], "most_filters": 8}
    tables = study.recorded(**how, study_filters=4, second_units=10, dataset="digits")
    for name, rows in tables.items():
        columns = {*published(f"07_convolution.cifar10.{name}").columns} - {"error", "dataset"}
        assert columns == {*rows[0]} - {"dataset"}, name
    assert [row["filters"] for row in tables["front_end"]] == [4, 4, 8]
