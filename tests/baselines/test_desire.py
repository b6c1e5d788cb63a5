"""`desire` against loops over samples, time steps and single weights, and what it implies."""

import pytest
import torch

import erlib
from erlib import ERNetwork
from erlib.baselines import train
from erlib.baselines.desire import desire


def network(seed=0):
    how = {"readout_scale": 2**0.5, "dtype": torch.float64, "seed": seed}
    return ERNetwork.dense([7, 8, 6, 3], **how)


def problem(n=9):
    random = torch.Generator().manual_seed(2)
    x = torch.rand(n, 7, generator=random, dtype=torch.float64)
    return x, torch.arange(n) % 3


def slow_spikes(weights, image, steps, threshold, decay):
    """Spikes of one sample, as lists [layer][t][unit], by the definition."""
    potentials = [[0.0] * len(image)] + [[0.0] * len(w[0]) for w in weights]
    spikes = [[] for _ in potentials]
    for _ in range(steps):
        below = None
        for layer, potential in enumerate(potentials):
            now = []
            for j in range(len(potential)):
                if layer == 0:
                    potential[j] += image[j]
                else:
                    potential[j] += sum(s * weights[layer - 1][i][j] for i, s in enumerate(below))
                fires = potential[j] >= threshold
                now.append(int(fires))
                if fires:
                    potential[j] -= threshold
                elif layer > 0:
                    potential[j] *= decay
            spikes[layer].append(now)
            below = now
    return spikes


def slow_changes(weights, spikes, label, settings):
    """Changes of the weights [layer][i][j] that one sample asks for, without the rate."""
    steps = len(spikes[0])
    rates = [[sum(s[j] for s in layer) / steps for j in range(len(layer[0]))] for layer in spikes]
    error = [abs((k == label) - r) for k, r in enumerate(rates[-1])]
    wish = [(1 if k == label else -1) * (e > settings["output_error"]) for k, e in enumerate(error)]
    changes = [[[0.0] * len(row) for row in w] for w in weights]
    for layer in reversed(range(len(weights))):
        for i in range(len(weights[layer])):
            trace = 0.0
            for t in range(steps):
                trace = settings["decay"] * trace + spikes[layer][t][i]
                for j in range(len(wish)):
                    changes[layer][i][j] += trace * spikes[layer + 1][t][j] * wish[j] / steps
        q = [sum(w * e * d for w, e, d in zip(row, error, wish)) for row in weights[layer]]
        wish = [(1 if v > 0 else -1) * (abs(v) >= settings["hidden_desire"]) for v in q]
        error = [abs((v > 0) - rates[layer][i]) for i, v in enumerate(q)]
    return changes


@pytest.mark.parametrize(
    "settings",
    [
        {"threshold": 1.0, "decay": 0.5, "output_error": 0.3, "hidden_desire": 0.05},
        {"threshold": 0.7, "decay": 0.9, "output_error": 0.1, "hidden_desire": 0.3},
    ],
)
def test_it_is_the_loop_over_samples_and_time_steps(settings):
    x, labels = problem()
    net = network()
    weights = [layer.weight.detach().tolist() for layer in net.layers]
    expected = [torch.tensor(w, dtype=torch.float64) for w in weights]
    rates = []
    for image, label in zip(x.tolist(), labels.tolist()):
        spikes = slow_spikes(weights, image, 12, settings["threshold"], settings["decay"])
        rates.append([sum(s[k] for s in spikes[-1]) / 12 for k in range(3)])
        for total, change in zip(expected, slow_changes(weights, spikes, label, settings)):
            total += 0.01 * torch.tensor(change, dtype=torch.float64)
    step = desire(net, rate=0.01, time_steps=12, **settings)
    torch.testing.assert_close(step.rates(x), torch.tensor(rates, dtype=torch.float64))
    step(x, labels)
    for layer, total, before in zip(net.layers, expected, weights):
        torch.testing.assert_close(layer.weight.detach(), total, rtol=1e-12, atol=1e-14)
        assert (layer.weight - torch.tensor(before, dtype=torch.float64)).abs().max() > 1e-4


def test_a_batch_adds_up_what_its_samples_ask_for():
    x, labels = problem()
    whole, start = network(), network()
    desire(whole, rate=0.02)(x, labels)
    total = [torch.zeros_like(layer.weight) for layer in start.layers]
    for image, label in zip(x, labels):
        one = network()
        desire(one, rate=0.02)(image[None], label[None])
        for sum_, layer, before in zip(total, one.layers, start.layers):
            sum_ += (layer.weight - before.weight).detach()
    for sum_, layer, before in zip(total, whole.layers, start.layers):
        torch.testing.assert_close((layer.weight - before.weight).detach(), sum_)


def test_a_unit_that_never_spikes_never_learns():
    x, labels = problem()
    net = network()
    with torch.no_grad():
        net.layers[1].linear.weight[2] = -1.0  # hidden unit 2 of the second layer is silent
    before = [layer.weight.detach().clone() for layer in net.layers]
    step = desire(net, rate=0.01)
    for _ in range(5):
        step(x, labels)
    assert torch.equal(net.layers[1].weight[:, 2], before[1][:, 2])
    assert torch.equal(net.layers[2].weight[2], before[2][2])
    assert not torch.equal(net.layers[1].weight, before[1])


def test_who_is_near_enough_desires_nothing():
    x, labels = problem()
    net = network()
    before = [layer.weight.detach().clone() for layer in net.layers]
    desire(net, rate=0.01, output_error=1.0)(x, labels)
    assert all(torch.equal(layer.weight, old) for layer, old in zip(net.layers, before))


def test_a_tie_is_a_mistake():
    x, labels = problem()
    net = network()
    with torch.no_grad():
        net.layers[-1].linear.weight.zero_()
    step = desire(net)
    assert step.rates(x).max() == 0 and step.score(x, labels) == 0


def test_pixels_spike_at_the_rate_of_their_value_and_the_rate_of_the_step_declines():
    values = torch.tensor([[0.0, 0.25, 0.5, 1.0]], dtype=torch.float64)
    net = ERNetwork.dense([4, 4], dtype=torch.float64)
    with torch.no_grad():
        net.layers[0].linear.weight.copy_(torch.eye(4))
    step = desire(net, time_steps=20, rate=0.5, updates=1)
    assert step.rates(values).tolist() == [[0.0, 0.25, 0.5, 1.0]]
    step(values, torch.tensor([0]))
    moved = net.layers[0].weight.detach().clone()
    step(values, torch.tensor([0]))
    assert torch.equal(net.layers[0].weight, moved) and not torch.equal(
        moved, torch.eye(4).double()
    )


@pytest.mark.slow
def test_hidden_layers_learn_what_the_readout_alone_cannot_make_up_for():
    data, scores = erlib.load("digits"), []
    for hidden_desire in (0.05, 1e9):  # as published, and with hidden units that desire nothing
        net = ERNetwork.dense([64, 100, 50, 10], readout_scale=2**0.5)
        step = desire(net, rate=0.01, hidden_desire=hidden_desire, updates=180)
        assert step.score(data.x_test, data.y_test) < 0.3
        train(net, data.x_train, data.y_train, step, passes=2, batch_size=16)
        scores.append(step.score(data.x_test, data.y_test))
    assert scores[0] > scores[1] + 0.3


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"rate": 0}, "rate"),
        ({"time_steps": 0}, "time_steps"),
        ({"threshold": 0}, "threshold"),
        ({"decay": 1.5}, "decay"),
        ({"output_error": -1}, "output_error"),
        ({"hidden_desire": -1}, "hidden_desire"),
        ({"updates": 0}, "updates"),
    ],
)
def test_bad_settings_are_named(wrong, named):
    with pytest.raises(ValueError, match=f"^{named}"):
        desire(network(), **wrong)


def test_networks_and_pixels_that_do_not_fit_are_refused():
    x, labels = problem()
    net = network()
    with pytest.raises(ValueError, match=r"^x: values from -?\d"):
        desire(net)(2 * x, labels)
    with torch.no_grad():
        net.layers[-1].linear.bias += 1
    with pytest.raises(ValueError, match=r"^network: layer 3 has a bias"):
        desire(net)
