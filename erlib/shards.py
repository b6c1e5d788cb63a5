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
from typing import Any

import torch
from torch import distributed as dist

from .layers import DenseLayer
from .moments import Moments
from .regress_batch import Found, as_dtype, penalised, rounding
from .rounding import squarable


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
    number, count = here()
    if count == 1:
        return rows
    whole = rows.new_empty(sum(counts), *rows.shape[1:])
    parts = whole.split(list(counts))
    parts[number].copy_(rows)
    sent = [
        _together(dist.broadcast, part, source, async_op=True)
        for source, part in enumerate(parts)
        if len(part)
    ]
    for each in sent:
        _together(each.wait)
    return whole


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
        content = b"".join(name.encode() + bytes(part.cpu().numpy()) for name, part in tensors)
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
    weight and bias are everyone's. A batch has fewer samples than a layer has weights, so samples
    are sent and not sums: n (d_in + d_out) numbers. The work is then shared: each process makes
    a part of the Gram matrix, and the weights of a part of the units, d_in d_out numbers in all.
    """
    number, _ = here()
    d_in, d_out, kind = x.shape[1], h.shape[1], x.dtype
    both = gathered(torch.cat([x, h], dim=1), counts)
    x, h = both[:, :d_in], both[:, d_in:]
    if (exact := squarable(x)).dtype != kind:
        x, h = exact, h.double()
    x_mean, h_mean = x.mean(0), h.mean(0)
    if fit_intercept:
        x, h = x - x_mean, h - h_mean
    own = _nth(counts, number)
    dual = len(x) < d_in
    rows = x if dual else x.T
    shares, of = _shares(len(rows)), _shares(d_out)
    gram = gathered(rows[_nth(shares, number)] @ rows.T, shares)
    trace, units = gram.trace(), _nth(of, number)
    if trace <= (rounding(x_mean, len(x)) if fit_intercept else 0):
        weight, given = x.new_zeros(d_in, d_out), torch.zeros_like(h[own])
    else:
        penalty = ridge * trace / d_in
        factor = penalised(gram, penalty)
        if dual:
            inverse = torch.cholesky_inverse(factor)
            found = (inverse @ h[:, units]).T @ x
            given = h[own] - penalty * (inverse[own] @ h)
        else:
            found = torch.cholesky_solve(x.T @ h[:, units], factor).T.contiguous()
        weight = gathered(found, of).T
        if not dual:
            given = x[own] @ weight
    if not fit_intercept:
        return as_dtype(kind, (weight, None, given))
    bias = gathered(h_mean[units] - x_mean @ weight[:, units], of)
    return as_dtype(kind, (weight, bias, given + h_mean))


def _shares(length: int) -> list[int]:
    """As equal parts of this length as there are processes."""
    count = here()[1]
    return [length * (n + 1) // count - length * n // count for n in range(count)]


def _nth(counts: Sequence[int], number: int) -> slice:
    return slice(sum(counts[:number]), sum(counts[: number + 1]))
