"""The process of a run: what it does when the kernel does not start."""

from pathlib import Path

import pytest
from small_notebooks import result_of, write_notebook

from erlib.runs import worker as one_run
from erlib.runs.execute import NotebookFailed
from erlib.runs.folder import Order
from erlib.runs.plan import Settings, plan
from erlib.runs.worker import outcome_of

NEVER_STARTED = NotebookFailed(0, "starting the kernel", "RuntimeError", "Kernel died")
IN_A_CELL = NotebookFailed(2, "1 / 0", "ZeroDivisionError", "division by zero")


def outcome(run, place, force=False):
    """How the run ends, its order having been written and read back."""
    order = Order(run, place / "out", Settings(force=force))
    assert Order.from_line(order.as_line()) == order
    return outcome_of(order, lambda **event: None)


@pytest.mark.parametrize(
    ("failures", "attempts", "end"),
    [
        ([], 1, "ok"),
        ([NEVER_STARTED], 2, "ok"),
        ([NEVER_STARTED, NEVER_STARTED], 2, "failed"),
        ([IN_A_CELL], 1, "failed"),
    ],
)
def test_a_kernel_that_does_not_start_is_tried_once_more(
    three, place, monkeypatch, failures, attempts, end
):
    calls, left = [], list(failures)

    def execute(*_, **__):
        calls.append(1)
        if left:
            raise left.pop(0)

    monkeypatch.setattr(one_run, "execute", execute)
    monkeypatch.setattr(one_run.time, "sleep", lambda seconds: None)
    (run,) = plan(["1"])
    told = outcome(run, place)
    assert told["end"] == end and len(calls) == attempts
    assert (place / "out" / "01_first.json").exists() == (end == "ok")
    if end == "ok":
        assert result_of(place / "out", "01_first")["parameters"] == run.parameters
        again = outcome(run, place)
        assert again == {"end": "done already"} and len(calls) == attempts


def test_a_run_that_another_process_is_at_is_left_alone(three, place):
    (run,) = plan(["1"])
    (place / "out" / ".locks").mkdir(parents=True)
    with one_run.FileLock(place / "out" / ".locks" / run.id):
        told = outcome(run, place)
    assert told == {"end": "elsewhere"}


def test_the_result_of_another_notebook_is_not_its_own(place, monkeypatch):
    monkeypatch.setattr(one_run, "execute", lambda *_, **__: None)
    runs = []
    for folder in ("a", "b"):
        (place / folder).mkdir()
        write_notebook("train", "pass").rename(place / folder / "train.ipynb")
        runs += plan([f"{folder}/train.ipynb"])
    assert outcome(runs[0], place)["end"] == "ok"
    assert result_of(place / "out", "train")["place"] == "../a/train.ipynb"
    told = outcome(runs[1], place)
    assert told["end"] == "failed" and "another notebook" in told["why"]
    assert outcome(runs[1], place, force=True)["end"] == "ok"


def test_what_another_notebook_left_is_not_taken_up(place, monkeypatch):
    seen = []

    def stopped(*_, variables, **__):
        for variable in ("ERLIB_KEPT", "ERLIB_FIGURES"):
            folder = Path(variables[variable])
            seen.append([file.name for file in folder.glob("*")])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"of-{len(seen)}").write_text("")
        raise KeyboardInterrupt

    monkeypatch.setattr(one_run, "execute", stopped)
    for folder in ("a", "b"):
        (place / folder).mkdir()
        write_notebook("train", "pass").rename(place / folder / "train.ipynb")
    for folder in ("a", "b", "a"):
        (run,) = plan([f"{folder}/train.ipynb"])
        with pytest.raises(KeyboardInterrupt):
            outcome(run, place)
    assert seen == [[], [], [], [], ["of-1"], []]


def test_a_name_is_no_pattern(place, monkeypatch):
    monkeypatch.setattr(one_run, "execute", lambda *_, **__: None)
    write_notebook("mine", "pass").rename(place / "[1] train.ipynb")
    (place / "out").mkdir()
    (place / "out/[1] train.partial.7.jsonl").write_text("")
    (run,) = plan(["[1] train.ipynb"])
    assert outcome(run, place)["end"] == "ok"
    assert not list((place / "out").glob("*.partial.*"))
