"""FOOF, or one-sided K-FAC: gradient descent on the fields instead of the weights."""

import itertools

import torch
from torch.nn import functional

from .. import checks
from ..arithmetic import own_arithmetic
from ..layers import dense_only
from ..network import ERNetwork
from ..regress_batch import regress_batch
from .loop import Step, declining


def foof(
    network: ERNetwork, *, rate: float, ridge: float = 0.3, updates: int | None = None
) -> Step:
    r"""Return the step of FOOF (fast first-order optimiser), without its running averages.

    .. math:: \Delta W_l = -\mathrm{rate} \cdot (C_l + \lambda I)^{-1} A_{l-1}' \,
              \frac{\partial}{\partial H_l} \sum_i \mathrm{CE}_i

    with the cross-entropy CE of the output fields and the centred Gram matrix C of the layer's
    inputs in the batch. That is ER's step with another target: the field less its gradient. The
    regression is the same (`ridge` as in `ERNetwork.fit`). With `updates` the rate declines
    linearly and would reach 0 after so many.

    Raises ValueError if rate or ridge is not positive.

    Source: F. Benzing, Gradient descent on neurons and its link to approximate second-order
    optimization, ICML 2022; K-FAC's factor of the inputs alone (Martens and Grosse 2015).
    """
    rate, ridge = checks.positive("rate", rate), checks.positive("ridge", ridge)
    factor, counted = declining(updates), itertools.count()
    dense_only(network, "foof")

    @own_arithmetic
    def step(x, labels):
        with torch.enable_grad():
            inputs, fields = network.trace(x)
            loss = functional.cross_entropy(fields[-1], labels, reduction="sum")
            gradients = torch.autograd.grad(loss, fields)
        with torch.no_grad():
            share = rate * factor(next(counted))
            for layer, below, gradient in zip(network.layers, inputs, gradients):
                weight, bias, _ = regress_batch(
                    below.detach(), -gradient, ridge, fit_intercept=layer.bias is not None
                )
                layer.assign(weight, bias, share=share)

    return step
