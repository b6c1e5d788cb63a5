"""Difference target propagation whose inverses are regressions, not trained decoders."""

import torch
from torch.nn import functional

from .. import checks
from ..arithmetic import own_arithmetic
from ..layers import dense_only
from ..network import ERNetwork
from ..regress import regress
from .loop import Step, declining


def target_propagation(
    network: ERNetwork,
    *,
    rate: float = 1e-3,
    target_step: float = 1.0,
    ridge: float = 0.1,
    updates: int | None = None,
) -> Step:
    r"""Return the step of difference target propagation (DTP) with an analytic inverse.

    The top target is a gradient step on the output fields,
    :math:`T_L = H_L - \mathrm{target\_step} \cdot \partial \mathrm{CE} / \partial H_L`; each
    target below is handed down by the difference rule

    .. math:: T_{l-1} = A_{l-1} + (T_l - A_l) D_l, \qquad
              D_l = \arg\min \lVert A_l D + c - A_{l-1} \rVert^2 + \mathrm{ridge},

    the best linear guess of a layer's inputs from its outputs in the batch. The weights then
    descend the local losses :math:`\lVert f(H_l) - T_l \rVert^2 / 2`, summed, by Adam.

    Parameters
    ----------
    network : ERNetwork
        Trained in place.
    rate : float > 0
        Learning rate of Adam.
    target_step : float > 0
        Step of the top target.
    ridge : float >= 0
        Relative penalty of the inverse regression.
    updates : int, optional
        If given, the rate declines linearly and would reach 0 after so many updates.

    Raises
    ------
    ValueError
        If one of them is out of range.

    Notes
    -----
    Source: D.-H. Lee et al., Difference target propagation (2015), with trained decoders; the
    regression in their place follows the idea of analytic inverses (Bao et al., AAAI 2024), in this
    companion's own form.
    """
    checks.positive("target_step", target_step)
    ridge = checks.not_negative("ridge", ridge)
    optimiser = torch.optim.Adam(list(network.parameters()), checks.positive("rate", rate))
    decline = torch.optim.lr_scheduler.LambdaLR(optimiser, declining(updates))
    dense_only(network, "target_propagation")

    @own_arithmetic
    @torch.no_grad()
    def step(x, labels):
        inputs, fields = network.trace(x)
        outputs = [*inputs[1:], fields[-1]]  # the readout counts as linear: its fields are scores
        truth = functional.one_hot(labels, outputs[-1].shape[1]).to(x.dtype)
        wanted = [target_step * (truth - outputs[-1].softmax(1))]  # T - A, last layer first
        for below, output in zip(inputs[:0:-1], outputs[:0:-1]):
            inverse, _ = regress(output, below, ridge=ridge)
            wanted.append(wanted[-1] @ inverse)
        for index, (layer, difference) in enumerate(zip(network.layers, wanted[::-1])):
            if index < len(network.layers) - 1:
                difference = layer.activation.slope(fields[index]) * difference
            layer.linear.weight.grad = -difference.T @ inputs[index] / len(x)
            if layer.bias is not None:
                layer.linear.bias.grad = -difference.mean(0)
        optimiser.step()
        decline.step()

    return step
