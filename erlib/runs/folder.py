"""The folder of a batch: the names of the files in it, how a run is written and read back.

Published results, of which only the JSON and the tables are kept, have the same names.
"""

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..notebook import paths
from ..notebook.code_state import changed
from ..notebook.record import write_atomically, write_json
from .notebooks import source_hash
from .plan import Run, Settings

DONE, MISSING, FAILED = "done", "missing", "failed"
ANOTHER = "another notebook"
NUMBERED = "[0-9][0-9]_*"


def _named(pattern: str) -> property:
    return property(lambda self: self.folder / pattern.format(self.id))


@dataclass(frozen=True)
class Files:
    """All that a run leaves in a folder."""

    folder: Path
    id: str

    result = _named("{}.json")  #: exists when the run is done, and says what it found
    failure = _named("{}.failed")  #: exists when its last attempt failed, and says why
    log = _named("{}.log")  #: all that it printed
    notebook = _named("{}.ipynb")  #: the executed one
    figures = _named("figures/{}")  #: a folder: two runs of a notebook draw the same names
    kept = _named("{}.kept")  #: a folder of finished pieces, until it is done
    lock = _named(".locks/{}")

    @classmethod
    def of(cls, file: Path) -> "Files":
        """Those beside a result or failure."""
        return cls(file.parent, file.stem)

    def table(self, name: str) -> Path:
        """A published table."""
        return self.folder / f"{self.id}.{name}.csv"

    def pieces(self, place: str) -> Path:
        """The kept pieces of this notebook, and of no other of its name."""
        return self.kept / hashlib.sha256(place.encode("utf-8", "surrogatepass")).hexdigest()[:8]

    def channel(self) -> Path:
        """What this attempt records.

        A name for each, so that the kernel of a process that was killed cannot write into it.
        """
        return self.folder / f"{self.id}.partial.{os.getpid()}.jsonl"

    def drawn(self) -> list[Path]:
        """Its figures."""
        return sorted(self.figures.glob("*.png"))

    def clear(self, *, kept: bool) -> None:
        """Remove what an earlier attempt left; if `kept`, finished pieces too."""
        self.failure.unlink(missing_ok=True)
        # From here on an older result would no longer belong to the notebook beside it.
        self.result.unlink(missing_ok=True)
        for left in self.folder.glob(f"{glob.escape(self.id)}.partial.*.jsonl"):
            left.unlink(missing_ok=True)
        for folder in [self.figures, self.kept][: 1 + kept]:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Order:
    """A run to be done: all that a worker has to know."""

    run: Run
    folder: Path
    how: Settings
    wait: bool = False  #: for another batch that is at it

    @property
    def files(self) -> Files:
        return Files(self.folder, self.run.id)

    @property
    def place(self) -> str:
        return place_of(self.run, self.folder)

    def as_line(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), default=str) + "\n"

    @classmethod
    def from_line(cls, line: str) -> "Order":
        plain = json.loads(line)
        how = Settings(**plain["how"])
        return cls(_run(plain["run"]), Path(plain["folder"]), how, plain["wait"])

    def write_failure(self, end: dict) -> None:
        run = asdict(self.run) | {"notebook": str(self.run.notebook)}
        write_json(self.files.failure, {"run": run, "place": self.place, **end})

    def write_result(self, **found: object) -> None:
        run, how = self.run, self.how
        threads = f" --threads {how.threads}" if how.threads else ""
        said = {
            "id": run.id,
            "notebook": run.notebook.name,
            "place": self.place,
            "profile": run.profile,
            "parameters": run.parameters,
            "command": run.command + threads + ("" if how.verdicts else " --no-verdicts"),
            "threads": how.threads,
        }
        write_json(self.files.result, said | found)


def _run(plain: dict) -> Run:
    return Run(**plain | {"notebook": Path(plain["notebook"])})


def read_result(file: Path) -> dict | None:
    """The content of a result, or None if there is none or it is not whole."""
    result = _read(file)
    return result if {"parameters", "notebook_sha256", "recorded"} <= result.keys() else None


def read_failure(file: Path) -> tuple[Run, dict] | None:
    """The run that failed and how it ended, or None if there is none or it is not whole."""
    failure = _read(file)
    return (_run(failure["run"]), failure) if failure else None


def tables_in(result: dict) -> dict[str, list[dict]]:
    """The recorded tables: lists of flat dicts, a dict a row. One may have no row in this run."""
    return {name: value for name, value in result["recorded"].items() if _is_table(value)}


def numbered(folder: Path) -> list[Path]:
    """The results of numbered notebooks in a folder, in their order."""
    return sorted(folder.glob(f"{NUMBERED}.json"), key=lambda file: file.stem)


def not_finished(folder: Path) -> list[str]:
    """The ids of runs that left a notebook, but no result."""
    began = (Files.of(file) for file in sorted(folder.glob("*.ipynb")))
    return [files.id for files in began if not files.result.is_file()]


def try_to_write(folder: Path) -> None:
    """Raise OSError if no file can be written into the folder."""
    probe = folder / ".writable"
    write_atomically(probe, "")
    probe.unlink(missing_ok=True)  # another batch may have looked, too


def runs_with_table(notebook: str, table: str, folder: Path) -> list[Files]:
    """The published runs of a notebook that have this table, the notebook's own name first."""
    found = folder.glob(f"{notebook}*.{table}.csv")
    ids = sorted((file.name.removesuffix(f".{table}.csv") for file in found), key=len)
    return [Files(folder, id) for id in ids]


def runs_folder(runs: Sequence[Run]) -> Path:
    """Where batches go that name no folder: beside a notebook of one's own is not our place."""
    return paths.RUNS if all(run.place for run in runs) else Path.cwd() / "runs"


def place_of(run: Run, folder: Path) -> str:
    """Which notebook it is: its path in the companion, or as seen from the folder of its results.

    So that the folder can move with the notebook, and the result can be shown to others.
    """
    if run.place:
        return run.place
    path = Path(os.path.relpath(run.notebook.resolve(), folder.resolve())).as_posix()
    return path if path.startswith("..") else f"./{path}"


def ends_in(folder: Path, beginning: str = "") -> Iterator[Path]:
    """The results and failures in a folder, of the ids that begin like this."""
    for name in os.listdir(folder) if folder.is_dir() else []:
        if name.startswith(beginning) and name.endswith((".json", ".failed")):
            yield folder / name


def another_in(folder: Path, run: Run) -> str | None:
    """The path of another notebook of this name that has a result or failure in the folder."""
    stem = run.notebook.stem
    for file in ends_in(folder, stem):
        another = _another(_read(file), run, folder)
        if another and Path(another).stem == stem:
            return another
    return None


def states_in(folder: Path, runs: Sequence[Run]) -> dict[str, str]:
    """`state` of each run, by id. A run that left no file is not looked for."""
    present = {file.stem for file in ends_in(folder)}
    hashes = {notebook: source_hash(notebook) for notebook in {run.notebook for run in runs}}
    return {
        run.id: state(run, folder, hashes[run.notebook]) if run.id in present else MISSING
        for run in runs
    }


def state(run: Run, folder: Path, notebook_hash: str | None = None) -> str:
    """DONE, MISSING, FAILED, or what makes the result that is there another one.

    A result is that of this run if notebook, parameters and the modules of erlib that computed it
    are the present ones; one that cannot be read, a file cut short, counts as missing. Two
    notebooks of one name and content are two.
    """
    files = Files(folder, run.id)
    result = read_result(files.result)
    if another := _another(result or _read(files.failure), run, folder):
        return f"{ANOTHER}, {another}"
    if result is None:
        return FAILED if files.failure.is_file() else MISSING
    then, now = result["parameters"], run.parameters
    if result["notebook_sha256"] != (notebook_hash or source_hash(run.notebook)):
        return "an earlier state of the notebook"
    names = [name for name in then | now if _text(then, name) != _text(now, name)]
    if names:
        return f"other values of {', '.join(names)}"
    if different := changed(result.get("code", {})):
        return f"an earlier state of erlib ({', '.join(different)})"
    return DONE


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


def _is_table(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, dict) and not any(isinstance(cell, (list, dict)) for cell in row.values())
        for row in value
    )


def _text(values: dict, name: str) -> str | None:
    """JSON, in which 1 is not true."""
    return json.dumps(values[name], sort_keys=True) if name in values else None
