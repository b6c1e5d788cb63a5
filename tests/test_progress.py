"""Progress of long work: plain lines where there is no terminal."""

import itertools
import sys
import time

import pytest

from erlib.progress import heartbeat, progress


def test_a_short_loop_is_silent_and_a_long_one_tells_how_far_it_is(capsys):
    assert list(progress("abc", "letters")) == list("abc")
    assert capsys.readouterr().err == ""
    assert list(progress("abc", "letters", every=0)) == list("abc")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"letters: {n} of 3, 0 s" for n in (1, 2, 3)]


def test_it_is_off_where_outputs_are_compared(capsys, monkeypatch):
    monkeypatch.setenv("ERLIB_PROGRESS", "off")
    assert list(progress([1, 2], "fit", every=0)) == [1, 2]
    assert capsys.readouterr().err == ""


def test_a_line_appears_at_most_once_in_the_time_between(capsys, monkeypatch):
    seconds = itertools.count(0, 4)  # at the start, then after each item
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    assert list(progress(range(6), "numbers")) == list(range(6))
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["numbers: 3 of 6, 12 s", "numbers: 6 of 6, 24 s"]


def test_a_terminal_shows_a_bar_that_goes_at_the_end(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress("abc", "letters")) == list("abc")
    shown = capsys.readouterr()
    assert "letters:   0%" in shown.err and "/3" in shown.err and shown.out == ""
    assert shown.err.split("\r")[-2].strip() == "" and "\n" not in shown.err


def test_nothing_is_taken_before_it_is_asked_for(capsys):
    loop = progress([1, 2], "numbers", every=0)
    assert next(loop) == 1
    assert capsys.readouterr().err == "", "the first is not done yet"
    loop.close()


def test_a_heartbeat_ends_with_an_exception_too(capsys):
    with pytest.raises(KeyError), heartbeat(lambda seconds: "busy", every=0.01):
        raise KeyError
    capsys.readouterr()
    time.sleep(0.05)
    assert capsys.readouterr().out == ""


def test_a_heartbeat_prints_while_the_block_runs_and_not_after(capsys):
    with heartbeat(lambda seconds: f"busy for {seconds:.0f} s", every=0.01):
        time.sleep(0.1)
    assert "busy for 0 s\n" in capsys.readouterr().out
    time.sleep(0.05)
    assert capsys.readouterr().out == ""


def test_a_terminal_shows_one_line_that_goes_at_the_end(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with heartbeat(lambda seconds: "busy"):
        time.sleep(0.6)
    assert capsys.readouterr().out == "\r\033[Kbusy\r\033[K"
