r"""One training by several processes: each has a part of the samples, and their sums are added up.

The processes are those of ``torch.distributed``, as ``torchrun`` starts them (`processes`); without
it there is one, and every call here gives back what it is given. What ends up in a network is
computed in one process and sent to the others, so that all have the same bits.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed as dist

from .layers import DenseLayer, Tangent
from .moments import Moments
from .regress_batch import Found, product_with_itself, regress_batch

if TYPE_CHECKING:
    from .network import ERNetwork

#: Multiplications of a matrix product that take about as long as to send a message: fewer are done
#: by every process.
MESSAGE = 10**8


@contextmanager
def processes(timeout: float = 1800.0) -> Iterator[tuple[int, int]]:
    """Join the processes that ``torchrun`` has started; gives this one's number, and how many.

    By gloo on CPUs, by nccl where there are GPUs, one for each process. Without torchrun: 0, 1. A
    process that has died is noticed at once, one that hangs after `timeout` seconds.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield 0, 1
        return
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if gpu else "gloo", timeout=timedelta(seconds=timeout))
    try:
        yield here()
    finally:
        dist.destroy_process_group()


def here() -> tuple[int, int]:
    """The number of this process, from 0, and how many there are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def who() -> str:
    """This process, at the beginning of an error; nothing if it is the only one."""
    number, count = here()
    return f"process {number}: " if count > 1 else ""


# ---------------------------------------------------------------- what is sent


def exchanged(value: Any) -> list:
    """The values that the processes have, in their order."""
    _, count = here()
    if count == 1:
        return [value]
    values = [None] * count
    _together(dist.all_gather_object, values, value)
    return values


def total(*numbers: float) -> tuple[float, ...]:
    """The sums of these numbers over all processes, in one order: the same bits everywhere."""
    _, count = here()
    if count == 1:
        return numbers
    own = torch.tensor([numbers], dtype=torch.float64, device=_device())
    return tuple(gathered(own, [1] * count).cpu().sum(0).tolist())


def same(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Those of process 0."""
    if here()[1] > 1:
        tensors = tuple(tensor.contiguous() for tensor in tensors)
        for tensor in tensors:
            _together(dist.broadcast, tensor, 0)
    return tensors


def gathered(rows: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    """The rows of all processes below each other; `counts` says how many each has."""
    _, count = here()
    if count == 1:
        return rows
    most = max(counts)
    own = rows.new_zeros(most, *rows.shape[1:])  # all send as many; what is too much is left out
    own[: len(rows)] = rows
    whole = rows.new_empty(count * most, *rows.shape[1:])
    _together(dist.all_gather, list(whole.split(most)), own)
    if min(counts) == most:
        return whole
    return torch.cat([part[:size] for part, size in zip(whole.split(most), counts)])


def sums(*values: Any) -> list:
    """The sums over all processes of tensors and of numbers; in the last bits they may differ."""
    if here()[1] == 1:
        return list(values)
    found = []
    for value in values:
        if isinstance(value, torch.Tensor):
            value = value.contiguous()
            _together(dist.all_reduce, value)
        else:
            (value,) = total(value)
        found.append(value)
    return found


def _together(call: Callable, *arguments: Any, **named: Any) -> Any:
    try:
        return call(*arguments, **named)
    except RuntimeError as error:
        raise RuntimeError(
            f"{who()}another process has stopped, or does not answer; what it says comes first. "
            f"({error})"
        ) from error


def _device() -> torch.device:
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


# ---------------------------------------------------------------- what is agreed on


def agree(**named: Any) -> None:
    """Raise ValueError, in all processes, naming what differs: the code, or what is `named`."""
    if here()[1] == 1:
        return
    own = {"erlib's code": _code(), "torch": torch.__version__}
    own |= {name: _short(value) for name, value in named.items()}
    first, *others = exchanged(own)
    for process, other in enumerate(others, 1):
        for name in first:
            if other.get(name) != first[name]:
                raise ValueError(
                    f"processes: {name} differs: {first[name]} in process 0, {other.get(name)} in "
                    f"process {process}; all must have the same"
                )


def _short(value: Any) -> str:
    if isinstance(value, torch.nn.Module):
        tensors = value.state_dict().items()
        content = b"".join(name.encode() + part.cpu().numpy().tobytes() for name, part in tensors)
        return hashlib.sha256(content).hexdigest()[:12]
    return repr(value)


def _code() -> str:
    """A checksum of the science's sources."""
    found = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        found.update(file.name.encode() + file.read_bytes())
    return found.hexdigest()[:12]


# ---------------------------------------------------------------- regressions


def solve(layer: DenseLayer, moments: Any, ridge: float) -> tuple[torch.Tensor, torch.Tensor]:
    """`Moments.solve` of a layer for the samples of all processes, whose sums `moments` becomes.

    Sent are (d_in + 1) (d_in + d_out + 1) float64 numbers, however many samples there are.
    """
    if here()[1] > 1:
        parts = getattr(moments, "groups", [moments])
        d_in, d_out = layer.weight.shape
        for part in parts:
            _add_up(part, layer.weight.new_zeros(d_in), d_out // len(parts))
    weight, bias = same(*moments.solve(ridge))
    return weight, bias


def _add_up(moments: Moments, zeros: torch.Tensor, d_out: int) -> None:
    """Make `moments` those of all processes, also in one that had no samples for them.

    Each has summed relative to a mean of its own; all are first taken to the mean of everything.
    """
    if not moments.n:
        moments.begin(zeros, d_out)
    (n,) = total(moments.n)
    if moments.fit_intercept:
        (mean,) = sums((moments.x + moments.n * moments.origin.double()) / n)
        moments.move_to(*same(mean.to(moments.dtype)))
    moments.n = n
    moments.xx, moments.xh = sums(moments.xx, moments.xh)
    moments.x, moments.h = sums(moments.x, moments.h)


def regress_rows(
    counts: Sequence[int],
    x: torch.Tensor,
    h: torch.Tensor,
    ridge: float,
    *,
    fit_intercept: bool = True,
) -> Found:
    """`erlib.regress_batch.regress_batch` of a batch of which each process has some rows.

    `counts` says how many each has, x and h are this one's, and so are the fields that come back;
    weight and bias are everyone's. Each process solves for a part of the units, with all rows; for
    all where these are few.
    """
    d_in, d_out = x.shape[1], h.shape[1]
    if sum(counts) * d_in * d_out < MESSAGE:
        both = gathered(torch.cat([x, h], dim=1), counts)
        how: dict[str, Any] = {"fit_intercept": fit_intercept, "gram": _gram}
        weight, bias, given = regress_batch(both[:, :d_in], both[:, d_in:], ridge, **how)
        return weight, bias, given[_nth(counts, here()[0])]
    x = gathered(x, counts)
    weight, bias, given = _of_units(counts, x, h, ridge, fit_intercept)
    shares = _shares(d_out)
    weight = gathered(weight.T.contiguous(), shares).T
    return weight, bias if bias is None else gathered(bias, shares), given


class FirstLayer:
    """The first layer of a network, for one batch in which each process has so many rows.

    Only its own fields need its weights. So each process has up-to-date weights of a part of the
    units, and fields are sent in place of weights, which are more numbers where a batch has fewer
    samples than the layer has inputs. `unite` then makes it whole. As far as
    `erlib.sequential.step` asks, it is a `DenseLayer`.
    """

    def __init__(self, layer: DenseLayer, counts: Sequence[int]) -> None:
        self.layer, self.counts, self.activation = layer, counts, layer.activation
        self.units = _nth(_shares(layer.weight.shape[1]), here()[0])

    def near(self, below: torch.Tensor) -> Tangent:
        """The inputs of all rows; there is nothing below that would ask for more."""
        inputs = gathered(self.layer.inputs(below), self.counts)
        return Tangent(_nothing_below, _nothing_below, below.shape[1:], inputs)

    def field(self, x: torch.Tensor) -> torch.Tensor:
        bias = self.layer.bias
        own = self.layer.field(
            x, self.layer.weight[:, self.units], bias if bias is None else bias[self.units]
        )
        return _rows_of_units(own, self.counts, self.layer.weight.shape[1])

    def regressed(
        self, inputs: torch.Tensor, wanted: torch.Tensor, ridge: float, regression: object = None
    ) -> Found:
        return _of_units(self.counts, inputs, wanted, ridge, self.layer.bias is not None)

    def assign(self, weight: torch.Tensor, bias: torch.Tensor | None, share: float) -> None:
        self.layer.linear.weight[self.units].add_(weight.T, alpha=share)
        if bias is not None:
            self.layer.linear.bias[self.units].add_(bias, alpha=share)


def unite(network: "ERNetwork") -> None:
    """Give all processes the same weights, after batches of which `FirstLayer` has made a part."""
    first, *others = network.layers
    shares = _shares(first.weight.shape[1])
    for parameter in first.linear.parameters():
        parameter.copy_(gathered(parameter[_nth(shares, here()[0])], shares))
    for layer in others:
        # Already the same, if all processors round alike.
        for parameter in layer.linear.parameters():
            parameter.copy_(*same(parameter))


def _nothing_below(change: torch.Tensor) -> torch.Tensor:
    raise AssertionError("nothing is below the first layer")


def _of_units(
    counts: Sequence[int], x: torch.Tensor, h: torch.Tensor, ridge: float, fit_intercept: bool
) -> Found:
    """Weight and bias of this process's units, from all rows of x, and the fields of its rows h."""
    own = _units_of_rows(h, counts)
    weight, bias, given = regress_batch(x, own, ridge, fit_intercept=fit_intercept, gram=_gram)
    return weight, bias, _rows_of_units(given, counts, h.shape[1])


def _gram(rows: torch.Tensor) -> torch.Tensor:
    """rows rows', of which each process makes a part, if that is worth while."""
    if len(rows) ** 2 * rows.shape[1] < MESSAGE:
        return product_with_itself(rows)
    shares = _shares(len(rows))
    return gathered(rows[_nth(shares, here()[0])] @ rows.T, shares)


def _units_of_rows(rows: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    """This process's columns of all rows, of its rows with all columns."""
    shares = _shares(rows.shape[1])
    own = shares[here()[0]]
    parts = _swapped(rows.split(shares, dim=1), [(count, own) for count in counts])
    return torch.cat(list(parts))


def _rows_of_units(columns: torch.Tensor, counts: Sequence[int], width: int) -> torch.Tensor:
    """This process's rows with all columns, of its columns of all rows."""
    own = counts[here()[0]]
    parts = _swapped(columns.split(list(counts)), [(own, share) for share in _shares(width)])
    return torch.cat(list(parts), dim=1)


def _swapped(
    parts: Sequence[torch.Tensor], shapes: Sequence[tuple[int, int]]
) -> list[torch.Tensor]:
    """What the others have for this process, of these shapes, for the parts it has for them."""
    if len(parts) == 1:
        return list(parts)
    sent = torch.cat([part.flatten() for part in parts])
    sizes = [rows * columns for rows, columns in shapes]
    found = sent.new_empty(sum(sizes))
    _together(dist.all_to_all_single, found, sent, sizes, [part.numel() for part in parts])
    return [part.view(shape) for part, shape in zip(found.split(sizes), shapes)]


def _shares(length: int) -> list[int]:
    """As equal parts of this length as there are processes."""
    count = here()[1]
    return [length * (n + 1) // count - length * n // count for n in range(count)]


def _nth(counts: Sequence[int], number: int) -> slice:
    return slice(sum(counts[:number]), sum(counts[: number + 1]))
