"""Figures: one style, error bars over seeds, and where pictures are kept."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from .tables import mean_interval

BLUE, RED, GREEN, PINK, YELLOW, SKY = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
)  # fmt: skip
GREY, DARK = "#8A8A8A", "#0B2C4A"

#: One look a method, in every figure. Blue is ER, a baseline has another colour, a control of ER is
#: its grey, dashed: random features (nothing learned) or dotted: labels of other samples.
LOOKS: dict[str, dict] = {
    "ER": {"color": BLUE},  # as the paper has it: one update, or "plain ER" in mini-batches
    "plain ER": {"color": SKY},
    "sequential ER": {"color": BLUE, "linewidth": 2.2},
    "joint ER": {"color": DARK, "linewidth": 2.2},
    "Adam": {"color": RED},
    "SGD": {"color": YELLOW},
    "gradient descent": {"color": YELLOW},
    "backpropagation": {"color": RED},
    "L-BFGS": {"color": YELLOW, "linestyle": "--"},
    "FOOF": {"color": GREEN},
    "Gauss–Newton": {"color": GREEN},
    "Newton": {"color": GREEN},
    "target propagation": {"color": PINK},
    "semi-implicit": {"color": PINK, "linestyle": "--"},
    "least squares": {"color": GREY},
    "logistic regression": {"color": PINK},
    "random features": {"color": GREY, "linestyle": "--"},
    "shuffled": {"color": GREY, "linestyle": ":"},
    "own fields": {"color": GREEN, "linestyle": "-."},
    "Forward Projection": {"color": PINK, "linestyle": "--"},
}


def look(method: str, **more: Any) -> dict:
    """Colour and line of a method, the same in every figure; KeyError if it has none.

    >>> look("Adam", marker="o")
    {'color': '#D55E00', 'marker': 'o'}
    """
    return {**LOOKS[method], **more}


def use_style() -> None:
    """Give all figures from here on the look of the companion (`erlib.mplstyle`)."""
    plt.style.use(Path(__file__).with_name("erlib.mplstyle"))


def save(figure: Figure, name: str) -> None:
    """Write `figure` as ``name.png`` into ``$ERLIB_FIGURES``, the folder of a run; else nowhere.

    With no run around it the picture is in the notebook.
    """
    folder = os.environ.get("ERLIB_FIGURES")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        # No software version inside, so that the same figure gives the same file.
        figure.savefig(Path(folder) / f"{name}.png", metadata={"Software": None})


def curve(
    axes: Axes, rows: Sequence[dict], x: str, y: str, label: str, **style: Any
) -> ErrorbarContainer:
    """Draw the mean of `y` against `x` over the dicts `rows`, with 95 % intervals over seeds.

    Rows that share a value of `x` are the repetitions (`erlib.notebook.tables.mean_interval`);
    where there is only one, no interval is drawn.
    """
    places = sorted({row[x] for row in rows})
    points = [mean_interval([row[y] for row in rows if row[x] == place]) for place in places]
    drawn = axes.errorbar(
        places,
        [mean for mean, _ in points],
        yerr=[float("nan") if half is None else half for _, half in points],
        label=label,
        elinewidth=0.9,
        **{"marker": "o", "markersize": 3.5, **style},
    )
    for bar in drawn[2]:  # quiet: the mean is what is said
        bar.set_alpha(0.45)
    return drawn


def lines(
    axes: Axes,
    table: Any,
    x: str,
    y: str,
    names: dict[str, str],
    *,
    by: str = "arm",
    looks: dict[str, dict] | None = None,
) -> None:
    """A `curve` of a table (pandas) for each method in `names`, its name written at its end.

    `names` gives what each value of the column `by` is called; with "" nothing is written. Its look
    is that of the value, or that in `looks`. Set scales and limits before: names that would lie on
    each other are moved apart.
    """
    ends = []
    for value, name in names.items():
        style = (looks or LOOKS)[value]
        rows = table[table[by] == value]
        curve(axes, rows.to_dict("records"), x, y, name, **style)
        last = rows[x].max()
        ends.append((rows[rows[x] == last][y].mean(), last, name, style["color"]))
    axes.figure.canvas.draw()  # so that the axes know where their points are
    lowest = -math.inf
    for height, last, name, color in sorted(end for end in ends if end[2]):
        at = axes.transData.transform((last, height))[1] * 72 / axes.figure.dpi
        moved = max(at, lowest)
        label_end(axes, name, last, height, color, up=moved - at)
        lowest = moved + 10 * (1 + name.count("\n"))


def label_end(axes: Axes, text: str, x: float, y: float, color: str, up: float = 0) -> None:
    """Write a line's name beside its last point (x, y), in its colour: no legend to look up."""
    style: dict[str, Any] = {"fontsize": 8, "va": "center", "annotation_clip": False}
    axes.annotate(text, (x, y), (6, up), textcoords="offset points", color=color, **style)


def bars(axes: Axes, values: dict[str, Sequence[float]], looks: dict[str, dict]) -> None:
    """Horizontal bars, the first on top: the mean of each entry, a dot a value, the mean written.

    `looks` gives each its colour (`look`).
    """
    for place, (label, found) in enumerate(values.items()):
        mean, color = mean_interval(found)[0], looks[label]["color"]
        axes.barh(place, mean, 0.62, color=color, alpha=0.85)
        if len(found) > 1:
            axes.plot(found, [place] * len(found), "o", color="0.15", markersize=2.5, alpha=0.7)
        end = max(max(found), mean)
        axes.annotate(
            f"{mean:.{1 if mean >= 2 else 2}f}",
            (end, place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(values)), values)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)


def strip(
    images: Any, titles: Sequence[str], *, signed: bool = False, width: float = 7.0
) -> Figure:
    """A row of small pictures with a title each, on one scale: grey, or colours with 0 white."""
    figure, axes = plt.subplots(1, len(titles), figsize=(width, width / len(titles) + 0.25))
    limit = max(float(abs(image).max()) for image in images)
    colours = {"vmin": -limit, "vmax": limit} if signed else {"cmap": "gray_r", "vmin": 0}
    for ax, image, title in zip(axes, images, titles, strict=True):
        ax.imshow(image, **colours)
        ax.set_title(title, fontsize=8)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.spines[:].set_visible(False)
    return figure


def log_scale(axes: Axes, axis: str) -> None:
    """Make the `axis` "x" or "y" logarithmic, with plain numbers at 1, 2, 5, 10, ...

    More of them where what is drawn so far spans less than a factor of ten.
    """
    axes.set(**{f"{axis}scale": "log"})
    ticks = getattr(axes, f"{axis}axis")
    low, high = ticks.get_view_interval()
    ticks.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 10 * low else (1, 1.5, 2, 3, 4, 6)))
    ticks.set_major_formatter(lambda value, _: f"{value:g}")
    ticks.set_minor_locator(NullLocator())


def image_grid(
    axes: Axes, weight: Any, shape: tuple[int, int], count: int = 24, columns: int = 8
) -> None:
    """Show the first `count` columns of `weight [d_in, d_out]` as images of the given shape.

    All on one symmetric colour scale: 0 is white.
    """
    height, width = shape
    rows = -(-count // columns)
    sheet = weight.new_full((rows * (height + 1), columns * (width + 1)), float("nan"))
    for unit in range(min(count, weight.shape[1])):
        top, left = unit // columns * (height + 1), unit % columns * (width + 1)
        sheet[top : top + height, left : left + width] = weight[:, unit].reshape(shape)
    limit = float(weight[:, :count].abs().quantile(0.995))
    axes.imshow(sheet.numpy(), vmin=-limit, vmax=limit)
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
