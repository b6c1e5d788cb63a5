"""A front end without labels: random image patches, whitened, as fixed convolution filters."""

import torch
from torch import nn
from torch.nn import functional

from . import checks
from .arithmetic import own_arithmetic
from .batches import Seed, generator
from .checks import Array
from .progress import progress

_AT_ONCE = 2**21  # numbers of feature maps held at a time: what stays in a processor's cache


class PatchFeatures(nn.Module):
    r"""Features of images by whitened random patches of the training images; no label is used.

    Filters are random patches p, whitened by the covariance :math:`\Sigma` of many patches,

    .. math:: w = (\Sigma + \epsilon I)^{-1} (p - \bar p), \qquad z = (q - \bar p)' w / s,

    where q is the patch at a position, :math:`\epsilon` is `ridge` times the mean variance of a
    pixel and s the mean absolute value of the filter's response. Each map is split into
    :math:`\max(0, z - 1)` and :math:`\max(0, -z - 1)` (what is weaker than usual is cut off) and
    averaged over the cells of a `grid` x `grid` division of the image.

    Parameters
    ----------
    images : tensor `[n, channels, height, width]`
        Training images.
    filters, size, grid : int >= 1
        Number of filters, side of a patch, cells along each side.
    ridge : float > 0
        Regularisation of the whitening.
    seed : int or torch.Generator

    Raises
    ------
    ValueError
        If images are no images, a patch is larger than they are, the grid is finer than the map, or
        a setting is out of range.

    Notes
    -----
    Source: A. Coates and A. Y. Ng, The importance of encoding versus training with sparse coding
    and vector quantization, ICML 2011 (random patches, soft threshold); L. Thiry et al., The
    unreasonable effectiveness of patches in deep convolutional kernels methods, ICLR 2021.

    Examples
    --------
    >>> import erlib
    >>> data = erlib.load("digits")
    >>> front = PatchFeatures(data.x_train, filters=20, size=3, grid=2)
    >>> front(data.x_test).shape == (len(data.x_test), front.width)
    True
    """

    weight: torch.Tensor
    bias: torch.Tensor

    @own_arithmetic
    @torch.no_grad()
    def __init__(
        self,
        images: Array,
        *,
        filters: int = 256,
        size: int = 6,
        grid: int = 4,
        ridge: float = 0.1,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        images = checks.tensor("images", images, ndim=4)
        for name, value in (("filters", filters), ("size", size), ("grid", grid)):
            checks.positive_integer(name, value)
        checks.positive("ridge", ridge)
        n, channels, height, width = images.shape
        if size > min(height, width):
            raise ValueError(f"size: {size}, the images are {height} x {width}")
        if grid > min(height, width) - size + 1:
            raise ValueError(f"grid: {grid} cells, the map has {min(height, width) - size + 1}")
        random = generator(seed)
        self.grid, self.width = grid, 2 * filters * grid * grid
        some = images[torch.randperm(n, generator=random)[:10_000]]
        # A few random patches of each image, so that no image counts more than others.
        patches = torch.cat([_random_patches(some, size, random) for _ in range(10)]).double()
        mean = patches.mean(0)
        centred = patches - mean
        covariance = centred.T @ centred / len(centred)
        covariance.diagonal().add_(ridge * covariance.diagonal().mean())
        # Patches with something in them: of a dark or uniform one only noise would be whitened.
        strength = centred.square().sum(1)
        lively = centred[strength > strength.median()]
        chosen = lively[torch.randint(len(lively), (filters,), generator=random)]
        weight = torch.linalg.solve(covariance, chosen.T)
        weight = weight / (centred @ weight).abs().mean(0)
        self.register_buffer("bias", -(mean @ weight).to(images.dtype))
        weight = weight.T.reshape(filters, channels, size, size)
        self.register_buffer("weight", weight.to(images.dtype))

    @own_arithmetic
    @torch.no_grad()
    def forward(self, images: Array) -> torch.Tensor:
        """Features `[n, width]` of images `[n, channels, height, width]`."""
        images = checks.tensor("images", images, ndim=4)
        features = images.new_empty(len(images), self.width)
        at_once = max(1, _AT_ONCE // (len(self.weight) * images[0, 0].numel()))
        for start in progress(range(0, len(images), at_once), "patches"):
            part = slice(start, start + at_once)
            maps = functional.conv2d(images[part], self.weight, self.bias)
            halves = [(maps - 1).relu_(), maps.add_(1).neg_().relu_()]
            pooled = [functional.adaptive_avg_pool2d(half, self.grid) for half in halves]
            features[part] = torch.cat(pooled, 1).flatten(1)
        return features


def _random_patches(images, size, random):
    """One patch `[channels * size * size]` of each image, at a random place."""
    n, _, height, width = images.shape
    top = torch.randint(height - size + 1, (n,), generator=random)
    left = torch.randint(width - size + 1, (n,), generator=random)
    rows = (top[:, None] + torch.arange(size))[:, None, :, None]
    columns = (left[:, None] + torch.arange(size))[:, None, None, :]
    samples = torch.arange(n)[:, None, None, None]
    planes = torch.arange(images.shape[1])[None, :, None, None]
    return images[samples, planes, rows, columns].flatten(1)
