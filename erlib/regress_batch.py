"""The second verb for a mini-batch: few samples, a large penalty, no sums to keep.

`erlib.regress` answers once for all data, in float64. A batch is asked thousands of times, so here
all is in the dtype of its inputs, by whichever Gram matrix is smaller or cheaper. The penalty is
what keeps that safe: with a ridge near 1 or above, no matrix here is ill conditioned. Only inputs
whose squares that dtype does not hold are taken to float64.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.grad import conv2d_weight

from .rounding import CONSTANT, representable, squarable

#: Weight, bias and fields.
Found = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]


def product_with_itself(rows: torch.Tensor) -> torch.Tensor:
    """rows rows'."""
    return rows @ rows.T


def regress_batch(
    x: torch.Tensor,
    h: torch.Tensor,
    ridge: float,
    *,
    fit_intercept: bool = True,
    gram: Callable[[torch.Tensor], torch.Tensor] = product_with_itself,
) -> Found:
    """`erlib.regress` of few samples, by the Gram matrix of samples where that is the smaller one.

    For tensors already checked and a ridge > 0 that makes the matrix well conditioned. Returns
    weight, bias (None without intercept) and the fields that they give for x, which the dual form
    has for nothing. The Gram matrix is made by `gram`.
    """
    if (exact := squarable(x)).dtype != x.dtype:
        found = regress_batch(exact, h.double(), ridge, fit_intercept=fit_intercept, gram=gram)
        return _as(x.dtype, found)
    x_mean, h_mean = x.mean(0), h.mean(0)
    if fit_intercept:
        x, h = x - x_mean, h - h_mean
    n, d_in = x.shape
    matrix = gram(x if n < d_in else x.T)
    trace = matrix.trace()
    if trace <= (_rounding(x_mean, n) if fit_intercept else 0):
        weight, given = x.new_zeros(d_in, h.shape[1]), torch.zeros_like(h)
    elif n < d_in:
        penalty = ridge * trace / d_in
        dual = torch.cholesky_solve(h, _penalised(matrix, penalty))
        weight = x.T @ dual
        given = h - penalty * dual  # (K + penalty) dual = h, and x weight = K dual
    else:
        weight = torch.cholesky_solve(x.T @ h, _penalised(matrix, ridge * trace / d_in))
        given = x @ weight
    if not fit_intercept:
        return weight, None, given
    return weight, h_mean - x_mean @ weight, given + h_mean


def regress_patches(
    convolution: nn.Conv2d,
    x: torch.Tensor,
    h: torch.Tensor,
    ridge: float,
    *,
    fit_intercept: bool = True,
    every: int | None = None,
    padding: Any = None,
) -> Found:
    r"""The same for a convolution: h `[n, channels, height, width]` on the patches of images x.

    The patches P, one row a pixel of h, are mostly copies of each other: neighbours overlap. What
    is asked of each counts in full, :math:`P'(H - \bar h)` is the weight gradient of the
    convolution and needs no patch; but the Gram matrix :math:`P'P`, which takes most of the time,
    is estimated from one in `every` pixels along each side and scaled to their number. Unless given
    that is 2 where it leaves at least twice as many patches as inputs, and else 1, which is exact.
    `padding` is the convolution's unless given.

    Returns weight `[d_in, channels]`, bias and the fields that they give, in the shape of h.
    """
    if (exact := squarable(x)).dtype != x.dtype:
        how = {"fit_intercept": fit_intercept, "every": every, "padding": padding}
        return _as(x.dtype, regress_patches(convolution, exact, h.double(), ridge, **how))
    c, shape = convolution, (h.shape[1], *convolution.weight.shape[1:])
    padding = c.padding if padding is None else padding
    how = {"stride": c.stride, "padding": padding, "dilation": c.dilation}
    centre = h.mean((0, 2, 3), keepdim=True) if fit_intercept else 0
    cross = conv2d_weight(x, shape, h - centre, **how).flatten(1).T
    pixels, d_in = h[:, 0].numel(), c.weight[0].numel()
    sparse = every or (2 if h[:, 0, ::2, ::2].numel() >= 2 * d_in else 1)
    gram, mean = _gram_of_patches(c.kernel_size, x, sparse, pixels, fit_intercept, **how)
    if every is None and sparse > 1:
        # Where most of what the filters see is at other pixels the estimate is far too small.
        counts, one = torch.ones_like(h[:1, :1]), (1, *shape[1:])
        total, squares = (
            conv2d_weight(part.sum(0, keepdim=True), one, counts, **how).flatten()
            for part in (x, x.square())
        )
        scatter = squares.sum() - (total.square().sum() / pixels if fit_intercept else 0)
        if gram.trace() < scatter / 2:
            gram, mean = _gram_of_patches(c.kernel_size, x, 1, pixels, fit_intercept, **how)
    trace = gram.trace()
    if trace <= (_rounding(mean, pixels) if fit_intercept else 0):
        weight = torch.zeros_like(cross)
    else:
        weight = torch.cholesky_solve(cross, _penalised(gram, ridge * trace / d_in))
    given = functional.conv2d(x, weight.T.reshape(shape), **how)
    if not fit_intercept:
        return weight, None, given
    bias = centre - given.mean((0, 2, 3), keepdim=True)
    return weight, bias.flatten(), given + bias


def _gram_of_patches(kernel, x, every, pixels, centred, stride, padding, dilation):
    """P'P, scaled to the number of `pixels`, from one in `every` of them; and the mean patch."""
    stride = tuple(every * step for step in stride)
    patches = functional.unfold(x, kernel, dilation, padding, stride)
    patches = patches.transpose(0, 1).flatten(1)
    mean = patches.mean(1, keepdim=True)
    if centred:
        patches = patches - mean
    return patches @ patches.T * (pixels / patches.shape[1]), mean


def _as(dtype, found):
    """Weight, bias (or None) and fields in another dtype."""
    weight, bias, given = found
    weight = representable(weight, dtype)
    return weight, bias if bias is None else bias.to(dtype), given.to(dtype)


def _rounding(mean, n):
    """What n equal samples may scatter around their mean: then there is nothing to regress on."""
    return n * (CONSTANT * torch.finfo(mean.dtype).eps) ** 2 * mean.square().sum()


def _penalised(gram, penalty):
    """The Cholesky factor of gram + penalty."""
    gram.diagonal().add_(penalty)
    return torch.linalg.cholesky(gram)
