"""The likelihood-ratio method: gradients from noise in the fields and the losses it led to."""

import itertools

import torch
from torch.nn import functional

from .. import checks
from ..arithmetic import own_arithmetic
from ..batches import Seed, generator
from ..layers import dense_only
from ..network import ERNetwork
from .loop import Step, declining


def likelihood_ratio(
    network: ERNetwork,
    *,
    rate: float,
    noise: float = 0.1,
    copies: int = 100,
    antithetic: bool = True,
    layerwise: bool = True,
    updates: int | None = None,
    seed: Seed = 0,
) -> Step:
    r"""Return the step of gradient descent by the (unified) likelihood-ratio method.

    Gaussian noise enters the fields, and the loss L of each noisy copy of a sample, here the
    cross-entropy, is compared with the noise that was in it:

    .. math::
        H_l = A_{l-1} W_l + b_l + \sigma \epsilon_l, \qquad
        \frac{\partial}{\partial H_l} E[L] = \frac1\sigma E[L \, \epsilon_l], \qquad
        \frac{\partial}{\partial W_l} E[L] = \frac1\sigma E[A_{l-1}' (L \, \epsilon_l)].

    No derivative of anything but the noise's density is taken, and nothing is handed from layer to
    layer but the copies' one forward pass: L may have steps. The mean over copies is unbiased for
    the gradient of the smoothed loss E[L], and its variance falls as 1 / copies.

    Parameters
    ----------
    network : ERNetwork
        Trained in place.
    rate : float > 0
        Every step moves the weights by -rate times the mean estimate of the batch.
    noise : float > 0
        :math:`\sigma`. The smaller, the closer the smoothed loss is to the loss.
    copies : int >= 1
        Noisy copies of each sample; even with `antithetic`.
    antithetic : bool
        Noise in pairs, :math:`\epsilon` and :math:`-\epsilon`, so that what the losses of both have
        in common cancels. It is most of L and says nothing of the slope. In the limit of small
        noise in one layer a pair is a draw of `forward_gradient` with ``perturb="fields"``.
    layerwise : bool
        Whether each layer has noise in a forward pass of its own, all others none; it begins at
        this layer. Otherwise, in the original form, all layers have it in one and the same.
    updates : int, optional
        If given, the rate declines linearly and would reach 0 after so many updates.
    seed : int or torch.Generator
        Source of the noise.

    Raises
    ------
    ValueError
        If a setting is out of range, or if the network has layers that are not dense.

    Notes
    -----
    ``step.estimate(x, labels)`` returns the estimates, in the order of ``network.parameters()``,
    and changes nothing but the state of the source.

    Source: J. Jiang, Z. Zhang, C. Xu, Z. Yu and Y. Peng, One forward is enough for neural network
    training via likelihood ratio method (2023), reconstructed from its description, without its
    quasi-Monte Carlo noise; one sigma for all layers and plain descent are this companion's choice.

    Examples
    --------
    >>> import erlib
    >>> from erlib.baselines import train
    >>> data = erlib.load("digits")
    >>> net = erlib.ERNetwork.dense([64, 50, 10])
    >>> step = likelihood_ratio(net, rate=0.5, copies=20, updates=135)
    >>> net = train(net, data.x_train, data.y_train, step, passes=3, batch_size=32)
    >>> net.score(data.x_test, data.y_test) > 0.9
    True
    """
    rate, noise = checks.positive("rate", rate), checks.positive("noise", noise)
    if checks.positive_integer("copies", copies) % 2 and antithetic:
        raise ValueError(f"copies: {copies} are no pairs; take an even number, or antithetic=False")
    factor, counted, random = declining(updates), itertools.count(), generator(seed)
    dense_only(network, "likelihood_ratio")
    every = range(len(network.layers))
    passes = [[index] for index in every] if layerwise else [list(every)]

    def normal(shape, dtype):
        size = copies // 2 if antithetic else copies
        drawn = torch.randn(size, *shape, generator=random, dtype=dtype)
        return torch.cat([drawn, -drawn]) if antithetic else drawn

    def passed(below, labels, noisy):
        """Estimates for the layers that are `noisy`, from the inputs of the first of them."""
        n, seen = len(labels), []
        below = below[None]  # one copy, until noise makes them differ
        for index in range(noisy[0], len(network.layers)):
            layer = network.layers[index]
            field = layer.field(below.flatten(0, 1)).unflatten(0, (-1, n))
            if index in noisy:
                drawn = normal(field.shape[1:], field.dtype).to(field.device)
                seen.append((layer, below, drawn))
                field = field + noise * drawn
            below = layer.activation.f(field)
        loss = functional.cross_entropy(
            field.flatten(0, 1), labels.repeat(copies), reduction="none"
        ).reshape(copies, n, 1)
        for layer, below, drawn in seen:
            delta = loss * drawn / (noise * copies * n)
            delta = delta.sum(0) if len(below) == 1 else delta.flatten(0, 1)
            yield delta.T @ below.flatten(0, 1)
            if layer.bias is not None:
                yield delta.sum(0)

    @own_arithmetic
    @torch.no_grad()
    def estimate(x, labels):
        inputs, _ = network.trace(x)
        return [part for noisy in passes for part in passed(inputs[noisy[0]], labels, noisy)]

    @own_arithmetic
    @torch.no_grad()
    def step(x, labels):
        gradients, share = estimate(x, labels), rate * factor(next(counted))
        for parameter, gradient in zip(network.parameters(), gradients):
            parameter.sub_(gradient, alpha=share)

    step.estimate = estimate  # type: ignore[attr-defined]
    return step
