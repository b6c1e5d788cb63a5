"""Pieces of a run are found again by an attempt that would compute the same, and by no other."""

import json

import pytest

from erlib.notebook import kept as module
from erlib.notebook.kept import kept

calls = []
factor = 2


def helper(number):
    return number * factor


METHODS = {"squared": lambda number: number**2}


@kept
def doubled(*, number):
    calls.append(number)
    return [{"number": number, "twice": helper(number), "methods": len(METHODS)}]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    calls.clear()
    monkeypatch.setenv(module.FOLDER, str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_the_same_call_is_computed_once(folder):
    first = doubled(number=3)
    assert doubled(number=3) == first == [{"number": 3, "twice": 6, "methods": 1}]
    assert doubled(number=4) != first and calls == [3, 4]
    assert len(list(folder.glob("doubled-*.json"))) == 2


def test_outside_a_run_nothing_is_kept(folder, monkeypatch):
    monkeypatch.delenv(module.FOLDER)
    doubled(number=3)
    doubled(number=3)
    assert calls == [3, 3] and not folder.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setitem(globals(), "factor", 5),
        lambda patch: patch.setitem(globals(), "helper", lambda number: number),
        lambda patch: patch.setitem(METHODS, "squared", lambda number: number * number),
        lambda patch: patch.setattr(
            module, "code_state", lambda modules: {"regress.py": "another version"}
        ),
    ],
    ids=["a plain global value", "a function that is called", "a function in a dict", "erlib"],
)
def test_other_code_computes_again(change, monkeypatch):
    doubled(number=3)
    change(monkeypatch)
    doubled(number=3)
    assert calls == [3, 3]


def test_an_interrupted_piece_leaves_nothing(folder):
    @kept
    def fails(*, number):
        calls.append(number)
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fails(number=1)
    assert calls == [1, 1] and not list(folder.glob("*.json"))


def test_the_file_tells_what_it_is(folder):
    doubled(number=3)
    (file,) = folder.glob("*.json")
    assert json.loads(file.read_text())["arguments"] == {"number": 3}
