import math

import numpy as np
import pytest
from scipy import stats

from erlib.notebook.intervals import mean_interval, percent


def test_equals_scipys_interval_of_the_mean():
    values = np.random.default_rng(0).normal(size=7)
    mean, half = mean_interval(values)
    low, high = stats.t.interval(0.95, 6, loc=values.mean(), scale=stats.sem(values))
    assert math.isclose(mean - half, low) and math.isclose(mean + half, high)


def test_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(1)
    hits = 0
    for values in generator.normal(3.0, 2.0, size=(2000, 5)):
        mean, half = mean_interval(values)
        hits += abs(mean - 3.0) <= half
    assert 0.935 < hits / 2000 < 0.965


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [math.inf]], ids=str)
def test_refuses_what_has_no_mean(values):
    with pytest.raises(ValueError, match="values"):
        mean_interval(values)


def test_percent_shows_sign_and_no_interval_for_one_value():
    assert percent([0.5], signed=True) == "+50.0"
    assert percent([-0.01, -0.01], signed=True) == "-1.0 ± 0.0"
