"""AdaS: a rate for each convolution, as large as what it learns in an epoch."""

import itertools

import torch
from torch import nn
from torch.nn import functional

from .. import checks
from ..arithmetic import own_arithmetic
from .knowledge_gain import knowledge_gain
from .loop import Step


def adas(
    network: nn.Module,
    *,
    every: int,
    rate: float = 0.03,
    beta: float = 0.8,
    zeta: float = 1.0,
    dense: bool = False,
) -> Step:
    r"""Return the step of SGD (momentum 0.9) with a rate a layer that AdaS schedules.

    After each epoch of `every` updates every convolution has a new `knowledge_gain` S, and

    .. math:: \mathrm{rate} \leftarrow
        \max(0,\ \beta \, \mathrm{rate} + \zeta \, (S - S_{\mathrm{before}})).

    As long as a kernel's gain has been 0 its rate stays what it was, or noise would stop it. All
    other parameters (biases, dense layers) have the rate of the convolution before them, those
    before the first one `rate`. The larger beta, the slower the rate falls, and the longer training
    pays.

    Parameters
    ----------
    network : torch.nn.Module
        ``network(x)`` are class scores: an `erlib.ERNetwork` or a module of torch.
    every : int >= 1
        Updates in an epoch.
    rate : float > 0
        The first rate of all layers.
    beta : float, 0 <= beta < 1
    zeta : float > 0
    dense : bool
        Whether the matrices of dense layers are measured and scheduled like kernels.

    Raises
    ------
    ValueError
        If a setting is out of range or there is nothing to measure.

    Notes
    -----
    ``step.rates`` and ``step.gains`` are lists of the present rates and gains of what is measured.

    Source: M. S. Hosseini and K. N. Plataniotis, AdaS (arXiv 2006.06587, 2020); the rule is that of
    its public code, which has ``dense`` too. It suits wide kernels: the gain of a small one moves
    by whole ranks, so that a rate may jump.

    Examples
    --------
    >>> import erlib
    >>> from erlib.baselines import train
    >>> data = erlib.load("digits")
    >>> _ = torch.manual_seed(0)
    >>> convolution, readout = nn.Conv2d(1, 16, 3), nn.Linear(16 * 36, 10)
    >>> net = erlib.ERNetwork([convolution, "relu", nn.Flatten(), readout])
    >>> step = adas(net, every=45)
    >>> net = train(net, data.x_train, data.y_train, step, passes=3, batch_size=32)
    >>> net.score(data.x_test, data.y_test) > 0.9
    True
    """
    every, rate = checks.positive_integer("every", every), checks.positive("rate", rate)
    zeta = checks.positive("zeta", zeta)
    if checks.not_negative("beta", beta) >= 1:
        raise ValueError(f"beta: expected a number below 1, found {beta!r}")
    groups: list[dict] = []
    for parameter in network.parameters():
        measured = parameter.ndim > 2 or (dense and parameter.ndim == 2)
        if measured or not groups:
            groups.append({"params": [], "lr": rate, "measured": measured})
        groups[-1]["params"].append(parameter)
    optimiser = torch.optim.SGD(groups, momentum=0.9)
    scheduled = [group for group in optimiser.param_groups if group["measured"]]
    if not scheduled:
        raise ValueError("network: no convolutions to measure; dense=True measures dense layers")
    counted = itertools.count(1)

    def gains():
        return [knowledge_gain(group["params"][0]) for group in scheduled]

    @own_arithmetic
    def step(x, labels):
        with torch.enable_grad():
            optimiser.zero_grad()
            functional.cross_entropy(network(x), labels).backward()
        optimiser.step()
        if next(counted) % every:
            return
        for index, (group, now) in enumerate(zip(scheduled, gains())):
            before, step.gains[index] = step.gains[index], now
            step.learnt[index] |= now > 0
            if step.learnt[index]:
                group["lr"] = max(0.0, beta * group["lr"] + zeta * (now - before))
        step.rates = [group["lr"] for group in scheduled]

    step.gains, step.rates = gains(), [rate] * len(scheduled)  # type: ignore[attr-defined]
    step.learnt = [gain > 0 for gain in step.gains]  # type: ignore[attr-defined]
    return step
