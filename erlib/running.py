r"""Running ER: mini-batch ER with memory and no step length, a named variant of `ERNetwork.fit`.

Plain mini-batch ER regresses every batch by itself. A batch of 500 says little about the Gram
matrix of 784 inputs, so the regression amplifies its noise; the share of each layer is chosen; and
the training data are soon learned by heart. What is different here:

1. *It starts smooth.* The hidden layers are first updated once with all the data, as in
   `ERNetwork.one_update`: the penalty of that regression removes from random weights the directions
   in which the data hardly vary. The readout stays random.
2. *The Gram matrix remembers.* That of the inputs is a constant of the data and taken once, from
   all of them; that of a hidden layer is a running mean over batches, and its factor is renewed
   only now and then, which is most of the cost of an update.
3. *The share is regressed too.* A layer's regression produces only a part of what it was asked for.
   The factor by which its change, alone, would best produce the wanted output fields of the batch
   is one more least-squares problem, with one unknown; 1 / L of it is the layer's share. So the
   scale of the inverse mapping cancels, and nothing can overshoot on its batch.
4. *Shares fall to 0*, linearly over the passes, so that the last batches are averaged.
5. The penalty is large in hidden layers and small in the readout.

All of this is this companion's own.
"""

import torch

from . import checks
from .batches import minibatches
from .progress import progress
from .regress import CHUNK


@torch.no_grad()
def running_fit(
    network,
    x,
    y,
    *,
    passes=6,
    batch_size=500,
    ridge=3.0,
    readout_ridge=0.1,
    inverse="pinv",
    damping=0.0,
    steps=None,
    memory=0.95,
    renew=10,
    first_update=True,
    share=None,
    decline=True,
    seed=0,
    watch=None,
):
    r"""Train `network` by running ER; returns it.

    For update k = 0, 1, ... of K, with the Gram matrix :math:`\bar C_l` of all inputs (first layer)
    or of the batches so far (others; each counts `memory` times the next one) per sample, and with
    the batch means subtracted where there is a bias,

    .. math::
        R_l &= (\bar C_l + \lambda_l I)^{-1} \, \tfrac1n A_{l-1}' (H_l^* - H_l), \\
        s_l &= \tfrac1L \arg\min_s \lVert s \, \mathrm{d}H_L[R_l] - (H_L^* - H_L) \rVert^2, \\
        \Delta W_l &= (1 - k/K) \, s_l R_l,

    where :math:`\mathrm{d}H_L[R_l]` is the change of the output fields that :math:`R_l` causes, to
    first order; a negative share counts as 0.

    Parameters
    ----------
    network : ERNetwork
    ridge, readout_ridge : float > 0
        Relative penalty of the hidden layers, also in the first update, and of the readout.
    memory : float, 0 <= memory < 1
    renew : int >= 1
        Updates between two factorisations of a running Gram matrix (the first ones are renewed at
        once).
    first_update : bool
        Whether to begin with one update of the hidden layers from all the data.
    share : float >= 0, optional
        A fixed share of every layer, in place of the regressed ones.
    decline : bool
        Whether shares decline over the passes.

    Other parameters and errors as in `ERNetwork.fit`.

    >>> import erlib
    >>> data = erlib.load("digits")
    >>> net = erlib.ERNetwork.dense([64, 100, 10], hidden_bias=True)
    >>> running_fit(net, data.x_train, data.y_train, batch_size=100).score(
    ...     data.x_test, data.y_test
    ... ) > 0.95
    True
    """
    x, observed, mapping = network.problem(x, y, inverse, damping, steps)
    ridges = [checks.positive("ridge", ridge)] * (len(network.layers) - 1)
    ridges.append(checks.positive("readout_ridge", readout_ridge))
    checks.positive_integer("renew", renew)
    if share is not None:
        checks.not_negative("share", share)
    if not checks.not_negative("memory", memory) < 1:
        raise ValueError(f"memory: expected a number from 0 to below 1, found {memory!r}")
    batches = minibatches(len(x), batch_size, passes, seed)
    if first_update:
        wanted = network.targets(x, y, inverse=inverse, damping=damping, steps=steps)
        network.sweep(x, [*wanted[:-1], None], ridge=ridge)
    grams = [_RunningGram(layer, memory, renew) for layer in network.layers]
    grams[0].keep(x)
    for update, part in enumerate(progress(batches, f"running ER, {passes} passes")):
        inputs, fields = network.trace(x[part])
        wanted = network.top_down(fields, observed[part], network.inverse_maps(**mapping))
        changes = [
            gram.regress(below, h_star - h, penalty)
            for gram, below, h, h_star, penalty in zip(grams, inputs, fields, wanted, ridges)
        ]
        asked = wanted[-1] - fields[-1]
        shares = [share] * len(changes)
        if share is None:
            shares = _regressed_shares(network.layers, inputs, fields, changes, asked)
        left = 1 - update / len(batches) if decline else 1.0
        for layer, change, part_of_it in zip(network.layers, changes, shares):
            layer.assign(*change, share=left * part_of_it)
        if watch:
            watch(update + 1)
    return network


def _regressed_shares(layers, inputs, fields, changes, asked):
    """For each layer 1 / L of the factor by which its change, alone, best does what is asked.

    The change of the output fields that it would cause, to first order, is regressed on `asked`.
    """
    shares = []
    for index, (weight, bias) in enumerate(changes):
        caused = inputs[index] @ weight
        if bias is not None:
            caused += bias
        for layer, field, above in zip(layers[index:], fields[index:], layers[index + 1 :]):
            caused = (layer.activation.slope(field) * caused) @ above.weight
        size = float(caused.square().sum())
        factor = float((caused * asked).sum()) / size if size else 0.0
        shares.append(max(factor, 0.0) / len(layers))
    return shares


class _RunningGram:
    """Mean and Gram matrix per sample of a layer's inputs, and the regression on them."""

    def __init__(self, layer, memory, renew):
        self.centred = layer.bias is not None
        self.memory, self.renew = memory, renew
        self.batches, self.kept, self.factor = 0, False, None

    def keep(self, x):
        """Take the Gram matrix of all of `x`, for good."""
        self.mean = x.mean(0, dtype=torch.float64)
        self.square = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64, device=x.device)
        for start in range(0, len(x), CHUNK):
            part = x[start : start + CHUNK]
            self.square += part.T @ part
        self.square /= len(x)
        self.kept = True

    def regress(self, x, delta, ridge):
        """Changes of weights and bias (None without one) that this batch asks for."""
        if not self.kept:
            self._remember(x)
        if self.factor is None or not (self.kept or self._is_fresh()):
            gram = self.square.clone()
            if self.centred:
                gram -= torch.outer(self.mean, self.mean)
            gram.diagonal().add_(ridge * gram.diagonal().mean())
            # Positive, and well conditioned, by its penalty: solves in the dtype of x are exact
            # enough, and twice as fast in float32.
            self.factor = torch.linalg.cholesky(gram).to(x.dtype)
        x_mean, delta_mean = x.mean(0), delta.mean(0)
        if self.centred:
            cross = (x - x_mean).T @ (delta - delta_mean)
        else:
            cross = x.T @ delta
        weight = torch.cholesky_solve(cross / len(x), self.factor)
        return weight, (delta_mean - x_mean @ weight if self.centred else None)

    def _remember(self, x):
        """A running mean; the first batches count alike, so that none of them weighs too much."""
        mean, square = x.mean(0).double(), (x.T @ x).double() / len(x)
        self.batches += 1
        if self.batches == 1:
            self.mean, self.square = mean, square
        else:
            new = max(1 - self.memory, 1 / self.batches)
            self.mean.lerp_(mean, new)
            self.square.lerp_(square, new)

    def _is_fresh(self):
        return self.batches > self.renew and self.batches % self.renew
