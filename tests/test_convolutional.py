import pytest
import torch
from torch import nn

from erlib import ERNetwork
from erlib.convolutional import convolutional


def images(n=30, channels=3, side=12, dtype=torch.float64):
    random = torch.Generator().manual_seed(0)
    return 4 * torch.rand(n, channels, side, side, generator=random, dtype=dtype) + 1


def test_images_are_normalised_by_channel_and_the_network_takes_them():
    x = images()
    module = convolutional(x, [4, 6], 5, kernel=3, hidden=[7])
    seen = module.eval()[0](x)
    torch.testing.assert_close(seen.mean((0, 2, 3)), torch.zeros(3).double())
    variance = seen.var((0, 2, 3), correction=0)
    torch.testing.assert_close(variance, torch.ones(3).double(), rtol=1e-4, atol=0)
    net = ERNetwork(module)
    assert [layer.weight.shape for layer in net.layers] == [(27, 4), (36, 6), (6, 7), (7, 5)]
    torch.testing.assert_close(net(x), module(x))


def test_weights_are_seeded_in_both_dtypes_with_the_stated_variance():
    state = torch.get_rng_state()
    nets = [
        convolutional(images(dtype=t), [50], 10, seed=3) for t in (torch.float32, torch.float64)
    ]
    assert torch.equal(state, torch.get_rng_state())
    single, double = (net[1].weight for net in nets)
    assert single.dtype == torch.float32 and torch.equal(single, double.float())
    assert double.var().item() == pytest.approx(2 / 75, rel=0.1)
    assert nets[1][-1].weight.var().item() == pytest.approx(1 / 800, rel=0.1)
    assert all(not m.bias.any() for m in nets[1] if isinstance(m, (nn.Conv2d, nn.Linear)))
    other = convolutional(images(), [50], 10, seed=4)[1].weight
    assert not torch.equal(other, double)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"images": torch.zeros(3, 4)}, "images: expected 4 axes"),
        ({"channels": [4, 0]}, "channels: expected an integer >= 1"),
        ({"channels": [2, 2, 2]}, r"channels: images of \(12, 12\) end before block 3"),
        ({"classes": 0}, "classes"),
        ({"kernel": 0}, "kernel"),
        ({"padding": -1}, "padding"),
        ({"hidden": [1.5]}, "hidden"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_input_is_named(wrong, named):
    given = {"images": images(), "channels": [4], "classes": 3, "kernel": 3} | wrong
    with pytest.raises(ValueError, match=f"^{named}"):
        convolutional(given.pop("images"), given.pop("channels"), given.pop("classes"), **given)
