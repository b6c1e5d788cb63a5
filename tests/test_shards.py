"""Several processes train as one: the same weights, the same bits in all, and faults by name."""

import os
import signal
import time

import numpy as np
import pytest
import torch
from together import together

from erlib import ERNetwork, Moments, regress, shards, streamed
from erlib.regress_batch import regress_batch
from erlib.sequential import sequential_fit
from erlib.streams import Arrays

SIZES = [40, 25, 20, 5]
N = 305


def samples():
    """Inputs whose class a linear rule decides."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(N, 40, generator=random, dtype=torch.float64) + 0.3
    return x, (x @ torch.randn(40, 5, generator=random, dtype=torch.float64)).argmax(1)


def network(**options):
    return ERNetwork.dense(SIZES, dtype=torch.float64, hidden_bias=True, **options)


def weights(net):
    return [parameter.detach().numpy() for parameter in net.parameters()]


def all_the_loops(message):
    """Weights of each loop over this process's part of the samples, by the name of the loop."""
    x, y = samples()
    part, shards.MESSAGE = shards.here(), message
    batches = Arrays(x, y, 100, part=part)
    random = Arrays(x, y, 30, seed=3, part=part)  # fewer samples than inputs, and then more
    large = Arrays(x, y, 100, seed=3, part=part)
    return {
        "one update": weights(streamed.one_update(network(), batches)),
        "settle": weights(streamed.settle(network(), batches, updates=2)),
        "fit": weights(streamed.fit(network(), random, passes=1)),
        "sequential": weights(streamed.sequential_fit(network(), random, passes=1)),
        "sequential, large batches": weights(streamed.sequential_fit(network(), large, passes=1)),
    }


@pytest.fixture(scope="module")
def in_memory():
    x, y = samples()
    return {
        "one update": weights(network().one_update(x, y)),
        "settle": weights(network().settle(x, y, updates=2)),
        "fit": weights(network().fit(x, y, batch_size=30, seed=3)),
        "sequential": weights(sequential_fit(network(), x, y, passes=1, batch_size=30, seed=3)),
        "sequential, large batches": weights(
            sequential_fit(network(), x, y, passes=1, batch_size=100, seed=3)
        ),
    }


def worst(found, wanted):
    pairs = zip(found, wanted, strict=True)
    return max(abs(a - b).max() / max(abs(b).max(), 1e-3) for a, b in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4], ids="{} processes".format)
@pytest.mark.parametrize("message", [0, 10**8], ids=["work is shared", "small work is not"])
def test_processes_find_the_weights_of_one_and_all_the_same(count, message, in_memory):
    first, *others = together(count, all_the_loops, message)
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


def part_of_a_regression():
    """Sum up a part of the rows, far from the others, and solve for all."""
    number = shards.here()[0]
    random = torch.Generator().manual_seed(number)
    n, offset = ((30, 0.0), (0, 0.0), (7, 50.0))[number]
    x = torch.randn(n, 4, generator=random, dtype=torch.float64) + offset
    h = torch.randn(n, 2, generator=random, dtype=torch.float64)
    net, solutions = ERNetwork.dense([4, 2], dtype=torch.float64), []
    for fit_intercept in (True, False):
        moments = Moments(fit_intercept)
        moments.accumulate(x, h)
        solutions.append([part.numpy() for part in shards.solve(net.layers[0], moments, 0.1)])
    return x.numpy(), h.numpy(), solutions


@pytest.mark.slow
def test_sums_relative_to_different_means_add_up():
    found = together(3, part_of_a_regression)
    x, h = (np.concatenate([part[k] for part in found]) for k in (0, 1))
    for number, fit_intercept in enumerate((True, False)):
        wanted = regress(x, h, ridge=0.1, fit_intercept=fit_intercept)
        for _, _, solutions in found:
            for one, two in zip(solutions[number], wanted):
                np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("n", [5, 30], ids="{} samples".format)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("size", [1.0, 0.0, 1e-25], ids=["", "zeros", "tiny"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_one_process_regresses_a_batch_as_it_is_done_without(n, fit_intercept, size, dtype):
    random = torch.Generator().manual_seed(0)
    x = size * torch.randn(n, 12, generator=random, dtype=dtype)
    h = torch.randn(n, 3, generator=random, dtype=dtype)
    found = shards.regress_rows([n], x, h, 2.0, fit_intercept=fit_intercept)
    wanted = regress_batch(x, h, 2.0, fit_intercept=fit_intercept)
    for one, two in zip(found, wanted):
        if two is not None:
            assert one.dtype == dtype
            torch.testing.assert_close(one, two)


# ---------------------------------------------------------------- faults


CUT = 7 * N // 10


def own(first, second):
    """What is given of the samples to process 0, and to process 1, as boolean or sliced rows."""
    x, y = samples()
    rows, size = ((first, 25), (second, 16))[shards.here()[0]]
    return Arrays(x[rows], y[rows], size)


def unequal_parts():
    y = samples()[1]
    uneven = own(slice(CUT), slice(CUT, None))
    return {
        "lengths": weights(streamed.one_update(network(), uneven)),
        "classes": weights(streamed.one_update(network(), own(y < 2, y >= 2))),
        "training": weights(streamed.sequential_fit(network(), uneven, passes=1)),
    }


@pytest.mark.slow
def test_parts_may_differ_in_length_and_in_classes_and_end_before_others():
    x, y = samples()
    wanted = dict.fromkeys(("lengths", "classes"), weights(network().one_update(x, y)))
    one, other = (
        [a.split(25) for a in (x[:CUT], y[:CUT])],
        [a.split(16) for a in (x[CUT:], y[CUT:])],
    )
    batches = [tuple(map(torch.cat, zip(*pair))) for pair in zip(zip(*one), zip(*other))]
    batches += list(zip(*one))[len(batches) :]
    assert len(batches) == len(one[0]) > len(other[0])
    wanted["training"] = weights(streamed.sequential_fit(network(), batches, passes=1))
    first, second = together(2, unequal_parts)
    for name in wanted:
        assert worst(first[name], wanted[name]) < 1e-8, name
        assert all(map(np.array_equal, first[name], second[name])), name


# ---------------------------------------------------------------- faults


def what_differs():
    """What this process says when one has no samples, or another seed, setting, or code."""
    number, (x, y) = shards.here()[0], samples()
    stream = Arrays(x, y, 100)

    def said(stream, seed=0, **options):
        try:
            streamed.one_update(network(seed=seed), stream, **options)
        except ValueError as error:
            return str(error)

    found = {
        "empty": said([] if number else stream),
        "seed": said(stream, seed=number),
        "setting": said(stream, ridge=3.0 + number),
    }
    if number:
        shards._code = lambda: "changed"
    return found | {"code": said(stream)}


@pytest.mark.slow
def test_what_differs_between_processes_all_of_them_say():
    for said in together(2, what_differs):
        assert said["empty"] == "stream: no samples in process 1 of 2"
        assert said["seed"].startswith("processes: weights differs: ")
        ridges = "[3.0, 3.0, 1e-05] in process 0, [4.0, 4.0, 1e-05] in process 1"
        assert said["setting"] == f"processes: ridge differs: {ridges}; all must have the same"
        assert said["code"].startswith("processes: erlib's code differs: ")
        assert "'changed' in process 1" in said["code"] or "changed in process 1" in said["code"]


def nan_in_one():
    x, y = samples()
    if shards.here()[0] == 1:
        x[250] = torch.nan
    streamed.one_update(network(), Arrays(x, y, 100))


@pytest.mark.slow
def test_what_is_wrong_with_a_batch_is_said_with_its_process():
    first, second = together(2, nan_in_one)
    assert str(second).startswith("process 1: batch 3 of pass 1: x: 40 of 4000 entries are NaN")
    assert isinstance(first, RuntimeError) and "process 0: another process has stopped" in str(
        first
    )


def killed_in_the_second_pass(started):
    x, y = samples()
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
        return
    nan_in_one()


@pytest.mark.slow
def test_a_process_that_does_not_answer_is_waited_for_no_longer_than_asked():
    first, _ = together(2, silent, timeout=2.0)
    assert isinstance(first, RuntimeError) and "does not answer" in str(first)
