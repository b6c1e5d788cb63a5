"""Couplings of kinetic Ising networks, the authors' earlier experiment: notebook 10.

N spins, true couplings of standard deviation g / sqrt(N), a series of states; each method infers
the couplings from the same series and is judged by their mean squared error. The methods are three
mean-field theories, maximum likelihood without and with a penalty, and updates (ER by the ratio,
Böhning's by the difference, weighted ER) that are stopped in one of three ways:

* by ER's rule, each spin as soon as its training discrepancy does not fall;
* never (``no rule to stop``): `updates` of them, three times as many of Böhning's, which is slower;
* by validation, all spins after as many updates as make the last fifth of the series likeliest
  given weights from the rest. Then all the data are used for so many.

"Exact mean field" iterates; "as published" takes its first iteration, which gives the published
numbers (`erlib.inference.mean_field` says why). The penalty is half lambda times the squared
couplings: chosen by cross-validation, one for all spins (`erlib.inference.logistic`), or the true
one, N / g^2, which is that of the distribution the couplings were drawn from.

Published are numbers printed in the executed notebooks of the authors' repository
(nihcompmed/network-inference), each of one network. It is drawn with seed 1, and drawn anew by
`authors_network` it gives the printed numbers within 1 %. But ER's 0.00631 at g = 4 is printed for
that network, too (the likelihood's error beside it, 0.0172333, is the same to the last digit); the
code of their repository gives 0.00691 there. Maximum likelihood stopped by ER's rule is among the
printed numbers: 0.0030 and 0.0172 for g = 2 and 4. In the figures g is the *strength*, sigma.
"""

import json
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from ..clock import clock
from ..inference import ising
from ..inference.hidden_spins import infer_hidden, recovery
from ..inference.logistic import maximum_likelihood
from ..inference.mean_field import mean_field
from ..notebook import plots
from ..notebook.kept import kept
from ..notebook.paths import ROOT
from ..notebook.tables import mean_interval
from ..single_layer import single_layer_fit

#: Spins and samples of the published experiment: a series of 2,000 states has 1,999 steps.
SIZE, LENGTH = 100, 1999

#: Mean squared errors printed by the authors for N = 100 and 2,000 states, by method and g.
PUBLISHED: dict[tuple[str, float], tuple[float, ...]] = {
    ("ER", 2.0): (0.00222, 0.00223),
    ("ER", 4.0): (0.00631, 0.00691),
    ("maximum likelihood", 2.0): (0.00308,),
    ("maximum likelihood", 4.0): (0.0178,),
    ("exact mean field, as published", 0.5): (0.00157,),
    ("exact mean field, as published", 2.0): (0.00725,),
    ("TAP", 0.5): (0.00116,),
    ("TAP", 2.0): (0.00901,),
    ("naive mean field", 0.5): (0.00053,),
    ("naive mean field", 2.0): (0.0164,),
}

MEAN_FIELDS: dict[str, dict[str, Any]] = {
    "naive mean field": {"kind": "naive"},
    "TAP": {"kind": "tap"},
    "exact mean field": {"kind": "exact"},
    "exact mean field, as published": {"kind": "exact", "most": 1},
}
UPDATES = {"ER": "er", "weighted ER": "weighted_er", "Böhning": "boehning"}
METHODS: tuple[str, ...] = (
    *MEAN_FIELDS,
    "maximum likelihood",
    "maximum likelihood + penalty",
    "maximum likelihood + true prior",
    "ER, no rule to stop",
    "ER",
    "weighted ER",
    "Böhning",
    "ER, stopped by validation",
    "weighted ER, stopped by validation",
    "Böhning, stopped by validation",
)
WEIGHTED_AT = (2.0,)
#: Those of the map over strength and samples.
MAPPED = ("ER", "maximum likelihood + penalty", "maximum likelihood", "naive mean field")


def network(
    g: float, size: int, length: int, draw: int, dense: float = 1.0
) -> tuple[torch.Tensor, ...]:
    """True couplings and a series: the states, and for each the state that follows.

    A share `dense` of the couplings is kept, larger so that fields have the size g still.
    """
    true = ising.couplings(size, g, seed=1000 + draw)
    if dense < 1:
        kept_ones = torch.rand(true.shape, generator=torch.Generator().manual_seed(draw)) < dense
        true = true * kept_ones / dense**0.5
    series = ising.simulate(true, length, seed=draw)
    return true, series[:-1], series[1:]


def authors_network(g: float) -> tuple[torch.Tensor, ...]:
    """The network of the authors' executed notebooks for g = 2 or 4, drawn with their seed."""
    random = np.random.RandomState(1)  # NumPy promises that its numbers stay
    for strength in (2.0, 4.0):
        true = random.normal(0.0, strength / SIZE**0.5, size=(SIZE, SIZE))  # [to, from]
        series = np.ones((LENGTH + 1, SIZE))  # the first two rows stay so
        for step in range(1, LENGTH):
            up = 1 / (1 + np.exp(-2 * (true @ series[step])))
            series[step + 1] = np.where(up >= random.rand(SIZE), 1.0, -1.0)
        if strength == g:
            states = torch.tensor(series)
            return torch.tensor(true.T), states[:-1], states[1:]
    raise ValueError(f"g: expected 2 or 4, found {g}")


def on_authors_networks() -> dict[tuple[str, float], float]:
    """Errors on `authors_network` of what is `PUBLISHED` for it."""
    networks = {g: authors_network(g) for g in (2.0, 4.0)}
    found = {}
    for method, g in PUBLISHED:
        if g in networks:
            true, x, y = networks[g]
            found[method, g] = float((infer(method, x, y, g) - true).square().mean())
    return found


def infer(
    method: str,
    x: torch.Tensor,
    y: torch.Tensor,
    g: float,
    *,
    updates: int = 1000,
) -> torch.Tensor:
    """The couplings that a method of `METHODS` infers; `g` is told to the true prior alone."""
    if method in MEAN_FIELDS:
        return mean_field(x, y, **MEAN_FIELDS[method])
    if method.startswith("maximum likelihood"):
        penalty: dict[str, Any] = {"": 0.0, " + penalty": "cv", " + true prior": x.shape[1] / g**2}
        kind = method.removeprefix("maximum likelihood")
        return maximum_likelihood(x, y, penalty=penalty[kind])
    update, _, stop = method.partition(", ")
    rule, most = UPDATES[update], 3 * updates if update == "Böhning" else updates
    if stop == "stopped by validation":
        most = _updates_by_validation(x, y, rule, most)
    return _fit(x, y, rule, None if stop else "discrepancy", most).weight


def _fit(x, y, rule, stop, updates, watch=None):
    how = {"rule": rule, "stop": stop, "updates": updates, "watch": watch}
    return single_layer_fit(x, y, fit_intercept=False, **how)


#: Relative penalties (`erlib.regress`) that `er_with_penalty` chooses from.
RIDGES = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)


def er_with_penalty(x: torch.Tensor, y: torch.Tensor, updates: int = 200) -> torch.Tensor:
    """Couplings by ER with its rule to stop, each regression with the same relative penalty.

    That of `RIDGES` which predicts the last fifth of the series best, given weights from the rest;
    then all the data are used.
    """
    cut = len(x) * 4 // 5

    def fit(ridge, n):
        how = {"rule": "er", "fit_intercept": False, "ridge": ridge, "updates": updates}
        return single_layer_fit(x[:n], y[:n], **how).weight

    likelihood = [
        -float(torch.nn.functional.softplus(-2 * y[cut:] * (x[cut:] @ fit(ridge, cut))).mean())
        for ridge in RIDGES
    ]
    return fit(RIDGES[int(np.argmax(likelihood))], len(x))


@kept
def penalised(*, g: float, ratio: int, draw: int, size: int, updates: int = 200) -> list[dict]:
    """ER without and with a penalty beside the likelihood with one, few samples for each spin."""
    true, x, y = network(g, size, ratio * size, draw)
    found = {name: infer(name, x, y, g, updates=updates) for name in MAPPED[:2]}
    found["ER + penalty"] = er_with_penalty(x, y, updates)
    return [
        {"method": method, "mse": float((weight - true).square().mean())}
        for method, weight in found.items()
    ]


def _updates_by_validation(x, y, rule, most):
    """How many updates predict the last fifth of the series best, of all spins together."""
    cut = len(x) * 4 // 5
    likelihood = []

    def judge(weight, bias):
        fields = x[cut:] @ weight
        likelihood.append(-float(torch.nn.functional.softplus(-2 * y[cut:] * fields).mean()))

    # Weighted ER's curve is flat from sixty updates on, and each costs.
    most = min(60, most) if rule == "weighted_er" else most
    _fit(x[:cut], y[:cut], rule, None, most, judge)
    return int(np.argmax(likelihood)) + 1


@kept
def inferred(
    *, method: str, g: float, size: int, length: int, draw: int, updates: int = 1000
) -> list[dict]:
    """Mean squared error of the couplings, their slope against the true ones, and seconds."""
    true, x, y = network(g, size, length, draw)
    begin = clock()
    found = infer(method, x, y, g, updates=updates)
    seconds = clock() - begin
    slope = float((found * true).sum() / true.square().sum())
    error = float((found - true).square().mean())
    return [{"method": method, "mse": error, "slope": slope, "seconds": seconds}]


def compared(*, g: float, draw: int, size: int, length: int, updates: int = 1000) -> list[dict]:
    """All methods on one network; weighted ER, by far the slowest, at `WEIGHTED_AT` only."""
    where: dict[str, Any] = {
        "g": g,
        "draw": draw,
        "size": size,
        "length": length,
        "updates": updates,
    }
    wanted = [each for each in METHODS if g in WEIGHTED_AT or not each.startswith("weighted")]
    return [row for method in wanted for row in inferred(method=method, **where)]


def mapped(*, g: float, ratio: int, draw: int, size: int, updates: int = 1000) -> list[dict]:
    """The methods of the map on one network, with `ratio` samples for each spin."""
    where: dict[str, Any] = {
        "g": g,
        "draw": draw,
        "size": size,
        "length": ratio * size,
        "updates": updates,
    }
    return [row for method in MAPPED for row in inferred(method=method, **where)]


@kept
def path(
    *, rule: str, g: float, size: int, length: int, draw: int, updates: int = 300
) -> list[dict]:
    """Error of the couplings and training discrepancy after each update, means over spins.

    With nothing to stop it; `stopped` and `at`: after how many the rule stops, a mean over spins
    (each by itself; at the latest after `updates`), and the error then.
    """
    true, x, y = network(g, size, length, draw)
    error: list[float] = []

    def watch(weight, bias):
        error.append(float((weight - true).square().mean()))

    found = _fit(x, y, rule, None, updates, watch)
    stopped = _fit(x, y, rule, "discrepancy", updates)
    row: dict[str, Any] = {
        "error": error,
        "discrepancy": [float(d.mean()) for d in found.discrepancy],
    }
    row |= {"stopped": float(stopped.updates.double().mean())}
    return [row | {"at": float((stopped.weight - true).square().mean())}]


@kept
def unstopped(*, g: float, size: int, length: int, draw: int, updates: int) -> list[dict]:
    """How many spins ER's rule does not stop within so many updates."""
    _, x, y = network(g, size, length, draw)
    made = _fit(x, y, "er", "discrepancy", updates).updates
    return [{"unstopped": int((made == updates).sum()), "spins": len(made)}]


@kept
def hidden(
    *, guess: int, true_count: int, g: float, size: int, length: int, seed: int, sweeps: int = 100
) -> list[dict]:
    """ER with `guess` hidden spins where the last `true_count` of the network are never seen.

    The discrepancy that counts them, the error of the couplings between seen spins and, where the
    guess is right, the share of hidden states recovered.
    """
    true = ising.couplings(size, g, seed=1000 + seed)
    series = ising.simulate(true, length, seed=seed)
    seen = size - true_count
    found = infer_hidden(series[:, :seen], guess, sweeps=sweeps, seed=seed)
    wrong = found.weight[:seen, :seen] - true[:seen, :seen]
    right = guess == true_count
    row: dict[str, Any] = {"discrepancy": found.discrepancy[-1]}
    row |= {"seen mse": float(wrong.square().mean())}
    return [row | {"recovery": recovery(found.spins, series[:, seen:]) if right else None}]


def committed_paths() -> list[dict]:
    """The rows of `path` that the full profile recorded: N = 100, first draw, 300 updates."""
    file = ROOT / "results" / "full" / "10_network_inference.json"
    return json.loads(file.read_text(encoding="utf-8"))["recorded"]["paths"]


#: Each update stopped in three ways: never (where the difference ends at maximum likelihood), by
#: ER's rule, by validation.
WAYS = {
    "ER": ["ER, no rule to stop", "ER", "ER, stopped by validation"],
    "Böhning": ["maximum likelihood", "Böhning", "Böhning, stopped by validation"],
}
NAMES = {"ER": "by the ratio (ER)", "Böhning": "by the difference"}
PENALTY = "likelihood with a penalty"
SHIFTS = {"ER": -0.19, "Böhning": 0.19}  # of their bars
LOOKS = {"ER": plots.look("ER"), "Böhning": plots.look("gradient descent")}


def ratios(table: pd.DataFrame, rival: str, by: list[str], ours: str = "ER") -> pd.DataFrame:
    """The error of `ours` over that of `rival`: geometric mean, and its paired 95 % interval."""
    errors = np.log(table.pivot_table(index=[*by, "draw"], columns="method", values="mse"))
    rows = {}
    for place, difference in (errors[ours] - errors[rival]).groupby(by):
        mean, half = mean_interval(difference)
        half = np.inf if half is None else half
        rows[place] = np.exp([mean, mean - half, mean + half])
    found = pd.DataFrame([*rows.values()], columns=["ratio", "low", "high"])
    return found.set_index(pd.DataFrame([*rows], columns=by).set_index(by).index)


def draw_spins(couplings: torch.Tensor, states: list[torch.Tensor]) -> Figure:
    """Three spins after each step, black where up; arrows with the couplings between them."""
    figure, panels = plt.subplots(1, len(states), figsize=(7.4, 1.9))
    places = [(0.0, 1.0), (0.87, -0.5), (-0.87, -0.5)]
    for step, (axes, state) in enumerate(zip(panels, states)):
        for here, there in np.argwhere(couplings.numpy() != 0):
            (x, y), (u, v), value = places[here], places[there], float(couplings[here, there])
            color = plots.RED if value > 0 else plots.BLUE
            arrow = {"arrowstyle": "->", "color": color, "lw": 0.8 + abs(value), "shrinkA": 11}
            axes.annotate("", (u, v), (x, y), arrowprops=arrow | {"shrinkB": 11})
            middle = (0.75 * (x + u), 0.75 * (y + v))
            axes.text(*middle, f"{value:g}", color=color, ha="center", va="center", fontsize=8)
        for number, (place, spin) in enumerate(zip(places, state.tolist()), 1):
            fill, ink = ("k", "w") if spin > 0 else ("w", "k")
            axes.plot(*place, "o", markersize=17, markerfacecolor=fill, markeredgecolor="k")
            axes.text(*place, str(number), color=ink, ha="center", va="center", fontsize=8)
        axes.set(xlim=(-1.4, 1.4), ylim=(-1.1, 1.4), aspect="equal")
        axes.set_title("start (black: up)" if step == 0 else f"step {step}")
        axes.axis("off")
    return figure


def draw_stops(axes: Axes, table: pd.DataFrame) -> None:
    """Error of the two updates by what stops them, at one strength; dotted, with a penalty."""
    table = table.assign(error=1000 * table.mse)
    errors = table.groupby("method").error.apply(list)
    axes.axhline(
        np.mean(errors["maximum likelihood + penalty"]), color="0.4", linestyle=":", label=PENALTY
    )
    for (update, methods), shift in zip(WAYS.items(), SHIFTS.values()):
        means, halves = zip(*(mean_interval(errors[method]) for method in methods))
        widths = [half or np.nan for half in halves]
        places, color = np.arange(3) + shift, LOOKS[update]["color"]
        bars: dict[str, Any] = {"yerr": widths, "ecolor": "0.3", "error_kw": {"elinewidth": 1}}
        axes.bar(places, means, 0.36, color=color, alpha=0.85, label=NAMES[update], **bars)
    axes.set_xticks(range(3), ["never\nstopped", "by ER's\nrule", "by\nvalidation"])
    axes.grid(axis="x", visible=False)


def draw_path(upper: Axes, lower: Axes, path: dict) -> None:
    """A row of `path`: the error with a dot where the rule stops, and below the discrepancy.

    No dot where most spins have not stopped when the path ends.
    """
    update = {rule: name for name, rule in UPDATES.items()}[path["rule"]]
    count, look = range(1, len(path["error"]) + 1), LOOKS[update]
    upper.plot(count, 1000 * np.array(path["error"]), label=NAMES[update], **look)
    lower.plot(count, path["discrepancy"], **look)
    if path["stopped"] < 0.9 * len(count):
        upper.plot(path["stopped"], 1000 * path["at"], "o", color=look["color"], markersize=7)
        for axes in (upper, lower):
            axes.axvline(path["stopped"], linestyle=":", linewidth=1, color=look["color"])
    upper.set(xscale="log", yscale="log")
    lower.set(xscale="log", xlabel="updates")


def draw_published(axes: Axes, table: pd.DataFrame, own: dict[tuple[str, float], float]) -> None:
    """Errors of each network over the mean published one, and `own`, of the authors' network."""
    names = ["networks of this page", "published", "the authors' network, drawn anew"]
    for place, ((method, strength), values) in enumerate(PUBLISHED.items()):
        unit = np.mean(values)
        found = table.mse[(table.method == method) & (table.g == strength)] / unit
        here = [own[method, strength] / unit] if (method, strength) in own else []
        color = plots.BLUE if method == "ER" else plots.GREY
        (dots,) = axes.plot(found, [place] * len(found), ".", alpha=0.5, color=color)
        axes.plot(found.mean(), place, "|", markersize=12, markeredgewidth=2, color=color)
        (told,) = axes.plot(np.array(values) / unit, [place] * len(values), "kD", markersize=7)
        told.set_fillstyle("none")
        (anew,) = axes.plot(here, [place] * len(here), "x", markersize=6, color=plots.RED)
        if place == 0:
            for drawn, name in zip((dots, told, anew), names):
                drawn.set_label(name)
    labels = [f"{method}, strength {strength:g}" for method, strength in PUBLISHED]
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()


def draw_map(axes: Axes, table: pd.DataFrame, rival: str) -> AxesImage:
    """ER's error over that of `rival`, by strength and samples; grey if 1 is in the interval."""
    found = ratios(table, rival, ["g", "ratio"])
    grid = np.log2(found.ratio).unstack()
    sure = ((found.high < 1) | (found.low > 1)).unstack()
    image = axes.imshow(grid.where(sure), vmin=-2, vmax=2, aspect="auto", origin="lower")
    axes.set_facecolor("0.88")
    for (row, column), value in np.ndenumerate(grid):
        text = f"{2**value:.2f}" if value > -3.3 else "< 0.1"
        color = ("w" if abs(value) > 1.3 else "k") if sure.iloc[row, column] else "0.45"
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=color)
    axes.set_xticks(range(grid.shape[1]), grid.columns)
    axes.set_yticks(range(grid.shape[0]), [f"{strength:g}" for strength in grid.index])
    axes.set(xlabel="samples for each spin, L / N", ylabel="strength of couplings")
    axes.grid(False)
    return image
