import math

import numpy as np
import pytest
from scipy import stats

from erlib.notebook.tables import gains, markdown, mean_interval, percent, pivot, select

ROWS = [
    {"arm": arm, "width": width, "seed": seed, "accuracy": accuracy}
    for arm, width, seed, accuracy in [
        ("ER", 30, 0, 0.80),
        ("ER", 30, 1, 0.90),
        ("ER", 100, 0, 0.95),
        ("LS", 30, 1, 0.60),
        ("LS", 30, 0, 0.70),
    ]
]


def test_select_keeps_order_and_needs_all_to_match():
    assert [row["seed"] for row in select(ROWS, arm="LS", width=30)] == [1, 0]
    assert select(ROWS, arm="LS", width=100) == []


def test_gains_pair_by_seed_whatever_the_order_of_rows():
    assert gains(ROWS, "ER", over="LS", width=30) == pytest.approx([0.10, 0.30])


def test_gains_refuse_unpaired_and_doubled_seeds():
    with pytest.raises(ValueError, match="no seed has both"):
        gains(ROWS, "ER", over="LS", width=100)
    with pytest.raises(ValueError, match="twice"):
        gains(ROWS, "ER", over="LS")  # both widths at once: seed 0 occurs twice


def test_pivot_has_a_line_an_arm_and_leaves_missing_cells_empty():
    assert pivot(ROWS, "arm", "width", cell=lambda v: f"{sum(v) / len(v):.2f}").splitlines() == [
        "| arm | width 30 | width 100 |",
        "|-----|----------|-----------|",
        "| ER  | 0.85     | 0.95      |",
        "| LS  | 0.65     |           |",
    ]


def test_markdown_of_no_lines_is_a_header():
    assert markdown(["a"], []) == "| a |\n|---|"


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
