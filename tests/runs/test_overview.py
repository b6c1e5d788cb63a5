from types import SimpleNamespace

from erlib.runs.overview import Overview


def runs(count):
    return [SimpleNamespace(id=f"01_a-{i}", title=f"seed={i}") for i in range(count)]


def test_a_line_for_each_run_that_ends(capsys):
    ours = runs(2)
    overview = Overview(ours)
    overview.ended(ours[0], {"end": "ok", "seconds": 2.34}, "hint")
    overview.ended(ours[1], {"end": "failed", "why": "gone", "seconds": 1.0}, "look there")
    assert capsys.readouterr().out.splitlines() == [
        "01_a-0  seed=0  ok  2.3 s",
        "01_a-1  seed=1  FAILED  1.0 s",
        "  gone",
        "  look there",
    ]
    assert overview.summary() == "1 ok, 1 failed"


def test_many_runs_are_counted(capsys):
    ours = runs(100)
    overview = Overview(ours)
    overview.ended(ours[0], {"end": "ok", "seconds": 2.0}, "")
    assert capsys.readouterr().out == "[  1 of 100]  01_a-0  seed=0    ok  2.0 s\n"


def test_what_is_under_way():
    ours = runs(3)
    overview = Overview(ours)
    overview.at(ours[0], 2, 5, "x = 1")
    assert overview._describe(10) == "0 of 3 ended, 10 s; seed=0 cell 2 of 5"
    overview.ended(ours[0], {"end": "ok", "seconds": 300.0}, "")
    assert overview._describe(300) == "1 of 3 ended, 300 s, about 10 min left"
    alone = Overview(ours[:1])
    alone.at(ours[0], 2, 5, "x = 1")
    assert alone._describe(10) == "seed=0  cell 2 of 5, 10 s: x = 1"
