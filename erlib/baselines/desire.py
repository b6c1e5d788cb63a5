"""Desire backpropagation: a spiking network told which units should spike, not by how much."""

import itertools

import torch

from .. import checks
from ..arithmetic import own_arithmetic
from ..coding import class_labels
from ..layers import dense_only
from ..network import ERNetwork
from .loop import Step, declining


def desire(
    network: ERNetwork,
    *,
    rate: float = 1e-4,
    time_steps: int = 20,
    threshold: float = 1.0,
    decay: float = 0.5,
    output_error: float = 0.3,
    hidden_desire: float = 0.05,
    updates: int | None = None,
) -> Step:
    r"""Return the step of desire backpropagation on the weights of `network`, as a spiking network.

    Its activations are not used. Each pixel adds its value to a potential at every time step, each
    unit of a layer the weights of the spikes from below; what reaches the threshold :math:`\theta`
    spikes, s = 1, and loses :math:`\theta`. A unit that was silent keeps the share `decay` of its
    potential (pixels keep all). Afterwards, with the rates :math:`r = \langle s \rangle_t` in
    [0, 1], each output unit of the class is to spike always and the others never,
    :math:`r^* \in \{1, 0\}`, but only what is far from it has a desire, and so on downward:

    .. math::
        D_L &= (2 r^* - 1) \, 1\{|r^* - r| > \mathrm{output\_error}\}, \\
        q_{l-1} &= (|r_l^* - r_l| D_l) W_l', \qquad
        D_{l-1} = \mathrm{sign}(q) \, 1\{|q| \ge \mathrm{hidden\_desire}\}, \qquad r^* = 1\{q > 0\}.

    Spikes from below leave a trace x, and a unit with a desire changes its weights where it spikes:

    .. math::
        x_i(t) = \mathrm{decay} \, x_i(t-1) + s_i(t), \qquad
        \Delta W_{ij} = \frac{\mathrm{rate}}{T} \sum_t x_i(t) \, s_j(t) \, D_j.

    As in ER it is states of units that are handed down, though here only their direction; and a
    unit that never spikes never learns, whatever is desired of it.

    Parameters
    ----------
    network : ERNetwork
        Dense layers without biases: its weights are trained, in place.
    rate : float > 0
    time_steps : int >= 1
        T.
    threshold : float > 0
    decay, output_error, hidden_desire : float >= 0
        As above; decay is at most 1.
    updates : int, optional
        If given, the rate declines linearly and would reach 0 after so many updates.

    Raises
    ------
    ValueError
        If a setting is out of range, a layer is not dense or has a bias that is not 0 (none is
        trained); the step does, if a pixel is not from 0 to 1.

    Notes
    -----
    ``step.rates(x)`` are the output units' rates `[n, classes]`, ``step.score(x, labels)`` is the
    share of samples whose class has the highest rate alone (a tie is a mistake).

    Source: D. Gerlinghoff, T. Luo, R. S. M. Goh and W.-F. Wong, Desire backpropagation: a
    lightweight training algorithm for multi-layer spiking neural networks based on
    spike-timing-dependent plasticity (arXiv 2211.05412), the rule as in the authors' public code,
    with its settings. They take one sample at a time; here the changes of a batch are computed at
    once, with the weights before it, and added up. A declining rate is this companion's choice.
    Their weights have variance 2 / d_in in all layers: ``readout_scale=2**0.5``.

    Examples
    --------
    >>> import erlib
    >>> from erlib.baselines import train
    >>> data = erlib.load("digits")
    >>> net = erlib.ERNetwork.dense([64, 100, 10], readout_scale=2**0.5)
    >>> step = desire(net, rate=0.01, updates=225)
    >>> net = train(net, data.x_train, data.y_train, step, passes=5, batch_size=32)
    >>> step.score(data.x_test, data.y_test) > 0.75
    True
    """
    rate, threshold = checks.positive("rate", rate), checks.positive("threshold", threshold)
    steps = checks.positive_integer("time_steps", time_steps)
    decay = checks.not_negative("decay", decay)
    if decay > 1:
        raise ValueError(f"decay: expected at most 1, found {decay!r}")
    output_error = checks.not_negative("output_error", output_error)
    hidden_desire = checks.not_negative("hidden_desire", hidden_desire)
    factor, counted = declining(updates), itertools.count()
    dense_only(network, "desire")
    for number, layer in enumerate(network.layers, start=1):
        if layer.bias is not None and bool(layer.bias.any()):
            raise ValueError(f"network: layer {number} has a bias; spiking layers have none")

    def spikes(x):
        """Zeros and ones `[T, n, d]` of the pixels and of all layers."""
        x = checks.tensor("x", x).flatten(1).to(network.layers[0].weight.dtype)
        if x.min() < 0 or x.max() > 1:
            raise ValueError(f"x: values from {x.min():g} to {x.max():g}, pixels are from 0 to 1")
        below = _fire(x.expand(steps, *x.shape), threshold, 1.0)
        found = [below]
        for layer in network.layers:
            below = _fire(below @ layer.weight, threshold, decay)
            found.append(below)
        return found

    @own_arithmetic
    @torch.no_grad()
    def rates(x):
        return spikes(x)[-1].mean(0)

    def score(x, labels):
        found = rates(x)
        labels = class_labels(labels, found.shape[1])
        own = found.gather(1, labels[:, None])
        return float(((found >= own).sum(1) == 1).double().mean())

    @own_arithmetic
    @torch.no_grad()
    def step(x, labels):
        fired, share = spikes(x), rate * factor(next(counted)) / steps
        wanted = torch.zeros_like(fired[-1][0]).scatter_(1, labels[:, None], 1)
        error = (wanted - fired[-1].mean(0)).abs()
        wish = (2 * wanted - 1) * (error > output_error)
        changes = []
        for index in reversed(range(len(network.layers))):
            layer, below, above = network.layers[index], fired[index], fired[index + 1]
            trace = torch.zeros_like(below)
            for t in range(steps):
                trace[t] = below[t] + (decay * trace[t - 1] if t else 0)
            changes.append(trace.flatten(0, 1).T @ (above * wish).flatten(0, 1))
            q = (error * wish) @ layer.weight.T
            wish = q.sign() * (q.abs() >= hidden_desire)
            error = ((q > 0).to(q) - below.mean(0)).abs()
        for layer, change in zip(network.layers, reversed(changes)):
            layer.linear.weight.add_(change.T, alpha=share)

    step.rates, step.score = rates, score  # type: ignore[attr-defined]
    return step


def _fire(current: torch.Tensor, threshold: float, decay: float) -> torch.Tensor:
    """Spikes `[T, ...]` of integrate-and-fire units with these input currents `[T, ...]`."""
    fired, potential = torch.empty_like(current), torch.zeros_like(current[0])
    for t, now in enumerate(current):
        potential = potential + now
        fired[t] = potential >= threshold
        potential = torch.where(fired[t] > 0, potential - threshold, decay * potential)
    return fired
