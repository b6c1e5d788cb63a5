"""Figures: one style, error bars over seeds, and where pictures are kept."""

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
    return axes.errorbar(
        places,
        [mean for mean, _ in points],
        yerr=[float("nan") if half is None else half for _, half in points],
        label=label,
        capsize=2,
        **{"marker": "o", **style},
    )


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
