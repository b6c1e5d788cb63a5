r"""Expectation Reflection behind scikit-learn's interface: `ERClassifier` and `ERRegressor`.

The last layer is fitted by `erlib.single_layer`, to the features themselves or to hidden layers
that one ER update has made; with `passes` all layers are then trained by `erlib.sequential`.
Columns are divided by their range first, so that neither their units nor those of all data matter.
Arrays are NumPy arrays, as everywhere in scikit-learn; float32 data are computed with in float32.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from . import checks
from .activations import activation as activation_by_name
from .arithmetic import own_arithmetic
from .coding import require_reachable
from .estimator_base import EREstimator, positive_or_one, sums_suffice
from .single_layer import shares

RandomState = int | np.random.RandomState | None


class ERClassifier(ClassifierMixin, EREstimator):
    r"""A classifier by Expectation Reflection.

    Each class has a field :math:`h = x W + b` of its own (two classes share one), whose observed
    output is :math:`t = +1` for samples of the class and -1 for others. An update multiplies fields
    by observed / predicted output and regresses them on the inputs,

    .. math:: h^* = h\, t / f(h), \qquad W, b = \mathrm{regress}(x, h^*),

    beginning at :math:`h = 0`, where :math:`h^* \propto t`: one update is least squares on the
    outputs. The class is that of the largest field. :math:`f(h)` is the expectation of the output,
    so that the class has the probability :math:`(1 + f(h)) / 2`, the logistic function of 2h for
    tanh; more than two classes are normalised to a sum of 1.

    Parameters
    ----------
    hidden : tuple of int
        Widths of hidden layers of ReLU units. They are drawn at random and updated once by ER with
        all the data (`ERNetwork.targets`, `sweep`); the last layer is then fitted to their outputs.
    activation : str
        f of the output: ``tanh``, ``erf``, ``softsign``, or ``identity``, where the first update is
        the last.
    rule : str
        ``er``, or a relative: ``weighted_er`` (maximum likelihood for tanh), ``boehning``,
        ``newton``, ``least_squares``; see `erlib.single_layer`.
    ridge : float >= 0
        Penalty of each regression, relative to the mean variance of the inputs of the last layer,
        columns of X divided by their range: whatever their units.
    updates : int >= 1
        The most updates that a field makes.
    stop : str or None
        ``discrepancy``: a field stops as soon as :math:`\langle (t - f(h))^2 \rangle` of the
        training data does not fall, the rule of ER's authors; ``settled``: when it changes by
        less than 1e-8 of its size; None: never.
    hidden_ridge : float >= 0
        Penalty of the hidden layers' regression.
    passes, batch_size : int
        With `passes` > 0 all layers are then trained by sequential ER in mini-batches, which also
        fits the last layer; `rule`, `ridge`, `updates` and `stop` have no say in that.
    class_weight : dict, "balanced" or None
        Weights of the classes, multiplied with those of the samples.
    warm_start : bool
        Whether `fit` goes on from the weights of the fit before. New data must have its classes.
    random_state : int, RandomState or None
        Source of the initial hidden weights and of the order of mini-batches.

    Attributes
    ----------
    classes_ : array `[K]`
    coef_ : array `[K, d_in]` (two classes: `[1, d_in]`)
        W transposed; without hidden layers.
    intercept_ : array `[K]` (`[1]`)
        b; without hidden layers.
    network_ : ERNetwork, with hidden layers; its inputs are the columns of X less their mean,
        divided by their range and by one number for all, so that they are of size 1.
    n_iter_ : int
        Updates of the field that made most of them; passes, where these are > 0.
    n_features_in_, feature_names_in_

    Notes
    -----
    Source: single layer and stopping rule, Hoang, Song, Periwal and Jo, Phys. Rev. E 99, 023311
    (2019), with least squares where the authors' later package takes least absolute deviations.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import cross_val_score
    >>> x, y = load_breast_cancer(return_X_y=True)               # columns of very different units
    >>> bool(cross_val_score(ERClassifier(), x, y).mean() > 0.96)
    True
    """

    def __init__(
        self,
        hidden: Sequence[int] = (),
        *,
        activation: str = "tanh",
        rule: str = "er",
        ridge: float = 1e-2,
        updates: int = 100,
        stop: str | None = "discrepancy",
        hidden_ridge: float = 3.0,
        passes: int = 0,
        batch_size: int = 32,
        class_weight: dict | str | None = None,
        warm_start: bool = False,
        random_state: RandomState = None,
    ) -> None:
        self._take(locals())

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to inputs X `[n, d_in]` and labels y `[n]` of any type; returns self.

        `sample_weight` `[n]` >= 0 weighs the samples of every regression. Raises ValueError for
        data that scikit-learn refuses, labels of one class only, or a setting out of range.
        """
        self._settings()
        checks.positive_integer("batch_size", self.batch_size)
        if checks.not_negative_integer("passes", self.passes):
            if not self.hidden:
                raise ValueError(f"passes: {self.passes}, but there is no hidden layer to train")
            given = {"sample_weight": sample_weight, "class_weight": self.class_weight}
            for name, weights in given.items():
                if weights is not None:
                    raise ValueError(f"{name}: mini-batches (passes > 0) do not take weights")
        x, y, weights = self._begin(X, y, sample_weight)
        classes = np.unique(y)
        if self.warm_start and hasattr(self, "_fitted"):
            self._same_classes("warm_start", classes)
        observed = self._observed(y, classes, x.dtype)
        self.classes_ = classes
        self._fit(x, observed, weights, self.passes, self.batch_size)
        return self

    @available_if(sums_suffice)
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        r"""Add samples to one ER update, in pieces of any size; returns self.

        One update needs of the data only sums over samples (`erlib.Moments`), and these are kept,
        not the samples: memory does not grow, and pieces in any number and order give the weights
        that `fit` with ``updates=1`` finds with all of them at once. All samples are reflected
        about the weights at the first call: zeros, or those of a `fit` before, which are so updated
        once more. `updates` and `stop` have no say.

        `classes`, all labels that will occur, is needed at the first call. Raises ValueError as
        `fit`, and for class weights ``balanced``, which need all labels at once; AttributeError
        with hidden layers or another rule than ``er``.
        """
        self._settings()
        if self.class_weight == "balanced":
            raise ValueError("class_weight: 'balanced' needs all labels at once; give a dict")
        begins = not hasattr(self, "_fitted")
        if begins and classes is None:
            raise ValueError("classes: all classes are needed at the first call of partial_fit")
        x, y, weights = self._begin(X, y, sample_weight, reset=begins)
        known = self.classes_ if classes is None else np.unique(classes)
        if not begins:
            self._same_classes("classes", known)
        observed = self._observed(y, known, x.dtype)
        self.classes_ = known if begins else self.classes_
        self._add(x, observed, weights)
        return self

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Fields H `[n, K]` of inputs X `[n, d_in]`; `[n]` for two classes."""
        fields = self._fields(X).numpy()
        return fields[:, 0] if len(self.classes_) == 2 else fields

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The class `[n]` of each sample of X `[n, d_in]`: that of the largest field."""
        fields = self.decision_function(X)
        best = (fields > 0).astype(int) if fields.ndim == 1 else fields.argmax(1)
        return self.classes_[best]

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probabilities `[n, K]` of the classes, (1 + f(h)) / 2 normalised to a sum of 1."""
        expected = activation_by_name(self.activation).f(self._fields(X)).numpy()
        p = np.clip((1 + expected) / 2, 0, 1)
        if len(self.classes_) == 2:
            return np.hstack([1 - p, p])
        total = p.sum(1, keepdims=True)
        return np.where(total > 0, p / np.where(total > 0, total, 1), 1 / len(self.classes_))

    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """Logarithms `[n, K]` of `predict_proba`, -inf where that is 0."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _begin(self, x, y, weights, **how):
        """The data, checked; weights of the samples times those of their classes."""
        x, y, weights = super()._begin(x, y, weights, **how)
        check_classification_targets(y)
        if self.class_weight is None:
            return x, y, weights
        try:
            factors = compute_sample_weight(self.class_weight, y)
        except (ValueError, TypeError) as error:
            raise ValueError(f"class_weight: {error}") from error
        factors = checks.from_numpy(factors).to(x.dtype)
        if bool((factors < 0).any()):
            raise ValueError(f"class_weight: negative, {self.class_weight!r}")
        return x, y, factors if weights is None else factors * weights

    def _observed(self, y, classes, dtype):
        if len(classes) < 2:
            raise ValueError(f"y: only one class, {classes[0]!r}; nothing to tell apart")
        unknown = np.setdiff1d(y, classes)
        if len(unknown):
            raise ValueError(f"y: class {unknown[0]!r} is none of {list(classes)}")
        labels = checks.from_numpy(np.searchsorted(classes, y))
        fields = torch.arange(1, 2) if len(classes) == 2 else torch.arange(len(classes))
        return torch.where(labels[:, None] == fields, 1.0, -1.0).to(dtype)

    def _same_classes(self, name, classes):
        if not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"{name}: classes {list(classes)} where the fit before had {list(self.classes_)}"
            )


class ERRegressor(MultiOutputMixin, RegressorMixin, EREstimator):
    r"""Regression by Expectation Reflection.

    With ``activation="identity"`` a single layer is least squares, after one update exactly
    (statement S1); hidden layers make it nonlinear. With another output,

    .. math:: y = f(x W + b) + \text{noise},

    an update multiplies fields by observed / predicted output and regresses them on the inputs;
    y must then be values that f can take, for tanh -1 to 1.

    Parameters
    ----------
    hidden
        As that of `ERClassifier`, and so are those below of which nothing is said.
    activation : str
        f of the output: ``identity``, or ``tanh``, ``erf``, ``softsign``.
    rule
    ridge : float >= 0 or None
        Unless given 0, and 0.01 with hidden layers, whose outputs depend on each other.
    updates, stop, hidden_ridge, warm_start, random_state

    Attributes
    ----------
    coef_ : array `[d_in]` or `[d_out, d_in]`
        W transposed, for y `[n]` or `[n, d_out]`; without hidden layers.
    intercept_ : float or array `[d_out]`
        b; without hidden layers.
    network_ : ERNetwork, with hidden layers.
    n_iter_, n_features_in_, feature_names_in_
        As those of `ERClassifier`.

    Notes
    -----
    There are no mini-batches and no classes. With hidden layers and an output ``identity`` y is
    centred and scaled for the fit, and scaled back.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> model = ERRegressor(updates=1).fit(x, x @ [1.0, -2.0] + 3)
    >>> bool(np.allclose(model.coef_, [1, -2]) and np.isclose(model.intercept_, 3))
    True
    """

    def __init__(
        self,
        hidden: Sequence[int] = (),
        *,
        activation: str = "identity",
        rule: str = "er",
        ridge: float | None = None,
        updates: int = 100,
        stop: str | None = "discrepancy",
        hidden_ridge: float = 3.0,
        warm_start: bool = False,
        random_state: RandomState = None,
    ) -> None:
        self._take(locals())

    @own_arithmetic
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to inputs X `[n, d_in]` and outputs y `[n]` or `[n, d_out]`; returns self.

        `sample_weight` `[n]` >= 0 weighs the samples of every regression. Raises ValueError for
        data that scikit-learn refuses, outputs that f cannot take, or a setting out of range.
        """
        self._settings()
        x, y, weights = self._begin(X, y, sample_weight, multi_output=True, y_numeric=True)
        observed = self._observed(y, x.dtype)
        if self._scales_outputs():
            if not self._goes_on(x, observed):
                part = shares(x, weights)
                self._centre = part @ observed.double()
                self._spread = positive_or_one((part @ (observed - self._centre).square()).sqrt())
            observed = ((observed - self._centre) / self._spread).to(x.dtype)
        self._fit(x, observed, weights)
        return self._as_given(y)

    def _ridge(self):
        if self.ridge is None:
            return 0.01 if self.hidden else 0.0
        return self.ridge

    @available_if(sums_suffice)
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Add samples to one ER update, in pieces of any size; returns self.

        As `ERClassifier.partial_fit`: with an output ``identity``, least squares of all samples so
        far, in memory that does not grow with their number.
        """
        self._settings()
        begins = not hasattr(self, "_fitted")
        how = {"multi_output": True, "y_numeric": True, "reset": begins}
        x, y, weights = self._begin(X, y, sample_weight, **how)
        self._add(x, self._observed(y, x.dtype), weights)
        return self._as_given(y)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Expected outputs f(H) of inputs X `[n, d_in]`: `[n]` or `[n, d_out]`, as y was."""
        expected = activation_by_name(self.activation).f(self._fields(X))
        if self._scales_outputs():
            expected = expected * self._spread.to(expected) + self._centre.to(expected)
        return expected.numpy().ravel() if self._flat else expected.numpy()

    def _scales_outputs(self):
        return len(self.hidden) > 0 and self.activation == "identity"

    def _observed(self, y, dtype):
        observed = checks.from_numpy(y.reshape(len(y), -1)).to(dtype)
        require_reachable("y", observed, activation_by_name(self.activation))
        return observed

    def _as_given(self, y):
        """Give the weights the shape of y: no axis of outputs for y `[n]`."""
        self._flat = y.ndim == 1
        if self._flat and not self.hidden:
            self.coef_, self.intercept_ = self.coef_[0], float(self.intercept_[0])
        return self
