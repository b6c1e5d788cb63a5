import pytest

from erlib.notebook import code_state as module
from erlib.notebook.code_state import all_modules, changed, code_state, loaded_modules


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
