r"""ER's step beside the gradient and beside steps of mini-batches: notebook 03.

What is compared is always the change that ER asks of a layer (`ERNetwork.changes`, before any
share), taken by direction (cosine) or whole (relative difference), weight and bias together. All
networks are random (`ERNetwork.dense`), all numbers float64.

In a linear network ER's step is that of Gauss and Newton, each layer by itself, wherever the
product of the pseudo-inverses above a layer is the pseudo-inverse of the product: one matrix above
or none, square regular ones, a tall one below a wide one. Not in networks that widen and narrow
again (``tests/theory/test_gradient.py`` and the test of this module have both).

Two more things that "gradient descent" might suggest and that do not follow, with their tests in
``tests/studies/test_gradient_descent.py``:

* that penalising the weights is penalising the change. `ERNetwork.one_update` regresses H* itself,
  which with a penalty adds :math:`-\lambda (C + \lambda I)^{-1} W` to the change: weight decay;
* that a hidden ReLU unit is on the same linear piece before and after: where h* has another sign
  than h its output misses the target that h* was made for. A fifth of the fields do, on digits.
"""

import copy
import functools
from typing import Any

import torch

import erlib

from ..coding import observed_outputs
from ..network import ERNetwork
from ..notebook.kept import kept
from ..theory.gradient import Changes, gradient_changes

#: The second path with none of the three replacements: minus the gradient of E.
GRADIENT: dict[str, Any] = {"factor": "slope", "inverse": "transpose", "precondition": False}
#: What undoes each of the three.
UNDONE: dict[str, dict[str, Any]] = {
    "ratio": {"factor": "slope"},
    "pseudo-inverse": {"inverse": "transpose"},
    "Gram matrix": {"precondition": False},
}
#: ER's step by backpropagation, with all three replacements, with all but one, and with none.
CASES: dict[str, dict[str, Any]] = {
    "all three": {},
    "without the\nfactor": UNDONE["ratio"],
    "without the\npseudo-inverse": UNDONE["pseudo-inverse"],
    "without the\nGram matrix": UNDONE["Gram matrix"],
    "none: the\ngradient": GRADIENT,
}
ALPHAS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
BATCHES = (120, 240, 480)
SHARES = (0.0, 0.1, 0.2, 1 / 3, 0.5, 0.7, 0.85, 1.0)


@functools.lru_cache(maxsize=4)
def images(
    dataset: str, count: int | None = None, often: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """The first images of a data set, one a row, and their observed outputs, +1 and -1.

    With `often` only the pixels that are not black in more than this part of all images.
    """
    data = erlib.load(dataset, dtype=torch.float64)
    x = data.x_train.flatten(1)
    x = x[:, (x > 0).double().mean(0) > often] if often else x
    return x[:count], observed_outputs(data.y_train, len(data.classes), torch.float64)[:count]


def network(
    sizes: list[int], unit: str = "relu", seed: int | torch.Generator = 0, **settings
) -> ERNetwork:
    """A random network in float64; `settings` are those of `ERNetwork.dense`."""
    return ERNetwork.dense(sizes, activation=unit, seed=seed, dtype=torch.float64, **settings)


def without_bias(
    sizes: list[int],
    unit: str = "identity",
    seed: int | torch.Generator = 0,
    output: str = "identity",
) -> ERNetwork:
    """A random network without any bias, with a linear output unless another is given."""
    net = network(sizes, unit, seed, output=output)
    net.layers[-1].linear.bias = None
    return net


def reshaped(matrix: torch.Tensor, alpha: float) -> torch.Tensor:
    """The matrix with its singular values raised to 1 - alpha, kept at the same overall size."""
    u, values, vt = torch.linalg.svd(matrix, full_matrices=False)
    new = values ** (1 - alpha)
    return u * new @ vt * values.norm() / new.norm()


def white(x: torch.Tensor) -> torch.Tensor:
    """x with X'X = n I."""
    u, _, vt = torch.linalg.svd(x, full_matrices=False)
    return len(x) ** 0.5 * u @ vt


def orthonormal(net: ERNetwork) -> ERNetwork:
    """The same network with all singular values of its weights set to 1."""
    net = copy.deepcopy(net)
    for layer in net.layers:
        u, _, vt = torch.linalg.svd(layer.linear.weight.data, full_matrices=False)
        layer.linear.weight.data = u @ vt
    return net


def flat(changes: Changes) -> torch.Tensor:
    """All numbers of the changes in one row."""
    return torch.cat([part.flatten() for pair in changes for part in pair if part is not None])


def cosines(found: Changes, wanted: Changes) -> list[float]:
    """Between two changes, layer by layer, weight and bias of a layer together."""
    pairs = zip(found, wanted, strict=True)
    return [
        torch.cosine_similarity(flat([one]), flat([other]), dim=0).item() for one, other in pairs
    ]


def negative_gradient(net: ERNetwork, x: torch.Tensor, t: torch.Tensor) -> Changes:
    """Minus the gradient of ``E = |T - A|^2 / 2``, summed over samples."""
    return gradient_changes(net, x, t, **GRADIENT)


def one_by_one(
    *, second: int, first: int = 100, dataset: str = "mnist5k", count: int = 1000, seed: int = 0
) -> list[dict]:
    """Cosine with ER's step when one replacement is taken away, and when it alone is made.

    Random networks of two hidden layers of so many tanh units; penalty 0.3.
    """
    x, t = images(dataset, count)
    net = network([x.shape[1], first, second, t.shape[1]], "tanh", seed, hidden_bias=True)
    er, rows = net.changes(x, t, ridge=0.3), []
    for name, how in UNDONE.items():
        alone = {key: value for key, value in GRADIENT.items() if key not in how}
        for case, settings in (("taken away", how), ("alone", alone)):
            found = cosines(gradient_changes(net, x, t, ridge=0.3, **settings), er)
            rows += [
                {"replacement": name, "case": case, "layer": layer, "cosine": cosine}
                for layer, cosine in enumerate(found, start=1)
            ]
    return rows


@functools.lru_cache(maxsize=1)
def steps(dataset: str, count: int) -> tuple[Changes, dict[str, Changes]]:
    """ER's own step and that of each of the `CASES`: of a random network 784-100-50-10 of tanh
    units, on so many images, with penalty 0.3."""
    x, t = images(dataset, count)
    net = network([x.shape[1], 100, 50, t.shape[1]], "tanh", hidden_bias=True)
    found = {name: gradient_changes(net, x, t, ridge=0.3, **how) for name, how in CASES.items()}
    return net.changes(x, t, ridge=0.3), found


def loud(er: Changes) -> int:
    """A unit of the first layer whose weights ER changes much: the second of all."""
    return int(er[0][0].norm(dim=0).argsort(descending=True)[1])


def replaced(*, dataset: str, count: int) -> list[dict]:
    """Cosine of each step of `steps` with ER's, layer by layer."""
    er, found = steps(dataset, count)
    return [
        {"case": " ".join(case.split()), "layer": layer, "cosine": cosine}
        for case, step in found.items()
        for layer, cosine in enumerate(cosines(step, er), start=1)
    ]


def painted(*, dataset: str, count: int) -> list[dict]:
    """What each step of `steps` adds to the weights of one unit, pixel by pixel; largest: 1."""
    er, found = steps(dataset, count)
    rows: list[dict] = [{"pixel": pixel} for pixel in range(len(er[0][0]))]
    for case, step in found.items():
        change = step[0][0][:, loud(er)]
        for row, value in zip(rows, (change / change.abs().max()).tolist(), strict=True):
            row[" ".join(case.split())] = round(value, 4)
    return rows


@kept
def whitening(*, dataset: str, hidden: tuple, unit: str, seed: int) -> list[dict]:
    """Cosine of ER's step and the gradient as all singular values become equal.

    Those of the inputs and of every weight matrix are raised to 1 - alpha: alpha = 1 is white
    inputs and semi-orthogonal weights. No bias, linear outputs, no penalty.
    """
    x, t = images(dataset, often=0.1)
    start, rows = without_bias([x.shape[1], *hidden, t.shape[1]], unit, seed), []
    for alpha in ALPHAS:
        net, inputs = copy.deepcopy(start), reshaped(x, alpha)
        for layer in net.layers:
            layer.linear.weight.data = reshaped(layer.linear.weight.data, alpha)
        found = cosines(net.changes(inputs, t, ridge=0), negative_gradient(net, inputs, t))
        for number, cosine in enumerate(found, start=1):
            rows.append({"alpha": alpha, "layer": number, "cosine": cosine})
    return rows


@kept
def batch_means(*, dataset: str, hidden: tuple, seed: int) -> list[dict]:
    """How far the mean of the steps of all batches is from the full step, relative to that.

    For ER without penalty, with the default penalty of `ERNetwork.fit`, and for the gradient of the
    mean loss. Each on the images that fill whole batches.
    """
    x, t = images(dataset, often=0.1)
    net = network([x.shape[1], *hidden, t.shape[1]], seed=seed)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    steps = {
        "no penalty": lambda a, b: flat(net.changes(a, b, ridge=0)),
        "penalty 0.3": lambda a, b: flat(net.changes(a, b, ridge=0.3)),
        "gradient": lambda a, b: flat(negative_gradient(net, a, b)) / len(a),
    }
    rows = []
    for batch in BATCHES:
        parts = [part for part in order.split(batch) if len(part) == batch]
        used = torch.cat(parts)
        for name, step in steps.items():
            full = step(x[used], t[used])
            mean = sum(step(x[part], t[part]) / len(parts) for part in parts)
            apart = ((mean - full).norm() / full.norm()).item()
            rows.append({"step": name, "batch": batch, "difference": apart})
    return rows


@kept
def overshoot(*, dataset: str, hidden: tuple, unit: str, seed: int) -> list[dict]:
    """The loss ``|T - A|^2 / 2`` of an image after a share of the step, all layers at once."""
    x, t = images(dataset, often=0.1)
    net = network([x.shape[1], *hidden, t.shape[1]], unit, seed)
    change, rows = net.changes(x, t, ridge=0), []
    for share in SHARES:
        moved = copy.deepcopy(net)
        for layer, (weight, bias) in zip(moved.layers, change):
            layer.assign(weight, bias, share=share)
        outputs = torch.tanh(moved.decision_function(x))
        loss = (t - outputs).square().sum().item() / 2 / len(x)
        rows.append({"share": share, "loss": loss})
    return rows


@kept
def downhill(*, inverse: str, networks: int = 60) -> list[dict]:
    """Cosine of the hidden layers' steps with minus the gradient; below 0 the step is uphill.

    Random networks 20-20-20-20, ReLU with linear outputs, on 200 random samples. With the transpose
    the cosine cannot be negative: the slope along the step is then the quadratic form of a positive
    matrix. With the pseudo-inverse and linear units of square layers neither: the maps cancel, and
    what is left is such a form of the output errors. Silent units between two maps spoil that.
    """
    generator, rows = torch.Generator().manual_seed(0), []
    for seed in range(networks):
        net = without_bias([20, 20, 20, 20], "relu", seed)
        x, t = torch.randn(2, 200, 20, generator=generator, dtype=torch.float64)
        step = net.changes(x, t, ridge=0, inverse=inverse)
        found = cosines(step, negative_gradient(net, x, t))[:-1]
        rows += [
            {"network": seed, "layer": layer, "cosine": cosine}
            for layer, cosine in enumerate(found, start=1)
        ]
    return rows


def jacobian(sizes: list[int], unit: str = "tanh", **settings) -> torch.Tensor:
    """Of the step before its division by the Gram matrix, by all weights; central differences.

    30 random samples, all units of one kind. `settings` as in `gradient_changes`. If the step is
    the gradient of some function of the weights, the matrix is symmetric.
    """
    generator = torch.Generator().manual_seed(0)
    net = without_bias(sizes, unit, 0, output=unit)
    x, t = (
        torch.randn(30, width, generator=generator, dtype=torch.float64)
        for width in (sizes[0], sizes[-1])
    )
    columns, step = [], 1e-5
    for layer in net.layers:
        weight = layer.linear.weight.data.T  # [d_in, d_out], as the changes are
        for i in range(weight.shape[0]):
            for j in range(weight.shape[1]):
                ends = []
                for sign in (1, -1):
                    weight[i, j] += sign * step
                    found = gradient_changes(net, x, torch.tanh(t), precondition=False, **settings)
                    ends.append(flat(found))
                    weight[i, j] -= sign * step
                columns.append((ends[0] - ends[1]) / (2 * step))
    return torch.stack(columns, 1)


def asymmetry(matrix: torch.Tensor) -> float:
    """How far a matrix is from its transpose: ``|J - J'| / |J + J'|``."""
    return ((matrix - matrix.T).norm() / (matrix + matrix.T).norm()).item()
