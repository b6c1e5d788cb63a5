import json
import os

import pandas as pd
import pytest
from click.testing import CliRunner
from finished_runs import finished

from erlib.runs.cli import main
from erlib.runs.collect import (
    as_csv,
    as_text,
    frame_of,
    lengths,
    means,
    read_runs,
    rows_of,
    select,
    varying,
    with_table,
)


def values(frame, *columns):
    """The cells of these columns, a tuple for each row."""
    return [*frame[[*columns]].itertuples(index=False, name=None)]


def test_a_row_for_each_run_in_the_order_of_the_parameters(sweep):
    results, others = read_runs(sweep)
    rows = rows_of(results)
    assert not others
    assert values(rows, "width", "seeds", "score") == [
        (width, seed, width + seed) for width in (20, 100) for seed in range(3)
    ]
    assert list(rows)[:4] == ["width", "seeds", "score", "note"]
    assert "dataset" not in rows, "what is the same everywhere is left out"
    assert values(rows, "torch", "cpu")[0] == ("2.13.0", "a CPU")


def test_the_rows_of_a_table(sweep):
    results, _ = read_runs(sweep)
    assert lengths(results) == {"rows": "2"}
    rows = rows_of(results, table="rows")
    assert len(rows) == 12
    assert values(rows, "arm", "score", "width")[1] == ("y", 21, 20)
    with pytest.raises(ValueError, match=r"no table 'row' \(did you mean 'rows'\?\); there are: r"):
        rows_of(results, table="row")


def test_means_over_seeds(sweep):
    found = means(rows_of(read_runs(sweep)[0]), ["width"])
    assert values(found, "width", "n", "score") == [(20, 3, 21.0), (100, 3, 101.0)]
    # Student's t with 2 degrees of freedom: 4.3027 times the standard deviation 1 / sqrt(3).
    assert found["score ±"][0] == pytest.approx(4.302653 / 3**0.5)
    assert "seeds" not in found and "note" not in found
    assert "21 ± 2.5" in as_text(found)
    with pytest.raises(ValueError, match=r"no column 'widht' \(did you mean 'width'\?\)"):
        means(rows_of(read_runs(sweep)[0]), ["widht"])


def test_rows_of_one_seed_are_no_repetitions(sweep):
    rows = rows_of(read_runs(sweep)[0])
    twice = means(pd.concat([rows, rows]), ["width"])
    assert twice.equals(means(rows, ["width"])) and twice["n"][0] == 3
    of_arms = means(rows_of(read_runs(sweep)[0], table="rows"), ["width"])
    assert of_arms["n"][0] == 3, "two arms a seed, three seeds"


def test_what_was_set_is_not_averaged(sweep):
    results, _ = read_runs(sweep)
    rows = rows_of(results, table="rows")
    assert "width" in means(rows, ["arm"])
    assert "width" not in means(rows, ["arm"], varying(results))


def test_some_of_the_rows(sweep):
    rows = rows_of(read_runs(sweep)[0], table="rows")
    assert set(select(rows, "arm", ["y"])["arm"]) == {"y"}
    with pytest.raises(ValueError, match="no row has arm z; there are: x, y"):
        select(rows, "arm", ["z"])
    with pytest.raises(ValueError, match="no column 'amr'"):
        select(rows, "amr", ["x"])


@pytest.fixture
def of_all_kinds(tmp_path):
    """A run for each value of one parameter."""
    values = [
        1,
        True,
        0.5,
        "1",
        "007",
        "[draft] x",
        None,
        [20, 60],
        ["20", 60],
        {"a": 1, "b": [2]},
        [3],
    ]
    for number, value in enumerate(values):
        finished(tmp_path, f"01_a-{number}", parameters={"x": value}, recorded={"number": number})
    return values, rows_of(read_runs(tmp_path)[0])


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["1"], [0]),
        (["1.0"], [0]),
        (["true"], [1]),
        (["0.5"], [2]),
        (['"1"'], [3]),
        (["007"], [4]),
        (["[draft] x"], [5]),
        (["null"], [6]),
        (["[20, 60.0]"], [7]),
        (["[a]", "['20', 60]"], [8]),
        (["{b: [2], a: 1}"], [9]),
        (["3"], [10]),
        (["[3]"], [10]),
        (["0:4"], [0, 10]),
    ],
)
def test_rows_by_any_value(of_all_kinds, words, numbers):
    assert sorted(select(of_all_kinds[1], "x", words)["number"]) == numbers


def test_true_is_another_group_than_1(of_all_kinds):
    assert len(means(of_all_kinds[1], ["x"])) == len(of_all_kinds[0])


def test_a_column_n_is_not_the_number_of_rows():
    found = means(frame_of([{"n": 5, "score": 1.0}, {"n": 5, "score": 3.0}]), ["n"])
    assert values(found, "n", "count", "score") == [(5, 2, 2.0)]


def test_a_table_that_is_empty_in_one_run_or_missing(sweep):
    finished(sweep, "01_a-e", parameters={"width": 1}, recorded={"rows": [], "none": []})
    finished(sweep, "01_a-f", parameters={"width": 2}, recorded={"score": 2, "rows": 7})
    finished(sweep, "01_a-g", parameters={"width": 3}, recorded={"other": [{"t": 1}] * 3})
    results, _ = read_runs(sweep)
    assert lengths(results) == {"rows": "up to 2", "other": "up to 3"}
    assert lengths(results[-1:]) == {"rows": "2"}
    assert len(rows_of(results, table="rows")) == 12 and len(with_table(results, "rows")) == 7
    assert len(rows_of(results, table="other")) == 3
    with pytest.raises(ValueError, match="table 'none' has no row in any run"):
        rows_of(results, table="none")
    shown = CliRunner().invoke(main, ["collect", str(sweep), "--table", "other", "--csv"])
    assert shown.exit_code == 0 and "left out: 8 without table other" in shown.output


def test_two_notebooks_of_one_name_are_not_mixed(sweep):
    for place in ("../a/01_a.ipynb", "../b/01_a.ipynb"):
        finished(sweep, f"01_a-{place[3]}", parameters={"width": 1}, recorded={})
        file = sweep / f"01_a-{place[3]}.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"place": place}))
    with pytest.raises(ValueError, match=r"they differ in place of 01_a\.ipynb"):
        read_runs(sweep)


def test_csv_can_be_read_back(sweep):
    head, first, *_ = as_csv(rows_of(read_runs(sweep)[0])).splitlines()
    assert head == "width,seeds,score,note,id,seconds,threads,erlib,torch,code,cpu"
    assert first.startswith("20,0,20,x,01_a-200,1.0,1,0.1.0,2.13.0,")


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"sha": "bbbbbbbb"}, r"01_a\.ipynb"), ({"code": {"regress.py": "5678"}}, r"regress\.py")],
)
def test_different_code_is_not_mixed_unless_asked_for(sweep, changes, named):
    finished(sweep, "01_a-9", parameters={"width": 9, "seeds": [0]}, recorded={}, **changes)
    with pytest.raises(ValueError, match=f"different code .they differ in {named}.*--mixed"):
        read_runs(sweep)
    results, _ = read_runs(sweep, mixed=True)
    assert rows_of(results)["code"].nunique() == 2


def test_other_modules_are_no_other_code(sweep):
    """Which modules a notebook loads may depend on its parameters."""
    finished(
        sweep,
        "01_a-9",
        parameters={"width": 9},
        recorded={"more": 1},
        code={"regress.py": "1234", "patches.py": "1"},
    )
    rows = rows_of(read_runs(sweep)[0])
    assert len(rows) == 7 and values(rows, "more", "score")[0] == (1, None)


def test_what_is_unfinished_is_told(sweep):
    (sweep / "01_a-x.json").write_text('{"id": "01_a-x", "par')
    (sweep / "01_a-y.failed").write_text("{}")
    results, others = read_runs(sweep)
    assert len(results) == 6 and others == {"not whole": 1, "failed": 1}
    (sweep / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no finished run"):
        read_runs(sweep / "empty")


def test_names_that_are_no_text_are_drawn(tmp_path):
    for seed in range(2):
        parameters = {"file": os.fsdecode(b"caf\xe9"), "seed": seed}
        finished(tmp_path, f"01_a-{seed}", parameters=parameters, recorded=parameters)
    words = ["--by", "file", "--value", "seconds", "--plot", str(tmp_path / "a.png")]
    shown = CliRunner().invoke(main, ["collect", str(tmp_path), *words])
    assert shown.exit_code == 0 and (tmp_path / "a.png").is_file(), shown.output


# The command


def collect(*words):
    return CliRunner().invoke(main, ["collect", *map(str, words)])


def test_a_picture_of_a_sweep(sweep, tmp_path):
    file = tmp_path / "picture.png"
    words = (sweep, "--table", "rows", "--by", "width,arm", "--value", "score", "--plot", file)
    shown = collect(*words, "--log")
    assert shown.exit_code == 0 and f"wrote {file}" in shown.output
    before = file.read_bytes()
    assert before.startswith(b"\x89PNG") and len(before) > 5_000
    collect(*words, "--log")
    assert file.read_bytes() == before, "the same rows give the same file"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--plot", "x.png"), "--plot needs --by, its first column across, and --value"),
        (("--plot", "x.png", "--by", "width", "--value", "note"), "no column of numbers 'note'"),
        (("--plot", "x.png", "--by", "wdth", "--value", "score"), "did you mean 'width'?"),
        (("--value", "score"), "--value is the column that --plot draws"),
        (("--plot", "no/x.png", "--by", "width", "--value", "score"), "there is no folder no"),
        (("--where", "width"), "where 'width': expected name=value"),
        (("--table", "row"), "did you mean 'rows'?"),
        (("--by", "seed"), "did you mean 'seeds'?"),
    ],
)
def test_a_mistake_is_explained_and_nothing_is_drawn(
    sweep, words, complaint, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shown = collect(sweep, *words)
    assert shown.exit_code == 2 and complaint in shown.output
    assert not (tmp_path / "x.png").exists()


def test_what_else_is_there_is_told_apart_from_the_table(sweep):
    (sweep / "01_a-1.failed").write_text("{}")
    shown = collect(sweep, "--csv")
    assert shown.stdout.startswith("width,seeds,score") and "left out: 1 failed" in shown.stderr
    assert "tables: rows (2 rows a run)" in shown.stderr
