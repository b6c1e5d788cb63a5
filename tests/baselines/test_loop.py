"""`train` and `choose`."""

from types import SimpleNamespace

import pytest
import torch

from erlib import ERNetwork
from erlib.baselines import (
    backprop,
    choose,
    foof,
    semi_implicit,
    target_propagation,
    train,
)


def data(n=20):
    random = torch.Generator().manual_seed(0)
    return torch.randn(n, 4, generator=random), torch.arange(n) % 2


def test_train_takes_the_batches_of_fit_in_their_order():
    x, y = data()
    net, seen, watched = ERNetwork.dense([4, 2]), [], []
    train(
        net,
        x,
        y,
        lambda *batch: seen.append(batch),
        passes=2,
        batch_size=8,
        seed=3,
        watch=watched.append,
    )
    order = torch.Generator().manual_seed(3)
    expected = [
        part
        for _ in range(2)
        for part in torch.randperm(20, generator=order).split(8)
        if len(part) >= 4
    ]
    assert [len(labels) for _, labels in seen] == [8, 8, 4, 8, 8, 4]
    for (images, labels), part in zip(seen, expected):
        assert torch.equal(images, x[part]) and torch.equal(labels, y[part])
    assert watched == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("change", "named"),
    [({"x": torch.zeros(20, 3)}, "x"), ({"y": torch.arange(20)}, "y"), ({"passes": 0}, "passes")],
)
def test_train_refuses_bad_input_before_the_first_step(change, named):
    x, y = data()

    def step(x, labels):
        raise AssertionError("a step was taken")

    given = {"x": x, "y": y, "passes": 1, **change}
    with pytest.raises(ValueError, match=f"^{named}"):
        train(ERNetwork.dense([4, 2]), step=step, **given)


def test_choose_keeps_the_best_on_the_held_out_part():
    held = SimpleNamespace(x_train="x", y_train="y", x_test="X", y_test="Y")

    def trained(candidate, x, y):
        assert (x, y) == ("x", "y")

        def score(x, y):
            assert (x, y) == ("X", "Y")
            return {0.1: 0.5, 1.0: 0.9, 10.0: 0.7}[candidate]

        return SimpleNamespace(score=score)

    choice = choose([0.1, 1.0, 10.0], trained, held)
    assert choice.best == 1.0
    assert [row["accuracy"] for row in choice.rows] == [0.5, 0.9, 0.7]
    assert choice.seconds >= sum(row["seconds"] for row in choice.rows) >= 0


@pytest.mark.parametrize(
    "method",
    [
        lambda net, updates: backprop(net, optimizer="sgd", rate=1e-6, updates=updates),
        lambda net, updates: foof(net, rate=1e-6, updates=updates),
        lambda net, updates: target_propagation(net, rate=1e-6, updates=updates),
        lambda net, updates: semi_implicit(net, rate=1e-6, updates=updates),
    ],
    ids=["backprop", "foof", "target_propagation", "semi_implicit"],
)
def test_rates_decline_linearly_to_nothing(method):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(30, 5, generator=random, dtype=torch.float64)
    labels = torch.randint(3, (30,), generator=random)
    moves = {}
    for updates in (None, 4):
        net = ERNetwork.dense([5, 6, 3], dtype=torch.float64)
        step, moves[updates] = method(net, updates), []
        for _ in range(5):
            before = net.layers[1].weight.detach().clone()
            step(x, labels)
            moves[updates].append(net.layers[1].weight.detach() - before)
    # Momentum mixes the moves of SGD: its first one and the end are enough there.
    assert torch.equal(moves[4][0], moves[None][0])
    if method(net, None).__qualname__.split(".")[0] != "backprop":
        for done in (1, 2, 3):
            torch.testing.assert_close(
                moves[4][done], (1 - done / 4) * moves[None][done], rtol=1e-3, atol=1e-12
            )
    assert moves[None][4].any() and not moves[4][4].any()


def test_choose_needs_a_candidate():
    with pytest.raises(ValueError, match=r"^candidates"):
        choose([], None, None)
