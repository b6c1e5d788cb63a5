r"""Training from a stream, by one process or several: ER over samples that come in batches.

ER's regressions need sums over samples alone (`erlib.Moments`), so these loops find the weights
that `ERNetwork` finds with all samples in memory, whatever the batches, and whichever process has
them. What has no room is computed again: each layer takes one pass over the stream, in which the
old network gives the wanted fields, and the new weights of the layers below give the inputs. Memory
does not depend on the number of samples.

Inside `erlib.shards.processes` each process gives its own stream, of any length, and all end with
the same weights, bit by bit.

>>> import erlib
>>> data = erlib.load("digits", dtype=torch.float64)
>>> stream = erlib.streams.Arrays(data.x_train, data.y_train, 100)
>>> net, other = (erlib.ERNetwork.dense([64, 50, 10], dtype=torch.float64) for _ in range(2))
>>> _ = one_update(net, stream), other.one_update(data.x_train, data.y_train)
>>> all(torch.equal(*pair) for pair in zip(net.parameters(), other.parameters()))
True
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from . import checks, problems, sequential, shards
from .arithmetic import own_arithmetic
from .layers import dense_only
from .network import ERNetwork
from .reflect import reflected
from .streams import Passes, Source

#: Weight `[d_in, d_out]` and bias `[d_out]` (or None) of a layer.
Layer = tuple[torch.Tensor, torch.Tensor | None]


@own_arithmetic
@torch.no_grad()
def one_update(
    network: ERNetwork,
    stream: Source,
    *,
    ridge: float = 3.0,
    readout_ridge: float = 1e-5,
    inverse: str | None = None,
    damping: float = 0.0,
    steps: int | None = None,
    found: Sequence[Layer] = (),
    watch: Callable[[list[Layer]], object] | None = None,
) -> ERNetwork:
    """`ERNetwork.one_update` from a stream, one pass for each layer; returns the network.

    Parameters
    ----------
    network : ERNetwork
    stream : re-iterable of pairs (x, y), or a function that opens one
        `erlib.streams`; x and y of each batch as in `ERNetwork.one_update`.
    ridge, readout_ridge, inverse, damping, steps
        As there.
    found : list of (weight, bias)
        New weights of the first layers, from a call that was interrupted: it goes on there.
    watch : callable, optional
        Called after each pass with all that has been found: what to give as `found`.

    Raises
    ------
    ValueError
        As there, naming the batch and the pass; for a stream that is empty, can be read only once,
        or has other samples when it is read again; and for processes with different code, weights
        or settings. The network is then unchanged.
    """
    mapping = problems.inverse_mapping(network, inverse, damping, steps)
    penalties = _penalties(network, ridge, readout_ridge)
    shards.agree(weights=network, ridge=penalties, inverse=mapping, found=len(found))
    _sweep(network, Passes(network, stream), mapping, penalties, found, watch)
    return network


@own_arithmetic
@torch.no_grad()
def settle(
    network: ERNetwork,
    stream: Source,
    *,
    updates: int = 20,
    readout_ridge: float = 1e-5,
    watch: Callable[[int], object] | None = None,
) -> ERNetwork:
    """`ERNetwork.settle` from a stream, one pass for each update and one before; returns it.

    The readout has its new weights after each update; `watch` is then called with their number.
    Other parameters and errors as in `one_update`.
    """
    checks.positive_integer("updates", updates)
    checks.not_negative("readout_ridge", readout_ridge)
    shards.agree(weights=network, updates=updates, readout_ridge=readout_ridge)
    passes, layer = Passes(network, stream), network.layers[-1]
    moments = layer.moments()
    for x, observed in passes.chunks("settle, the Gram matrix", least=0.0):
        moments.accumulate(*layer.rows(network.trace(x)[0][-1], observed))
    shards.solve(layer, moments, readout_ridge)  # sums them up

    def fields_wanted(what):
        for x, observed in passes.chunks(what):
            inputs, fields = network.trace(x)
            yield layer.rows(inputs[-1], reflected(fields[-1], observed, layer.activation))

    for update in range(1, updates + 1):
        moments.replace_fields(fields_wanted(f"settle, {update} of {updates}"), shards.sums)
        layer.assign(*shards.same(*moments.solve(readout_ridge)))
        if watch:
            watch(update)
    return network


@own_arithmetic
@torch.no_grad()
def fit(
    network: ERNetwork,
    stream: Source,
    *,
    passes: int = 1,
    share: float | None = None,
    ridge: float = 0.3,
    inverse: str | None = None,
    damping: float = 0.0,
    steps: int | None = None,
    watch: Callable[[int], object] | None = None,
) -> ERNetwork:
    """`ERNetwork.fit` with the batches of a stream, in their order; returns the network.

    Before each pass the stream, or the sampler of a DataLoader, is told its number, from 0, by its
    ``set_epoch`` if it has one. With several processes a batch is what they have of it together,
    and those whose stream has ended have none of it. The last batch of a pass is left out if it is
    less than half as large as the first. Other parameters as in `ERNetwork.fit`, errors as in
    `one_update`.
    """
    mapping = problems.inverse_mapping(network, inverse, damping, steps)
    checks.not_negative("ridge", ridge)
    share = 1 / len(network.layers) if share is None else checks.not_negative("share", share)
    shards.agree(weights=network, ridge=ridge, share=share, inverse=mapping, passes=passes)
    read = Passes(network, stream)
    _count(read)
    solved = shards.solve if len(read.sizes) > 1 else None
    update = 0
    for number in range(checks.positive_integer("passes", passes)):
        for x, observed, _ in _batches(read, number, f"fit, pass {number + 1} of {passes}"):
            changes = network._changes(x, observed, ridge, mapping, True, solved)
            for layer, (weight, bias) in zip(network.layers, changes):
                layer.assign(weight, bias, share=share)
            update += 1
            if watch:
                watch(update)
    return network


@own_arithmetic
@torch.no_grad()
def sequential_fit(
    network: ERNetwork,
    stream: Source,
    *,
    passes: int = 6,
    ridge: float = 10.0,
    code: float = 0.8,
    inverse: str | None = None,
    damping: float = 0.0,
    steps: int | None = None,
    first_update: bool = True,
    first_ridge: float = 3.0,
    share: float = 1.0,
    decline: bool = True,
    done: int = 0,
    watch: Callable[[int], object] | None = None,
) -> ERNetwork:
    """`erlib.sequential.sequential_fit` with the batches of a stream; returns the network.

    Batches are as in `fit`; several processes train dense layers only. Parameters and errors are
    those of `erlib.sequential.sequential_fit` and of `one_update`, and beside them `done`, the
    passes that an interrupted call has made: it goes on there, with the network of then. `watch` is
    called after each pass with the number of those made.
    """
    mapping = problems.inverse_mapping(network, inverse, damping, steps)
    sequential.check_settings(ridge, first_ridge, code, share)
    checks.positive_integer("passes", passes)
    checks.not_negative_integer("done", done)
    if not isinstance(first_update, bool):
        raise ValueError(f"first_update: of a stream True or False, found {first_update!r}")
    settings = (ridge, code, first_update, first_ridge, share, decline)
    shards.agree(weights=network, settings=settings, inverse=mapping, passes=passes, done=done)
    network.inverse_maps(**mapping)  # complains of a layer without such an inverse
    read = Passes(network, stream, code)
    if first_update and not done:
        read.set_epoch(0)
        _sweep(network, read, mapping, [first_ridge] * (len(network.layers) - 1) + [None])
    if read.first is None:
        _count(read)
    if several := len(read.sizes) > 1:
        dense_only(network, "sequential training by several processes")
    each, variant = len(_totals(read)), sequential.Variant()
    layers: list[Any] = list(network.layers)
    for number in range(done, passes):
        what = f"sequential ER, pass {number + 1} of {passes}"
        for index, (x, observed, counts) in enumerate(_batches(read, number, what)):
            size = share * (1 - (number * each + index) / (passes * each)) if decline else share
            if several:
                layers[0] = shards.FirstLayer(network.layers[0], counts)
                regression = functools.partial(shards.regress_rows, counts)
                variant = sequential.Variant(regression=regression, total=shards.total)
            sequential.step(layers, x, observed, ridge, size, mapping, variant)
        if several:
            shards.unite(network)
        if watch:
            watch(number + 1)
    return network


# ---------------------------------------------------------------- inside


def _penalties(network, ridge, readout_ridge) -> list:
    for name, value in (("ridge", ridge), ("readout_ridge", readout_ridge)):
        checks.not_negative(name, value)
    return [ridge] * (len(network.layers) - 1) + [readout_ridge]


def _sweep(network, passes, mapping, penalties, found=(), watch=None) -> None:
    """Targets and sweep; a layer without a penalty, None, keeps its weights."""
    layers, new = network.layers, list(found)
    to_below = network.inverse_maps(**mapping)
    for index in range(len(new), len(layers)):
        layer, penalty = layers[index], penalties[index]
        if penalty is None:
            new.append((layer.weight, layer.bias))
            continue
        moments = layer.moments()
        for x, observed in passes.chunks(f"layer {index + 1} of {len(layers)}"):
            fields = network.trace(x)[1]
            h_star = network.top_down(fields, observed, to_below, down_to=index)[0]
            for below, weights in zip(layers, new):
                x = below.activation.f(below.field(below.inputs(x), *weights))
            for rows in layer.pieces(layer.inputs(x), h_star):
                moments.accumulate(*rows)
        new.append(shards.solve(layer, moments, penalty))
        if watch:
            watch(new)
    # Only now, so that an interrupted update leaves the network as it was.
    for layer, (weight, bias) in zip(layers, new):
        layer.assign(weight, bias)


def _count(passes: Passes) -> None:
    """A pass in which nothing is done but to see what there is."""
    for number, (x, observed) in enumerate(passes.read("counting", exact=False)):
        if number == 0:
            problems.check_training(passes.network, x, observed)


def _totals(passes: Passes) -> list[int]:
    """How many samples the batches of a pass have, in all processes together.

    Without a last one that is less than half as large as the first.
    """
    totals = [sum(sizes) for sizes in itertools.zip_longest(*passes.sizes, fillvalue=0)]
    return totals[:-1] if 2 * totals[-1] < totals[0] else totals


def _batches(passes: Passes, number: int, what: str) -> Iterator[tuple]:
    """This process's part of each batch of a pass, and how many samples each process has of it."""
    passes.set_epoch(number)
    every = itertools.zip_longest(*passes.sizes, fillvalue=0)
    own = passes.read(what, exact=False)
    x = observed = torch.empty(0)
    for counts in itertools.islice(every, len(_totals(passes))):
        if counts[shards.here()[0]]:
            x, observed = next(own)
        else:  # its stream has ended
            x, observed = x[:0], observed[:0]
        yield x, observed, counts
    for _ in own:
        pass  # what is left out belongs to the pass, too: it is compared
