"""What every public call asks of its arrays, and the way back to the caller's array type.

One rule for all: an array is a NumPy array or a torch tensor of a floating dtype, not empty, free
of NaN and Inf, and of the stated shape; anything else is a ValueError that names the argument and
says what was found. Results come back in the array type and dtype of the first argument.
"""

import math
from collections.abc import Collection
from typing import Any, TypeVar, cast

import numpy as np
import torch

#: What public calls take; several that must be of one type, which comes back, are `Same`.
Array = np.ndarray | torch.Tensor
Same = TypeVar("Same", bound=np.ndarray | torch.Tensor)


def tensor(name: str, value: object, *, ndim: int | None = None) -> torch.Tensor:
    """Return `value` as a torch tensor sharing its memory, or raise ValueError naming `name`."""
    if isinstance(value, np.ndarray):
        not_masked(name, value)
        if value.dtype.kind not in "fiub" or value.dtype.itemsize > 8:
            raise ValueError(f"{name}: expected floating-point numbers, found dtype {value.dtype}")
        value = from_numpy(value)
    if not isinstance(value, torch.Tensor):
        raise ValueError(
            f"{name}: expected a NumPy array or a torch tensor, found {type(value).__name__}"
        )
    if not value.is_floating_point():
        hint = ""
        if value.dtype == torch.uint8:
            hint = "; images need scaling first, for example x / 255 (erlib.load does it)"
        kind = str(value.dtype).removeprefix("torch.")
        raise ValueError(f"{name}: expected floating-point numbers, found {kind}{hint}")
    if ndim is not None and value.ndim != ndim:
        raise ValueError(f"{name}: expected {ndim} axes, found shape {tuple(value.shape)}")
    if value.numel() == 0:
        raise ValueError(f"{name}: empty, shape {tuple(value.shape)}")
    require_finite(name, value)
    # Made under inference mode, it would be refused where something is differentiated.
    return value.clone() if value.is_inference() else value.detach()


def not_masked(name: str, value: Any) -> None:
    """Raise ValueError naming `name` if entries of the array `value` are masked."""
    if np.ma.is_masked(value):
        count = int(np.ma.count_masked(value))
        raise ValueError(
            f"{name}: {count} of {value.size} entries are masked; leave these samples out, or fill "
            "them in by filled()"
        )


def from_numpy(array: np.ndarray) -> torch.Tensor:
    """Return a real or integer array of any memory layout as a tensor, shared where torch can."""
    array = np.asarray(array)  # without the behaviour of subclasses
    fits = all(step >= 0 and step % array.itemsize == 0 for step in array.strides)
    if not (fits and array.flags.writeable and array.dtype.isnative):
        array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(array)


def require_finite(name: str, value: torch.Tensor) -> None:
    """Raise ValueError naming `name` and the first bad entry if `value` holds NaN or Inf."""
    # A sum over NaN or Inf is never finite, and one pass without a mask is all that good data cost.
    # Finite data can overflow the sum, so the slower count decides.
    if math.isfinite(value.sum().item()):
        return
    bad = ~torch.isfinite(value)
    count = int(bad.sum())
    if count:
        where = tuple(int(i) for i in bad.nonzero()[0])
        raise ValueError(
            f"{name}: {count} of {value.numel()} entries are NaN or Inf, "
            f"the first is {value[where].item()} at {where}"
        )


def same_shape(name: str, value: Array, other_name: str, other: Array) -> None:
    """Raise ValueError unless the two arrays have one shape."""
    if value.shape != other.shape:
        raise ValueError(
            f"{name}: shape {tuple(value.shape)} differs from {other_name}'s {tuple(other.shape)}"
        )


def same_kind(name: str, value: object, other_name: str, other: object) -> None:
    """Raise ValueError unless both are NumPy arrays or both torch tensors."""
    if isinstance(value, np.ndarray) != isinstance(other, np.ndarray):
        raise ValueError(
            f"{name}: found {type(value).__name__} where {other_name} is {type(other).__name__}; "
            "pass both as NumPy arrays or both as torch tensors"
        )


def samples(x: Array, name: str, other: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """x and what is called `name`, as tensors; ValueError unless both are of a kind, `[n, any]`."""
    inputs, rows = tensor("x", x, ndim=2), tensor(name, other, ndim=2)
    same_kind(name, other, "x", x)
    if len(rows) != len(inputs):
        raise ValueError(f"{name}: {len(rows)} samples (rows), x has {len(inputs)}")
    return inputs, rows


def not_negative(name: str, value: object) -> float:
    """Raise ValueError unless `value` is a finite number >= 0; return it as float."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"{name}: expected a number >= 0, found {value!r}")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name}: expected a finite number >= 0, found {value!r}")
    return float(value)


def positive(name: str, value: object) -> float:
    """Raise ValueError unless `value` is a finite number > 0; return it as float."""
    number = not_negative(name, value)
    if number == 0:
        raise ValueError(f"{name}: expected a number > 0, found {value!r}")
    return number


def positive_integer(name: str, value: object) -> int:
    """Raise ValueError unless `value` is an integer >= 1; return it as int."""
    return not_negative_integer(name, value, least=1)


def not_negative_integer(name: str, value: object, least: int = 0) -> int:
    """Raise ValueError unless `value` is an integer >= 0, or `least`; return it as int."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name}: expected an integer >= {least}, found {value!r}")
    return int(value)


def choice(name: str, value: object, known: Collection[str]) -> str:
    """Raise ValueError listing the known names unless `value` is one of them."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name}: unknown {value!r}; known: {', '.join(sorted(known))}")
    return value


def sample_weight(value: object, name: str, samples: Array) -> torch.Tensor:
    """Return weights `[n]` >= 0 of `samples`, which are called `name`, as a tensor like these."""
    weights = tensor("sample_weight", value, ndim=1)
    if len(weights) != len(samples):
        raise ValueError(
            f"sample_weight: {len(weights)} weights, {name} has {len(samples)} samples"
        )
    if bool((weights < 0).any()):
        raise ValueError(f"sample_weight: negative, the smallest is {weights.min().item()}")
    return weights


def root_mean_square(value: torch.Tensor) -> torch.Tensor:
    """Of all numbers of a tensor, in float64."""
    return torch.linalg.vector_norm(value, dtype=torch.float64) / math.sqrt(value.numel())


def like(result: torch.Tensor, given: Same) -> Same:
    """Return the tensor `result` in the array type and dtype of `given`."""
    if isinstance(given, np.ndarray):
        return cast(Same, result.numpy().astype(given.dtype, copy=False))
    return cast(Same, result.to(given.dtype))
