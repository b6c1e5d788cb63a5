"""Results for people: one run as text, what it found or why it failed; means as a picture."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..notebook import paths
from .collect import as_text, frame_of
from .folder import Files, ends_in, read_failure, read_result, tables_in
from .plan import Run

if TYPE_CHECKING:
    import pandas as pd

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
        places = [each for runs in of_runs for each in runs.glob("*/")]
        places.sort(key=lambda folder: -folder.stat().st_mtime)
    for place in places:
        ends = {file.stem: file for file in sorted(ends_in(place))}  # of both, the result
        ids = [id for id in ends if id.startswith(name) or f"-{name}" in id]
        if name not in ids and len(ids) > 1:
            some = ", ".join(ids[:5])
            raise ValueError(f"{name!r} is the beginning of {len(ids)} runs in {place}: {some}")
        if ids:
            return ends[name if name in ids else ids[0]]
    if not places:
        there = " or ".join(dict.fromkeys(map(str, (paths.RUNS, Path("runs").resolve()))))
        raise ValueError(f"no run {name!r}: there is none in {there}; --out names a folder")
    raise ValueError(f"no run {name!r} in {', '.join(map(str, places))}")


def describe(file: Path) -> str:
    """The run of this file in some lines of text."""
    files = Files.of(file)
    if result := read_result(file):
        lines = _found(result)
    elif failure := read_failure(files.failure):
        lines = _failed(files, *failure)
    else:
        return f"{file} is not whole; run it again"
    left = [each for each in (files.notebook, files.log, *files.drawn()) if each.is_file()]
    return "\n".join([*lines, "", *map(str, left)])


def notebook_of(file: Path) -> Path:
    """The executed notebook of the run of this file; ValueError if there is none."""
    notebook = Files.of(file).notebook
    if not notebook.is_file():
        raise ValueError(f"{notebook} does not exist: the run ended before its first cell")
    return notebook


def plot(
    means: "pd.DataFrame", by: Sequence[str], value: str, file: str | Path, *, log: bool = False
) -> None:
    """Draw the mean of `value` with its 95 % interval against the first column of `by`.

    `means` are those of `erlib.runs.collect.means`. A line for each combination of the other
    columns of `by`. Written to `file` (png, pdf or svg). Raises ValueError if there is no such
    column.
    """
    import matplotlib.pyplot as plt

    from ..notebook import plots

    if f"{value} ±" not in means:
        there = ", ".join(column for column in means if f"{column} ±" in means)
        raise ValueError(f"no column of numbers {value!r}; there are: {there}")
    means = means.assign(**{name: means[name].map(_drawable) for name in by})
    x, *others = by
    plots.use_style()
    figure, axes = plt.subplots(figsize=(5.6, 3.6))
    for names, line in means.groupby(others, sort=False) if others else [((), means)]:
        axes.errorbar(
            line[x].tolist(),
            line[value].astype(float),
            yerr=line[f"{value} ±"].astype(float).fillna(0),
            label=", ".join(map(str, names)) or None,
            capsize=2,
            marker="o",
        )
    axes.set(xlabel=x, ylabel=value)
    places = list(dict.fromkeys(means[x]))
    if log:
        axes.set_xscale("log")
    if len(places) <= 10:  # as they were typed, not powers of ten
        axes.set_xticks(places, [f"{place:g}" if log else str(place) for place in places])
        axes.minorticks_off()
    if others:
        axes.legend(title=", ".join(others))
    figure.savefig(file, metadata={"Software": None} if str(file).endswith("png") else None)
    plt.close(figure)


def _found(result: dict) -> list[str]:
    there, threads = result["environment"], result["threads"]
    changes = " with local changes" if there["git_dirty"] else ""
    tables = {name: rows for name, rows in tables_in(result).items() if rows}
    lines = [
        f"{result['id']}: ok, {result['seconds']:.1f} s, {result['started']}",
        f"  {result['command']}",
        f"  {there['cpu']}, {there['torch_threads'] or threads or '?'} threads, "
        f"torch {there['packages']['torch']}, commit {there['git_commit']}{changes}",
        *_values("parameters", result["parameters"]),
        *_values("recorded", {k: v for k, v in result["recorded"].items() if k not in tables}, 90),
    ]
    for name, rows in tables.items():
        lines += ["", f"{name}, {len(rows)} rows", as_text(frame_of(rows[:LINES]))]
        if len(rows) > LINES:
            lines.append(f"... and {len(rows) - LINES} more")
    return lines


def _failed(files: Files, run: Run, failure: dict) -> list[str]:
    lines = [
        f"{run.id}: FAILED, {failure['seconds']:.1f} s",
        f"  {run.command}",
        "",
        *(f"  {line}" for line in failure["why"].splitlines()),
        *_values("parameters", run.parameters),
    ]
    log = files.log.read_text("utf-8", "replace").splitlines() if files.log.is_file() else []
    if said := [line for line in log if not line.startswith("---")]:  # not only when it began
        lines += ["", f"end of {files.log.name}", *(f"  {line}" for line in said[-LINES:])]
    return lines


def _values(title: str, values: dict, width: int | None = None) -> list[str]:
    lines = ["", title]
    for name, value in values.items():
        text = json.dumps(value)
        text = f"{text[: width - 4]} ..." if width and len(text) > width else text
        lines.append(f"  {name} = {text}")
    return lines


def _drawable(cell: object) -> object:
    """A number, or text: of names of files what is none can be written, but not drawn."""
    if isinstance(cell, (int, float)):
        return cell
    return str(cell).encode("utf-8", "backslashreplace").decode("utf-8")
