"""Several processes train as one: the same weights, the same bits in all, and faults by name."""

import os
import signal
import time

import numpy as np
import pytest
import torch
from together import together

import erlib
from erlib import ERNetwork, Moments, regress, shards, streamed
from erlib.regress_batch import regress_batch
from erlib.sequential import sequential_fit
from erlib.streams import Arrays

SIZES = [64, 30, 20, 10]


def digits():
    data = erlib.load("digits", dtype=torch.float64)
    return data.x_train[:605].flatten(1), data.y_train[:605]


def network(**options):
    return ERNetwork.dense(SIZES, dtype=torch.float64, hidden_bias=True, **options)


def weights(net):
    return [parameter.detach().numpy() for parameter in net.parameters()]


def all_the_loops():
    """Weights of each loop over this process's part of the digits, by the name of the loop."""
    x, y = digits()
    part = shards.here()
    batches = Arrays(x, y, 100, part=part)
    random = Arrays(x, y, 50, seed=3, part=part)  # fewer samples than inputs, and then more
    large = Arrays(x, y, 200, seed=3, part=part)
    return {
        "one update": weights(streamed.one_update(network(), batches)),
        "settle": weights(streamed.settle(network(), batches, updates=2)),
        "fit": weights(streamed.fit(network(), random, passes=1)),
        "sequential": weights(streamed.sequential_fit(network(), random, passes=2)),
        "sequential, large batches": weights(streamed.sequential_fit(network(), large, passes=2)),
    }


@pytest.fixture(scope="module")
def in_memory():
    x, y = digits()
    return {
        "one update": weights(network().one_update(x, y)),
        "settle": weights(network().settle(x, y, updates=2)),
        "fit": weights(network().fit(x, y, batch_size=50, seed=3)),
        "sequential": weights(sequential_fit(network(), x, y, passes=2, batch_size=50, seed=3)),
        "sequential, large batches": weights(
            sequential_fit(network(), x, y, passes=2, batch_size=200, seed=3)
        ),
    }


def worst(found, wanted):
    pairs = zip(found, wanted, strict=True)
    return max(abs(a - b).max() / max(abs(b).max(), 1e-3) for a, b in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 4], ids="{} processes".format)
def test_processes_find_the_weights_of_one_and_all_the_same(count, in_memory):
    first, *others = together(count, all_the_loops)
    for name, wanted in in_memory.items():
        assert worst(first[name], wanted) < 1e-8, name
        for other in others:
            assert all(map(np.array_equal, first[name], other[name])), name


# ---------------------------------------------------------------- sums


def test_moments_move_to_another_origin_exactly():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(40, 5, generator=random, dtype=torch.float64) + 1000
    h = torch.randn(40, 2, generator=random, dtype=torch.float64)
    moments = Moments().add(x, h)
    moments.move_to(moments.origin + torch.randn(5, generator=random, dtype=torch.float64))
    for found, wanted in zip(moments.solve(0.1), regress(x, h, ridge=0.1)):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


def part_of_a_regression(offsets, fit_intercept):
    """Sum up a part of the rows, far from the others, and solve for all."""
    number = shards.here()[0]
    random = torch.Generator().manual_seed(number)
    n = (30, 0, 7)[number]
    x = torch.randn(n, 4, generator=random, dtype=torch.float64) + offsets[number]
    h = torch.randn(n, 2, generator=random, dtype=torch.float64)
    net = ERNetwork.dense([4, 2], dtype=torch.float64)
    moments = Moments(fit_intercept)
    moments.accumulate(x, h)
    return x, h, shards.solve(net.layers[0], moments, 0.1)


@pytest.mark.slow
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_sums_relative_to_different_means_add_up(fit_intercept):
    found = together(3, part_of_a_regression, (0.0, 0.0, 50.0), fit_intercept)
    x, h = (torch.cat([part[k] for part in found]) for k in (0, 1))
    wanted = regress(x, h, ridge=0.1, fit_intercept=fit_intercept)
    for _, _, solution in found:
        for one, two in zip(solution, wanted):
            torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("n", [5, 30], ids="{} samples".format)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("x_scale", [1.0, 0.0, 1e-150], ids=["", "zeros", "tiny"])
def test_one_process_regresses_a_batch_as_it_is_done_without(n, fit_intercept, x_scale):
    random = torch.Generator().manual_seed(0)
    x = x_scale * torch.randn(n, 12, generator=random, dtype=torch.float64)
    h = torch.randn(n, 3, generator=random, dtype=torch.float64)
    found = shards.regress_rows([n], x, h, 2.0, fit_intercept=fit_intercept)
    wanted = regress_batch(x, h, 2.0, fit_intercept=fit_intercept)
    for one, two in zip(found, wanted):
        assert one is two is None or torch.allclose(one, two, rtol=1e-9, atol=1e-12)


# ---------------------------------------------------------------- faults


def train(stream, seed=0, **options):
    """One update of this process's stream, and its weights."""
    return weights(streamed.one_update(network(seed=seed), stream(), **options))


def uneven():
    """Process 0 has 7 of 10 samples, in batches of its own."""
    x, y = digits()
    cut = 7 * len(x) // 10
    if shards.here()[0] == 0:
        return Arrays(x[:cut], y[:cut], 50)
    return Arrays(x[cut:], y[cut:], 33)


def uneven_training():
    return weights(streamed.sequential_fit(network(), uneven(), passes=1))


@pytest.mark.slow
def test_parts_may_differ_in_length():
    x, y = digits()
    wanted = weights(network().one_update(x, y))
    for found in together(2, train, uneven):
        assert worst(found, wanted) < 1e-8


@pytest.mark.slow
def test_training_goes_on_when_one_stream_has_ended():
    x, y = digits()
    cut = 7 * len(x) // 10
    parts = (list(zip(a[:cut].split(50), a[cut:].split(33))) for a in (x, y))
    batches = [(torch.cat(a), torch.cat(b)) for a, b in zip(*parts)]
    longer = list(zip(x[:cut].split(50), y[:cut].split(50)))[len(batches) :]
    longer = longer[:-1] if 2 * len(longer[-1][0]) < len(batches[0][0]) else longer
    wanted = weights(streamed.sequential_fit(network(), [*batches, *longer], passes=1))
    one, other = together(2, uneven_training)
    assert longer and worst(one, wanted) < 1e-8 and all(map(np.array_equal, one, other))


def empty_in_one():
    x, y = digits()
    return [] if shards.here()[0] == 1 else Arrays(x, y, 100)


def sorted_by_class():
    """Each process has classes of its own."""
    x, y = digits()
    of_this = (y < 5) if shards.here()[0] else (y >= 5)
    return Arrays(x[of_this], y[of_this], 100)


def nan_in_one():
    x, y = digits()
    if shards.here()[0] == 1:
        x[250] = torch.nan
    return Arrays(x, y, 100)


def other_seed():
    return train(nan_in_one, seed=shards.here()[0])


def other_setting():
    return train(nan_in_one, ridge=3.0 + shards.here()[0])


def other_code():
    if shards.here()[0] == 1:
        shards._code = lambda: "changed"
    return train(nan_in_one)


@pytest.mark.slow
def test_parts_may_have_classes_of_their_own():
    x, y = digits()
    wanted = weights(network().one_update(x, y))
    for found in together(2, train, sorted_by_class):
        assert worst(found, wanted) < 1e-8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "says"),
    [
        ((train, empty_in_one), "stream: no samples in process 1 of 2"),
        ((other_seed,), "processes: weights differs: "),
        ((other_setting,), "processes: ridge differs: [3.0, 3.0, 1e-05] in process 0, [4.0,"),
        ((other_code,), "processes: erlib's code differs: "),
    ],
    ids=["empty", "seed", "setting", "code"],
)
def test_what_differs_between_processes_all_of_them_say(work, says):
    for error in together(2, *work):
        assert isinstance(error, ValueError) and str(error).startswith(says)


@pytest.mark.slow
def test_what_is_wrong_with_a_batch_is_said_with_its_process():
    first, second = together(2, train, nan_in_one)
    assert str(second).startswith("process 1: batch 3 of pass 1: x: 64 of 6400 entries are NaN")
    assert isinstance(first, RuntimeError) and "process 0: another process has stopped" in str(
        first
    )


def killed_in_the_second_pass(started):
    x, y = digits()
    opened = []

    def stream():
        opened.append(True)
        if shards.here()[0] == 1 and len(opened) == 2:
            started.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Arrays(x, y, 100)

    net = network()
    before = weights(net)
    try:
        streamed.one_update(net, stream)
    except RuntimeError as error:
        return str(error), time.time(), all(map(np.array_equal, weights(net), before))


@pytest.mark.slow
def test_a_killed_process_ends_the_others_within_seconds(tmp_path):
    mark = tmp_path / "killed"
    found, nothing = together(2, killed_in_the_second_pass, mark, timeout=600.0)
    said, when, unchanged = found
    assert nothing is None and "another process has stopped" in said and unchanged
    assert when - mark.stat().st_mtime < 60, "not after its timeout of ten minutes"


def silent():
    if shards.here()[0] == 1:
        time.sleep(6)
        return None
    return train(nan_in_one)


@pytest.mark.slow
def test_a_process_that_does_not_answer_is_waited_for_no_longer_than_asked():
    first, _ = together(2, silent, timeout=2.0)
    assert isinstance(first, RuntimeError) and "does not answer" in str(first)
