"""Renewing the committed outputs."""

import nbformat
import pytest
from small_notebooks import write_notebook

from erlib.notebook import paths
from erlib.runs.plan import plan
from erlib.runs.refresh import refresh

pytestmark = pytest.mark.slow


def test_refresh_stores_clean_outputs(place):
    notebook = write_notebook(
        "01_a",
        "import os\nprint('one', flush=True)\nprint('two', flush=True)\nn",
        "import pathlib\n"
        "folder = pathlib.Path(os.environ['ERLIB_FIGURES'])\nfolder.mkdir(exist_ok=True)\n"
        "_ = [(folder / f'01_{n}.png').write_text('new') for n in 'ab']\n"
        "from erlib.progress import progress\n"
        "assert list(progress([1, 2], 'slow here: nothing to keep', every=0)) == [1, 2]",
        parameters="n = 3",
    )
    before = nbformat.read(notebook, 4)
    before.metadata.papermill = {"duration": 3}
    before.cells[1].metadata.execution = {"iopub.status.busy": "2026-01-01"}
    before.cells[2].metadata.papermill = {"status": "completed"}
    before.cells[2].metadata.tags = ["keep-me"]
    nbformat.write(before, notebook)

    paths.FIGURES.mkdir(exist_ok=True)
    (paths.FIGURES / "01_a.png").write_text("old")
    assert refresh(plan()) == []
    assert [file.name for file in paths.FIGURES.iterdir()] == ["01_a.png"]
    assert (paths.FIGURES / "01_a.png").read_text() == "new"
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
    assert after.cells[3].outputs == []
    stream, value = after.cells[2].outputs
    assert stream.text == "one\ntwo\n" and value.data["text/plain"] == "3"

    stored = notebook.read_bytes()
    assert stored.endswith(b"}\n")
    assert refresh(plan()) == []
    assert notebook.read_bytes() == stored, "a second refresh changes nothing"


def test_a_failing_refresh_leaves_the_notebook_alone(place, capsys):
    notebook = write_notebook("01_a", "1 / 0")
    before = notebook.read_bytes()
    assert refresh(plan()) == ["01_a"]
    assert notebook.read_bytes() == before
    assert "ZeroDivisionError: division by zero" in capsys.readouterr().out


def test_refresh_does_not_overwrite_an_edit_made_meanwhile(three, monkeypatch, capsys):
    def edit_meanwhile(notebook, *_, **__):
        notebook.write_text("edited")

    monkeypatch.setattr("erlib.runs.refresh.execute", edit_meanwhile)
    assert refresh(plan(["1"])) == ["01_first"]
    assert (paths.NOTEBOOKS / "01_first.ipynb").read_text() == "edited"
    assert "changed while it ran" in capsys.readouterr().out
