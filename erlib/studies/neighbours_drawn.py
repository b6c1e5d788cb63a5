"""Figures of notebook 11, from its tables."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import baselines
from ..notebook import plots
from .neighbours import RACE
from .neighbours_small import (
    GUESSES,
    LEARNERS,
    TUNING,
    few_points,
    wave_network,
    wave_points,
    wave_updates,
)
from .training import images

#: Columns and rows of the map: what is handed down to a layer, and how its weights follow.
HANDED = ["nothing", "a gradient", "a target"]
FOLLOW = ["a step, times a rate", "a step, scaled\nby its history", "a regression,\ntimes a rate",
          "a regression"]  # fmt: skip
MAP: dict[str, tuple[int, int]] = {
    "forward gradient": (0, 0),
    "likelihood ratio": (0, 0),
    "backpropagation": (1, 0),
    "RIFLE": (1, 0),
    "desire": (2, 0),
    "ER's targets, steps": (2, 0),
    "Adam": (1, 1),
    "AdaRem, AdaS": (1, 1),
    "FOOF": (1, 2),
    "semi-implicit": (2, 2),
    "threshold network": (0, 3),
    "features by spikes": (0, 3),
    "ER": (2, 3),
}


def colour(arm: str) -> str:
    """That of a method in all figures: blue is ER, dark grey what has none."""
    name = "ER" if arm == "one update" else arm
    return plots.LOOKS.get(name, {"color": "0.35"})["color"]


def draw_map(axes: Axes) -> None:
    """Each method of `MAP` in the field of what it hands down and how weights follow."""
    placed: dict[tuple[int, int], int] = {}
    for name, place in MAP.items():
        among = [other for other in MAP if MAP[other] == place]
        step = placed[place] = placed.get(place, 0) + 1
        height = place[1] + (0.5 - (step - 0.5) / len(among)) * 0.6
        weight = "bold" if name == "ER" else "normal"
        style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8}
        axes.text(place[0], height, name, color=colour(name), fontweight=weight, **style)
    axes.set(xlim=(-0.5, 2.5), ylim=(-0.5, 3.5))
    axes.set(xlabel="what a layer is handed from above", ylabel="how its weights follow")
    axes.set_xticks(range(3), HANDED)
    axes.set_yticks(range(4), FOLLOW)
    axes.set_xticks([0.5, 1.5], minor=True)
    axes.set_yticks([0.5, 1.5, 2.5], minor=True)
    axes.grid(False)
    axes.grid(True, which="minor")
    axes.tick_params(which="both", length=0)


def draw_race(axes: Axes, rows: pd.DataFrame) -> None:
    """Test errors of each method, best on top: dots for equal passes, a ring for equal time.

    A small dot is a network, a large one or a ring the mean. Methods that train once in any case
    (`one update`) and the one whose time is the measure have no ring.
    """
    means = rows.groupby(["arm", "equal"]).error.mean().unstack().sort_values("passes")
    for place, (arm, found) in enumerate(means.iterrows()):
        color, own = colour(str(arm)), rows[rows.arm == arm]
        timed = found.get("seconds", math.nan)
        axes.plot([found["passes"], timed], [place, place], color=color, linewidth=1, zorder=1)
        each = own[own.equal == "passes"].error
        axes.plot(each, [place] * len(each), ".", color=color, alpha=0.5, zorder=2)
        axes.plot(found["passes"], place, "o", color=color, markersize=6)
        axes.plot(timed, place, "o", color=color, markerfacecolor="white", markersize=6)
    plots.log_scale(axes, "x")
    axes.set_yticks(range(len(means)), means.index)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)


def table(races: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The races on data sets in words and numbers, best on the first of them on top.

    What each method hands down and chooses, and its test errors in % after equal passes and, where
    it trains in passes, in equal time.
    """
    ends = {
        name: rows.groupby(["arm", "equal"]).error.mean().unstack() for name, rows in races.items()
    }
    order = next(iter(ends.values())).sort_values("passes").index
    words = {}
    for arm in order:
        told = RACE[arm]
        line = {"hands down": told.hands_down, "weights follow by": told.weights}
        line["is chosen"] = told.chooses
        for name, found in ends.items():
            for what, column in (("passes", f"{name}, %"), ("seconds", f"{name}, equal time")):
                value = found[what].get(arm, math.nan) if what in found else math.nan
                line[column] = "" if math.isnan(value) else f"{value:.1f}"
        words[arm] = line
    return pd.DataFrame(words).T


def errors(rows: Sequence[dict]) -> dict[str, list[float]]:
    """The test errors in % of each arm, a number a seed."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row["arm"], []).append(100 * (1 - row["accuracy"]))
    return found


def tuning_looks() -> dict[str, dict]:
    """A look for each of `TUNING`: blue where ER's step gives the readout."""
    return {
        arm: {"color": plots.BLUE if arm.startswith("solved") else plots.GREY} for arm in TUNING
    }


def draw_guessed(axes: Axes, rows: Sequence[dict]) -> None:
    """Cosines over draws; grey: what is expected of so many directions in the weights."""
    colours = dict(zip(GUESSES, ("0.65", "0.25", plots.YELLOW)))
    table = pd.DataFrame(rows)
    looks = {guess: {"color": color} for guess, color in colours.items()}
    means = table.groupby(["guess", "draws"], as_index=False).cosine.mean()
    names = {guess: guess for guess in GUESSES}
    plots.lines(axes, means, "draws", "cosine", names, by="guess", looks=looks)
    draws = np.geomspace(1, 100, 50)
    numbers = table.numbers.iloc[0]
    axes.plot(draws, np.sqrt(draws / (draws + numbers)), color="0.5", linestyle=":", zorder=0)


def draw_wave(left: Axes, right: Axes, rows: Sequence[dict]) -> None:
    """What each has learned at the end, with the first seed; and the errors on the way, of all."""
    looks = {
        "ER": plots.BLUE,
        "random features": plots.GREY,
        "gradient descent": plots.LOOKS["SGD"]["color"],
    }
    looks |= {"forward gradient": "0.35"}
    looks |= {"Adam": plots.LOOKS["Adam"]["color"], "L-BFGS": plots.LOOKS["L-BFGS"]["color"]}
    x, y = wave_points()
    left.plot(x, y, color="0.75", linewidth=5, label="the function")
    updates = max(row["updates"] for row in rows)
    for arm in ("ER", "Adam", "forward gradient"):
        net = wave_network(20, 0)
        list(wave_updates(net, arm, 1 if arm == "ER" else updates, LEARNERS[arm], seed=0))
        left.plot(x, net(x).detach(), color=looks[arm], linewidth=1.2)
    left.set(xlabel="x", title=f"after one update of ER, {updates} of the others")
    right.set(xlim=(0.8, updates), ylim=(1e-6, 2), xlabel="updates")
    right.set(ylabel="mean square error", xscale="log", yscale="log")
    table = pd.DataFrame(rows)
    for _, own in table[table.arm == "ER"].groupby("seed"):
        right.plot(own.updates, own.error, color=looks["ER"], linewidth=0.6, alpha=0.6)
    table = table.groupby(["arm", "updates"], as_index=False).error.mean()
    styles = {arm: {"color": color} for arm, color in looks.items()}
    styles["L-BFGS"] = plots.look("L-BFGS")
    plots.lines(right, table, "updates", "error", {arm: arm for arm in looks}, looks=styles)


def draw_optimum(axes: Axes, seed: int) -> None:
    """The points, and the lines of the best network."""
    x, y = few_points(14, seed)
    net = baselines.threshold_network(x, y, penalty=0.1)
    axes.set(xlim=(-1.6, 2.6), ylim=(-1.5, 1.8), title="the best network's lines")
    for slope, shift in zip(net.weight.T, net.bias):
        if float(slope.abs().max()) > 1e-9:
            foot = -shift * slope / slope.square().sum()
            along = foot + slope.flip(0) * slope.new_tensor([1.0, -1.0])
            axes.axline(tuple(foot.tolist()), tuple(along.tolist()), color="0.6", linewidth=1)
    for label, color in ((1, "0.1"), (-1, "white")):
        axes.plot(*x[y == label].T, "o", color="0.1", markerfacecolor=color)
    axes.set(xticks=[], yticks=[])
    axes.grid(False)


def draw_threshold(axes: Axes, rows: Sequence[dict]) -> None:
    """The cost with each kind of units, over the least possible: a dot a set of points."""
    names = {"Adam": "Adam's units", "ER": "joint ER's units", "random": "random units"}
    colours = {"Adam": plots.RED, "ER": plots.DARK, "random": plots.GREY}
    for place, arm in enumerate(names):
        found = sorted(row["cost"] / row["least"] for row in rows if row["arm"] == arm)
        # Those that are nearly equal are drawn one below the other.
        near = [
            sum(abs(other - one) < 0.15 for other in found[:at]) for at, one in enumerate(found)
        ]
        spread = [place - 0.25 + 0.11 * count for count in near]
        axes.plot(found, spread, "o", color=colours[arm], alpha=0.8, markersize=4)
    axes.axvline(1, color="0.4", linewidth=0.8)
    axes.set(xlim=(0, 9), xlabel="cost over the least possible", ylim=(2.5, -0.6))
    axes.set_yticks(range(3), names.values())
    axes.grid(axis="y", visible=False)


def draw_undecided(left: Axes, right: Axes, tuned: Sequence[dict], ranks: Sequence[dict]) -> None:
    """Left, the errors after fine-tuning, a dot a network; right, ranks over generations."""
    wrong: dict[str, Sequence[float]] = {**errors(tuned)}
    plots.bars(left, wrong, tuning_looks())
    names = {"random features": "not trained", "ER": "one update", "Adam": "Adam"}
    table = pd.DataFrame(ranks)
    for (arm, _), own in table.groupby(["arm", "seed"]):
        right.plot(own.generation, own["rank"], color=colour(str(arm)), linewidth=0.6, alpha=0.6)
    means = table.groupby(["arm", "generation"], as_index=False)["rank"].mean()
    plots.lines(right, means, "generation", "rank", names)
    right.set(xlim=(0.8, 5.2), ylim=(0, 52), xlabel="generation", xticks=range(1, 6))


def draw_spiking(axes: Axes, rows: pd.DataFrame, mark: float) -> None:
    """Error of the spiking network over passes, a line a seed, and its authors' mark."""
    for _, own in rows.groupby("seed"):
        axes.plot(own.passes, own.error, "o-", color=colour("desire"), markersize=4)
    axes.axhline(mark, color="0.4", linewidth=0.8, linestyle=":")
    plots.log_scale(axes, "y")
    plots.label_end(axes, "published, 50 passes", float(rows.passes.max()), mark, "0.4")


def draw_filters(dataset: str, filters: int) -> Figure:
    """Filters that spike timing learned: red where pixels are brighter than around, blue darker."""
    data = images(dataset, "float32")
    small = data.x_train.shape[-1] < 20
    front = baselines.SpikeFeatures(
        data.x_train, filters=filters, size=3 if small else 5, grid=3 if small else 6, seen=200
    )
    weight = front.get_buffer("weight")
    shown = weight[:, 0] - weight[:, 1]
    return plots.strip(shown, [f"filter {k}" for k in range(1, filters + 1)], signed=True)
