"""Loops that the iterative baselines share: passes over mini-batches, and the choice of a rate."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch

from .. import checks
from ..arithmetic import own_arithmetic
from ..augment import Augment, augmented
from ..batches import Seed, minibatches
from ..checks import Array
from ..clock import clock
from ..network import ERNetwork
from ..problems import labelled
from ..progress import progress

#: One update by a batch of inputs and class labels.
Step = Callable[[torch.Tensor, torch.Tensor], None]


@own_arithmetic
def train(
    network: ERNetwork,
    x: Array,
    y: Array,
    step: Step,
    *,
    passes: int = 1,
    batch_size: int = 128,
    augment: Augment | None = None,
    seed: Seed = 0,
    watch: Callable[[int], object] | None = None,
) -> ERNetwork:
    """Call ``step(x_batch, labels_batch)`` for every batch of every pass; returns the network.

    Parameters
    ----------
    network : ERNetwork
        Changed in place by `step`.
    x : array `[n, ...]`
        Images, as in `ERNetwork.fit`.
    y : integers `[n]`
        Their classes.
    step : callable
        What one of the baselines returned for this network.
    passes, batch_size : int >= 1
        As in `ERNetwork.fit`; the batches are the same ones.
    augment : callable, optional
        As in `erlib.sequential.sequential_fit`.
    seed : int or torch.Generator
        Source of the order of the batches.
    watch : callable, optional
        Called with the number of updates so far after each of them.

    Raises
    ------
    ValueError
        For bad data or settings, before the first step.
    """
    shape = getattr(x, "shape", ())[1:]
    x, labels = labelled(network, x, y)
    batches = minibatches(len(x), batch_size, passes, seed)
    for update, part in enumerate(progress(batches, f"train, {passes} passes"), 1):
        step(augmented(augment, x[part], shape), labels[part])
        if watch:
            watch(update)
    return network


def declining(updates: int | None) -> Callable[[int], float]:
    """The factor of a rate after ``done`` updates: linear from 1 to 0, or 1 for ever if None.

    >>> half_way = declining(200)(100)
    >>> half_way, declining(200)(300), declining(None)(100)
    (0.5, 0.0, 1.0)
    """
    if updates is not None:
        checks.positive_integer("updates", updates)
    return lambda done: 1.0 if updates is None else max(0.0, 1 - done / updates)


class Choice(NamedTuple):
    """The best candidate, a row for each, and the seconds that trying them all took."""

    best: Any
    rows: list[dict]
    seconds: float


def choose(candidates: Iterable, trained: Callable[..., ERNetwork], held: Any) -> Choice:
    """Train with each of the `candidates` on a validation split and return the `Choice`.

    ``trained(candidate, x, y)`` returns a new network; `held` is ``data.holdout(n)``, whose test
    part consists of training images, so that the real test images play no part.

    >>> import erlib
    >>> held = erlib.load("digits").holdout(400)
    >>> def trained(ridge, x, y):
    ...     return erlib.ERNetwork.dense([64, 50, 10]).one_update(x, y, ridge=ridge)
    >>> choose([0.1, 1000.0], trained, held).best
    0.1
    """
    rows, begin = [], clock()
    for candidate in candidates:
        started = clock()
        network = trained(candidate, held.x_train, held.y_train)
        seconds = clock() - started
        accuracy = network.score(held.x_test, held.y_test)
        rows.append({"candidate": candidate, "accuracy": accuracy, "seconds": seconds})
    if not rows:
        raise ValueError("candidates: none to choose from")
    best = max(rows, key=lambda row: row["accuracy"])["candidate"]
    return Choice(best, rows, clock() - begin)
