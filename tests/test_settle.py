"""`ERNetwork.settle` and `Moments.replace_fields`: further updates of the readout on one factor."""

import itertools

import pytest
import torch

import erlib
from erlib import ERNetwork, Moments, reflect, regress
from erlib.coding import observed_outputs
from erlib.theory.implicit_loss import implicit_loss


@pytest.fixture(scope="module")
def digits():
    data = erlib.load("digits", dtype=torch.float64)
    return data.x_train.flatten(1), data.y_train


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
def test_each_update_reflects_and_regresses_the_readout(digits, ridge):
    x, y = digits
    net = ERNetwork.dense([64, 20, 10], dtype=torch.float64)
    hidden = net.layers[0].weight.detach().clone()
    features, _ = net.trace(x)
    observed = observed_outputs(y, 10, torch.float64)
    h = net(x).detach()
    for _ in range(3):
        weight, bias = regress(features[1].detach(), reflect(h, observed), ridge=ridge)
        h = features[1].detach() @ weight + bias
    assert net.settle(x, y, updates=3, readout_ridge=ridge) is net
    assert torch.equal(net.layers[0].weight, hidden)
    torch.testing.assert_close(net(x).detach(), h, rtol=1e-8, atol=1e-8)


def test_the_implicit_loss_never_rises(digits):
    x, y = digits
    net = ERNetwork.dense([64, 20, 10], dtype=torch.float64)
    observed = observed_outputs(y, 10, torch.float64)
    losses = []
    for _ in range(30):
        net.settle(x, y, updates=1, readout_ridge=0)
        losses.append(implicit_loss(net(x).detach(), observed).sum().item())
    assert all(later <= earlier * (1 + 1e-12) for earlier, later in itertools.pairwise(losses))
    assert losses[-1] < losses[0]


def test_replaced_fields_need_all_the_inputs():
    x, h = torch.ones(4, 2), torch.ones(4, 1)
    moments = Moments(True)
    moments.accumulate(x, h)
    with pytest.raises(ValueError, match=r"^pairs: 3 rows, the moments are of 4$"):
        moments.replace_fields([(x[:3], h[:3])])


@pytest.mark.parametrize("d_out", [3, 1, 5], ids=lambda d_out: f"3 to {d_out} fields")
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_replaced_fields_are_as_if_the_inputs_had_come_with_them(fit_intercept, d_out):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(30, 4, generator=random, dtype=torch.float64) + 2
    old, new = (torch.randn(30, k, generator=random, dtype=torch.float64) for k in (3, d_out))

    def parts(h, cut):
        for part in (slice(0, cut), slice(cut, 30)):
            yield x[part], h[part]

    moments = Moments(fit_intercept)
    for chunk in parts(old, 11):
        moments.accumulate(*chunk)
    moments.solve(0.1)
    moments.replace_fields(parts(new, 17))
    for ridge in (0.1, 0.1, 0.5):
        found = moments.solve(ridge)
        expected = regress(x, new, ridge=ridge, fit_intercept=fit_intercept)
        for one, two in zip(found, expected):
            torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-12)


def test_more_samples_after_a_solution_count():
    random = torch.Generator().manual_seed(0)
    x, h = (torch.randn(30, width, generator=random, dtype=torch.float64) for width in (4, 2))
    moments = Moments().add(x[:20], h[:20])
    moments.solve(0.1)
    weight, _ = moments.add(x[20:], h[20:]).solve(0.1)
    torch.testing.assert_close(weight, regress(x, h, ridge=0.1)[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("wrong", "named"), [({"updates": 0}, "updates"), ({"readout_ridge": -1}, "readout_ridge")]
)
def test_bad_settings_are_named(digits, wrong, named):
    with pytest.raises(ValueError, match=f"^{named}"):
        ERNetwork.dense([64, 20, 10]).settle(*digits, **wrong)
