"""Slow references: the formulas of Expectation Reflection entry by entry and sample by sample.

Plain Python and NumPy, float64; nothing here calls erlib.
"""

import math

import numpy as np
import pytest
import torch

OUTPUT = {
    "tanh": math.tanh,
    "erf": math.erf,
    "softsign": lambda h: h / (1 + abs(h)),
    "identity": lambda h: h,
    "relu": lambda h: max(h, 0.0),
    "leaky_relu": lambda h: h if h >= 0 else 0.01 * h,
}
SLOPE_AT_0 = {"tanh": 1, "erf": 2 / math.sqrt(math.pi), "softsign": 1, "identity": 1}


def output(h, name):
    """A = f(H), entry by entry."""
    return np.array([OUTPUT[name](entry) for entry in np.ravel(h)]).reshape(np.shape(h))


def ratio_field(h, target, name):
    """H T / A in the form of the definition, entry by entry; the limits where A = 0."""

    def one(h, target):
        a = OUTPUT[name](h)
        if a != 0:
            return h / a * target  # in this order nothing overflows
        return h if name == "relu" else target / SLOPE_AT_0.get(name, 1)

    pairs = zip(np.ravel(h), np.ravel(target))
    return np.array([one(*pair) for pair in pairs]).reshape(np.shape(h))


def scatter(x, weights=None, intercept=True):
    """Sum of w (x - mean)(x - mean)', sample by sample; without intercept of w x x'."""
    weights = np.ones(len(x)) if weights is None else weights
    mean = sum(w * row for w, row in zip(weights, x)) / sum(weights) if intercept else 0
    return sum(w * np.outer(row - mean, row - mean) for w, row in zip(weights, x))


def least_squares(x, h, ridge=0.0, weights=None, intercept=True):
    """Weight and bias by numpy.linalg.lstsq: weights as scaled rows, the penalty as extra rows.

    The norm that lstsq makes least where columns depend on each other includes the bias: for such
    problems compare with the pseudo-inverse of the centred inputs instead.
    """
    d_in, d_out = x.shape[1], h.shape[1]
    root = np.sqrt(np.ones(len(x)) if weights is None else weights)[:, None]
    columns = np.hstack([x, np.ones((len(x), 1))]) if intercept else x
    penalty = math.sqrt(ridge * np.diag(scatter(x, weights, intercept)).mean())
    extra = penalty * np.eye(d_in, columns.shape[1])
    rows = np.vstack([root * columns, extra])
    solution = np.linalg.lstsq(rows, np.vstack([root * h, np.zeros((d_in, d_out))]))[0]
    return solution[:d_in], solution[d_in] if intercept else np.zeros(d_out)


def krylov(delta, weight, steps):
    """What `steps` conjugate-gradient steps reach: the best u in the Krylov space of each sample.

    The space is spanned by g, g WW', g (WW')^2, ... with g = delta W'.
    """
    rows = []
    for one in delta:
        basis = np.zeros((0, len(weight)))
        vector = weight @ one
        for _ in range(steps):
            vector = vector - basis.T @ (basis @ vector)
            vector = vector - basis.T @ (basis @ vector)
            basis = np.vstack([basis, vector / np.linalg.norm(vector)])
            vector = weight @ (weight.T @ basis[-1])
        rows.append(np.linalg.lstsq((basis @ weight).T, one)[0] @ basis)
    return np.array(rows)


def inverted(delta, weight, method="pinv", damping=0.0, steps=None):
    """The inverse mapping of one sample after the other, by explicit matrices."""
    if method == "cg":
        return krylov(delta, weight, steps)
    if method == "pinv":
        below = np.linalg.pinv(weight)
    elif method == "transpose":
        below = weight.T
    else:
        mu = damping * np.mean(np.linalg.svd(weight, compute_uv=False) ** 2)
        below = np.linalg.inv(weight.T @ weight + mu * np.eye(weight.shape[1])) @ weight.T
    return np.array([one @ below for one in delta])


def field(x, weight, bias):
    return np.array([row @ weight + (0 if bias is None else bias) for row in x])


def forward(layers, x):
    """Inputs and fields of every layer; a layer is (weight, bias or None, activation)."""
    inputs, fields = [], []
    for weight, bias, name in layers:
        inputs.append(x)
        fields.append(field(x, weight, bias))
        x = output(fields[-1], name)
    return inputs, fields


def targets(layers, x, observed, **inverse):
    """H* of every layer, from the top down with the given weights."""
    _, fields = forward(layers, x)
    wanted = [None] * len(layers)
    for index in reversed(range(len(layers))):
        weight, _, name = layers[index]
        wanted[index] = ratio_field(fields[index], observed, name)
        if index:
            below = output(fields[index - 1], layers[index - 1][2])
            observed = below + inverted(wanted[index] - fields[index], weight, **inverse)
    return wanted


def one_update(layers, x, observed, ridge, readout_ridge, **inverse):
    """The layers after targets from the top down and regressions from the bottom up."""
    new = []
    for index, wanted in enumerate(targets(layers, x, observed, **inverse)):
        _, bias, name = layers[index]
        penalty = readout_ridge if index == len(layers) - 1 else ridge
        weight, new_bias = least_squares(x, wanted, penalty, intercept=bias is not None)
        new.append((weight, None if bias is None else new_bias, name))
        x = output(field(x, *new[-1][:2]), name)
    return new


def batch_step(layers, x, observed, share, ridge, **inverse):
    """The layers after one mini-batch: each moved by its share of its own correction."""
    inputs, fields = forward(layers, x)
    new = []
    for (weight, bias, name), below, h, wanted in zip(
        layers, inputs, fields, targets(layers, x, observed, **inverse)
    ):
        change, shift = least_squares(below, wanted - h, ridge, intercept=bias is not None)
        moved = None if bias is None else bias + share * shift
        new.append((weight + share * change, moved, name))
    return new


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small matrices, thousands of times: on a busy machine threads make that ten times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


RATIO_AT_0 = {"relu": 0.0, "leaky_relu": 1.0, "erf": math.sqrt(math.pi) / 2}
SLOPE = {
    "tanh": lambda h: 1 / math.cosh(h) ** 2,
    "erf": lambda h: 2 / math.sqrt(math.pi) * math.exp(-h * h),
    "softsign": lambda h: 1 / (1 + abs(h)) ** 2,
    "identity": lambda h: 1.0,
    "relu": lambda h: float(h > 0),
    "leaky_relu": lambda h: 1.0 if h > 0 else 0.01,
}


def ratio(h, name):
    a = OUTPUT[name](h)
    return h / a if a else RATIO_AT_0.get(name, 1.0)


def errors(layers, x, observed, factor="ratio", inverse="pinv"):
    """delta of every layer, one sample and one unit after the other."""
    _, fields = forward(layers, x)
    of_unit = ratio if factor == "ratio" else lambda h, name: SLOPE[name](h)
    deltas = [np.zeros_like(h) for h in fields]
    for sample in range(len(x)):
        above = observed[sample] - output(fields[-1][sample], layers[-1][2])
        for index in reversed(range(len(layers))):
            weight, _, name = layers[index]
            for unit, h in enumerate(fields[index][sample]):
                deltas[index][sample, unit] = of_unit(h, name) * above[unit]
            back = np.linalg.pinv(weight) if inverse == "pinv" else weight.T
            above = deltas[index][sample] @ back
    return deltas


def kronecker_change(below, delta, intercept, ridge=0.0):
    """Change of a layer from one linear system for all its weights, (G kron I) vec = vec(A' delta).

    G is the Gram matrix of the inputs with the 1 of the bias beside them; the bias has no penalty.
    """
    d_in, d_out = below.shape[1], delta.shape[1]
    columns = np.hstack([below, np.ones((len(below), 1))]) if intercept else below
    gram = columns.T @ columns
    gram[:d_in, :d_in] += ridge * np.diag(scatter(below, intercept=intercept)).mean() * np.eye(d_in)
    system = np.kron(gram, np.eye(d_out))
    change = np.linalg.solve(system, (columns.T @ delta).ravel()).reshape(-1, d_out)
    return change[:d_in], change[d_in] if intercept else None


def output_jacobian(layers, x, index):
    """d (all outputs) / d (weights of a layer, then its bias), column by column.

    One sample at a time the outputs of the layers above are differentiated by hand: the product of
    the slopes and weights, and the Kronecker product with the sample's inputs.
    """
    inputs, fields = forward(layers, x)
    blocks = []
    for sample in range(len(x)):
        down = np.eye(len(fields[-1][sample]))  # d outputs / d outputs
        for above in reversed(range(index, len(layers))):
            name = layers[above][2]
            down = down * [SLOPE[name](h) for h in fields[above][sample]]
            if above > index:
                down = down @ layers[above][0].T
        block = np.kron(inputs[index][sample], down)  # weights [d_in, d_out] in row order
        blocks.append(np.hstack([block, down]) if layers[index][1] is not None else block)
    return np.vstack(blocks)
