"""What ER and Adam cost on more samples, wider and deeper networks, more machines: notebook 12.

A cost model counts operations and what is sent (`operations`, `sent`); `fitted` finds its
constants, seconds for each operation, from the rows of ``benchmarks/scale.py``.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from scipy.optimize import nnls

from .. import streamed
from ..deform import deformations
from ..network import ERNetwork
from ..notebook import plots
from ..notebook.kept import kept
from ..notebook.published import published
from ..streams import Deformed
from .training import images

METHODS = ("one update", "Adam")
NAMES = {"one update": "one update of ER", "sequential ER": "sequential ER", "Adam": "Adam"}
LOOKS = {"one update": plots.look("ER"), "Adam": plots.look("Adam")}
LOOKS["sequential ER"] = plots.look("sequential ER")
PIXELS, CLASSES, BATCH = 784, 10, 128


def measured(what: str) -> pd.DataFrame:
    """Rows of ``results/benchmarks/scale.csv``: what was varied is samples, width or depth.

    ``added``, memory in MiB beyond the data and libraries, is at least 1.
    """
    rows = published("benchmarks/scale").query("what == @what")
    added = (rows.peak_mib - rows.start_mib).clip(lower=1)
    order = ["method", "deformed", "width", "depth", "samples"]
    return rows.assign(added=added).sort_values(order, ignore_index=True)


def sizes_of(width: int, depth: int = 1) -> list[int]:
    """Units of the layers: images of MNIST, hidden layers of one width, ten classes."""
    return [PIXELS, *[width] * depth, CLASSES]


def operations(
    method: str, sizes: Sequence[int], samples: float, deformed: bool = False
) -> dict[str, float]:
    r"""How often each kind of operation is done, for one update of ER or one pass of Adam.

    With widths :math:`d_0 \dots d_L` and n samples, one update reads the samples L times, and layer
    l needs sums of :math:`n d_{l-1} (d_{l-1} + d_l)` products and a solution of
    :math:`d_{l-1}^3 / 3`; each but the first is inverted, in :math:`d_{l-1} d_l` times the smaller
    of both. ``products`` are those of fields and of what is handed down. Adam reads the samples
    once, has three products for each weight but two in the first layer, and changes all weights at
    each of n / 128 steps.

    >>> once = operations("one update", [784, 1000, 10], 60_000)
    >>> f"{once['sums']:.3g} products are summed, {once['solution']:.2g} solve"
    '1.45e+11 products are summed, 1.1e+09 solve'
    """
    pairs = list(itertools.pairwise(sizes))
    weights = sum(below * above for below, above in pairs)
    if method == "Adam":
        products = 3 * weights - sizes[0] * sizes[1]
        found = {"reading": samples, "products": samples * products}
        found["steps"] = samples / BATCH * weights
    else:
        upward = sum(weights + sum(a * b for a, b in pairs[:at]) for at in range(len(pairs)))
        downward = sum(a * b for at in range(len(pairs)) for a, b in pairs[at + 1 :])
        found = {"reading": samples * len(pairs), "products": samples * (upward + downward)}
        found["sums"] = samples * sum(below * (below + above) for below, above in pairs)
        found["solution"] = sum(below**3 / 3 + below**2 * above for below, above in pairs)
        found["inverse"] = sum(below * above * min(below, above) for below, above in pairs[1:])
    return found | {"deforming": found["reading"] * deformed}


def sent(method: str, sizes: Sequence[int], samples: float, batch: int = BATCH) -> float:
    """Bytes that each of several machines adds up with the others, for one update or one pass.

    ER sends its sums, in float64, once a layer; gradient descent its gradients, in float32, once a
    batch.

    >>> er, adam = (sent(method, [784, 1000, 10], 60_000) for method in METHODS)
    >>> f"{er / 1e6:.0f} MB, {adam / 1e6:.0f} MB"
    '19 MB, 1489 MB'
    """
    pairs = list(itertools.pairwise(sizes))
    if method == "Adam":
        return samples / batch * 4 * sum(below * above for below, above in pairs)
    return 8.0 * sum((d + 1) * (d + 1 + above) for d, above in pairs)


def _counted(rows: pd.DataFrame, method: str) -> pd.DataFrame:
    given = rows[["method", "width", "depth", "samples", "deformed"]].itertuples(index=False)
    counted = [
        {"solution": operations(method, [width, CLASSES], 0)["solution"]}
        if what == "solution"
        else operations(method, sizes_of(width, depth), n, bool(made))
        for what, width, depth, n, made in given
    ]
    return pd.DataFrame(counted, index=rows.index).fillna(0.0)


def fitted(rows: pd.DataFrame, method: str) -> pd.Series:
    """Seconds for each kind of operation, none below 0, of least squares of relative errors.

    Those of solutions alone (method "solution") belong to one update.
    """
    rows = rows[rows.method.isin([method, *["solution"] * (method == "one update")])]
    counted = _counted(rows, method)
    largest = counted.max()
    relative = (counted / largest).div(rows.seconds, axis=0)
    constants, _ = nnls(relative.to_numpy(), np.ones(len(rows)))
    return pd.Series(constants, counted.columns) / largest


def predicted(rows: pd.DataFrame, method: str, constants: pd.Series) -> pd.Series:
    """Seconds of one thread by the cost model, for rows as those of `measured`."""
    counted = _counted(rows, method).reindex(columns=constants.index, fill_value=0.0)
    return counted @ constants


def on_machines(
    constants: pd.Series,
    sizes: Sequence[int],
    samples: float,
    machines: int,
    *,
    bandwidth: float,
    batch: int | None = None,
) -> dict[str, float]:
    """Seconds by so many machines of one thread: of one update, or with a `batch` of Adam's pass.

    What depends on samples is divided. Each solves and inverts for itself (``solution``), and so
    are Adam's steps. Sums, or the gradients of each batch, travel twice (together and back) at
    `bandwidth` bytes a second.
    """
    method = "one update" if batch is None else "Adam"
    counted = pd.Series(operations(method, sizes, samples))
    each = counted * constants.reindex(counted.index)
    if batch is None:
        alone = each.pop("solution") + each.pop("inverse")
    else:
        alone = each.pop("steps") * BATCH / batch
    travel = 2 * sent(method, sizes, samples, batch or BATCH) / bandwidth if machines > 1 else 0.0
    return {"samples": each.sum() / machines, "solution": alone, "messages": travel}


@kept
def one_update_of(*, dataset: str, width: int, samples: int, seed: int) -> list[dict]:
    """Test accuracy of one update from so many deformed images, read from a stream."""
    data = images(dataset, "float32")
    sizes = [data.x_train[0].numel(), width, len(data.classes)]
    net = ERNetwork.dense(sizes, dtype=torch.float32, seed=seed)
    stream = Deformed(data.x_train, data.y_train, samples, 1024, change=deformations, seed=seed)
    streamed.one_update(net, stream)
    return [{"accuracy": net.score(data.x_test, data.y_test)}]


def draw_costs(axes: Axes, rows: pd.DataFrame, x: str, y: str) -> None:
    """`y` against `x` for both methods, on logarithmic axes, a dot a measured point."""
    for method in METHODS:
        part = rows[rows.method == method].sort_values(x)
        axes.plot(part[x], part[y], "o-", markersize=4, label=NAMES[method], **LOOKS[method])
    axes.set(xscale="log")
    plots.log_scale(axes, "y")
    if rows[x].max() < 10:
        axes.set_xticks(sorted({*rows[x]}), sorted({*rows[x]}))
        axes.set_xticks([], minor=True)


def draw_growth(axes: Axes, rows: pd.DataFrame, x: str, names: bool = True) -> None:
    """Test error against deformed images or seconds (`x`): one update of each width, and the others
    of 1,000 units."""
    rows = rows[rows.deformed.astype(bool)]
    ends = []
    for (method, width), part in rows.groupby(["method", "width"]):
        part, once = part.sort_values("samples"), method == "one update"
        strength = {300: 0.45, 1000: 0.7}.get(int(str(width)), 1.0) if once else 1.0
        style = LOOKS[str(method)] | {"alpha": strength}
        axes.plot(part[x], part.error, "o-", markersize=4, **style)
        name = f"{NAMES[str(method)]}, {width:,} units"
        ends.append((part.error.iloc[-1], part[x].iloc[-1], name, style["color"]))
    axes.set(xscale="log")
    plots.log_scale(axes, "y")
    below = 0.0
    for error, end, name, color in sorted(ends) if names else []:
        up = 5 if error < 1.08 * below else 0  # names of nearly equal ends, one above the other
        plots.label_end(axes, name, end, error, color, up=up)
        below = error


CONTROLS = {
    "random features": "random, readout regressed",
    "random features, settled": "random, readout settled",
    "one update, shuffled labels": "told shuffled labels",
    "one update": "one update",
    "one update, penalty 30": "ten times the penalty",
    "one update, penalty 0.3": "a tenth of it",
    "three updates": "three updates",
    "one update, settled": "one update, readout settled",
    "sequential ER": "sequential ER",
    "Adam": "Adam",
}


def draw_controls(left: Axes, right: Axes, rows: pd.DataFrame) -> None:
    """Test errors of what one update is made of, for few and for many deformed images.

    An arrow from the fewest to the most; left on upright test images, right on deformed ones.
    """
    rows = rows.assign(changed=100 * (1 - rows.deformed_accuracy))
    places = [number + 0.6 * (number // 2) for number in range(len(CONTROLS))]  # in pairs
    for axes, column in ((left, "error"), (right, "changed")):
        for place, method in zip(places, CONTROLS):
            own = rows[rows.method == method].sort_values("samples")
            looks = LOOKS.get(method, LOOKS["one update"])
            color = plots.GREY if "random" in method else looks["color"]
            few, many = own[column].iloc[0], own[column].iloc[-1]
            arrow: dict[str, Any] = {"arrowstyle": "-|>", "color": color, "linewidth": 1.5}
            axes.annotate("", (many, place), (few, place), arrowprops=arrow)
            axes.plot(few, place, "o", color=color, markersize=4)
        axes.set_yticks(places, CONTROLS.values())
        axes.set_ylim(places[-1] + 0.5, -0.5)
        axes.set_xlim(left=0)


#: What benchmarks/shards.py measures, and its name with the size of its batches.
PROCESSES = {
    "one update": "one update",
    "sequential": "sequential ER, batches of {}",
    "sequential, batches alone": "the same, batches of {} alone",
    "Adam": "Adam, batches of {}",
}


def pairs(rows: pd.DataFrame) -> pd.DataFrame:
    """Seconds by one and by two processes, a row a pair of runs, and what each process sends (MB).

    ``name`` is the method with the size of its batches; "batches alone" is sequential ER without
    its first update. Nothing is counted for sequential ER, whose messages are of many kinds.
    """
    keys = ["what", "batch", "repeat"]
    found = rows[rows.samples == 60_000].pivot_table("seconds", keys, "processes").reset_index()
    names, megabytes = [], []
    for what, batch in zip(found["what"], found["batch"]):
        names.append(PROCESSES[what].format(f"{batch:,}"))
        known = not what.startswith("sequential")
        megabytes.append(sent(what, sizes_of(2000), 60_000, batch) / 1e6 if known else None)
    found = found.rename(columns={1: "one", 2: "two"}).assign(name=names, sent=megabytes)
    order = found["what"].map(list(PROCESSES).index)
    return found.assign(order=order).sort_values(["order", "batch"], ignore_index=True)


def draw_processes(axes: Axes, rows: pd.DataFrame) -> None:
    """How many times as fast two processes are as one, a dot a pair of runs."""
    found = pairs(rows)
    ratios = (found.one / found.two).groupby(found.name, sort=False).apply(list)
    kinds = found.drop_duplicates("name").set_index("name").what
    looks = {kind: LOOKS.get(kind, LOOKS["sequential ER"]) for kind in PROCESSES}
    plots.bars(axes, dict(ratios), {name: looks[kind] for name, kind in kinds.items()})
