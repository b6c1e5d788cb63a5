"""One notebook in its kernel; a kernel costs a second, so the shared batch is looked at."""

import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from small_notebooks import result_of, write_notebook

from erlib.notebook import paths
from erlib.notebook.record import write_atomically
from erlib.runs.batch import run
from erlib.runs.plan import Settings, plan
from erlib.runs.show import describe, find
from erlib.runs.worker import THREAD_VARIABLES

pytestmark = pytest.mark.slow


def test_the_kernel_is_this_interpreter_in_the_notebooks_folder(batch):
    cells = nbformat.read(batch.folder / "03_light.ipynb", 4).cells
    executable, folder, variables = json.loads(cells[-1].outputs[0].text)
    assert executable == sys.executable
    assert folder == str(batch.root / "notebooks")
    assert [variables[name] for name in THREAD_VARIABLES] == ["1", "1", "1"]
    assert variables["ERLIB_DATA"] == str(batch.root / "my-data"), "seen from the caller's folder"


def test_a_timeout_is_a_failure_without_result(place, capsys):
    notebook = write_notebook("01_slow", "x = 1", "import time\ntime.sleep(60)")
    assert run(plan(), output=place / "out", how=Settings(timeout=1)) == ["01_slow"]
    assert "In [2]  import time\n  CellTimeoutError: the cell ran longer than 1 s" in (
        capsys.readouterr().out
    )
    left = {file.name for file in (place / "out").glob("01*")}
    assert left == {notebook.name, "01_slow.failed", "01_slow.log"}


def test_verdicts_can_be_left_out(place, capsys):
    write_notebook("01_sure", "x = 1", "assert x == 2")
    assert run(plan(), output=place / "out") == ["01_sure"]
    assert "--no-verdicts runs it without" in capsys.readouterr().out
    assert run(plan(), output=place / "out", how=Settings(verdicts=False)) == []
    assert result_of(place / "out", "01_sure")["command"].endswith(" --no-verdicts")


def test_without_its_verdicts_a_run_goes_on_with_what_it_has_kept(place):
    write_notebook(
        "01_sure",
        "x = 1",
        """from pathlib import Path

from erlib.notebook.kept import kept

@kept
def once(*, number):
    with Path("calls").open("a") as calls:
        calls.write("called ")
    return number

once(number=x)
assert x == 2""",
    )
    assert run(plan(), output=place / "out") == ["01_sure"]
    assert run(plan(), output=place / "out", how=Settings(verdicts=False)) == []
    (calls,) = place.rglob("calls")
    assert calls.read_text() == "called "


def test_leaving_early_is_no_success(place, capsys):
    write_notebook("01_leaves", "import sys; sys.exit(0)", "assert False, 'never reached'")
    assert run(plan(), output=place / "out") == ["01_leaves"]
    assert "stopped early" in capsys.readouterr().out


def test_two_runs_at_once_do_not_meet(tmp_path):
    """Their kernels start in one folder, at one moment."""
    command = [sys.executable, "-m", "erlib", "run", "00_overview", "--output"]
    started = [
        subprocess.Popen([*command, tmp_path / name], cwd=paths.ROOT) for name in ("one", "other")
    ]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    assert not list(paths.NOTEBOOKS.glob("kernel-*")), "sockets are kept elsewhere"


def test_what_is_recorded_is_what_the_kernel_used(place):
    """In notebooks that were executed before, whatever is given."""
    used = """import json, os
with open(os.environ["ERLIB_RECORD"], "a") as channel:
    channel.write(json.dumps({"recorded": {"used": [n, rate, str(cap), file]}}) + "\\n")
print(file)"""
    parameters = "n = 2**5\nrate = 0.5\ncap = 1e999\nfile = 'x'"
    write_notebook("01_new", used, parameters=parameters)
    file = os.fsdecode(b"caf\xe9")
    assert run(plan(overrides={"n": 50, "file": file}), output=place / "new") == []
    for name in ("02_as_it_is", "03_other_given", "04_same_given", "05_edited"):
        shutil.copy(place / "new/01_new.ipynb", paths.NOTEBOOKS / f"{name}.ipynb")
    edited = nbformat.read(paths.NOTEBOOKS / "05_edited.ipynb", 4)
    edited.cells[1].source = "n = 1\nrate = 0.75"
    edited.cells[2].source += "cap = float('inf')"
    write_atomically(paths.NOTEBOOKS / "05_edited.ipynb", nbformat.writes(edited))
    edited.cells = edited.cells[2:]
    edited.cells[0].source += "\nrate = 2.5"
    write_atomically(paths.NOTEBOOKS / "06_only.ipynb", nbformat.writes(edited))
    given = {"02": {}, "03": {"rate": 3}, "04": {"n": 60}, "05": {"rate": 4}, "06": {"rate": 5}}
    runs = [each for number, values in given.items() for each in plan([number], overrides=values)]
    assert run(runs, output=place / "again") == []
    for number, n, rate in (
        ("02", 50, 0.5),
        ("03", 50, 3.0),
        ("04", 60, 0.5),
        ("05", 50, 4.0),
        ("06", 50, 5.0),
    ):
        (left,) = (place / "again").glob(f"{number}*.json")
        result = json.loads(left.read_text(encoding="utf-8"))
        assert result["recorded"]["used"] == [n, rate, "inf", file]
        values = result["parameters"]
        assert (values["n"], values["rate"], values["file"]) == (n, rate, file)


def test_names_that_are_no_text_or_patterns(place, monkeypatch):
    for name in ("{x} [1] *", os.fsdecode(b"caf\xe9")):
        own = write_notebook("mine", "raise KeyError(n)", parameters=f"n = {name!r}")
        own.rename(place / f"{name}.ipynb")
        assert run(plan([f"{name}.ipynb"], overrides={"n": "é→"}), output=place / "out") == [name]
        text = describe(find(name, [place / "out"]))
        assert "KeyError: 'é→'" in text and 'n = "\\u00e9' in text
