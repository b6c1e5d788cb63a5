"""docs/results.md says what the committed results say."""

import json

import pytest

from erlib.notebook import paths
from erlib.runs import results_page
from erlib.runs.publish import publish


def collect(notebook, parameters, recorded, full, threads=1):
    """Publish a run of `notebook` that recorded this into the folder `full`; returns that."""
    result = {
        "command": f"erlib run {int(notebook[:2])}",
        "parameters": {"seeds": [0, 1], **parameters},
        "recorded": recorded,
        "started": "2026-11-24T14:11:43+00:00",
        "environment": {
            "cpu": "a CPU",
            "torch_threads": threads,
            "packages": {"torch": "2.13.0"},
            "git_commit": "abc1234",
            "git_dirty": False,
        },
    }
    folder = full.parent / f"run of {notebook}"
    folder.mkdir()
    (folder / f"{notebook}.json").write_text(json.dumps(result))
    publish([folder], full)
    return full


@pytest.fixture
def results(tmp_path):
    """A folder of collected results of two seeds at one width."""
    arms = {"ER": 0.96, "random features": 0.94, "shuffled": 0.955, "own fields": 0.962}
    arms |= {"ER, tiny readout": 0.95, "shuffled, tiny readout": 0.94}
    rows = [
        {"width": 30, "seed": s, "arm": arm, "accuracy": a, "seconds": 1.0 + s}
        for arm, a in arms.items()
        for s in (0, 1)
    ]
    return collect(
        "04_one_update", {"dataset": "toy"}, {"accuracy": rows}, tmp_path / "full", threads=2
    )


@pytest.fixture
def curves(results):
    """Beside them, curves of two seeds, the last point at three passes."""
    rows = [
        {
            "arm": arm,
            "seed": seed,
            "updates": 10 * passes,
            "passes": passes,
            "seconds": 2.0 * passes,
            "accuracy": 0.9 + 0.02 * passes + 0.01 * seed,
        }
        for arm in ("ER", "Adam")
        for seed in (0, 1)
        for passes in (0, 1, 3)
        if (arm, seed) != ("Adam", 1)
    ]
    wide = [row | {"width": 70} for row in rows if row["passes"] == 3]
    given = {"dataset": "toy", "hidden": 50}
    return collect("06_training_curves", given, {"curves": rows, "wide": wide}, results)


@pytest.fixture
def convolution(curves):
    """And convolutional networks of two seeds, with a front end."""
    points = [(seed, passes) for seed in (0, 1) for passes in (0, 5)]
    rows = [
        {"kind": "small", "arm": "sequential ER", "seed": seed, "updates": 100 * passes}
        | {"passes": passes, "seconds": 4.0 * passes, "accuracy": 0.5 + 0.08 * passes + 0.02 * seed}
        for seed, passes in points
    ]
    front = [
        {
            "arm": arm,
            "filters": 8,
            "seed": seed,
            "accuracy": accuracy,
            "both views": accuracy + 0.01,
        }
        | {"features": 64, "seconds": 3.0}
        for arm, accuracy in (("as they are", 0.7), ("augmented", 0.71))
        for seed in (0, 1)
    ]
    second = [
        {"arm": arm, "seed": seed, "accuracy": accuracy}
        for arm, accuracy in (("random", 0.7), ("sequential ER", 0.8))
        for seed in (0, 1)
    ]
    given = {"dataset": "toy", "small": [3, 4], "passes": 5}
    given |= {"study_filters": 6, "second_units": 20}
    tables = {"curves": rows, "front_end": front, "second_layer": second}
    return collect("07_convolution", given, tables, curves)


@pytest.fixture
def inference(convolution):
    """And couplings inferred at two strengths, one method at the weaker only, two draws."""
    rows = [
        {"method": method, "g": g, "draw": draw, "mse": mse + draw * more, "seconds": 0.5}
        for method, g, mse, more in (
            ("ER", 1.0, 0.001, 0.0001),
            ("ER", 2.0, 0.002, 0.0002),
            ("Newton", 1.0, 0.003, 0.003),
        )
        for draw in (0, 1)
    ]
    return collect("10_network_inference", {"draws": [0, 1]}, {"inference": rows}, convolution)


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_page_and_committed_results_agree():
    text = (paths.ROOT / "docs/results.md").read_text(encoding="utf-8")
    assert results_page.renewed(text) == text, "run `erlib results`"


def test_table_is_made_of_the_rows(results):
    line = cells(results_page.one_update_table(results).splitlines()[2])
    assert line[:4] == ["toy", "dense, 30", "96.00 ± 0.00", "1.5"]
    assert [cell.split()[0] for cell in line[4:9]] == ["+2.00", "+0.50", "-0.20", "95.00", "+1.00"]
    assert line[9] == "", "nothing was settled: an empty cell"


def test_training_table_has_the_last_point_of_each_seed(curves):
    lines = [cells(line) for line in results_page.training_table(curves).splitlines()[2:6]]
    assert [line[:3] for line in lines] == [
        ["toy", "50", "ER"],
        ["toy", "50", "Adam (1 seed)"],
        ["toy", "70", "ER"],
        ["toy", "70", "Adam (1 seed)"],
    ]
    assert lines[0][3].split()[0] == "96.50" and lines[0][4:] == ["3", "30", "6"]


def test_convolution_table_has_the_front_end_and_the_last_points(convolution):
    lines = [cells(line) for line in results_page.convolution_table(convolution).splitlines()[2:6]]
    assert lines[0][:3] == ["toy", "8 fixed filters", "one update, images as they are"]
    assert lines[0][3:] == ["70.00 ± 0.00", "1", "3"]
    assert lines[1][3] == "71.00 ± 0.00; 72.00 ± 0.00"
    assert lines[2][:2] == ["toy", "6 fixed filters, 20 units"]
    assert lines[2][2:] == ["units trained by sequential ER", "80.00 ± 0.00", "5", ""]
    assert lines[3][:3] == ["toy", "small, 3-4", "sequential ER"]
    assert lines[3][3].split()[0] == "91.00" and lines[3][4:] == ["5", "20"]


def test_what_a_further_run_repeats_is_shown_once(convolution):
    again = [
        {"kind": "small", "arm": arm, "seed": 0, "updates": 500, "passes": passes}
        | {"seconds": 20.0, "accuracy": 0.9}
        for arm, passes in (("sequential ER", 5), ("tuned", 5))
    ]
    given = {"dataset": "toy", "small": [3, 4], "passes": 5, "seeds": [0]}
    given |= {"study_filters": 6, "second_units": 20}
    second = [{"arm": "sequential ER", "seed": 0, "accuracy": 0.8}]
    front = [{"arm": "augmented", "filters": 16, "seed": 0, "accuracy": 0.7, "both views": 0.7}]
    front[0] |= {"features": 128, "seconds": 5.0}
    tables = {"curves": again, "front_end": front, "second_layer": second}
    collect("07_convolution.more", given, tables, convolution)
    table = results_page.convolution_table(convolution)
    rows = [cells(line) for line in table.splitlines()[2:] if line.startswith("|")]
    trained = [row[2:5] for row in rows if row[1] == "small, 3-4"]
    assert [row[0] for row in trained] == ["sequential ER", "tuned (1 seed)"]
    assert trained[0][1].startswith("91.00"), "the run with both seeds"
    assert "one seed;" in table.splitlines()[-2]


def test_inference_table_has_each_method_and_strength(inference):
    head, _, *lines = map(cells, results_page.inference_table(inference).splitlines()[:4])
    assert head == ["1000 × squared error", "g = 1", "g = 2", "seconds, g = 2"]
    # Of two values the interval is 12.7 times half their distance.
    assert lines[0] == ["ER", "1.05 ± 0.64", "2.1 ± 1.3", "0.5"]
    assert lines[1] == ["Newton", "4.5 (3 to 6)", "", ""], "an interval would hold errors below 0"
    note = results_page.inference_table(inference).splitlines()[-2]
    assert "`erlib run 10`" in note and "over 2 draws; a CPU, 1 thread, torch" in note


def test_tables_name_the_command_the_commit_and_the_machine(convolution):
    for table, command in zip(results_page.TABLES.values(), ("run 4", "run 6", "run 7")):
        *_, note, hint = table(convolution).splitlines()
        assert f"erlib {command}` (commit abc1234, 2026-11-24)" in note and "erlib status" in hint
        assert "2 seeds" in note and "torch 2.13.0" in note


def test_a_changed_result_changes_the_page_once(curves, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", curves)
    file = tmp_path / "results.md"
    blocks = "\nbetween\n".join(
        f"{mark}\nold\n{results_page.END}" for mark in results_page.BEGIN.values()
    )
    file.write_text(f"before\n{blocks}\nafter\n")
    assert results_page.renew(file) and not results_page.renew(file)
    assert "96.00" in file.read_text() and "96.50" in file.read_text()
    assert "old" not in file.read_text() and "\nbetween\n" in file.read_text()
    assert file.read_text().startswith("before\n") and file.read_text().endswith("after\n")


def test_missing_results_and_marks_are_errors(tmp_path, monkeypatch):
    for table in results_page.TABLES.values():
        assert "Not collected yet" in table(tmp_path)
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no results in .*: run `erlib publish`"):
        results_page.renewed("")
    with pytest.raises(ValueError, match="expected one block"):
        results_page.with_results("no marks", "training", "table")


def test_joint_table_is_paired_by_seed(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    head = "part,data,network,images,passes,method,setting,value,seed,accuracy,commit\n"
    rows = ["ER,,,0,0.8", "ER,,,1,0.9", "Adam,,,0,0.7", "Adam,,,1,0.7", "Adam,,,2,0.1"]
    lines = [f"test,toy,small,0,5,{row},abc+" for row in rows] + [
        "validation,toy,small,0,5,ER,share,1,0,0.1,abc"
    ]
    (tmp_path / "benchmarks/any_module.csv").write_text(head + "\n".join(lines))
    table = results_page.joint_table(tmp_path)
    line = cells(table.splitlines()[2])
    assert line[:3] == ["toy", "small", "5"] and line[3].startswith("85.00 ±")
    assert line[5].startswith("+15.00 ±") and line[6] == "3 and 2"
    assert table.splitlines()[-1].endswith("commits abc.")


def test_a_control_that_overflows_is_said_to(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    rows = ["part,data,network,passes,method,setting,value,seed,accuracy,seconds,commit"]
    rows += ["control,toy,small,5,FOOF,rate,10 1,0,0.1,,abc", "test,toy,small,5,ER,,,0,0.8,3,abc"]
    rows += ["control,toy,small,5,FOOF,rate,3 1,0,0.7,3,abc"]
    (tmp_path / "benchmarks/any_module.csv").write_text("\n".join(rows))
    first, second = map(cells, results_page.controls_table(tmp_path).splitlines()[2:4])
    assert first[5:] == ["10 1", "overflows", "1"]
    assert second[6] == "70.00"


def test_scale_table_has_a_row_a_job_and_what_each_added(tmp_path):
    assert "python benchmarks/scale.py" in results_page.scale_table(tmp_path)
    (tmp_path / "benchmarks").mkdir()
    head = "what,dataset,method,width,depth,samples,deformed,seed,seconds,start_mib,peak_mib"
    once = "mnist,one update,1000,1,60000,False,0,7.25,600.0,806.0,0.9599,abc1234+"
    twice = once.replace("one update", "Adam").replace("False", "True").replace("7.25", "31.6")
    rows = [f"{head},accuracy,commit", f"width,{once}", f"depth,{once}", f"samples,{twice}"]
    (tmp_path / "benchmarks/scale.csv").write_text("\n".join(rows), encoding="utf-8")
    lines = [cells(line) for line in results_page.scale_table(tmp_path).splitlines()[2:4]]
    assert lines[0] == ["60,000", "1 x 1000", "one update", "7.2", "206", "95.99"]
    assert lines[1][:4] == ["60,000 deformed", "1 x 1000", "Adam", "32"]
