"""`sequential_fit` against the same update written out with NumPy, and what follows from it."""

import itertools

import numpy as np
import pytest
import torch

from erlib import ERNetwork, reflect, regress
from erlib.batches import minibatches
from erlib.sequential import Variant, sequential_fit, variant_fit


def data(n=60, d=5, classes=3, seed=0):
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=random, dtype=torch.float64) + 1
    return x, torch.randint(classes, (n,), generator=random)


def network(bias=True, sizes=(5, 12, 8, 3), activation="relu"):
    return ERNetwork.dense(
        list(sizes), hidden_bias=bias, activation=activation, dtype=torch.float64
    )


UNITS = {  # output, slope, ratio field / output
    "relu": (lambda h: np.maximum(h, 0), lambda h: 1.0 * (h > 0), lambda h: 1.0 * (h > 0)),
    "tanh": (np.tanh, lambda h: 1 - np.tanh(h) ** 2, lambda h: h / np.tanh(h)),
}


def coded(y):
    """Observed outputs +0.8 for the class and -0.8 for the others."""
    return 0.8 * (2.0 * torch.eye(3, dtype=torch.float64)[y] - 1)


def reference(net, x, y, *, passes, batch_size, ridge, seed, activation):
    """The update with none of erlib's verbs."""
    f, slope, ratio = UNITS[activation]
    weights = [layer.weight.detach().numpy().copy() for layer in net.layers]
    has_bias = [layer.bias is not None for layer in net.layers]
    biases = [
        layer.bias.detach().numpy().copy() if has else np.zeros(len(w.T))
        for w, layer, has in zip(weights, net.layers, has_bias)
    ]
    last = len(weights) - 1
    x, t = x.numpy(), coded(y).numpy()
    batches = minibatches(len(x), batch_size, passes, seed)
    for k, part in enumerate(part.numpy() for part in batches):
        inputs, fields = [x[part]], []
        for w, b in zip(weights, biases):
            fields.append(inputs[-1] @ w + b)
            inputs.append(f(fields[-1]))
        left = fields[-1] * t[part] / np.tanh(fields[-1]) - fields[-1]
        for index in range(last, -1, -1):
            asked = left
            for above in range(last, index, -1):
                asked = (asked @ np.linalg.pinv(weights[above])) * ratio(fields[above - 1])
            a = inputs[index]
            a0, d0 = a.mean(0) * has_bias[index], asked.mean(0) * has_bias[index]
            gram = (a - a0).T @ (a - a0)
            gram += ridge * gram.trace() / len(gram) * np.eye(len(gram))
            w = np.linalg.solve(gram, (a - a0).T @ (asked - d0))
            b = d0 - a0 @ w
            caused = a @ w + b
            for above in range(index, last):
                caused = (slope(fields[above]) * caused) @ weights[above + 1]
            move = 1 - k / len(batches)
            if index < last:
                move *= max(0, (caused * left).sum() / (caused**2).sum())
            weights[index] = weights[index] + move * w
            biases[index] = biases[index] + move * b
            left = left - move * caused
    return weights, biases


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("batch_size", [4, 20])
@pytest.mark.parametrize("activation", UNITS)
def test_updates_are_those_of_the_formula(bias, batch_size, activation):
    x, y = data()
    chosen = {"passes": 2, "batch_size": batch_size, "ridge": 2.0, "seed": 3}
    net = network(bias, activation=activation)
    weights, biases = reference(net, x, y, activation=activation, **chosen)
    sequential_fit(net, x, y, first_update=False, **chosen)
    for layer, weight, b in zip(net.layers, weights, biases):
        np.testing.assert_allclose(layer.weight.detach().numpy(), weight, rtol=1e-7, atol=1e-9)
        if layer.bias is not None:
            np.testing.assert_allclose(layer.bias.detach().numpy(), b, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("samples", [True, 40])
def test_the_first_update_is_that_of_the_hidden_layers_alone(samples):
    x, y = data()
    net, other = network(), network()
    some = x if samples is True else x[:samples]
    wanted = other.targets(some, coded(y)[: len(some)])
    other.sweep(some, [*wanted[:-1], None], ridge=1.5)
    for each, first in ((net, samples), (other, False)):
        sequential_fit(each, x, y, batch_size=30, first_ridge=1.5, first_update=first)
    for one, two in zip(net.parameters(), other.parameters()):
        torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_the_scale_of_the_inverse_mapping_cancels(monkeypatch):
    x, y = data()
    chosen = {"passes": 2, "batch_size": 20, "first_update": False}
    plain = sequential_fit(network(), x, y, **chosen)
    handed_down = type(plain.layers[0]).to_below
    monkeypatch.setattr(
        type(plain.layers[0]),
        "to_below",
        lambda layer, **mapping: lambda delta, near: 7 * handed_down(layer, **mapping)(delta, near),
    )
    scaled = sequential_fit(network(), x, y, **chosen)
    for one, two in zip(plain.parameters(), scaled.parameters()):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-11)


def test_a_linear_layer_is_solved_by_one_full_batch():
    # S1: from any start the least-squares solution.
    random = torch.Generator().manual_seed(0)
    x = torch.randn(40, 5, generator=random, dtype=torch.float64)
    t = torch.randn(40, 2, generator=random, dtype=torch.float64)
    net = ERNetwork([torch.nn.Linear(5, 2, dtype=torch.float64)], output="identity")
    sequential_fit(net, x, t, passes=1, batch_size=40, ridge=1e-12)
    weight, bias = regress(x, t)
    torch.testing.assert_close(net.layers[0].weight.detach(), weight, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(net.layers[0].bias.detach(), bias, rtol=1e-8, atol=1e-9)


def test_a_batch_is_corrected_layer_by_layer():
    """To first order each layer reduces what the layers above have left."""
    x, y = data(n=30, d=40)
    errors = []
    for moved in range(3):  # how many hidden layers may move, after the readout
        net = network(sizes=(40, 12, 8, 3))
        before = [layer.weight.detach().clone() for layer in net.layers]
        sequential_fit(net, x, y, passes=1, batch_size=30, first_update=False)
        for index in range(2 - moved):
            net.layers[index].assign(before[index], net.layers[index].bias.detach() * 0)
        h = net(x).detach()
        observed = torch.full_like(h, -1).scatter_(1, y[:, None], 1.0)
        errors.append((torch.tanh(h) - observed).square().mean().item())
    assert errors[0] > errors[1] > errors[2]


def test_moves_decline_linearly():
    x, y = data()
    moves = {}
    for decline in (True, False):
        net = network(sizes=(5, 3))
        states = [net.layers[0].weight.detach().clone()]

        def watch(_, net=net, states=states):
            states.append(net.layers[0].weight.detach().clone())

        # Small moves, all from nearly the same place.
        chosen = {"passes": 3, "batch_size": 60, "ridge": 1e4, "watch": watch}
        sequential_fit(net, x, y, decline=decline, **chosen)
        moves[decline] = [(b - a).norm().item() for a, b in itertools.pairwise(states)]
    assert moves[True][0] == pytest.approx(moves[False][0])
    assert moves[True][1] == pytest.approx(2 / 3 * moves[False][1], rel=0.01)
    assert moves[True][2] == pytest.approx(1 / 3 * moves[False][2], rel=0.01)


def test_a_share_is_that_part_of_each_move():
    x, y = data()
    moves = []
    for share in (1.0, 0.25):
        net = network(sizes=(5, 3))
        before = net.layers[0].weight.detach().clone()
        sequential_fit(net, x, y, passes=1, batch_size=60, share=share)
        moves.append(net.layers[0].weight.detach() - before)
    torch.testing.assert_close(moves[1], 0.25 * moves[0])


def test_what_is_wanted_and_the_regression_can_be_replaced():
    x, y = data()
    called = []

    def ratio(fields, observed):
        return reflect(fields, observed) - fields

    def regression(inputs, h, ridge, *, fit_intercept):
        called.append(len(inputs))
        weight, bias = regress(inputs, h, ridge=ridge, fit_intercept=fit_intercept)
        return weight, bias, inputs @ weight + (0 if bias is None else bias)

    nets = [network() for _ in range(3)]
    sequential_fit(nets[0], x, y, batch_size=20, passes=2)
    for net, variant in zip(nets[1:], (Variant(ratio, regression), Variant(lambda h, t: t - h))):
        variant_fit(net, x, y, variant, batch_size=20, passes=2)
    torch.testing.assert_close(nets[0](x), nets[1](x))
    assert not torch.allclose(nets[0](x), nets[2](x), rtol=1e-3)
    assert called == [20] * 3 * 6  # three layers, six batches


def test_given_outputs_are_taken_as_they_are():
    x, y = data()
    nets = [network(), network(), network()]
    for net, given_y, code in zip(nets, (y, coded(y), y), (0.8, 0.3, 0.3)):
        sequential_fit(net, x, given_y, batch_size=20, code=code)
    first, same, other = (net(x).detach() for net in nets)
    assert torch.equal(first, same) and not torch.allclose(first, other, rtol=1e-2)


def test_a_factor_of_zero_keeps_the_hidden_layers():
    x, y = data()
    net = network()
    before = [layer.weight.detach().clone() for layer in net.layers]
    variant_fit(net, x, y, Variant(factor=0.0), batch_size=20, first_update=False)
    kept = [torch.equal(a, layer.weight) for a, layer in zip(before, net.layers)]
    assert kept == [True, True, False]


def test_watch_sees_every_update_and_seeds_repeat():
    x, y = data()
    seen, nets = [], [network(), network()]
    for net in nets:
        sequential_fit(net, x, y, passes=2, batch_size=20, watch=seen.append)
    assert seen == 2 * [1, 2, 3, 4, 5, 6]
    assert torch.equal(nets[0](x), nets[1](x))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"ridge": 0}, "ridge"),
        ({"first_ridge": -1}, "first_ridge"),
        ({"variant": Variant(factor=-0.1)}, "factor"),
        ({"share": 0}, "share"),
        ({"first_update": 0}, "first_update"),
        ({"code": 0}, "code"),
        ({"code": 1.1}, "code"),
        ({"passes": 0}, "passes"),
        ({"batch_size": 0}, "batch_size"),
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
        variant_fit(net, **{"x": x, "y": y, "variant": Variant(), **wrong})
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters()))
