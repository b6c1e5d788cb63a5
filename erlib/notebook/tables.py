"""Tidy rows (one dict a measurement) as tables: selected, compared seed by seed, written out."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from scipy import stats


def mean_interval(values: Iterable[float], level: float = 0.95) -> tuple[float, float | None]:
    r"""Return the mean of n independent repetitions and half the width of its interval.

    Student's t: :math:`\bar v \pm t_{n-1} \, s / \sqrt n`; half the width is None for n = 1,
    because one repetition says nothing about the spread. For a difference of two methods pass the
    differences seed by seed: they share the seed, so the interval is that of a paired comparison.

    Raises ValueError if there is no value, or a value is not finite.

    >>> mean_interval([0.95, 0.96, 0.97])[0]
    0.96
    >>> mean_interval([0.95])
    (0.95, None)
    """
    values = [float(value) for value in values]
    if not values or not all(map(math.isfinite, values)):
        raise ValueError(f"values: expected at least one, all finite, found {values}")
    mean = statistics.fmean(values)
    if len(values) == 1:
        return mean, None
    spread = statistics.stdev(values) / math.sqrt(len(values))
    return mean, spread * float(stats.t.ppf((1 + level) / 2, len(values) - 1))


def percent(values: Iterable[float], signed: bool = False, digits: int = 1) -> str:
    """Format fractions as a percentage with its interval, for tables.

    >>> percent([0.961, 0.962, 0.963])
    '96.2 ± 0.2'
    >>> percent([0.012], signed=True)
    '+1.2'
    """
    mean, half = mean_interval(values)
    text = f"{100 * mean:{'+' if signed else ''}.{digits}f}"
    return text if half is None else f"{text} ± {100 * half:.{digits}f}"


def select(rows: Iterable[dict], **where: Any) -> list[dict]:
    """The rows whose entries have all the given values.

    >>> select([{"arm": "ER", "width": 30}, {"arm": "ER", "width": 100}], arm="ER", width=30)
    [{'arm': 'ER', 'width': 30}]
    """
    return [row for row in rows if all(row[key] == value for key, value in where.items())]


def gains(
    rows: Iterable[dict], arm: str, over: str, value: str = "accuracy", **where: Any
) -> list[float]:
    """Differences of `value` between two arms, one for each seed that both have.

    Paired by seed: both start from the same network, so what the seed does to both drops out.
    Raises ValueError if no seed has both arms, or a seed has one of them twice.

    >>> rows = [{"arm": name, "seed": 0, "accuracy": a} for name, a in [("ER", 0.75), ("LS", 0.5)]]
    >>> gains(rows, "ER", over="LS")
    [0.25]
    """
    by_seed = []
    for name in (arm, over):
        found = select(rows, arm=name, **where)
        by_seed.append({row["seed"]: row[value] for row in found})
        if len(by_seed[-1]) != len(found):
            raise ValueError(f"{name}: a seed occurs twice among the rows {where}")
    first, second = by_seed
    if not first.keys() & second.keys():
        raise ValueError(f"no seed has both {arm!r} and {over!r} among the rows {where}")
    return [first[seed] - second[seed] for seed in first if seed in second]


def pivot(
    rows: Iterable[dict],
    index: str,
    columns: str,
    value: str = "accuracy",
    cell: Callable[[list], str] = percent,
) -> str:
    """Markdown table with a line for each `index`, a column for each `columns`, over their seeds.

    Both in order of first appearance; a combination without rows is left empty.
    """
    heads = list(dict.fromkeys(row[columns] for row in rows))
    lines = []
    for name in dict.fromkeys(row[index] for row in rows):
        groups = [select(rows, **{index: name, columns: head}) for head in heads]
        cells = [cell([row[value] for row in group]) if group else "" for group in groups]
        lines.append([name, *cells])
    return markdown([index, *(f"{columns} {head}" for head in heads)], lines)


def markdown(header: Sequence, lines: Iterable[Sequence]) -> str:
    """A Markdown table, its columns padded so that the source reads well too.

    >>> print(markdown(["arm", "accuracy"], [["ER", 96.2]]))
    | arm | accuracy |
    |-----|----------|
    | ER  | 96.2     |
    """
    lines = [[str(entry) for entry in line] for line in [header, *lines]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    padded = [
        "| " + " | ".join(entry.ljust(width) for entry, width in zip(line, widths)) + " |"
        for line in lines
    ]
    padded.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(padded)
