"""The bands in which a run of the full profile must end; .ci/run makes one and checks it here.

erlib run 04_one_update --profile full -p seeds "[0]" -p wide_widths "[2000]" -p widest 0 \
    -p filters 32 -p fields_units 500 --output FOLDER
ERLIB_FULL_RUN=FOLDER pytest tests/repository/test_full_run.py
"""

import json
import os
from pathlib import Path

import pytest

from erlib.notebook.tables import gains, select

FOLDER = os.environ.get("ERLIB_FULL_RUN")
pytestmark = pytest.mark.skipif(not FOLDER, reason="ERLIB_FULL_RUN names no folder of a full run")

ONE_SEED = 0.0015  # a single network may end this much below the mean over seeds
ER_AT_LEAST = {1000: 0.960, 2000: 0.969}  # test accuracy after one update of MNIST, by width
ER_OVER_RANDOM_FEATURES = 0.010  # at width 1000
ARMS = {"linear", "random features", "own fields", "ER", "ER, settled"}
PATCHES_AT_LEAST = 0.978  # readout settled, 32 filters


@pytest.fixture(scope="module")
def recorded():
    file = Path(FOLDER) / "04_one_update.json"
    result = json.loads(file.read_text(encoding="utf-8"))
    assert result["profile"] == "full"
    return result["recorded"]


@pytest.fixture(scope="module")
def rows(recorded):
    return recorded["accuracy"]


@pytest.mark.parametrize("width", ER_AT_LEAST)
def test_every_arm_is_there_with_a_valid_accuracy(rows, width):
    here = select(rows, width=width)
    assert {row["arm"] for row in here} >= ARMS
    assert all(0.1 < row["accuracy"] < 1 for row in here), "below guessing, or no fraction"


@pytest.mark.parametrize(("width", "at_least"), ER_AT_LEAST.items())
def test_accuracy_after_one_update(rows, width, at_least):
    for row in select(rows, width=width, arm="ER"):
        assert row["accuracy"] >= at_least - ONE_SEED, row


def test_settling_the_readout_gains(rows):
    for gain in gains(rows, "ER, settled", over="ER", width=1000):
        assert gain > 0.003


def test_patches_as_a_front_end(recorded):
    for row in select(recorded["front_end"], arm="patches, settled"):
        assert row["accuracy"] >= PATCHES_AT_LEAST


def test_gain_over_random_features(rows):
    for gain in gains(rows, "ER", over="random features", width=1000):
        assert gain >= ER_OVER_RANDOM_FEATURES
