import pytest

from erlib.notebook import code_state as module
from erlib.notebook.code_state import all_modules, changed, code_of, code_state, loaded_modules


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two modules in place of erlib."""
    monkeypatch.setattr(module, "PACKAGE", tmp_path)
    (tmp_path / "a.py").write_text("a = 1")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.py").write_text("b = 1")
    module._present.cache_clear()
    yield tmp_path
    module._present.cache_clear()


SOURCE = 'def f(x, y=None):\n    """Add."""\n    return [x + 1, "#"]  # one'


@pytest.mark.parametrize(
    "source",
    [
        "# A note.\n" + SOURCE,
        SOURCE.replace("Add.", "Adds one."),
        SOURCE.replace("# one", "# two"),
        SOURCE.replace("[x + 1, ", "[\n        (x + 1),\n        ").replace('"#"', "'#'"),
        "'''What it is for.'''\n\n" + SOURCE,
        SOURCE.replace('    """Add."""\n', ""),
        SOURCE.replace("(x, y=None)", "(x: int, y: int | None = None) -> list"),
    ],
    ids="comment docstring behind layout of_the_module no_docstring hints".split(),
)
def test_what_python_does_not_read_is_no_change(source):
    assert source != SOURCE and code_of(source) == code_of(SOURCE)


@pytest.mark.parametrize(
    "change",
    [("x + 1", "x + 2"), ("x + 1", "1 + x"), ('"#"', '"# "'), ("y=None", "y=False"), ("f(", "g(")],
    ids=" to ".join,
)
def test_a_changed_statement_is_a_change(change):
    assert code_of(SOURCE.replace(*change)) != code_of(SOURCE)


def test_what_is_no_plain_python_counts_by_its_text():
    assert code_of("%time f()  # a") != code_of("%time f()  # b")
    assert code_of("x = '\udc80' +") == code_of("x = '\udc80' +")


def test_pictures_and_progress_do_not_count():
    names = ["notebook/plots.py", "progress.py", "regress.py"]
    assert list(code_state(names)) == ["regress.py"]
    assert changed(dict.fromkeys(names, "another")) == ["regress.py"]


def test_a_change_is_seen_and_named(package):
    state = code_state(all_modules())
    assert list(state) == ["a.py", "sub/b.py"] and changed(state) == []
    (package / "a.py").write_text("a = 2")
    module._present.cache_clear()
    assert changed(state) == ["a.py"]
    (package / "sub" / "b.py").unlink()
    module._present.cache_clear()
    assert changed(state) == ["a.py", "sub/b.py"]


def test_a_new_module_changes_nothing_that_did_not_load_it(package):
    state = code_state(["a.py"])
    (package / "c.py").write_text("")
    assert changed(state) == []


def test_what_is_loaded_here():
    assert {"notebook/code_state.py", "__init__.py"} <= set(loaded_modules()) <= set(all_modules())
