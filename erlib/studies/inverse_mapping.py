"""From the transpose to the pseudo-inverse: notebook 09.

Networks are dense, ReLU, their hidden layers of one width. All that is compared starts from the
same random network of a seed and sees the same batches. A training that overflows counts as
guessing.

*Plain ER* (`erlib.ERNetwork.fit`) moves all layers at once, each by a share of 1/L: the inverse
mapping decides the direction *and* the length of what lower layers do. *Sequential ER*
(`erlib.sequential`) regresses the factor by which a hidden layer moves, so that only the direction
is left. It has another code (0.8 in place of 1), a larger penalty (10) and moves that decline, and
here mostly begins without the update by all data ("smooth start"), in which lengths would count.
"""

import copy
import functools
from collections.abc import Iterable
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import erlib

from ..baselines.backprop import backprop
from ..baselines.loop import choose, train
from ..batches import minibatches
from ..clock import clock
from ..coding import observed_outputs
from ..data.named import Dataset
from ..invert import invert
from ..network import ERNetwork
from ..notebook import plots
from ..notebook.kept import kept
from ..regress import regress
from ..sequential import Variant, sequential_fit, variant_fit
from ..theory.effective_rank import effective_rank
from ..theory.gauss_newton import gauss_newton_changes
from ..theory.gradient import gradient_changes

RIDGE = 0.3  # penalty of plain ER
LAYERS = 2  # hidden layers, where nothing else is said
METHODS = ("plain ER", "sequential ER")
STARTS = ("as drawn", "after a pass")  # networks whose step is looked at
RIDGES = [0.01, 0.3, 10.0]  # penalties of the failure map

#: The family: what `fit`, `changes` and `targets` are told.
FAMILY: dict[str, dict[str, Any]] = {
    "pinv": {"inverse": "pinv"},
    "damped 0.01": {"inverse": "damped", "damping": 0.01},
    "damped 1": {"inverse": "damped", "damping": 1.0},
    "damped 10": {"inverse": "damped", "damping": 10.0},
    "cg(10)": {"inverse": "cg", "steps": 10},
    "cg(5)": {"inverse": "cg", "steps": 5},
    "cg(3)": {"inverse": "cg", "steps": 3},
    "cg(2)": {"inverse": "cg", "steps": 2},
    "cg(1)": {"inverse": "cg", "steps": 1},
    "transpose": {"inverse": "transpose"},
}
#: The gradient, and what becomes of it by one of ER's three replacements (notebook 03).
GRADIENT: dict[str, Any] = {"factor": "slope", "inverse": "transpose", "precondition": False}
ONLY: dict[str, dict[str, Any]] = {
    "the gradient itself": GRADIENT,
    "only the ratio": GRADIENT | {"factor": "ratio"},
    "only the pseudo-inverse": GRADIENT | {"inverse": "pinv"},
    "only the Gram matrix": GRADIENT | {"precondition": True, "ridge": RIDGE},
}
#: Shapes of a layer's weights, and how far to go along either knob.
SHAPES = {"to fewer units": (60, 20), "to as many": (40, 40), "to more units": (20, 60)}
STEPS = (1, 2, 3, 5, 10, 20, 30, 40, 50, 100)
DAMPINGS = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
#: Shares of the changes at which the loss is looked at.
LINE = (0.02, 0.05, 0.1, 0.2, 0.33, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
#: By depth: a method, an inverse and a start of `network`. Three controls take
#: the small singular values away: damping, orthogonal weights, widths that shrink.
DEEP = {
    "plain ER, pinv": ("plain ER", "pinv", "drawn"),
    "plain ER, pinv, shrinking widths": ("plain ER", "pinv", "shrinking"),
    "plain ER, transpose, shrinking widths": ("plain ER", "transpose", "shrinking"),
    "plain ER, pinv, orthogonal start": ("plain ER", "pinv", "orthogonal"),
    "plain ER, transpose, orthogonal start": ("plain ER", "transpose", "orthogonal"),
    "plain ER, damped 0.01": ("plain ER", "damped 0.01", "drawn"),
    "plain ER, transpose": ("plain ER", "transpose", "drawn"),
    "sequential ER, pinv": ("sequential ER", "pinv", "drawn"),
    "sequential ER, pinv, smooth start": ("sequential ER, smooth start", "pinv", "drawn"),
    "sequential ER, transpose": ("sequential ER", "transpose", "drawn"),
    "Adam": ("Adam", "transpose", "drawn"),
}
#: What is asked of the first layer: an inverse and a start of `network`.
GROWTH = {
    "pinv": ("pinv", "drawn"),
    "pinv, shrinking widths": ("pinv", "shrinking"),
    "pinv, orthogonal start": ("pinv", "orthogonal"),
    "damped 0.01": ("damped 0.01", "drawn"),
    "cg(1)": ("cg(1)", "drawn"),
    "transpose": ("transpose", "drawn"),
}
#: An inverse, a start of `network`, and whether its wishes get the length of the transpose's.
EQUAL: dict[str, tuple[str, str, bool]] = {
    "transpose": ("transpose", "drawn", False),
    "cg(1)": ("cg(1)", "drawn", False),
    "cg(1), its length": ("cg(1)", "drawn", True),
    "pinv": ("pinv", "drawn", False),
    "pinv, its length": ("pinv", "drawn", True),
    "pinv, orthogonal start": ("pinv", "orthogonal", False),
    "pinv, orthogonal, its length": ("pinv", "orthogonal", True),
}
SCALED = ("plain ER, transpose", "plain ER, cg(1)", "sequential ER, transpose")
SCALES = (0.5, 1.0, 2.0)
RANKED = (
    "whole updates, pinv, penalty 3",
    "whole updates, transpose, penalty 3",
    "whole updates, pinv, no penalty",
    "whole updates, own fields, penalty 3",
    "plain ER, pinv",
    "plain ER, transpose",
    "sequential ER",
    "Adam",
)
#: Between plain and sequential ER: with plain ER's code and constant moves, and its fixed factor.
AS_PLAIN: dict[str, Any] = {"code": 1.0, "decline": False}
MAPS: dict[str, dict[str, Any]] = {
    "plain ER, pinv": {"inverse": "pinv"},
    "plain ER, transpose": {"inverse": "transpose"},
    "sequential, as plain, factor 1": {"inverse": "transpose", **AS_PLAIN},
    "sequential, as plain, regressed factor": {"inverse": "transpose", **AS_PLAIN},
    "sequential ER": {"inverse": "transpose"},
}


@functools.lru_cache(maxsize=2)
def images(dataset: str, dtype: str = "float64") -> Dataset:
    """The data, images as rows."""
    return erlib.load(dataset, dtype=getattr(torch, dtype))


def network(
    data: Dataset,
    width: int,
    layers: int = LAYERS,
    *,
    seed: int = 0,
    start: str | float = "drawn",
    dtype: torch.dtype | None = None,
) -> ERNetwork:
    """The random network of a seed with so many hidden layers, its start changed or not.

    `start`: "drawn" (He's); "orthogonal", every singular value of a layer's weights the same;
    "shrinking", widths that fall in even steps; or a number that multiplies hidden weights.
    """
    inputs, classes = data.x_train[0].numel(), len(data.classes)
    widths = [width] * layers
    if start == "shrinking":
        widths = torch.linspace(min(inputs, 2 * width), classes, layers + 2).int().tolist()[1:-1]
    dtype = dtype or data.x_train.dtype
    net = ERNetwork.dense([inputs, *widths, classes], hidden_bias=True, dtype=dtype, seed=seed)
    for number, layer in enumerate(net.layers, 1):
        weight, hidden = layer.weight.detach(), number <= layers
        if start == "orthogonal":  # the nearest such matrix, times sqrt(2) as He's weights
            u, _, v = torch.linalg.svd(weight, full_matrices=False)
            layer.assign((2**0.5 if hidden else 1.0) * (u @ v), layer.bias.detach())
        elif isinstance(start, float) and hidden:
            layer.assign(start * weight, layer.bias.detach())
    return net


#: What the two figures of the appendix show, and what they call it.
RANKS_SHOWN = {
    "whole updates, pinv, penalty 3": "penalty 3, pseudo-inverse",
    "whole updates, transpose, penalty 3": "penalty 3, transpose",
    "whole updates, pinv, no penalty": "no penalty, pseudo-inverse",
    "plain ER, pinv": "mini-batches, plain ER",
}
MAPS_SHOWN = {
    "plain ER, transpose": "plain ER",
    "sequential, as plain, factor 1": "one by one",
    "sequential, as plain, regressed factor": "and length regressed",
    "sequential ER": "sequential ER",
}

#: Colours of the figures, by what a name contains; all else is the transpose, ER's blue.
COLOURS = {
    "Adam": plots.RED,
    "no penalty": plots.GREY,
    "damped": plots.YELLOW,
    "orthogonal": plots.DARK,
}
COLOURS |= {"shrinking": plots.GREY, "cg": plots.GREEN, "pinv": plots.PINK}


def looks(names: Iterable[str]) -> dict[str, dict]:
    """A colour for each name that contains an inverse of the family, the same in all figures.

    >>> looks(["plain ER, pinv"]) == {"plain ER, pinv": {"color": plots.PINK}}
    True
    """
    found = {name: [colour for key, colour in COLOURS.items() if key in name] for name in names}
    return {name: {"color": (colours or [plots.BLUE])[0]} for name, colours in found.items()}


def draw_depth(table: pd.DataFrame, data: str) -> tuple[Figure, pd.DataFrame]:
    """Error by depth, the median of the networks, for the two ends of the family and Adam."""
    middle = table.groupby(["arm", "layers"], as_index=False).error.median()
    figure, panels = plt.subplots(1, 2, figsize=(7, 2.6), sharey=True)
    for axes, method in zip(panels, METHODS):
        names = {f"{method}, pinv": "pseudo-inverse", f"{method}, transpose": "transpose"}
        names |= {"Adam": "Adam"}
        axes.set(title=f"{method}, {data}", xlabel="hidden layers", ylim=(1.5, 100))
        plots.log_scale(axes, "y")
        plots.lines(axes, middle, "layers", "error", names, looks=looks(names))
        axes.set_xticks(sorted(set(middle.layers)))
    panels[0].set(ylabel="test error in %")
    return figure, middle.pivot(index="arm", columns="layers", values="error")


def draw_length(growth: pd.DataFrame) -> Figure:
    """What is asked of the first layer over the last, by depth."""
    growth = growth.groupby(["inverse", "layers"], as_index=False).growth.median()
    figure, axes = plt.subplots(figsize=(4.6, 2.5))
    names = {"pinv": "pseudo-inverse", "transpose": "transpose"}
    names["pinv, orthogonal start"] = "pseudo-inverse,\northogonal weights"
    axes.set(yscale="log", xlabel="hidden layers", ylabel="asked: first / last layer,\nMNIST")
    plots.lines(axes, growth, "layers", "growth", names, by="inverse", looks=looks(names))
    return figure


def sheet(axes: Axes, table: Any, digits: int, most: float, overflow: float = 1e9) -> None:
    """Draw a table (pandas) as a heat map from 0 to `most`, its numbers in its cells.

    Numbers from `overflow` on are called so.
    """
    axes.imshow(table, vmin=0, vmax=most, cmap="Blues", aspect="auto")
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7}
    for place, values in enumerate(table.to_numpy().tolist()):
        for at, value in enumerate(values):
            text = f"{round(value, digits) + 0.0:.{digits}f}" if value < overflow else "overflow"
            axes.text(at, place, text, color="w" if value > 0.6 * most else "k", **style)
    axes.set_xticks(range(table.shape[1]), table.columns)
    axes.set_yticks(range(table.shape[0]), table.index)
    axes.grid(False)


def overflows(error: Exception) -> bool:
    """Whether a training ended because numbers got too large; any other error is a mistake."""
    linear = isinstance(error, torch.linalg.LinAlgError)
    return linear or "overflow" in str(error) or "NaN" in str(error)


# ---------------------------------------------------------------- the step


def family() -> list[dict]:
    """Mean angles, in degrees, of each answer to the pseudo-inverse's and to the transpose's.

    50 random changes of the fields, random weights of three `SHAPES`.
    """
    random, rows = torch.Generator().manual_seed(0), []
    found: dict[tuple[str, float], torch.Tensor]

    def draw(*shape):
        return torch.randn(shape, generator=random, dtype=torch.float64)

    for shape, (below, above) in SHAPES.items():
        weight, delta = draw(below, above) / below**0.5, draw(50, above)
        ends = {end: invert(delta, weight, method=end) for end in ("pinv", "transpose")}
        found = {
            ("steps", steps): invert(delta, weight, method="cg", steps=steps) for steps in STEPS
        }
        for damping in DAMPINGS:
            answer = invert(delta, weight, method="damped", damping=damping)
            found["damping", damping] = answer
        for (knob, value), answer in found.items():
            to = {f"to {end}": _angle(answer, other) for end, other in ends.items()}
            rows.append({"shape": shape, "knob": knob, "value": value, **to})
    return rows


def _angle(a: torch.Tensor, b: torch.Tensor) -> float:
    cosine = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
    return float(cosine.clamp(-1, 1).acos().rad2deg().mean())


def _cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a * b).sum() / (a.norm() * b.norm()))


@kept
def directions(
    *, dataset: str, start: str, seed: int, width: int, batch: int, dtype: str, few: int = 50
) -> list[dict]:
    """Cosines of a batch's changes with the gradient and the Gauss-Newton step, layer by layer.

    The negative gradient of half the squared error of the outputs; the Gauss-Newton step best
    corrects the outputs if this layer moves alone, with the same relative penalty. `start`: "as
    drawn", or "after a pass" of plain ER (transpose). Of `few` samples, because the Gauss-Newton
    step has a dense Jacobian; in float64. `size` is relative to the layer's weights.
    """
    data = images(dataset, dtype)
    net = network(data, width, seed=seed, dtype=torch.float64)
    x, y = data.x_train.flatten(1).double(), data.y_train
    if start == "after a pass":
        net.fit(x, y, passes=1, batch_size=batch, inverse="transpose", seed=seed)
    x = x[:few]
    observed = observed_outputs(y, len(data.classes), torch.float64)[:few]
    steepest = gradient_changes(net, x, observed, **GRADIENT)
    newton = gauss_newton_changes(net, x, observed, ridge=RIDGE)
    steps = {name: net.changes(x, observed, ridge=RIDGE, **how) for name, how in FAMILY.items()}
    steps |= {name: gradient_changes(net, x, observed, **how) for name, how in ONLY.items()}
    return [
        {
            "step": name,
            "layer": number,
            "to gradient": _cosine(changes[number - 1][0], steepest[number - 1][0]),
            "to Gauss-Newton": _cosine(changes[number - 1][0], newton[number - 1][0]),
            "size": float(changes[number - 1][0].norm() / layer.weight.detach().norm()),
        }
        for name, changes in steps.items()
        for number, layer in enumerate(net.layers, 1)
    ]


@kept
def along_the_step(*, dataset: str, seed: int, width: int, batch: int, dtype: str) -> list[dict]:
    """The training loss after a share of the changes by all data, over the loss before.

    From the network after a pass of plain ER (transpose), of all layers at once; for the two ends
    of the family also of the first layer alone and of those above it alone.
    """
    data = images(dataset, dtype)
    net, x, y = network(data, width, seed=seed), data.x_train, data.y_train
    net.fit(x, y, passes=1, batch_size=batch, inverse="transpose", seed=seed)
    observed = observed_outputs(y, len(data.classes), x.dtype)

    def loss(net):
        return float((net.decision_function(x).tanh() - observed).square().sum())

    before, rows = loss(net), []
    for name, settings in FAMILY.items():
        changes = net.changes(x, observed, ridge=RIDGE, **settings)
        for part in ("all layers", "first layer", "layers above"):
            if part != "all layers" and name not in ("pinv", "transpose"):
                continue
            for share in LINE:
                moved = copy.deepcopy(net)
                for index, (layer, change) in enumerate(zip(moved.layers, changes)):
                    if part == "all layers" or (index == 0) == (part == "first layer"):
                        layer.assign(*change, share=share)
                ratio = loss(moved) / before
                rows.append({"inverse": name, "moved": part, "share": share, "loss": ratio})
    return rows


@kept
def asked(
    *, dataset: str, inverse: str, layers: int, seed: int, width: int, dtype: str
) -> list[dict]:
    """Size of the change that 500 samples ask of the first layer's fields / of the last layer's.

    In the network as it begins; `inverse` is a key of `GROWTH`.
    """
    data, (name, start) = images(dataset, dtype), GROWTH[inverse]
    net, some = network(data, width, layers, seed=seed, start=start), slice(0, 500)
    _, fields = net.trace(data.x_train[some].flatten(1))
    wanted = net.targets(data.x_train[some], data.y_train[some], **FAMILY[name])
    sizes = [float((w - h.detach()).square().mean().sqrt()) for w, h in zip(wanted, fields)]
    return [{"growth": sizes[0] / sizes[-1]}]


# ---------------------------------------------------------------- training


def _updates_in_a_pass(n: int, size: int) -> int:
    """As the loops count them: a last batch that is less than half full is left out."""
    whole, rest = divmod(n, min(size, n))
    return whole + (2 * rest >= min(size, n))


def _adam(net, x, y, *, rate: float, passes: int, batch: int, seed: int) -> ERNetwork:
    step = backprop(net, rate=rate, updates=passes * _updates_in_a_pass(len(y), batch))
    return train(net, x, y, step, passes=passes, batch_size=batch, seed=seed)


@functools.lru_cache(maxsize=64)
def adam_rate(
    rates: tuple[float, ...],
    dataset: str,
    width: int,
    layers: int,
    passes: int,
    adam_batch: int,
    dtype: str,
) -> float:
    """The best of these rates for Adam, on a sixth of the training data that is held out."""
    data = images(dataset, dtype)

    def with_rate(rate, x, y):
        net = network(data, width, layers)
        return _adam(net, x, y, rate=rate, passes=passes, batch=adam_batch, seed=0)

    return choose(rates, with_rate, data.holdout(len(data.y_train) // 6, seed=0)).best


def _trained(
    method: str,
    inverse: str,
    net: ERNetwork,
    data: Dataset,
    *,
    seed: int,
    passes: int,
    batch: int,
    rate: float = 0.0,
) -> list[dict]:
    """Test accuracy and seconds after training `net`, a row."""
    began, diverged = clock(), False
    x, y = data.x_train, data.y_train
    settings: dict[str, Any] = {"passes": passes, "seed": seed, "batch_size": batch}
    try:
        if method == "plain ER":
            net.fit(x, y, ridge=RIDGE, **settings, **FAMILY[inverse])
        elif method == "Adam":
            _adam(net, x, y, rate=rate, passes=passes, batch=batch, seed=seed)
        else:
            settings["first_update"] = "smooth" in method
            sequential_fit(net, x, y, **settings, **FAMILY[inverse])
    except (ValueError, torch.linalg.LinAlgError) as error:
        if not overflows(error):
            raise
        diverged = True
    seconds = clock() - began
    accuracy = 1 / len(data.classes) if diverged else net.score(data.x_test, data.y_test)
    return [{"accuracy": accuracy, "diverged": diverged, "seconds": seconds}]


@kept
def by_inverse(
    *,
    dataset: str,
    arm: str,
    inverse: str,
    seed: int,
    width: int,
    passes: int,
    batch: int,
    dtype: str,
) -> list[dict]:
    """Two hidden layers trained by plain or sequential ER with an inverse of `FAMILY`."""
    data = images(dataset, dtype)
    net = network(data, width, seed=seed)
    return _trained(arm, inverse, net, data, seed=seed, passes=passes, batch=batch)


@kept
def at_depth(
    *,
    dataset: str,
    arm: str,
    layers: int,
    seed: int,
    width: int,
    passes: int,
    batch: int,
    adam_batch: int,
    adam_rates: tuple[float, ...],
    dtype: str,
) -> list[dict]:
    """So many hidden layers trained by an entry of `DEEP`; Adam's rate is chosen for each depth.

    An orthogonal start makes pseudo-inverse and transpose the same up to a constant, at first;
    shrinking widths and damping do without the smallest singular values; sequential ER does without
    the length of what is asked, but for its smooth start.
    """
    data, (method, inverse, start) = images(dataset, dtype), DEEP[arm]
    net = network(data, width, layers, seed=seed, start=start)
    more: dict[str, Any] = {"batch": batch}
    if method == "Adam":
        rate = adam_rate(tuple(adam_rates), dataset, width, layers, passes, adam_batch, dtype)
        more = {"batch": adam_batch, "rate": rate}
    return _trained(method, inverse, net, data, seed=seed, passes=passes, **more)


@kept
def of_equal_length(
    *,
    dataset: str,
    arm: str,
    layers: int,
    seed: int,
    width: int,
    passes: int,
    batch: int,
    dtype: str,
) -> list[dict]:
    """So many hidden layers trained by plain ER with an entry of `EQUAL`.

    "Its length": what an inverse asks of a layer's fields is multiplied by one number a batch, so
    that it is as large as what the transpose asks for there. So only the direction differs.
    """
    data, (inverse, start, rescaled) = images(dataset, dtype), EQUAL[arm]
    net = network(data, width, layers, seed=seed, start=start)
    try:
        equal_length_fit(net, data, inverse, rescaled, passes=passes, batch=batch, seed=seed)
    except (ValueError, torch.linalg.LinAlgError) as error:
        if not overflows(error):
            raise
        return [{"accuracy": 1 / len(data.classes), "diverged": True}]
    return [{"accuracy": net.score(data.x_test, data.y_test), "diverged": False}]


@torch.no_grad()
def equal_length_fit(
    net: ERNetwork,
    data: Dataset,
    inverse: str,
    rescaled: bool,
    *,
    passes: int,
    batch: int,
    seed: int,
) -> None:
    """`ERNetwork.fit`, but if `rescaled` each wish is as long as the transpose's."""
    x, y = data.x_train.flatten(1), data.y_train
    for part in minibatches(len(x), batch, passes, seed):
        inputs, fields = net.trace(x[part])
        wanted = net.targets(x[part], y[part], **FAMILY[inverse])
        others = net.targets(x[part], y[part], **FAMILY["transpose"]) if rescaled else wanted
        changes = []
        for below, h, h_star, other in zip(inputs, fields, wanted, others):
            length = (other - h).norm() / (h_star - h).norm() if rescaled else 1.0
            changes.append(regress(below, length * (h_star - h), ridge=RIDGE))
        for layer, change in zip(net.layers, changes):
            layer.assign(*change, share=1 / len(net.layers))


@kept
def from_other_starts(
    *, dataset: str, arm: str, seed: int, width: int, passes: int, batch: int, dtype: str
) -> list[dict]:
    """Four hidden layers trained by an entry of `SCALED`, hidden weights multiplied by `SCALES`.

    What the transpose asks for has the length of the products of weights; one conjugate-gradient
    step scales itself for each sample, and sequential ER regresses the scale.
    """
    data, (method, inverse) = images(dataset, dtype), arm.split(", ")
    rows = []
    for scale in SCALES:
        net = network(data, width, 4, seed=seed, start="drawn" if scale == 1 else scale)
        found = _trained(method, inverse, net, data, seed=seed, passes=passes, batch=batch)
        rows += [{"hidden weights times": scale} | row for row in found]
    return rows


@kept
def on_the_map(
    *,
    dataset: str,
    arm: str,
    share: float,
    ridge: float,
    seed: int,
    width: int,
    passes: int,
    batch: int,
    dtype: str,
) -> list[dict]:
    """Accuracy of an entry of `MAPS` at a share and a penalty, and whether it overflowed.

    `dead` is the part of a hidden layer's units that are silent for all test images, in the layer
    where it is largest. Between plain and sequential ER are several differences; "sequential, as
    plain" has plain ER's code and constant moves, with a fixed or with the regressed factor.
    """
    data = images(dataset, dtype)
    net, x, y = network(data, width, seed=seed), data.x_train, data.y_train
    settings: dict[str, Any] = {"passes": passes, "batch_size": batch, "share": share}
    settings |= {"ridge": ridge, "seed": seed, **MAPS[arm]}
    try:
        if arm.startswith("plain"):
            net.fit(x, y, **settings)
        else:
            variant = Variant(factor=1.0 if arm.endswith("factor 1") else None)
            variant_fit(net, x, y, variant, first_update=False, **settings)
    except (ValueError, torch.linalg.LinAlgError) as error:
        if not overflows(error):
            raise
        return [{"accuracy": 1 / len(data.classes), "diverged": True, "dead": None}]
    fields = net.trace(data.x_test.flatten(1))[1][:-1]
    dead = [float((h <= 0).all(0).double().mean()) for h in fields]
    accuracy = net.score(data.x_test, data.y_test)
    return [{"accuracy": accuracy, "diverged": False, "dead": max(dead)}]


@kept
def ranks(
    *,
    dataset: str,
    arm: str,
    seed: int,
    width: int,
    updates: int,
    passes: int,
    batch: int,
    adam_batch: int,
    adam_rates: tuple[float, ...],
    dtype: str,
) -> list[dict]:
    """Effective rank of every hidden layer, and accuracy, after each of the first updates.

    Of the outputs of 500 test images. Whole updates are with all data, penalty 3 is that of
    notebook 04, on the weights themselves; "own fields" regresses hidden layers on the fields that
    they have, without labels. If the weights overflow, up to the last update before.
    """
    data = images(dataset, dtype)
    net, rows = network(data, width, seed=seed), []
    x, y, some = data.x_train, data.y_train, data.x_test[:500].flatten(1)

    def watch(update):
        if update <= updates:
            accuracy = net.score(data.x_test, data.y_test)
            for layer, field in enumerate(net.trace(some)[1][:-1], 1):
                rank = effective_rank(torch.relu(field.detach()))
                found = {"updates": update, "layer": layer, "rank": rank, "accuracy": accuracy}
                rows.append(found)

    def whole_updates():
        inverse = "transpose" if "transpose" in arm else "pinv"
        for update in range(1, updates + 1):
            targets = net.targets(x, y, inverse=inverse)
            if "own fields" in arm:
                own = [h.detach() for h in net.trace(x.flatten(1))[1]]
                targets = [*own[:-1], targets[-1]]
            net.sweep(x, targets, ridge=3.0 if "penalty 3" in arm else 0.0)
            watch(update)

    watch(0)
    settings: dict[str, Any] = {"passes": -(-updates * batch // len(y)), "batch_size": batch}
    settings |= {"seed": seed, "watch": watch}
    try:
        if arm.startswith("whole updates"):
            whole_updates()
        elif arm.startswith("plain ER"):
            net.fit(x, y, inverse=arm.split(", ")[1], ridge=RIDGE, **settings)
        elif arm == "sequential ER":
            sequential_fit(net, x, y, inverse="transpose", first_update=False, **settings)
        else:
            rate = adam_rate(tuple(adam_rates), dataset, width, LAYERS, passes, adam_batch, dtype)
            train(net, x, y, backprop(net, rate=rate), **settings)
    except (ValueError, torch.linalg.LinAlgError) as error:
        if not overflows(error):
            raise
    return rows
