"""What both estimators of `erlib.estimators` share: settings, columns, layers, streams."""

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from . import checks
from .activations import activation as activation_by_name
from .arithmetic import own_arithmetic
from .moments import Moments
from .network import ERNetwork
from .reflect import reflected
from .rounding import CONSTANT, representable
from .sequential import sequential_fit
from .single_layer import RULES, STOPS, single_layer_fit

_FLOATS = (np.float64, np.float32)
# Units whose output, at a field of zero, says how to move: relu has no ratio there.
_OUTPUTS = ("tanh", "erf", "softsign", "identity")
# Classes are coded with outputs that tanh can reach where mini-batches train them for long.
_SEQUENTIAL_CODE = 0.8


def sums_suffice(estimator):
    """Whether there is `partial_fit`: for one update of a single layer by ER sums are enough."""
    if estimator.hidden not in ((), []) or estimator.rule != "er":
        raise AttributeError(
            "partial_fit: the sums over samples that it accumulates are those of a single layer "
            f"and rule 'er', found hidden={estimator.hidden!r}, rule={estimator.rule!r}"
        )
    return True


class EREstimator(BaseEstimator):
    """Both estimators: fields H, fitted to observed outputs T."""

    def _take(self, parameters):
        """Keep those of `__init__`, its `locals()`, under their names: scikit-learn's rule."""
        vars(self).update((name, value) for name, value in parameters.items() if name != "self")

    def _begin(self, x, y, weights, **how):
        """The data, checked by scikit-learn's rules; x and weights as tensors."""
        checks.not_masked("X", x)
        checks.not_masked("y", y)
        x, y = validate_data(self, x, y, dtype=_FLOATS, **how)
        if weights is not None:
            weights = _check_sample_weight(weights, x, dtype=x.dtype, ensure_non_negative=True)
            weights = checks.from_numpy(weights)
        return checks.from_numpy(x), y, weights

    def _settings(self):
        """Complain of a setting, by its name, before anything is computed."""
        if not isinstance(self.hidden, (tuple, list)):
            raise ValueError(f"hidden: expected a tuple of widths, found {self.hidden!r}")
        for width in self.hidden:
            checks.positive_integer("hidden", width)
        checks.choice("activation", self.activation, _OUTPUTS)
        checks.not_negative("ridge", self._ridge())
        checks.not_negative("hidden_ridge", self.hidden_ridge)
        checks.choice("rule", self.rule, RULES)
        checks.positive_integer("updates", self.updates)
        if self.stop is not None:
            checks.choice("stop", self.stop, STOPS)

    def _ridge(self):
        return self.ridge

    @own_arithmetic
    def _fit(self, x, observed, weights, passes=0, batch_size=32):
        goes_on = self._goes_on(x, observed)
        self._moments = None  # a stream by partial_fit begins anew, from these weights
        if self.hidden:
            x = self._scaled(x) if goes_on else self._measured(x, weights)
            self._fit_network(x, observed, weights, goes_on, passes, batch_size)
        else:
            x, start = self._measured(x, weights), None
            if goes_on:
                weight, bias = self._layer(torch.float64)
                start = weight * self._scale[:, None], bias + self._offset @ weight
            found = self._fit_layer(x, observed, weights, start)
            weight, bias = found.weight.double() / self._scale[:, None], found.bias.double()
            self._keep(weight, bias - self._offset @ weight, x.dtype)
        self._fitted = self._shape(x, observed)

    def _fit_network(self, x, observed, weights, goes_on, passes, batch_size):
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        if goes_on:
            net = self.network_.to(x.dtype)
        else:
            how = {"hidden_bias": True, "dtype": x.dtype, "output": self.activation, "seed": seed}
            net = ERNetwork.dense([x.shape[1], *self.hidden, observed.shape[1]], **how)
        targets = net.targets(x, observed)
        net.sweep(x, [*targets[:-1], None], ridge=self.hidden_ridge, sample_weight=weights)
        if passes:
            how = {"passes": passes, "batch_size": min(batch_size, len(x)), "seed": seed}
            sequential_fit(net, x, _SEQUENTIAL_CODE * observed, first_update=False, **how)
            self.n_iter_ = passes
        else:
            with torch.no_grad():
                features = net.trace(x)[0][-1]
            found = self._fit_layer(features, observed, weights, None)
            net.layers[-1].assign(found.weight, found.bias)
        self.network_ = net

    def _measured(self, x, weights):
        """`_scaled` x, by its own offset and scale: means, and ranges times what makes all size 1.

        Ranges, not deviations: a pixel that is dark but in a few images is not blown up.
        """
        share = None if weights is None else weights.double() / weights.double().sum()
        there = x if weights is None else x[weights > 0]
        low, high = there.aminmax(dim=0)
        # Relative to the smallest, so that a large offset costs no digits.
        above = x - low
        rest = above.mean(0) if share is None else share @ above.double()
        self._offset = low.double() + rest
        varies, largest = high.double() - low.double(), torch.maximum(high.abs(), low.abs())
        # A range of some last digits is the rounding of a constant (`Moments`), not to be blown up.
        constant = varies <= CONSTANT * torch.finfo(x.dtype).eps * largest
        self._scale = positive_or_one(varies.masked_fill(constant, 0))
        found = above.sub_(rest.to(x.dtype)).div_(self._scale.to(x.dtype))
        found[:, constant] = 0
        squares = found.square().sum(1, dtype=torch.float64) / found.shape[1]
        size = positive_or_one((squares.mean() if share is None else share @ squares).sqrt())
        self._scale = self._scale * size
        return found.div_(size.to(x.dtype))

    def _scaled(self, x):
        return ((x - self._offset) / self._scale).to(x.dtype)

    def _goes_on(self, x, observed):
        """Whether this is a warm start; ValueError where it cannot be."""
        shape = self._shape(x, observed)
        found = getattr(self, "_fitted", None) if self.warm_start else None
        if found not in (None, shape):
            raise ValueError(f"warm_start: {shape} where the fit before had {found}")
        return found is not None

    def _shape(self, x, observed):
        """What two fits must have in common for one to go on where the other stopped."""
        sizes = [x.shape[1], *self.hidden, observed.shape[1]]
        return f"widths {'-'.join(map(str, sizes))}, activation {self.activation!r}"

    def _fit_layer(self, x, observed, weights, start):
        how = {name: getattr(self, name) for name in ("rule", "activation", "updates", "stop")}
        how |= {"ridge": self._ridge(), "sample_weight": weights, "start": start}
        found = single_layer_fit(x, observed, **how)
        self.n_iter_ = int(found.updates.max())
        return found

    @own_arithmetic
    def _add(self, x, observed, weights):
        """One update from where the first call found the weights, of all samples since."""
        shape = self._shape(x, observed)
        if getattr(self, "_fitted", shape) != shape:
            raise ValueError(f"y: {shape} where the samples before had {self._fitted}")
        if getattr(self, "_moments", None) is None:
            size = x.shape[1], observed.shape[1]
            zeros = x.new_zeros(size), x.new_zeros(size[1])
            self._stream_start = self._layer(x.dtype) if hasattr(self, "_fitted") else zeros
            self._moments = Moments()
            self._range = x.new_full((2, x.shape[1]), torch.inf)
        weight, bias = (part.to(x.dtype) for part in self._stream_start)
        unit = activation_by_name(self.activation)
        self._moments.add(x, reflected(x @ weight + bias, observed, unit), weights)
        there = x if weights is None else x[weights > 0]
        if len(there):
            self._range = torch.minimum(self._range, torch.stack([there.amin(0), -there.amax(0)]))
        scale = positive_or_one(-self._range.double().sum(0))
        weight, bias = self._moments.divided(scale).solve(self._ridge())
        self._keep(weight.double() / scale[:, None], bias, x.dtype)
        self._fitted = shape
        self.n_iter_ = 1

    def _layer(self, dtype):
        weight, bias = np.atleast_2d(self.coef_).T, np.atleast_1d(self.intercept_)
        return checks.from_numpy(weight).to(dtype), checks.from_numpy(bias).to(dtype)

    def _keep(self, weight, bias, dtype):
        self.coef_, self.intercept_ = (
            representable(part, dtype).numpy().copy() for part in (weight.T, bias)
        )

    @own_arithmetic
    def _fields(self, x):
        check_is_fitted(self)
        checks.not_masked("X", x)
        x = checks.from_numpy(validate_data(self, x, dtype=_FLOATS, reset=False))
        if self.hidden:
            return self.network_.decision_function(self._scaled(x))
        weight, bias = self._layer(x.dtype)
        return x @ weight + bias


def positive_or_one(scale):
    """The scale, or 1 where a column is constant."""
    return torch.where(scale > 0, scale, 1)
