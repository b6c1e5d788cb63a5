"""The Gauss-Newton step of each layer, by its explicit Jacobian, to compare ER's step with."""

import torch

from .. import checks
from ..arithmetic import own_arithmetic
from ..checks import Array
from ..network import ERNetwork
from .gradient import Changes, checked, copied_parameters, finite, forward, least_squares


@own_arithmetic
def gauss_newton_changes(
    network: ERNetwork, x: Array, target: Array, *, ridge: float = 0.0
) -> Changes:
    r"""Return the Gauss-Newton step of each layer of `network`, the others standing still.

    With :math:`J_l` the Jacobian of all outputs with respect to weight and bias of layer l,

    .. math:: \Delta_l = (J_l' J_l + \lambda I)^{-1} J_l' \, \mathrm{vec}(T - A_L),
              \qquad \lambda = \mathrm{ridge} \cdot \mathrm{mean\,diag}(J_l' J_l),

    the change that, to first order, brings the outputs closest to the observed ones; the smallest
    of them where there are several. The Jacobian is formed as a dense matrix
    `[n d_out, parameters]`: for small networks.

    Parameters, returns and errors as in `erlib.theory.gradient.gradient_changes`.

    >>> import erlib
    >>> net = erlib.ERNetwork.dense([3, 2], dtype=torch.float64, output="identity")
    >>> draw = torch.randn(20, 5, generator=torch.Generator().manual_seed(0)).double()
    >>> x, t = draw.split([3, 2], 1)
    >>> [(newton, _)] = gauss_newton_changes(net, x, t)
    >>> bool(torch.allclose(newton, net.changes(x, t, ridge=0)[0][0]))       # both: least squares
    True
    """
    ridge = checks.not_negative("ridge", ridge)
    x, target = checked(network, x, target)
    parameters = copied_parameters(network, differentiated=False)
    residual = target - forward(network, parameters, x, "slope", "transpose")[1]
    changes = []
    for index, (weight, bias) in enumerate(parameters):

        def output(sample, *pair, index=index):
            pair = pair if len(pair) == 2 else (*pair, None)
            changed = [*parameters[:index], pair, *parameters[index + 1 :]]
            return forward(network, changed, sample[None], "slope", "transpose")[1][0]

        pair = (weight,) if bias is None else (weight, bias)
        by_sample = torch.func.jacrev(output, argnums=tuple(range(1, len(pair) + 1)))
        jacobian = torch.func.vmap(by_sample, in_dims=(0, *[None] * len(pair)))(x, *pair)
        rows = torch.cat([part.reshape(residual.numel(), -1) for part in jacobian], 1)
        damping = ridge * rows.square().sum() / rows.shape[1]
        if len(rows) < rows.shape[1] and damping > 0:  # J'(JJ' + lambda I)^-1 r, the smaller matrix
            gram = rows @ rows.T
            gram.diagonal().add_(damping)
            step = rows.T @ torch.linalg.solve(gram, residual.flatten())
        else:
            rows = torch.cat([rows, damping.sqrt() * torch.eye(rows.shape[1], dtype=rows.dtype)])
            wanted = torch.cat([residual.flatten(), rows.new_zeros(rows.shape[1])])
            step = least_squares(rows, wanted)
        change = step[: weight.numel()].reshape(weight.shape)
        changes.append((change, None if bias is None else step[weight.numel() :]))
    return finite(changes)
