import io
import json

import pytest

from erlib.collect import as_csv, as_text, means, read_runs, rows_of, tables_in


def finished(folder, id, *, parameters, recorded, sha="aaaaaaaa", code=None, seconds=1.0):
    result = {
        "id": id,
        "notebook": "01_a.ipynb",
        "notebook_sha256": sha,
        "parameters": parameters,
        "recorded": recorded,
        "seconds": seconds,
        "threads": 1,
        "environment": {"erlib": "0.1.0", "cpu": "a CPU", "packages": {"torch": "2.13.0"}},
        "code": {"regress.py": "1234"} if code is None else code,
    }
    folder.mkdir(exist_ok=True)
    (folder / f"{id}.json").write_text(json.dumps(result))


@pytest.fixture
def sweep(tmp_path):
    """Two widths, three seeds, a number and a table each."""
    for width in (100, 20):
        for seed in range(3):
            finished(
                tmp_path / "sweep",
                f"01_a-{width}{seed}",
                parameters={"width": width, "seeds": [seed], "dataset": "digits"},
                recorded={
                    "score": width + seed,
                    "note": "x",
                    "rows": [{"arm": arm, "score": width + seed + i} for i, arm in enumerate("xy")],
                },
            )
    return tmp_path / "sweep"


def test_a_row_for_each_run_in_the_order_of_the_parameters(sweep):
    results, others = read_runs(sweep)
    rows = rows_of(results)
    assert not others
    assert [(row["width"], row["seeds"], row["score"]) for row in rows] == [
        (width, seed, width + seed) for width in (20, 100) for seed in range(3)
    ]
    assert list(rows[0])[:4] == ["width", "seeds", "score", "note"]
    assert "dataset" not in rows[0], "what is the same everywhere is left out"
    assert rows[0]["torch"] == "2.13.0" and rows[0]["cpu"] == "a CPU"


def test_the_rows_of_a_table(sweep):
    results, _ = read_runs(sweep)
    assert tables_in(results) == {"rows": 2}
    rows = rows_of(results, table="rows")
    assert len(rows) == 12
    assert (rows[1]["arm"], rows[1]["score"], rows[1]["width"]) == ("y", 21, 20)
    with pytest.raises(ValueError, match=r"no table 'row' \(did you mean 'rows'\?\); there are: r"):
        rows_of(results, table="row")


def test_means_over_seeds(sweep):
    found = means(rows_of(read_runs(sweep)[0]), ["width"])
    assert [(line["width"], line["n"], line["score"]) for line in found] == [
        (20, 3, 21.0),
        (100, 3, 101.0),
    ]
    # Student's t with 2 degrees of freedom: 4.3027 times the standard deviation 1 / sqrt(3).
    assert found[0]["score ±"] == pytest.approx(4.302653 / 3**0.5)
    assert "seeds" not in found[0] and "note" not in found[0]
    assert "21 ± 2.5" in as_text(found)
    with pytest.raises(ValueError, match=r"no column 'widht' \(did you mean 'width'\?\)"):
        means(rows_of(read_runs(sweep)[0]), ["widht"])


def test_csv_can_be_read_back(sweep):
    text = io.StringIO()
    as_csv(rows_of(read_runs(sweep)[0]), text)
    head, first, *_ = text.getvalue().splitlines()
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
    assert len({row["code"] for row in rows_of(results)}) == 2


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
    assert len(rows) == 7 and rows[0]["more"] == 1 and rows[0]["score"] is None


def test_what_is_unfinished_is_told(sweep):
    (sweep / "01_a-x.json").write_text('{"id": "01_a-x", "par')
    (sweep / "01_a-y.failed").write_text("{}")
    results, others = read_runs(sweep)
    assert len(results) == 6 and others == {"not whole": 1, "failed": 1}
    (sweep / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no finished run"):
        read_runs(sweep / "empty")
