"""Runs notebooks, one after the other, for the process that started it (`erlib.runs.processes`).

``python -m erlib.runs.worker`` reads each `Order` from a line of standard input. On standard output
it tells how far a run has come, and how it ended, in lines of JSON; what is printed goes to the log
of the run. When standard input closes, whoever started this process is gone, and it stops.

A run is done when its result exists, which is written atomically and last: after a timeout
papermill's own marks say "completed" everywhere.
"""

import contextlib
import datetime
import json
import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from filelock import FileLock, Timeout

from ..notebook.code_state import all_modules, code_state
from ..notebook.kept import FOLDER as KEPT
from ..notebook.record import CHANNEL, environment, read_channel
from .execute import NotebookFailed, execute
from .folder import ANOTHER, DONE, Order, state
from .notebooks import source_hash
from .processes import failed, stop_tree

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def main() -> None:
    """Do the runs that standard input names, until it closes."""
    orders: queue.Queue[Order] = queue.Queue()
    threading.Thread(target=_read, args=[orders], daemon=True).start()
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # as standard error does

    def tell(**event: Any) -> None:
        print(json.dumps(event), file=told, flush=True)

    while True:
        order = orders.get()
        with open(order.files.log, "a", encoding="utf-8") as log:
            os.dup2(log.fileno(), 1)  # kernels inherit both: what they print must not come between
            os.dup2(log.fileno(), 2)  # the lines of JSON
            end = outcome_of(order, tell)
        tell(**end)


def outcome_of(order: Order, tell: Callable) -> dict:
    """Do the run unless another process is at it; the event that says how it ended."""
    began, force = time.monotonic(), order.how.force
    try:
        with FileLock(order.files.lock, timeout=-1 if order.wait else 0):
            there = state(order.run, order.folder)  # after another batch, since this was planned
            if there == DONE and not force:
                return {"end": "done already"}
            if there.startswith(ANOTHER) and not force:
                return failed(f"{order.run.id} is there, of {there}")
            began = time.monotonic()
            tell(begun=order.run.id)
            do(order, tell)
        end: dict = {"end": "ok"}
    except Timeout:
        return {"end": "elsewhere"}
    except NotebookFailed as failure:
        end = failed(str(failure), cell=failure.started)
    except OSError as error:
        end = failed(str(error))
    return end | {"seconds": round(time.monotonic() - began, 1)}


def do(order: Order, tell: Callable) -> None:
    """Execute the notebook into the folder, and write its result."""
    run, files, how = order.run, order.files, order.how
    files.clear(kept=how.force)
    files.figures.mkdir(parents=True, exist_ok=True)
    channel = files.channel()  # left if the notebook fails: hours may have gone into its values
    variables = {
        CHANNEL: channel,
        "ERLIB_FIGURES": files.figures,
        KEPT: files.pieces(order.place),
        **(dict.fromkeys(THREAD_VARIABLES, how.threads) if how.threads else {}),
    }
    started, clock = datetime.datetime.now(datetime.UTC), time.monotonic()
    sha256 = source_hash(run.notebook)
    for last_chance in (False, True):
        try:
            execute(
                run.notebook,
                files.notebook,
                parameters=run.settings | run.overrides,
                variables=variables,
                verdicts=how.verdicts,
                timeout=how.timeout,
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
    order.write_result(
        notebook_sha256=sha256,
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - clock, 1),
        recorded=found["recorded"],
        data=found["data"],
        # A notebook that does not call print_environment ran in a process like this one, but for
        # the number of torch threads, and may have loaded any module.
        environment=found["environment"] or environment() | {"torch_threads": None},
        code=found["code"] or code_state(all_modules()),
    )
    channel.unlink(missing_ok=True)
    shutil.rmtree(files.kept, ignore_errors=True)
    with contextlib.suppress(OSError):
        files.figures.rmdir()  # if it drew none


def _read(orders: queue.Queue) -> None:
    for line in sys.stdin:
        orders.put(Order.from_line(line))
    stop_tree(os.getpid())


if __name__ == "__main__":
    main()
