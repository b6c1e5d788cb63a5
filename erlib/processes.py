"""Runs in processes: hand one over, follow it, stop it with all that it started.

`perform` is what an executor is given (`erlib.executors`): a plain function of plain values, which
runs on this machine in a thread, or on another one in a worker of dask. Each thread that calls it
has a process that does its runs (`erlib.one_run`), and each run has a kernel of its own. It has to
be a process: papermill changes the current folder.
"""

import contextlib
import datetime
import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from .notebook.record import write_json

#: Reasons for which every later run would fail, too.
FATAL = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EROFS, errno.EDQUOT))

_mine = threading.local()  # the process of this thread
_processes, _stopped = set(), threading.Event()


def perform(order, tell=None):
    """Do one run; returns how it ended.

    `order` is a dict: the ``run``, its ``folder``, the ``place`` of its notebook, ``threads``, the
    seconds that a cell (``timeout``) and all of it (``limit``) may take, whether its ``verdicts``
    are checked, whether to ``force`` it, and whether to ``wait`` if another batch is at it. `tell`
    is called with its events on the way. The dict returned has ``end`` ("ok", "done already",
    "elsewhere", "failed" or "stopped"), ``why`` if it failed, and ``seconds``.
    """
    folder, id = Path(order["folder"]), order["run"]["id"]
    began = time.monotonic()
    try:
        (folder / ".locks").mkdir(parents=True, exist_ok=True)
        with open(folder / f"{id}.log", "a", encoding="utf-8") as log:
            log.write(f"--- {datetime.datetime.now():%Y-%m-%d %H:%M:%S}\n")
        end = _follow(order, tell or (lambda **event: None))
    except OSError as error:
        end = {"end": "failed", "why": str(error)}
    end.setdefault("seconds", round(time.monotonic() - began, 1))
    if end["end"] == "failed":
        with contextlib.suppress(OSError):  # a full disk: the run is then missing, not failed
            failure = {"run": order["run"], "place": order["place"], **end}
            write_json(folder / f"{id}.failed", failure)
    return end


def stop_all():
    """Stop all processes, and let no run begin until `start_again`."""
    _stopped.set()
    for process in list(_processes):
        stop_tree(process.pid)


def start_again():
    """Undo `stop_all`, for the next batch."""
    _stopped.clear()


def stop_tree(pid):
    """Kill a process and all that it started: a kernel outlives the process that began it."""
    try:
        process = psutil.Process(pid)
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def _follow(order, tell):
    """Hand the run to the process of this thread, and read what it tells until it has ended."""
    if _stopped.is_set():
        return {"end": "stopped"}
    process = _process()
    late = threading.Event()
    timer = threading.Timer(order["limit"] or 0, _stop_late, [process, late])
    end, place = None, "before its first cell"
    try:
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        while end is None and (line := process.stdout.readline()):
            event = json.loads(line)
            if "end" in event:
                end = event
            elif "begun" in event:
                if order["limit"]:
                    timer.start()
            else:
                tell(**event)
                place = "in cell {cell} of {of}: {line}".format(**event)
    except BrokenPipeError:
        pass
    finally:
        timer.cancel()
    if end:
        return end
    process.wait()
    _processes.discard(process)
    _mine.process = None
    if late.is_set():
        why = f"it ran longer than {order['limit']:g} s and was stopped {place}"
        return {"end": "failed", "why": why}
    if _stopped.is_set():
        return {"end": "stopped"}
    return {"end": "failed", "why": f"{_death(process.returncode)} {place}"}


def _process():
    """The process that does the runs of this thread; a new one if there is none (any more)."""
    process = getattr(_mine, "process", None)
    if process is None or process.poll() is not None:
        _processes.discard(process)
        process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.one_run"],
            stdin=subprocess.PIPE,  # it stays open: closed, it tells the process that we are gone
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": _import_path()},
            start_new_session=True,  # Ctrl-C goes to the batch, which then stops its runs
        )
        _mine.process = process
        _processes.add(process)
    return process


def _stop_late(process, late):
    late.set()
    stop_tree(process.pid)


def _death(code):
    if code < 0:
        return f"its process was killed (signal {-code}; out of memory, perhaps)"
    return f"its process ended with code {code}"


def _import_path():
    """Where erlib is, for a process that starts in another folder, installed or not."""
    here = str(Path(__file__).parents[1])
    return os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
