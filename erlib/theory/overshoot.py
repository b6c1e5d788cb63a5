r"""How far a regression goes too far on the batch it was made of.

Wanted is :math:`\delta = x B + \text{noise}`, of n samples with d inputs; per sample, S is the mean
square of what x explains, N that of the noise. (All of this is this companion's own, or common
knowledge of least squares.)

* *Overshoot.* Least squares explains :math:`S + N d / n` of its own batch and S of any other, so a
  length that is regressed on the batch itself is too large by

  .. math:: 1 + \lambda, \qquad \lambda = \frac{d}{n} \frac{N}{S} .

* *Penalty.* The same number is the best relative penalty (`erlib.regress`) where all weights are
  alike: with as much noise as signal it is d / n, which `erlib.ER` takes. It shrinks the answer by
  :math:`1 + \lambda` in white inputs; a length regressed afterwards takes that back.
* *Where steps settle.* Steps of a share s of what noisy batches of a quadratic ask for settle where
  the fraction s / 2 of a batch's question is signal. So a fraction that small says that it is the
  steps that keep it from getting better: time for smaller ones.
"""

import torch

from .. import checks
from ..arithmetic import own_arithmetic
from ..checks import Array
from ..regress import regress


@own_arithmetic
def explained_elsewhere(x: Array, delta: Array, ridge: float = 0.0) -> float:
    r"""Of what a regression explains of its own samples, the fraction it explains of others.

    x `[n, d]` and delta `[n, k]` are split into two halves. With the answer R of each,

    .. math:: \rho = \frac{\langle x_b R_a, \delta_b \rangle + \langle x_a R_b, \delta_a \rangle}
              {\langle x_a R_a, \delta_a \rangle + \langle x_b R_b, \delta_b \rangle} .

    About :math:`1 / (1 + \lambda)` with n / 2 in place of n for least squares without intercept,
    which this is; about 1 where there is no noise, about 0 (of either sign) where there is nothing
    else.

    Raises ValueError if shapes do not fit, an array is not floating or holds NaN or Inf, there are
    fewer than two samples, ridge is negative, or x explains nothing of its own halves.

    >>> random = torch.Generator().manual_seed(0)
    >>> x = torch.randn(2000, 10, generator=random, dtype=torch.float64)
    >>> noise = torch.randn(2000, 1, generator=random, dtype=torch.float64)
    >>> round(explained_elsewhere(x, x[:, :1]), 6)
    1.0
    >>> abs(explained_elsewhere(x, noise)) < 1
    True
    """
    inputs, wanted = checks.samples(x, "delta", delta)
    if len(inputs) < 2:
        raise ValueError(f"x: {len(inputs)} sample, expected at least two: one a half")
    half = len(inputs) // 2
    parts = [slice(half), slice(half, 2 * half)]
    answers = [
        regress(inputs[part], wanted[part], ridge=ridge, fit_intercept=False)[0] for part in parts
    ]

    def explained(part: slice, answer: torch.Tensor) -> float:
        return float(((inputs[part] @ answer) * wanted[part]).sum())

    own = sum(explained(part, answer) for part, answer in zip(parts, answers))
    if not own > 0:
        raise ValueError("x: explains nothing of delta")
    return sum(explained(part, answer) for part, answer in zip(parts, answers[::-1])) / own
