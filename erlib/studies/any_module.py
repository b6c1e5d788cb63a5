"""Experiments with `erlib.ER`: five networks, ER beside Adam, in one loop."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
import torch
from matplotlib.axes import Axes
from torch import nn
from torch.func import functional_call
from torch.nn import functional

import erlib

from .. import checks
from ..arithmetic import own_arithmetic
from ..augment import shifts_and_flips
from ..batches import generator, minibatches
from ..checks import Array
from ..clock import clock
from ..coding import class_labels
from ..convolutional import convolutional
from ..data.named import Dataset
from ..er import ER
from ..linear_maps import Answer, LinearMap
from ..notebook import plots
from ..notebook.published import published
from ..notebook.tables import mean_interval
from ..progress import progress
from ..reflect import reflect
from ..regress import regress

METHODS = {"ER": "joint ER"}  # what a method of the tables is called
BATCH = 128
RATE = 0.0015  # Adam's, chosen on validation splits (results/benchmarks/cifar10_long.csv)
#: Adam's rates on digits: of 0.01, 0.03, 0.1 and of 0.001 to 0.03, by a validation split, 3 seeds.
LIVE_RATE = {"dense": 0.03, "residual": 0.01}
SHOWN = 5000  # training images of which the accuracy is told


class Residual(nn.Module):
    """Two convolutions with normalisation, and the input added to what they give."""

    def __init__(self, channels: int, wider: int) -> None:
        super().__init__()
        stride = 1 if channels == wider else 2
        self.inner = nn.Sequential(
            nn.Conv2d(channels, wider, 3, stride, 1, bias=False),
            nn.BatchNorm2d(wider),
            nn.ReLU(),
            nn.Conv2d(wider, wider, 3, 1, 1, bias=False),
            nn.BatchNorm2d(wider),
        )
        self.around: nn.Module = nn.Identity()
        if channels != wider:
            around = nn.Conv2d(channels, wider, 1, stride, bias=False)
            self.around = nn.Sequential(around, nn.BatchNorm2d(wider))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.inner(x) + self.around(x))


@torch.no_grad()
def network(name: str, images: torch.Tensor, classes: int, seed: int) -> nn.Module:
    """A new network for these images: ``dense``, ``wide``, ``small``, ``deeper``, ``residual``.

    ``dense`` and ``wide`` have a hidden layer of 500 and 2,000 ReLU units, ``small`` two
    convolutions with 16 and 32 channels, ``deeper`` three with 32, 64 and 128, ``residual`` eight
    in three residual blocks.
    Weights are Gaussian with variance 2 / d_in (the last: 1 / d_in), biases 0.

    >>> network("dense", torch.rand(3, 1, 8, 8), 10, seed=0)
    Sequential(
      (0): Flatten(start_dim=1, end_dim=-1)
      (1): Linear(in_features=64, out_features=500, bias=True)
      (2): ReLU()
      (3): Linear(in_features=500, out_features=10, bias=True)
    )
    """
    checks.choice("name", name, ("dense", "wide", "small", "deeper", "residual"))
    if name in ("small", "deeper"):
        channels = [16, 32] if name == "small" else [32, 64, 128]
        # in inference form: its normalisation stays that of the training images
        return convolutional(images, channels, classes, kernel=3, padding=1, seed=seed).eval()
    if name in ("dense", "wide"):
        units = 500 if name == "dense" else 2000
        parts: list[nn.Module] = [nn.Flatten(), nn.Linear(images[0].numel(), units), nn.ReLU()]
        parts.append(nn.Linear(units, classes))
    else:
        planes = images.shape[1]
        parts = [nn.BatchNorm2d(planes, affine=False), nn.Conv2d(planes, 16, 3, 1, 1, bias=False)]
        parts += [nn.BatchNorm2d(16), nn.ReLU(), Residual(16, 16), Residual(16, 32)]
        parts += [Residual(32, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes)]
    module, random = nn.Sequential(*parts), generator(seed)
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Conv2d)):
            variance = (1 if part is module[-1] else 2) / part.weight[0].numel()
            draw = torch.randn(part.weight.shape, generator=random, dtype=torch.float64)
            part.weight.copy_(draw * variance**0.5)
            if part.bias is not None:
                part.bias.zero_()
    return module.to(images.dtype)


class Trained(NamedTuple):
    """A network, its fractions of right classes after each pass, and the seconds of training."""

    module: nn.Module
    curve: list[float]
    training: float
    seconds: float

    @property
    def accuracy(self) -> float:
        return self.curve[-1]


@own_arithmetic
def trained(
    data: Dataset,
    name: str,
    method: str = "ER",
    *,
    passes: int,
    seed: int = 0,
    changed: bool = False,
    batch_size: int = BATCH,
    **settings: Any,
) -> Trained:
    """Train a new `network` on the training images, and tell how it does on the others.

    `method` is ``ER``, ``FOOF`` or ``Adam``, `settings` are theirs (`erlib.ER`, `Without`; `Foof`;
    `adam`). With `changed` each batch is moved by up to two pixels and mirrored anew. Seconds are
    those of the updates alone.
    """
    checks.choice("method", method, ("ER", "FOOF", "Adam"))
    x, y = data.x_train, data.y_train
    module = network(name, x, len(data.classes), seed)
    batches = minibatches(len(x), batch_size, passes, seed)
    augment = shifts_and_flips(shift=2, flip=True, seed=seed) if changed else None
    if method != "Adam":
        kind = Foof if method == "FOOF" else Without if "without" in settings else ER
        step = kind(module, updates=len(batches), **settings).step
    else:
        step = adam(module, len(batches), **settings)
    curve, seconds = [], 0.0
    for update, part in enumerate(progress(batches, f"{method}, {name}, {passes} passes"), 1):
        images = x[part] if augment is None else augment(x[part])
        begin = clock()
        step(images, y[part])
        seconds += clock() - begin
        if update % (len(batches) // passes) == 0:
            curve.append(accuracy(module, data.x_test, data.y_test))
    return Trained(module, curve, accuracy(module, x[:SHOWN], y[:SHOWN]), seconds)


#: What can be taken from `erlib.ER`, and what stands in its place then.
PARTS = {
    "ratio": "the difference of observed and predicted output is wanted of the fields",
    "regression": "each map moves along its gradient; lengths are regressed all the same",
    "d / n": "the penalty is that of `ridge` alone",
    "own lengths": "no answer has a length of its own; one for all is regressed",
    "common length": "each answer moves in its own length, 1 / maps of it",
    "decline": "moves stay as large to the end",
    "memory": "covariances of inputs, and gains, are those of one batch",
    "soft outputs": "observed outputs of +1 and -1",
}

#: What these are called in the figure.
PART_NAMES = {
    "regression": "regression (gradients instead)",
    "own lengths": "a length for each layer",
    "common length": "the length of all (a third instead)",
    "decline": "moves that shrink",
    "memory": "memory of earlier batches",
    "d / n": "the penalty d / n",
    "ratio": "the ratio (a difference instead)",
    "soft outputs": "outputs of ±0.8 (±1 instead)",
}


class Without(ER):
    """`erlib.ER` without one of its `PARTS`."""

    def __init__(self, module: nn.Module, *, without: str, **settings: Any) -> None:
        self.without = checks.choice("without", without, PARTS)
        changed = {"memory": {"memory": 0.0}, "soft outputs": {"code": 1.0}}
        super().__init__(module, **changed.get(without, {}) | settings)

    def penalty(self, linear: LinearMap) -> float:
        return self.ridge if self.without == "d / n" else super().penalty(linear)

    def _wanted(self, h: torch.Tensor, y: Array) -> torch.Tensor:
        wanted = super()._wanted(h, y)
        return wanted / self.output.factor(h) if self.without == "ratio" else wanted

    def _answer(self, linear: LinearMap, sums: list) -> Answer:
        if self.without != "regression":
            return super()._answer(linear, sums)
        change = [part / linear.count for part in sums]
        size = sum(float(part.square().sum()) for part in change)  # a gain is by this, then
        return Answer(change, linear.count * size, linear.count * size)

    def _length(self, index: int, answer: Answer) -> float:
        return 1.0 if self.without == "own lengths" else super()._length(index, answer)

    def _decline(self) -> float:
        return 1.0 if self.without == "decline" else super()._decline()

    def _together(self, caused: list[torch.Tensor], wanted: list[torch.Tensor]) -> float:
        if self.without == "common length":
            return 1 / len(self.maps)
        return super()._together(caused, wanted)


class Foof(ER):
    """FOOF for any module: the regressions of `erlib.ER`, asked for less cross-entropy.

    What is wanted of the output fields is one-hot labels less softmax, and every answer moves by
    `rate`, which declines as the moves of ER do. Covariances, their memory and the penalty are
    ER's: what remains between the two is what is wanted, and the lengths.
    """

    def __init__(self, module: nn.Module, *, rate: float, **settings: Any) -> None:
        super().__init__(module, share=checks.positive("rate", rate), **settings)

    def _wanted(self, h: torch.Tensor, y: Array) -> torch.Tensor:
        labels = class_labels(y, h.shape[1]).to(h.device)
        return functional.one_hot(labels, h.shape[1]).to(h) - h.softmax(1)

    def _look_at_gain(self, index: int, x: torch.Tensor, answer: Answer, part: float) -> None:
        self.gains[index] = 1.0  # no length is regressed

    def _length(self, index: int, answer: Answer) -> float:
        return 1.0

    def _caused(self, x: torch.Tensor, changes: dict[LinearMap, list]) -> list[torch.Tensor]:
        return []

    def _together(self, caused: list[torch.Tensor], wanted: list[torch.Tensor]) -> float:
        return 1.0


def adam(module: nn.Module, updates: int, rate: float = RATE, smoothing: float = 0.0):
    """The step of Adam on the cross-entropy, its rate declining linearly to 0.

    Labels may be softened: `smoothing` of the probability is shared by all classes.
    """
    optimiser = torch.optim.Adam(module.parameters(), checks.positive("rate", rate))
    decline = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda done: 1 - done / updates)

    def step(x, y):
        optimiser.zero_grad()
        functional.cross_entropy(module(x), y, label_smoothing=smoothing).backward()
        optimiser.step()
        decline.step()

    return step


@torch.no_grad()
def accuracy(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """The fraction of images whose class is right, of the module in inference form."""
    training = module.training
    module.eval()
    right = sum(
        int((module(x[i : i + 500]).argmax(1) == y[i : i + 500]).sum())
        for i in range(0, len(y), 500)
    )
    module.train(training)
    return right / len(y)


def by_pass(rows: pd.DataFrame) -> pd.DataFrame:
    """The curves of a table of benchmarks/any_module.py: a row a pass, with its error in %."""
    found = [
        {
            "arm": METHODS.get(row.method, row.method),
            "seed": row.seed,
            "passes": number,
            "error": 100 * (1 - float(right)),
        }
        for row in rows.itertuples()
        for number, right in enumerate(row.curve.split(), 1)
    ]
    return pd.DataFrame(found)


def beside_adam(passes: int) -> pd.DataFrame:
    """Test errors in % of joint ER and Adam on CIFAR-10, network ``deeper``: a row a seed of both.

    From the committed tables. Where Adam was not run beside joint ER, its row is that of
    benchmarks/cifar10_long.py: the same network, images and rate.
    """
    rows = published("benchmarks/any_module").query("part == 'test' and data == 'cifar10-jpeg'")
    older = published("benchmarks/cifar10_long").query("part == 'test' and method == 'Adam'")
    rows = pd.concat([rows[rows.network == "deeper"], older])
    rows = rows[rows.passes == passes].drop_duplicates(["method", "seed"])
    return (
        rows.pivot(index="seed", columns="method", values="error")
        .rename(columns=METHODS)[["joint ER", "Adam"]]
        .dropna()
    )


def controls(data: str, name: str, passes: int) -> dict[str, list[float]]:
    """Test errors in %, a number a seed: joint ER, and what shares one of its choices.

    ``FOOF`` has its regressions and no lengths, the softened Adam its outputs of 0.8; the settings
    of both are the best on validation images. From the committed tables, without what overflowed.
    """
    rows = published("benchmarks/any_module").query("seconds == seconds")
    rows = rows[(rows.data == data) & (rows.network == name) & (rows.passes == passes)]
    called = {("test", "ER"): "joint ER", ("test", "Adam"): "Adam"}
    called |= {("control", "Adam"): "Adam, softer labels", ("control", "FOOF"): "FOOF"}
    found = {
        name: rows[(rows.part == part) & (rows.method == method)].error.tolist()
        for (part, method), name in called.items()
    }
    return {name: errors for name, errors in found.items() if errors}


def lead(ends: pd.DataFrame) -> str:
    """By how many points joint ER is ahead of Adam or behind, paired by seed.

    >>> lead(pd.DataFrame({"joint ER": [20.0, 21.0], "Adam": [21.0, 22.0]}))
    'ahead of Adam by 1.0 ± 0.0 points (2 seeds)'
    """
    mean, half = mean_interval(ends["Adam"] - ends["joint ER"])
    seeds = "1 seed" if half is None else f"{len(ends)} seeds"
    how = f"{abs(mean):.1f}" + ("" if half is None else f" ± {half:.1f}")
    return f"{'ahead of' if mean > 0 else 'behind'} Adam by {how} points ({seeds})"


def cifar10_ends() -> pd.DataFrame:
    """The test error in % at the end of each training of `beside_adam`, of 8 and of 24 passes.

    Rows ``arm``, ``passes``, ``seed``, ``error``, and ``time``: passes of Adam that take as long.
    """
    speed = published("benchmarks/any_module_speed").set_index("network").ratio["deeper"]
    tables = [beside_adam(passes).assign(passes=passes) for passes in (8, 24)]
    ends = pd.concat(tables).reset_index()
    ends = ends.melt(["seed", "passes"], var_name="arm", value_name="error")
    return ends.assign(time=ends.passes * ends.arm.map({"joint ER": speed, "Adam": 1.0}))


def ablation(least: int = 2) -> pd.DataFrame:
    """Points of validation accuracy that are lost without a part of joint ER, paired by seed.

    Rows ``part``, ``seed``, ``lost`` (NaN where training overflows), for the parts that at least so
    many seeds were trained without. CIFAR-10, network ``small``, 20,000 images, ten passes.
    """
    rows = published("benchmarks/any_module").query("part == 'validation' and method == 'ER'")
    rows = rows[(rows.data == "cifar10-jpeg") & (rows.network == "small")]
    whole = rows[rows.setting.isna()].set_index("seed").accuracy
    rows = rows[(rows.setting == "without") & rows.seed.isin(whole.index)]
    lost = 100 * (rows.seed.map(whole) - rows.accuracy).where(rows.seconds.notna())
    found = pd.DataFrame({"part": rows.value, "seed": rows.seed, "lost": lost})
    return found[found.groupby("part").seed.transform("size") >= least].reset_index(drop=True)


def draw_ablation(axes: Axes, rows: pd.DataFrame) -> None:
    """A bar a part of `ablation`, most lost on top; a dot a seed.

    Where a training overflows, that is written in place of the bar.
    """
    lost = rows.groupby("part").lost
    order = lost.agg(lambda found: found.mean() if found.notna().all() else math.inf)
    order = order.sort_values(ascending=False)
    blue, most = plots.look("joint ER")["color"], rows.lost.max()
    for place, part in enumerate(order.index):
        found = lost.get_group(part)
        if found.isna().any():
            axes.barh(place, most, 0.62, color="white", edgecolor=blue, hatch="///", linewidth=0.6)
            text, end = f"overflows, {found.isna().sum()} of {len(found)} seeds", most
        else:
            mean, half = mean_interval(found)
            axes.barh(place, mean, 0.62, color=blue, alpha=0.85)
            axes.plot(found, [place] * len(found), "o", color=plots.GREY, markersize=3)
            text, end = f"{mean:.1f} ± {half:.1f}", max(found.max(), 0)
        at: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8}
        axes.annotate(text, (end, place), (5, 0), **at)
    axes.axvline(0, color="0.4", linewidth=0.8)
    axes.set_yticks(range(len(order)), [PART_NAMES[part] for part in order.index])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


def over_adam() -> pd.DataFrame:
    """Points of joint ER over Adam on test images, from the committed tables, a row a seed.

    Columns ``data``, ``network``, ``passes``, ``seed``, ``gain`` and ``tuned``: whether Adam's rate
    was chosen for this data set and network. It was for the network ``deeper`` on CIFAR-10; for the
    dense network Adam is the one of notebook 06, in as many passes, tuned for it.
    """
    rows = published("benchmarks/any_module").query("part == 'test' and passes < 24")
    rows = rows[rows.network != "residual"]  # one seed, over an Adam chosen for another network
    dense = {"mnist": "06_training_curves", "fashion_mnist": "06_training_curves.fashion_mnist"}
    curves = {data: published(f"{name}.curves") for data, name in dense.items()}
    return against_adam(rows, curves)


def against_adam(rows: pd.DataFrame, dense: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """`over_adam` of these rows; `dense` has the curves of Adam tuned for the dense network."""
    keys = ["data", "network", "passes", "seed"]
    both = rows.pivot_table(index=keys, columns="method", values="accuracy")
    both["tuned"] = [key[:2] == ("cifar10-jpeg", "deeper") for key in both.index]
    for data, curves in dense.items():
        ends = curves[curves.arm == "Adam"].groupby("seed").accuracy.last()
        for key in [key for key in both.index if key[:2] == (data, "dense")]:
            both.loc[key, ["Adam", "tuned"]] = ends.get(key[3]), True
    gain = 100 * (both["ER"] - both["Adam"])
    return both.assign(gain=gain)[["gain", "tuned"]].dropna().reset_index()


def draw_over_adam(axes: Axes, rows: pd.DataFrame) -> None:
    """A row a network and data set of `over_adam`, a dot a seed, a ring where Adam is not tuned."""
    data = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10-jpeg": "CIFAR-10"}
    groups = list(rows.groupby(["data", "network", "passes"]))
    color = plots.look("joint ER")["color"]
    for place, (_, found) in enumerate(groups):
        filled = color if found.tuned.all() else "white"
        axes.plot(found.gain, [place] * len(found), "o", color=color, markerfacecolor=filled)
    labels = [f"{data[images]}, {name}, {length} passes" for (images, name, length), _ in groups]
    axes.axvline(0, color="0.4", linewidth=0.8)
    limit = max(2.0, 1.1 * rows.gain.abs().max())
    axes.set(xlim=(-limit, limit), ylim=(len(groups) - 0.4, -0.6))
    axes.set_yticks(range(len(groups)), labels)


@torch.no_grad()
def along(
    module: nn.Module, moves: Sequence[torch.Tensor], sets: dict[str, tuple], grid: Sequence[float]
) -> pd.DataFrame:
    """What is left of the wanted change of the output fields when weights move by a length.

    Rows ``arm`` (a name in `sets` of images and observed outputs), ``length`` and ``left``, in %:
    ``100 |H(W + length moves) - H*|^2 / |H(W) - H*|^2``. The module stays as it is.
    """
    start = dict(module.named_parameters())
    rows = []
    for name, (x, observed) in sets.items():
        wanted = reflect(module(x), observed)
        whole = (module(x) - wanted).square().sum()
        for length in grid:
            moved = {key: p + length * move for (key, p), move in zip(start.items(), moves)}
            left = (functional_call(module, moved, (x,)) - wanted).square().sum() / whole
            rows.append({"arm": name, "length": length, "left": 100 * float(left)})
    return pd.DataFrame(rows)


def live(*, dataset: str, network: str, method: str, seed: int, **how: Any) -> list[dict]:
    """The test accuracy after each pass of joint ER, or of Adam at the `LIVE_RATE` of a network."""
    data = erlib.load(dataset, dtype=torch.float64)
    settings = how | ({"rate": LIVE_RATE[network]} if method == "Adam" else {})
    curve = trained(data, network, method.removeprefix("joint "), seed=seed, **settings).curve
    return [{"pass": number, "accuracy": right} for number, right in enumerate(curve, 1)]


def lengths(*, dataset: str, penalty: str, samples: int, seed: int) -> list[dict]:
    """The best length of a regression's answer, on its own batch and on 400 other images.

    The images answer a linear question of unit size, with as much noise. The penalty is 0.01 of the
    mean square of the inputs, and with ``d / n`` that beside it.
    """
    checks.choice("penalty", penalty, ("0.01", "d / n"))
    images, random = erlib.load(dataset, dtype=torch.float64).x_train.flatten(1), generator(seed)
    x = images[torch.randperm(len(images), generator=random)[: samples + 400]]
    x = x - x.mean(0)
    signal = x @ torch.randn(x.shape[1], 10, generator=random, dtype=x.dtype)
    signal = signal / signal.square().mean().sqrt()
    asked = signal + torch.randn(signal.shape, generator=random, dtype=x.dtype)
    own, fresh = slice(samples), slice(samples, None)
    ridge = 0.01 + (x.shape[1] / samples if penalty == "d / n" else 0)
    weight, _ = regress(x[own], asked[own], fit_intercept=False, ridge=ridge)
    caused = x @ weight
    return [
        {"of": of, "length": float((caused[p] * asked[p]).sum() / caused[p].square().sum())}
        for of, p in (("own", own), ("fresh", fresh))
    ]
