r"""Activations f, and what Expectation Reflection needs to know of each.

Beside the output :math:`f(h)` and the slope :math:`f'(h)` there is the **reflection factor**

.. math:: g(h) = h / f(h), \qquad g(0) = \lim_{h \to 0} h/f(h) = 1/f'(0),

the number by which an observed output is multiplied to become a new field (`erlib.reflect`).
Dividing h by f(h) is exact in floating point except at h = 0, so only there the limit is taken.

========== ==================== ======================= =========================================
name       f(h)                 g(h)                    f^-1(a)
========== ==================== ======================= =========================================
tanh       tanh h               h / tanh h              artanh a, NaN outside [-1, 1]
erf        erf h                h / erf h               erfinv a, NaN outside [-1, 1]
softsign   h / (1 + abs h)      1 + abs h               a / (1 - abs a), NaN outside (-1, 1)
identity   h                    1                       a
relu       max(h, 0)            1 if h > 0, else 0      a if a >= 0, else NaN
leaky_relu h or 0.01 h          1 if h >= 0, else 100   a if a >= 0, else 100 a
========== ==================== ======================= =========================================

ReLU's off side has f = 0 on an interval. The ratio there is 0/0: a silent unit says nothing about
how its field should be scaled, so g = 0 and `reflect` leaves the field as it is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from . import checks

Elementwise = Callable[[torch.Tensor], torch.Tensor]

_LEAK = 0.01  # torch.nn.LeakyReLU's default


@dataclass(frozen=True)
class Activation:
    """An activation by its formulas; each maps a tensor elementwise to a tensor of its shape.

    Attributes: `name`; `f`, the output; `slope`, f'; `factor`, g = h / f(h), which may be given the
    outputs f(h) beside h; `inverse`, f^-1 (NaN where f never takes the value); `between`, the ends
    of what f takes, or comes as close to as one likes.

    >>> import torch
    >>> tanh = activation("tanh")
    >>> h = torch.tensor([-2.0, 0.0, 1e-30, 3.0], dtype=torch.float64)
    >>> bool(torch.allclose(tanh.factor(h) * tanh.f(h), h))      # g f = h, the definition
    True
    >>> tanh.factor(torch.zeros(1)).item()                       # 1/f'(0), not 0/0
    1.0
    """

    name: str
    f: Elementwise
    slope: Elementwise
    factor: Callable[..., torch.Tensor]
    inverse: Elementwise
    between: tuple[float, float] = (-math.inf, math.inf)

    def __repr__(self) -> str:
        return f"Activation({self.name!r})"

    def __reduce__(
        self,
    ) -> tuple:  # formulas are functions without a name, which pickle does not take
        return activation, (self.name,)


def _ratio(f: Elementwise, at_zero: float) -> Callable[..., torch.Tensor]:
    """g for an odd f with f'(0) = 1 / at_zero; from the outputs, where they are known already."""

    def factor(h, output=None):
        output = f(h) if output is None else output
        # An output that is not a normal number has lost digits; g is at its limit long before.
        vanishes = output.abs() < torch.finfo(h.dtype).tiny
        return torch.where(vanishes, at_zero, h / output)

    return factor


def _nan_unless(allowed: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return torch.where(allowed, value, torch.nan)


_ACTIVATIONS = {
    known.name: known
    for known in (
        Activation(
            "tanh",
            f=torch.tanh,
            slope=lambda h: 1 / torch.cosh(h) ** 2,
            factor=_ratio(torch.tanh, 1.0),
            inverse=torch.atanh,
            between=(-1, 1),
        ),
        Activation(
            "erf",
            f=torch.erf,
            slope=lambda h: 2 / math.sqrt(math.pi) * torch.exp(-h * h),
            factor=_ratio(torch.erf, math.sqrt(math.pi) / 2),
            inverse=torch.erfinv,
            between=(-1, 1),
        ),
        Activation(
            "softsign",
            f=lambda h: h / (1 + h.abs()),
            slope=lambda h: 1 / (1 + h.abs()) ** 2,
            factor=lambda h, _=None: 1 + h.abs(),
            inverse=lambda a: _nan_unless(a.abs() < 1, a / (1 - a.abs())),
            between=(-1, 1),
        ),
        Activation(
            "identity",
            f=lambda h: h,
            slope=torch.ones_like,
            factor=lambda h, _=None: torch.ones_like(h),
            inverse=lambda a: a,
        ),
        Activation(
            "relu",
            f=torch.relu,
            slope=lambda h: (h > 0).to(h.dtype),
            factor=lambda h, _=None: (h > 0).to(h.dtype),
            inverse=lambda a: _nan_unless(a >= 0, a),
            between=(0, math.inf),
        ),
        Activation(
            "leaky_relu",
            f=lambda h: torch.where(h >= 0, h, _LEAK * h),
            slope=lambda h: torch.where(h >= 0, torch.ones_like(h), _LEAK),
            factor=lambda h, _=None: torch.where(h >= 0, torch.ones_like(h), 1 / _LEAK),
            inverse=lambda a: torch.where(a >= 0, a, a / _LEAK),
        ),
    )
}

#: The names that every `activation` argument takes.
NAMES = tuple(_ACTIVATIONS)


def activation(name: str | Activation) -> Activation:
    """Return the `Activation` called `name` (an Activation is returned as it is).

    Raises ValueError listing the known names for any other.

    >>> activation("softsign")
    Activation('softsign')
    """
    if isinstance(name, Activation):
        return name
    return _ACTIVATIONS[checks.choice("activation", name, _ACTIVATIONS)]
