"""A swept quantity against a parameter, with a line for each value of the others."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt

from ..notebook import plots
from ..notebook.tables import select


def plot(
    groups: list[dict], by: Sequence[str], value: str, file: str | Path, *, log: bool = False
) -> None:
    """Draw the mean of `value` with its 95 % interval against the first column of `by`.

    `groups` are those of `erlib.runs.collect.means`. A line for each combination of the other
    columns of `by`. Written to `file` (png, pdf or svg). Raises ValueError if there is no such
    column.
    """
    columns = list(groups[0])
    if value not in columns or f"{value} ±" not in columns:
        there = ", ".join(c for c in columns if f"{c} ±" in columns)
        raise ValueError(f"no column of numbers {value!r}; there are: {there}")
    x, *others = by
    plots.use_style()
    figure, axes = plt.subplots(figsize=(5.6, 3.6))
    for names in dict.fromkeys(tuple(line[name] for name in others) for line in groups):
        where = dict(zip(others, names))
        lines = select(groups, **where)
        axes.errorbar(
            [line[x] for line in lines],
            [line[value] for line in lines],
            yerr=[line[f"{value} ±"] or 0 for line in lines],
            label=", ".join(map(str, where.values())) or None,
            capsize=2,
            marker="o",
        )
    axes.set(xlabel=x, ylabel=value)
    places = list(dict.fromkeys(line[x] for line in groups))
    if log:
        axes.set_xscale("log")
    if len(places) <= 10:  # as they were typed, not powers of ten
        axes.set_xticks(places, [f"{place:g}" if log else str(place) for place in places])
        axes.minorticks_off()
    if others:
        axes.legend(title=", ".join(others))
    figure.savefig(file, metadata={"Software": None} if str(file).endswith("png") else None)
    plt.close(figure)
