r"""The first verb: multiply each field by the ratio of observed to predicted output."""

import torch

from . import checks
from .activations import Activation
from .activations import activation as activation_by_name
from .arithmetic import own_arithmetic
from .checks import Same


@own_arithmetic
def reflect(h: Same, target: Same, activation: str | Activation = "tanh") -> Same:
    r"""Return the reflected field: `h` times the ratio of observed to predicted output.

    Definition, elementwise, with predicted output :math:`A = f(H)` and observed output :math:`T`:

    .. math:: H^* = H \, T / A = g(H)\, T = H + g(H)\,(T - A), \qquad g(h) = h / f(h).

    The last form is the one computed: it has no division by zero (:math:`g(0) = 1/f'(0)`) and gives
    back H itself, to the last bit, where observed and predicted agree. Where f vanishes on an
    interval (ReLU's off side) the ratio is 0/0 and the field stays as it is.

    Parameters
    ----------
    h : array, any shape, floating
        Field H of each sample and unit (dimensionless).
    target : array of the same shape and type
        Observed output T, in the units of f.
    activation : str or Activation
        Name of f: ``tanh``, ``erf``, ``softsign``, ``identity``, ``relu`` or ``leaky_relu``.

    Returns
    -------
    array like ``h``
        H*.

    Raises
    ------
    ValueError
        If shapes or array types differ, an array is empty, not floating or holds NaN or Inf, or the
        activation is unknown.

    Notes
    -----
    Source: the multiplicative step of ER; Hoang, Song, Periwal and Jo, Phys. Rev. E 99, 023311
    (2019), for tanh. The form in T - A and the treatment of 0/0 are this companion's own.

    Examples
    --------
    >>> import numpy as np
    >>> h = np.array([0.5, -2.0, 0.0])
    >>> new = reflect(h, np.array([1.0, 1.0, 1.0]))
    >>> new > 0                                   # a misclassified field changes sign ...
    array([ True,  True,  True])
    >>> bool(abs(new[1]) == 2 / np.tanh(2))       # ... and keeps the size |h / tanh h|
    True
    """
    field, observed = checks.tensor("h", h), checks.tensor("target", target)
    checks.same_kind("target", target, "h", h)
    checks.same_shape("target", observed, "h", field)
    return checks.like(reflected(field, observed, activation_by_name(activation)), h)


def reflected(h: torch.Tensor, target: torch.Tensor, activation: Activation) -> torch.Tensor:
    """`reflect` for tensors already checked and an Activation."""
    output = activation.f(h)
    return h + activation.factor(h, output) * (target - output)
