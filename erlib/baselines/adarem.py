"""AdaRem: a rate for each weight, larger where its gradient keeps the sign that it had."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from .. import checks
from ..arithmetic import own_arithmetic
from ..network import ERNetwork
from .loop import Step, declining


class AdaRem(torch.optim.Optimizer):
    r"""AdaRem as an optimiser of torch, with groups of parameters, ``state_dict`` and schedulers.

    With the gradient G of one parameter W (any shape, elementwise) and the running mean M of the
    gradients before it, 0 at first:

    .. math::
        B &= \mathrm{sign}(G) \, M / (\max |M| + \epsilon), \\
        W &\leftarrow W - \mathrm{lr} \, [(1 + \mathrm{fading}^t B) \, G + \mathrm{decay} \, W], \\
        M &\leftarrow \beta M + (1 - \beta) \, G.

    B is between -1 and 1, so no weight moves against its gradient, nor further than twice what
    gradient descent moves it. The adjustment fades with the number t of steps done, and what
    remains is gradient descent. (ER multiplies too, but the fields of each sample.)

    Parameters
    ----------
    params : iterable of parameters, or of groups as in `torch.optim`
    lr : float >= 0
        Learning rate; a scheduler may bring it to 0.
    beta, fading : float, 0 <= beta < 1, 0 <= fading <= 1
    weight_decay, eps : float >= 0

    Raises
    ------
    ValueError
        If one of them is out of range, in a group as well.

    Notes
    -----
    Source: J. Liu and others, AdaRem (arXiv 2010.11041, 2020). The rule is reconstructed from
    public implementations in other frameworks, which are not the authors'; the maximum is taken
    over each parameter tensor.

    Examples
    --------
    >>> weight = torch.tensor([1.0, 1.0], requires_grad=True)
    >>> optimiser = AdaRem([weight], lr=0.1, beta=0.0, fading=1.0)
    >>> for gradient in ([1.0, 1.0], [1.0, -1.0]):              # kept, and turned round
    ...     weight.grad = torch.tensor(gradient)
    ...     optimiser.step()
    >>> (weight.detach() * 10).round()                          # by 0.1 + 0.2, by 0.1 + 0
    tensor([7., 9.])
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        *,
        beta: float = 0.9,
        fading: float = 0.999,
        weight_decay: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        given = {"lr": lr, "beta": beta, "fading": fading, "weight_decay": weight_decay, "eps": eps}
        super().__init__(params, given)
        for group in self.param_groups:
            for name in given:
                checks.not_negative(name, group[name])
            if group["beta"] >= 1:
                raise ValueError(f"beta: expected a number below 1, found {group['beta']!r}")
            if group["fading"] > 1:
                raise ValueError(f"fading: expected at most 1, found {group['fading']!r}")

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> Any:
        """One update of all parameters that have a gradient; returns what `closure` returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state, gradient = self.state[weight], weight.grad
                if not state:
                    state.update(done=0, mean=torch.zeros_like(weight))
                mean = state["mean"]
                agreement = gradient.sign() * mean / (mean.abs().max() + group["eps"])
                change = gradient + group["fading"] ** state["done"] * agreement * gradient
                weight.sub_(change + group["weight_decay"] * weight, alpha=group["lr"])
                mean.lerp_(gradient, 1 - group["beta"])
                state["done"] += 1
        return loss


def adarem(
    network: ERNetwork, *, rate: float, updates: int | None = None, **settings: float
) -> Step:
    """Return the step of backpropagation by `AdaRem`, on the mean cross-entropy of the fields.

    `settings` are those of `AdaRem` (beta, fading, weight_decay, eps). With `updates` the rate
    declines linearly and would reach 0 after so many.

    Raises ValueError if one of them is out of range.

    >>> import erlib
    >>> from erlib.baselines import train
    >>> data = erlib.load("digits")
    >>> net = erlib.ERNetwork.dense([64, 50, 10])
    >>> step = adarem(net, rate=0.2, updates=135)
    >>> net = train(net, data.x_train, data.y_train, step, passes=3, batch_size=32)
    >>> net.score(data.x_test, data.y_test) > 0.9
    True
    """
    optimiser = AdaRem(list(network.parameters()), checks.positive("rate", rate), **settings)
    decline = torch.optim.lr_scheduler.LambdaLR(optimiser, declining(updates))

    @own_arithmetic
    def step(x, labels):
        with torch.enable_grad():
            optimiser.zero_grad()
            functional.cross_entropy(network(x), labels).backward()
        optimiser.step()
        decline.step()

    return step
