"""`running_fit` against the same update written out with NumPy, and what follows from it."""

import itertools

import numpy as np
import pytest
import torch

from erlib import ERNetwork
from erlib.batches import minibatches
from erlib.running import running_fit


def data(n=60, d=5, classes=3, seed=0):
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=random, dtype=torch.float64) + 1
    return x, torch.randint(classes, (n,), generator=random)


def network(bias=True, sizes=(5, 12, 8, 3)):
    return ERNetwork.dense(list(sizes), hidden_bias=bias, dtype=torch.float64)


def reference(net, x, y, *, passes, batch_size, ridge, readout_ridge, memory, seed):
    """The update sample by sample where it matters, with none of erlib's verbs."""
    weights = [layer.weight.detach().numpy().copy() for layer in net.layers]
    biases = [
        np.zeros(w.shape[1]) if layer.bias is None else layer.bias.detach().numpy().copy()
        for w, layer in zip(weights, net.layers)
    ]
    has_bias = [layer.bias is not None for layer in net.layers]
    last = len(weights) - 1
    x, t = x.numpy(), 2.0 * np.eye(3)[y.numpy()] - 1
    seen = [[] for _ in weights]
    batches = minibatches(len(x), batch_size, passes, seed)
    for k, part in enumerate(part.numpy() for part in batches):
        inputs, fields = [x[part]], []
        for w, b in zip(weights, biases):
            fields.append(inputs[-1] @ w + b)
            inputs.append(np.maximum(fields[-1], 0))
        deltas = [fields[-1] * t[part] / np.tanh(fields[-1]) - fields[-1]]
        for index in range(last, 0, -1):
            below = deltas[0] @ np.linalg.pinv(weights[index])
            deltas.insert(0, below * (fields[index - 1] > 0))
        changes = []
        for index, delta in enumerate(deltas):
            a = inputs[index]
            # Weight of each batch so far in the running mean: the first ones count alike.
            seen[index].append(a)
            if index == 0:
                mean, square = x.mean(0), x.T @ x / len(x)
            else:
                mean, square = 0, 0
                for number, batch in enumerate(seen[index], 1):
                    new = max(1 - memory, 1 / number)
                    mean = (1 - new) * mean + new * batch.mean(0)
                    square = (1 - new) * square + new * batch.T @ batch / len(batch)
            gram = square - np.outer(mean, mean) * has_bias[index]
            penalty = readout_ridge if index == last else ridge
            gram = gram + penalty * gram.trace() / len(gram) * np.eye(len(gram))
            a0, d0 = a.mean(0) * has_bias[index], delta.mean(0) * has_bias[index]
            w = np.linalg.solve(gram, (a - a0).T @ (delta - d0) / len(a))
            changes.append((w, d0 - a0 @ w))
        for index, (w, b) in enumerate(changes):
            # The derivative of the output along this change, by a difference quotient.
            step = 1e-7
            a = inputs[index]
            for at in range(index, last + 1):
                h = a @ weights[at] + biases[at]
                if at == index:
                    h = h + step * (a @ w + b)
                a = np.where(fields[at] > 0, h, 0) if at < last else h
            caused = (a - fields[-1]) / step
            factor = (caused * deltas[-1]).sum() / (caused**2).sum()
            share = max(factor, 0) / len(weights) * (1 - k / len(batches))
            changes[index] = share * w, share * b
        for index, (w, b) in enumerate(changes):
            weights[index] += w
            biases[index] += b
    return weights, biases


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_updates_are_those_of_the_formula(bias, memory):
    x, y = data()
    settings = {"passes": 2, "batch_size": 20, "ridge": 2.0, "readout_ridge": 0.5, "seed": 3}
    net = network(bias)
    weights, biases = reference(net, x, y, memory=memory, **settings)
    running_fit(net, x, y, memory=memory, renew=1, first_update=False, **settings)
    for layer, weight, b in zip(net.layers, weights, biases):
        np.testing.assert_allclose(layer.weight.detach().numpy(), weight, rtol=1e-5, atol=1e-7)
        if layer.bias is not None:
            np.testing.assert_allclose(layer.bias.detach().numpy(), b, rtol=1e-5, atol=1e-7)


def test_the_first_update_is_that_of_the_hidden_layers_alone():
    x, y = data()
    net, other = network(), network()
    wanted = other.targets(x, y)
    other.sweep(x, [*wanted[:-1], None], ridge=1.5)
    for each, first in ((net, True), (other, False)):
        running_fit(each, x, y, batch_size=30, ridge=1.5, first_update=first)
    for one, two in zip(net.parameters(), other.parameters()):
        torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_the_scale_of_the_inverse_mapping_cancels():
    # One hidden layer with a readout whose columns are orthonormal: W^+ = W', and 2 W^+ = W' / 2
    # for a readout twice as large, so that transpose and pinv differ by a factor of 4.
    x, y = data(d=8)
    nets = []
    for inverse in ("pinv", "transpose"):
        net = network(sizes=(8, 12, 3))
        q, _ = torch.linalg.qr(torch.randn(12, 3, dtype=torch.float64, generator=_seeded(5)))
        net.layers[-1].assign(2 * q, torch.zeros(3, dtype=torch.float64))
        nets.append(
            running_fit(net, x, y, passes=1, batch_size=60, first_update=False, inverse=inverse)
        )
    for one, two in zip(*(net.parameters() for net in nets)):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-11)


def test_a_single_layer_takes_the_whole_regression_on_a_full_batch():
    # L = 1 and one batch: the regressed factor of a least-squares solution is 1.
    x, y = data()
    net, other = network(sizes=(5, 3)), network(sizes=(5, 3))
    running_fit(net, x, y, passes=1, batch_size=60, readout_ridge=1e-12)
    other.one_update(x, y, readout_ridge=0)
    torch.testing.assert_close(net(x), other(x), rtol=1e-8, atol=1e-8)


def test_a_fixed_share_without_decline_is_plain_fit_on_one_full_batch():
    x, y = data()
    net, other = network(), network()
    settings = {"passes": 1, "batch_size": 60, "ridge": 0.7}
    running_fit(net, x, y, first_update=False, share=0.4, readout_ridge=0.7, **settings)
    other.fit(x, y, share=0.4, **settings)
    for one, two in zip(net.parameters(), other.parameters()):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-11)


def test_shares_decline_linearly():
    x, y = data()
    moves = {}
    for decline in (True, False):
        net = network(sizes=(5, 3))
        states = [net.layers[0].weight.detach().clone()]

        def watch(_, net=net, states=states):
            states.append(net.layers[0].weight.detach().clone())

        settings = {"passes": 3, "batch_size": 60, "share": 0.1, "watch": watch}
        running_fit(net, x, y, decline=decline, **settings)
        moves[decline] = [(b - a).norm().item() for a, b in itertools.pairwise(states)]
    assert moves[True][0] == pytest.approx(moves[False][0])
    assert moves[True][1] == pytest.approx(2 / 3 * moves[False][1])
    assert moves[True][2] < 0.5 * moves[False][2]


def test_watch_sees_every_update_and_seeds_repeat():
    x, y = data()
    seen, nets = [], [network(), network()]
    for net in nets:
        running_fit(net, x, y, passes=2, batch_size=20, watch=seen.append)
    assert seen == 2 * [1, 2, 3, 4, 5, 6]
    assert torch.equal(nets[0](x), nets[1](x))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"ridge": 0}, "ridge"),
        ({"readout_ridge": -1}, "readout_ridge"),
        ({"memory": 1.0}, "memory"),
        ({"renew": 0}, "renew"),
        ({"share": -0.1}, "share"),
        ({"passes": 0}, "passes"),
        ({"inverse": "damped"}, "damping"),
        ({"x": torch.zeros(60, 4)}, "x"),
        ({"y": torch.arange(60)}, "y"),
    ],
)
def test_bad_input_is_named_before_anything_changes(wrong, named):
    x, y = data()
    net = network()
    before = [weight.detach().clone() for weight in net.parameters()]
    with pytest.raises(ValueError, match=f"^{named}"):
        running_fit(net, **{"x": x, "y": y, **wrong})
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters()))


def _seeded(seed):
    return torch.Generator().manual_seed(seed)
