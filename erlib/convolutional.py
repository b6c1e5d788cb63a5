"""A convolutional network as a plain `torch.nn.Sequential`, with seeded initial weights."""

from collections.abc import Sequence

import torch
from torch import nn

from . import checks
from .arithmetic import own_arithmetic
from .batches import Seed, generator
from .checks import Array


@own_arithmetic
@torch.no_grad()
def convolutional(
    images: Array,
    channels: Sequence[int],
    classes: int,
    *,
    kernel: int = 5,
    padding: int = 0,
    hidden: Sequence[int] = (),
    seed: Seed = 0,
) -> nn.Sequential:
    """Blocks of convolution, ReLU and 2 x 2 max-pooling, then dense layers; for `ERNetwork`.

    Parameters
    ----------
    images : tensor `[n, channels, height, width]`
        Training images: of their shape and dtype the network is made, and a fixed normalisation
        (`torch.nn.BatchNorm2d` in inference form) with the mean and variance of their channels
        stands first.
    channels : list of int >= 1
        Channels after each block.
    classes : int >= 1
        Outputs of the last layer, which has no activation.
    kernel, padding : int
        Side of the filters, zeros around the images.
    hidden : list of int
        Units of dense hidden layers, if any.
    seed : int or torch.Generator
        Source of the weights, Gaussian with variance 2 / d_in (the last layer: 1 / d_in); biases
        are 0. The global generator is never touched.

    Raises
    ------
    ValueError
        If a setting is out of range or the images are too small for the blocks.

    Examples
    --------
    >>> import erlib
    >>> images = erlib.load("digits").x_train
    >>> module = convolutional(images, [4, 8], 10, kernel=3, padding=1)
    >>> module[1], module[4]
    (Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)), \
Conv2d(4, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)))
    >>> module(images).shape == (len(images), 10)
    True
    """
    images = checks.tensor("images", images, ndim=4)
    checks.positive_integer("classes", classes)
    checks.positive_integer("kernel", kernel)
    checks.not_negative_integer("padding", padding)
    random = generator(seed)
    width, height_and_width = images.shape[1], list(images.shape[2:])
    norm = nn.BatchNorm2d(width, affine=False, dtype=torch.float32)
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(images.mean((0, 2, 3)))
    norm.running_var.copy_(images.var((0, 2, 3), correction=0))
    modules: list[nn.Module] = [norm]
    for number, wider in enumerate(channels, start=1):
        checks.positive_integer("channels", wider)
        height_and_width = [(side + 2 * padding - kernel + 1) // 2 for side in height_and_width]
        if min(height_and_width) < 1:
            raise ValueError(
                f"channels: images of {tuple(images.shape[2:])} end before block {number}"
            )
        shape = width, wider, kernel
        convolution = _drawn(nn.Conv2d, *shape, padding=padding, variance=2, random=random)
        modules += [convolution, nn.ReLU(), nn.MaxPool2d(2)]
        width = wider
    modules.append(nn.Flatten())
    width *= height_and_width[0] * height_and_width[1]
    for units in hidden:
        checks.positive_integer("hidden", units)
        modules += [_drawn(nn.Linear, width, units, variance=2, random=random), nn.ReLU()]
        width = units
    modules.append(_drawn(nn.Linear, width, classes, variance=1, random=random))
    return nn.Sequential(*modules).to(images.dtype)


def _drawn(kind, *shape, variance, random, **how):
    """A linear map with weights of this variance times 1 / d_in, and no bias yet."""
    linear = nn.utils.skip_init(kind, *shape, **how, dtype=torch.float32)
    # Drawn in float64 so that both dtypes start from the same network.
    draw = torch.randn(linear.weight.shape, generator=random, dtype=torch.float64)
    linear.weight.copy_(draw * (variance / linear.weight[0].numel()) ** 0.5)
    linear.bias.zero_()
    return linear
