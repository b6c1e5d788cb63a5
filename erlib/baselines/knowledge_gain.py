"""Knowledge gain: how much of a kernel is not noise, by variational Bayes."""

import math
from typing import NamedTuple

import torch

from .. import checks
from ..arithmetic import own_arithmetic
from ..checks import Array


class LowRank(NamedTuple):
    """What is left of a matrix without its noise: singular values [rank], the noise's variance."""

    values: torch.Tensor
    variance: float


@own_arithmetic
@torch.no_grad()
def evbmf(matrix: Array) -> LowRank:
    r"""Return the `LowRank` part of a matrix Y `[L, M]` by empirical variational Bayes.

    Y is a product of two matrices, whose columns h have Gaussian priors of variances that are
    fitted too, and noise of variance :math:`\sigma^2`. With the smaller side L, :math:`\alpha =
    L/M`, the singular values s of Y and :math:`x_h = s_h^2 / (M \sigma^2)`, the least free energy F
    of all factorised posteriors is (up to a constant)

    .. math::
        2 F / M &= \sum_{h=1}^{L} [x_h + \log \sigma^2 + \min(0, \varphi(x_h))], \qquad
        \varphi = \log(1 + \tau) + \alpha \log(1 + \tau / \alpha) - \tau, \\
        \tau &= \tfrac12 [x - 1 - \alpha + \sqrt{(x - 1 - \alpha)^2 - 4 \alpha}].

    Components with :math:`\varphi < 0` stay, with the value :math:`\tau M \sigma^2 / s`, which is
    below s; there :math:`\tau` is real. The variance is the one with the least F, by a search on
    finer and finer grids of its logarithm.

    Raises ValueError if the matrix is empty, not floating, not finite, or has no two axes.

    Source: S. Nakajima, M. Sugiyama, S. D. Babacan and R. Tomioka, Global analytic solution of
    fully-observed variational Bayesian matrix factorization, JMLR 14 (2013).

    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> noise = random.standard_normal((20, 50))
    >>> signal = 3 * np.outer(random.standard_normal(20), random.standard_normal(50))
    >>> len(evbmf(noise).values), len(evbmf(noise + signal).values)
    (0, 1)
    """
    y = checks.tensor("matrix", matrix, ndim=2).double().cpu()
    low, high = sorted(y.shape)
    alpha, s = low / high, torch.linalg.svdvals(y)
    mean = float(s.square().sum()) / (low * high)
    if mean == 0:
        return LowRank(s[:0], 0.0)

    def parts(variance):
        x = s.square() / (high * variance)
        root = ((x - 1 - alpha).square() - 4 * alpha).clamp(min=0).sqrt()
        # Below the edge of pure noise there is no tau: 0 keeps nothing.
        tau = torch.where(x > (1 + math.sqrt(alpha)) ** 2, (x - 1 - alpha + root) / 2, 0.0)
        return x, tau, (1 + tau).log() + alpha * (1 + tau / alpha).log() - tau

    # The rank is below L / (1 + alpha); what is beyond is noise, and bounds its variance below.
    rest = s[math.ceil(low / (1 + alpha)) - 1 :].square().mean() / high
    ends = max(float(rest), 1e-24 * mean), mean
    bottom, top = (math.log(end) for end in ends)
    while top - bottom > 1e-9:
        grid = torch.linspace(bottom, top, 200, dtype=s.dtype)[:, None]
        x, _, phi = parts(grid.exp())
        best = int((x + grid + phi.clamp(max=0)).sum(1).argmin())
        bottom, top = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, 199)])
    variance = math.exp((bottom + top) / 2)
    _, tau, phi = parts(variance)
    kept = phi < 0
    return LowRank(tau[kept] * high * variance / s[kept], variance)


def knowledge_gain(kernel: Array) -> float:
    r"""Return the knowledge gain of a convolution's kernel, a number from 0 to 1.

    The kernel `[d_out, d_in, height, width]` is unfolded to two matrices, one with a row for each
    output channel, one with a row for each input channel. Each has the singular values d of its low
    rank part (`evbmf`), and the gain is the mean over both of

    .. math:: \frac{1}{\mathrm{rows}} \sum_h d_h / d_1.

    So 0 is noise, and the more ranks stand out of it, and the more evenly, the larger is the gain.
    A matrix `[d_out, d_in]` is its own unfolding; one of a single row is all noise (the unfolding
    for one input channel).

    Raises ValueError if the kernel is empty, not floating, not finite, or a vector.

    Source: M. S. Hosseini and K. N. Plataniotis, AdaS (arXiv 2006.06587, 2020), with power 1.

    >>> noise = torch.randn(8, 16, 3, 3, generator=torch.Generator().manual_seed(0))
    >>> knowledge_gain(noise), knowledge_gain(noise + 1)                # (1/8 + 1/16) / 2
    (0.0, 0.09375)
    """
    kernel = checks.tensor("kernel", kernel)
    if kernel.ndim < 2:
        raise ValueError(f"kernel: expected two axes or more, found shape {tuple(kernel.shape)}")
    gains = []
    for axis in (0, 1) if kernel.ndim > 2 else (0,):
        unfolded = kernel.movedim(axis, 0).flatten(1)
        values = evbmf(unfolded).values
        gains.append(float((values / values[:1]).sum()) / len(unfolded))
    return sum(gains) / len(gains)
