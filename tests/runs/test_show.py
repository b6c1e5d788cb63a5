import json

import pytest
from finished_runs import finished

from erlib.notebook import paths
from erlib.runs.show import describe, find, notebook_of


@pytest.fixture
def folder(place):
    folder = paths.RUNS / "sweep"
    rows = [{"arm": i, "score": i / 7} for i in range(20)]
    for id in ("01_a-12ab", "01_a-12cd", "01_b-77"):
        finished(folder, id, parameters={"width": 3}, recorded={"score": 0.5, "rows": rows})
        result = json.loads((folder / f"{id}.json").read_text())
        result |= {"command": "erlib run 01_a", "started": "2026-01-01T00:00:00+00:00"}
        result["environment"] |= {"torch_threads": 1, "git_commit": "abc", "git_dirty": True}
        (folder / f"{id}.json").write_text(json.dumps(result))
    failure = {"why": "In [3]  1 / 0\nZeroDivisionError: division by zero", "seconds": 2.0}
    run = {"id": "01_a-99", "notebook": "01_a.ipynb", "profile": "quick", "known_as": "01_a"}
    failure["run"] = run | {"settings": {}, "overrides": {"width": 5}, "defaults": {"seed": 0}}
    (folder / "01_a-99.failed").write_text(json.dumps(failure))
    (folder / "01_a-99.log").write_text("\n".join(f"line {i}" for i in range(30)))
    return folder


def test_found_by_its_id_or_the_beginning_of_its_hash(folder):
    for name in ("01_a-12ab", "12ab", "12a", "01_a-12a"):
        assert find(name) == folder / "01_a-12ab.json"
    assert find("77", [folder]).name == "01_b-77.json"
    assert find(str(folder / "01_b-77.json")).name == "01_b-77.json"
    assert find("99").name == "01_a-99.failed"


def test_none_or_several_is_an_error_that_lists_them(folder):
    with pytest.raises(
        ValueError, match=r"'12' is the beginning of 2 runs .*: 01_a-12ab, 01_a-12cd"
    ):
        find("12")
    with pytest.raises(ValueError, match=r"no run 'zz' in .*sweep"):
        find("zz")


def test_found_in_the_current_folder_too(folder, place, monkeypatch):
    (place / "here").mkdir()
    monkeypatch.chdir(place / "here")
    finished(place / "here", "none", parameters={}, recorded={})
    assert find("77").name == "01_b-77.json"
    (place / "here/runs").mkdir()
    finished(place / "here/runs/mine", "study-5", parameters={}, recorded={})
    assert find("study").name == "study-5.json" and find("77").name == "01_b-77.json"


@pytest.mark.parametrize("id", ["[1] train", "what*?", "a.failed"])
def test_a_name_is_no_pattern(folder, id):
    finished(folder, id, parameters={}, recorded={})
    assert find(id).name == f"{id}.json"
    (folder / f"{id}.ipynb").write_text("")
    assert notebook_of(find(id)).name == f"{id}.ipynb"


def test_what_it_was_and_found(folder):
    text = describe(find("12ab"))
    for part in (
        "01_a-12ab: ok, 1.0 s",
        "commit abc with local changes",
        "width = 3",
        "score = 0.5",
    ):
        assert part in text
    assert "rows, 20 rows" in text and "... and 8 more" in text
    with pytest.raises(ValueError, match="does not exist"):
        notebook_of(find("12ab"))


def test_why_it_failed(folder):
    text = describe(find("99"))
    assert "FAILED, 2.0 s" in text and "ZeroDivisionError" in text
    assert "line 29" in text and "line 17" not in text
    assert "width = 5" in text and "seed = 0" in text
    assert "erlib run 01_a --profile quick -p width 5" in text
    (folder / "01_b-77.json").write_text("{")
    assert "is not whole; run it again" in describe(find("77"))
