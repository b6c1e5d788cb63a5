"""One run of a batch, for people: what it was, what it found, or why it failed."""

import glob
import json
from collections.abc import Iterable
from pathlib import Path

from ..notebook import paths
from .collect import as_text, tables_in
from .folder import read_result
from .plan import Run

LINES = 12  # of a table, of a log


def find(name: str, folders: Iterable[str | Path] | None = None) -> Path:
    """The file of the run called `name`, an id, the beginning of one or of its hash, or a file.

    Looked for in `folders`, or in all of ``runs/`` here and in the companion, newest first. Raises
    ValueError if there is none or more than one.
    """
    if Path(name).suffix == ".json" and Path(name).is_file():
        return Path(name)
    places = [Path(folder) for folder in folders or ()]
    if not folders:
        of_runs = {path.resolve() for path in (paths.RUNS, Path("runs"))}
        places = sorted((each for runs in of_runs for each in runs.glob("*/")), key=_age)
    for place in places:
        files = [
            file
            for ending in (".json", ".failed")
            for beginning in ("", "*-")
            for file in place.glob(f"{beginning}{glob.escape(name)}*{ending}")
        ]
        exact = [file for file in files if _id(file) == name]
        found = exact or sorted({_id(file): file for file in sorted(files)}.values())
        if len(found) > 1:
            some = ", ".join(_id(file) for file in found[:5])
            raise ValueError(f"{name!r} is the beginning of {len(found)} runs in {place}: {some}")
        if found:
            return found[0]
    if not places:
        there = " or ".join(dict.fromkeys(map(str, (paths.RUNS, Path("runs").resolve()))))
        raise ValueError(f"no run {name!r}: there is none in {there}; --out names a folder")
    raise ValueError(f"no run {name!r} in {', '.join(map(str, places))}")


def describe(file: Path) -> str:
    """The run of this file in some lines of text."""
    result = read_result(file)
    if result is None:
        return _describe_failure(file)
    environment = result["environment"]
    lines = [
        f"{result['id']}: ok, {result['seconds']:.1f} s, {result['started']}",
        f"  {result['command']}",
        f"  {environment['cpu']}, {environment['torch_threads'] or result['threads'] or '?'} "
        "threads, "
        f"torch {environment['packages']['torch']}, commit {environment['git_commit']}"
        + (" with local changes" if environment["git_dirty"] else ""),
        "",
        "parameters",
        *(f"  {name} = {json.dumps(value)}" for name, value in result["parameters"].items()),
        "",
        "recorded",
    ]
    tables = tables_in([result])
    for name, value in result["recorded"].items():
        if name not in tables:
            lines.append(f"  {name} = {_shortened(json.dumps(value))}")
    for name, length in tables.items():
        rows = result["recorded"][name]
        lines += ["", f"{name}, {length} rows", as_text(rows[:LINES])]
        if length > LINES:
            lines.append(f"... and {length - LINES} more")
    lines += ["", *_files(file, result["id"])]
    return "\n".join(lines)


def notebook_of(file: Path) -> Path:
    """The executed notebook of the run of this file; ValueError if there is none."""
    notebook = file.with_name(f"{_id(file)}.ipynb")
    if not notebook.is_file():
        raise ValueError(f"{notebook} does not exist: the run ended before its first cell")
    return notebook


def _describe_failure(file: Path) -> str:
    try:
        failure = json.loads(file.with_name(f"{_id(file)}.failed").read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return f"{file} is not whole; run it again"
    run = Run(**{**failure["run"], "notebook": Path(failure["run"]["notebook"])})
    lines = [
        f"{run.id}: FAILED, {failure['seconds']:.1f} s",
        f"  {run.command}",
        "",
        *(f"  {line}" for line in failure["why"].splitlines()),
        "",
        "parameters",
        *(f"  {name} = {json.dumps(value)}" for name, value in run.parameters.items()),
        "",
    ]
    log = file.with_name(f"{run.id}.log")
    if log.is_file():
        text = log.read_text(encoding="utf-8", errors="replace").splitlines()
        said = [line for line in text if not line.startswith("---")]  # not only when it began
        if said:
            lines += [f"end of {log.name}", *(f"  {line}" for line in said[-LINES:]), ""]
    return "\n".join([*lines, *_files(file, _id(file))])


def _files(file: Path, id: str) -> list[str]:
    figures = sorted((file.parent / "figures" / id).glob("*.png"))
    there = [file.with_name(f"{id}.ipynb"), file.with_name(f"{id}.log"), *figures]
    return [str(each) for each in there if each.is_file()]


def _id(file: Path) -> str:
    return file.stem


def _age(folder: Path) -> float:
    return -folder.stat().st_mtime


def _shortened(text: str, width: int = 90) -> str:
    return text if len(text) <= width else text[: width - 4] + " ..."
