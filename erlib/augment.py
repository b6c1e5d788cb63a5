"""Augmentation: images changed in ways that keep their class, new ones in every pass."""

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from . import checks
from .arithmetic import own_arithmetic
from .batches import Seed, generator

#: Takes and returns images `[n, channels, height, width]`.
Augment = Callable[[torch.Tensor], torch.Tensor]


def shifts_and_flips(*, shift: int = 4, flip: bool = True, seed: Seed = 0) -> Augment:
    r"""Return a function that moves and mirrors images at random, each by itself.

    An image `[channels, height, width]` is moved by up to `shift` pixels along each axis, edges
    filled with zeros, and with `flip` mirrored left to right with probability 1/2. As `augment` of
    `erlib.sequential.sequential_fit` and of `erlib.baselines.train` it is called with every batch.

    Raises ValueError if shift is no integer >= 0, or x (when called) no images.

    Source: the usual augmentation of CIFAR-10 (random crops of the padded image, flips), as in
    torchvision.transforms, which would draw from the global generator, once for a whole batch.

    >>> import erlib
    >>> images = erlib.load("digits").x_train[:4]
    >>> moved = shifts_and_flips(shift=1, seed=0)(images)
    >>> moved.shape == images.shape, bool((moved <= images.amax()).all())
    (True, True)
    >>> bool((shifts_and_flips(shift=0, flip=False)(images) == images).all())
    True
    """
    checks.not_negative_integer("shift", shift)
    random = generator(seed)

    @own_arithmetic
    @torch.no_grad()
    def augment(x: torch.Tensor) -> torch.Tensor:
        x = checks.tensor("x", x, ndim=4)
        n, channels, height, width = x.shape
        padded = functional.pad(x, (shift,) * 4)
        top, left = torch.randint(2 * shift + 1, (2, n), generator=random)
        rows = top[:, None] + torch.arange(height)
        columns = left[:, None] + torch.arange(width)
        if flip:
            mirrored = torch.rand(n, generator=random, dtype=torch.float32) < 0.5
            columns = torch.where(mirrored[:, None], columns.flip(1), columns)
        samples, planes = torch.arange(n)[:, None, None, None], torch.arange(channels)
        return padded[
            samples, planes[:, None, None], rows[:, None, :, None], columns[:, None, None, :]
        ]

    return augment


def augmented(augment: Augment | None, batch: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """`batch` by the caller's `augment` (or as it is, if None), which sees samples of `shape`.

    A dense network has flattened its images; they come back in the shape of the batch.
    """
    if augment is None:
        return batch
    changed = augment(batch.reshape(len(batch), *shape))
    if not isinstance(changed, torch.Tensor) or len(changed) != len(batch):
        raise ValueError(f"augment: expected a tensor of {len(batch)} samples, found {changed!r}")
    return checks.tensor("augment", changed.to(batch.dtype)).reshape(batch.shape)
