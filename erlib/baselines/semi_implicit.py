"""Semi-implicit backpropagation: targets by gradient steps, weights by proximal mapping."""

import itertools

import torch
from torch.nn import functional

from .. import checks
from ..arithmetic import own_arithmetic
from ..layers import dense_only
from ..network import ERNetwork
from .loop import Step, declining


def semi_implicit(
    network: ERNetwork,
    *,
    rate: float,
    proximity: float = 1.0,
    steps: int = 5,
    updates: int | None = None,
) -> Step:
    r"""Return the step of semi-implicit backpropagation.

    From the top, with A the outputs of the forward pass and the readout's fields as :math:`A_L`,

    .. math::
        A_L^+ &= A_L - \mathrm{rate} \, \partial \mathrm{CE}/\partial A_L, \\
        W_l &\leftarrow \arg\min_W \tfrac12 \lVert f(A_{l-1} W) - A_l^+ \rVert^2
               + \tfrac{\lambda}{2} \lVert W - W_l \rVert^2, \\
        A_{l-1}^+ &= A_{l-1} - \frac{\partial}{\partial A_{l-1}}
               \tfrac12 \lVert f(A_{l-1} W_l) - A_l^+ \rVert^2 \quad\text{(with the new } W_l).

    The second line is solved for the units as they are switched now (one Gauss--Newton step), by
    conjugate gradients; the last line is a step of length 1. Mini-batch ER penalises the change of
    weights too: what is different there is the target (the ratio for a gradient step) and that a
    unit is regressed on all samples, also on those for which it is silent.

    Parameters
    ----------
    network : ERNetwork
        Trained in place.
    rate : float > 0
        Step of the top target.
    proximity : float > 0
        :math:`\lambda` relative to the mean diagonal of the inputs' Gram matrix in the batch.
    steps : int >= 1
        Conjugate-gradient steps.
    updates : int, optional
        If given, the rate declines linearly and would reach 0 after so many updates.

    Raises
    ------
    ValueError
        If one of them is out of range.

    Notes
    -----
    Source: R. Liu and H. Zhang, Semi-implicit back propagation (2020), reconstructed from its
    description; the choice of loss and inner solver is this companion's own.
    """
    rate, proximity = checks.positive("rate", rate), checks.positive("proximity", proximity)
    steps = checks.positive_integer("steps", steps)
    factor, counted = declining(updates), itertools.count()
    dense_only(network, "semi_implicit")

    @own_arithmetic
    @torch.no_grad()
    def step(x, labels):
        inputs, fields = network.trace(x)
        truth = functional.one_hot(labels, fields[-1].shape[1]).to(x.dtype)
        size = rate * factor(next(counted))
        wanted = size * (truth - fields[-1].softmax(1))  # A+ - A of the layer at hand
        for index in reversed(range(len(fields))):
            layer, below, field = network.layers[index], inputs[index], fields[index]
            last = index == len(fields) - 1
            slope = torch.ones_like(field) if last else layer.activation.slope(field)
            target = wanted + (field if last else layer.activation.f(field))
            layer.assign(*_proximal(layer, below, slope, wanted, proximity, steps), share=1.0)
            field = layer.field(below)
            left = (field if last else layer.activation.f(field)) - target
            slope = slope if last else layer.activation.slope(field)
            wanted = -(slope * left) @ layer.weight.T

    return step


def _proximal(layer, x, slope, wanted, proximity, steps):
    """Change V, v of the weights that minimises |slope * (x V + v) - wanted|^2 + lambda |V|^2.

    The bias is one more input, constant 1 (and penalised like the others).
    """
    if layer.bias is not None:
        x = torch.cat([x, x.new_ones(len(x), 1)], 1)
    penalty = proximity * x.square().mean() * len(x)
    slope2 = slope.square()
    residual = x.T @ (slope * wanted)
    change, direction = torch.zeros_like(residual), residual
    size = residual.square().sum(0)  # each unit is a problem of its own
    for _ in range(steps):
        image = x.T @ (slope2 * (x @ direction)) + penalty * direction
        along = (direction * image).sum(0)
        length = torch.where(along > 0, size / along, 0)
        change = change + length * direction
        residual = residual - length * image
        size, old_size = residual.square().sum(0), size
        direction = residual + torch.where(old_size > 0, size / old_size, 0) * direction
    return (change, None) if layer.bias is None else (change[:-1], change[-1])
