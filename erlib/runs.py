"""Batch runs of the notebooks: plan what runs, then run it into a folder.

`plan` refuses mistakes before anything runs; `run` executes the plan, one notebook after the other.

A run is done when its ``<id>.json`` exists.  That file is written atomically and last, because
papermill's own marks cannot be trusted: after a timeout its output says "completed" everywhere.
"""

import dataclasses
import datetime
import itertools
import json
import re
import shlex
import shutil
import time
from functools import partial
from pathlib import Path

from . import paths
from .execute import attempt, execute
from .kept import FOLDER as KEPT
from .notebook_files import declared_parameters, find_notebooks, source_hash
from .parameters import from_text, suggestion
from .record import CHANNEL, environment, read_channel, write_json

PROFILES = ("quick", "full")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclasses.dataclass(frozen=True)
class Run:
    """One notebook with one set of parameters."""

    id: str  #: the stem of the notebook, or of the YAML file with its parameters
    notebook: Path
    profile: str
    settings: dict  #: parameters from the YAML file of the full profile
    overrides: dict  #: parameters from the command line; they win

    @property
    def parameters(self):
        """All parameters, the notebook's defaults included."""
        return declared_parameters(self.notebook) | self.settings | self.overrides

    @property
    def command(self):
        """The command line that repeats this run."""
        words = ["erlib", "run", self.id, "--profile", self.profile]
        for name, value in self.overrides.items():
            words += ["-p", name, _as_text(value)]
        return shlex.join(words)


def plan(selection=(), *, profile="quick", overrides=None):
    """The list of :class:`Run` that ``selection`` means, in the order of the numbers.

    ``selection`` holds numbers (``"3"``, ``"03"``), ranges (``"1-3"``), stems of notebooks or ids
    of runs; nothing selects all.  Profile ``quick`` is the committed defaults; ``full`` is one run
    per ``notebooks/full/NN_name*.yaml``, and the defaults where a notebook has none.

    Raises ValueError if something selected does not exist, if a YAML file is no mapping or belongs
    to no notebook, or if a parameter is none of its notebook's (papermill would only warn, and run
    with the default).
    """
    if profile not in PROFILES:
        raise ValueError(f"profile is {profile!r}, allowed: {', '.join(PROFILES)}")
    notebooks = find_notebooks()
    settings = _full_settings(notebooks) if profile == "full" else {}
    runs = []
    for notebook in notebooks:
        of_this = {id: v for id, v in settings.items() if id.split(".")[0] == notebook.stem}
        for id, values in (of_this or {notebook.stem: {}}).items():
            runs.append(Run(id, notebook, profile, values, dict(overrides or {})))
    runs = _select(runs, selection)
    for run in runs:
        known = declared_parameters(run.notebook)
        for name in (run.settings | run.overrides).keys() - known.keys():
            has = f"it has: {', '.join(known)}" if known else "it has none"
            raise ValueError(f"{run.id} has no parameter {name!r}{suggestion(name, known)}; {has}")
    return runs


def _full_settings(notebooks):
    """Parameters by run id, one for each YAML file of the full profile."""
    stems = {notebook.stem for notebook in notebooks}
    settings = {}
    for file in sorted((paths.NOTEBOOKS / "full").glob("*.yaml"), key=lambda file: file.stem):
        if file.stem.split(".")[0] not in stems:
            hint = suggestion(file.stem, stems)
            raise ValueError(f"full/{file.name} belongs to no notebook{hint}")
        try:
            values = from_text(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"full/{file.name} {error}") from None
        if values is not None and not isinstance(values, dict):
            raise ValueError(f"full/{file.name} is no mapping of parameters to values")
        settings[file.stem] = values or {}
    return settings


def _select(runs, selection):
    if not selection:
        return runs
    chosen = set()
    for word in map(str, selection):
        numbers = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        name = Path(word).name.removesuffix(".ipynb")  # a path completed by the shell will do
        if numbers:
            low, high = int(numbers[1]), int(numbers[2] or numbers[1])
            matches = {run.id for run in runs if low <= int(run.id[:2]) <= high}
        else:
            # A run's own name means that run alone; a notebook's that names no run, all its runs.
            matches = {run.id for run in runs if run.id == name}
            matches = matches or {run.id for run in runs if run.notebook.stem == name}
        if not matches:
            ids = [run.id for run in runs]
            hint = suggestion(name, ids)
            raise ValueError(f"no notebook {word!r}{hint}; there are: {', '.join(ids)}")
        chosen |= matches
    return [run for run in runs if run.id in chosen]


def _as_text(value):
    """``value`` in the form in which ``-p`` reads it back."""
    return value if isinstance(value, str) and _means(value) == value else json.dumps(value)


def _means(text):
    try:
        return from_text(text)
    except ValueError:
        return None


def run(runs, *, output=None, force=False, stop=False, threads=None, timeout=None):
    """Execute planned ``runs`` and return the ids of those that failed.

    Into the folder ``output`` (default ``runs/<profile>-<date>-<time>``) go for each run the
    executed ``<id>.ipynb``, its figures, and last, if it succeeded, ``<id>.json`` with the recorded
    values and all that led to them.  A run that is done there already is skipped, so that an
    interrupted batch can be resumed; inside a notebook the finished pieces of an interrupted
    attempt count too (`erlib.kept`); ``force`` starts afresh.  A failure does not keep later
    notebooks from running unless ``stop``.  ``threads`` limits the threads of the kernels,
    ``timeout`` the seconds of each cell.

    Raises ValueError before anything runs if the folder holds a result of the same id that another
    notebook or other parameters gave.
    """
    folder = Path(output).resolve() if output else _new_folder(runs[0].profile)
    done = set() if force else {each.id for each in runs if _is_done(each, folder)}
    folder.mkdir(parents=True, exist_ok=True)
    print(f"results: {_short(folder)}", flush=True)

    failed, finished = [], 0
    width = max((len(each.id) for each in runs), default=0)
    try:
        for each in runs:
            label = each.id.ljust(width)
            if each.id in done:
                print(f"{label}  done already", flush=True)
                continue
            notebook = shlex.quote(str(_short(folder / f"{each.id}.ipynb")))
            if force:
                shutil.rmtree(folder / f"{each.id}.kept", ignore_errors=True)
            work = partial(_run_one, each, folder, label, threads, timeout)
            if attempt(label, work, f"open it: jupyter lab {notebook}"):
                finished += 1
            else:
                failed.append(each.id)
                if stop:
                    break
    except KeyboardInterrupt:
        print(f"\ninterrupted; the same command with --output {_short(folder)} goes on", flush=True)
        raise
    counts = {"ok": finished, "failed": len(failed), "done already": len(done)}
    print(", ".join(f"{count} {what}" for what, count in counts.items() if count), flush=True)
    return failed


def _new_folder(profile):
    name = f"{profile}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    for number in itertools.count(1):
        folder = paths.RUNS / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:  # another batch started in the same second
            continue


def _is_done(run, folder):
    """Is the result of exactly this run in the folder?  Another result of its id is an error."""
    file = folder / f"{run.id}.json"
    if not file.is_file():
        return False
    result = json.loads(file.read_text(encoding="utf-8"))
    then, now = result["parameters"], run.parameters
    if result["notebook_sha256"] != source_hash(run.notebook):
        differs = "an earlier state of the notebook"
    elif then != now:
        names = [name for name in then | now if then.get(name) != now.get(name)]
        differs = f"other values of {', '.join(names)}"
    else:
        return True
    raise ValueError(
        f"{_short(file)} holds the result of {differs}: "
        "give another output folder, or --force to replace it"
    )


def _run_one(run, folder, label, threads, timeout):
    result = folder / f"{run.id}.json"
    # Kept if the notebook fails: hours may have gone into the values recorded until then.
    channel = folder / f"{run.id}.partial.jsonl"
    # From here on an older result would no longer belong to the notebook beside it.
    result.unlink(missing_ok=True)
    channel.unlink(missing_ok=True)
    # Two data sets through one notebook draw figures of the same names: a folder for each.
    figures = folder / "figures" / run.id
    pieces = folder / f"{run.id}.kept"  # finished pieces of an earlier attempt (erlib.kept)
    variables = {CHANNEL: channel, "ERLIB_FIGURES": figures, KEPT: pieces}
    variables |= dict.fromkeys(THREAD_VARIABLES, threads) if threads else {}
    figures.mkdir(parents=True, exist_ok=True)

    started, clock = datetime.datetime.now(datetime.UTC), time.monotonic()
    sha256, parameters = source_hash(run.notebook), run.parameters
    execute(
        run.notebook,
        folder / f"{run.id}.ipynb",
        label=label,
        parameters=run.settings | run.overrides,
        variables=variables,
        timeout=timeout,
    )
    left = read_channel(channel)
    write_json(
        result,
        {
            "id": run.id,
            "notebook": run.notebook.name,
            "notebook_sha256": sha256,
            "profile": run.profile,
            "parameters": parameters,
            "command": run.command + (f" --threads {threads}" if threads else ""),
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - clock, 1),
            "threads": threads,
            "recorded": left["recorded"],
            "data": left["data"],
            # A notebook that does not call print_environment ran in a process like this one, but
            # for the number of torch threads.
            "environment": left["environment"] or environment() | {"torch_threads": None},
        },
    )
    channel.unlink(missing_ok=True)
    shutil.rmtree(pieces, ignore_errors=True)


def _short(path):
    """The path as seen from here, if it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
