"""The first layer of a receptive-field extreme learning machine: masked sums of training images."""

import torch

from .. import checks
from ..arithmetic import own_arithmetic
from ..batches import Seed, generator
from ..checks import Array
from ..coding import class_labels


@own_arithmetic
def receptive_fields(
    x: Array, y: Array, units: int, *, min_area: int = 10, border: int = 3, seed: Seed = 0
) -> torch.Tensor:
    r"""Return the weights `[d_in, units]` of a first layer made from the training images.

    Each unit sees a random rectangle of at least `min_area` pixels, `border` pixels away from the
    edge. In it its weights are a sum of all images of one class with random signs, scaled to
    length 1; classes take turns. With tanh this is the published layer (length 2 with logistic
    units) up to a scale and shift of the outputs, which the readout absorbs.

    Parameters
    ----------
    x : tensor `[n, channels, height, width]`
        Training images.
    y : integers `[n]`
        Their classes.
    units : int >= 1
    min_area : int >= 1
        The fewest pixels of a rectangle.
    border : int >= 0
        Pixels between it and the edge of the image.
    seed : int or torch.Generator
        Source of rectangles and signs.

    Raises
    ------
    ValueError
        If x holds no images, labels do not fit, or no such rectangle exists.

    Notes
    -----
    Source: M. D. McDonnell, M. D. Tissera, T. Vladusich, A. van Schaik and J. Tapson, Fast, simple
    and accurate handwritten digit classification by training shallow neural network classifiers
    with the extreme learning machine algorithm, PLoS ONE 10 (2015): RF-CIW-ELM.

    Examples
    --------
    >>> import erlib
    >>> data = erlib.load("digits")
    >>> weight = receptive_fields(data.x_train, data.y_train, 5, min_area=4, border=0)
    >>> weight.shape, bool(torch.allclose(weight.norm(dim=0), torch.ones(5)))
    (torch.Size([64, 5]), True)
    """
    images = checks.tensor("x", x, ndim=4)
    labels = class_labels(y, int(y.max()) + 1)
    if len(labels) != len(images):
        raise ValueError(f"y: {len(labels)} samples, x has {len(images)}")
    checks.positive_integer("units", units)
    random = generator(seed)
    masks = _rectangles(images.shape[2], images.shape[3], units, min_area, border, random)
    masks = masks.repeat(1, images.shape[1], 1, 1).flatten(1).T.to(images.dtype)
    flat, classes = images.flatten(1), labels.unique()
    weight = flat.new_empty(flat.shape[1], units)
    for turn, label in enumerate(classes):
        of_class = flat[labels == label]
        mine = slice(turn, units, len(classes))
        shape = len(of_class), weight[:, mine].shape[1]
        signs = torch.randn(shape, generator=random, dtype=torch.float32).sign()
        weight[:, mine] = of_class.T @ signs.to(flat.dtype)
    weight *= masks
    return weight / weight.norm(dim=0).clamp(min=torch.finfo(weight.dtype).tiny)


def _rectangles(
    height: int, width: int, units: int, min_area: int, border: int, random: torch.Generator
) -> torch.Tensor:
    """Masks `[units, 1, height, width]` of random rectangles, corners drawn until large enough."""
    rows, columns = height - 2 * border, width - 2 * border
    if rows < 1 or columns < 1 or rows * columns < min_area:
        raise ValueError(
            f"x: images of {height} x {width} hold no rectangle of {min_area} pixels that keeps "
            f"{border} away from the edge"
        )
    masks = torch.zeros(units, 1, height, width, dtype=torch.bool)
    for mask in masks[:, 0]:
        area = 0
        while area < min_area:
            top, bottom = sorted(torch.randint(rows, (2,), generator=random).tolist())
            left, right = sorted(torch.randint(columns, (2,), generator=random).tolist())
            area = (bottom - top + 1) * (right - left + 1)
        mask[border + top : border + bottom + 1, border + left : border + right + 1] = True
    return masks
