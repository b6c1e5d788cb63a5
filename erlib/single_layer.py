r"""A single layer by Expectation Reflection or by one of its relatives, with a rule to stop.

Each method regresses a target on the inputs, with a weight for each sample, again and again; in
that they differ, and in nothing else (statement S7, notebook 01). With m = f(h):

================= ============================ ============== ====================================
rule              target                       weight         fixed point, for tanh
================= ============================ ============== ====================================
least_squares     g(0) t                       1              least squares, after one update
boehning          h + g(0) (t - m)             1              maximum likelihood
er                h + g(h) (t - m) = g(h) t    1              g(h) (t - m) uncorrelated with inputs
weighted_er       h + g(h) (t - m)             g(0) / g(h)    maximum likelihood (Polya-Gamma EM)
newton            h + (t - m) / f'(h)          f'(h) g(0)     maximum likelihood, if it gets there
================= ============================ ============== ====================================

Every one of them begins at zero fields, where all but the first are the first: one update is least
squares on the observed outputs.
"""

from typing import NamedTuple

import torch

from . import checks
from .activations import activation as activation_by_name
from .progress import progress
from .reflect import reflected
from .regress import CHUNK, Moments


def _at_zero(f, h):
    return f.factor(h.new_zeros(()))


# Target and weight (None: 1) of each rule, from the activation, the fields h and the outputs t.
_RULES = {
    "least_squares": lambda f, h, t: (_at_zero(f, h) * t, None),
    "boehning": lambda f, h, t: (h + _at_zero(f, h) * (t - f.f(h)), None),
    "er": lambda f, h, t: (reflected(h, t, f), None),
    "weighted_er": lambda f, h, t: (reflected(h, t, f), _at_zero(f, h) / f.factor(h)),
    "newton": lambda f, h, t: (h + (t - f.f(h)) / f.slope(h), _at_zero(f, h) * f.slope(h)),
}
#: The names that `rule` takes, and those that `stop` takes beside None.
RULES = tuple(_RULES)
STOPS = ("discrepancy", "settled")
# Relative change of a unit's fields at which `settled` stops.
SETTLED = 1e-8


class SingleLayer(NamedTuple):
    """What `single_layer_fit` found.

    `weight` `[d_in, d_out]` and `bias` `[d_out]`; `updates` `[d_out]`, how many each unit made;
    `discrepancy`, after each update the mean squared difference of observed and predicted outputs
    `[d_out]` (that of a unit that has stopped stays).
    """

    weight: torch.Tensor
    bias: torch.Tensor
    updates: torch.Tensor
    discrepancy: list


@torch.no_grad()
def single_layer_fit(
    x,
    observed,
    *,
    rule="er",
    activation="tanh",
    ridge=0.0,
    updates=100,
    stop="discrepancy",
    sample_weight=None,
    fit_intercept=True,
    start=None,
    watch=None,
):
    r"""Fit each unit (column) of a layer by itself: target and regression, over and over.

    .. math:: h = x W + b, \qquad h^*, \omega \text{ by the rule}, \qquad
              W, b \leftarrow \mathrm{regress}(x, h^*, \omega),

    for each unit until it stops. The rule of the authors' earlier method is ``discrepancy``: stop
    as soon as the training discrepancy :math:`D = \langle (t - f(h))^2 \rangle` is not smaller
    than one update before, and keep the newer weights.

    Parameters
    ----------
    x : array `[n, d_in]`, floating
    observed : array `[n, d_out]` of the same type
        Observed outputs T, for tanh between -1 and 1.
    rule : str
        ``er``, ``weighted_er``, ``boehning``, ``newton`` or ``least_squares`` (table above).
    activation : str or Activation
    ridge : float >= 0
        Relative penalty of each regression (`erlib.regress`).
    updates : int >= 1
        The most that any unit makes.
    stop : str or None
        ``discrepancy``; ``settled``, when the fields of a unit change by less than 1e-8 of their
        size; or None, to make all updates.
    sample_weight : array `[n]`, >= 0, optional
    fit_intercept : bool
    start : (weight, bias), optional
        Weights to begin with; zeros unless given.
    watch : callable, optional
        Called after each update with the weights `[d_in, d_out]` and biases `[d_out]` so far, as
        tensors.

    Returns
    -------
    SingleLayer, with arrays like `x`.

    Raises
    ------
    ValueError
        For arrays that `erlib.regress` refuses, unknown names, numbers out of range, and where
        fields overflow, which ``newton`` may do: it has no bound on its step.

    Cost: the products X'X once for rules of weight 1, else for each unit and update.

    Source: ER and its stopping rule, Hoang, Song, Periwal and Jo, Phys. Rev. E 99, 023311 (2019);
    ``boehning``: Boehning and Lindsay, Ann. Inst. Stat. Math. 40, 641 (1988); ``weighted_er`` as
    EM: Polson, Scott and Windle, J. Am. Stat. Assoc. 108, 1339 (2013), as ER with weights: this
    companion's own.

    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> x, true = random.normal(size=(4000, 3)), np.array([[0.5], [-1.0], [0.0]])
    >>> t = np.where(random.random((4000, 1)) < 1 / (1 + np.exp(-2 * x @ true)), 1.0, -1.0)
    >>> found = single_layer_fit(x, t, rule="weighted_er", stop="settled", fit_intercept=False)
    >>> score = x.T @ (t - np.tanh(x @ found.weight)) / len(x)  # of the likelihood: 0 at its top
    >>> bool(abs(score).max() < 1e-7)
    True
    """
    inputs = checks.tensor("x", x, ndim=2)
    targets = checks.tensor("observed", observed, ndim=2)
    checks.same_kind("observed", observed, "x", x)
    if len(targets) != len(inputs):
        raise ValueError(f"observed: {len(targets)} samples (rows), x has {len(inputs)}")
    if inputs.dtype.itemsize < 4:
        inputs = inputs.float()
    unit = activation_by_name(activation)
    checks.choice("rule", rule, _RULES)
    if stop is not None:
        checks.choice("stop", stop, STOPS)
    checks.positive_integer("updates", updates)
    checks.not_negative("ridge", ridge)
    problem = _Problem(inputs, targets.to(inputs.dtype), sample_weight, fit_intercept, rule, unit)
    weight, bias = problem.start(start)
    fields = inputs @ weight + bias
    before = torch.full((targets.shape[1],), torch.inf, dtype=torch.float64)
    made = torch.zeros(targets.shape[1], dtype=torch.int64)
    active = torch.arange(targets.shape[1])
    history = []
    for _ in progress(range(updates), f"{rule}, at most {updates} updates"):
        new_weight, new_bias = problem.update(fields[:, active], active, ridge)
        new = inputs @ new_weight + new_bias
        if not bool(new.isfinite().all()):
            raise ValueError(
                f"rule: the fields of {rule!r} overflow after {int(made.max())} updates"
            )
        discrepancy = problem.discrepancy(new, active)
        if stop == "discrepancy":
            over = discrepancy >= before[active]
        elif stop == "settled":
            moved = (new - fields[:, active]).norm(dim=0)
            over = moved <= SETTLED * new.norm(dim=0)
        else:
            over = torch.zeros(len(active), dtype=torch.bool)
        weight[:, active], bias[active], fields[:, active] = new_weight, new_bias, new
        before[active] = discrepancy
        made[active] += 1
        history.append(before.clone())
        if watch:
            watch(weight, bias)
        active = active[~over]
        if not len(active):
            break
    if not isinstance(x, torch.Tensor):
        made, history = made.numpy(), [d.numpy() for d in history]
    return SingleLayer(checks.like(weight, x), checks.like(bias, x), made, history)


class _Problem:
    """The inputs, and one regression for all units where the rule's weights allow it."""

    def __init__(self, x, observed, sample_weight, fit_intercept, rule, unit):
        self.x, self.observed, self.rule, self.unit = x, observed, rule, unit
        self.fit_intercept = fit_intercept
        # As `regress` does it, with the observed outputs for fields: all arrays are checked here.
        self.moments = Moments(fit_intercept)
        self.weights = None
        if sample_weight is not None:
            self.weights = checks.sample_weight(sample_weight, "x", x).to(x.dtype)
        self.moments.add(x, observed, self.weights)

    def start(self, given):
        d_in, d_out = self.x.shape[1], self.observed.shape[1]
        if given is None:
            return self.x.new_zeros(d_in, d_out), self.x.new_zeros(d_out)
        weight = checks.tensor("start", given[0], ndim=2).to(self.x.dtype).clone()
        bias = checks.tensor("start", given[1], ndim=1).to(self.x.dtype).clone()
        if weight.shape != (d_in, d_out) or bias.shape != (d_out,):
            raise ValueError(
                f"start: shapes {tuple(weight.shape)} and {tuple(bias.shape)}, expected "
                f"{(d_in, d_out)} and {(d_out,)}"
            )
        return weight, bias

    def update(self, fields, active, ridge):
        """New weights and biases of the active units, from their present fields."""
        target, weights = _RULES[self.rule](self.unit, fields, self.observed[:, active])
        if not bool(target.isfinite().all()):
            raise ValueError(
                f"rule: the target of {self.rule!r} overflows; 'er' has a bounded step"
            )
        if weights is None:
            return self.regressed(target, ridge)
        each = [self.weighted(target[:, [k]], weights[:, k], ridge) for k in range(len(active))]
        return torch.cat([w for w, _ in each], dim=1), torch.cat([b for _, b in each])

    def regressed(self, target, ridge):
        self.moments.replace_fields(
            (self.x[part], target[part], None if self.weights is None else self.weights[part])
            for part in _chunks(self.x)
        )
        return self.moments.solve(ridge)

    def weighted(self, target, weights, ridge):
        moments = Moments(self.fit_intercept)
        if self.weights is not None:
            weights = weights * self.weights
        for part in _chunks(self.x):
            moments.accumulate(self.x[part], target[part], weights[part])
        return moments.solve(ridge)

    def discrepancy(self, fields, active):
        square = (self.observed[:, active] - self.unit.f(fields)).double().square()
        if self.weights is None:
            return square.mean(0)
        return (self.weights.double() @ square) / self.weights.double().sum()


def _chunks(x):
    return [slice(start, start + CHUNK) for start in range(0, len(x), CHUNK)]
