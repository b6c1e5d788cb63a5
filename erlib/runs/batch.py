"""Run what is planned into a folder: what is done there already is left, the rest is performed.

All that is known of a batch is in its folder (`erlib.runs.folder`), so that the same command again
goes on, whatever happened to the first: interrupted, killed, or still at work beside it.
"""

import contextlib
import datetime
import itertools
import os
import shlex
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from pathlib import Path

from .folder import (
    ANOTHER,
    DONE,
    FAILED,
    MISSING,
    Files,
    Order,
    another_in,
    runs_folder,
    states_in,
    try_to_write,
)
from .overview import Overview, label
from .plan import Run, Settings
from .processes import FATAL, Workers, executor, failed, workers_of

SAME = "the same command goes on"
LINES = 6  # of a plan


def run(
    runs: Sequence[Run], output: str | Path | None = None, how: Settings | None = None
) -> list[str]:
    """Perform the planned `runs` and return the ids of those that failed.

    Into the folder ``output`` (default ``runs/<profile>-<date>-<time>``, of the companion or, for
    other notebooks, in the current folder) goes what `Files` names, the result last.  What is done
    there already is skipped, also pieces of an interrupted attempt (`erlib.notebook.kept`).  After
    a failure the others run, but not on a full disk.  What another batch does is not done twice.

    Raises ValueError before anything runs if the folder cannot be written, or, unless ``force``, if
    it holds a result of the same id that another notebook, other parameters or other code gave.
    With ``replace`` these are renewed, but for those of another notebook of the same name.
    """
    how = how or Settings()
    folder = Path(output).resolve() if output else _new_folder(runs)
    if how.replace:
        _refuse_another_notebook(folder, runs)
    states = states_in(folder, runs)
    if not (how.force or how.replace):
        _refuse_other_results(states, folder)
    with _written(folder):
        try_to_write(folder)
    print(f"results: {short(folder)}", flush=True)

    overview, waiting, failures = Overview(runs), [], []
    for each in runs:
        if states[each.id] == DONE and not how.force:
            overview.done_already(each)
        elif how.only_failed and states[each.id] != FAILED:
            overview.total -= 1
        else:
            waiting.append(each)
    try:
        if waiting:
            with executor(folder, how) as workers, overview.beating():
                failures = _perform(waiting, folder, how, workers, overview)
    except KeyboardInterrupt:
        where = shlex.quote(str(short(folder)))
        goes_on = SAME if how.replace else f"the same command with --output {where} goes on"
        overview.say(f"\ninterrupted; {goes_on}")
        raise
    print(overview.summary(), flush=True)
    return failures


def describe(runs: Sequence[Run], folder: Path, how: Settings | None = None) -> str:
    """The plan of a sweep in some lines: its points, and what of them is there already.

    Raises ValueError if the folder has results of another notebook of the same name.
    """
    how = how or Settings()
    _refuse_another_notebook(folder, runs)
    names = {DONE: DONE, MISSING: "not run yet", FAILED: FAILED}
    states = Counter(names.get(there, "to renew") for there in states_in(folder, runs).values())
    there = ", ".join(f"{count} {what}" for what, count in states.items())
    text = [f"{runs[0].notebook.stem}: {len(runs)} run{'s' * (len(runs) != 1)}: {there}"]
    text += [f"  {label(each)}" for each in runs[:LINES]]
    if len(runs) > LINES:
        text += [f"  ... {len(runs) - LINES - 1} more ..."] * (len(runs) > LINES + 1)
        text += [f"  {label(runs[-1])}"]
    if how.only_failed:
        text.append(f"only those that failed: {states[FAILED]}")
    elif how.force:
        text.append("all of them again")
    return "\n".join(text)


def threads_each(how: Settings) -> int:
    """Threads of each kernel if the cores of this machine are divided among the runs at once.

    One on the workers of a scheduler elsewhere, whose cores are not known here.
    """
    at_once = workers_of(how.dask) if how.dask else how.jobs
    here = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if here else os.cpu_count() or 1
    return max(1, cores // at_once) if at_once else 1


def short(path: Path) -> Path:
    """The path as seen from here, if it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _perform(
    runs: Sequence[Run], folder: Path, how: Settings, workers: Workers, overview: Overview
) -> list[str]:
    """Ids of the runs that failed. Runs that another batch is at come last, and are waited for."""
    failures = []
    for waiting in (False, True):
        elsewhere: list[Run] = []
        left = deque(runs)
        under_way: dict[Future, Run] = {}
        while left or under_way:
            # No more at once than can be performed: those that wait can still be left alone.
            while left and len(under_way) < workers.capacity():
                each = left.popleft()
                order = Order(each, folder, how, waiting)
                under_way[workers.submit(order, partial(overview.at, each))] = each
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                each, error = under_way.pop(future), future.exception()
                # A worker of dask that died returns nothing.
                end = failed(f"{type(error).__name__}: {error}") if error else future.result()
                if end["end"] == "elsewhere":
                    elsewhere.append(each)
                    continue
                overview.ended(each, end, _hint(Files(folder, each.id), end))
                if end["end"] == "failed":
                    failures.append(each.id)
                    fatal = any(reason in end["why"] for reason in FATAL)
                    if fatal:
                        overview.say(f"stopped: the others would fail, too; then {SAME}")
                    if fatal or how.stop:
                        return failures
        runs = elsewhere
    return failures


def _hint(files: Files, end: dict) -> str:
    """What to do about a failure."""
    if end["end"] != "failed":
        return ""
    hint = f"its log: {short(files.log)}"
    if end.get("cell"):
        hint = f"open it: jupyter lab {shlex.quote(str(short(files.notebook)))}"
    if "\nAssertionError" in end["why"]:
        hint += "\nif a verdict on the defaults does not hold here: --no-verdicts runs it without"
    return hint


def _refuse_other_results(states: dict[str, str], folder: Path) -> None:
    for id, there in states.items():
        if there not in (DONE, MISSING, FAILED):
            files = Files(folder, id)
            file = files.result if files.result.exists() else files.failure
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


@contextlib.contextmanager
def _written(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueError(f"cannot write into {short(folder)}: {error.strerror}") from None


def _new_folder(runs: Sequence[Run]) -> Path:  # type: ignore[return]
    name = f"{runs[0].profile}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    for number in itertools.count(1):
        folder = runs_folder(runs) / (name if number == 1 else f"{name}-{number}")
        # Another batch may have started in the same second.
        with _written(folder), contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
