"""The works that the paper's page lists beside it, on the same images: notebook 11.

Iterative methods train 784-N-10 (ReLU, with biases; the spiking network has none) from the same
weights by the same batches, at rates chosen on a sixth of the training images (`tuned`) that
decline to 0. "ER's targets, steps" is sequential ER with a gradient step on the squared distance to
its targets in place of every regression, in the length that is best for the batch. The smaller
experiments are in `neighbours_small`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from .. import baselines, checks
from ..baselines import backprop, choose, train
from ..batches import minibatches
from ..clock import clock
from ..data.named import Dataset
from ..er import ER
from ..network import ERNetwork
from ..notebook.kept import kept
from ..sequential import Variant, sequential_fit, variant_fit
from .sequential_er import gradient_step
from .training import DIVERGED, Rate, images, named, network, updates_in_a_pass


class Neighbour(NamedTuple):
    """What tells a method from others, in a few words, and the rates that are tried."""

    hands_down: str
    weights: str
    chooses: str
    rates: tuple[Rate, ...] = ()


RACE: dict[str, Neighbour] = {
    "one update": Neighbour("target, by the inverse", "regression", "penalty"),
    "sequential ER": Neighbour("target, by the inverse", "regression", "penalty, passes"),
    "joint ER": Neighbour("target, by the transpose", "regression", "penalty, passes"),
    "ER's targets, steps": Neighbour(
        "target, by the inverse", "step, of the best length", "passes",
    ),
    "FOOF": Neighbour(
        "gradient", "regression, times a rate", "rate, penalty",
        ((3.0, 10.0), (10.0, 10.0), (10.0, 30.0), (30.0, 100.0)),
    ),
    "semi-implicit": Neighbour(
        "target, by the gradient", "regression near the old weights", "rate, proximity",
        ((1.0, 1.0), (3.0, 1.0)),
    ),
    "desire": Neighbour(
        "sign of a wish, by the transpose", "spikes that coincide, times a rate",
        "rate, thresholds", ((0.0003,), (0.001,)),
    ),
    "Adam": Neighbour(
        "gradient", "step, scaled by its history", "rate", ((0.001,), (0.003,), (0.01,)),
    ),
    "AdaRem": Neighbour(
        "gradient", "step, scaled by its history", "rate", ((0.3,), (1.0,), (3.0,)),
    ),
    "likelihood ratio": Neighbour(
        "nothing: noise in each layer", "step", "rate, noise, copies",
        ((0.1,), (0.3,), (1.0,)),
    ),
    "forward gradient, fields": Neighbour(
        "nothing: a direction in the fields", "step", "rate, draws", ((0.03,), (0.1,), (0.2,)),
    ),
    "forward gradient, weights": Neighbour(
        "nothing: a direction in the weights", "step", "rate, draws",
        ((100.0,), (300.0,), (1000.0,), (3000.0,)),  # over the number of weights
    ),
}  # fmt: skip
DRAWS, COPIES = 4, 10  # directions, and noisy copies, of a sample in each update


class Trained(NamedTuple):
    """What `choose` and `race` ask of a trained network."""

    score: Callable[[torch.Tensor, torch.Tensor], float]
    seconds: float


def _start(arm: str, data: Dataset, width: int, seed: int) -> ERNetwork:
    if arm != "desire":
        return network(data, width, seed)
    sizes = [data.x_train[0].numel(), width, len(data.classes)]
    return ERNetwork.dense(sizes, readout_scale=2**0.5, dtype=data.x_train.dtype, seed=seed)


def _step(arm: str, net: ERNetwork, rate: Rate, updates: int, seed: int) -> Any:
    common: dict[str, Any] = {"rate": rate[0], "updates": updates}
    if arm == "Adam":
        return backprop(net, **common)
    if arm == "semi-implicit":
        return baselines.semi_implicit(net, proximity=rate[1], **common)
    if arm == "FOOF":
        return baselines.foof(net, ridge=rate[1], **common)
    if arm == "likelihood ratio":
        return baselines.likelihood_ratio(net, copies=COPIES, seed=seed, **common)
    if arm.startswith("forward gradient"):
        perturb = arm.split(", ")[1]
        draws = DRAWS if perturb == "fields" else 1
        settings: dict[str, Any] = {"perturb": perturb, "draws": draws, "seed": seed}
        if perturb == "weights":
            common["rate"] /= sum(p.numel() for p in net.parameters())
        return baselines.forward_gradient(net, **settings, **common)
    return (baselines.desire if arm == "desire" else baselines.adarem)(net, **common)


def trained_by(
    arm: str,
    data: Dataset,
    *,
    width: int,
    passes: int,
    batch: int,
    seed: int,
    rate: Rate = (),
) -> Trained:
    """Train a new network on the training images by a method of `RACE`, for so many passes."""
    checks.choice("arm", arm, RACE)
    net, x, y = _start(arm, data, width, seed), data.x_train.flatten(1), data.y_train
    common: dict[str, Any] = {"passes": passes, "batch_size": batch, "seed": seed}
    updates, begin = passes * updates_in_a_pass(len(y), batch), clock()
    score: Callable = net.score
    if arm == "one update":
        net.one_update(x, y)
    elif arm == "sequential ER":
        sequential_fit(net, x, y, **common | {"passes": max(1, passes - 1)})
    elif arm == "ER's targets, steps":
        settings = common | {"first_update": False}
        variant_fit(net, x, y, Variant(regression=gradient_step), **settings)
    elif arm == "joint ER":
        maps = [part for layer in net.layers for part in (layer.linear, nn.ReLU())][:-1]
        train(net, x, y, ER(nn.Sequential(*maps), updates=updates).step, **common)  # type: ignore
    else:
        step = _step(arm, net, rate, updates, seed)
        score = getattr(step, "score", score)
        train(net, x, y, step, **common)
    return Trained(lambda x, y: score(x.flatten(1), y), clock() - begin)


#: Units and batches of the spiking network, nearly those of its authors (whose batches are of one).
SPIKING, FEW = (512, 256), 16


@kept
def spiking(
    *, dataset: str, rate: float, passes: int, seed: int, samples: int = 0, judged: str = "test",
    dtype: str = "float32",
) -> list[dict]:  # fmt: skip
    """Accuracy of `erlib.baselines.desire` in two hidden layers after each pass, in batches of 16.

    Trained on the first so many `samples` (0: all), tested on the test or, with `judged` "rates",
    on validation images.
    """
    data = images(dataset, dtype, judged)
    count = samples or len(data.y_train)
    x, y = data.x_train.flatten(1)[:count], data.y_train[:count]
    sizes = [x.shape[1], *SPIKING, len(data.classes)]
    net = ERNetwork.dense(sizes, readout_scale=2**0.5, dtype=x.dtype, seed=seed)
    each = updates_in_a_pass(len(y), FEW)
    step: Any = baselines.desire(net, rate=rate, updates=passes * each)
    rows = []
    for number, part in enumerate(minibatches(len(y), FEW, passes, seed), start=1):
        step(x[part], y[part])
        if number % each == 0:
            accuracy = step.score(data.x_test.flatten(1), data.y_test)
            rows.append({"passes": number // each, "rate": rate, "accuracy": accuracy})
    return rows


def spiking_at_best(*, rates: Sequence[float], passes: int, seeds: Sequence[int], **common: Any):
    """`spiking` at the rate that is best after two passes over 12,000 images, for each seed."""

    def held(rate: float) -> float:
        few: dict[str, Any] = {"passes": 2, "seed": 0, "samples": 12_000, "judged": "rates"}
        return spiking(rate=rate, **few, **common)[-1]["accuracy"]

    best = max(rates, key=held)
    return [
        {"seed": seed} | row
        for seed in seeds
        for row in spiking(rate=best, passes=passes, seed=seed, **common)
    ]


@functools.cache
@kept
def tuned(
    *, arm: str, rates: tuple[Rate, ...], dataset: str, width: int, passes: int, batch: int,
    dtype: str,
) -> dict:  # fmt: skip
    """The best of the rates on validation images, and the accuracy there of each."""
    data = images(dataset, dtype, "rates")

    def trained(rate: Rate, x: torch.Tensor, y: torch.Tensor) -> Any:
        try:
            return trained_by(arm, data, width=width, passes=passes, batch=batch, seed=0, rate=rate)
        except DIVERGED:  # as good as untrained
            return _start(arm, data, width, 0)

    choice = choose(rates, trained, data)
    rows = [row | {"candidate": named(row["candidate"])} for row in choice.rows]
    return {"best": choice.best, "rows": rows}


@kept
def race(
    *, arm: str, seed: int, dataset: str, width: int, passes: int, batch: int, dtype: str,
    rate: Rate = (),
) -> list[dict]:  # fmt: skip
    """Test accuracy after so many passes, and their seconds of a core. Chance if it diverges."""
    data = images(dataset, dtype)
    how: dict[str, Any] = {"width": width, "passes": passes, "batch": batch, "seed": seed}
    try:
        found = trained_by(arm, data, rate=rate, **how)
    except DIVERGED:
        return [{"passes": passes, "accuracy": 1 / len(data.classes), "seconds": None}]
    accuracy = found.score(data.x_test, data.y_test)
    return [{"passes": passes, "accuracy": accuracy, "seconds": found.seconds}]


def compared(
    *,
    arms: Sequence[str],
    slow: Sequence[str],
    seeds: Sequence[int],
    passes: int,
    equal_seconds: bool,
    **common: Any,
) -> dict[str, list[dict]]:
    """The race, in two tables: ``tuning`` on validation images, and ``race`` on test images.

    `arms` are methods of `RACE`; those in `slow` get the first two seeds. With `equal_seconds` each
    that trains in passes runs again, for as many passes as fit in the time of sequential ER's, one
    at least (column ``equal``: ``passes`` or ``seconds``).
    """
    tables: dict[str, list[dict]] = {"tuning": [], "race": []}
    budget, dataset = None, common["dataset"]
    for arm in sorted(arms, key=lambda arm: arm != "sequential ER"):
        rates, rate = RACE[arm].rates, ()
        if rates:
            choice = tuned(arm=arm, rates=rates, passes=passes, **common)
            rate = tuple(choice["best"])
            tables["tuning"] += [{"dataset": dataset, "arm": arm} | row for row in choice["rows"]]
        seconds = []
        for seed in seeds[:2] if arm in slow else seeds:
            given: dict[str, Any] = {"arm": arm, "seed": seed, "rate": rate, **common}
            about = {"dataset": dataset, "arm": arm, "seed": seed, "rate": named(rate)}
            (row,) = race(passes=passes, **given)
            tables["race"].append(about | {"equal": "passes"} | row)
            seconds.append(row["seconds"] or 0.0)
            if not equal_seconds or arm in ("one update", "sequential ER"):
                continue
            fits = max(1, int(passes * (budget or 0.0) / max(seconds[0], 1e-9)))
            (row,) = race(passes=fits, **given)
            tables["race"].append(about | {"equal": "seconds"} | row)
        if arm == "sequential ER":
            budget = sum(seconds) / len(seconds)
    return tables
