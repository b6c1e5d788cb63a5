"""Checks that a reader sees: two routes to the same numbers, and one that must not arrive there."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def agree(name: str, one: Any, other: Any, within: float = 1e-10) -> None:
    """Print that two arrays, or lists of arrays, are the same; AssertionError if they are not.

    Compared by their largest difference over their largest entry. Prints the bound, not the digits
    of the difference: these are another machine's.

    >>> agree("sum", [0.1 + 0.2], [0.3])
    sum                           agrees, to 1e-10
    """
    apart = _apart(one, other)
    assert apart < within, f"{name}: differs by {apart:.2g} of its size, expected below {within:g}"
    print(f"{name:<30}agrees, to {within:g}")


def differ(name: str, one: Any, other: Any, beyond: float = 0.01) -> None:
    """Print that two arrays are not the same, and by how much; AssertionError if they are.

    The check of a check: what it is told of must be able to fail.

    >>> differ("sum, one digit wrong", [0.3], [0.2])
    sum, one digit wrong          differs, by 33 %
    """
    apart = _apart(one, other)
    assert apart > beyond, f"{name}: differs by {apart:.2g} of its size only"
    print(f"{name:<30}differs, by {100 * apart:.0f} %")


def _apart(one: Any, other: Any) -> float:
    one, other = _flat(one), _flat(other)
    assert one.shape == other.shape, f"{one.size} and {other.size} entries"
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return float("nan")  # neither agrees nor differs
    return float(np.abs(one - other).max() / max(np.abs(one).max(), np.abs(other).max(), 1e-300))


def _flat(value: Any) -> np.ndarray:
    """All numbers of an array, a tensor, or a list or tuple of such."""
    if isinstance(value, Sequence):
        parts = [_flat(part) for part in value if part is not None]
        return np.concatenate(parts) if parts else np.zeros(0)
    detached = value.detach().cpu() if hasattr(value, "detach") else value
    return np.asarray(detached, dtype=np.float64).reshape(-1)
