"""What is to run, and how: notebooks with the parameters of a profile. `erlib.runs.batch` runs it.

`plan` refuses mistakes before anything runs.
"""

import dataclasses
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..notebook import paths
from ..notebook.parameters import from_text, suggestion, typed
from .declared import Declared
from .notebooks import find_notebooks

PROFILES = ("quick", "full")


@dataclasses.dataclass(frozen=True)
class Run:
    """One notebook with one set of parameters."""

    id: str  #: the stem of the notebook, or of the YAML file with its parameters
    notebook: Path
    profile: str
    settings: dict  #: parameters from the YAML file of the full profile
    overrides: dict  #: parameters from the command line; they win
    defaults: dict  #: of the notebook, for all others
    title: str = ""  #: what tells it from others in a list: of a sweep, its point
    known_as: str = ""  #: what `erlib run` calls it, if that is not its id
    place: str = ""  #: its path in the companion, if it is one of its notebooks

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters, the notebook's defaults included."""
        return self.defaults | self.settings | self.overrides

    @property
    def command(self) -> str:
        """The command line that repeats this run."""
        words = ["erlib", "run", self.known_as or self.id, "--profile", self.profile]
        for name, value in self.overrides.items():
            words += ["-p", name, typed(value)]
        return shlex.join(words)


@dataclasses.dataclass(frozen=True)
class Settings:
    """How runs are performed, from the command line to the worker."""

    jobs: int = 1  #: runs under way at once
    dask: str | None = None  #: as many as these workers, in place of ``jobs`` processes
    threads: int | None = None  #: of each kernel
    timeout: float | None = None  #: seconds that a cell may take
    limit: float | None = None  #: and a run
    force: bool = False  #: run again what is done
    stop: bool = False  #: at the first failure
    verdicts: bool = True  #: without, the asserts of a notebook are left out
    replace: bool = False  #: renew older results, as sweeps do
    only_failed: bool = False


def plan(
    selection: Sequence[str | Path] = (),
    *,
    profile: str = "quick",
    overrides: dict[str, Any] | None = None,
) -> list[Run]:
    """The list of :class:`Run` that ``selection`` means, in the order of the numbers.

    ``selection`` holds numbers (``"3"``, ``"03"``), ranges (``"1-3"``), stems of notebooks, ids of
    runs or paths of notebooks somewhere else; nothing selects all.  Profile ``quick`` is the
    committed defaults; ``full`` is one run per ``notebooks/full/NN_name*.yaml``, and the defaults
    where a notebook has none.

    Raises ValueError if something selected does not exist, two notebooks have one name, a YAML file
    is no mapping or belongs to no notebook, or the notebook has no such parameter (papermill would
    only warn) or does not allow its value (`erlib.runs.declared`).
    """
    if profile not in PROFILES:
        raise ValueError(f"profile is {profile!r}, allowed: {', '.join(PROFILES)}")
    overrides = overrides or {}
    words = [str(word) for word in selection]
    own = [word for word in words if _is_elsewhere(Path(word))]
    runs = [
        Run(Path(word).stem, Path(word).resolve(), profile, {}, overrides, {}, known_as=word)
        for word in own
    ]
    if len(own) < len(words) or not words:
        others = [word for word in words if word not in own]
        runs += _select(_of_the_companion(profile, overrides), others)
    by_id: dict[str, Run] = {}  # the name of the files of a run: each once
    for run in runs:
        first = by_id.setdefault(run.id, run).notebook
        if first.resolve() != run.notebook.resolve():
            raise ValueError(
                f"{first} and {run.notebook} have one name, {run.id}: run one after the other, "
                "each with its own --output"
            )
    return [_checked(run) for run in by_id.values()]


def read_parameters(file: str | Path, name: str | None = None) -> dict[str, Any]:
    """Parameters from a YAML file, a mapping of names to values; in errors it is called `name`."""
    try:
        values = from_text(Path(file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{name or file} {error}") from None
    if values is not None and not isinstance(values, dict):
        raise ValueError(f"{name or file} is no mapping of parameters to values")
    return values or {}


def _is_elsewhere(file: Path) -> bool:
    ours = file.resolve().is_relative_to(paths.NOTEBOOKS.resolve())
    return file.suffix == ".ipynb" and file.is_file() and not ours


def _of_the_companion(profile: str, overrides: dict[str, Any]) -> list[Run]:
    notebooks = {notebook.stem: notebook for notebook in find_notebooks()}
    values: dict[str, dict[str, dict]] = {stem: {} for stem in notebooks}  # by stem and id
    full = sorted((paths.NOTEBOOKS / "full").glob("*.yaml"), key=lambda file: file.stem)
    for file in full if profile == "full" else []:
        stem = file.stem.split(".")[0]
        if stem not in notebooks:
            hint = suggestion(file.stem, notebooks)
            raise ValueError(f"full/{file.name} belongs to no notebook{hint}")
        values[stem][file.stem] = read_parameters(file, f"full/{file.name}")
    return [
        Run(id, file, profile, settings, overrides, {}, place=f"notebooks/{file.name}")
        for stem, file in notebooks.items()
        for id, settings in (values[stem] or {stem: {}}).items()
    ]


def _checked(run: Run) -> Run:
    """The run with its values as the notebook will take them."""
    declared = Declared(run.notebook)
    try:
        settings, overrides = declared.values(run.settings), declared.values(run.overrides)
        declared.refuse_to_lose(settings | overrides)
    except ValueError as error:
        if str(error).startswith(run.notebook.stem):
            raise
        raise ValueError(f"{run.id}: {error}") from None
    known: dict[str, Any] = {
        "settings": settings,
        "overrides": overrides,
        "defaults": declared.defaults,
    }
    return dataclasses.replace(run, **known)


def _select(runs: list[Run], words: list[str]) -> list[Run]:
    chosen = set()
    for word in words:
        numbers = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        name = Path(word).name.removesuffix(".ipynb")  # a path completed by the shell will do
        if numbers:
            low, high = int(numbers[1]), int(numbers[2] or numbers[1])
            matches = {run.id for run in runs if low <= int(run.id[:2]) <= high}
        else:
            # A run's own name means that run alone; a notebook's that names no run, all its runs.
            matches = {run.id for run in runs if run.id == name}
            matches = matches or {run.id for run in runs if run.notebook.stem == name}
        if len(Path(word).parts) > 1:
            if Path(word).resolve().parent != paths.NOTEBOOKS.resolve():
                matches = set()  # somebody else's of this name
            if not matches and not Path(word).exists():
                raise ValueError(f"there is no file {word}")
        if not matches:
            there = ", ".join(ids := [run.id for run in runs])
            raise ValueError(f"no notebook {word!r}{suggestion(name, ids)}; there are: {there}")
        chosen |= matches
    return [run for run in runs if run.id in chosen or not words]
