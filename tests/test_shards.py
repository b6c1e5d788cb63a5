"""Several processes train as one: the same weights, the same bits in all, and faults by name."""

import os
import signal
import time

import numpy as np
import pytest
import torch
from together import together

import erlib
from erlib import ERNetwork, Moments, shards, streamed
from erlib.regress_batch import regress_batch
from erlib.sequential import sequential_fit
from erlib.streams import Arrays

SIZES = [64, 30, 20, 10]


def digits():
    data = erlib.load("digits", dtype=torch.float64)
    return data.x_train.flatten(1), data.y_train


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
    return max(abs(a - b).max() / abs(b).max() for a, b in zip(found, wanted, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 4], ids="{} processes".format)
def test_processes_find_the_weights_of_one_and_all_the_same(count, in_memory):
    first, *others = together(count, all_the_loops)
    for name, wanted in in_memory.items():
        assert worst(first[name], wanted) < 1e-8, name
        for other in others:
            assert all(map(np.array_equal, first[name], other[name])), name
