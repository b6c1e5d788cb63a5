"""Random hidden layers and a least-squares readout: the extreme learning machine."""

from ..arithmetic import own_arithmetic
from ..checks import Array
from ..coding import observed_outputs
from ..network import ERNetwork
from ..problems import labelled


@own_arithmetic
def random_features(
    network: ERNetwork, x: Array, y: Array, *, readout_ridge: float = 1e-5
) -> ERNetwork:
    r"""Leave the hidden layers as they are and regress the readout on +1/-1; returns the network.

    .. math:: W_L, b_L = \arg\min \lVert A_{L-1} W_L + b_L - T \rVert^2 + \mathrm{ridge}

    What any training of the hidden layers has to beat. Parameters and errors as in
    `ERNetwork.one_update`.

    Source: G.-B. Huang, Q.-Y. Zhu and C.-K. Siew, Extreme learning machine, Neurocomputing 70
    (2006).

    >>> import erlib
    >>> data = erlib.load("digits")
    >>> net = erlib.ERNetwork.dense([64, 300, 10])
    >>> random_features(net, data.x_train, data.y_train).score(data.x_test, data.y_test) > 0.9
    True
    """
    x, labels = labelled(network, x, y)
    readout = network.layers[-1].weight
    observed = observed_outputs(labels, readout.shape[1], readout.dtype)
    frozen = [None] * (len(network.layers) - 1)
    return network.sweep(x, [*frozen, observed], readout_ridge=readout_ridge)
