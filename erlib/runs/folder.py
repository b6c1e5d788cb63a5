"""The folder of a batch: which runs are done in it, which failed, and what they left."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from ..notebook import paths
from ..notebook.code_state import changed
from .notebooks import source_hash
from .plan import Run

DONE, MISSING, FAILED = "done", "missing", "failed"
ANOTHER = "another notebook"


def runs_folder(runs: Sequence[Run]) -> Path:
    """Where batches go that name no folder: beside a notebook of one's own is not our place."""
    return paths.RUNS if all(run.place for run in runs) else Path.cwd() / "runs"


def result_file(run: Run, folder: Path) -> Path:
    """Exists when the run is done, and says what it found."""
    return folder / f"{run.id}.json"


def failure_file(run: Run, folder: Path) -> Path:
    """JSON that exists when its last attempt failed, and says why."""
    return folder / f"{run.id}.failed"


def log_file(run: Run, folder: Path) -> Path:
    """All that the run printed."""
    return folder / f"{run.id}.log"


def place_of(run: Run, folder: Path) -> str:
    """Which notebook it is: its path in the companion, or as seen from the folder of its results.

    So that the folder can move with the notebook, and the result can be shown to others.
    """
    if run.place:
        return run.place
    path = Path(os.path.relpath(run.notebook.resolve(), folder.resolve())).as_posix()
    return path if path.startswith("..") else f"./{path}"


def another_in(folder: Path, run: Run) -> str | None:
    """The path of another notebook of this name that has a result or failure in the folder."""
    stem = run.notebook.stem
    names = os.listdir(folder) if folder.is_dir() else []
    for name in names:
        if name.startswith(stem) and name.endswith((".json", ".failed")):
            another = _another(_read(folder / name), run, folder)
            if another and Path(another).stem == stem:
                return another
    return None


def state(run: Run, folder: Path, notebook_hash: str | None = None) -> str:
    """DONE, MISSING, FAILED, or what makes the result that is there another one.

    A result is that of this run if notebook, parameters and the modules of erlib that computed it
    are the present ones; one that cannot be read, a file cut short, counts as missing. Two
    notebooks of one name and content are two.
    """
    result = read_result(result_file(run, folder))
    if another := _another(result or _read(failure_file(run, folder)), run, folder):
        return f"{ANOTHER}, {another}"
    if result is None:
        return FAILED if failure_file(run, folder).is_file() else MISSING
    then, now = result["parameters"], run.parameters
    if result["notebook_sha256"] != (notebook_hash or source_hash(run.notebook)):
        return "an earlier state of the notebook"
    names = [name for name in then | now if _text(then, name) != _text(now, name)]
    if names:
        return f"other values of {', '.join(names)}"
    if different := changed(result.get("code", {})):
        return f"an earlier state of erlib ({', '.join(different)})"
    return DONE


def read_result(file: Path) -> dict | None:
    """The content of a result, or None if there is none or it is not whole."""
    result = _read(file)
    return result if {"parameters", "notebook_sha256", "recorded"} <= result.keys() else None


def _read(file: Path) -> dict:
    """The JSON object in a file, {} if there is none or it is not whole."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        found = None
    return found if isinstance(found, dict) else {}


def _another(left: dict, run: Run, folder: Path) -> str | None:
    """The path of the notebook that left this, if it says that it is another one."""
    place = left.get("place")
    if place is None or place == place_of(run, folder):
        return None
    return os.path.normpath(folder / place) if place.startswith(".") else place


def _text(values: dict, name: str) -> str | None:
    """JSON, in which 1 is not true."""
    return json.dumps(values[name], sort_keys=True) if name in values else None
