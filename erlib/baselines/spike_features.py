"""Features of images by spikes and their timing: filters learnt without labels, outputs 0 or 1."""

import torch
from torch import nn
from torch.nn import functional

from .. import checks
from ..arithmetic import own_arithmetic
from ..batches import Seed, generator
from ..checks import Array
from ..progress import progress

_AT_ONCE = 2**21  # numbers of potentials held at a time
_CONTRAST = 0.2  # what is weaker does not spike
_LIMIT = 0.15  # of the rate


class SpikeFeatures(nn.Module):
    r"""Features of images by a spiking convolution, its filters learnt by spike timing (STDP).

    Each channel is split into where it is brighter and where it is darker than around (differences
    of Gaussians of width 1 and 2); of the pixels of either the strongest spike first, in
    `time_steps` equal parts. A unit, a filter w at a place, adds up the weights of pixels that
    spiked and itself spikes where that reaches the `threshold`; at each place only the first unit
    does, the strongest of several. A feature is 1 where a filter spiked anywhere in a cell of a
    `grid` x `grid` division of the image, else 0.

    In learning, the first unit to spike in an image, the strongest of several, changes its filter,

    .. math:: \Delta w_i = w_i (1 - w_i) \cdot \begin{cases} a & \text{if pixel } i
              \text{ spiked before it or with it}, \\ -\tfrac34 a & \text{if not}, \end{cases}

    and silences the same filter elsewhere and all others up to `apart` pixels away; then the next
    does, and so on. A filter that learnt from two of five images waits for the next five. Weights
    start near 0.8 and stay between 0 and 1; a is `rate`, doubled after each twelfth of the images,
    up to 0.15.

    Parameters
    ----------
    images : tensor `[n, channels, height, width]`
        Training images, pixels from 0 to 1.
    filters, size, grid : int >= 1
        Number of filters, side of a filter, cells along each side.
    seen : int >= 1
        So many images, drawn at random with repetition, are learnt from, one after the other.
    threshold : float > 0, optional
        Unless given, 0.3 times the number of a filter's weights: 15 for size 5 and one channel.
    time_steps, apart, rate : int >= 1, int >= 0, 0 < float <= 0.15
    seed : int or torch.Generator

    Raises
    ------
    ValueError
        If images are no images, a filter is larger than they are, the grid is finer than the map,
        or a setting is out of range.

    Notes
    -----
    Source: R. Vaila, J. Chiasson and V. Saxena, A deep unsupervised feature learning spiking neural
    network with binarized classification layers for EMNIST classification (arXiv 2002.11843); rule
    and settings as in the first layer of their public code, SpykeFlow. This companion's own:
    contrasts are not normalised, an image's potentials are those of the weights before it, a
    filter that waits does not shrink, and cells take the place of 2 x 2 pooling (the same at 12
    cells for 28 x 28 pixels).

    Examples
    --------
    >>> import erlib
    >>> data = erlib.load("digits")
    >>> front = SpikeFeatures(data.x_train, filters=20, size=3, grid=3, seen=20)
    >>> features = front(data.x_test[:50])
    >>> features.shape == (50, front.width), features.unique().tolist()
    (True, [0.0, 1.0])
    """

    weight: torch.Tensor

    @own_arithmetic
    @torch.no_grad()
    def __init__(
        self,
        images: Array,
        *,
        filters: int = 30,
        size: int = 5,
        grid: int = 12,
        seen: int = 1000,
        threshold: float | None = None,
        time_steps: int = 10,
        apart: int = 5,
        rate: float = 0.002,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        images = checks.tensor("images", images, ndim=4)
        counts = {"filters": filters, "size": size, "grid": grid, "seen": seen}
        for name, value in {**counts, "time_steps": time_steps}.items():
            checks.positive_integer(name, value)
        apart = checks.not_negative_integer("apart", apart)
        if checks.positive("rate", rate) > _LIMIT:
            raise ValueError(f"rate: expected at most {_LIMIT}, found {rate!r}")
        _, channels, height, width = images.shape
        if size > min(height, width):
            raise ValueError(f"size: {size}, the images are {height} x {width}")
        if grid > min(height, width) - size + 1:
            raise ValueError(f"grid: {grid} cells, the map has {min(height, width) - size + 1}")
        shape = filters, 2 * channels, size, size
        inputs = 2 * channels * size * size
        self.threshold = checks.positive(
            "threshold", 0.3 * inputs if threshold is None else threshold
        )
        self.grid, self.time_steps, self.width = grid, time_steps, filters * grid * grid
        random = generator(seed)
        weight = 0.8 + 0.01 * torch.randn(shape, generator=random, dtype=torch.float64)
        self.register_buffer("weight", weight.to(images.dtype))
        learnt = [0] * filters  # how often, in this five images
        for number in progress(range(seen), "spike features"):
            learnt = learnt if number % 5 else [0] * filters
            image = images[torch.randint(len(images), (1,), generator=random)]
            a = min(_LIMIT, rate * 2 ** (12 * number // seen))
            self._learn(self.times(image), a, apart, learnt)

    def times(self, images: torch.Tensor) -> torch.Tensor:
        """The step at which each pixel spikes, `time_steps` if never: `[n, 2 channels, h, w]`."""
        away = torch.arange(-3, 4, dtype=images.dtype).square()
        squared = away[:, None] + away
        kernel = torch.exp(-squared / 2) - torch.exp(-squared / 8) / 2
        kernel -= kernel.mean()
        channels = images.shape[1]
        kernel = (kernel / kernel.max()).expand(channels, 1, 7, 7)
        bright = functional.conv2d(images, kernel, padding=3, groups=channels)
        contrast = torch.cat([bright, -bright], 1).flatten(2)
        count = (contrast >= _CONTRAST).sum(2, keepdim=True)
        order = contrast.argsort(dim=2, descending=True, stable=True)
        rank = order.argsort(dim=2)
        step = torch.where(
            rank < count, rank * self.time_steps // count.clamp(min=1), self.time_steps
        )
        return step.unflatten(2, images.shape[2:])

    def first(self, times: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """At each place the first unit to spike: step (or `time_steps`), filter, potential."""
        n, _, height, width = times.shape
        side = self.weight.shape[-1]
        when = times.new_full((n, height - side + 1, width - side + 1), self.time_steps)
        winner, most = torch.zeros_like(when), when.to(self.weight.dtype)
        for t in range(self.time_steps):
            potential = functional.conv2d((times <= t).to(self.weight.dtype), self.weight)
            top, strongest = potential.max(1)
            new = (top >= self.threshold) & (when == self.time_steps)
            when[new], winner[new], most[new] = t, strongest[new], top[new]
        return when, winner, most

    def _learn(self, times, a, apart, learnt):
        """Let one image, by the `times` of its pixels, change the filters of units that win."""
        when, winner, most = (part[0] for part in self.first(times))
        free = when < self.time_steps
        for index, often in enumerate(learnt):
            if often >= 2:
                free &= winner != index
        side = self.weight.shape[-1]
        while free.any():
            earliest = free & (when == when[free].min())
            row, column = divmod(int(torch.where(earliest, most, -1).argmax()), when.shape[1])
            index = int(winner[row, column])
            seen = times[0, :, row : row + side, column : column + side] <= when[row, column]
            w = self.weight[index]
            w += a * (1.75 * seen.to(w.dtype) - 0.75) * w * (1 - w)
            learnt[index] += 1
            free &= winner != index
            top, left = max(0, row - apart), max(0, column - apart)
            free[top : row + apart + 1, left : column + apart + 1] = False

    @own_arithmetic
    @torch.no_grad()
    def forward(self, images: Array) -> torch.Tensor:
        """Features `[n, width]`, zeros and ones, of images `[n, channels, height, width]`."""
        images = checks.tensor("images", images, ndim=4).to(self.weight.dtype)
        found = images.new_empty(len(images), self.width)
        at_once = max(1, _AT_ONCE // (len(self.weight) * images[0, 0].numel()))
        for start in progress(range(0, len(images), at_once), "spikes"):
            part = slice(start, start + at_once)
            when, winner, _ = self.first(self.times(images[part]))
            maps = functional.one_hot(winner, len(self.weight)).movedim(3, 1).to(images.dtype)
            maps = maps * (when < self.time_steps)[:, None]
            found[part] = functional.adaptive_max_pool2d(maps, self.grid).flatten(1)
        return found
