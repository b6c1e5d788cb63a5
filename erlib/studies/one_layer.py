"""A single layer by five methods: where they stop, how fast, and what one update misses. 02.

Each method regresses a target on the inputs, with a weight for each sample, over and
over; in target and weight they differ, and in nothing else. Least squares asks for t, the others
for fields that t would ask for under an assumed curvature of the free energy log 2 cosh h.
"""

import functools
import math
from itertools import pairwise

import numpy as np
import torch
from scipy import optimize
from sklearn.linear_model import LogisticRegression

import erlib

from ..activations import activation
from ..coding import observed_outputs
from ..data.named import Dataset
from ..moments import Moments
from ..notebook.kept import kept
from ..reflect import reflect
from ..regress import regress
from .perceptron import loss_of_tanh, normal, slope_of_g, spins

TANH = activation("tanh")

#: Each method's target, and its weight of a sample, of fields h and observed outputs t.
FAMILY = {
    "least squares": (lambda h, t: t, torch.ones_like),
    "Böhning": (lambda h, t: h + t - torch.tanh(h), torch.ones_like),
    "ER": (reflect, torch.ones_like),
    "weighted ER": (reflect, lambda h: 1 / TANH.factor(h)),
    "Newton": (lambda h, t: h + (t - torch.tanh(h)) / TANH.slope(h), TANH.slope),
}
#: Those that approach their fixed point at a constant factor: not at once, not quadratically.
LINEAR = ("Böhning", "ER", "weighted ER")


def iterate(
    method: str,
    x: torch.Tensor,
    t: torch.Tensor,
    penalty: float = 0.0,
    most: int = 4000,
    to: float = 1e-12,
) -> list[torch.Tensor]:
    """Weights `[d, 1]` of each update from zero, until steps fall to this part of the first.

    No bias; the penalty in absolute size, so that its effect does not depend on the weights.
    """
    target, omega = FAMILY[method]

    def root(h: torch.Tensor) -> torch.Tensor:
        return torch.linalg.cholesky(x.T @ (omega(h) * x) + penalty * torch.eye(x.shape[1]))

    weights = [x.new_zeros(x.shape[1], 1)]
    shared = root(x @ weights[0]) if omega is torch.ones_like else None
    for _ in range(most):
        h = x @ weights[-1]
        wanted = x.T @ (omega(h) * target(h, t))
        weights.append(torch.cholesky_solve(wanted, root(h) if shared is None else shared))
        if (weights[-1] - weights[-2]).norm() < to * weights[1].norm():
            break
    return weights


def predicted_factor(
    method: str, x: torch.Tensor, t: torch.Tensor, weight: torch.Tensor, penalty: float = 0.0
) -> float:
    r"""Largest eigenvalue, in size, of the update linearised at its fixed point.

    .. math:: I + P^{-1} \Bigl(\sum \frac{\partial \psi}{\partial h} x'x - \lambda I\Bigr), \qquad
              P = \sum \omega\, x'x + \lambda I.
    """
    h, identity = x @ weight, torch.eye(x.shape[1], dtype=x.dtype)
    slopes = {"least squares": -torch.ones_like(h), "ER": t * slope_of_g(h) - 1}
    slope = slopes.get(method, -TANH.slope(h))
    metric = x.T @ (FAMILY[method][1](h) * x) + penalty * identity
    step = torch.linalg.solve(metric, x.T @ (slope * x) - penalty * identity)
    return torch.linalg.eigvals(identity + step).abs().max().item()


def measured_factor(weights: list[torch.Tensor]) -> float:
    """Ratio of the last two steps that are well above rounding."""
    steps = [(b - a).norm().item() for a, b in pairwise(weights)]
    late = [step for step in steps if step > 1e-9 * steps[0]]
    return late[-1] / late[-2]


def maximum_likelihood(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """scipy's solution `[d, 1]`: a quasi-Newton minimum, polished on the likelihood equations."""
    inputs, spin = x.numpy(), t.numpy()[:, 0]

    def loss(w):
        return np.logaddexp(0, -2 * spin * (inputs @ w)).mean()

    def score(w):
        return -inputs.T @ (spin - np.tanh(inputs @ w)) / len(spin)

    def information(w):
        return (inputs.T * (1 - np.tanh(inputs @ w) ** 2)) @ inputs / len(spin)

    near = optimize.minimize(loss, np.zeros(x.shape[1]), jac=score, method="BFGS")
    return torch.tensor(optimize.root(score, near.x, jac=information, tol=1e-14).x)[:, None]


def _problem(scale: float, n: int, d: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """White inputs, and spins whose fields have about this standard deviation."""
    generator = torch.Generator().manual_seed(seed)
    x = normal(generator, n, d)
    return x, spins(x @ (scale * normal(generator, d, 1) / d**0.5), generator)


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return ((found - wanted).norm() / wanted.norm()).item()


@kept
def distances(
    *, seed: int, scale: float = 1.0, n: int = 500, d: int = 5, shown: int = 60
) -> list[dict]:
    """Relative distance of each method's weights from maximum likelihood, update by update.

    The row with the most updates is where it stops.
    """
    x, t = _problem(scale, n, d, seed)
    best, rows = maximum_likelihood(x, t), []
    for arm in FAMILY:
        weights = iterate(arm, x, t)
        for update in [*range(shown + 1), max(shown, len(weights))]:
            at = weights[min(update, len(weights) - 1)]
            rows.append({"arm": arm, "update": update, "distance": relative(at, best)})
    return rows


@kept
def from_truth(*, n: int, seed: int, d: int = 5, scale: float = 1.0) -> list[dict]:
    """Relative distance from the weights that drew the labels, of n samples with Gaussian inputs:
    for least squares (the first update of ER), for the end of ER, and for maximum likelihood.

    ER is consistent: at the true weights the mean of g(h) (t - tanh h) is 0 for each input. Least
    squares has the right direction there and keeps too small a size (Brillinger 1982).
    """
    generator = torch.Generator().manual_seed(seed)
    true = normal(generator, d, 1)
    true = scale * true / true.norm()
    x = normal(generator, n, d)
    t = spins(x @ true, generator)
    found = {arm: iterate(arm, x, t)[-1] for arm in ("least squares", "ER")}
    found["logistic regression"] = maximum_likelihood(x, t)
    return [{"arm": arm, "distance": relative(end, true)} for arm, end in found.items()]


@kept
def contraction(*, scale: float, seed: int = 0, n: int = 2000, d: int = 4) -> list[dict]:
    """The factor by which errors shrink near the fixed point: predicted from it, and measured."""
    x, t = _problem(scale, n, d, seed)
    rows = []
    for arm in LINEAR:
        weights = iterate(arm, x, t)
        pair = predicted_factor(arm, x, t, weights[-1]), measured_factor(weights)
        rows.append({"arm": arm, "predicted": pair[0], "measured": pair[1]})
    return rows


@functools.lru_cache(maxsize=4)
def images(dataset: str, dtype: str = "float64") -> Dataset:
    return erlib.load(dataset, dtype=getattr(torch, dtype))


@kept
def contraction_on_images(*, dataset: str, ridge: float) -> list[dict]:
    """The same for a unit for each class of images, with a penalty: all fixed points exist."""
    data = images(dataset)
    x = data.x_train.flatten(1)
    x = torch.hstack([x - x.mean(0), x.new_ones(len(x), 1)])
    penalty = ridge * x[:, :-1].square().sum().item() / (x.shape[1] - 1)
    observed, rows = observed_outputs(data.y_train, len(data.classes), torch.float64), []
    for arm in LINEAR:
        for unit in range(len(data.classes)):
            t = observed[:, [unit]]
            weights = iterate(arm, x, t, penalty, to=1e-9)
            pair = predicted_factor(arm, x, t, weights[-1], penalty), measured_factor(weights)
            rows.append({"arm": arm, "unit": unit, "predicted": pair[0], "measured": pair[1]})
    return rows


def _bordered(x: torch.Tensor) -> torch.Tensor:
    return torch.hstack([x, x.new_ones(len(x), 1)])


def fixed_point(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Weights (the last one the bias) where ER stops: the minimum of the implicit loss, by scipy.

    AssertionError if it does not get there.
    """
    x = _bordered(x)

    def fields(w):
        return x @ torch.tensor(w)[:, None]

    def downhill(w):
        return -(x.T @ (reflect(fields(w), t) - fields(w)))[:, 0].numpy() / len(x)

    def curvature(w):
        return (x.T @ ((1 - t * slope_of_g(fields(w))) * x)).numpy() / len(x)

    def loss(w):
        return loss_of_tanh(fields(w).numpy(), t.numpy()).mean()

    zero = np.full(x.shape[1], 1e-3)
    near = optimize.minimize(loss, zero, jac=downhill, hess=curvature, method="trust-exact")
    exact = optimize.root(downhill, near.x, jac=curvature, tol=1e-13)
    assert np.abs(exact.fun).max() < 1e-10
    return torch.tensor(exact.x)[:, None]


@functools.lru_cache(maxsize=4)
def whitened(dataset: str, components: int) -> torch.Tensor:
    """All images of a data set as so many principal components, each of mean 0 and size 1."""
    data = images(dataset)
    x = torch.cat([data.x_train, data.x_test]).flatten(1)
    x = x - x.mean(0)
    strongest = torch.linalg.eigh(x.T @ x)[1][:, -components:]
    x = x @ strongest
    return x / x.square().mean(0).sqrt()


def draw_inputs(
    inputs: str, n: int, direction: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Inputs `[n, d]`, white but for the far cluster, which lies along `direction` `[d]`.

    ``Gaussian``; ``log-normal``, so skewed; ``far cluster``, a tenth of the samples far away, easy
    to tell, and too right for least squares; else images, the principal components of a data set.
    """
    d = len(direction)
    if inputs not in ("Gaussian", "log-normal", "far cluster"):
        x = whitened(inputs, d)
        return x[torch.randperm(len(x), generator=generator)[:n]]
    x = normal(generator, n, d)
    if inputs == "log-normal":
        return (torch.exp(x) - math.exp(0.5)) / (math.e * (math.e - 1)) ** 0.5
    if inputs == "far cluster":
        far = torch.rand(n, 1, generator=generator, dtype=torch.float64) < 0.1
        return torch.where(far, 0.3 * x + 6 * direction, x)
    return x


@kept
def first_update(
    *, inputs: str, scale: float, seed: int, n: int = 2000, n_test: int = 3000, d: int = 20
) -> list[dict]:
    """What one update from zero fields misses of ER's fixed point; labels are drawn from the model.

    For ``|t| <= 1`` and no penalty, ``|H_1 - H_end| <= max g'(|h_end|) |H_end|``: both are
    projections, of T g(0) and of T g(H_end), onto the span of the inputs, and
    ``|g(0) - g(h)| <= g'(|h|) |h|``.
    `error`, of its fields, relative; `bound`, which the error cannot exceed; `lost`, percentage
    points of test accuracy that going on would gain; `cosine`, of the first weights with the true.
    """
    generator = torch.Generator().manual_seed(seed)
    direction = normal(generator, d)
    direction = direction / direction.norm()
    x = draw_inputs(inputs, n + n_test, direction, generator)
    true = normal(generator, d, 1)
    if inputs == "far cluster":  # mostly across the cluster, partly along it
        true = true - 0.9 * direction[:, None] * (direction @ true)
        true = true / (x @ true).std() + 0.5 * direction[:, None]
    true = scale * true / (x @ true).std()
    t = spins(x @ true, generator)
    x, t, x_test, t_test = x[:n], t[:n], x[n:], t[n:]
    weight, bias = regress(x, reflect(torch.zeros_like(t), t))  # one update from zero fields
    ends = torch.vstack([weight, bias]), fixed_point(x, t)
    one, limit = (_bordered(x) @ end for end in ends)
    right = [((_bordered(x_test) @ end) * t_test > 0).double().mean().item() for end in ends]
    row = {"error": relative(one, limit), "bound": slope_of_g(limit.abs().max()).item()}
    cosine = torch.cosine_similarity(weight, true, dim=0).item()
    return [row | {"lost": 100 * (right[1] - right[0]), "accuracy": right[1], "cosine": cosine}]


@kept
def cross_validated(
    *, dataset: str, ridge: float, updates: int, folds: int = 5, seed: int = 0
) -> list[dict]:
    """Each image read once by units that did not see it, after each update, and compared with ER.

    All images, in five parts. The penalty is the same number for all methods, so that Böhning,
    weighted ER and Newton approach the same optimum: logistic regression of one class against the
    rest. `discrepancy`, the mean square of observed minus predicted in training; `error`, in %;
    `behind`, percentage points of error more than ER's after as many updates, `half`, of its 95 %
    interval over images; `er_alone` and `it_alone`, images that only one of the two reads right.
    """
    data = images(dataset)
    x, y = torch.cat([data.x_train, data.x_test]).flatten(1), torch.cat([data.y_train, data.y_test])
    observed = observed_outputs(y, len(data.classes), torch.float64)
    parts = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed)).chunk(folds)
    wrong = {arm: torch.zeros(updates, len(x), dtype=torch.float64) for arm in FAMILY}
    square = {arm: torch.zeros(updates, dtype=torch.float64) for arm in FAMILY}
    for part in parts:
        seen = torch.ones(len(x), dtype=torch.bool)
        seen[part] = False
        inputs = _bordered(x - x[seen].mean(0))
        penalty = ridge * inputs[seen, :-1].square().sum().item() / x.shape[1]
        for arm in FAMILY:
            units = [
                iterate(arm, inputs[seen], observed[seen][:, [unit]], penalty, most=updates)
                for unit in range(observed.shape[1])
            ]
            for update in range(1, updates + 1):
                ends = [found[min(update, len(found) - 1)] for found in units]
                fields = inputs @ torch.hstack(ends)
                wrong[arm][update - 1, part] = (fields.argmax(1) != y)[part].double()
                apart = (observed - torch.tanh(fields))[seen].square().mean()
                square[arm][update - 1] += apart / folds
    rows = []
    for arm in FAMILY:
        for update in range(updates):
            more = wrong[arm][update] - wrong["ER"][update]
            row = {"arm": arm, "update": update + 1, "discrepancy": square[arm][update].item()}
            row |= {"error": 100 * wrong[arm][update].mean().item()}
            row |= {"behind": 100 * more.mean().item()}
            row |= {"half": 196 * more.std().item() / len(x) ** 0.5}
            row |= {"er_alone": int((more > 0).sum()), "it_alone": int((more < 0).sum())}
            rows.append(row)
    return rows


def size_of_fields(dataset: str, updates: int, ridge: float) -> list[float]:
    """Standard deviation of the fields that a unit has on test images, after the first and the last
    update of ER: a mean over units.
    """
    x, ends = images(dataset).x_test.flatten(1), solutions(dataset, "ER", updates, ridge)
    return [(x @ weight).std(0).mean().item() for weight, _ in (ends[0], ends[-1])]


@kept
def on_images(*, dataset: str, arm: str, updates: int, ridge: float) -> list[dict]:
    """Test accuracy of a unit for each class, after each update from zero.

    `ridge` is relative (`regress`), one for all.
    """
    data = images(dataset)
    x, rows = data.x_test.flatten(1), []
    for update, (weight, bias) in enumerate(solutions(dataset, arm, updates, ridge), 1):
        right = (x @ weight + bias).argmax(1) == data.y_test
        rows.append({"update": update, "accuracy": right.double().mean().item()})
    return rows


@functools.lru_cache(maxsize=8)
def solutions(dataset: str, arm: str, updates: int, ridge: float) -> list:
    """(weight, bias) of all classes after each update of a method from zero fields.

    Where all images count alike, one Gram matrix and its factor serve all units and updates.
    """
    data = images(dataset)
    x = data.x_train.flatten(1)
    observed = observed_outputs(data.y_train, len(data.classes), torch.float64)
    target, omega = FAMILY[arm]
    mean, centred = x.mean(0), x - x.mean(0)
    solve = Moments().add(x, observed).solver(ridge)
    fields, found = torch.zeros_like(observed), []
    for _ in range(updates):
        wanted, weights = target(fields, observed), omega(fields)
        if omega is torch.ones_like:
            weight = solve(centred.T @ wanted)
            bias = wanted.mean(0) - mean @ weight
        else:
            each = [
                regress(x, wanted[:, [k]], ridge=ridge, sample_weight=weights[:, k])
                for k in range(wanted.shape[1])
            ]
            weight, bias = (torch.cat(parts, dim=-1) for parts in zip(*each))
        fields = x @ weight + bias
        found.append((weight, bias))
    return found


def likeliest(dataset: str, ridge: float) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Weights of greatest likelihood of each class against the rest, the last row the biases, by
    scipy; the mean that its inputs are taken from; its penalty, that of the regressions.
    """
    data = images(dataset)
    x = data.x_train.flatten(1)
    x = _bordered(x - x.mean(0))
    observed = observed_outputs(data.y_train, len(data.classes), torch.float64)
    penalty = ridge * x[:, :-1].square().sum().item() / (x.shape[1] - 1)

    def cost(w):
        weight = torch.tensor(w).reshape(x.shape[1], -1)
        h, kept_small = x @ weight, torch.vstack([penalty * weight[:-1], 0 * weight[-1:]])
        loss = (torch.logaddexp(h, -h) - observed * h).sum() + (kept_small * weight).sum() / 2
        slope = kept_small - x.T @ (observed - torch.tanh(h))
        return loss.item() / len(x), slope.flatten().numpy() / len(x)

    exact = {"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-7}
    start = np.zeros(x.shape[1] * observed.shape[1])
    end = optimize.minimize(cost, start, jac=True, method="L-BFGS-B", options=exact).x
    return torch.tensor(end).reshape(x.shape[1], -1), data.x_train.flatten(1).mean(0), penalty


@kept
def one_against_rest(*, dataset: str, ridge: float, updates: int) -> list[dict]:
    """Test accuracy at the greatest likelihood that weighted ER, Böhning and Newton approach, and
    the error of ER after so many updates above it: `behind` points, `half` of its 95 % interval
    over test images.
    """
    data = images(dataset)
    x, (end, mean, _) = data.x_test.flatten(1), likeliest(dataset, ridge)
    weight, bias = solutions(dataset, "ER", updates, ridge)[-1]
    wrong = [
        (fields.argmax(1) != data.y_test).double()
        for fields in (x @ weight + bias, _bordered(x - mean) @ end)
    ]
    more = wrong[0] - wrong[1]
    row = {"accuracy": 1 - wrong[1].mean().item(), "behind": 100 * more.mean().item()}
    return [row | {"half": 196 * more.std().item() / len(x) ** 0.5}]


@kept
def logistic_regression(*, dataset: str, seed: int, dtype: str = "float64") -> list[dict]:
    """Test accuracy of multinomial logistic regression by scikit-learn, fitted to its end; its
    penalty is chosen on a fifth of the training images."""
    data = images(dataset, dtype)

    def fitted(part, strength):
        model = LogisticRegression(C=strength, max_iter=1000, tol=1e-3)
        return model.fit(part.x_train.flatten(1).numpy(), part.y_train.numpy())

    def accuracy(model, part):
        return model.score(part.x_test.flatten(1).numpy(), part.y_test.numpy())

    held = data.holdout(len(data.y_train) // 5, seed=seed)
    best = max([0.01, 0.1, 1.0], key=lambda c: accuracy(fitted(held, c), held))
    return [{"C": best, "accuracy": accuracy(fitted(data, best), data)}]
