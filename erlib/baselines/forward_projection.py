"""Forward Projection: hidden targets that are random, weights in closed form."""

import torch

from .. import checks
from ..arithmetic import own_arithmetic
from ..batches import Seed, generator
from ..checks import Array
from ..coding import observed_outputs
from ..layers import dense_only
from ..network import ERNetwork
from ..problems import labelled
from ..regress import regress


@own_arithmetic
@torch.no_grad()
def forward_projection(
    network: ERNetwork,
    x: Array,
    y: Array,
    *,
    ridge: float = 3.0,
    readout_ridge: float = 1e-5,
    seed: Seed = 0,
) -> ERNetwork:
    r"""Regress every layer, bottom up, on random projections of its inputs and labels.

    .. math:: H_l^* = \tanh(A_{l-1} Q_l) + \tanh(T U_l), \qquad
              W_l, b_l = \arg\min \lVert A_{l-1} W + b - H_l^* \rVert^2 + \mathrm{ridge}

    with Gaussian Q and U (variances 1 / d_in and 1 / classes, inputs scaled to root mean square 1)
    and observed outputs T; the readout is regressed on T. One pass, and nothing is handed down: the
    control of whether it matters that ER's hidden targets come through the network. Returns the
    network; parameters and errors as in `ERNetwork.one_update`.

    Source: R. O'Shea and B. Rajendran, Closed-form feedback-free learning with forward projection,
    Nature Communications (2026), reconstructed from its abstract.

    >>> import erlib
    >>> data = erlib.load("digits")
    >>> net = forward_projection(erlib.ERNetwork.dense([64, 300, 10]), data.x_train, data.y_train)
    >>> net.score(data.x_test, data.y_test) > 0.9
    True
    """
    dense_only(network, "forward_projection")
    a, labels = labelled(network, x, y)
    for name, value in (("ridge", ridge), ("readout_ridge", readout_ridge)):
        checks.not_negative(name, value)
    readout, random = network.layers[-1].weight, generator(seed)
    observed = observed_outputs(labels, readout.shape[1], a.dtype)
    solved = []
    for layer in network.layers[:-1]:
        d_in, d_out = layer.weight.shape
        q = torch.randn(d_in, d_out, generator=random, dtype=torch.float64).to(a.dtype)
        u = torch.randn(len(readout.T), d_out, generator=random, dtype=torch.float64).to(a.dtype)
        size = a.square().mean().sqrt() * d_in**0.5
        wanted = torch.tanh(a @ q / size) + torch.tanh(observed @ u / len(readout.T) ** 0.5)
        solved.append(regress(a, wanted, ridge=ridge, fit_intercept=layer.bias is not None))
        a = layer.activation.f(layer.field(a, *solved[-1]))
    solved.append(regress(a, observed, ridge=readout_ridge))
    for layer, (weight, bias) in zip(network.layers, solved):
        layer.assign(weight, bias)
    return network
