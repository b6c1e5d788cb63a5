"""Sequential ER taken apart: notebook 05.

One network 784-N-10 (ReLU, a bias everywhere) is trained on some of the training images of a data
set, and judged on a sixth of these that no setting was chosen on.
"""

import functools
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure

import erlib

from ..baselines import backprop, foof, train
from ..batches import minibatches
from ..coding import observed_outputs
from ..data.named import Dataset
from ..network import ERNetwork
from ..notebook import plots
from ..notebook.kept import kept
from ..notebook.published import published
from ..notebook.tables import gains
from ..reflect import reflected
from ..regress_batch import Found, regress_batch
from ..sequential import Variant, reflection, sequential_fit, variant_fit
from .grid import over

#: A part taken back: what sequential ER is then called with.
WITHOUT: dict[str, dict] = {
    "sequential ER": {},
    "no smooth start": {"first_update": False},
    "no decline": {"decline": False},
    "code 1": {"code": 1.0},
    "small penalty (0.3)": {"ridge": 0.3},
    "transpose": {"inverse": "transpose"},
    "pinv, fixed factor 1": {},
    "transpose, fixed factor 1": {"inverse": "transpose"},
}
#: What is wanted of the output fields, in place of the ratio: a change of the fields.
SCALES = {f"{size} (one-hot − softmax)": size for size in (1, 3, 10, 30)}
INSTEAD = ("T − A", "T − H", *SCALES)
ORDERS = {"transpose, first to last": "first to last", "transpose, all at once": "at once"}
STEPS = ("gradient step", "gradient step, 1 / penalty")  # in place of the regression
AT_ONCE = ("plain ER, all else the same, share 1", "plain ER, all else the same", "plain ER")
#: What each part is worth: the points lost from the second to the first, the first without it.
PARTS = {
    "regression (gradient step)": ("gradient step", "sequential ER"),
    "soft outputs (±1, not ±0.8)": ("code 1", "sequential ER"),
    "regressed length (1, pinv)": ("pinv, fixed factor 1", "sequential ER"),
    "regressed length (1, transpose)": ("transpose, fixed factor 1", "transpose"),
    "regressed length (10, pinv)": ("pinv, fixed factor 10", "sequential ER"),
    "regressed length (10, transpose)": ("transpose, fixed factor 10", "transpose"),
    "large penalty (0.3, not 10)": ("small penalty (0.3)", "sequential ER"),
    "first update": ("no smooth start", "sequential ER"),
    "decline": ("no decline", "sequential ER"),
    "pseudo-inverse (transpose)": ("transpose", "sequential ER"),
    "ratio (T − A)": ("T − A", "sequential ER"),
    "order of layers (all at once, length 1)": (
        "plain ER, all else the same, share 1",
        "transpose, fixed factor 1",
    ),
    "order of layers (first to last)": ("transpose, first to last", "transpose"),
    "order of layers (all at once)": ("transpose, all at once", "transpose"),
}
#: The parts drawn in notebook 05, named by what stands in their place there.
SHOWN = {
    "regression (gradient step)": "a gradient step, no regression",
    "soft outputs (±1, not ±0.8)": "outputs ±1, not ±0.8",
    "regressed length (1, pinv)": "length 1, not regressed",
    "regressed length (10, pinv)": "length 10, not regressed",
    "ratio (T − A)": "a difference, no ratio",
    "pseudo-inverse (transpose)": "the transpose, no inverse",
}
LOOKS = {
    text: {"color": plots.BLUE if place < 3 else plots.GREY}
    for place, text in enumerate(SHOWN.values())
}
#: All that `ablated` knows, in the order of the published tables.
ALL: tuple[str, ...] = (*WITHOUT, *INSTEAD, *STEPS, *AT_ONCE, "Adam", "FOOF", *ORDERS)
#: What the quick run of the notebook compares.
FEW: tuple[str, ...] = tuple(
    dict.fromkeys(arm for part in SHOWN for arm in PARTS[part] if arm in ALL)
)


@functools.lru_cache(maxsize=2)
def images(dataset: str, dtype: str = "float64") -> Dataset:
    """Training images without a sixth of them, which are the test images here."""
    data = erlib.load(dataset, dtype=getattr(torch, dtype))
    return data.holdout(len(data.y_train) // 6, seed=1)


def network(data: Dataset, *hidden: int, seed: int = 0) -> ERNetwork:
    """The random network of a seed with these hidden widths."""
    sizes = [data.x_train[0].numel(), *hidden, len(data.classes)]
    return ERNetwork.dense(sizes, hidden_bias=True, dtype=data.x_train.dtype, seed=seed)


def weights_of(net: ERNetwork) -> list[torch.Tensor]:
    """Copies of W and b of each layer, first layer first."""
    pairs = ((layer.weight, layer.bias) for layer in net.layers)
    return [part.detach().clone() for pair in pairs for part in pair]


def lost(rows: list[dict]) -> dict[str, list[float]]:
    """Points of accuracy lost without each part (`PARTS`) that rows have, one for each seed."""
    return {
        part: [-100 * gain for gain in gains(rows, without, over=whole)]
        for part, (without, whole) in PARTS.items()
        if {without, whole} <= {row["arm"] for row in rows}
    }


def as_arms(fixed: list[dict], factor: float) -> list[dict]:
    """Rows of `with_factor` (run over inverse and factor) at one factor, named as in `PARTS`."""
    rows = [row for row in fixed if row["factor"] == factor]
    return [{**row, "arm": f"{row['inverse']}, fixed factor {factor:g}"} for row in rows]


def published_losses(table: str) -> dict[str, list[float]]:
    """`lost` by the published ablation of notebook 05, `table`, and by the lengths fixed there."""
    other = f"{table}{'_' if '.' in table else '.'}lengths"
    rows = [published(f"{name}.ablation").to_dict("records") for name in (table, other)]
    fixed = as_arms(published(f"{other}.factors").to_dict("records"), 10)
    return lost([*rows[1], *fixed]) | lost(rows[0])


def heat_maps(data: Dataset, x: torch.Tensor, maps: dict[str, torch.Tensor]) -> Figure:
    """Images, a row each, and beside them what is wanted of their ten fields, a map a title."""
    height, width = data.x_train.shape[-2:]
    widths = [0.45, *[2.0] * (len(maps) - 1), 2.4]
    figure, (first, *axes) = plt.subplots(
        1, len(widths), figsize=(1.1 + 2 * len(maps), 2.6), width_ratios=widths
    )
    first.imshow(x.reshape(len(x) * height, width), cmap="gray_r", aspect="auto")
    first.set(xticks=[])
    for each, (title, field) in zip(axes, maps.items()):
        drawn = each.imshow(field, vmin=-2, vmax=2, aspect="auto")
        each.set_title(title, fontsize=8)
        each.set(xlabel="class", xticks=range(10))
        each.grid(False)
    plt.setp((first, *axes), yticks=[])
    figure.colorbar(drawn, ax=axes[-1], label="change wanted")
    return figure


def soft(labels: torch.Tensor, like: torch.Tensor, size: float = 0.8) -> torch.Tensor:
    """Observed outputs: `size` for the class of an image, -`size` for the nine others."""
    return size * observed_outputs(labels, 10, like.dtype)


@kept
def ablated(
    *,
    dataset: str,
    arm: str,
    seed: int,
    width: int,
    images: int,
    passes: int,
    batch: int,
    er_batch: int,
    adam_rate: float = 0.003,
    foof_rate: float = 10.0,
    foof_ridge: float = 10.0,
    dtype: str = "float64",
) -> list[dict]:
    """Validation accuracy of sequential ER with one part taken back or replaced (`ALL`).

    * no smooth start: the hidden layer starts as it was drawn, without the first update; no
      decline; code 1: observed outputs of ±1; small penalty: that of plain ER; transpose: in place
      of the pseudo-inverse; fixed factor 1: hidden layers move by their regression as it is;
    * T − A (the delta rule), T − H (least squares on the fields), one-hot − softmax times a number
      (the negative gradient of the cross-entropy): in place of the ratio;
    * gradient step: in place of the regression, of the best length for the batch, or divided by the
      penalty;
    * first to last: layers take turns in the other order; all at once: each is asked for all of
      the wish (`in_order`); their lengths are regressed as ever;
    * plain ER, all else the same: layers that move all at once, by the share 1/2 or 1, with
      penalty, batches, observed outputs, start and decline of sequential ER, and the transpose;
    * plain ER as `ERNetwork.fit` has it, with batches of `er_batch`; Adam and FOOF, at
      the rates chosen in notebook 06 on all of MNIST (Adam's is that of Fashion-MNIST, too).

    All see the images equally often: the first update counts as a pass.
    """
    data = _images(dataset, dtype)
    x, y = data.x_train[:images], data.y_train[:images]
    net = network(data, width, seed=seed)
    settings: dict[str, Any] = {"passes": passes - 1, "batch_size": batch, "seed": seed}
    if arm == "plain ER":
        net.fit(x, y, passes=passes, batch_size=er_batch, seed=seed)
    elif arm.startswith("plain ER"):
        at_once(net, x, y, share=1.0 if arm.endswith("share 1") else 0.5, **settings)
    elif arm in ORDERS:
        in_order(net, x, y, ORDERS[arm], **settings)
    elif arm in STEPS:
        regression = gradient_step if arm == "gradient step" else penalised_step
        variant_fit(net, x, y, Variant(regression=regression), **settings)
    elif arm in WITHOUT:
        fixed = Variant(factor=1.0) if arm.endswith("fixed factor 1") else Variant()
        variant_fit(net, x, y, fixed, **settings | WITHOUT[arm])
    elif arm in INSTEAD:
        variant_fit(net, x, y, Variant(wanted=wanted_instead(arm)), **settings)
    else:
        updates = passes * len(minibatches(len(x), batch, 1, seed))
        by = {
            "Adam": lambda: backprop(net, rate=adam_rate, updates=updates),
            "FOOF": lambda: foof(net, rate=foof_rate, ridge=foof_ridge, updates=updates),
        }
        train(net, x, y, by[arm](), passes=passes, batch_size=batch, seed=seed)
    return [{"accuracy": net.score(data.x_test, data.y_test)}]


_images = images  # `ablated` has an argument of this name


@kept
def with_factor(
    *,
    dataset: str,
    factor: float,
    seed: int,
    width: int,
    images: int,
    passes: int,
    batch: int,
    inverse: str = "pinv",
    dtype: str = "float64",
) -> list[dict]:
    """Validation accuracy of sequential ER, its hidden layer's length not regressed but a factor.

    All else is as it is, the decline too. A training that overflows counts as chance.
    """
    data = _images(dataset, dtype)
    x, y = data.x_train[:images], data.y_train[:images]
    net, settings = network(data, width, seed=seed), {"batch_size": batch, "inverse": inverse}
    try:
        variant_fit(net, x, y, Variant(factor=factor), passes=passes - 1, seed=seed, **settings)
    except ValueError as error:
        if "overflows" not in str(error):
            raise
        return [{"accuracy": 1 / len(data.classes)}]
    return [{"accuracy": net.score(data.x_test, data.y_test)}]


def compared(
    *,
    hidden: int,
    seeds: list[int],
    parts: list[str],
    factors: list[float],
    er_batch: int,
    **common: Any,
) -> dict[str, list[dict]]:
    """All of notebook 05 that is recorded, a table each.

    The `parts` taken away; fixed lengths, `factors`, with both inverses; and the regressed length
    and the fixed 10 in narrower networks than `hidden`.
    """
    at: dict[str, Any] = {"seed": seeds, "width": hidden, **common}
    narrow = at | {"width": [10, 30]}
    rows = over(ablated, arm=parts, er_batch=er_batch, **at)
    fixed = over(with_factor, inverse=["pinv", "transpose"], factor=factors, **at)
    widths = over(ablated, arm=["sequential ER"], er_batch=er_batch, **narrow)
    tried = over(with_factor, inverse=["pinv"], factor=[10.0], **narrow)
    widths += as_arms(tried, 10)
    there = [
        row for row in [*rows, *as_arms(fixed, 10)] if row["arm"] in {w["arm"] for w in widths}
    ]
    widths += [{**row, "width": hidden} for row in there]
    return {"ablation": rows, "factors": fixed, "widths": widths}


def at_once(
    net: ERNetwork,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    passes: int,
    batch_size: int,
    seed: int,
    share: float,
) -> ERNetwork:
    """Plain ER with all but the order of layers and the regressed factor of sequential ER."""
    observed = soft(y, x)
    net.sweep(x, [net.targets(x, observed)[0], None], ridge=3.0)
    batches = minibatches(len(x), batch_size, passes, seed)
    for done, part in enumerate(batches):
        now = share * (1 - done / len(batches))
        step: dict[str, Any] = {"batch_size": len(part), "ridge": 10.0, "inverse": "transpose"}
        net.fit(x[part], observed[part], share=now, **step)
    return net


@torch.no_grad()
def in_order(
    net: ERNetwork,
    x: torch.Tensor,
    y: torch.Tensor,
    order: str,
    *,
    passes: int,
    batch_size: int,
    seed: int,
) -> ERNetwork:
    """Sequential ER with the transpose (dense, ReLU), its layers in another order.

    "last to first" is the method itself. "at once": each layer is asked for all of the wish, the
    length of each hidden one is regressed by itself, and one length of all together, as joint ER
    does it.
    """
    x, observed = x.flatten(1), soft(y, x)
    net.sweep(x, [*net.targets(x, observed, inverse="transpose")[:-1], None], ridge=3.0)
    last, at_once = len(net.layers) - 1, order == "at once"
    batches = minibatches(len(x), batch_size, passes, seed)
    for done, part in enumerate(batches):
        inputs, fields = net.trace(x[part])
        on = [(h > 0).to(h.dtype) for h in fields]
        wanted = reflection(net.layers[-1].activation, fields[-1], observed[part])
        left, size = wanted, 1 - done / len(batches)
        moves, total = [], torch.zeros_like(wanted)
        for index in range(last + 1) if order == "first to last" else range(last, -1, -1):
            asked = left
            for above in range(last, index, -1):
                asked = on[above - 1] * (asked @ net.layers[above].weight.T)
            weight, bias, caused = regress_batch(inputs[index], asked, 10.0)
            assert bias is not None  # with an intercept
            for above in range(index + 1, last + 1):
                caused = (on[above - 1] * caused) @ net.layers[above].weight
            length = 1.0 if index == last else _length(caused, left)
            if at_once:
                moves.append((net.layers[index], length * weight, length * bias))
                total = total + length * caused
            else:
                net.layers[index].assign(weight, bias, share=size * length)
                left = left - size * length * caused
        for layer, weight, bias in moves:
            layer.assign(weight, bias, share=size * _length(total, wanted))
    return net


def _length(caused: torch.Tensor, wanted: torch.Tensor) -> float:
    """argmin over s >= 0 of |s caused - wanted|^2."""
    return max(0.0, float((caused * wanted).sum() / caused.square().sum().clamp_min(1e-30)))


def wanted_instead(name: str) -> Callable:
    """What is wanted of the output fields, in place of the ratio (`Variant.wanted`)."""
    if name == "T − A":
        return lambda fields, observed: observed - fields.tanh()
    if name == "T − H":
        return lambda fields, observed: observed - fields
    size = SCALES[name]
    return lambda fields, observed: size * ((observed > 0).to(fields.dtype) - fields.softmax(1))


def gradient_step(
    x: torch.Tensor, h: torch.Tensor, ridge: float, fit_intercept: bool = True
) -> Found:
    """In place of the regression: its negative gradient at 0, times the best length."""
    x_mean, h_mean = x.mean(0), h.mean(0)
    weight = (x - x_mean).T @ (h - h_mean)
    given = (x - x_mean) @ weight
    size = weight.square().sum() / given.square().sum().clamp_min(1e-30)
    return size * weight, h_mean - x_mean @ (size * weight), size * given + h_mean


def penalised_step(
    x: torch.Tensor, h: torch.Tensor, ridge: float, fit_intercept: bool = True
) -> Found:
    """In place of the regression: what is left of it when the penalty is all that counts."""
    x_mean, h_mean = x.mean(0), h.mean(0)
    penalty = ridge * (x - x_mean).square().sum() / x.shape[1]
    weight = (x - x_mean).T @ (h - h_mean) / penalty
    return weight, h_mean - x_mean @ weight, (x - x_mean) @ weight + h_mean


SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0, 1.2)


@kept
def overshoot(
    *,
    dataset: str,
    width: int,
    updates: int,
    batch: int,
    seed: int = 0,
    ridge: float = 0.3,
    code: float = 1.0,
    shares: tuple = SHARES,
) -> list[dict]:
    """What is left of the wanted change of a batch's output fields, by the share of the moves.

    In % of the wanted change, with the fields computed anew (not to first order). The network comes
    of so many updates by plain ER with the transpose, on 4,000 images, with this penalty and
    observed outputs of ± `code`. The batch is of other images; plain ER (all layers at once) and
    sequential ER get the same penalty, 10, and soft observed outputs.
    """
    data = images(dataset)
    x, y = data.x_train[:4000].flatten(1), soft(data.y_train[:4000], data.x_train, code)
    net = network(data, width, seed=seed)
    for part in minibatches(len(x), 500, 100, seed)[:updates]:
        net.fit(x[part], y[part], batch_size=500, ridge=ridge, inverse="transpose")
    x = data.x_test[:batch].flatten(1)
    observed = soft(data.y_test[:batch], x)
    before = [parameter.detach().clone() for parameter in net.parameters()]
    h = net.decision_function(x)
    wanted = reflected(h, observed, net.layers[-1].activation)

    def left(moves: list, share: float) -> float:
        for parameter, start, move in zip(net.parameters(), before, moves):
            parameter.data.copy_(start + share * move)
        return float(100 * (wanted - net.decision_function(x)).norm() / (wanted - h).norm())

    changes = net.changes(x, observed, ridge=10.0, inverse="transpose")
    # torch keeps the transpose of W
    moves = {"plain ER": [part for w, b in changes for part in (w.T, b)]}
    sequential_fit(net, x, observed, passes=1, batch_size=batch, first_update=False)
    now = [parameter.detach().clone() for parameter in net.parameters()]
    moves["sequential ER"] = [after - start for after, start in zip(now, before)]
    return [
        {"arm": arm, "share": share, "left": left(move, share)}
        for arm, move in moves.items()
        for share in shares
    ]


def overshoots(tables: dict[str, list[dict]], name: str) -> Figure:
    """Rows of `overshoot` after 0 and 80 updates, a panel a title; `name` is that of the data."""
    figure, panels = plt.subplots(1, len(tables), figsize=(8, 2.5), sharey=True)
    panels[0].set(ylim=(0, 150), ylabel=f"left of the wish, %\n(a batch of {name})")
    looks = {"0": {"color": plots.GREY}, "80": {"color": plots.BLUE}}
    for axes, (title, rows) in zip(panels, tables.items()):
        table = pd.DataFrame(rows).query("left < 145").astype({"updates": str})
        axes.axhline(100, color="0.6", linewidth=0.7, linestyle=":")
        axes.set_title(title, fontsize=9)
        axes.set(xlim=(0, 1.25), xlabel="share of all moves")
        names = {"0": "random\nnetwork", "80": "after\n80 updates"}
        names = names if axes is panels[-1] else dict.fromkeys(names, "")
        plots.lines(axes, table, "share", "left", names, by="updates", looks=looks)
    return figure
