"""A dense network trained by ER and by what one would use instead, on one clock: notebook 06.

All methods train the same network 784-N-10 (ReLU, with biases) from the same weights by the same
batches: plain ER by its own larger ones (`er_batch`), L-BFGS by all images at once. Rates of the
baselines are chosen on a sixth of the training images (`tuned`) and decline to 0; the settings of
sequential ER were chosen once, on a validation split of MNIST, and are the same everywhere.

Fixed choices, as published: factors of `TRIED`; 300 updates at least with few labels; one seed for
the choice of rates.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd
import torch

import erlib

from .. import baselines
from ..baselines import backprop, choose, train
from ..clock import clock
from ..coding import observed_outputs
from ..data.named import Dataset
from ..network import ERNetwork
from ..notebook.curves import Curve, first_reach
from ..notebook.kept import kept
from ..notebook.published import with_error
from ..sequential import sequential_fit
from .grid import over

Rate = Sequence[float]  # of a baseline, and its second setting if it has one

PLAIN: dict[str, dict] = {
    "ER, pinv": {"inverse": "pinv"},
    "ER, damped": {"inverse": "damped", "damping": 1.0},
    "ER, transpose": {"inverse": "transpose"},
}
METHODS = [*PLAIN, "sequential ER", "Adam", "Adam, MNIST's rate", "Adam, untuned", "SGD", "L-BFGS"]
METHODS += ["FOOF", "target propagation", "semi-implicit"]
UNTUNED = (0.001,)  # torch's own rate of Adam

#: A second setting is tried with the rate: a penalty, that of the inverse, the proximity.
SECOND: dict[str, tuple[Callable, str]] = {
    "FOOF": (baselines.foof, "ridge"),
    "target propagation": (baselines.target_propagation, "ridge"),
    "semi-implicit": (baselines.semi_implicit, "proximity"),
}

#: What is multiplied by which factors in `off_by`.
FACTORS = [0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0]
TRIED: dict[str, list[float]] = {
    "ridge": FACTORS,
    "first ridge": FACTORS,
    "batch": FACTORS[2:-2],
    "initial scale": FACTORS,
    "code": [0.1, 0.3, 0.6, 1.0, 1.25],  # 0.8 as set; 1 is the limit of tanh
    "move": FACTORS,  # not a setting: a factor on all moves of sequential ER
    "plain ER: share": [0.01, 0.1, 0.3, 1.0, 2.0],
    "Adam: learning rate": FACTORS,
    "Adam: batch": FACTORS[2:-2],
    "SGD: learning rate": FACTORS,
    "FOOF: rate": FACTORS,
    "FOOF: ridge": FACTORS,
}
FEW_UPDATES = 300  # at least, with few labels
ONCE = ["one update", "one update, settled", "sequential ER, no first update"]  # see `one_pass`


@functools.lru_cache(maxsize=3)
def images(dataset: str, dtype: str = "float64", judged: str = "test") -> Dataset:
    """The data; its test images are a sixth of the training images where something is chosen.

    `judged` is ``test``; ``rates``: those on which rates are chosen; ``choices``: another sixth, on
    which choices are compared.
    """
    data = erlib.load(dataset, dtype=getattr(torch, dtype))
    if judged == "test":
        return data
    return data.holdout(len(data.y_train) // 6, seed={"rates": 0, "choices": 1}[judged])


def network(data: Dataset, width: int, seed: int = 0) -> ERNetwork:
    """The same initial network for every method; hidden units have a bias."""
    sizes = [data.x_train[0].numel(), width, len(data.classes)]
    return ERNetwork.dense(sizes, hidden_bias=True, dtype=data.x_train.dtype, seed=seed)


def grids(adam_rates: Sequence[float]) -> dict[str, tuple[Rate, ...]]:
    """What each baseline tries: rates, or rates with a second setting."""

    def pairs(rates: list[float], *others: float) -> tuple[Rate, ...]:
        return tuple((rate, other) for other in others for rate in rates)

    foof = (*pairs([1.0, 3.0], 1.0), *pairs([3.0, 10.0, 30.0], 10.0), (30.0, 100.0))
    return {
        "Adam": tuple((rate,) for rate in adam_rates),
        "SGD": ((0.03,), (0.1,), (0.3,), (1.0,)),
        "FOOF": foof,
        "target propagation": pairs([0.003, 0.01, 0.03], 0.1, 1.0),
        "semi-implicit": ((1.0, 0.3), *pairs([1.0, 3.0], 1.0), (3.0, 3.0)),
    }


def available(labels: Iterable[int], dataset: str, dtype: str = "float64") -> list[int]:
    """Those numbers of labels a class that every class has."""
    most = int(images(dataset, dtype).y_train.bincount().min())
    return [number for number in labels if number <= most]


def updates_in_a_pass(n: int, size: int) -> int:
    """As the loops count them: a last batch that is less than half full is left out."""
    whole, rest = divmod(n, min(size, n))
    return whole + (2 * rest >= min(size, n))


def train_by(
    method: str,
    net: ERNetwork,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    passes: int,
    batch: int,
    er_batch: int,
    seed: int,
    rate: Rate = (),
    watch: Any = None,
) -> ERNetwork:
    """Train `net` by the method for so many passes; a rate declines linearly to 0 over them."""
    common = {"passes": passes, "seed": seed, "watch": watch}
    if method in PLAIN:
        return net.fit(x, y, batch_size=er_batch, **common, **PLAIN[method])
    if method == "sequential ER":
        return sequential_fit(net, x, y, batch_size=batch, **common)
    size = len(y) if method == "L-BFGS" else batch
    updates = passes * updates_in_a_pass(len(y), size)
    step: Any
    if method in SECOND:
        of_method, second = SECOND[method]
        step = of_method(net, rate=rate[0], updates=updates, **{second: rate[1]})
    elif method == "L-BFGS":
        step = backprop(net, optimizer="lbfgs", rate=1.0)
        if watch:  # count what its line search looks at
            watch.passes = lambda update: step.evaluations
    else:
        optimizer = "sgd" if method == "SGD" else "adam"
        step = backprop(net, optimizer=optimizer, rate=rate[0], updates=updates)
    return train(net, x, y, step, batch_size=size, **common)


DIVERGED = (ValueError, torch.linalg.LinAlgError)  # no finite fields, no regression


@functools.cache
@kept
def tuned(
    *,
    arm: str,
    rates: tuple[Rate, ...],
    dataset: str,
    width: int,
    passes: int,
    batch: int,
    er_batch: int,
    dtype: str = "float64",
) -> dict:
    """The best of the rates, for a training of this length, and validation accuracies and seconds.

    The test images play no part. Of rates that do equally well the first is taken.
    """
    data = images(dataset, dtype, "rates")

    def trained(rate: Rate, x: torch.Tensor, y: torch.Tensor) -> ERNetwork:
        net, sizes = network(data, width), {"batch": batch, "er_batch": er_batch}
        try:
            return train_by(arm, net, x, y, passes=passes, seed=0, rate=rate, **sizes)
        except DIVERGED:  # as good as untrained
            return network(data, width)

    choice = choose(rates, trained, data)
    rows = [row | {"candidate": named(row["candidate"])} for row in choice.rows]
    return {"best": choice.best, "rows": rows, "seconds": choice.seconds}


def rate_of(
    arm: str, adam_rates: Sequence[float], carried_rate: float = 0.003, **training: Any
) -> Rate:
    """The rate of a method: chosen for this training (`tuned`), or without choice; () for ER."""
    given = {"Adam, untuned": UNTUNED, "Adam, MNIST's rate": (carried_rate,)}
    rates = grids(adam_rates).get(arm)
    return tuple(tuned(arm=arm, rates=rates, **training)["best"]) if rates else given.get(arm, ())


def named(rate: Rate) -> str:
    """A rate, and its second setting if it has one, as text.

    >>> named((30.0, 100.0))
    '30, 100'
    """
    return ", ".join(f"{number:g}" for number in rate)


@kept
def curve(
    *,
    arm: str,
    seed: int,
    dataset: str,
    width: int,
    passes: int,
    batch: int,
    er_batch: int,
    rate: Rate = (),
    dtype: str = "float64",
) -> list[dict]:
    """Points of one training: updates, passes, seconds of training, test accuracy.

    A pass is one look at all images. Sequential ER's first update is one (so it trains for one less
    after it), and so is each gradient that the line search of L-BFGS evaluates, which gets five
    iterations a pass. A training that diverges ends at chance.
    """
    data = images(dataset, dtype)
    net = network(data, width, seed)
    sizes: dict[str, Any] = {"batch": batch, "er_batch": er_batch}
    size = er_batch if arm in PLAIN else len(data.y_train) if arm == "L-BFGS" else batch
    per_pass = updates_in_a_pass(len(data.y_train), size)
    first = arm == "sequential ER"
    watch = Curve(
        net,
        data.x_test,
        data.y_test,
        per_pass=per_pass,
        passes=lambda update: update / per_pass + first * (update > 0),
    )
    length = 5 * passes if arm == "L-BFGS" else passes - first
    settings = {"passes": length, "seed": seed, "rate": rate, "watch": watch, **sizes}
    try:
        train_by(arm, net, data.x_train, data.y_train, **settings)
    except DIVERGED:
        watch.rows.append(watch.rows[-1] | {"accuracy": 1 / len(data.classes)})
    return watch.rows


def ends(rows: Iterable[dict]) -> list[dict]:
    """The last point of each method's and seed's curve."""
    return list({(row["arm"], row["seed"]): row for row in rows}.values())


def reached(
    rows: Iterable[dict], levels: Iterable[float], tuning: dict[str, float] | None = None
) -> list[dict]:
    """Seconds and passes after which each curve first has these accuracies; None if it never has.

    `tuning` are the seconds that choosing the rate of a method took, which are not among them.
    """
    curves: dict[tuple, list] = {}
    for row in rows:
        curves.setdefault((row["arm"], row["seed"]), []).append(row)
    return [
        {
            "arm": arm,
            "seed": seed,
            "level": level,
            "seconds": first_reach(points, level),
            "passes": first_reach(points, level, "passes"),
            "tuning": (tuning or {}).get(arm, 0),
        }
        for (arm, seed), points in curves.items()
        for level in levels
    ]


@kept
def one_pass(
    *,
    arm: str,
    seed: int,
    dataset: str,
    width: int,
    batch: int,
    er_batch: int,
    rate: Rate = (),
    dtype: str = "float64",
) -> list[dict]:
    """Test accuracy after one look at each image, and the seconds it took.

    ``one update`` looks twice (hidden layer, then readout), ``one update, settled`` goes on with 20
    updates of the readout on stored hidden outputs: they stand beside the others for comparison.
    """
    data = images(dataset, dtype)
    net, x, y = network(data, width, seed), data.x_train, data.y_train
    begin, diverged = clock(), False
    if arm == "one update":
        net.one_update(x, y)
    elif arm == "one update, settled":
        net.one_update(x, y).settle(x, y)
    elif arm == "sequential ER, no first update":
        sequential_fit(net, x, y, passes=1, batch_size=batch, seed=seed, first_update=False)
    else:
        sizes = {"batch": batch, "er_batch": er_batch}
        try:
            train_by(arm, net, x, y, passes=1, seed=seed, rate=rate, **sizes)
        except DIVERGED:
            diverged = True
    seconds = clock() - begin
    accuracy = 1 / len(data.classes) if diverged else net.score(data.x_test, data.y_test)
    return [{"accuracy": accuracy, "seconds": seconds}]


@kept
def off_by(
    *,
    choice: str,
    factor: float,
    seed: int,
    dataset: str,
    width: int,
    images_used: int,
    passes: int,
    batch: int,
    er_batch: int,
    rate: Rate = (),
    dtype: str = "float64",
) -> list[dict]:
    """Validation accuracy with one choice (`TRIED`) multiplied by a factor, on the first images.

    ``move`` is not a setting: it is a factor on all moves of sequential ER, a step length put back.
    `rate` is the tuned one of the baseline whose setting it is.
    """
    data = images(dataset, dtype, "choices")
    x, y = data.x_train[:images_used], data.y_train[:images_used]
    net = network(data, width, seed)
    sizes: dict[str, Any] = {"batch": batch, "er_batch": er_batch}
    if choice.endswith("batch"):
        sizes["batch"] = max(1, round(batch * factor))
    sequential: dict[str, Any] = {"passes": passes - 1, "seed": seed, "batch_size": sizes["batch"]}
    if choice == "move":
        sequential["share"] = factor
    elif choice == "ridge":
        sequential["ridge"] = 10.0 * factor
    elif choice == "first ridge":
        sequential["first_ridge"] = 3.0 * factor
    elif choice == "initial scale":
        net.layers[-1].assign(factor * net.layers[-1].weight, net.layers[-1].bias)
    elif choice == "code":
        y = 0.8 * factor * observed_outputs(y, len(data.classes), x.dtype)
    try:
        method, _, setting = choice.partition(": ")
        if choice == "plain ER: share":
            settings: dict[str, Any] = {"passes": passes, "batch_size": er_batch, "seed": seed}
            net.fit(x, y, **settings, share=factor / 2)
        elif setting:
            if setting in ("learning rate", "rate", "ridge"):
                at = 1 if setting == "ridge" else 0
                rate = [*rate[:at], rate[at] * factor, *rate[at + 1 :]]
            train_by(method, net, x, y, passes=passes, seed=seed, rate=rate, **sizes)
        else:
            sequential_fit(net, x, y, **sequential)
    except DIVERGED:
        return [{"accuracy": 1 / len(data.classes)}]
    return [{"accuracy": net.score(data.x_test, data.y_test)}]


#: The settings drawn in notebook 06 (`from_best`), as they are called there, sequential ER's first.
DRAWN = {
    "move": "ER: length of all moves",
    "code": "ER: observed outputs",
    "batch": "ER: batch",
    "ridge": "ER: penalty",
    "initial scale": "ER: scale of the drawn readout",
    "first ridge": "ER: penalty of the first update",
    "Adam: batch": "Adam: batch",
    "Adam: learning rate": "Adam: rate",
    "FOOF: rate": "FOOF: rate",
    "SGD: learning rate": "SGD: rate",
}


def from_best(rows: pd.DataFrame | list[dict]) -> dict[str, float]:
    """Points lost beside the best of each choice in `DRAWN`, on the worse side.

    The best factor is that of the rows, which need not be 1; beside it is the next that was tried,
    about three times smaller or larger (observed outputs end at 1).
    """
    table, found = with_error(rows).groupby(["choice", "factor"]).error.mean(), {}
    for choice in (each for each in DRAWN if each in table.index):
        errors = table[choice].sort_index().tolist()
        best = errors.index(min(errors))
        found[choice] = max(errors[max(best - 1, 0) : best + 2]) - errors[best]
    return found


@kept
def with_few(
    *,
    arm: str,
    labels: int,
    seed: int,
    dataset: str,
    width: int,
    passes: int,
    batch: int,
    er_batch: int,
    rate: Rate = (),
    dtype: str = "float64",
) -> list[dict]:
    """Test accuracy after training on so many images of each class.

    Methods in mini-batches get at least `FEW_UPDATES` updates; Adam has its rate for all images.
    ``, wide`` at the end of a name says the width, ``readout ridge 0.1`` a larger penalty of the
    readout, one value, not searched.
    """
    data = images(dataset, dtype)
    order = torch.randperm(len(data.y_train), generator=torch.Generator().manual_seed(seed))
    drawn = [order[data.y_train[order] == label][:labels] for label in range(len(data.classes))]
    x, y = data.x_train[torch.cat(drawn)], data.y_train[torch.cat(drawn)]
    net, penalised = network(data, width, seed), arm.endswith("ridge 0.1")
    if arm.startswith("one update"):
        settings: dict[str, Any] = {"readout_ridge": 0.1} if penalised else {}
        net.one_update(x, y, **settings)
    elif arm.startswith("random features"):
        baselines.random_features(net, x, y, readout_ridge=0.1 if penalised else 1e-5)
    else:
        length = max(passes, -(-FEW_UPDATES // updates_in_a_pass(len(y), batch)))
        length -= arm.startswith("sequential")  # its first update is a pass
        method, sizes = arm.removesuffix(", wide"), {"batch": batch, "er_batch": er_batch}
        train_by(method, net, x, y, passes=length, seed=seed, rate=rate, **sizes)
    return [{"accuracy": net.score(data.x_test, data.y_test)}]


FEW = ["one update, wide", "one update, wide, readout ridge 0.1", "random features, wide"]
FEW += ["random features, wide, readout ridge 0.1"]
FEW += ["sequential ER", "sequential ER, wide", "Adam", "Adam, wide"]


def compared(
    *,
    arms: Sequence[str],
    slow: Sequence[str],
    seeds: Sequence[int],
    passes: int,
    hidden: int,
    wide: int,
    widest: int,
    widest_passes: int,
    levels: Sequence[float],
    adam_rates: Sequence[float],
    carried_rate: float,
    study_images: int,
    labels_per_class: Sequence[int],
    **common: Any,
) -> dict[str, list[dict]]:
    """All of notebook 06, a table each: rates chosen, then everything that is compared at them.

    `arms` run beside sequential ER and Adam, those in `slow` with the first two seeds only;
    `common` is the data set, its dtype and the two batch sizes. In the order of the tables:
    learning curves and when they reach `levels`; one pass; settings off by a factor; few labels;
    a wide network.
    """
    dataset, dtype = common["dataset"], common["dtype"]
    run = [arm for arm in METHODS if arm in {"sequential ER", "Adam", "Adam, untuned", *arms}]

    def rate(arm: str, width: int = hidden, passes: int = passes) -> Rate:
        return rate_of(arm, adam_rates, carried_rate, width=width, passes=passes, **common)

    tables: dict[str, list[dict]] = {"tuning": [], "curves": []}
    seconds = {}
    for arm, tried in grids(adam_rates).items():
        if arm in run:
            found = tuned(arm=arm, rates=tried, width=hidden, passes=passes, **common)
            tables["tuning"] += [{"dataset": dataset, "arm": arm} | row for row in found["rows"]]
            seconds[arm] = found["seconds"]
    for arm in run:
        at: dict = {"arm": [arm], "seed": seeds[:2] if arm in slow else seeds, "rate": rate(arm)}
        tables["curves"] += over(curve, **at, width=hidden, passes=passes, **common)
    tables["reach"] = reached(tables["curves"], levels, seconds)

    once = [*ONCE, *(arm for arm in ("ER, transpose", "Adam", "SGD", "FOOF") if arm in run)]
    tables |= {"one_pass": [], "sensitivity": [], "few_labels": []}
    for arm in once:
        for width in (hidden, wide):
            at = {"arm": [arm], "width": [width], "seed": seeds, "rate": rate(arm, width, 1)}
            tables["one_pass"] += over(one_pass, **at, **common)
    for choice, factors in TRIED.items():
        if (arm := choice.split(":")[0]) in {*run, "plain ER", choice}:
            at = {"choice": [choice], "factor": factors, "seed": seeds[:2], "rate": rate(arm)}
            at |= {"width": hidden, "images_used": study_images, "passes": passes}
            tables["sensitivity"] += over(off_by, **at, **common)
    labels = available(labels_per_class, dataset, dtype)
    for arm in FEW:
        at = {"arm": [arm], "labels": labels, "seed": seeds, "rate": rate("Adam")}
        at |= {"width": wide if "wide" in arm else hidden, "passes": passes}
        tables["few_labels"] += over(with_few, **at, **common)

    wider: list[dict] = []
    for arm in ("sequential ER", "Adam"):
        at = {"arm": [arm], "width": [widest], "seed": seeds, "passes": widest_passes}
        wider += over(curve, **at, rate=rate(arm, widest, widest_passes), **common)
    return tables | {"wide": ends(wider)}
