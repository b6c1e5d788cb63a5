"""Of a published result it is told whether it is the present code's."""

import json

import nbformat
import pytest
from click.testing import CliRunner
from small_notebooks import write_notebook

from erlib.notebook import paths
from erlib.notebook.code_state import code_state
from erlib.runs.cli import main
from erlib.runs.notebooks import source_hash
from erlib.runs.status import status


@pytest.fixture
def notebook(place):
    return write_notebook("01_a", "print(1)  # one")


def told(notebook, /, environment=(), **changes):
    """What is told of a result of the notebook with these changes, and is it the present code's."""
    made = {"git_commit": "abc1234", "git_dirty": False}
    result = {
        "notebook": "01_a.ipynb",
        "notebook_sha256": source_hash(notebook),
        "parameters": {},
        "recorded": {},
        "started": "2026-11-24T14:11:43+00:00",
        "environment": made | dict(environment),
        "code": code_state(["network.py", "regress.py"]),
    }
    (paths.RESULTS / "01_a.json").write_text(json.dumps(result | changes))
    (line,), present = status()
    name, commit, day, what = line.split(maxsplit=3)
    assert name == "01_a" and commit in ("abc1234", "-") and day == "2026-11-24"
    assert present == (what == "present")
    return what


def test_the_present_code(notebook):
    assert told(notebook) == "present"


def test_prose_and_comments_make_nothing_older(notebook):
    then = source_hash(notebook)
    content = nbformat.read(notebook, 4)
    content.cells[0].source, content.cells[1].source = "# Other prose", "print(1)  # uno"
    nbformat.write(content, notebook)
    assert told(notebook, notebook_sha256=then) == "present"
    content.cells[1].source = "print(2)"
    nbformat.write(content, notebook)
    assert told(notebook, notebook_sha256=then) == "older: notebook"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"notebook": "02_gone.ipynb"}, "notebook"),
        ({"code": {"regress.py": "1234", "progress.py": "1234"}}, "regress.py"),
        ({"code": {"regress.py": "1234", "datasets.py": "1234"}}, "datasets.py gone"),
        (
            {"code": dict.fromkeys(["a.py", "b.py", "c.py", "d.py", "e.py"], "1234")},
            "a.py, b.py, c.py and 2 more gone",
        ),
        ({"code": {}}, "not known which code made it"),
        ({"code": None}, "not known which code made it"),
        ({"environment": {"git_dirty": True}}, "local changes when it was made"),
        ({"environment": {"git_commit": None, "git_dirty": None}}, "no commit"),
        (
            {"notebook_sha256": "1234", "code": {"layers.py": "1234"}},
            "notebook; layers.py",
        ),
    ],
)
def test_what_is_older_says_why(notebook, changes, what):
    assert told(notebook, **changes) == f"older: {what}"


def test_the_command_checks_if_asked_to(notebook):
    def call(*words):
        return CliRunner().invoke(main, ["status", *words])

    assert call().exit_code == 2 and "holds no results" in call().output
    told(notebook)
    assert call("--check").exit_code == 0
    told(notebook, code=None)
    assert call().exit_code == 0 and "older: not known" in call().output
    assert call("--check", str(paths.RESULTS)).exit_code == 1
    (paths.RESULTS / "01_a.json").write_text("{}")
    assert call().exit_code == 2 and "01_a.json is no whole result" in call().output
