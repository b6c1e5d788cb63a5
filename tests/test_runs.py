"""Batch runs, on tiny notebooks; each kernel costs a second, so the tests share one batch."""

import csv
import json
import os
import sys
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from erlib import paths
from erlib.runs import (
    THREAD_VARIABLES,
    NotebookFailed,
    collect,
    declared_parameters,
    plan,
    refresh,
    run,
    source_hash,
)


def write_notebook(name, *sources, parameters=None):
    """A notebook that names a kernel which exists nowhere."""
    cells = [new_markdown_cell(f"# {name}")]
    if parameters:
        cells.append(new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    cells += [new_code_cell(source) for source in sources]
    notebook = new_notebook(cells=cells)
    notebook.metadata.kernelspec = {"name": "nowhere", "display_name": "?", "language": "python"}
    nbformat.write(notebook, paths.NOTEBOOKS / f"{name}.ipynb")
    return paths.NOTEBOOKS / f"{name}.ipynb"


def write_settings(name, text):
    (paths.NOTEBOOKS / "full").mkdir(exist_ok=True)
    (paths.NOTEBOOKS / "full" / f"{name}.yaml").write_text(text)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty companion: paths point into a temporary folder."""
    for name in ("NOTEBOOKS", "RUNS", "RESULTS"):
        (tmp_path / name.lower()).mkdir()
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    monkeypatch.setenv("ERLIB_FIGURES", str(tmp_path / "figures"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def three(place):
    """Three notebooks that are planned but never executed."""
    write_notebook("01_first", parameters="seeds = [0, 1]\nhidden: int = 10  # units")
    write_notebook("02_second", parameters="hidden = 20")
    write_notebook("03_third", "pass")


@pytest.fixture
def no_kernel(monkeypatch):
    """Execute nothing: the labels that would have been executed; those in ``broken`` fail."""
    spy = SimpleNamespace(executed=[], broken=set())

    def pretend(notebook, output, *, label, **_):
        spy.executed.append(label.strip())
        if label.strip() in spy.broken:
            raise NotebookFailed(2, "1 / 0", "ZeroDivisionError", "division by zero")

    monkeypatch.setattr("erlib.runs._execute", pretend)
    return spy


# ---- plan ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [
        ([], [1, 2, 3]),
        (["3"], [3]),
        (["03"], [3]),
        (["2-3"], [2, 3]),
        (["3", "1", "1-1"], [1, 3]),
        (["02_second"], [2]),
        (["notebooks/02_second.ipynb"], [2]),
    ],
)
def test_selection_in_the_order_of_the_numbers(three, selection, numbers):
    assert [int(each.id[:2]) for each in plan(selection)] == numbers


def test_an_unknown_selection_lists_what_exists(three):
    with pytest.raises(ValueError, match=r"'03_thrid'.*mean '03_third'.*01_first, 02_second"):
        plan(["03_thrid"])
    with pytest.raises(ValueError, match="no notebook '4-9'"):
        plan(["4-9"])


def test_an_empty_folder_is_an_error(place):
    with pytest.raises(ValueError, match="no numbered notebooks"):
        plan()


def test_a_file_that_is_no_notebook_is_named(place):
    (paths.NOTEBOOKS / "01_broken.ipynb").write_text("{")
    with pytest.raises(ValueError, match=r"01_broken\.ipynb is no notebook"):
        plan()


def test_declared_parameters_with_their_values(place):
    source = 'a: float = 1e-3  # step\nb = [\n  1,\n  2,\n]\nc = (1, None)\nd = 2 * a\n"e"'
    notebook = write_notebook("01_a", parameters=source)
    expected = {"a": 1e-3, "b": [1, 2], "c": [1, None], "d": "2 * a"}
    assert declared_parameters(notebook) == expected
    assert declared_parameters(write_notebook("02_b", "a = 1")) == {}


def test_a_misspelt_parameter_is_refused_with_a_suggestion(three):
    with pytest.raises(ValueError, match=r"01_first has no parameter 'hiden' \(did you mean 'hi"):
        plan(["1"], overrides={"hiden": 5})


def test_a_parameter_must_belong_to_every_selected_notebook(three):
    assert [each.parameters["hidden"] for each in plan(["1-2"], overrides={"hidden": 5})] == [5, 5]
    with pytest.raises(ValueError, match="03_third has no parameter 'hidden'; it has none"):
        plan(overrides={"hidden": 5})


def test_full_profile_is_one_run_for_each_yaml(three):
    write_settings("01_first", "seeds: [0, 1, 2, 3, 4]\n")
    write_settings("01_first.fashion", "hidden: 1e3\n")
    runs = plan(profile="full", overrides=None)
    assert [each.id for each in runs] == ["01_first", "01_first.fashion", "02_second", "03_third"]
    assert runs[0].parameters == {"seeds": [0, 1, 2, 3, 4], "hidden": 10}
    assert runs[1].parameters == {"seeds": [0, 1], "hidden": 1000.0}
    assert runs[2].parameters == {"hidden": 20}
    assert [each.id for each in plan(["01_first.fashion"], profile="full")] == ["01_first.fashion"]
    assert len(plan(["1"], profile="full")) == 2
    assert len(plan(["1"])) == 1, "quick takes no yaml"


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("01_first", "sedes: [1]", "01_first has no parameter 'sedes'.*mean 'seeds'"),
        ("01_frist", "seeds: [1]", "full/01_frist.yaml belongs to no notebook"),
        ("01_first", "- seeds", "full/01_first.yaml is no mapping"),
        ("01_first", "seeds: [1", "full/01_first.yaml cannot be read as YAML"),
    ],
)
def test_a_mistake_in_a_yaml_file_is_refused(three, name, text, complaint):
    write_settings(name, text)
    with pytest.raises(ValueError, match=complaint):
        plan(profile="full")


def test_the_command_repeats_the_run(three):
    overrides = {"seeds": [1, 2], "hidden": 1e-3}
    command = plan(["1"], profile="full", overrides=overrides)[0].command
    assert command == "erlib run 01_first --profile full -p seeds '[1, 2]' -p hidden 0.001"
    tricky = plan(["2"], overrides={"hidden": "3"})[0].command
    assert tricky.endswith("""-p hidden '"3"'"""), "text that looks like a number stays text"


def test_the_source_hash_ignores_outputs(place):
    notebook = write_notebook("01_a", "print(1)")
    before = source_hash(notebook)
    content = nbformat.read(notebook, 4)
    content.cells[1].execution_count = 1
    content.cells[1].outputs = [nbformat.v4.new_output("stream", text="1\n")]
    content.metadata.language_info = {"name": "python", "version": "3.0"}
    nbformat.write(content, notebook)
    assert source_hash(notebook) == before
    content.cells[1].source = "print(2)"
    nbformat.write(content, notebook)
    assert source_hash(notebook) != before


# ---- run, with kernels --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """One batch in which a notebook fails: what it printed, returned and left behind."""
    root = tmp_path_factory.mktemp("batch")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NOTEBOOKS", "RUNS", "RESULTS"):
            (root / name.lower()).mkdir()
            patch.setattr(paths, name, root / name.lower())
        patch.chdir(root)
        patch.setenv("ERLIB_DATA", "my-data")
        write_notebook(
            "01_values",
            "from erlib.record import note_data, print_environment, record",
            "record(hidden=hidden, table=[{'seed': s, 'score': s / 4} for s in seeds])",
            "note_data('digits', 'abc')",
            "print_environment()",
            parameters="hidden = 5\nseeds = [0, 1]",
        )
        write_notebook("02_fails", "import os", "# why\nraise KeyError('gone')", "never = True")
        write_notebook(
            "03_light",
            "import json, os, sys",
            "open(os.environ['ERLIB_FIGURES'] + '/03_plot.png', 'w').write(str(rate))",
            "print(json.dumps([sys.executable, os.getcwd(), dict(os.environ)]))",
            parameters="rate = 0.5",
        )
        write_settings("03_light", "rate: 1e-3\n")
        write_settings("03_light.other", "rate: 2\n")
        before = dict(os.environ)
        with pytest.MonkeyPatch.context() as inner:
            printed = []
            inner.setattr("builtins.print", lambda *a, **_: printed.append(" ".join(map(str, a))))
            failed = run(plan(profile="full"), threads=1)
        assert dict(os.environ) == before, "nothing set for the kernels may leak"
        (folder,) = paths.RUNS.iterdir()
        yield SimpleNamespace(root=root, folder=folder, failed=failed, printed=printed)


def result_of(folder, id):
    return json.loads((folder / f"{id}.json").read_text())


def test_a_failure_is_pointed_at_and_the_others_still_run(batch):
    assert batch.failed == ["02_fails"]
    text = "\n".join(batch.printed)
    assert "02_fails        FAILED" in text
    assert "In [2]  raise KeyError('gone')\n  KeyError: 'gone'" in text
    assert f"jupyter lab runs/{batch.folder.name}/02_fails.ipynb" in text
    assert text.endswith("3 ok, 1 failed")
    files = {file.name for file in batch.folder.glob("*.*")}
    ids = ("01_values", "03_light", "03_light.other")
    assert files == {"02_fails.ipynb"} | {f"{i}.{s}" for i in ids for s in ("ipynb", "json")}


def test_lines_come_in_order_with_verdict_and_time(batch):
    lines = [line for line in batch.printed if line[:2].isdigit()]
    assert [line.split()[0] for line in lines if "  ok  " in line or "FAILED" in line] == [
        "01_values",
        "02_fails",
        "03_light",
        "03_light.other",
    ]
    assert all(line.endswith(" s") for line in lines)


def test_the_result_says_what_led_to_it(batch):
    result = result_of(batch.folder, "01_values")
    assert result["recorded"] == {
        "hidden": 5,
        "table": [{"seed": 0, "score": 0.0}, {"seed": 1, "score": 0.25}],
    }
    assert result["parameters"] == {"hidden": 5, "seeds": [0, 1]}
    assert result["data"] == {"digits": "abc"}
    assert result["profile"] == "full" and result["threads"] == 1
    assert result["command"] == "erlib run 01_values --profile full --threads 1"
    assert result["notebook_sha256"] == source_hash(batch.root / "notebooks" / "01_values.ipynb")
    assert result["seconds"] > 0 and result["started"].endswith("+00:00")
    assert result["environment"]["torch_threads"] == 1, "as seen inside the kernel"
    assert not list(batch.folder.glob("*.jsonl"))


def test_parameters_of_the_full_profile_reach_the_kernel(batch):
    assert result_of(batch.folder, "03_light")["parameters"] == {"rate": 1e-3}
    # Two runs of one notebook must not overwrite each other's figures.
    figures = batch.folder / "figures"
    assert (figures / "03_plot.png").read_text() == "0.001"
    assert (figures / "other" / "03_plot.png").read_text() == "2"


def test_the_kernel_is_this_interpreter_in_the_notebooks_folder(batch):
    cells = nbformat.read(batch.folder / "03_light.ipynb", 4).cells
    executable, folder, variables = json.loads(cells[-1].outputs[0].text)
    assert executable == sys.executable
    assert folder == str(batch.root / "notebooks")
    assert [variables[name] for name in THREAD_VARIABLES] == ["1", "1", "1"]
    assert variables["ERLIB_DATA"] == str(batch.root / "my-data"), "seen from the caller's folder"


def test_without_print_environment_the_threads_are_unknown(batch):
    seen = result_of(batch.folder, "03_light")["environment"]
    assert seen["torch_threads"] is None
    assert seen["python"] == result_of(batch.folder, "01_values")["environment"]["python"]


def test_a_timeout_is_a_failure_without_result(place, capsys):
    notebook = write_notebook("01_slow", "x = 1", "import time\ntime.sleep(60)")
    assert run(plan(), output=place / "out", timeout=1) == ["01_slow"]
    assert "In [2]  import time\n  CellTimeoutError: the cell ran longer than 1 s" in (
        capsys.readouterr().out
    )
    assert {file.name for file in (place / "out").glob("*.*")} == {notebook.name}


def test_leaving_early_is_no_success(place, capsys):
    write_notebook("01_leaves", "import sys; sys.exit(0)", "assert False, 'never reached'")
    assert run(plan(), output=place / "out") == ["01_leaves"]
    assert "stopped early" in capsys.readouterr().out


# ---- run, without kernels -----------------------------------------------------------------------


def test_an_interrupted_batch_is_resumed(three, place, no_kernel, capsys):
    no_kernel.broken = {"02_second"}
    assert run(plan(), output=place / "out") == ["02_second"]
    assert no_kernel.executed == ["01_first", "02_second", "03_third"]

    no_kernel.executed, no_kernel.broken = [], set()
    assert run(plan(), output=place / "out") == []
    assert no_kernel.executed == ["02_second"]
    assert capsys.readouterr().out.endswith("1 ok, 2 done already\n")

    no_kernel.executed = []
    run(plan(), output=place / "out", force=True)
    assert no_kernel.executed == ["01_first", "02_second", "03_third"]


def test_another_result_is_not_overwritten_without_force(three, place, no_kernel):
    run(plan(["1-2"]), output=place / "out")
    no_kernel.executed = []
    with pytest.raises(ValueError, match=r"01_first\.json .* other values of hidden:.*--force"):
        run(plan(["1-2"], overrides={"hidden": 7}), output=place / "out")
    write_notebook("02_second", "changed = True", parameters="hidden = 20")
    with pytest.raises(ValueError, match=r"02_second\.json holds the result of an earlier state"):
        run(plan(["1-2"]), output=place / "out")
    assert no_kernel.executed == [], "refused before anything runs"
    run(plan(["1"], overrides={"hidden": 7}), output=place / "out", force=True)
    assert result_of(place / "out", "01_first")["parameters"]["hidden"] == 7


def test_a_failed_repetition_leaves_no_older_result(three, place, no_kernel):
    run(plan(["1"]), output=place / "out")
    no_kernel.broken = {"01_first"}
    run(plan(["1"]), output=place / "out", force=True)
    assert not (place / "out" / "01_first.json").exists()


def test_stop_keeps_later_notebooks_from_running(three, place, no_kernel):
    no_kernel.broken = {"01_first"}
    assert run(plan(), output=place / "out", stop=True) == ["01_first"]
    assert no_kernel.executed == ["01_first"]


def test_two_batches_in_one_second_get_folders_of_their_own(three, no_kernel):
    run(plan(["1"]))
    run(plan(["1"]))
    assert len(list(paths.RUNS.glob("quick-*/01_first.json"))) == 2


def test_an_interrupt_says_how_to_go_on(three, place, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("erlib.runs._execute", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(plan(), output=place / "out")
    assert "--output out goes on" in capsys.readouterr().out


# ---- refresh ------------------------------------------------------------------------------------


def test_refresh_stores_clean_outputs(place):
    notebook = write_notebook(
        "01_a",
        "import os\nprint('one', flush=True)\nprint('two', flush=True)\nn",
        "open(os.environ['ERLIB_FIGURES'] + '/01_plot.png', 'w').write('figure')\nNone",
        parameters="n = 3",
    )
    before = nbformat.read(notebook, 4)
    before.metadata.papermill = {"duration": 3}
    before.cells[1].metadata.execution = {"iopub.status.busy": "2026-01-01"}
    before.cells[2].metadata.papermill = {"status": "completed"}
    before.cells[2].metadata.tags = ["keep-me"]
    nbformat.write(before, notebook)

    assert refresh(plan()) == []
    after = nbformat.read(notebook, 4)
    assert [cell.id for cell in after.cells] == [cell.id for cell in before.cells]
    assert [cell.source for cell in after.cells] == [cell.source for cell in before.cells]
    assert [cell.execution_count for cell in after.cells[1:]] == [1, 2, 3]
    assert [cell.metadata for cell in after.cells] == [
        {},
        {"tags": ["parameters"]},
        {"tags": ["keep-me"]},
        {},
    ]
    assert after.metadata.keys() == {"kernelspec", "language_info"}
    assert after.metadata.kernelspec.name == "python3"
    stream, value = after.cells[2].outputs
    assert stream.text == "one\ntwo\n" and value.data["text/plain"] == "3"
    assert (place / "figures" / "01_plot.png").read_text() == "figure"

    stored = notebook.read_bytes()
    assert stored.endswith(b"}\n")
    assert refresh(plan()) == []
    assert notebook.read_bytes() == stored, "a second refresh changes nothing"


def test_a_failing_refresh_leaves_notebook_and_figures_alone(place, capsys):
    notebook = write_notebook(
        "01_a", "import os; open(os.environ['ERLIB_FIGURES'] + '/f.png', 'w').write('x')", "1 / 0"
    )
    before = notebook.read_bytes()
    assert refresh(plan()) == ["01_a"]
    assert notebook.read_bytes() == before
    assert not (place / "figures").exists()
    assert "ZeroDivisionError: division by zero" in capsys.readouterr().out


def test_refresh_does_not_overwrite_an_edit_made_meanwhile(three, monkeypatch, capsys):
    def edit_meanwhile(notebook, *_, **__):
        notebook.write_text("edited")

    monkeypatch.setattr("erlib.runs._execute", edit_meanwhile)
    assert refresh(plan(["1"])) == ["01_first"]
    assert (paths.NOTEBOOKS / "01_first.ipynb").read_text() == "edited"
    assert "changed while it ran" in capsys.readouterr().out


# ---- collect ------------------------------------------------------------------------------------


def test_collect_round_trip(batch, tmp_path):
    written, unfinished = collect([batch.folder], tmp_path)
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
    source, copy = result_of(batch.folder, "01_values"), result_of(tmp_path, "01_values")
    assert copy.pop("tables") == {"table": "01_values.table.csv"}
    assert copy["recorded"] == {"hidden": 5}
    assert {k: v for k, v in copy.items() if k != "recorded"} == {
        k: v for k, v in source.items() if k != "recorded"
    }


def finished(folder, id, **recorded):
    folder.mkdir(exist_ok=True)
    (folder / f"{id}.json").write_text(json.dumps({"id": id, "recorded": recorded}))
    return folder


def test_columns_are_the_union_in_order_and_none_is_empty(tmp_path):
    rows = [{"b": 1, "a": None}, {"b": 0.1, "c": "x,y"}]
    run_folder = finished(tmp_path / "run", "01_a", rows=rows, nested=[{"a": [1]}], empty=[])
    collect([run_folder], tmp_path)
    assert (tmp_path / "01_a.rows.csv").read_text() == 'b,a,c\n1,,\n0.1,,"x,y"\n'
    kept = result_of(tmp_path, "01_a")["recorded"]
    assert kept == {"nested": [{"a": [1]}], "empty": []}, "what is no table stays in the JSON"


def test_a_table_that_is_recorded_no_longer_goes(tmp_path):
    collect([finished(tmp_path / "run", "01_a", old=[{"x": 1}])], tmp_path / "to")
    collect([finished(tmp_path / "run", "01_a", new=[{"x": 1}])], tmp_path / "to")
    assert {file.name for file in (tmp_path / "to").iterdir()} == {"01_a.json", "01_a.new.csv"}


def test_collect_refuses_before_it_writes(tmp_path):
    good, same = finished(tmp_path / "a", "01_a"), finished(tmp_path / "b", "01_a")
    local = finished(tmp_path / "c", "02_b", place=[{"file": str(tmp_path / "mnist.npz")}])
    (tmp_path / "empty").mkdir()
    to = tmp_path / "to"
    with pytest.raises(ValueError, match="empty holds no finished run"):
        collect([good, tmp_path / "empty"], to)
    with pytest.raises(ValueError, match="01_a is in more than one"):
        collect([good, same], to)
    with pytest.raises(ValueError, match=r"02_b\.recorded\.place\[0\]\.file is a path on this"):
        collect([good, local], to)
    assert not to.exists()
