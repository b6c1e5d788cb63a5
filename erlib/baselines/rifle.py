"""RIFLE: fine-tuning during which the readout is drawn anew, or solved for anew, periodically."""

import itertools
import math

import torch
from torch.nn import functional

from .. import checks, problems
from ..arithmetic import own_arithmetic
from ..batches import Seed, generator
from ..checks import Array
from ..network import ERNetwork
from .loop import Step


def rifle(
    network: ERNetwork,
    *,
    rate: float,
    updates: int,
    periods: int = 2,
    solve: tuple[Array, Array] | None = None,
    seed: Seed = 0,
) -> Step:
    r"""Return the step of fine-tuning by SGD (momentum 0.9) with a readout renewed periodically.

    Training is cut into `periods` of equal length u. At the start of each, the first included, the
    readout is forgotten, so that gradients reach the layers below that a trained readout would have
    silenced. The readout's rate starts again with it, that of the other layers does not: after t of
    T = `updates` updates,

    .. math::
        \mathrm{rate}_{\mathrm{readout}} = \tfrac12 \mathrm{rate}\, [1 + \cos(\pi (t \bmod u) / u)],
        \qquad \mathrm{rate}_{\mathrm{below}} = \tfrac12 \mathrm{rate}\, [1 + \cos(\pi t / T)].

    Then both are 0. Momentum is kept at a renewal. With one period this is plain fine-tuning with a
    new readout: the control.

    Parameters
    ----------
    network : ERNetwork
        Trained on the first task, with as many outputs as the second has classes.
    rate : float > 0
    updates, periods : int >= 1, updates >= periods
        The last period has the updates left over.
    solve : (x, y), optional
        Data of the second task (`ERNetwork.fit`). If given, the readout is not drawn but solved for
        on them from what the hidden layers give: from 0, one update of `ERNetwork.settle`, which is
        the regression on outputs coded +1 and -1.
    seed : int or torch.Generator
        Source of the weights drawn, Gaussian as in `ERNetwork.dense`.

    Raises
    ------
    ValueError
        If a setting is out of range or the data to solve with do not fit.

    Notes
    -----
    ``step.renewals`` counts how often the readout was renewed.

    Source: X. Li, H. Xiong, H. An, C.-Z. Xu and D. Dou, RIFLE, ICML 2020, with residual networks
    and rates that change with each pass. Solving instead of drawing is this companion's variant.

    Examples
    --------
    >>> import erlib
    >>> from erlib.baselines import backprop, train
    >>> data = erlib.load("digits")
    >>> first = data.y_train < 5
    >>> net = erlib.ERNetwork.dense([64, 50, 5])
    >>> x, y = data.x_train[first], data.y_train[first]
    >>> net = train(net, x, y, backprop(net, rate=0.01), passes=3, batch_size=32)
    >>> x, y = data.x_train[~first], data.y_train[~first] - 5
    >>> step = rifle(net, rate=0.1, updates=110, solve=(x, y))
    >>> net = train(net, x, y, step, passes=5, batch_size=32)
    >>> held = data.y_test >= 5
    >>> step.renewals, net.score(data.x_test[held], data.y_test[held] - 5) > 0.9
    (2, True)
    """
    rate = checks.positive("rate", rate)
    updates = checks.positive_integer("updates", updates)
    periods = checks.positive_integer("periods", periods)
    if periods > updates:
        raise ValueError(f"periods: {periods} are more than the {updates} updates")
    if solve is not None:
        problems.problem(network, *solve, None, 0.0, None)  # says what does not fit
    counted, random, length = itertools.count(), generator(seed), updates // periods
    starts = [length * period for period in range(periods)]
    readout = network.layers[-1]
    optimiser = torch.optim.SGD(readout.linear.parameters(), 0.0, momentum=0.9)
    known = {id(parameter) for parameter in readout.linear.parameters()}
    if below := [parameter for parameter in network.parameters() if id(parameter) not in known]:
        optimiser.add_param_group({"params": below})

    def renew():
        if solve is None:
            shape = readout.weight.shape
            weight = torch.randn(shape, generator=random, dtype=torch.float64) * shape[0] ** -0.5
            weight = weight.to(readout.weight)
        else:
            weight = torch.zeros_like(readout.weight)
        readout.assign(weight, torch.zeros_like(weight[0]))
        if solve is not None:
            network.settle(*solve, updates=1)
        step.renewals += 1

    @own_arithmetic
    def step(x, labels):
        done = next(counted)
        if done in starts:
            renew()
        start = max(begin for begin in starts if begin <= done)
        end = updates if start == starts[-1] else start + length
        for group, part in zip(
            optimiser.param_groups, ((done - start) / (end - start), done / updates)
        ):
            group["lr"] = rate * (1 + math.cos(math.pi * min(1.0, part))) / 2
        with torch.enable_grad():
            optimiser.zero_grad()
            functional.cross_entropy(network(x), labels).backward()
        optimiser.step()

    step.renewals = 0  # type: ignore[attr-defined]
    return step
