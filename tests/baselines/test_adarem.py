"""`AdaRem` against a loop over single numbers, against plain descent, and through a file."""

import io
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from erlib import ERNetwork
from erlib.baselines.adarem import AdaRem, adarem


def problem(n=40):
    random = torch.Generator().manual_seed(2)
    x = torch.randn(n, 5, generator=random, dtype=torch.float64)
    return x, torch.randint(3, (n,), generator=random)


def network():
    return ERNetwork.dense([5, 7, 3], hidden_bias=True, dtype=torch.float64)


def slow(weights, gradients, lr, beta, fading, decay):
    """All values of a list of numbers whose gradients are given, by the definition."""
    mean, values = [0.0] * len(weights), list(weights)
    for done, gradient in enumerate(gradients):
        largest = max(abs(m) for m in mean)
        for i, g in enumerate(gradient):
            sign = 0.0 if g == 0 else math.copysign(1.0, g)
            b = sign * mean[i] / (largest + 1e-8)
            values[i] -= lr * ((1 + fading**done * b) * g + decay * values[i])
        mean = [beta * m + (1 - beta) * g for m, g in zip(mean, gradient)]
    return values


def test_it_is_the_loop_over_numbers_with_settings_of_each_group():
    random = torch.Generator().manual_seed(3)
    start = torch.randn(2, 6, generator=random, dtype=torch.float64)
    gradients = torch.randn(15, 2, 6, generator=random, dtype=torch.float64)
    gradients[4, 1, 2] = 0
    first, second = (row.clone().reshape(2, 3).requires_grad_() for row in start)
    groups = [{"params": [first]}, {"params": [second], "lr": 0.3, "beta": 0.5, "fading": 1.0}]
    optimiser = AdaRem(groups, lr=0.1, weight_decay=0.01)
    for gradient in gradients:
        first.grad, second.grad = (part.reshape(2, 3) for part in gradient)
        optimiser.step()
    expected = slow(start[0].tolist(), gradients[:, 0].tolist(), 0.1, 0.9, 0.999, 0.01)
    assert first.flatten().tolist() == pytest.approx(expected, rel=1e-12)
    expected = slow(start[1].tolist(), gradients[:, 1].tolist(), 0.3, 0.5, 1.0, 0.01)
    assert second.flatten().tolist() == pytest.approx(expected, rel=1e-12)


def test_without_adjustment_it_is_gradient_descent():
    x, labels = problem()
    net, plain = network(), network()
    step = adarem(net, rate=0.2, fading=0.0, weight_decay=0.1)
    optimiser = torch.optim.SGD(plain.parameters(), 0.2, weight_decay=0.1)
    for _ in range(5):
        step(x, labels)
        optimiser.zero_grad()
        functional.cross_entropy(plain(x), labels).backward()
        optimiser.step()
    torch.testing.assert_close(net(x), plain(x), rtol=1e-12, atol=1e-12)


def test_no_weight_goes_against_its_gradient_nor_further_than_twice_as_far():
    x, labels = problem()
    net = network()
    step = adarem(net, rate=0.5)
    shares = []
    for _ in range(20):
        before = [weight.detach().clone() for weight in net.parameters()]
        step(x, labels)
        for weight, old in zip(net.parameters(), before):
            moved = weight.grad.abs() > 1e-12
            shares.append(((old - weight) / (0.5 * weight.grad))[moved].detach())
    shares = torch.cat(shares)
    assert -1e-9 < shares.min() and shares.max() < 2 + 1e-9
    assert shares.max() > 1.9  # ... and some go nearly as far


def test_it_goes_on_from_a_saved_state():
    x, labels = problem()
    net, copy = nn.Linear(5, 3).double(), nn.Linear(5, 3).double()
    one = AdaRem(net.parameters(), lr=0.3, beta=0.8)

    def steps(module, optimiser):
        for _ in range(4):
            optimiser.zero_grad()
            functional.cross_entropy(module(x), labels).backward()
            optimiser.step()

    steps(net, one)
    file = io.BytesIO()
    torch.save((net.state_dict(), one.state_dict()), file)
    file.seek(0)
    weights, state = torch.load(file, weights_only=True)
    copy.load_state_dict(weights)
    other = AdaRem(copy.parameters())
    other.load_state_dict(state)
    steps(net, one)
    steps(copy, other)
    assert torch.equal(net.weight, copy.weight) and torch.equal(net.bias, copy.bias)


def test_a_closure_is_evaluated_and_what_has_no_gradient_stays():
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))

    def closure():
        loss = used.square().sum()
        loss.backward()
        return loss

    assert AdaRem([used, unused], lr=0.1).step(closure).item() == 2
    assert used.tolist() == pytest.approx([0.8, 0.8]) and unused.tolist() == [1, 1]


def test_the_rate_declines_to_nothing():
    x, labels = problem()
    net = network()
    step = adarem(net, rate=0.1, updates=3)
    for _ in range(3):
        step(x, labels)
    before = net(x).detach()
    step(x, labels)
    assert torch.equal(net(x), before)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"rate": 0}, "rate"),
        ({"beta": 1.0}, "beta"),
        ({"beta": -0.1}, "beta"),
        ({"fading": 1.1}, "fading"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"eps": float("nan")}, "eps"),
        ({"updates": 0}, "updates"),
    ],
)
def test_bad_settings_are_named(wrong, named):
    with pytest.raises(ValueError, match=f"^{named}"):
        adarem(network(), **{"rate": 1.0, **wrong})
    if named == "beta":
        with pytest.raises(ValueError, match=r"^beta"):
            AdaRem([{"params": [nn.Parameter(torch.ones(1))], **wrong}])
