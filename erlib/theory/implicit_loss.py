r"""The loss that Expectation Reflection never names, recovered from its step."""

import numpy as np
import torch

from .. import checks
from ..activations import Activation
from ..activations import activation as activation_by_name
from ..arithmetic import own_arithmetic
from ..checks import Same
from ..reflect import reflected

# Gauss-Legendre nodes and weights on [0, 1]. The error falls with the distance of the poles of g,
# +-i pi for tanh, about 1.4 +- 1.9i for erf, relative to h.
_NODES = [(float((1 + u) / 2), float(w / 2)) for u, w in zip(*np.polynomial.legendre.leggauss(64))]


@own_arithmetic
def implicit_loss(h: Same, target: Same, activation: str | Activation = "tanh") -> Same:
    r"""Return the loss of each sample and unit whose downhill force is ER's step.

    Reflection moves a field from h to h*. The loss is the work against that move,

    .. math:: \mathcal L(h; t) = -\int_0^h (u^* - u) \, du
              = \int_0^h g(u)\,\bigl(f(u) - t\bigr)\, du
              = \frac{h^2}{2} - t\,\Phi(h), \qquad \Phi(h) = \int_0^h \frac{u}{f(u)}\, du,

    so that :math:`\mathcal L' = h - h^*` (the last form where f(u) is not 0 on an interval). For
    tanh and :math:`|t| \le 1` its curvature :math:`\mathcal L'' = 1 - t\,g'(h)` stays between 0 and
    2: the loss is convex, and the ER update of a layer, a unit step in the metric of its inputs,
    cannot raise its sum over samples (statement S3, notebook 01).

    Parameters
    ----------
    h : array, any shape, floating
        Field of each sample and unit (dimensionless).
    target : array of the same shape and type
        Observed output T, in the units of f.
    activation : str or Activation

    Returns
    -------
    array like ``h``
        The loss, 0 at h = 0. By quadrature, to about 12 digits for abs(h) < 30.

    Raises
    ------
    ValueError
        As `erlib.reflect`.

    Notes
    -----
    Source: this companion's own.

    Examples
    --------
    >>> import numpy as np
    >>> h, t, step = np.array([0.7]), np.array([-1.0]), 1e-5
    >>> slope = (implicit_loss(h + step, t) - implicit_loss(h - step, t)) / (2 * step)
    >>> bool(np.allclose(slope, h - t * h / np.tanh(h)))
    True
    """
    field, observed = checks.tensor("h", h), checks.tensor("target", target)
    checks.same_kind("target", target, "h", h)
    checks.same_shape("target", observed, "h", field)
    unit = activation_by_name(activation)
    work = torch.zeros_like(field)
    for node, weight in _NODES:
        at = node * field
        work += weight * (reflected(at, observed, unit) - at)
    return checks.like(-field * work, h)
