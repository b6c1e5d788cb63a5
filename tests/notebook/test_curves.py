"""`Curve`: where it measures, and that its clock stands still meanwhile."""

from types import SimpleNamespace

import pytest

from erlib.notebook.curves import Curve, first_reach


def network():
    return SimpleNamespace(score=lambda x, y: 0.5)


def watched(updates, **given):
    curve = Curve(network(), None, None, **given)
    for update in range(1, updates + 1):
        curve(update)
    return curve.rows


def test_points_are_doubled_in_the_first_pass_and_then_one_a_pass():
    rows = watched(36, per_pass=12)
    assert [row["updates"] for row in rows] == [0, 1, 2, 3, 6, 12, 24, 36]
    assert [row["passes"] for row in rows][-3:] == [1, 2, 3]


@pytest.mark.parametrize("per_pass", [1, 2, 3, 120])
def test_every_pass_ends_with_a_point(per_pass):
    points = [row["updates"] for row in watched(3 * per_pass, per_pass=per_pass)]
    assert points == sorted(set(points)) and {per_pass, 2 * per_pass, 3 * per_pass} <= set(points)


def test_measuring_takes_no_time(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("erlib.notebook.curves.clock", lambda: now[0])

    def score(x, y):
        now[0] += 50
        return 0.5

    curve = Curve(SimpleNamespace(score=score), None, None, per_pass=2)
    for update in range(1, 5):
        now[0] += 1.0  # of training
        curve(update)
    assert [row["seconds"] for row in curve.rows] == [0, 1, 2, 4]


def test_passes_may_be_counted_by_the_method():
    rows = watched(2, per_pass=1, passes=lambda update: 7 * update)
    assert [row["passes"] for row in rows] == [0, 7, 14]


def test_first_reach_takes_the_first_even_if_it_falls_back():
    rows = [{"passes": n, "accuracy": a} for n, a in enumerate([0.1, 0.9, 0.8, 0.95])]
    assert first_reach(rows, 0.9, of="passes") == 1
    assert first_reach(rows, 0.96, of="passes") is None
