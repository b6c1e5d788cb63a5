"""The results of a folder of runs as one tidy table, and that table as means over seeds.

A row is a run, or with ``table`` a row of that recorded table of a run. Columns are the parameters
that differ between the runs, what was recorded, the seconds, and the versions.
"""

import csv
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, TextIO

from ..notebook.parameters import from_typed, suggestion
from ..notebook.tables import markdown, mean_interval
from .folder import read_result
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
    folder = Path(folder)
    results: list[dict] = []
    others: Counter[str] = Counter()
    same: dict[str, Any] = {}
    others["failed"] = sum(1 for _ in folder.glob("*.failed"))
    for file in sorted(folder.glob("*.json")):
        result = read_result(file)
        if result is None:
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
    return sorted(results, key=_by_parameters), +others


class Nested(str):
    """A list or dict as text, for a table; `value` is itself."""

    value: list | dict

    def __new__(cls, value: list | dict) -> "Nested":
        text = super().__new__(cls, value)
        text.value = value
        return text


def tables_in(results: list[dict]) -> dict[str, int]:
    """Names of the recorded tables, with the most rows that a run has.

    A table is a list of dicts; in some of the runs it may be empty.
    """
    found: dict[str, int] = {}
    for result in results:
        for name, value in result["recorded"].items():
            if _is_table(value) and value:
                found[name] = max(len(value), found.get(name, 0))
    return found


def length_of(results: list[dict], table: str) -> str:
    """How many rows a table has in a run: ``2``, or ``up to 2``."""
    most = tables_in(results)[table]
    alike = all(tables_in([result]).get(table) == most for result in results)
    return f"{most}" if alike else f"up to {most}"


def with_table(results: list[dict], table: str) -> list[dict]:
    """Those of the results that recorded this table, be it an empty one.

    Raises ValueError if none did, or no run has a row in it.
    """
    found = [result for result in results if _is_table(result["recorded"].get(table))]
    known = tables_in(results)
    if table not in known:
        if found:
            raise ValueError(f"table {table!r} has no row in any run")
        has = f"there are: {', '.join(known)}" if known else "no run recorded one"
        raise ValueError(f"there is no table {table!r}{suggestion(table, known)}; {has}")
    return found


def rows_of(results: list[dict], *, table: str | None = None) -> list[dict]:
    """The tidy rows of `results`: a list of flat dicts with the same keys.

    Of a `table`, those of the runs that recorded it; ValueError if there are none (`with_table`).
    """
    names = varying(results)
    rows = []
    for result in results if table is None else with_table(results, table):
        where = {name: _flat(result["parameters"].get(name)) for name in names}
        origin = {
            "id": result["id"],
            "seconds": result["seconds"],
            "threads": result["threads"],
            "erlib": result["environment"]["erlib"],
            "torch": result["environment"]["packages"]["torch"],
            "code": _code(result),
            "cpu": result["environment"]["cpu"],
        }
        for found in _found(result, table):
            # What a row says of itself is more exact than the parameters of its run.
            rows.append(where | found | {k: v for k, v in origin.items() if k not in found})
    columns = dict.fromkeys(column for row in rows for column in row)
    last = [column for column in ORIGIN if column in columns]
    order = [column for column in columns if column not in last] + last
    return [{column: row.get(column) for column in order} for row in rows]


def select(rows: list[dict], name: str, words: Sequence[str]) -> list[dict]:
    """The rows with one of these values in that column, as they are typed after ``--where``.

    A word stands for what it does after ``-p`` or ``--grid``, so that 1 is neither true nor "1"; if
    no row has that, for the text that it is. Raises ValueError if there is none.
    """
    _check_columns(rows, [name])
    chosen: set[int] = set()
    for word in words:
        there = [at for at, row in enumerate(rows) if _is_one_of(row[name], _meant(word))]
        text = from_typed(word, as_text=True)
        chosen |= {*there} or {at for at, row in enumerate(rows) if _alike(row[name], text)}
    if not chosen:
        values = ", ".join(dict.fromkeys(str(row[name]) for row in rows))
        raise ValueError(f"no row has {name} {' or '.join(words)}; there are: {values}")
    return [rows[at] for at in sorted(chosen)]


def means(rows: list[dict], by: Sequence[str], parameters: Iterable[str] = ()) -> list[dict]:
    """Mean, half of its 95 % interval and number of seeds, over all rows with the same `by`.

    Rows of the same seed count as one, their mean: they are no repetitions. Without a column of
    seeds each row counts. A dict a group: the columns `by`, ``n`` (``count`` if ``n`` is one of
    these), and for each column of numbers that is neither of these nor one of the `parameters`, its
    mean under its name and the half of its interval under ``<name> ±`` (None for n = 1). Raises
    ValueError if there is no such column.
    """
    _check_columns(rows, by)
    seed = next((name for name in SEEDS if name in rows[0] and name not in by), None)
    groups: dict[tuple, dict[Any, list[dict]]] = {}
    for number, row in enumerate(rows):
        # 1 and true would be one key
        key = tuple((isinstance(row[name], bool), row[name]) for name in by)
        by_seed = groups.setdefault(key, {})
        by_seed.setdefault(row[seed] if seed else number, []).append(row)
    set_or_origin = {*by, *SEEDS, *parameters, *ORIGIN[2:]}
    measured = [name for name in rows[0] if name not in set_or_origin]
    found = []
    for key, by_seed in groups.items():
        line = {name: value for name, (_, value) in zip(by, key)}
        line["count" if "n" in by else "n"] = len(by_seed)
        for name in measured:
            values = [[row[name] for row in rows] for rows in by_seed.values()]
            if all(_is_number(value) for of_seed in values for value in of_seed):
                line[name], line[f"{name} ±"] = mean_interval(map(fmean, values))
        found.append(line)
    for name in reversed(by):
        if all(_is_number(line[name]) for line in found):
            found.sort(key=lambda line: line[name])
    return found


def in_whole_characters(rows: list[dict]) -> list[dict]:
    """The rows with what is no text, in names of files, as it can be drawn."""
    return [
        {
            name: value.encode("utf-8", "backslashreplace").decode("utf-8")
            if isinstance(value, str)
            else value
            for name, value in row.items()
        }
        for row in rows
    ]


def as_csv(rows: list[dict], to: TextIO | None = None) -> None:
    """Write rows as CSV, to standard output unless given."""
    columns = dict.fromkeys(column for row in rows for column in row)
    writer = csv.DictWriter(to or sys.stdout, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def as_text(rows: list[dict]) -> str:
    """The rows as a Markdown table; a mean and its interval share a cell."""
    columns = [c for c in dict.fromkeys(c for row in rows for c in row) if not c.endswith(" ±")]
    lines = [[_cell(row.get(c), row.get(f"{c} ±")) for c in columns] for row in rows]
    return markdown(columns, lines)


def _check_columns(rows: list[dict], names: Iterable[str]) -> None:
    columns = list(rows[0])
    for name in names:
        if name not in columns:
            has = ", ".join(columns)
            raise ValueError(f"no column {name!r}{suggestion(name, columns)}; there are: {has}")


def _found(result: dict, table: str | None) -> list[dict]:
    if table is None:
        plain = result["recorded"].items()
        return [{k: v for k, v in plain if not isinstance(v, (list, dict))}]
    return [{k: _flat(v) for k, v in row.items()} for row in result["recorded"][table]]


def varying(results: list[dict]) -> list[str]:
    """Parameters with more than one value among the results."""
    names = dict.fromkeys(name for result in results for name in result["parameters"])
    return [
        name
        for name in names
        if len({repr(result["parameters"].get(name)) for result in results}) > 1
    ]


def _by_parameters(result: dict) -> tuple:
    """Numbers in their order, all else by its text."""
    values = (_flat(value) for value in result["parameters"].values())
    key = [(0, v, "") if _is_number(v) else (1, 0, str(v)) for v in values]
    return result["notebook"], key, result["id"]


def _flat(value: Any) -> Any:
    """A list of one as its item; other lists and dicts as text."""
    if isinstance(value, list) and len(value) == 1:
        return _flat(value[0])
    return Nested(value) if isinstance(value, (list, dict)) else value


def _is_table(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


def _meant(word: str) -> list | range:
    """The values that a word names: none if it can only be text."""
    try:
        return counted(word)
    except ValueError:
        return []


def _is_one_of(cell: Any, values: list | range) -> bool:
    if isinstance(values, range):
        return _is_number(cell) and cell in values
    return any(_alike(cell, _flat(value)) for value in values)


def _alike(a: Any, b: Any) -> bool:
    """Equal, where true is not 1 and a list is not its text."""
    if isinstance(a, Nested) and isinstance(b, Nested):
        return _alike(a.value, b.value)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    kinds = [(isinstance(each, Nested), isinstance(each, bool)) for each in (a, b)]
    return kinds[0] == kinds[1] and a == b


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _differing(results: list[dict]) -> list[str]:
    """Notebooks and modules of erlib that are not the same in all results that used them."""
    states: dict[str, Any] = {}
    differing: dict[str, bool] = {}
    for result in results:
        code = {result["notebook"]: result["notebook_sha256"], **(result["code"] or {})}
        if place := result.get("place"):  # of the same name and content, with other data beside it
            code[f"place of {result['notebook']}"] = place
        for name, state in code.items():
            if states.setdefault(name, state) != state:
                differing[name] = True
    return list(differing)


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
