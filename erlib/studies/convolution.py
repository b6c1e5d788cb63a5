"""Convolutional networks by ER, and fixed filters in their place: notebook 07.

Two networks, of blocks of convolution, ReLU and max-pooling with a dense readout: ``small``, with
filters 5 x 5, and ``deep``, with filters 3 x 3. All methods of a seed start from the same weights.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

import erlib

from ..augment import shifts_and_flips
from ..baselines import backprop, train
from ..baselines.loop import choose
from ..clock import clock
from ..coding import observed_outputs
from ..convolutional import convolutional
from ..data.named import Dataset
from ..er import ER
from ..moments import Moments
from ..network import ERNetwork
from ..notebook import plots
from ..notebook.curves import Curve
from ..notebook.kept import kept
from ..notebook.published import published
from ..patches import PatchFeatures
from ..regress_batch import regress_batch
from ..sequential import Variant, sequential_fit, variant_fit
from .any_module import by_pass as curves_of
from .grid import over

KERNEL = {"small": 5, "deep": 3}
#: Sequential ER on convolutions, chosen once on a validation split of MNIST. The transpose has a
#: closed form here, and with a regressed factor it does as well as the pseudo-inverse; a first
#: update of all data would keep all fields in memory; a batch holds many more patches than samples
#: and says more about their directions than one of samples, so that the penalty is 1 and not 10.
FROZEN: dict[str, Any] = {"inverse": "transpose", "first_update": False, "ridge": 1.0}
CODES = (0.8, 1.0)  # labels are +code and -code; tried where sequential ER is tuned
PLAIN_BATCH = 500  # of plain ER
EQUAL_TIME = 3  # passes of "Adam, equal time" for one of sequential ER
READOUT_RIDGE = 0.001  # of readouts on fixed filters, relative; chosen on CIFAR-10, as is the grid
GRID = 2  # cells along each side of an image in which maps are averaged
PARTLY = {"readout only": -1, "first layer fixed": 4}  # modules of the small network that stay
MIRRORED = ("fashion_mnist", "cifar10", "cifar10-jpeg")  # data whose mirror images are as good
METHODS = (
    *("sequential ER", "sequential ER, penalty 10", "sequential ER, tuned", "plain ER"),
    *("Adam", "Adam, equal time", "sequential ER + augmentation"),
    *("sequential ER, tuned + augmentation", "Adam + augmentation", "joint ER"),
)


@functools.lru_cache(maxsize=1)
def images(dataset: str, dtype: str = "float64") -> Dataset:
    """The data, as images."""
    return erlib.load(dataset, dtype=getattr(torch, dtype))


@functools.lru_cache(maxsize=2)
def held_out(dataset: str, dtype: str, seed: int) -> Dataset:
    """A sixth of the training images as test images: 0 to choose settings, 1 to compare them."""
    data = images(dataset, dtype)
    return data.holdout(len(data.y_train) // 6, seed=seed)


def module_of(data: Dataset, kind: str, channels: Sequence[int], seed: int) -> nn.Sequential:
    """The torch module of a seed, in inference form, which every method starts from."""
    how: dict[str, Any] = {"kernel": KERNEL[kind], "padding": KERNEL[kind] // 2, "seed": seed}
    return convolutional(data.x_train, list(channels), len(data.classes), **how).eval()


def front_end(data: Dataset, filters: int, seed: int) -> PatchFeatures:
    """So many random patches as filters, 6 x 6; 3 x 3 on images as small as those of digits."""
    size = 3 if min(data.x_train.shape[2:]) < 20 else 6
    return PatchFeatures(data.x_train, filters=filters, size=size, grid=GRID, seed=seed)


def augmentation(data: Dataset) -> dict[str, Any]:
    """How images are changed and keep their class: moved by up to a pixel, in colour by two; and
    mirrored, if their data are `MIRRORED`."""
    return {"shift": 2 if data.x_train.shape[1] == 3 else 1, "flip": data.name in MIRRORED}


def updates_in_a_pass(n: int, size: int) -> int:
    """As the loops count them: a last batch that is less than half full is left out."""
    whole, rest = divmod(n, min(size, n))
    return whole + (2 * rest >= min(size, n))


def train_by(
    arm: str,
    module: nn.Sequential,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    passes: int,
    batch: int,
    seed: int,
    rate: float | None = None,
    setting: dict[str, float] | None = None,
    changed: dict[str, Any] | None = None,
    watch: Callable[[int], object] | None = None,
) -> ERNetwork:
    """Train `module` in place by the method called `arm`; the network that it is to `erlib`.

    * sequential ER: as `FROZEN`, or with penalty 10, or "tuned", with what is in `setting`;
    * plain ER: all layers at once, each by its share; transpose, batches of `PLAIN_BATCH`;
    * joint ER: `erlib.ER`, all layers at once, lengths regressed;
    * Adam: on the cross-entropy, `rate` declining to 0.

    With "+ augmentation" each batch is moved and mirrored anew, as `changed` says.
    """
    net = ERNetwork(module)
    how: dict[str, Any] = {"passes": passes, "seed": seed, "watch": watch}
    if "augmentation" in arm:
        how["augment"] = shifts_and_flips(**changed or {}, seed=seed)
    if arm.startswith("sequential ER"):
        other: dict[str, Any] = {"ridge": 10.0} if "penalty 10" in arm else {}
        other |= (setting or {}) if "tuned" in arm else {}
        return sequential_fit(net, x, y, batch_size=batch, **FROZEN | other, **how)
    if arm == "plain ER":
        return net.fit(x, y, batch_size=PLAIN_BATCH, inverse="transpose", **how)
    updates = passes * updates_in_a_pass(len(y), batch)
    if arm == "joint ER":
        er = ER(module, updates=updates)
        return train(net, x, y, lambda x, y: er.step(x, y), batch_size=batch, **how)  # type: ignore
    if arm.split(",")[0].split(" +")[0] != "Adam" or rate is None:
        raise ValueError(f"arm: {arm!r} with rate {rate}, expected a method and Adam's rate")
    return train(net, x, y, backprop(net, rate=rate, updates=updates), batch_size=batch, **how)


@kept
def tuned(
    *,
    dataset: str,
    kind: str,
    channels: tuple,
    rates: list,
    passes: int,
    batch: int,
    images_used: int = 0,
    dtype: str = "float64",
) -> list[dict]:
    """Validation accuracy of Adam for each rate; with fewer images, in about as many updates."""
    data = images(dataset, dtype)

    def at_rate(rate: float, x: torch.Tensor, y: torch.Tensor) -> ERNetwork:
        some = slice(images_used or len(y))
        longer = round(passes * len(y) / len(y[some]))
        module = module_of(data, kind, channels, 0)
        how: dict[str, Any] = {"passes": longer, "batch": batch, "seed": 0, "rate": rate}
        return train_by("Adam", module, x[some], y[some], **how)

    return choose(rates, at_rate, held_out(dataset, dtype, 0)).rows


@kept
def fitted(
    *,
    dataset: str,
    arm: str,
    channels: tuple,
    seed: int,
    images_used: int = 0,
    dtype: str = "float64",
    **how: Any,
) -> list[dict]:
    """Accuracy of the small network on the images it was trained on and on others (validation)."""
    held = held_out(dataset, dtype, 0)
    some = slice(images_used or len(held.x_train))
    x, y = held.x_train[some], held.y_train[some]
    module = module_of(images(dataset, dtype), "small", channels, seed)
    net = train_by(arm, module, x, y, seed=seed, **how)
    return [{"training": net.score(x, y), "accuracy": net.score(held.x_test, held.y_test)}]


@kept
def trained(
    *,
    dataset: str,
    kind: str,
    arm: str,
    channels: tuple,
    seed: int,
    batch: int,
    dtype: str = "float64",
    **how: Any,
) -> dict:
    """One training: points of its curve (updates, passes, seconds, test accuracy), and how far the
    first filters moved, over their length."""
    data = images(dataset, dtype)
    module = module_of(data, kind, channels, seed)
    first = first_filters(module)
    per_pass = updates_in_a_pass(len(data.y_train), PLAIN_BATCH if arm == "plain ER" else batch)
    net = ERNetwork(module)
    watch = Curve(net, data.x_test, data.y_test, per_pass=per_pass)
    how |= {"batch": batch, "seed": seed, "watch": watch, "changed": augmentation(data)}
    train_by(arm, module, data.x_train, data.y_train, **how)
    moved = float((first_filters(module) - first).norm() / first.norm())
    return {"points": watch.rows, "moved": moved}


def first_filters(module: nn.Sequential) -> torch.Tensor:
    """The filters of the first convolution, a copy."""
    convolution = next(part for part in module if isinstance(part, nn.Conv2d))
    return convolution.weight.detach().double().clone()


def end_to_end(
    *,
    dataset: str,
    channels: dict[str, list],
    passes: dict[str, int],
    arms: dict[str, list],
    once: list,
    seeds: list,
    batch: int,
    rates: list,
    penalties: list,
    images_used: int = 0,
    dtype: str = "float64",
) -> dict[str, list[dict]]:
    """Sequential ER, Adam and the methods in `arms` on both networks, as tables.

    `channels`, `passes` and `arms` are those of ``small`` and of ``deep``; what is in `once` runs
    with the first seed alone. Tables: ``tuning``, Adam's rates on a validation split; ``fit``, what
    sequential ER with each penalty and code, and Adam, know of training and of other images (small
    network, first seed); ``curves``; ``filters``, how far those of the small network's first layer
    moved. "Tuned" sequential ER has the setting that was best there. `images_used` of the training
    images are for ``tuning`` and ``fit``, with 0 all of the split.
    """
    common: dict[str, Any] = {"dataset": dataset, "dtype": dtype, "batch": batch}
    part: dict[str, Any] = common | {"images_used": images_used}
    tables: dict[str, list[dict]] = {"tuning": [], "fit": [], "curves": [], "filters": []}
    sizes: dict[str, Any] = {}
    best_rate = {}
    for kind in channels:
        sizes[kind] = {"channels": tuple(channels[kind]), "passes": passes[kind]}
        rows = tuned(kind=kind, rates=rates, **sizes[kind], **part)
        best_rate[kind] = max(rows, key=lambda row: row["accuracy"])["candidate"]
        tables["tuning"] += [{"kind": kind, **row} for row in rows]

    first: dict[str, Any] = sizes["small"] | {"seed": seeds[0]} | part
    for setting in [{"ridge": ridge, "code": code} for code in CODES for ridge in penalties]:
        (row,) = fitted(arm="sequential ER, tuned", setting=setting, **first)
        tables["fit"].append({"arm": "sequential ER, tuned", **setting, **row})
    best = max(tables["fit"], key=lambda row: row["accuracy"])
    best_setting = {"ridge": best["ridge"], "code": best["code"]}
    (row,) = fitted(arm="Adam", rate=best_rate["small"], **first)
    tables["fit"].append({"arm": "Adam", "ridge": None, "code": None, **row})

    for kind in channels:
        chosen = {"rate": best_rate[kind], "setting": best_setting}
        for seed in seeds:
            for arm in [arm for arm in METHODS if arm in ("sequential ER", "Adam", *arms[kind])]:
                if arm in once and seed != seeds[0]:
                    continue
                how: dict[str, Any] = sizes[kind] | chosen | common | {"kind": kind, "seed": seed}
                how["passes"] *= EQUAL_TIME if arm == "Adam, equal time" else 1
                found = trained(arm=arm, **how)
                named = {"kind": kind, "arm": arm, "seed": seed}
                tables["curves"] += [named | point for point in found["points"]]
                if kind == "small" and seed == seeds[0] and arm in ("sequential ER", "Adam"):
                    tables["filters"].append({"arm": arm, "moved": found["moved"]})
    return tables


@kept
def partly(
    *,
    dataset: str,
    arm: str,
    channels: tuple,
    seed: int,
    passes: int,
    batch: int,
    dtype: str = "float64",
) -> list[dict]:
    """Test accuracy of the small network, by sequential ER, with layers that stay random."""
    data = images(dataset, dtype)
    layers = list(module_of(data, "small", channels, seed))
    fixed = PARTLY[arm] % len(layers)
    below = nn.Sequential(*layers[:fixed]).eval()

    def seen(images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([below(part) for part in images.split(1000)])

    net = ERNetwork(layers[fixed:])
    how: dict[str, Any] = {"passes": passes, "batch_size": batch, "seed": seed, **FROZEN}
    sequential_fit(net, seen(data.x_train), data.y_train, **how)
    return [{"accuracy": net.score(seen(data.x_test), data.y_test)}]


@kept
def on_filters(
    *, dataset: str, filters: int, arm: str, seed: int, dtype: str = "float64"
) -> list[dict]:
    """Test accuracy of one update of a readout on so many fixed filters, and its seconds.

    The regression takes sums of rows, a thousand images at a time; "augmented", changed images are
    more rows: mirrored where that keeps the class, else moved. "both views" is the
    accuracy with the fields of a test image and of its changed copy averaged.
    """
    data = images(dataset, dtype)
    classes, began = len(data.classes), clock()
    front = front_end(data, filters, seed)
    readout = ERNetwork.dense([front.width, classes], dtype=data.x_train.dtype, seed=seed)
    shift, flip = augmentation(data).values()
    moved = shifts_and_flips(shift=shift, flip=False, seed=seed)
    moments, observed = Moments(), observed_outputs(data.y_train, classes, data.x_train.dtype)

    def change(images: torch.Tensor) -> torch.Tensor:
        return images.flip(3) if flip else moved(images)

    for part in torch.arange(len(data.y_train)).split(1000):
        views = [data.x_train[part]]
        if arm == "augmented":
            views.append(change(views[0]))
        for view in views:
            features = front(view)
            wanted = erlib.reflect(readout.decision_function(features), observed[part])
            moments.accumulate(features, wanted)
    readout.layers[0].assign(*moments.solve(READOUT_RIDGE))
    seconds = clock() - began

    def fields(images: torch.Tensor) -> torch.Tensor:
        parts = [readout.decision_function(front(part)) for part in images.split(1000)]
        return torch.cat(parts)

    def accuracy(found: torch.Tensor) -> float:
        return (found.argmax(1) == data.y_test).double().mean().item()

    plain, second = fields(data.x_test), fields(change(data.x_test))
    found = {"accuracy": accuracy(plain), "both views": accuracy(plain + second)}
    return [found | {"features": front.width, "seconds": seconds}]


@kept
def without_ratio(*, dataset: str, filters: int, seed: int, dtype: str = "float64") -> list[dict]:
    """Test accuracy of one update, and of least squares on the labels, on pixels and on filters."""
    data = images(dataset, dtype)
    front = front_end(data, filters, seed)
    rows = []
    for name in ("pixels", "patches"):
        x, x_test = (
            images.flatten(1)
            if name == "pixels"
            else torch.cat([front(part) for part in images.split(1000)])
            for images in (data.x_train, data.x_test)
        )
        net = ERNetwork.dense([x.shape[1], len(data.classes)], dtype=x.dtype, seed=seed)
        net.one_update(x, data.y_train, readout_ridge=READOUT_RIDGE)
        accuracy = net.score(x_test, data.y_test)
        rows.append({"arm": f"{name}, one ER update", "accuracy": accuracy})
        observed = observed_outputs(data.y_train, len(data.classes), x.dtype)
        net.layers[0].assign(*erlib.regress(x, observed, ridge=READOUT_RIDGE))
        accuracy = net.score(x_test, data.y_test)
        rows.append({"arm": f"{name}, least squares", "accuracy": accuracy})
    return rows


@kept
def second_layer(
    *,
    dataset: str,
    filters: int,
    units: int,
    seed: int,
    passes: int,
    batch: int,
    dtype: str = "float64",
) -> list[dict]:
    """Test accuracy of a hidden layer on fixed filters, by how it was trained.

    None at all, and its readout updated twenty times more ("settled"); random; regressed on its own
    fields, without labels; one update; sequential ER as in dense networks.
    """
    data = images(dataset, dtype)
    y, y_test = data.y_train, data.y_test
    front = front_end(data, filters, seed)
    x = torch.cat([front(part) for part in data.x_train.split(1000)])
    x_test = torch.cat([front(part) for part in data.x_test.split(1000)])
    found = {}

    def fresh(*hidden: int) -> ERNetwork:
        sizes = [front.width, *hidden, len(data.classes)]
        return ERNetwork.dense(sizes, dtype=x.dtype, seed=seed)

    readout = fresh().one_update(x, y, readout_ridge=READOUT_RIDGE)
    found["no hidden layer"] = readout.score(x_test, y_test)
    readout.settle(x, y, updates=20, readout_ridge=READOUT_RIDGE)
    found["no hidden layer, settled"] = readout.score(x_test, y_test)
    hidden, top = fresh(units).targets(x, y)
    own = fresh(units).layers[0].field(x).detach()
    for arm, wanted in {"random": None, "own fields": own, "ER": hidden}.items():
        net = fresh(units).sweep(x, [wanted, top], readout_ridge=READOUT_RIDGE)
        found[arm] = net.score(x_test, y_test)
    net = sequential_fit(fresh(units), x, y, passes=passes, batch_size=batch, seed=seed)
    found["sequential ER"] = net.score(x_test, y_test)
    return [{"arm": arm, "accuracy": accuracy} for arm, accuracy in found.items()]


@kept
def by_gram(
    *,
    dataset: str,
    arm: str,
    channels: tuple,
    seed: int,
    passes: int,
    batch: int,
    dtype: str = "float64",
) -> list[dict]:
    """Validation accuracy with "all patches" in the Gram matrix of a convolution, or with those of
    "every second" pixel along each side; 10,000 training images at most."""
    split = held_out(dataset, dtype, 1)
    net = ERNetwork(module_of(images(dataset, dtype), "small", channels, seed))
    variant = Variant(regression={"all patches": regress_batch, "every second": None}[arm])
    order = torch.randperm(len(split.y_train), generator=torch.Generator().manual_seed(seed))
    x, y = split.x_train[order[:10_000]], split.y_train[order[:10_000]]
    how: dict[str, Any] = {"passes": passes, "batch_size": batch, "seed": seed, **FROZEN}
    variant_fit(net, x, y, variant, **how)
    return [{"accuracy": net.score(split.x_test, split.y_test)}]


def recorded(
    *,
    small: list,
    deep: list,
    small_arms: list,
    deep_arms: list,
    once: list | None,
    seeds: list,
    passes: int,
    deep_passes: int,
    adam_rates: list,
    er_penalties: list,
    tuning_images: int,
    filters: list,
    most_filters: int,
    study_filters: int,
    second_units: int,
    batch: int,
    **common: Any,
) -> dict[str, list[dict]]:
    """All tables of notebook 07 for one data set, which the full profile publishes.

    Those of `end_to_end`; ``front_end``: fixed filters by their number, images as they are or with
    changed ones beside them (`most_filters` with these alone, first seed); ``without_ratio``,
    ``second_layer``, ``partly`` (first seed), ``gram``: the functions of these names here.
    """
    training = common | {"batch": batch}
    tables = end_to_end(
        channels={"small": small, "deep": deep},
        passes={"small": passes, "deep": deep_passes},
        arms={"small": small_arms, "deep": deep_arms},
        once=once or [],
        seeds=seeds,
        rates=adam_rates,
        penalties=er_penalties,
        images_used=tuning_images,
        **training,
    )
    views = ["as they are", "augmented"]
    front = over(on_filters, filters=filters, arm=views, seed=seeds, **common)
    if most_filters:
        front += over(on_filters, filters=[most_filters], arm=views[1:], seed=seeds[:1], **common)
    tables["front_end"] = front
    tables["without_ratio"] = over(without_ratio, seed=seeds, filters=filters[0], **common)
    how = {"passes": passes, **training}
    sizes = {"filters": study_filters, "units": second_units}
    tables["second_layer"] = over(second_layer, seed=seeds, **sizes, **how)
    how["channels"] = tuple(small)
    tables["partly"] = over(partly, arm=list(PARTLY), seed=seeds[:1], **how)
    tables["gram"] = over(by_gram, arm=["all patches", "every second"], seed=seeds, **how)
    return tables


def full_curves() -> pd.DataFrame:
    """Test error in % of the deeper networks over passes, from the committed tables: rows ``data``,
    ``arm``, ``passes``, ``error``.

    CIFAR-10 is with all images changed in every pass, and has joint ER and its Adam beside it.
    """
    tables = []
    for data, run in {"MNIST": "", "Fashion-MNIST": ".fashion_mnist"}.items():
        table = published(f"07_convolution{run}.curves").query("kind == 'deep' and passes > 0.1")
        tables.append(table.assign(data=data))
    older = published("07_convolution.cifar10.curves").query("kind == 'deep' and passes > 0.9")
    older = older[older.arm == "sequential ER + augmentation"].assign(arm="sequential ER")
    beside = published("benchmarks/any_module").query("network == 'deeper' and part == 'test'")
    beside = beside.query("data == 'cifar10-jpeg' and passes == 8")
    tables += [older.assign(data="CIFAR-10"), curves_of(beside).assign(data="CIFAR-10")]
    return pd.concat(tables, ignore_index=True)[["data", "arm", "passes", "error"]]


def full_fits() -> pd.DataFrame:
    """Error in % on the training images of CIFAR-10 and on others, from the committed tables.

    ``unchanged``: 20,000 images as they are, small network, five passes, first seed; others are a
    validation split. ``changed``: all images, changed in each of 24 passes, deeper network; others
    are the test images; joint ER's training error is that of 5,000 images.
    """
    fit = published("07_convolution.cifar10.fit")
    plain = fit[(fit.arm == "Adam") | ((fit.ridge == 1) & (fit.code == 0.8))].copy()
    plain["arm"] = plain.arm.str.removesuffix(", tuned")
    long = published("benchmarks/cifar10_long").query("part == 'test'").assign(seeds=1)
    joint = published("benchmarks/any_module").query("part == 'test' and data == 'cifar10-jpeg'")
    joint = joint.query("network == 'deeper' and passes == 24 and method == 'ER'")
    long = pd.concat([long, joint.assign(method="joint ER")]).rename(columns={"method": "arm"})
    both = pd.concat([plain.assign(images="unchanged"), long.assign(images="changed")])
    both["fitted"] = 100 * (1 - both.training)
    found = both.groupby(["images", "arm"], as_index=False, sort=False)
    means = found.agg(fitted=("fitted", "mean"), error=("error", "mean"), seeds=("error", "size"))
    order = ["sequential ER", "Adam", "joint ER"]
    return means.sort_values("arm", key=lambda arms: arms.map(order.index), kind="stable")


def pictures(shown: dict[str, torch.Tensor], boxes: Sequence[tuple] = ()) -> Figure:
    """Pictures in a row, each on its own scale, 0 white, under their titles.

    A box is (picture, row, column, size): the square of so many pixels about that one.
    """
    scaled = [picture / picture.abs().max() for picture in shown.values()]
    figure = plots.strip(scaled, list(shown), signed=True, width=6.5)
    for picture, row, column, size in boxes:
        corner = column - size / 2, row - size / 2
        box = plt.Rectangle(corner, size, size, fill=False, color=plots.DARK, linewidth=2)
        figure.axes[picture].add_patch(box)
    return figure


def draw_fits(axes: Axes, rows: pd.DataFrame) -> None:
    """A line a method, from its error on training images (ring) to that on others (dot)."""
    for place, row in enumerate(rows.itertuples()):
        color = plots.look(row.arm)["color"]
        axes.plot([row.fitted, row.error], [place, place], "-", color=color)
        axes.plot(row.fitted, place, "o", color=color, markerfacecolor="white", markersize=7)
        axes.plot(row.error, place, "o", color=color, markersize=7)
        ends = ((row.fitted, "right", -7), (row.error, "left", 7))
        for value, side, away in ends:
            at: dict[str, Any] = {"textcoords": "offset points", "ha": side, "va": "center"}
            axes.annotate(f"{value:.1f}", (value, place), (away, 0), fontsize=8, **at)
    names = [f"{row.arm}, {row.seeds} seed{'s' * (row.seeds > 1)}" for row in rows.itertuples()]
    axes.set(yticks=range(len(rows)), yticklabels=names, ylim=(len(rows) - 0.4, -0.6))
    axes.grid(axis="y", visible=False)
