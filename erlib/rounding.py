"""What floating point resolves, where squares and sums of products are formed."""

import math

import torch

#: Rows whose products are formed at once. It bounds the scratch memory; above about a thousand rows
#: the speed of a matrix product no longer depends on it.
CHUNK = 4096
#: Units in the last place by which a constant may vary from sample to sample: outputs of a layer
#: are sums, whose order of summation differs between rows.
CONSTANT = 16
# Peak values whose squares, and those of what is a million times smaller, are normal numbers.
_SAFE = {torch.float32: (1e-12, 1e12), torch.float64: (1e-140, 1e140)}


def squarable(value: torch.Tensor) -> torch.Tensor:
    """`value` in a dtype that holds the squares of its numbers: its own, else float64.

    Raises ValueError where these are nothing in float64 either. (What overflows shows in the sums.)

    >>> squarable(torch.tensor([3e-25])).dtype, squarable(torch.tensor([3.0])).dtype
    (torch.float64, torch.float32)
    """
    peak = float(torch.linalg.vector_norm(value, math.inf))
    for dtype in dict.fromkeys([value.dtype, torch.float64]):
        low, high = _SAFE[dtype]
        if peak == 0 or low < peak < high:
            return value.to(dtype)
    if peak < 1:
        raise ValueError(f"x: products of {peak:.2g} underflow float64; scale it up first")
    return value.double()


def representable(weights: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """`weights` in a `dtype`; ValueError where they are too large for it."""
    found = weights.to(dtype)
    if not math.isfinite(found.sum()) and not bool(found.isfinite().all()):
        kind = str(dtype).removeprefix("torch.")
        raise ValueError(f"x: the weights overflow {kind}; scale the inputs up")
    return found
