"""Randomized forward-mode gradients: how the loss changes along random directions, no backward."""

import itertools

import torch
from torch.func import functional_call, jvp, vmap
from torch.nn import functional

from .. import checks
from ..arithmetic import own_arithmetic
from ..batches import Seed, generator
from ..layers import dense_only
from ..network import ERNetwork
from .loop import Step, declining


def forward_gradient(
    network: ERNetwork,
    *,
    rate: float,
    perturb: str = "weights",
    draws: int = 1,
    loss: str = "cross_entropy",
    updates: int | None = None,
    seed: Seed = 0,
) -> Step:
    r"""Return the step of gradient descent along a forward gradient.

    One forward pass tells the slope of the loss L along a random direction v (Jacobian-vector
    product). Slope times direction is right on average, because the mean of v v' is I:

    .. math:: \hat g = \frac1K \sum_{k=1}^K (\nabla L \cdot v_k) \, v_k, \quad
              v_k \sim N(0, I), \qquad
              E |\hat g - \nabla L|^2 = \frac{d + 1}{K} |\nabla L|^2

    where v has d numbers. Every step moves the weights by -rate times the estimate.

    Parameters
    ----------
    network : ERNetwork
        Trained in place.
    rate : float > 0
        To be smaller than that of gradient descent by about K / d where d is larger than K.
    perturb : ``weights`` or ``fields``
        What v moves. ``weights``: all weights and biases at once. ``fields``: the fields of all
        layers, of every sample along its own direction, so that d is the number of units; a layer's
        estimate is :math:`A_{l-1}' \hat\Delta_l / n`, with the outer product of each sample's slope
        and direction as :math:`\hat\Delta_l` `[n, d_out]`.
    draws : int >= 1
        K, all in one pass.
    loss : ``cross_entropy`` or ``squared``
        The mean over the batch of :math:`-\log \mathrm{softmax}(H_L)_y`, with labels y `[n]`; or of
        :math:`|A_L - y|^2 / 2`, the outputs' squared error, with observed outputs y `[n, d_out]`.
        For functions to be learned the network has ``output="identity"``, and
        ``network.fit(x, y)`` trains it by ER on the same y.
    updates : int, optional
        If given, the rate declines linearly and would reach 0 after so many updates.
    seed : int or torch.Generator
        Source of the directions.

    Raises
    ------
    ValueError
        If a setting is out of range or a layer is not dense; the step, if y has not the shape of
        the outputs (``squared``).

    Notes
    -----
    ``step.estimate(x, y)`` returns the estimates, in the order of ``network.parameters()``, and
    changes nothing but the state of the source.

    Source: R. Wan, Q. Zhang and G. E. Karniadakis, Randomized forward mode gradient for spiking
    neural networks in scientific machine learning (2024), reconstructed from its description: its
    perturbation of the weights, without spikes and operators. ``fields`` is the perturbation of
    activities of Ren et al., Scaling forward gradient with local losses (2023), without the losses.

    Examples
    --------
    >>> import erlib
    >>> from erlib.baselines import train
    >>> data = erlib.load("digits")
    >>> net = erlib.ERNetwork.dense([64, 50, 10])
    >>> step = forward_gradient(net, rate=0.5, perturb="fields", draws=4, updates=135)
    >>> net = train(net, data.x_train, data.y_train, step, passes=3, batch_size=32)
    >>> net.score(data.x_test, data.y_test) > 0.9
    True
    """
    rate, draws = checks.positive("rate", rate), checks.positive_integer("draws", draws)
    estimated = _ESTIMATES[checks.choice("perturb", perturb, _ESTIMATES)]
    losses = _LOSSES[checks.choice("loss", loss, _LOSSES)]
    factor, counted, random = declining(updates), itertools.count(), generator(seed)
    dense_only(network, "forward_gradient")

    @own_arithmetic
    @torch.no_grad()
    def estimate(x, y):
        def normal(*shape):
            return torch.randn(draws, *shape, generator=random, dtype=x.dtype).to(x.device)

        return estimated(network, x, lambda fields: losses(network, fields, y), normal)

    @own_arithmetic
    @torch.no_grad()
    def step(x, y):
        gradients, share = estimate(x, y), rate * factor(next(counted))
        for parameter, gradient in zip(network.parameters(), gradients):
            parameter.sub_(gradient, alpha=share)

    step.estimate = estimate  # type: ignore[attr-defined]
    return step


def _by_weights(network, x, losses, normal):
    weights = {name: value.detach() for name, value in network.named_parameters()}
    v = {name: normal(*value.shape) for name, value in weights.items()}

    def loss(weights):
        return losses(functional_call(network, weights, (x,))).mean()

    slopes = vmap(lambda v: jvp(loss, (weights,), (v,))[1])(v)
    return [torch.tensordot(slopes, part, 1) / len(slopes) for part in v.values()]


def _by_fields(network, x, losses, normal):
    inputs, fields = network.trace(x)
    v = [normal(*field.shape) for field in fields]

    def shifted(shifts):
        below = x
        for layer, shift in zip(network.layers, shifts):
            field = layer.field(below) + shift
            below = layer.activation.f(field)
        return losses(field)  # no sample's fields bear on another's loss: a slope each

    still = [torch.zeros_like(field) for field in fields]
    slopes = vmap(lambda v: jvp(shifted, (still,), (v,))[1])(v)
    gradients = []
    for layer, below, part in zip(network.layers, inputs, v):
        delta = (slopes[..., None] * part).mean(0) / len(x)
        gradients += [delta.T @ below] if layer.bias is None else [delta.T @ below, delta.sum(0)]
    return gradients


def _cross_entropy(_, fields, labels):
    return functional.cross_entropy(fields, labels, reduction="none")


def _squared(network, fields, y):
    outputs = network.layers[-1].activation.f(fields)
    checks.same_shape("y", y, "the outputs", outputs)
    return (outputs - y.to(outputs)).square().sum(1) / 2


_ESTIMATES = {"weights": _by_weights, "fields": _by_fields}
_LOSSES = {"cross_entropy": _cross_entropy, "squared": _squared}
