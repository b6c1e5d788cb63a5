"""Results of runs in the form that is committed."""

import csv
import json
import shutil

import pytest
from small_notebooks import result_of

from erlib.runs.publish import publish

COMMITTED = {"git_commit": "abc1234", "git_dirty": False}


def test_publish_round_trip(batch, tmp_path):
    folder = shutil.copytree(batch.folder, tmp_path / "run")
    for file in folder.glob("0*.json"):  # as from a checkout without local changes
        result = json.loads(file.read_text())
        result["environment"] |= COMMITTED
        file.write_text(json.dumps(result))
    written, unfinished = publish([folder], tmp_path)
    assert unfinished == ["02_fails"]
    assert {file.name for file in written} == {
        "01_values.json",
        "01_values.table.csv",
        "03_light.json",
        "03_light.other.json",
    }
    with open(tmp_path / "01_values.table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{"seed": "0", "score": "0.0"}, {"seed": "1", "score": "0.25"}]
    source, copy = result_of(folder, "01_values"), result_of(tmp_path, "01_values")
    assert copy.pop("tables") == {"table": "01_values.table.csv"}
    assert copy["recorded"] == {"hidden": 5}
    assert {k: v for k, v in copy.items() if k != "recorded"} == {
        k: v for k, v in source.items() if k != "recorded"
    }


def finished(folder, id, **recorded):
    folder.mkdir(exist_ok=True)
    result = {"id": id, "recorded": recorded, "environment": COMMITTED}
    (folder / f"{id}.json").write_text(json.dumps(result))
    return folder


def test_columns_are_the_union_in_order_and_none_is_empty(tmp_path):
    rows = [{"b": 1, "a": None}, {"b": 0.1, "c": "x,y"}]
    run_folder = finished(tmp_path / "run", "01_a", rows=rows, nested=[{"a": [1]}], empty=[])
    publish([run_folder], tmp_path)
    assert (tmp_path / "01_a.rows.csv").read_text() == 'b,a,c\n1,,\n0.1,,"x,y"\n'
    kept = result_of(tmp_path, "01_a")["recorded"]
    assert kept == {"nested": [{"a": [1]}], "empty": []}, "what is no table stays in the JSON"


def test_a_table_that_is_recorded_no_longer_goes(tmp_path):
    publish([finished(tmp_path / "run", "01_a", old=[{"x": 1}])], tmp_path / "to")
    publish([finished(tmp_path / "run", "01_a", new=[{"x": 1}])], tmp_path / "to")
    assert {file.name for file in (tmp_path / "to").iterdir()} == {"01_a.json", "01_a.new.csv"}


def test_publish_refuses_before_it_writes(tmp_path):
    good, same = finished(tmp_path / "a", "01_a"), finished(tmp_path / "b", "01_a")
    local = finished(tmp_path / "c", "02_b", place=[{"file": str(tmp_path / "mnist.npz")}])
    (tmp_path / "empty").mkdir()
    to = tmp_path / "to"
    with pytest.raises(ValueError, match="empty holds no finished run"):
        publish([good, tmp_path / "empty"], to)
    with pytest.raises(ValueError, match="01_a is in more than one"):
        publish([good, same], to)
    with pytest.raises(ValueError, match=r"02_b\.recorded\.place\[0\]\.file is a path on this"):
        publish([good, local], to)
    assert not to.exists()


def test_no_folder_of_a_machine_is_published(tmp_path):
    folder = finished(tmp_path / "run", "01_a")
    result = result_of(folder, "01_a") | {"place": "../../data/me/01_a.ipynb"}
    (folder / "01_a.json").write_text(json.dumps(result))
    publish([folder], tmp_path / "to")
    assert result_of(tmp_path / "to", "01_a")["place"] == "01_a.ipynb"
    result["command"] = "erlib run '/data/me/my notebooks/01_a.ipynb' --profile quick"
    (folder / "01_a.json").write_text(json.dumps(result))
    with pytest.raises(ValueError, match=r"01_a\.command\[2\] is a path on this machine"):
        publish([folder], tmp_path / "to")


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        (COMMITTED | {"git_dirty": True}, "02_b was made with local changes to abc1234"),
        ({"git_commit": None, "git_dirty": None}, "02_b knows no commit"),
        ({}, "02_b knows no commit"),
    ],
    ids=["local changes", "outside a checkout", "nothing known"],
)
def test_what_is_in_no_commit_is_refused(tmp_path, environment, complaint):
    folder = finished(finished(tmp_path / "run", "01_a"), "02_b", rows=[{"x": 1}])
    result = result_of(folder, "02_b") | {"environment": environment}
    (folder / "02_b.json").write_text(json.dumps(result))
    with pytest.raises(ValueError, match=complaint):
        publish([folder], tmp_path / "to")
    assert not (tmp_path / "to").exists()
