r"""Maximum likelihood for a single layer of tanh units: logistic regression by scikit-learn.

With :math:`P(t) = e^{th} / (2 \cosh h)`, h = x W, a unit is the logistic regression of t on 2x.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

from .. import checks
from ..arithmetic import own_arithmetic
from ..checks import Same

#: Strengths of the penalty among which cross-validation chooses: 1/2, 1, 2, ..., 512.
PENALTIES = tuple(2.0**k for k in range(-1, 10))


@own_arithmetic
def maximum_likelihood(
    x: Same,
    observed: Same,
    *,
    penalty: float | str | Sequence[float] = 0.0,
    folds: int = 5,
    judges: int = 10,
    most: int = 100,
) -> Same:
    r"""Return W `[d_in, d_out]`, no intercept, of greatest penalised likelihood, unit by unit.

    .. math:: \min_W \sum_i \log(1 + e^{-2 t_i x_i W}) + \tfrac12 \lambda \lVert W \rVert^2

    by Newton's method (``newton-cholesky``). `penalty` is :math:`\lambda \ge 0`, a sequence of
    them, or ``"cv"`` (those of `PENALTIES`): of several, all units take the one under which
    left-out samples of the first `judges` units are likeliest, in `folds` folds. (One penalty for
    all, as for couplings of one scale: chosen unit by unit it is far noisier.) Without a penalty
    separable samples have no maximum; Newton's method then ends after `most` steps, or where
    scikit-learn finds no descent.

    Parameters: x `[n, d_in]`, observed `[n, d_out]` of +1 and -1, each unit with both values.
    Raises ValueError for other arrays.

    >>> import numpy as np
    >>> from erlib.inference import ising
    >>> true = ising.couplings(10, 1.0)
    >>> s = ising.simulate(true, 5000)
    >>> found = maximum_likelihood(s[:-1], s[1:])
    >>> (found - true).square().mean().item() < 1e-3
    True
    """
    inputs = checks.tensor("x", x, ndim=2).numpy()
    spins = checks.tensor("observed", observed, ndim=2).numpy()
    if len(inputs) != len(spins):
        raise ValueError(f"observed: {len(spins)} samples (rows), x has {len(inputs)}")
    if not (np.abs(spins) == 1).all() or (np.abs(spins.mean(0)) == 1).any():
        raise ValueError("observed: expected +1 and -1, and both of each unit")
    settings = {"fit_intercept": False, "max_iter": most, "tol": 1e-6, "solver": "newton-cholesky"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # separable: see above
        warnings.simplefilter("ignore", FutureWarning)  # names of options that change
        if isinstance(penalty, str):
            checks.choice("penalty", penalty, ["cv"])
            penalty = PENALTIES
        if not isinstance(penalty, (int, float)):
            penalty = _chosen(inputs, spins[:, :judges], penalty, folds, settings)
        strength = checks.not_negative("penalty", penalty)
        # On 2x the weights are those on x, so that scikit-learn's C is 1 / penalty.
        model = LogisticRegression(C=1 / strength if strength else np.inf, **settings)
        found = [model.fit(2 * inputs, unit).coef_[0] for unit in spins.T]
    return checks.like(torch.from_numpy(np.array(found).T.copy()), x)


def _chosen(inputs, spins, penalties, folds, settings):
    """The penalty under which left-out samples of all units together are likeliest."""
    penalties = [checks.positive("penalty", p) for p in penalties]
    how = {"cv": folds, "scoring": "neg_log_loss", "refit": False}
    model = LogisticRegressionCV(Cs=[1 / p for p in penalties], **how, **settings)
    total = 0
    for unit in spins.T:
        scores = model.fit(2 * inputs, unit).scores_
        if isinstance(scores, dict):  # by class, in scikit-learn before 1.10
            scores = next(iter(scores.values()))
        total = total + np.asarray(scores).reshape(-1, len(penalties)).mean(0)
    return penalties[int(np.argmax(total))]
