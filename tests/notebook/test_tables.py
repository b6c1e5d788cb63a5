import pytest

from erlib.notebook.tables import gains, markdown, pivot, select

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
