import pytest

from erlib.studies.grid import over


def seen(*, width, seed, passes=1):
    return [{"arm": arm, "product": width * passes} for arm in ("a", "b")]


def test_lists_are_run_over_and_named_and_the_rest_is_given():
    rows = over(seen, width=[2, 3], seed=[0, 1], passes=5)
    assert len(rows) == 8
    assert rows[0] == {"width": 2, "seed": 0, "arm": "a", "product": 10}
    assert [row["seed"] for row in rows] == [0, 0, 1, 1] * 2
    assert not any("passes" in row for row in rows)


def test_a_tuple_is_one_setting():
    def several(*, names):
        return [{"count": len(names)}]

    assert over(several, names=("a", "b")) == [{"count": 2}]


def test_nothing_to_run_over_gives_no_rows():
    assert over(seen, width=[], seed=[0]) == []


def test_a_misspelt_setting_is_named():
    with pytest.raises(TypeError, match="widht"):
        over(seen, widht=[1], seed=[0])
