"""Runs notebooks, one after the other, for the process that started it (`erlib.runs.processes`).

``python -m erlib.runs.worker`` reads lines of JSON from standard input, each a run; each run has a
kernel of its own. On standard output it tells how far a run has come, and how it ended, in lines of
JSON; what is printed goes to the log of the run. When standard input closes, whoever started this
process is gone, and it stops, in the middle of a run too.

A run is done when its ``<id>.json`` exists. That file is written atomically and last, because
papermill's own marks cannot be trusted: after a timeout its output says "completed" everywhere.
"""

import contextlib
import datetime
import glob
import hashlib
import json
import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..notebook.code_state import all_modules, code_state
from ..notebook.kept import FOLDER as KEPT
from ..notebook.record import CHANNEL, environment, read_channel, write_json
from ..notebook.verdicts import LEAVE_OUT
from .execute import NotebookFailed, execute
from .folder import ANOTHER, DONE, failure_file, log_file, place_of, result_file, state
from .notebooks import source_hash
from .plan import Run
from .processes import stop_tree

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def main() -> None:
    """Do the runs that standard input names, until it closes."""
    orders: queue.Queue[dict] = queue.Queue()
    threading.Thread(target=_read, args=[orders], daemon=True).start()
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # as standard error does

    def tell(**event: Any) -> None:
        print(json.dumps(event), file=told, flush=True)

    while True:
        order = orders.get()
        run = Run(**{**order["run"], "notebook": Path(order["run"]["notebook"])})
        folder = Path(order["folder"])
        with open(log_file(run, folder), "a", encoding="utf-8") as log:
            os.dup2(log.fileno(), 1)  # kernels inherit both: what they print must not come between
            os.dup2(log.fileno(), 2)  # the lines of JSON
            end = outcome_of(run, folder, order, tell)
        tell(**end)


def outcome_of(run: Run, folder: Path, order: dict, tell: Callable) -> dict:
    """Do the run unless another process is at it; the event that says how it ended."""
    lock = FileLock(folder / ".locks" / run.id, timeout=-1 if order["wait"] else 0)
    began = time.monotonic()
    try:
        with lock:
            there = state(run, folder)  # after another batch, since this one was planned
            if there == DONE and not order["force"]:
                return {"end": "done already"}
            if there.startswith(ANOTHER) and not order["force"]:
                return {"end": "failed", "why": f"{run.id} is there, of {there}", "cell": False}
            began = time.monotonic()
            tell(begun=run.id)
            failure_file(run, folder).unlink(missing_ok=True)
            do(run, folder, order, tell)
    except Timeout:
        return {"end": "elsewhere"}
    except NotebookFailed as failure:
        end = {"end": "failed", "why": str(failure), "cell": failure.started}
    except OSError as error:
        end = {"end": "failed", "why": str(error), "cell": False}
    else:
        end = {"end": "ok"}
    return end | {"seconds": round(time.monotonic() - began, 1)}


def do(run: Run, folder: Path, order: dict, tell: Callable) -> None:
    """Execute the notebook into the folder, and write its result."""
    result = result_file(run, folder)
    if order["force"]:
        shutil.rmtree(folder / f"{run.id}.kept", ignore_errors=True)
    # From here on an older result would no longer belong to the notebook beside it.
    result.unlink(missing_ok=True)
    for left in folder.glob(f"{glob.escape(run.id)}.partial.*.jsonl"):
        left.unlink(missing_ok=True)
    # Kept if the notebook fails: hours may have gone into the values recorded until then. A name
    # for each attempt, so that the kernel of a process that was killed cannot write into this one.
    channel = folder / f"{run.id}.partial.{os.getpid()}.jsonl"
    # Two data sets through one notebook draw figures of the same names: a folder for each.
    figures = folder / "figures" / run.id
    shutil.rmtree(figures, ignore_errors=True)
    # Finished pieces of an earlier attempt (erlib.notebook.kept), of this notebook and no other of
    # its name.
    kept, place = folder / f"{run.id}.kept", place_of(run, folder)
    pieces = kept / hashlib.sha256(place.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    threads = order["threads"]
    variables = {CHANNEL: channel, "ERLIB_FIGURES": figures, KEPT: pieces}
    variables |= dict.fromkeys(THREAD_VARIABLES, threads) if threads else {}
    figures.mkdir(parents=True, exist_ok=True)

    started, clock = datetime.datetime.now(datetime.UTC), time.monotonic()
    sha256 = source_hash(run.notebook)
    for last_chance in (False, True):
        try:
            execute(
                run.notebook,
                folder / f"{run.id}.ipynb",
                parameters=run.settings | run.overrides,
                variables=variables,
                first=None if order["verdicts"] else LEAVE_OUT,
                timeout=order["timeout"],
                cell_started=lambda cell, of, line: tell(cell=cell, of=of, line=line),
            )
            break
        except NotebookFailed as failure:
            # Many kernels starting at once can fail at it; a cell that fails, fails again.
            if failure.started or last_chance:
                raise
            print(f"{failure}\nthe kernel did not start; once more", file=sys.stderr, flush=True)
            time.sleep(1)
    found = read_channel(channel)
    write_json(
        result,
        {
            "id": run.id,
            "notebook": run.notebook.name,
            "place": place,
            "notebook_sha256": sha256,
            "profile": run.profile,
            "parameters": run.parameters,
            "command": _command(run, order),
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - clock, 1),
            "threads": threads,
            "recorded": found["recorded"],
            "data": found["data"],
            # A notebook that does not call print_environment ran in a process like this one, but
            # for the number of torch threads, and may have loaded any module.
            "environment": found["environment"] or environment() | {"torch_threads": None},
            "code": found["code"] or code_state(all_modules()),
        },
    )
    channel.unlink(missing_ok=True)
    shutil.rmtree(kept, ignore_errors=True)
    with contextlib.suppress(OSError):
        figures.rmdir()  # if it drew none


def _command(run: Run, order: dict) -> str:
    threads = f" --threads {order['threads']}" if order["threads"] else ""
    return run.command + threads + ("" if order["verdicts"] else " --no-verdicts")


def _read(orders: queue.Queue) -> None:
    for line in sys.stdin:
        orders.put(json.loads(line))
    stop_tree(os.getpid())


if __name__ == "__main__":
    main()
