"""Runs in processes: hand one over, follow it, stop it with all that it started.

`perform` is what an executor is given: a plain function of plain values, which runs on this machine
in a thread, or on another one in a worker of dask. Each thread that calls it has a process that
does its runs (`erlib.runs.worker`), and each run has a kernel of its own. It has to be a process:
papermill changes the current folder.
"""

import contextlib
import datetime
import errno
import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from ..notebook.code_state import all_modules, code_state
from .folder import Order
from .plan import Settings

#: Reasons for which every later run would fail, too.
FATAL = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EROFS, errno.EDQUOT))

_mine = threading.local()  # the process of this thread
_processes: set[subprocess.Popen] = set()
_stopped = threading.Event()


def failed(why: str, *, cell: bool = False) -> dict:
    """The end of a run that failed; `cell` if it had come to its first one."""
    return {"end": "failed", "why": why, "cell": cell, "seconds": 0.0}


def perform(order: Order, tell: Callable | None = None) -> dict:
    """Do one run; returns how it ended. `tell` is called with its events on the way.

    The dict returned has ``end`` ("ok", "done already", "elsewhere", "failed" or "stopped"),
    ``why`` if it failed, and ``seconds``.
    """
    began = time.monotonic()
    try:
        order.files.lock.parent.mkdir(parents=True, exist_ok=True)
        with open(order.files.log, "a", encoding="utf-8") as log:
            log.write(f"--- {datetime.datetime.now():%Y-%m-%d %H:%M:%S}\n")
        end = _follow(order, tell or (lambda **event: None))
    except OSError as error:
        end = failed(str(error))
    end["seconds"] = end.get("seconds") or round(time.monotonic() - began, 1)
    if end["end"] == "failed":
        with contextlib.suppress(OSError):  # a full disk: the run is then missing, not failed
            order.write_failure(end)
    return end


def stop_all() -> None:
    """Stop all processes, and let no run begin until the next batch."""
    _stopped.set()
    for process in list(_processes):
        stop_tree(process.pid)


def stop_tree(pid: int) -> None:
    """Kill a process and all that it started: a kernel outlives the process that began it."""
    try:
        process = psutil.Process(pid)
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def _follow(order: Order, tell: Callable) -> dict:
    """Hand the run to the process of this thread, and read what it tells until it has ended."""
    if _stopped.is_set():
        return {"end": "stopped"}
    process = _process()
    assert process.stdin and process.stdout
    limit = order.how.limit or 0.0
    timer = threading.Timer(limit, stop_tree, [process.pid])
    until = math.inf
    end, place = None, "before its first cell"
    try:
        process.stdin.write(order.as_line())
        process.stdin.flush()
        while end is None and (line := process.stdout.readline()):
            event = json.loads(line)
            if "end" in event:
                end = event
            elif "begun" in event:
                if limit:
                    timer.start()
                    until = time.monotonic() + limit
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
    if time.monotonic() >= until:
        return failed(f"it ran longer than {limit:g} s and was stopped {place}")
    if _stopped.is_set():
        return {"end": "stopped"}
    death = f"ended with code {process.returncode}"
    if process.returncode < 0:
        death = f"was killed (signal {-process.returncode}; out of memory, perhaps)"
    return failed(f"its process {death} {place}")


def _process() -> subprocess.Popen:
    """The process that does the runs of this thread; a new one if there is none (any more)."""
    process = getattr(_mine, "process", None)
    if process is None or process.poll() is not None:
        _processes.discard(process)
        # Where erlib is, for a process that starts in another folder, installed or not.
        here = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]
        process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker"],
            stdin=subprocess.PIPE,  # it stays open: closed, it tells the process that we are gone
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, here))},
            start_new_session=True,  # Ctrl-C goes to the batch, which then stops its runs
        )
        _mine.process = process
        _processes.add(process)
    return process


class Workers(NamedTuple):
    """What performs runs; see `executor`."""

    submit: Callable[..., Any]
    capacity: Callable[[], int]


@contextlib.contextmanager
def executor(folder: Path, how: Settings) -> Iterator[Workers]:
    """Yield `Workers`: ``submit(order, tell)`` returns a future, ``capacity()`` how many at once.

    Raises ValueError if workers of dask cannot be used: no dask here, no scheduler there, another
    state of erlib, or a `folder` that they do not see.
    """
    if how.dask:
        with _client(how.dask) as client:
            _check(client, folder)
            pool = client.get_executor(pure=False)
            yield Workers(
                # Where it is performed, there is nobody to tell how far it has come.
                lambda order, tell: pool.submit(perform, order),
                lambda: max(1, sum(client.nthreads().values())),
            )
        return
    _stopped.clear()
    pool = ThreadPoolExecutor(how.jobs)
    try:
        yield Workers(lambda order, tell: pool.submit(perform, order, tell), lambda: how.jobs)
    finally:
        stop_all()
        pool.shutdown(cancel_futures=True)


def workers_of(dask: str) -> int | None:
    """How many workers ``local:N`` asks for; None for an address."""
    kind, _, count = dask.partition(":")
    if "://" in dask:
        return None
    if kind != "local" or not count.isdigit() or int(count) < 1:
        raise ValueError(
            f"--dask is {dask!r}, allowed: local:N with N >= 1, or an address as tcp://host:8786"
        )
    return int(count)


@contextlib.contextmanager
def _client(dask: str) -> Iterator[Any]:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ValueError("--dask needs dask.distributed: pip install 'erlib[dask]'") from None
    with contextlib.ExitStack() as stack:
        if count := workers_of(dask):
            here = LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None)
            client = stack.enter_context(Client(stack.enter_context(here)))
            stack.callback(client.run, stop_all)
        else:
            try:
                client = stack.enter_context(Client(dask, timeout=10))
            except (OSError, ValueError) as error:  # a timeout is an OSError
                raise ValueError(f"no scheduler of dask answers at {dask}: {error}") from None
        yield client


def _check(client: Any, folder: Path) -> None:
    """Complain now of what would make every run fail."""
    if not client.nthreads():
        raise ValueError("the scheduler of dask has no workers")
    here = code_state(all_modules())
    for worker, (there, seen) in client.run(_seen_by_worker, str(folder)).items():
        if there != here:
            raise ValueError(f"worker {worker} has another state of erlib than this process")
        if not seen:
            raise ValueError(f"worker {worker} does not see {folder}: use a folder that all share")


def _seen_by_worker(folder: str) -> tuple[dict, bool]:
    return code_state(all_modules()), Path(folder).is_dir()
