"""The results of a folder of runs as one tidy table, and that table as means over seeds.

A row is a run, or with ``table`` a row of that recorded table of a run. Columns are the parameters
that differ between the runs, what was recorded, the seconds, and the versions. In a cell is what
was recorded, so that 1 is not true and a list not its text.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from ..notebook.parameters import from_typed, suggestion
from ..notebook.tables import markdown, mean_interval
from .folder import Files, ends_in, read_result, tables_in
from .sweep import counted

#: Columns that say where a row is from, not what was found.
ORIGIN = ("id", "seconds", "threads", "erlib", "torch", "code", "cpu")
SEEDS = ("seed", "seeds")


def read_runs(folder: str | Path, *, mixed: bool = False) -> tuple[list[dict], Counter]:
    """The finished results in a folder, in the order of their parameters, and what is unfinished.

    Returns (list of results, Counter of what else is there: ``failed`` runs and ``not whole``
    files). Raises ValueError if there is no result, or if they are of different states of a
    notebook or of erlib, unless ``mixed``: then the column ``code`` tells them apart.
    """
    results: list[dict] = []
    others: Counter[str] = Counter()
    same: dict[str, Any] = {}
    for file in sorted(ends_in(Path(folder))):
        if file == Files.of(file).failure:
            others["failed"] += 1
        elif (result := read_result(file)) is None:
            others["not whole"] += 1
        else:
            for part in ("environment", "code"):  # alike in thousands of results: kept once
                result[part] = same.setdefault(repr(result.get(part)), result.get(part))
            results.append(result)
    if not results:
        raise ValueError(f"{folder} holds no finished run")
    if not mixed and (differs := _differing(results)):
        raise ValueError(
            f"{folder} holds results of different code (they differ in {', '.join(differs)}): run "
            "the sweep again, which renews what is older, or take them together with --mixed"
        )
    return sorted(results, key=_by_parameters), others


def lengths(results: list[dict]) -> dict[str, str]:
    """Names of the recorded tables, and how many rows a run has of each: ``2``, or ``up to 2``."""
    found = pd.DataFrame([{k: len(v) for k, v in tables_in(each).items()} for each in results])
    found = found.fillna(0).astype(int)
    return {
        name: f"{'' if column.nunique() == 1 else 'up to '}{column.max()}"
        for name, column in found.items()
        if column.max()
    }


def with_table(results: list[dict], table: str) -> list[dict]:
    """Those of the results that recorded this table, be it an empty one.

    Raises ValueError if none did, or no run has a row in it.
    """
    found = [result for result in results if table in tables_in(result)]
    known = lengths(results)
    if table not in known:
        if found:
            raise ValueError(f"table {table!r} has no row in any run")
        has = f"there are: {', '.join(known)}" if known else "no run recorded one"
        raise ValueError(f"there is no table {table!r}{suggestion(table, known)}; {has}")
    return found


def rows_of(results: list[dict], *, table: str | None = None) -> pd.DataFrame:
    """The tidy rows of `results`.

    Of a `table`, those of the runs that recorded it; ValueError if there are none (`with_table`).
    """
    names = varying(results)
    rows = []
    for result in results if table is None else with_table(results, table):
        where = {name: _single(result["parameters"].get(name)) for name in names}
        made = result["environment"]
        versions = made["erlib"], made["packages"]["torch"], _code(result), made["cpu"]
        origin = (result["id"], result["seconds"], result["threads"], *versions)
        found = [{k: v for k, v in result["recorded"].items() if not isinstance(v, (list, dict))}]
        # What a row says of itself is more exact than the parameters of its run.
        for row in found if table is None else tables_in(result)[table]:
            rows.append(where | dict(zip(ORIGIN, origin)) | row)
    frame = frame_of(rows)
    return frame[[*frame.columns.drop(list(ORIGIN)), *ORIGIN]]


def frame_of(rows: list[dict]) -> pd.DataFrame:
    """Rows as a table whose cells are what they were; None where a row has nothing."""
    frame = pd.DataFrame(rows, dtype=object)
    return frame.where(frame.notna(), None)


def select(rows: pd.DataFrame, name: str, words: Sequence[str]) -> pd.DataFrame:
    """The rows with one of these values in that column, as they are typed after ``--where``.

    A word stands for what it does after ``-p`` or ``--grid``, so that 1 is neither true nor "1"; if
    no row has that, for the text that it is. Raises ValueError if there is none.
    """
    _check_columns(rows, [name])
    chosen = pd.Series(False, index=rows.index)
    for word in words:
        try:
            meant = _among(rows[name], counted(word))
        except ValueError:  # it can only be text
            meant = _among(rows[name], [])
        chosen |= meant if meant.any() else _among(rows[name], [from_typed(word, as_text=True)])
    if not chosen.any():
        values = ", ".join(rows[name].map(str).unique())
        raise ValueError(f"no row has {name} {' or '.join(words)}; there are: {values}")
    return rows[chosen]


def means(rows: pd.DataFrame, by: Sequence[str], parameters: Iterable[str] = ()) -> pd.DataFrame:
    """Mean, half of its 95 % interval and number of seeds, over all rows with the same `by`.

    Rows of the same seed count as one, their mean: they are no repetitions. A row a group: the
    columns `by`, ``n`` (``count`` if ``n`` is one of these), and for each other column of numbers
    that is none of the `parameters`, its mean and, under ``<name> ±``, the half of its interval
    (None for n = 1). Raises ValueError if there is no such column.
    """
    _check_columns(rows, by)
    rows = rows.reset_index(drop=True)
    seed = next((name for name in SEEDS if name in rows and name not in by), None)
    repeats = rows[seed].map(_key) if seed else rows.index.to_series()
    measured = rows.columns.drop([*by, *SEEDS, *parameters, *ORIGIN[2:]], errors="ignore")
    lines = []
    for _, group in rows.groupby([rows[name].map(_key) for name in by], sort=False):
        of_seed = repeats[group.index]
        line = {name: group[name].iloc[0] for name in by}
        line["count" if "n" in by else "n"] = of_seed.nunique()
        for name in measured:
            if group[name].map(_is_number).all():
                values = group[name].groupby(of_seed, sort=False).agg(fmean)
                line[name], line[f"{name} ±"] = mean_interval(values)
        lines.append(line)
    found = frame_of(lines)
    numbers = [name for name in by if found[name].map(_is_number).all()]
    return found.sort_values(numbers, kind="stable") if numbers else found


def varying(results: list[dict]) -> list[str]:
    """Parameters with more than one value among the results."""
    values = frame_of([result["parameters"] for result in results]).map(repr)
    return [*values.columns[values.nunique() > 1]]


def as_csv(rows: pd.DataFrame) -> str:
    return rows.to_csv(index=False, lineterminator="\n")


def as_text(rows: pd.DataFrame) -> str:
    """The rows as a Markdown table; a mean and its interval share a cell."""
    columns = [column for column in rows if not column.endswith(" ±")]
    lines = [[_cell(row[c], row.get(f"{c} ±")) for c in columns] for row in rows.to_dict("records")]
    return markdown(columns, lines)


def _check_columns(rows: pd.DataFrame, names: Iterable[str]) -> None:
    for name in names:
        if name not in rows:
            has = ", ".join(rows)
            raise ValueError(f"no column {name!r}{suggestion(name, rows)}; there are: {has}")


def _by_parameters(result: dict) -> tuple:
    """Numbers in their order, all else by its text."""
    values = (_single(value) for value in result["parameters"].values())
    key = [(0, v, "") if _is_number(v) else (1, 0, str(v)) for v in values]
    return result["notebook"], key, result["id"]


def _single(value: Any) -> Any:
    """A list of one as its item."""
    return _single(value[0]) if isinstance(value, list) and len(value) == 1 else value


def _key(value: Any) -> Hashable:
    """Equal for what is alike: 1 and 1.0, but not true, nor a list and its text."""
    if isinstance(value, dict):
        return "dict", frozenset((name, _key(item)) for name, item in value.items())
    if isinstance(value, list):
        return "list", tuple(map(_key, value))
    return isinstance(value, bool), value


def _among(cells: pd.Series, values: list | range) -> pd.Series:
    """Which of the cells are one of the values."""
    if isinstance(values, range):
        return cells.map(lambda cell: _is_number(cell) and cell in values)
    return cells.map(_key).isin([_key(_single(value)) for value in values])


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _differing(results: list[dict]) -> list[str]:
    """Notebooks and modules of erlib that are not the same in all results that used them."""
    states = pd.DataFrame(
        {
            each["notebook"]: each["notebook_sha256"],
            # Of the same name and content, with other data beside it.
            f"place of {each['notebook']}": each.get("place"),
            **(each["code"] or {}),
        }
        for each in results
    )
    return [*states.columns[states.nunique() > 1]]


def _code(result: dict) -> str:
    """A short name for the code that gave the result."""
    text = json.dumps([result["notebook_sha256"], result["code"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _cell(value: Any, half: float | None = None) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.5g}" if half is None else f"{value:.5g} ± {half:.2g}"
