"""FOOF, or one-sided K-FAC: gradient descent on the fields instead of the weights."""

import torch
from torch.nn import functional

from .. import checks


def foof(network, *, rate, ridge=0.3):
    r"""Return the step of FOOF (fast first-order optimiser), without its running averages.

    .. math:: \Delta W_l = -\mathrm{rate} \cdot (C_l + \lambda I)^{-1} A_{l-1}' \,
              \frac{\partial}{\partial H_l} \sum_i \mathrm{CE}_i

    with the cross-entropy CE of the output fields and the centred Gram matrix C of the layer's
    inputs in the batch. That is ER's step with another target: the field less its gradient. The
    regression is the same (`ridge` as in `ERNetwork.fit`).

    Raises ValueError if rate is not positive or ridge negative.

    Source: F. Benzing, Gradient descent on neurons and its link to approximate second-order
    optimization, ICML 2022; K-FAC's factor of the inputs alone (Martens and Grosse 2015).
    """
    rate, ridge = checks.positive("rate", rate), checks.not_negative("ridge", ridge)

    def step(x, labels):
        with torch.enable_grad():
            inputs, fields = network.trace(x)
            loss = functional.cross_entropy(fields[-1], labels, reduction="sum")
            gradients = torch.autograd.grad(loss, fields)
        with torch.no_grad():
            changes = [
                layer.moments().add(below.detach(), -gradient).solve(ridge)
                for layer, below, gradient in zip(network.layers, inputs, gradients)
            ]
            for layer, change in zip(network.layers, changes):
                layer.assign(*change, share=rate)

    return step
