"""Two-layer threshold networks: the global optimum of all of them, by a convex program."""

import math
from typing import NamedTuple

import numpy as np
import torch
from sklearn.linear_model import Lasso

from .. import checks
from ..arithmetic import own_arithmetic
from ..batches import Seed
from ..checks import Array
from ..coding import class_labels, observed_outputs
from ..problems import same_length
from ..regress import regress
from .hyperplanes import hyperplanes


class ThresholdNetwork(NamedTuple):
    """Units 1{x u + c >= 0}, one a column of `weight`, and a linear readout.

    `objective` is what the convex program came to, and no network whose units have the dichotomies
    that it chose from, however many units it has, is better by more than `gap`; both are NaN for
    `threshold_features`.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    readout: torch.Tensor
    offset: torch.Tensor
    objective: float = math.nan
    gap: float = math.nan

    def outputs(self, x: Array) -> torch.Tensor:
        """Zeros and ones `[n, units]`."""
        rows = checks.tensor("x", x).flatten(1).to(self.weight.dtype)
        return (rows @ self.weight + self.bias >= 0).to(rows.dtype)

    def fields(self, x: Array) -> torch.Tensor:
        """`[n, outputs]`, where the class is the largest."""
        return self.outputs(x) @ self.readout + self.offset

    def score(self, x: Array, y: Array) -> float:
        """Share of correctly classified samples."""
        labels = class_labels(y, self.readout.shape[1])
        return float((self.fields(x).argmax(1) == labels).double().mean())


@own_arithmetic
def threshold_network(
    x: Array, y: Array, *, penalty: float, units: int | None = None, seed: Seed = 0
) -> ThresholdNetwork:
    r"""Return a network that no two-layer threshold network of any width beats, and the proof.

    Trained with weight decay on amplitudes s and readout w, such a network is a Lasso problem,

    .. math::
        \min_{u, c, s, w} \tfrac12 \lVert \textstyle\sum_j s_j 1\{X u_j + c_j \ge 0\} w_j - y
        \rVert^2 + \tfrac{\beta}{2} \sum_j (s_j^2 + w_j^2)
        \;=\; \min_w \tfrac12 \lVert D w - y \rVert^2 + \beta \lVert w \rVert_1,

    where the columns of D are all distinct :math:`1\{X u + c \ge 0\}`: only the product
    :math:`s_j w_j` is seen in the outputs, and the cheapest factors of a number cost its absolute
    value. With the residual scaled to be feasible in the dual,
    :math:`\theta = r \min(1, \beta / \lVert D' r \rVert_\infty)`, r = y - D w, all of them cost at
    least :math:`\tfrac12 \lVert y \rVert^2 - \tfrac12 \lVert y - \theta \rVert^2` (`lower_bound`).

    Parameters
    ----------
    x : array `[n, d]`
        One sample a row; few, in few dimensions, unless there are `units`.
    y : array `[n]`
        Observed outputs.
    penalty : float > 0
        :math:`\beta`.
    units : int, optional
        If given, so many hyperplanes are sampled for D, and the optimum is that over them only.
    seed : int or torch.Generator
        Source of the hyperplanes.

    Returns
    -------
    ThresholdNetwork
        Of units whose weight is not 0.

    Raises
    ------
    ValueError
        If arrays do not fit, a setting is out of range or there are more than 20,000 dichotomies.

    Notes
    -----
    Source: T. Ergen, H. I. Gulluk, J. Lacotte and M. Pilanci, Globally optimal training of neural
    networks with threshold activation functions, ICLR 2023; the equations are reconstructed from
    their description. The bias c, the enumeration and the sampling are this companion's own.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
    >>> net = threshold_network(x, torch.tensor([0.0, 1, 1, 0]).double(), penalty=0.01)
    >>> net.fields(x).ravel().round(decimals=1).tolist()                            # XOR
    [0.0, 1.0, 1.0, 0.0]
    >>> net.gap < 1e-9
    True
    """
    rows, penalty = checks.tensor("x", x, ndim=2), checks.positive("penalty", penalty)
    wanted = checks.tensor("y", y, ndim=1).double()
    same_length(rows, wanted)
    weight, bias = hyperplanes(x, units, seed=seed)
    d = (rows.double() @ weight + bias >= 0).double()
    # scikit-learn divides the squares by n.
    lasso = Lasso(penalty / len(d), fit_intercept=False, tol=1e-11, max_iter=100_000)
    w = torch.from_numpy(np.ravel(lasso.fit(d.numpy(), wanted.numpy()).coef_))
    objective = float((d @ w - wanted).square().sum() / 2 + penalty * w.abs().sum())
    gap = objective - lower_bound(d, wanted, w, penalty)
    used = w != 0
    offset = w.new_zeros(1)
    return ThresholdNetwork(weight[:, used], bias[used], w[used, None], offset, objective, gap)


def lower_bound(d: torch.Tensor, y: torch.Tensor, w: torch.Tensor, penalty: float) -> float:
    """A bound on ``1/2 |D w - y|^2 + penalty |w|_1`` for all w, tight if this w is the best one."""
    residual = y - d @ w
    largest = float((d.T @ residual).abs().max())
    theta = residual * (min(1.0, penalty / largest) if largest else 1.0)
    return float(y.square().sum() - (y - theta).square().sum()) / 2


@own_arithmetic
def threshold_features(
    x: Array, y: Array, units: int, *, readout_ridge: float = 0.1, seed: Seed = 0
) -> ThresholdNetwork:
    r"""Return a network of sampled threshold units, its readout regressed on +1 and -1.

    The classifier of the same kind, for data with too many dichotomies: ridge regression in the
    place of the Lasso (`erlib.regress`, relative `readout_ridge`). Images are flattened. Raises
    ValueError if labels do not fit or a setting is out of range.

    >>> import erlib
    >>> data = erlib.load("digits")
    >>> threshold_features(data.x_train, data.y_train, 500).score(data.x_test, data.y_test) > 0.9
    True
    """
    rows, ridge = checks.tensor("x", x), checks.not_negative("readout_ridge", readout_ridge)
    rows = rows.flatten(1).double()
    labels = class_labels(y, int(y.max()) + 1)
    same_length(rows, labels)
    weight, bias = hyperplanes(rows, checks.positive_integer("units", units), seed=seed)
    observed = observed_outputs(labels, int(labels.max()) + 1, torch.float64)
    outputs = (rows @ weight + bias >= 0).double()
    return ThresholdNetwork(weight, bias, *regress(outputs, observed, ridge=ridge))
