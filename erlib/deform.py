r"""Deformed images: turned, sheared, scaled, moved and bent at random, as handwriting is."""

import math

import torch
from torch.nn import functional

from . import checks
from .arithmetic import own_arithmetic
from .augment import Augment
from .batches import Seed, generator


def deformations(
    *,
    turn: float = 12.0,
    scale: float = 0.12,
    shift: float = 2.0,
    bend: float = 1.5,
    seed: Seed = 0,
) -> Augment:
    r"""Return a function that deforms images at random, each by itself.

    Pixel p (relative to the middle of the image) of the new image is that of the old one at

    .. math:: p' = (I + S) R p + t + u(p),

    with a rotation R by up to `turn` degrees, entries of S up to `scale` (stretching and shearing),
    a shift t of up to `shift` pixels, all uniform, and a smooth displacement u: normal random ones
    with a standard deviation of `bend` pixels at 4 x 4 points, by bicubic interpolation between.
    Between pixels the image is linear, around it 0. An `Augment`, as `shifts_and_flips`.

    Raises ValueError for numbers below 0, or x (when called) that is no images.

    Source: Simard, Steinkraus and Platt, ICDAR 2003, in spirit; there u is white noise smoothed.

    >>> import erlib
    >>> images = erlib.load("digits").x_train[:4]
    >>> new = deformations(seed=0)(images)
    >>> new.shape == images.shape, bool((new == images).all())
    (True, False)
    >>> same = deformations(turn=0, scale=0, shift=0, bend=0)(images)
    >>> torch.allclose(same, images, atol=1e-5)
    True
    """
    for name, value in {"turn": turn, "scale": scale, "shift": shift, "bend": bend}.items():
        checks.not_negative(name, value)
    random = generator(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return 2 * torch.rand(*shape, generator=random, dtype=torch.float32) - 1

    @own_arithmetic
    @torch.no_grad()
    def augment(x: torch.Tensor) -> torch.Tensor:
        x = checks.tensor("x", x, ndim=4)
        n, _, height, width = x.shape
        angle = math.radians(turn) * uniform(n)
        cos, sin = angle.cos(), angle.sin()
        rotation = torch.stack([cos, -sin, sin, cos], 1).view(n, 2, 2)
        # Coordinates of grid_sample go from -1 to 1 across the image, first the column.
        unit = torch.tensor([2 / width, 2 / height])
        stretched = torch.eye(2) + scale * uniform(n, 2, 2)
        moved = shift * unit * uniform(n, 2)
        grid = functional.affine_grid(
            torch.cat([stretched @ rotation, moved[:, :, None]], 2), [n, 1, height, width], False
        )
        bent = torch.randn(n, 2, 4, 4, generator=random, dtype=torch.float32)
        bent = functional.interpolate(bent, (height, width), mode="bicubic", align_corners=True)
        grid = grid + bend * unit * bent.permute(0, 2, 3, 1)
        return functional.grid_sample(x, grid.to(x), align_corners=False)

    return augment
