"""The results of a folder of runs as one tidy table, and that table as means over seeds.

A row is a run, or with ``table`` a row of that recorded table of a run. Columns are the parameters
that differ between the runs, what was recorded, the seconds, and the versions.
"""

import csv
import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from statistics import fmean

from .intervals import mean_interval
from .parameters import suggestion
from .run_folder import read_result
from .tables import markdown

#: Columns that say where a row is from, not what was found.
ORIGIN = ("id", "seconds", "threads", "erlib", "torch", "code", "cpu")
SEEDS = ("seed", "seeds")


def read_runs(folder, *, mixed=False):
    """The finished results in a folder, in the order of their parameters, and what is unfinished.

    Returns (list of results, Counter of what else is there: ``failed`` runs and ``not whole``
    files). Raises ValueError if there is no result, or if they are of different states of a
    notebook or of erlib, unless ``mixed``: then the column ``code`` tells them apart.
    """
    folder = Path(folder)
    results, others, same = [], Counter(), {}
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


def tables_in(results):
    """Names of the recorded tables, with the rows that the first run has."""
    return {
        name: len(value)
        for name, value in results[0]["recorded"].items()
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value)
    }


def rows_of(results, *, table=None):
    """The tidy rows of `results`: a list of flat dicts with the same keys.

    Raises ValueError if a run did not record the `table`.
    """
    names = varying(results)
    rows = []
    for result in results:
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


def select(rows, name, values):
    """The rows with one of the `values` in that column; ValueError if there is none."""
    _check_columns(rows, [name])
    found = [row for row in rows if row[name] in values]
    if not found:
        there = ", ".join(map(str, dict.fromkeys(row[name] for row in rows)))
        raise ValueError(f"no row has {name} {' or '.join(map(str, values))}; there are: {there}")
    return found


def means(rows, by, parameters=()):
    """Mean, half of its 95 % interval and number of seeds, over all rows with the same `by`.

    Rows of the same seed count as one, their mean: they are no repetitions. Without a column of
    seeds each row counts. A dict a group: the columns `by`, ``n``, and for each column of numbers
    that is neither of these nor one of the `parameters`, its mean under its name and the half of
    its interval under ``<name> ±`` (None for n = 1). Raises ValueError if there is no such column.
    """
    _check_columns(rows, by)
    seed = next((name for name in SEEDS if name in rows[0] and name not in by), None)
    groups = {}
    for number, row in enumerate(rows):
        by_seed = groups.setdefault(tuple(row[name] for name in by), {})
        by_seed.setdefault(row[seed] if seed else number, []).append(row)
    set_or_origin = {*by, *SEEDS, *parameters, *ORIGIN[2:]}
    measured = [name for name in rows[0] if name not in set_or_origin]
    found = []
    for key, by_seed in groups.items():
        line = dict(zip(by, key)) | {"n": len(by_seed)}
        for name in measured:
            values = [[row[name] for row in rows] for rows in by_seed.values()]
            if all(_is_number(value) for of_seed in values for value in of_seed):
                line[name], line[f"{name} ±"] = mean_interval(map(fmean, values))
        found.append(line)
    for name in reversed(by):
        if all(_is_number(line[name]) for line in found):
            found.sort(key=lambda line: line[name])
    return found


def as_csv(rows, to=None):
    """Write rows as CSV, to standard output unless given."""
    columns = dict.fromkeys(column for row in rows for column in row)
    writer = csv.DictWriter(to or sys.stdout, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def as_text(rows):
    """The rows as a Markdown table; a mean and its interval share a cell."""
    columns = [c for c in dict.fromkeys(c for row in rows for c in row) if not c.endswith(" ±")]
    lines = [[_cell(row.get(c), row.get(f"{c} ±")) for c in columns] for row in rows]
    return markdown(columns, lines)


def _check_columns(rows, names):
    columns = list(rows[0])
    for name in names:
        if name not in columns:
            has = ", ".join(columns)
            raise ValueError(f"no column {name!r}{suggestion(name, columns)}; there are: {has}")


def _found(result, table):
    if table is None:
        plain = result["recorded"].items()
        return [{k: v for k, v in plain if not isinstance(v, (list, dict))}]
    if table not in tables_in([result]):
        known = tables_in([result])
        has = f"there are: {', '.join(known)}" if known else "there is none"
        raise ValueError(f"{result['id']} has no table {table!r}{suggestion(table, known)}; {has}")
    return [{k: _flat(v) for k, v in row.items()} for row in result["recorded"][table]]


def varying(results):
    """Parameters with more than one value among the results."""
    names = dict.fromkeys(name for result in results for name in result["parameters"])
    return [
        name
        for name in names
        if len({repr(result["parameters"].get(name)) for result in results}) > 1
    ]


def _by_parameters(result):
    """Numbers in their order, all else by its text."""
    values = (_flat(value) for value in result["parameters"].values())
    key = [(0, v, "") if _is_number(v) else (1, 0, str(v)) for v in values]
    return result["notebook"], key, result["id"]


def _flat(value):
    """A list of one as its item; other lists and dicts as text."""
    if isinstance(value, list) and len(value) == 1:
        return _flat(value[0])
    return str(value) if isinstance(value, (list, dict)) else value


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _differing(results):
    """Notebooks and modules of erlib that are not the same in all results that used them."""
    states, differing = {}, {}
    for result in results:
        code = {result["notebook"]: result["notebook_sha256"], **(result["code"] or {})}
        for name, state in code.items():
            if states.setdefault(name, state) != state:
                differing[name] = True
    return list(differing)


def _code(result):
    """A short name for the code that gave the result."""
    text = json.dumps([result["notebook_sha256"], result["code"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _cell(value, half=None):
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.5g}" if half is None else f"{value:.5g} ± {half:.2g}"
