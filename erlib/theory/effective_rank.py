"""How many directions the outputs of a layer use."""

import torch

from .. import checks
from ..arithmetic import own_arithmetic
from ..checks import Array


@own_arithmetic
def effective_rank(outputs: Array, delta: float = 0.01) -> int:
    r"""Return the effective rank of `outputs` `[n, d]`: directions that hold 1 - delta of them.

    .. math:: \mathrm{srank}_\delta = \min \Big\{ k : \frac{\sum_{i \le k} s_i}{\sum_i s_i}
              \ge 1 - \delta \Big\}

    with the singular values :math:`s_1 \ge s_2 \ge \dots` of the outputs, one sample a row (the
    fields of a convolution count one row a pixel: flatten them first). 0 if all outputs are 0.

    Raises ValueError if outputs have the wrong shape, are not floating or hold NaN or Inf, or delta
    is not between 0 and 1.

    Source: A. Kumar, R. Agarwal, D. Ghosh and S. Levine, Implicit under-parameterization inhibits
    data-efficient deep reinforcement learning, ICLR 2021: regressing again and again on targets
    that come from the network itself lowers it. ER is such an iteration.

    >>> effective_rank(torch.eye(10)), effective_rank(torch.ones(10, 10))
    (10, 1)
    """
    outputs = checks.tensor("outputs", outputs, ndim=2)
    if not 0 < checks.not_negative("delta", delta) < 1:
        raise ValueError(f"delta: expected a number between 0 and 1, found {delta!r}")
    values = torch.linalg.svdvals(outputs.double())
    total = values.sum()
    if total == 0:
        return 0
    # The last partial sum may fall short of the total by rounding.
    enough = values.cumsum(0) >= (1 - delta) * total
    return int(enough.int().argmax()) + 1
