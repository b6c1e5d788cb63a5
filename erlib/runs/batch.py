"""Run what is planned into a folder: what is done there already is left, the rest is performed.

All that is known of a batch is in its folder (`erlib.runs.folder`), so that the same command again
goes on, whatever happened to the first: interrupted, killed, or still at work beside it.
"""

import concurrent.futures
import datetime
import itertools
import os
import shlex
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED
from dataclasses import asdict
from functools import partial
from pathlib import Path

from ..notebook.record import write_atomically
from .folder import (
    ANOTHER,
    DONE,
    FAILED,
    MISSING,
    another_in,
    log_file,
    place_of,
    runs_folder,
    state,
)
from .notebooks import source_hash
from .overview import Overview, label
from .plan import Run
from .processes import FATAL, Workers, executor, workers_of

SAME = "the same command goes on"


def run(
    runs: Sequence[Run],
    *,
    output: str | Path | None = None,
    force: bool = False,
    stop: bool = False,
    threads: int | None = None,
    timeout: float | None = None,
    limit: float | None = None,
    verdicts: bool = True,
    jobs: int = 1,
    dask: str | None = None,
    replace: bool = False,
    only_failed: bool = False,
) -> list[str]:
    """Perform the planned `runs` and return the ids of those that failed.

    Into the folder ``output`` (default ``runs/<profile>-<date>-<time>``, of the companion or, for
    other notebooks, in the current folder) go for each run the executed ``<id>.ipynb``, its
    ``<id>.log`` and figures, and last, if it succeeded, ``<id>.json`` with the recorded values and
    all that led to them.  A run that is done there already is skipped, so that an interrupted batch
    can be resumed; inside a notebook the finished pieces of an interrupted attempt count too
    (`erlib.notebook.kept`); ``force`` starts afresh.  A failure does not keep later runs from
    running unless ``stop``; a full disk does.  ``threads`` limits the threads of each kernel,
    ``timeout`` the seconds of each cell, ``limit`` those of a run.  Without ``verdicts`` the
    asserts of the notebook are left out, which are about its defaults.

    ``jobs`` runs are under way at once, or as many as ``dask`` has workers
    (`erlib.runs.processes`). Another batch may work in the same folder: what it does is not done
    twice.

    Raises ValueError before anything runs if the folder cannot be written, or, unless ``force``, if
    it holds a result of the same id that another notebook, other parameters or other code gave.
    With ``replace``, as sweeps do, older results are renewed, but a folder in which another
    notebook of the same name has left any is refused.
    """
    folder = Path(output).resolve() if output else _new_folder(runs)
    if replace:
        _refuse_another_notebook(folder, runs)
    states = states_in(folder, runs)
    if not (force or replace):
        _refuse_other_results(states, folder)
    _refuse_unwritable(folder)
    print(f"results: {short(folder)}", flush=True)

    overview = Overview(runs)
    waiting = []
    for each in runs:
        there = states[each.id]
        if there == DONE and not force:
            overview.counts["done already"] = overview.counts.get("done already", 0) + 1
            if not each.title:
                print(f"{each.id.ljust(overview.width)}  done already", flush=True)
        elif only_failed and there != FAILED:
            overview.total -= 1
        else:
            waiting.append(each)
    settings = {"threads": threads, "timeout": timeout, "limit": limit}
    settings |= {"force": force, "verdicts": verdicts}
    failed = []
    try:
        if waiting:
            with executor(folder, jobs=jobs, dask=dask) as workers, overview.beating():
                failed = _perform(waiting, folder, settings, workers, overview, stop)
    except KeyboardInterrupt:
        overview.say(f"\ninterrupted; {_goes_on(folder, replace)}")
        raise
    left = overview.total - sum(overview.counts.values())
    print(overview.summary() + (f", {left} not run" if left else ""), flush=True)
    return failed


def states_in(folder: Path, runs: Sequence[Run]) -> dict[str, str]:
    """`erlib.runs.folder.state` of each run, by id. A run that left no file is not looked for."""
    present = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    hashes = {notebook: source_hash(notebook) for notebook in {each.notebook for each in runs}}
    found = {}
    for each in runs:
        if f"{each.id}.json" in present or f"{each.id}.failed" in present:
            found[each.id] = state(each, folder, hashes[each.notebook])
        else:
            found[each.id] = MISSING
    return found


def describe(
    runs: Sequence[Run],
    folder: Path,
    only_failed: bool = False,
    force: bool = False,
    lines: int = 6,
) -> str:
    """The plan of a sweep in some lines: its points, and what of them is there already.

    Raises ValueError if the folder has results of another notebook of the same name.
    """
    _refuse_another_notebook(folder, runs)
    names = {DONE: DONE, MISSING: "not run yet", FAILED: FAILED}
    states = Counter(names.get(there, "to renew") for there in states_in(folder, runs).values())
    there = ", ".join(f"{count} {what}" for what, count in states.items() if count)
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    text = [f"{runs[0].notebook.stem}: {count}: {there}"]
    text += [f"  {label(each)}" for each in runs[:lines]]
    if len(runs) > lines:
        text += [f"  ... {len(runs) - lines - 1} more ..."] * (len(runs) > lines + 1)
        text += [f"  {label(runs[-1])}"]
    if only_failed:
        text.append(f"only those that failed: {states[FAILED]}")
    elif force:
        text.append("all of them again")
    return "\n".join(text)


def threads_each(jobs: int, dask: str | None = None) -> int:
    """Threads of each kernel if the cores of this machine are divided among the runs at once.

    One on the workers of a scheduler elsewhere, whose cores are not known here.
    """
    at_once = workers_of(dask) if dask else jobs
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, cores // at_once) if at_once else 1


def short(path: Path) -> Path:
    """The path as seen from here, if it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _perform(
    runs: Sequence[Run],
    folder: Path,
    settings: dict,
    workers: Workers,
    overview: Overview,
    stop: bool,
) -> list[str]:
    """Ids of the runs that failed. Runs that another batch is at come last, and are waited for."""
    failed = []
    for wait in (False, True):
        elsewhere: list[Run] = []
        left = deque(runs)
        under_way: dict[concurrent.futures.Future, Run] = {}
        while left or under_way:
            # No more at once than can be performed: those that wait can still be left alone.
            while left and len(under_way) < workers.capacity():
                each = left.popleft()
                order = {"run": _plain(each), "folder": str(folder), "wait": wait, **settings}
                order["place"] = place_of(each, folder)
                under_way[workers.submit(order, partial(overview.at, each))] = each
            for future in concurrent.futures.wait(under_way, return_when=FIRST_COMPLETED).done:
                each, end = under_way.pop(future), _end_of(future)
                if end["end"] == "elsewhere":
                    elsewhere.append(each)
                    continue
                overview.ended(each, end, _hint(each, folder, end))
                if end["end"] == "failed":
                    failed.append(each.id)
                    if any(reason in end["why"] for reason in FATAL):
                        overview.say(f"stopped: the others would fail, too; then {SAME}")
                        return failed
                    if stop:
                        return failed
        runs = elsewhere
    return failed


def _end_of(future: concurrent.futures.Future) -> dict:
    """What `perform` returned; a worker of dask that died returns nothing."""
    error = future.exception()
    if error is None:
        return future.result()
    return {
        "end": "failed",
        "why": f"{type(error).__name__}: {error}",
        "seconds": 0.0,
        "cell": False,
    }


def _hint(run: Run, folder: Path, end: dict) -> str:
    """What to do about a failure."""
    if end["end"] != "failed":
        return ""
    hint = f"its log: {short(log_file(run, folder))}"
    if end.get("cell"):
        notebook = shlex.quote(str(short(folder / f"{run.id}.ipynb")))
        hint = f"open it: jupyter lab {notebook}"
    if "\nAssertionError" in end["why"]:
        hint += "\nif a verdict on the defaults does not hold here: --no-verdicts runs it without"
    return hint


def _plain(run: Run) -> dict:
    return asdict(run) | {"notebook": str(run.notebook)}


def _goes_on(folder: Path, same: bool) -> str:
    where = shlex.quote(str(short(folder)))
    return SAME if same else f"the same command with --output {where} goes on"


def _refuse_other_results(states: dict[str, str], folder: Path) -> None:
    for id, there in states.items():
        if there not in (DONE, MISSING, FAILED):
            file = folder / f"{id}.json"
            file = file if file.exists() else file.with_suffix(".failed")
            raise ValueError(
                f"{short(file)} holds the result of {there}: "
                "give another output folder, or --force to replace it"
            )


def _refuse_another_notebook(folder: Path, runs: Sequence[Run]) -> None:
    """Points of two notebooks in one folder would be collected as those of one."""
    if another := another_in(folder, runs[0]):
        raise ValueError(
            f"{short(folder)} holds results of {ANOTHER}, {another}: give another folder with --out"
        )


def _refuse_unwritable(folder: Path) -> None:
    probe = folder / ".writable"
    try:
        write_atomically(probe, "")
        probe.unlink()
    except OSError as error:
        raise ValueError(f"cannot write into {short(folder)}: {error.strerror}") from None


def _new_folder(runs: Sequence[Run]) -> Path:  # type: ignore[return]
    name = f"{runs[0].profile}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    for number in itertools.count(1):
        folder = runs_folder(runs) / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:  # another batch started in the same second
            continue
        except OSError as error:
            raise ValueError(f"cannot write into {short(folder)}: {error.strerror}") from None
