"""Gradient descent on the cross-entropy, by torch's own optimisers."""

import torch
from torch.nn import functional

from .. import checks
from ..arithmetic import own_arithmetic
from ..network import ERNetwork
from .loop import Step, declining

_OPTIMIZERS = {
    "sgd": lambda weights, rate: torch.optim.SGD(weights, rate, momentum=0.9, nesterov=True),
    "adam": lambda weights, rate: torch.optim.Adam(weights, rate),
    # One iteration a step; the line search makes the rate a first guess only.
    "lbfgs": lambda weights, rate: torch.optim.LBFGS(
        weights, rate, max_iter=1, history_size=20, line_search_fn="strong_wolfe"
    ),
}


def backprop(
    network: ERNetwork, *, optimizer: str = "adam", rate: float = 1e-3, updates: int | None = None
) -> Step:
    r"""Return the step of backpropagation: one update by an optimiser of `torch.optim`.

    The loss is the mean cross-entropy of the output fields,
    :math:`-\langle \log \mathrm{softmax}(H_L)_y \rangle`.

    Parameters
    ----------
    network : ERNetwork
        Trained in place.
    optimizer : str
        ``sgd`` (Nesterov momentum 0.9), ``adam``, or ``lbfgs`` (strong Wolfe line search; made for
        full batches).
    rate : float > 0
        Learning rate; for ``lbfgs`` the first step that the line search tries.
    updates : int, optional
        If given, the rate declines linearly and would reach 0 after so many updates.

    Raises
    ------
    ValueError
        For an unknown optimizer or a rate that is not positive.

    Notes
    -----
    ``step.evaluations`` counts evaluations of the gradient: a line search takes several an update,
    at least two with torch's ``lbfgs`` when each iteration is a step of its own, as here.

    Examples
    --------
    >>> import erlib
    >>> from erlib.baselines import train
    >>> data = erlib.load("digits")
    >>> net = erlib.ERNetwork.dense([64, 50, 10])
    >>> step = backprop(net, rate=0.01)
    >>> train(net, data.x_train, data.y_train, step, passes=6).score(data.x_test, data.y_test) > 0.9
    True
    """
    checks.choice("optimizer", optimizer, _OPTIMIZERS)
    optimiser = _OPTIMIZERS[optimizer](list(network.parameters()), checks.positive("rate", rate))

    decline = torch.optim.lr_scheduler.LambdaLR(optimiser, declining(updates))

    @own_arithmetic
    def step(x, labels):
        def closure():
            step.evaluations += 1
            optimiser.zero_grad()
            loss = functional.cross_entropy(network(x), labels)
            loss.backward()
            return loss

        with torch.enable_grad():
            optimiser.step(closure)
        decline.step()

    step.evaluations = 0  # type: ignore[attr-defined]
    return step
