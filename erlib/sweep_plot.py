"""A swept quantity against a parameter, with a line for each value of the others."""

from . import plots
from .collect import means
from .tables import select


def plot(rows, by, value, file, *, log=False):
    """Draw the mean of `value` with its 95 % interval against the first column of `by`.

    A line for each combination of the other columns of `by`; at places that are not numbers, points
    side by side. Written to `file` (png, pdf or svg). Raises ValueError if a column is not there.
    """
    import matplotlib.pyplot as plt

    groups = means(rows, by)
    columns = list(groups[0])
    if value not in columns or f"{value} ±" not in columns:
        there = ", ".join(c for c in columns if f"{c} ±" in columns)
        raise ValueError(f"no column of numbers {value!r}; there are: {there}")
    x, *others = by
    rows = [row for row in rows if row[x] is not None]
    plots.use_style()
    figure, axes = plt.subplots(figsize=(5.6, 3.6))
    for names in dict.fromkeys(tuple(row[name] for name in others) for row in rows):
        where = dict(zip(others, names))
        label = ", ".join(f"{name} {entry}" for name, entry in where.items())
        plots.curve(axes, select(rows, **where), x, value, label or None)
    axes.set(xlabel=x, ylabel=value)
    if log:
        axes.set_xscale("log")
    if others:
        axes.legend()
    figure.savefig(file, metadata={"Software": None} if str(file).endswith("png") else None)
    plt.close(figure)
