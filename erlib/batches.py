"""Mini-batches in a random order that a seed decides."""

import numpy as np
import torch

from . import checks

#: Where random numbers come from.
Seed = int | torch.Generator


def minibatches(n: int, batch_size: int, passes: int, seed: Seed) -> list[torch.Tensor]:
    """The indices of the batches of all passes, each pass in a new random order.

    The last batch of a pass is left out if it is less than half full. `batch_size` is cut to n.

    >>> [len(part) for part in minibatches(10, 4, 1, seed=0)]
    [4, 4, 2]
    >>> [len(part) for part in minibatches(9, 4, 1, seed=0)]
    [4, 4]
    """
    checks.positive_integer("passes", passes)
    batch_size = min(checks.positive_integer("batch_size", batch_size), n)
    random = generator(seed)
    batches = []
    for _ in range(passes):
        order = torch.randperm(n, generator=random)
        batches += [part for part in order.split(batch_size) if 2 * len(part) >= batch_size]
    return batches


def generator(seed: Seed) -> torch.Generator:
    """A torch.Generator with this seed (a Generator is returned as it is); ValueError otherwise."""
    if isinstance(seed, torch.Generator):
        return seed
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if not (whole and 0 <= seed < 2**64):
        raise ValueError(
            f"seed: expected an integer from 0 to 2^64 - 1 or a torch.Generator, found {seed!r}"
        )
    return torch.Generator().manual_seed(int(seed))
