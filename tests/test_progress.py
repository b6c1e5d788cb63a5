"""Progress of long work: plain lines where there is no terminal."""

import sys
import time

from erlib.progress import heartbeat, progress


def test_a_short_loop_is_silent_and_a_long_one_tells_how_far_it_is(capsys):
    assert list(progress("abc", "letters")) == list("abc")
    assert capsys.readouterr().err == ""
    assert list(progress("abc", "letters", every=0)) == list("abc")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"letters: {n} of 3, 0 s" for n in (1, 2, 3)]


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
