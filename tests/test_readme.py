"""README.md says what the committed results say."""

import json

import pytest

from erlib import paths, readme
from erlib.collect import collect


@pytest.fixture
def results(tmp_path):
    """A folder of collected results of two seeds at one width."""
    arms = {"ER": 0.96, "random features": 0.94, "shuffled": 0.955, "own fields": 0.962}
    arms |= {"ER, tiny readout": 0.95, "shuffled, tiny readout": 0.94}
    rows = [
        {"dataset": "toy", "width": 30, "seed": s, "arm": arm, "accuracy": a, "seconds": 1.0 + s}
        for arm, a in arms.items()
        for s in (0, 1)
    ]
    (tmp_path / "run").mkdir()
    result = {
        "command": "erlib run 3",
        "parameters": {"seeds": [0, 1]},
        "recorded": {"accuracy": rows},
        "environment": {"cpu": "a CPU", "torch_threads": 2, "packages": {"torch": "2.13.0"}},
    }
    (tmp_path / "run" / "03_one_update.json").write_text(json.dumps(result))
    collect([tmp_path / "run"], tmp_path / "full")
    return tmp_path / "full"


def test_readme_and_committed_results_agree():
    text = (paths.ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.with_results(text, readme.one_update_table()) == text, "run `erlib readme`"


def test_table_is_made_of_the_rows(results):
    line = readme.one_update_table(results).splitlines()[2]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:3] == ["toy", "30", "96.00 ± 0.00"]
    found = [cell.split()[0] for cell in cells[3:]]
    assert found == ["+2.00", "+0.50", "-0.20", "1.5", "95.00", "+1.00"]


def test_table_names_the_command_and_the_machine(results):
    note = readme.one_update_table(results).splitlines()[-1]
    assert "erlib run 3" in note and "2 seeds" in note and "torch 2.13.0" in note


def test_a_changed_result_changes_readme_once(results, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", results)
    file = tmp_path / "README.md"
    file.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    assert readme.renew(file) and not readme.renew(file)
    assert "96.00" in file.read_text() and "old" not in file.read_text()
    assert file.read_text().startswith("before\n") and file.read_text().endswith("after\n")


def test_missing_results_and_marks_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="03_one_update"):
        readme.one_update_table(tmp_path)
    with pytest.raises(ValueError, match="expected one block"):
        readme.with_results("no marks", "table")
