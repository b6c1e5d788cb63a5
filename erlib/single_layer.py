r"""A single layer by Expectation Reflection or by one of its relatives, with a rule to stop.

Each method regresses a target on the inputs, with a weight for each sample, again and again; in
that they differ, and in nothing else (statement S7, notebook 02). With m = f(h):

================= ============================ ============== ====================================
rule              target                       weight         fixed point, for tanh
================= ============================ ============== ====================================
least_squares     g(0) t                       1              least squares, after one update
boehning          h + g(0) (t - m)             1              maximum likelihood
er                h + g(h) (t - m) = g(h) t    1              g(h) (t - m) uncorrelated with inputs
weighted_er       h + g(h) (t - m)             g(0) / g(h)    maximum likelihood (Polya-Gamma EM)
newton            h + (t - m) / f'(h)          f'(h) g(0)     maximum likelihood, if it gets there
================= ============================ ============== ====================================

Without a `start` each begins at zero fields, where all but the first are the first: one update is
least squares on the observed outputs.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from . import checks
from .activations import Activation
from .activations import activation as activation_by_name
from .arithmetic import own_arithmetic
from .checks import Array, Same
from .coding import require_reachable
from .few_samples import Span, few
from .moments import Moments, add_in_chunks
from .progress import progress
from .regress import Regression
from .rounding import representable


def _at_zero(f, h):
    return f.factor(h.new_zeros(()))


# Target of each rule, and weight where that is not 1: of an activation f, fields h, predicted
# outputs m = f(h) and observed outputs t.
_RULES = {
    "least_squares": lambda f, h, m, t: (_at_zero(f, h) * t,),
    "boehning": lambda f, h, m, t: (h + _at_zero(f, h) * (t - m),),
    "er": lambda f, h, m, t: (h + f.factor(h, m) * (t - m),),
    "weighted_er": lambda f, h, m, t: (h + (g := f.factor(h, m)) * (t - m), _at_zero(f, h) / g),
    "newton": lambda f, h, m, t: (h + (t - m) / f.slope(h), _at_zero(f, h) * f.slope(h)),
}
#: The names that `rule` takes, and those that `stop` takes beside None.
RULES = tuple(_RULES)
STOPS = ("discrepancy", "settled")
# Relative change of a unit's fields at which `settled` stops, or what the dtype resolves.
_SETTLED = 1e-8


class SingleLayer(NamedTuple):
    """What `single_layer_fit` found.

    `weight` `[d_in, d_out]` and `bias` `[d_out]`; `updates` `[d_out]`, how many each unit made;
    `discrepancy`, after each update the mean squared difference of observed and predicted outputs
    `[d_out]` (that of a unit that has stopped stays).
    """

    weight: Array
    bias: Array
    updates: Array
    discrepancy: list


@own_arithmetic
@torch.no_grad()
def single_layer_fit(
    x: Same,
    observed: Same,
    *,
    rule: str = "er",
    activation: str | Activation = "tanh",
    ridge: float = 0.0,
    updates: int = 100,
    stop: str | None = "discrepancy",
    sample_weight: Same | None = None,
    fit_intercept: bool = True,
    start: tuple[Array, Array] | None = None,
    watch: Callable[[torch.Tensor, torch.Tensor], object] | None = None,
) -> SingleLayer:
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
        Not ``relu``, which has no ratio at a field of 0.
    ridge : float >= 0
        Relative penalty of each regression (`erlib.regress`).
    updates : int >= 1
        The most that any unit makes.
    stop : str or None
        ``discrepancy``; ``settled``, when the fields of a unit change by less than 1e-8 of their
        size (float32: 5e-7); or None, to make all updates.
    sample_weight : array `[n]`, >= 0, optional
    fit_intercept : bool
    start : (weight, bias), optional
        Weights to begin with; zeros unless given (the rule ``discrepancy`` then compares from the
        first update on, and makes two at least).
    watch : callable, optional
        Called after each update with the weights `[d_in, d_out]` and biases `[d_out]` so far, as
        tensors.

    Returns
    -------
    SingleLayer
        With arrays like `x`.

    Raises
    ------
    ValueError
        For arrays that `erlib.regress` refuses, unknown names, numbers out of range, and where
        fields or weights overflow, which ``newton`` may do: it has no bound on its step.

    Notes
    -----
    Cost: for rules of weight 1 the products X'X once, a second array of the size of `x`, and two
    products with it in each update; else X'X for each unit and update.

    Source: ER and its stopping rule, Hoang, Song, Periwal and Jo, Phys. Rev. E 99, 023311 (2019);
    ``boehning``: Boehning and Lindsay, Ann. Inst. Stat. Math. 40, 641 (1988); ``weighted_er`` as
    EM: Polson, Scott and Windle, J. Am. Stat. Assoc. 108, 1339 (2013), as ER with weights: this
    companion's own.

    Examples
    --------
    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> x, true = random.normal(size=(4000, 3)), np.array([[0.5], [-1.0], [0.0]])
    >>> t = np.where(random.random((4000, 1)) < 1 / (1 + np.exp(-2 * x @ true)), 1.0, -1.0)
    >>> found = single_layer_fit(x, t, rule="weighted_er", stop="settled", fit_intercept=False)
    >>> score = x.T @ (t - np.tanh(x @ found.weight)) / len(x)  # of the likelihood: 0 at its top
    >>> bool(abs(score).max() < 1e-7)
    True
    """
    inputs, targets = checks.samples(x, "observed", observed)
    dtype = inputs.dtype
    if inputs.dtype.itemsize < 4:
        inputs = inputs.float()
    unit = activation_by_name(activation)
    if unit.name == "relu":
        raise ValueError("activation: 'relu' says nothing at a field of 0, where the fit begins")
    checks.choice("rule", rule, _RULES)
    if stop is not None:
        checks.choice("stop", stop, STOPS)
    checks.positive_integer("updates", updates)
    checks.not_negative("ridge", ridge)
    require_reachable("observed", targets, unit)
    targets = targets.to(inputs.dtype)
    weights = None
    if sample_weight is not None:
        weights = checks.sample_weight(sample_weight, "x", inputs).to(inputs.dtype)
        there = weights > 0
        if bool(there.any()) and not bool(there.all()):
            inputs, targets, weights = inputs[there], targets[there], weights[there]
    # All units share one regression unless a rule weighs the samples of each.
    regress: Any = _Each if rule in ("weighted_er", "newton") else Regression
    if few(*inputs.shape):
        regress = functools.partial(_InSpan, regress)
    regress = regress(inputs, ridge, weights, fit_intercept)
    share = shares(inputs, weights)
    weight, bias = _start(start, inputs.shape[1], targets.shape[1], inputs)
    if not fit_intercept and bool(bias.any()):
        raise ValueError("start: its bias is not 0, but fit_intercept is False")
    made = torch.zeros(targets.shape[1], dtype=torch.int64)
    units = torch.arange(len(made))  # that have not stopped; fields, predicted, ... are theirs
    fields = torch.addmm(bias, inputs, weight)
    predicted = unit.f(fields)
    before = latest = torch.full((len(made),), torch.inf, dtype=torch.float64)
    settled = max(_SETTLED, 4 * torch.finfo(inputs.dtype).eps)
    history = []
    for done in progress(range(1, updates + 1), f"{rule}, at most {updates} updates"):
        target, *of_rule = _RULES[rule](unit, fields, predicted, targets)
        if not _finite(target):
            raise ValueError(_overflow(rule, done))
        new, coefficients = regress(target, *of_rule)
        predicted = unit.f(new)
        discrepancy = share @ (targets - predicted).double().square_()
        over: Any = None
        if stop == "discrepancy":
            over = discrepancy >= before
        elif stop == "settled":
            over = (new - fields).norm(dim=0) <= settled * new.norm(dim=0)
        stopped = over is not None and bool(over.any())
        fields, before, latest = new, discrepancy, latest.index_copy(0, units, discrepancy)
        history.append(latest)
        if watch or stopped or done == updates:
            weight[:, units], bias[units] = regress.weights(coefficients)
            made[units] = done
            if not (_finite(weight) and _finite(bias)):
                raise ValueError(_overflow(rule, done))
        if watch:
            watch(weight.clone(), bias.clone())
        if stopped:
            going = ~over
            units, before = units[going], before[going]
            if not len(units):
                break
            fields, predicted, targets = (a[:, going] for a in (fields, predicted, targets))
    weight, bias = (checks.like(representable(part, dtype), x) for part in (weight, bias))
    if isinstance(x, torch.Tensor):
        return SingleLayer(weight, bias, made, history)
    return SingleLayer(weight, bias, made.numpy(), [d.numpy() for d in history])


def _finite(values):
    # The sum first: it costs least, and where it is finite so are its terms.
    return math.isfinite(values.sum()) or bool(values.isfinite().all())


def _overflow(rule, update):
    hint = "; 'er' has a bounded step" if rule == "newton" else ""
    return f"rule: {rule!r} overflows in update {update}{hint}"


class _Each:
    """As `Regression`, for rules that weigh samples: each unit has a regression of its own."""

    def __init__(self, x, ridge, sample_weight, fit_intercept):
        self.x, self.ridge, self.intercept = x, ridge, fit_intercept
        self.sample_weight = 1 if sample_weight is None else sample_weight[:, None]

    def __call__(self, target, weights):
        weights = weights * self.sample_weight
        found = [self._one(target[:, [k]], weights[:, k]) for k in range(target.shape[1])]
        weight, bias = torch.cat([w for w, _ in found], dim=1), torch.cat([b for _, b in found])
        return torch.addmm(bias, self.x, weight), (weight, bias)

    def _one(self, target, weights):
        moments = Moments(self.intercept)
        add_in_chunks(moments, self.x, target, weights)
        return moments.solve(self.ridge)

    def weights(self, found):
        return found


class _InSpan:
    """One of the two in the span of few samples: the same fields, weights on x when asked for."""

    def __init__(self, kind, x, ridge, sample_weight, fit_intercept):
        self.span = Span(x, fit_intercept)
        self.regress = kind(self.span.z, self.span.ridge(ridge), sample_weight, fit_intercept)

    def __call__(self, target, *weights):
        return self.regress(target, *weights)

    def weights(self, found):
        weight, bias = self.regress.weights(found)
        return tuple(part.to(weight.dtype) for part in self.span.weights(weight, bias))


def shares(x, sample_weight):
    """The part of each sample in a mean."""
    if sample_weight is None:
        return torch.full((len(x),), 1 / len(x), dtype=torch.float64)
    return sample_weight.double() / sample_weight.double().sum()


def _start(given, d_in, d_out, x):
    if given is None:
        return x.new_zeros(d_in, d_out), x.new_zeros(d_out)
    weight = checks.tensor("start", given[0], ndim=2).to(x.dtype).clone()
    bias = checks.tensor("start", given[1], ndim=1).to(x.dtype).clone()
    if weight.shape != (d_in, d_out) or bias.shape != (d_out,):
        raise ValueError(
            f"start: shapes {tuple(weight.shape)} and {tuple(bias.shape)}, expected "
            f"{(d_in, d_out)} and {(d_out,)}"
        )
    return weight, bias
