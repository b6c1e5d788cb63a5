"""`backprop` against a plain torch.nn.Sequential with its own copy of the weights."""

import itertools

import pytest
import torch
from torch import nn

from erlib import ERNetwork
from erlib.baselines import backprop

OPTIMIZERS = {
    "sgd": lambda weights: torch.optim.SGD(weights, 0.05, momentum=0.9, nesterov=True),
    "adam": lambda weights: torch.optim.Adam(weights, 0.05),
}


def problem(seed=0, n=40):
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 6, generator=random, dtype=torch.float64)
    return x, torch.randint(3, (n,), generator=random)


def network():
    return ERNetwork.dense([6, 8, 3], hidden_bias=True, dtype=torch.float64)


def as_sequential(net):
    first, last = (layer.linear for layer in net.layers)
    copy = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    copy[0].load_state_dict(first.state_dict())
    copy[2].load_state_dict(last.state_dict())
    return copy


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_those_of_a_plain_torch_network(name):
    x, labels = problem()
    net = network()
    plain = as_sequential(net)
    optimiser = OPTIMIZERS[name](plain.parameters())
    step = backprop(net, optimizer=name, rate=0.05)
    for _ in range(3):
        step(x, labels)
        optimiser.zero_grad()
        nn.CrossEntropyLoss()(plain(x), labels).backward()
        optimiser.step()
    torch.testing.assert_close(net(x), plain(x), rtol=1e-12, atol=1e-12)


def test_lbfgs_goes_down_at_every_step():
    x, labels = problem()
    net = network()
    step = backprop(net, optimizer="lbfgs", rate=1.0)
    losses = []
    for _ in range(20):
        losses.append(nn.functional.cross_entropy(net(x), labels).item())
        step(x, labels)
    assert all(later < earlier for earlier, later in itertools.pairwise(losses))
    assert losses[-1] < 0.2 * losses[0]


def test_the_rate_declines_to_nothing():
    x, labels = problem()
    net = network()
    step = backprop(net, optimizer="sgd", rate=0.1, updates=4)
    sizes = []
    for _ in range(6):
        before = net(x).detach()
        step(x, labels)
        sizes.append((net(x) - before).norm().item())
    assert sizes[3] < sizes[0] and sizes[4] == sizes[5] == 0
    assert step.evaluations == 6


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"optimizer": "adm"}, "optimizer"), ({"rate": 0}, "rate"), ({"rate": float("nan")}, "rate")],
)
def test_bad_settings_are_named(wrong, named):
    with pytest.raises(ValueError, match=f"^{named}"):
        backprop(network(), **wrong)
