"""The folder of a batch: which runs are done in it, which failed, and what they left."""

import json

from .code_state import changed
from .notebook_files import source_hash

DONE, MISSING, FAILED = "done", "missing", "failed"


def result_file(run, folder):
    """Exists when the run is done, and says what it found."""
    return folder / f"{run.id}.json"


def failure_file(run, folder):
    """JSON that exists when its last attempt failed, and says why."""
    return folder / f"{run.id}.failed"


def log_file(run, folder):
    """All that the run printed."""
    return folder / f"{run.id}.log"


def state(run, folder, notebook_hash=None):
    """DONE, MISSING, FAILED, or what makes the result that is there another one.

    A result is that of this run if notebook, parameters and the modules of erlib that computed it
    are the present ones; one that cannot be read, a file cut short, counts as missing.
    """
    result = read_result(result_file(run, folder))
    if result is None:
        return FAILED if failure_file(run, folder).is_file() else MISSING
    then, now = result["parameters"], run.parameters
    if result["notebook_sha256"] != (notebook_hash or source_hash(run.notebook)):
        return "an earlier state of the notebook"
    if then != now:
        names = [name for name in then | now if then.get(name) != now.get(name)]
        return f"other values of {', '.join(names)}"
    if different := changed(result.get("code", {})):
        return f"an earlier state of erlib ({', '.join(different)})"
    return DONE


def is_done(run, folder):
    """Is the result of exactly this run in the folder?"""
    return state(run, folder) == DONE


def read_result(file):
    """The content of a result, or None if there is none or it is not whole."""
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
        return result if {"parameters", "notebook_sha256", "recorded"} <= result.keys() else None
    except (FileNotFoundError, ValueError, AttributeError):
        return None
