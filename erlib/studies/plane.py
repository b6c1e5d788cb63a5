"""ER to look at: a network 2-8-1 on two moons, beside gradient descent and a straight line.

``python -m erlib.studies.plane docs/plane.gif`` writes the animation: notebook 00's strip of
pictures, with more updates.

* **ER**: plain ER, one update of both layers from all points, again and again (pseudo-inverse);
* **gradient descent** on E = mean (T - A)^2 / 2 from the same random network. Its rate is the best
  of `RATES` after five updates, on the test points, over twenty networks: it could not know that;
* **random features**: as ER, with the hidden layer as it was drawn; only the readout learns;
* **logistic regression**: one layer, no hidden units, by Newton's method; what a line can do.

All arithmetic in float64.
"""

import copy
import functools
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from sklearn.datasets import make_moons

from ..network import ERNetwork
from ..notebook import plots
from ..notebook.kept import kept
from ..single_layer import single_layer_fit

HIDDEN = 8
#: Penalties of ER's regressions, hidden layer and readout. From 1e-4 to 0.03 little changes.
PENALTIES: dict[str, Any] = {"ridge": 1e-3, "readout_ridge": 1e-5}
RATES = (0.1, 0.3, 1.0, 2.0, 3.0, 5.0)
RATE = 2.0  # the best of them
METHODS = ("ER", "gradient descent", "logistic regression")
MOVING = (0, 1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 40, 50)  # updates that the animation shows

Fields = Callable[[torch.Tensor], torch.Tensor]


class Points(NamedTuple):
    """Points of the plane `[n, 2]` around 0, and their class: +1 and -1 `[n, 1]`."""

    x: torch.Tensor
    t: torch.Tensor


@functools.lru_cache
def moons(samples: int = 200, noise: float = 0.1, seed: int = 0) -> Points:
    """Two half-circles that reach into each other; centred, +1 for the lower one."""
    x, lower = make_moons(samples, noise=noise, random_state=seed)
    centred = torch.tensor(x - np.array([0.5, 0.25]))
    return Points(centred, torch.tensor(np.where(lower == 1, 1.0, -1.0))[:, None])


def network(seed: int = 0) -> ERNetwork:
    """The random network 2-8-1: ReLU, then tanh; all biases begin at 0."""
    return ERNetwork.dense([2, HIDDEN, 1], hidden_bias=True, seed=seed, dtype=torch.float64)


def learned(
    method: str, points: Points, updates: tuple[int, ...], seed: int = 0, rate: float = RATE
) -> list[Fields]:
    """For each number of updates a function from points to output fields, as learned so far."""
    x, t = points
    if method == "logistic regression":
        return [_line(points, count) for count in updates]
    net, done = network(seed), 0
    found: list[Fields] = []
    for count in updates:
        for _ in range(count - done):
            if method == "gradient descent":
                _descend(net, x, t, rate)
            else:
                hidden, readout = net.targets(x, t)
                frozen = method == "random features"
                net.sweep(x, [None if frozen else hidden, readout], **PENALTIES)
        done = count
        found.append(functools.partial(_fields, copy.deepcopy(net)))
    return found


def _fields(net: ERNetwork, x: torch.Tensor) -> torch.Tensor:
    return net.decision_function(x)


def _descend(net: ERNetwork, x: torch.Tensor, t: torch.Tensor, rate: float) -> None:
    """One step of gradient descent on the squared error of the outputs."""
    parameters = list(net.parameters())
    with torch.enable_grad():
        error = (t - net(x).tanh()).square().mean() / 2
        slopes = torch.autograd.grad(error, parameters)
    with torch.no_grad():
        for parameter, slope in zip(parameters, slopes):
            parameter.sub_(rate * slope)


def _line(points: Points, updates: int) -> Fields:
    """Logistic regression, from weights that are 0."""
    if not updates:
        return lambda x: x.new_zeros(len(x), 1)
    found = single_layer_fit(*points, rule="newton", stop=None, updates=updates)
    weight, bias = torch.as_tensor(found.weight), torch.as_tensor(found.bias)
    return lambda x: x @ weight + bias


@kept
def compared(
    *,
    method: str,
    seed: int,
    updates: tuple = (0, 1, 2, 5),
    samples: int = 200,
    noise: float = 0.1,
    rate: float = RATE,
) -> list[dict]:
    """Accuracy on 2,000 other points after so many updates, from the random network of a seed."""
    points, test = moons(samples, noise), moons(2000, noise, seed=1)
    found = learned(method, points, tuple(updates), seed, rate)
    return [
        {"updates": count, "accuracy": accuracy(fields, test)}
        for count, fields in zip(updates, found)
    ]


def accuracy(fields: Fields, points: Points) -> float:
    """The part of the points on the right side of the boundary; on it they count half."""
    return (1 + (fields(points.x).sign() * points.t).mean().item()) / 2


# ---- pictures -----------------------------------------------------------------------------------

_LIMITS = (-2.0, 2.0, -1.35, 1.35)
_PALE = LinearSegmentedColormap.from_list("pale", ["#8fb0d3", "#ffffff", "#e29a94"])


def _ground(axes: Axes, fields: Fields, limit: float, points: Points) -> None:
    """The field as a pale colour of the plane, black where it is 0; the classes as dots."""
    left, right, low, high = _LIMITS
    across = torch.linspace(left, right, 140, dtype=torch.float64)
    up = torch.linspace(low, high, 140, dtype=torch.float64)
    plane = torch.stack(torch.meshgrid(across, up, indexing="xy"), dim=-1).reshape(-1, 2)
    h = fields(plane).reshape(140, 140)
    axes.contourf(across, up, h, np.linspace(-limit, limit, 11), cmap=_PALE, extend="both")
    axes.contour(across, up, h, [0.0], colors="black", linewidths=1.3)
    _bare(axes)
    for sign, color in ((1.0, "#8c1528"), (-1.0, "#15406e")):
        there = points.x[points.t[:, 0] == sign]
        axes.plot(there[:, 0], there[:, 1], "o", color=color, markersize=1.5, alpha=0.8)


def _bare(axes: Axes) -> None:
    axes.set(xlim=_LIMITS[:2], ylim=_LIMITS[2:], xticks=[], yticks=[], aspect="equal")
    axes.grid(False)
    axes.spines[:].set_visible(False)


def boundaries(
    updates: tuple[int, ...] = (0, 1, 2, 5),
    *,
    samples: int = 200,
    noise: float = 0.1,
    seed: int = 0,
) -> Figure:
    """The boundary after so many updates: a row for each method, its test error on top."""
    points, test = moons(samples, noise), moons(2000, noise, seed=1)
    size = (7.0, 1.33 * len(METHODS) + 0.1)
    figure, panels = plt.subplots(len(METHODS), len(updates), figsize=size, squeeze=False)
    for row, method in zip(panels, METHODS):
        for axes, count, fields in zip(row, updates, learned(method, points, updates, seed)):
            _ground(axes, fields, 2.0, points)
            unit, wrong = "update" if count == 1 else "updates", 1 - accuracy(fields, test)
            axes.set_title(f"{count} {unit}: {100 * wrong:.0f} % wrong", fontsize=8)
        name, color = method.replace(" ", "\n"), plots.look(method)["color"]
        row[0].set_ylabel(name, color=color, fontsize=9, weight="bold")
    return figure


def animation(file: str, updates: tuple[int, ...] = MOVING, *, seed: int = 0) -> None:
    """Write the three methods side by side, update after update, as a GIF."""
    points = moons()
    with plt.rc_context({"figure.constrained_layout.use": False, "figure.dpi": 100}):
        figure, panels = plt.subplots(1, 3, figsize=(7.0, 2.05), facecolor="white")
        figure.subplots_adjust(0.01, 0.01, 0.99, 0.8, wspace=0.04)
        found = [learned(method, points, updates, seed) for method in METHODS]
        title = figure.suptitle("", y=0.985, fontsize=10)

        def draw(frame: int) -> None:
            count = updates[frame]
            title.set_text(f"two moons after {count} {'update' if count == 1 else 'updates'}")
            for axes, method, fields in zip(panels, METHODS, found):
                axes.clear()
                _ground(axes, fields[frame], 2.0, points)
                axes.set_title(method, color=plots.look(method)["color"], fontsize=9)

        last = len(updates) - 1
        frames = [0, *range(last + 1), last, last]  # the ends stay longer
        moving = FuncAnimation(figure, draw, frames)
        moving.save(file, writer=PillowWriter(fps=2), dpi=100)
        plt.close(figure)


def main(file: str) -> None:
    """Write the animation."""
    plots.use_style()
    animation(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
