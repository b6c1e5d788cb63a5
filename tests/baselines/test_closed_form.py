"""Random features, receptive fields and Forward Projection: the baselines without iterations."""

import pytest
import torch

import erlib
from erlib import ERNetwork, regress
from erlib.baselines import forward_projection, random_features, receptive_fields
from erlib.coding import observed_outputs


@pytest.fixture(scope="module")
def digits():
    return erlib.load("digits", dtype=torch.float64)


def hidden_outputs(net, x):
    return net.trace(x.flatten(1))[0][-1].detach()


def test_random_features_keep_the_hidden_layers_and_regress_the_readout(digits):
    x, y = digits.x_train, digits.y_train
    net = ERNetwork.dense([64, 30, 20, 10], dtype=torch.float64)
    hidden = [layer.weight.detach().clone() for layer in net.layers[:-1]]
    assert random_features(net, x, y, readout_ridge=0.01) is net
    for layer, before in zip(net.layers, hidden):
        assert torch.equal(layer.weight, before)
    observed = observed_outputs(y, 10, torch.float64)
    weight, bias = regress(hidden_outputs(net, x), observed, ridge=0.01)
    torch.testing.assert_close(net.layers[-1].weight.detach(), weight, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(net.layers[-1].bias.detach(), bias, rtol=1e-10, atol=1e-12)


def test_forward_projection_regresses_each_layer_on_its_random_targets(digits):
    x, y = digits.x_train.flatten(1), digits.y_train
    net = ERNetwork.dense([64, 30, 10], dtype=torch.float64)
    forward_projection(net, x, y, ridge=0.1, seed=5)
    random = torch.Generator().manual_seed(5)
    q = torch.randn(64, 30, generator=random, dtype=torch.float64)
    u = torch.randn(10, 30, generator=random, dtype=torch.float64)
    t = observed_outputs(y, 10, torch.float64)
    size = x.norm() / len(x) ** 0.5  # root mean square 1, and variance 1 / d_in
    wanted = torch.tanh(x @ q / size) + torch.tanh(t @ u / 10**0.5)
    weight, _ = regress(x, wanted, ridge=0.1, fit_intercept=False)
    torch.testing.assert_close(net.layers[0].weight.detach(), weight, rtol=1e-9, atol=1e-12)
    readout, _ = regress(hidden_outputs(net, x), t, ridge=1e-5)
    torch.testing.assert_close(net.layers[1].weight.detach(), readout, rtol=1e-8, atol=1e-10)


def test_forward_projection_uses_the_labels_in_the_hidden_layer(digits):
    x, y = digits.x_train, digits.y_train
    nets = [ERNetwork.dense([64, 30, 10], dtype=torch.float64) for _ in range(3)]
    for net, labels in zip(nets, [y, y.flip(0), y]):
        forward_projection(net, x, labels)
    first, flipped, again = (net.layers[0].weight for net in nets)
    assert not torch.allclose(first, flipped, rtol=1e-3)
    assert torch.equal(first, again)


def test_receptive_fields_are_rectangles_inside_the_border():
    images = torch.rand(40, 1, 12, 9, dtype=torch.float64) + 0.1
    labels = torch.arange(40) % 4
    weight = receptive_fields(images, labels, 50, min_area=6, border=2, seed=3)
    assert weight.shape == (108, 50) and weight.dtype == torch.float64
    torch.testing.assert_close(weight.norm(dim=0), torch.ones(50, dtype=torch.float64))
    for column in weight.T:
        rows, columns = column.reshape(12, 9).nonzero().T
        high, wide = rows.max() - rows.min() + 1, columns.max() - columns.min() + 1
        assert len(rows) == high * wide >= 6
        assert rows.min() >= 2 and rows.max() < 10 and columns.min() >= 2 and columns.max() < 7


def test_receptive_fields_are_sums_of_images_of_one_class_with_signs():
    images = torch.rand(6, 1, 4, 4, dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    weight = receptive_fields(images, labels, 8, min_area=16, border=0)
    for unit, column in enumerate(weight.T):
        of_class = images[labels == unit % 2].flatten(1)
        factors = torch.linalg.lstsq(of_class.T, column[:, None]).solution.flatten()
        torch.testing.assert_close(of_class.T @ factors, column)
        torch.testing.assert_close(factors.abs(), factors.abs().mean().expand(3))


def test_receptive_fields_refuse_what_they_cannot_do():
    images, labels = torch.rand(4, 1, 6, 6), torch.arange(4)
    with pytest.raises(ValueError, match=r"^x: images of 6 x 6 hold no rectangle"):
        receptive_fields(images, labels, 3, border=3)
    with pytest.raises(ValueError, match=r"^y: 3 samples, x has 4"):
        receptive_fields(images, labels[:3], 3, border=0)
    with pytest.raises(ValueError, match=r"^units"):
        receptive_fields(images, labels, 0, border=0)
