"""The drawing that opens the companion: one update of two layers, beside backpropagation.

``python -m erlib.notebook.schematic figures/schematic.png`` writes the picture of README.
"""

import itertools
import sys
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from .plots import BLUE, DARK, RED

#: Heights of inputs, fields and outputs, from X at the bottom to the outputs on top, in inches.
_LEVELS = (1.14, 1.92, 2.5, 3.28, 3.86)
_UP, _DOWN = 0.88, 2.39  # the columns of a panel, from its left edge
_HALF = 0.15  # half the height of a box
_WANTED = 0.34  # half the width of a box on the way down


def schematic() -> Figure:
    """Fields go up, targets come down, weights by regression; and where backpropagation differs.

    On the way down stand wanted changes, target less what is: these are what a factor multiplies.
    Readable at a width of 700 pixels, on a white ground of its own.
    """
    # An engine that does nothing: after a tight savefig no engine would become that of the style.
    layout = PlaceHolderLayoutEngine(adjust_compatible=True, colorbar_gridspec=False)
    figure = plt.figure(figsize=(7.2, 4.75), facecolor="white", layout=layout)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 7.2), ylim=(0, 4.75))
    axes.set_axis_off()
    _panel(
        axes,
        0.0,
        BLUE,
        (
            "Expectation Reflection",
            "fields go up, targets come down, weights by regression",
            "error",
        ),
        (r"$T-A_2$", r"$H_2^*-H_2$", r"$T_1-A_1$", r"$H_1^*-H_1$"),
        (("reflect", r"$\times\, g(H_2)$"), ("invert", r"$\times\, W_2^+$")),
        ("reflect", r"$\times\, g(H_1)$"),
        ("regress", r"$\times\, C^{-1}$"),
    )
    _panel(
        axes,
        3.62,
        RED,
        ("Backpropagation", "the same way, with three other factors", "error"),
        (r"$T-A_2$", r"$\delta_2$", r"$\delta_2 W_2'$", r"$\delta_1$"),
        (("slope", r"$\times\, f'(H_2)$"), ("transpose", r"$\times\, W_2'$")),
        ("slope", r"$\times\, f'(H_1)$"),
        ("step", r"$\times\, \eta$"),
    )
    axes.plot([3.6, 3.6], [0.95, 4.6], color="0.85", linewidth=0.8)
    _replacements(axes)
    return figure


def _panel(
    axes: Axes,
    left: float,
    color: str,
    titles: tuple[str, str, str],
    wanted: tuple[str, str, str, str],
    top: tuple[tuple[str, str], tuple[str, str]],
    below: tuple[str, str],
    weights: tuple[str, str],
) -> None:
    """Two layers, from the inputs up on the left and back down on the right."""
    up, down = left + _UP, left + _DOWN
    _write(axes, left + 0.12, 4.54, titles[0], color, size=11.5, weight="bold", ha="left")
    _write(axes, left + 0.12, 4.3, titles[1], "0.3", size=8.2, ha="left")
    symbols = (r"$X$", r"$H_1$", r"$A_1$", r"$H_2$", r"$A_2$")
    names = ("inputs", "fields", "outputs", "fields", "outputs")
    for height, symbol, name in zip(_LEVELS, symbols, names):
        _box(axes, up, height, symbol, "0.35")
        _write(axes, up - 0.35, height, name, "0.45", size=8, ha="right")
    for low, high in itertools.pairwise(_LEVELS):
        _arrow(axes, (up, low + _HALF), (up, high - _HALF), "0.45")
    for height in (_LEVELS[1], _LEVELS[3]):
        _write(axes, up - 0.1, height + 0.29, "$f$", "0.35", size=10, ha="right")
    for height, symbol in zip(_LEVELS[:0:-1], wanted):
        half = (_WANTED, _HALF)
        _box(axes, down, height, symbol, color, size=9, half=half, filled=height == _LEVELS[4])
    _write(axes, down + _WANTED + 0.06, _LEVELS[4], titles[2], "0.45", size=8, ha="left")
    for high, low, number, (verb, factor) in zip(
        _LEVELS[:1:-1], _LEVELS[-2::-1], (1, 2, 1), (*top, below)
    ):
        _arrow(axes, (down, high - _HALF), (down, low + _HALF), color)
        middle = (high + low) / 2
        _badge(axes, down + 0.22, middle, number)
        _write(axes, down + 0.37, middle + 0.085, verb, color, size=9, weight="bold", ha="left")
        _write(axes, down + 0.37, middle - 0.095, factor, color, size=9.5, ha="left")
    for index, height in ((2, _LEVELS[3]), (1, _LEVELS[1])):
        middle = height - 0.39
        start, end = (down - _WANTED - 0.02, height - 0.05), (up + 0.21, middle)
        _arrow(axes, start, end, color, curve=-0.12)
        _box(axes, up, middle, f"$W_{index}$", color, size=9.5, half=(0.19, 0.115), filled=True)
        _badge(axes, up + 0.45, height + 0.07, 3)
        _write(axes, up + 0.59, height + 0.155, weights[0], color, 9, weight="bold", ha="left")
        _write(axes, up + 0.59, height - 0.025, weights[1], color, size=9.5, ha="left")


def _replacements(axes: Axes) -> None:
    """Along the bottom: what of backpropagation becomes what of ER."""
    axes.add_patch(
        FancyBboxPatch(
            (0.14, 0.12), 6.92, 0.66, "round,pad=0,rounding_size=0.08", fc="0.965", ec="none"
        )
    )
    rows = (
        (0.36, "slope $f'$", "factor $g = h/f(h)$"),
        (2.55, r"transpose $W'$", "inverse $W^+$"),
        (4.55, r"learning rate $\eta$", "inverse Gram matrix $C^{-1}$"),
    )
    for number, (x, old, new) in enumerate(rows, 1):
        _badge(axes, x, 0.45, number)
        _write(axes, x + 0.18, 0.58, old, RED, size=9.5, ha="left")
        _write(axes, x + 0.18, 0.32, f"→ {new}", BLUE, size=9.5, ha="left")


def _box(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    color: str,
    *,
    size: float = 11,
    half: tuple[float, float] = (0.29, _HALF),
    filled: bool = False,
) -> None:
    wide, high = half
    style: dict[str, Any] = {
        "fc": color if filled else "white",
        "ec": color,
        "linewidth": 1.2,
        "zorder": 3,
    }
    corner, round_ = (x - wide, y - high), "round,pad=0,rounding_size=0.06"
    axes.add_patch(FancyBboxPatch(corner, 2 * wide, 2 * high, round_, **style))
    _write(axes, x, y, text, "white" if filled else color, size=size, zorder=4)


def _arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    color: str,
    curve: float = 0.0,
) -> None:
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 9, "linewidth": 1.4}
    style |= {"shrinkA": 0, "shrinkB": 0, "connectionstyle": f"arc3,rad={curve}"}
    axes.add_patch(FancyArrowPatch(start, end, color=color, zorder=2, **style))


def _badge(axes: Axes, x: float, y: float, number: int) -> None:
    axes.add_patch(Circle((x, y), 0.085, fc=DARK, ec="none", zorder=4))
    _write(axes, x, y - 0.004, str(number), "white", size=7.5, weight="bold", zorder=5)


def _write(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    color: str,
    size: float,
    *,
    ha: str = "center",
    **more: Any,
) -> None:
    style: dict[str, Any] = {"ha": ha, "va": "center", "fontsize": size, "math_fontfamily": "cm"}
    axes.text(x, y, text, color=color, **style, **more)


def main(file: str) -> None:
    """Write the picture."""
    figure = schematic()
    figure.savefig(file, dpi=200, bbox_inches=figure.bbox_inches, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main(*sys.argv[1:])
