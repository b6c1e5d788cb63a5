r"""Streams: samples that come in batches, and are never all in memory.

A stream is what can be read from its beginning again and again, and gives pairs (x, y): a list of
batches, a ``torch.utils.data.DataLoader``, a function that opens an iterator, or one of the two
here: `Arrays` cuts arrays, also memory-mapped ones, into batches, `Deformed` makes new images of
old ones. An exact update reads it once for each layer, so it has to hold the same samples each
time, in whatever order; that is checked.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from . import checks, problems
from .augment import Augment
from .batches import generator
from .checks import Array
from .progress import progress
from .shards import exchanged, who

if TYPE_CHECKING:
    from .network import ERNetwork

#: What gives batches (x, y), as often as it is asked.
Source = Iterable[Any] | Callable[[], Iterable[Any]]


class Arrays:
    """Arrays in batches: in their order or, with a seed, in a new random order in each pass.

    Parameters
    ----------
    x, y : arrays `[n, ...]`
        Inputs and labels (or observed outputs). Memory-mapped ones, ``np.load(file,
        mmap_mode="r")``, are read batch by batch.
    batch_size : int >= 1
    seed : int, optional
        Of the orders. They are those of `erlib.batches.minibatches`, so that training is the same
        as with the arrays themselves.
    part : (int, int)
        Which part of each batch, and of how many: ``(rank, processes)``.

    Raises
    ------
    ValueError
        For lengths that differ, and batches too small for that many parts.

    Examples
    --------
    >>> batches = Arrays(np.arange(5.0)[:, None], np.arange(5), 2)
    >>> [y.tolist() for _, y in batches], [y.tolist() for _, y in batches]
    ([[0, 1], [2, 3], [4]], [[0, 1], [2, 3], [4]])
    >>> [y.tolist() for _, y in Arrays(np.arange(5.0)[:, None], np.arange(5), 2, part=(1, 2))]
    [[1], [3]]
    """

    def __init__(
        self,
        x: Array,
        y: Array,
        batch_size: int,
        *,
        seed: int | None = None,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        problems.same_length(x, y)
        self.x, self.y, self.seed, self.epoch = x, y, seed, 0
        self.batch_size = min(checks.positive_integer("batch_size", batch_size), max(len(x), 1))
        self.part = _part(part, self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """The next pass is that of this number, from 0: so training goes on where it was."""
        self.epoch = checks.not_negative_integer("epoch", epoch)

    def __len__(self) -> int:
        return -(-len(self.x) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        order = None
        if self.seed is not None:
            random = generator(self.seed)
            for _ in range(self.epoch + 1):
                order = torch.randperm(len(self.x), generator=random)
        for start in range(0, len(self.x), self.batch_size):
            rows = _rows(start, min(start + self.batch_size, len(self.x)), self.part)
            if rows.start < rows.stop:
                chosen = rows if order is None else order[rows]
                yield _taken(self.x, chosen), _taken(self.y, chosen)


class Deformed:
    """New images made of old ones: as many as asked for, the same ones in every pass.

    Image i is old image i modulo their number, in a random order, changed by `change` with random
    numbers that depend on `seed` and the batch alone: nothing is kept but the old images.

    Parameters
    ----------
    x : tensor `[n, channels, height, width]`
    y : tensor `[n]`
    samples, batch_size : int >= 1
    change : callable
        Makes an `Augment` of a seed: ``lambda seed: erlib.deform.deformations(seed=seed)``.
    seed : int
    part : (int, int)
        As in `Arrays`, but of the batches: every so many of them, from the first number on.

    Examples
    --------
    >>> from erlib.deform import deformations
    >>> x, y = torch.rand(6, 1, 8, 8), torch.arange(6) % 2
    >>> stream = Deformed(x, y, 20, 8, change=deformations)
    >>> first, again = list(stream), list(stream)
    >>> [len(y) for _, y in first], all(torch.equal(a, b) for (a, _), (b, _) in zip(first, again))
    ([8, 8, 4], True)
    """

    def __init__(
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        samples: int,
        batch_size: int,
        *,
        change: Callable[..., Augment],
        seed: int = 0,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        problems.same_length(x, y)
        self.x, self.y, self.change, self.seed = x, y, change, seed
        self.samples = checks.positive_integer("samples", samples)
        self.batch_size = checks.positive_integer("batch_size", batch_size)
        self.part = _part(part, len(self))
        self.order = torch.randperm(len(x), generator=generator(seed))

    def __len__(self) -> int:
        return -(-self.samples // self.batch_size)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        first, every = self.part
        for number in range(first, len(self), every):
            start = number * self.batch_size
            numbers = torch.arange(start, min(start + self.batch_size, self.samples))
            chosen = self.order[numbers % len(self.order)]
            seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1, np.uint64)[0])
            yield self.change(seed=seed)(self.x[chosen]), self.y[chosen]


class Passes:
    """Passes over a stream for a network: batches checked, and compared with the first pass.

    `read` gives the batches of a pass, as inputs and observed outputs of the network. An error says
    in which batch of which pass, and in which process if there are several.
    """

    def __init__(self, network: "ERNetwork", source: Source, code: float = 1.0) -> None:
        if isinstance(source, (np.ndarray, torch.Tensor)):
            raise ValueError("stream: an array; give batches (x, y), for example streams.Arrays")
        self.network, self.source, self.code = network, source, code
        self.number = 0
        self.first: _Seen | None = None
        self.sizes: list[list[int]] = []  # of the batches of each process

    def read(self, what: str, exact: bool = True) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """One pass. If it is to be `exact`, it must hold the samples of the first one."""
        self.number += 1
        seen = _Seen(self.network.layers[-1].weight.shape[1])
        for number, batch in enumerate(progress(self._open(), what), 1):
            try:
                x, y = _pair(batch)
                inputs, observed = problems.samples(self.network, x, y, several=True)
                if y.ndim != 2:
                    observed = self.code * observed
                problems.require_reachable("y", observed, self.network.layers[-1].activation)
                if self.first is not None and not exact:
                    self.first.require_size(number, len(inputs))
            except ValueError as error:
                raise ValueError(f"{who()}batch {number} of pass {self.number}: {error}") from None
            seen.add(inputs, observed, y, exact)
            yield inputs, observed
        if self.first is None:
            self._begin(seen)
        else:
            for now, before in self.first.differences(seen, exact):
                raise ValueError(
                    f"{who()}stream: it has changed: pass {self.number} had {now}, the first pass "
                    f"{before}; it must hold the same samples whenever it is read"
                )

    def chunks(
        self, what: str, least: float = problems.LEAST
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """`read`, in chunks as large as those of arrays: sums then do not depend on the batches."""
        unseen = self.first is None
        for x, observed in recut(self.read(what), self.network.chunk_size):
            if unseen:
                problems.check_training(self.network, x, observed, least)
                unseen = False
            yield x, observed

    def set_epoch(self, epoch: int) -> None:
        """Tell the stream, or the sampler of a DataLoader, the number of the next pass."""
        for told in (self.source, getattr(self.source, "sampler", None)):
            if tell := getattr(told, "set_epoch", None):
                tell(epoch)

    def _open(self) -> Iterable:
        if callable(self.source):
            return self.source()
        if iter(self.source) is self.source:
            raise ValueError(
                "stream: an iterator can be read only once; give a list, a DataLoader, or the "
                "function that opens it"
            )
        return self.source

    def _begin(self, seen: "_Seen") -> None:
        self.first = seen
        parts = exchanged((seen.sizes, seen.classes.tolist()))
        self.sizes = [sizes for sizes, _ in parts]
        for process, sizes in enumerate(self.sizes):
            if not sum(sizes):
                of = f" in process {process} of {len(parts)}" if len(parts) > 1 else ""
                raise ValueError(f"stream: no samples{of}")
        counts = np.sum([classes for _, classes in parts], axis=0)
        if (counts > 0).sum() == 1:
            raise ValueError(
                f"y: only one class ({int(counts.argmax())}) in {int(counts.sum())} samples, "
                "nothing to tell apart"
            )


class _Seen:
    """What a pass has held, in whatever order: sizes, labels, and checksums."""

    def __init__(self, classes: int) -> None:
        self.sizes: list[int] = []
        self.classes = np.zeros(classes, int)
        self.labels = self.rows = 0

    def add(self, x: torch.Tensor, observed: torch.Tensor, y: Array, exact: bool) -> None:
        self.sizes.append(len(x))
        if y.ndim == 1:
            self.classes += (observed > 0).sum(0).cpu().numpy()
        if exact:
            outputs = _of_rows(observed)
            self.labels = (self.labels + _mixed(outputs)) % 2**64
            rows = outputs * _ODD + _of_rows(x.flatten(1))
            self.rows = (self.rows + _mixed(rows)) % 2**64

    def differences(self, other: "_Seen", exact: bool) -> Iterator[tuple[str, str]]:
        """What the other has that is not as here, and what there is here, in words."""
        yield from _unequal("{:,} samples", sum(self.sizes), sum(other.sizes))
        if exact:
            yield from _unequal("labels of checksum {:016x}", self.labels, other.labels)
            yield from _unequal("inputs of checksum {:016x}", self.rows, other.rows)
        else:
            yield from _unequal("{} batches", len(self.sizes), len(other.sizes))

    def require_size(self, number: int, size: int) -> None:
        """Raise ValueError unless the batch of this number, from 1, had so many samples here."""
        before = self.sizes[number - 1] if number <= len(self.sizes) else 0
        if size != before:
            raise ValueError(f"stream: it has changed: {size} samples, the first pass had {before}")


def _unequal(words: str, here: int, there: int) -> Iterator[tuple[str, str]]:
    if here != there:
        yield words.format(there), words.format(here)


_ODD = -7046029254386353131  # 2^64 / golden ratio, as a signed number: it mixes bits well


def _of_rows(value: torch.Tensor) -> torch.Tensor:
    """A whole number `[n]` for each row of value `[n, d]`, of all its bits and their places."""
    bits = value.contiguous().view(torch.int32 if value.dtype.itemsize == 4 else torch.int64)
    bits = bits ^ (bits >> 4 * value.dtype.itemsize)  # two signs alone would cancel in the sum
    places = (2 * torch.arange(value.shape[1], device=value.device) + 1) * _ODD
    return (bits * places).sum(1)


def _mixed(rows: torch.Tensor) -> int:
    """The sum of these numbers modulo 2^64, the bits of each mixed: no order, and no trend."""
    rows = (rows ^ (rows >> 29)) * _ODD
    return int(((rows ^ (rows >> 32)) * _ODD).sum())


def recut(
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]], size_for: Callable[[torch.Tensor], int]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The same rows in batches of equal size, `size_for(x)`; the last may be smaller.

    >>> pairs = [(torch.arange(n), torch.arange(n)) for n in (2, 3, 2)]
    >>> [x.tolist() for x, _ in recut(pairs, lambda x: 4)]
    [[0, 1, 0, 1], [2, 0, 1]]
    """
    held: list[tuple[torch.Tensor, torch.Tensor]] = []
    size = count = 0
    for x, y in batches:
        size = size or size_for(x)
        while count + len(x) >= size:
            cut = size - count
            held.append((x[:cut], y[:cut]))
            yield _joined(held)
            held, count, x, y = [], 0, x[cut:], y[cut:]
        if len(x):
            held.append((x, y))
            count += len(x)
    if held:
        yield _joined(held)


def _joined(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    if len(pairs) == 1:
        return pairs[0]
    x, y = (torch.cat(parts) for parts in zip(*pairs))
    return x, y


def _pair(batch: Any) -> tuple[Array, Array]:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise ValueError(f"stream: expected a pair (x, y), found {type(batch).__name__}")
    x, y = batch
    if not hasattr(y, "ndim"):
        raise ValueError(f"y: expected an array, found {type(y).__name__}")
    return x, y


def _part(part: tuple[int, int], most: int) -> tuple[int, int]:
    which, parts = part
    if not 0 <= which < parts:
        raise ValueError(f"part: expected (0 .. parts - 1, parts), found {part!r}")
    if parts > most:
        raise ValueError(f"part: {parts} parts of {most}, some would be empty")
    return which, parts


def _rows(start: int, stop: int, part: tuple[int, int]) -> slice:
    """A part of the rows from start to stop, of as equal parts as there are."""
    which, parts = part
    count = stop - start
    first, last = (start - count * number // -parts for number in (which, which + 1))
    return slice(first, last)


def _taken(array: Array, rows: slice | torch.Tensor) -> Array:
    if isinstance(rows, torch.Tensor) and isinstance(array, np.ndarray):
        return array[rows.numpy()]
    return array[rows]
