"""`forward_gradient` against autograd: its mean exactly, its variance by the formula."""

import math

import pytest
import torch
from torch.nn import functional

from erlib import ERNetwork
from erlib.baselines.forward_gradient import _ESTIMATES, _LOSSES, forward_gradient

LOSSES = {
    "cross_entropy": functional.cross_entropy,
    "squared": lambda h, y: ((torch.tanh(h) - y) ** 2).sum() / (2 * len(y)),
}


def problem(loss="cross_entropy", n=6, classes=3):
    random = torch.Generator().manual_seed(1)
    x = torch.randn(n, 4, generator=random, dtype=torch.float64)
    labels = torch.randint(classes, (n,), generator=random)
    return x, labels if loss == "cross_entropy" else 2.0 * functional.one_hot(labels, classes) - 1


def network(*sizes):
    return ERNetwork.dense(sizes, activation="tanh", hidden_bias=True, dtype=torch.float64)


def exact(net, x, y, loss="cross_entropy"):
    return torch.autograd.grad(LOSSES[loss](net(x), y), list(net.parameters()))


def flat(parts):
    return torch.cat([part.flatten() for part in parts])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("perturb", "numbers"), [("weights", 4 * 5 + 5 + 5 * 3 + 3), ("fields", 5 + 3)]
)
def test_mean_over_a_basis_is_the_gradient(perturb, numbers, loss):
    x, y = problem(loss)
    net, used = network(4, 5, 3), 0

    def basis(*shape):  # sqrt(d) e_1 .. sqrt(d) e_d have the second moments of N(0, I)
        nonlocal used
        size = math.prod(shape) if perturb == "weights" else shape[1]
        part = numbers**0.5 * torch.eye(numbers, dtype=x.dtype)[:, used : used + size]
        used += size
        if perturb == "weights":
            return part.reshape(-1, *shape)
        return part[:, None].expand(-1, *shape)

    with torch.no_grad():
        found = _ESTIMATES[perturb](net, x, lambda h: _LOSSES[loss](net, h, y), basis)
    assert used == numbers
    for part, expected in zip(found, exact(net, x, y, loss), strict=True):
        torch.testing.assert_close(part, expected, rtol=1e-10, atol=1e-13)


def mean_square_error(net, x, y, repeats=500, **settings):
    estimate = forward_gradient(net, rate=1.0, **settings).estimate
    truth = flat(exact(net, x, y))
    errors = [(flat(estimate(x, y)) - truth).square().sum() for _ in range(repeats)]
    return float(sum(errors)) / repeats, float(truth.square().sum())


@pytest.mark.parametrize(("hidden", "draws"), [(2, 1), (20, 1), (20, 5)])
def test_variance_grows_with_the_number_of_weights(hidden, draws):
    net = network(4, hidden, 3)
    numbers = sum(value.numel() for value in net.parameters())
    error, size = mean_square_error(net, *problem(), draws=draws)
    assert error == pytest.approx((numbers + 1) / draws * size, rel=0.15)


@pytest.mark.parametrize("classes", [2, 12])
def test_variance_grows_with_the_number_of_units_if_fields_are_perturbed(classes):
    x, labels = problem(classes=classes)
    net = network(4, classes)
    gradients = (net(x).softmax(1) - functional.one_hot(labels, classes)).detach()
    each = (x.square().sum(1) + 1) * gradients.square().sum(1) / len(x) ** 2
    error, _ = mean_square_error(net, x, labels, perturb="fields")
    assert error == pytest.approx((classes + 1) * float(each.sum()), rel=0.15)


def test_fields_are_fewer_than_weights():
    net, data = network(4, 10, 3), problem(n=20)
    by = {p: mean_square_error(net, *data, repeats=200, perturb=p)[0] for p in _ESTIMATES}
    assert by["fields"] < 0.3 * by["weights"]


def test_a_step_moves_the_weights_against_the_estimate_and_declines():
    x, y = problem()
    net, other = network(4, 5, 3), network(4, 5, 3)
    step = forward_gradient(net, rate=0.5, updates=2, seed=3)
    estimates = forward_gradient(other, rate=0.5, seed=3)
    for share in (0.5, 0.25, 0.0):
        before = flat(net.parameters()).detach()
        other.load_state_dict(net.state_dict())
        expected = before - share * flat(estimates.estimate(x, y))
        assert torch.equal(flat(other.parameters()), before)
        step(x, y)
        torch.testing.assert_close(flat(net.parameters()).detach(), expected)


@pytest.mark.parametrize("perturb", _ESTIMATES)
def test_a_function_is_learned_by_it_and_by_er(perturb):
    x = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None]
    y = torch.sin(3 * x)
    sizes, kinds = [1, 20, 1], {"activation": "tanh", "hidden_bias": True, "output": "identity"}
    error = {}
    for method in ("forward", "er"):
        net = ERNetwork.dense(sizes, **kinds, dtype=torch.float64)
        step = forward_gradient(net, rate=0.2, perturb=perturb, draws=20, loss="squared")
        if method == "er":
            net.fit(x, y, passes=100, batch_size=40)
        else:
            for _ in range(300):
                step(x, y)
        error[method] = float((net(x).detach() - y).square().mean() / y.var())
    assert error["forward"] < 0.1 and error["er"] < 0.1


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"rate": 0}, "rate"),
        ({"perturb": "all"}, "perturb"),
        ({"draws": 0}, "draws"),
        ({"loss": "hinge"}, "loss"),
        ({"updates": 0}, "updates"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_settings_are_named(wrong, named):
    with pytest.raises(ValueError, match=f"^{named}"):
        forward_gradient(network(4, 3), **{"rate": 1.0, **wrong})


def test_outputs_of_another_shape_are_refused_before_anything_has_changed():
    x, y = problem("squared")
    net = network(4, 3)
    before = flat(net.parameters()).detach()
    with pytest.raises(ValueError, match=r"^y: shape \(6,\)"):
        forward_gradient(net, rate=1.0, loss="squared")(x, y[:, 0])
    assert torch.equal(flat(net.parameters()), before)
