"""What streams train is what arrays train, and what goes on later ends the same."""

import numpy as np
import pytest
import torch
from test_network import data, network, same_state, state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import erlib.network
from erlib import ERNetwork, streamed
from erlib.sequential import sequential_fit
from erlib.streams import Arrays

SIZES = [4, 6, 5, 3]


def loader(x, y, _):
    return DataLoader(TensorDataset(torch.as_tensor(x), torch.as_tensor(y)), 7, shuffle=True)


def function(x, y, _):
    return lambda: zip(np.array_split(x, 6), np.array_split(y, 6))


def files(x, y, folder):
    for name, array in (("x", x), ("y", y)):
        np.save(folder / f"{name}.npy", array)
    return Arrays(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in "xy"), 11)


every_source = pytest.mark.parametrize("source", [loader, function, files])


def assert_same(net, other, tolerance=1e-8):
    for found, wanted in zip(net.parameters(), other.parameters(), strict=True):
        scale = max(float(wanted.detach().abs().max()), 1e-3)
        assert float((found - wanted).detach().abs().max()) <= tolerance * scale


def fields_of_classes(y):
    return 0.7 * np.eye(3)[y] - 0.2


@pytest.fixture(params=[4096, 16], ids="chunks of {}".format)
def chunks(request, monkeypatch):
    monkeypatch.setattr(erlib.network, "CHUNK", request.param)


@every_source
@pytest.mark.parametrize("options", [{}, {"inverse": "transpose"}, {"ridge": 0.1}])
def test_one_update(source, options, chunks, tmp_path):
    x, y = data(60)
    net = streamed.one_update(network(SIZES), source(x, y, tmp_path), **options)
    assert_same(net, network(SIZES).one_update(x, y, **options))
    assert not same_state(net, state(network(SIZES)))


@every_source
def test_settle(source, chunks, tmp_path):
    x, y = data(60)
    net = streamed.settle(network(SIZES), source(x, y, tmp_path), updates=3)
    assert_same(net, network(SIZES).settle(x, y, updates=3))


def test_observed_outputs_in_place_of_labels():
    x, y = data(60)
    observed = fields_of_classes(y)
    net = streamed.one_update(network(SIZES), Arrays(x, observed, 13))
    assert_same(net, network(SIZES).one_update(x, observed))


def test_convolutions():
    def convolutional():
        torch.manual_seed(0)
        layers = [nn.Conv2d(1, 4, 3, groups=1), "relu", nn.Conv2d(4, 4, 3, groups=2), "relu"]
        return ERNetwork([*layers, nn.Flatten(), nn.Linear(16, 3)]).double()

    x, y = data(60, 36)
    images = x.reshape(60, 1, 6, 6)
    net = streamed.one_update(convolutional(), Arrays(images, y, 13))
    assert_same(net, convolutional().one_update(images, y))
    wanted = sequential_fit(convolutional(), images, y, batch_size=20, passes=1, first_update=False)
    stream = Arrays(images, y, 20, seed=0)
    net = streamed.sequential_fit(convolutional(), stream, passes=1, first_update=False)
    assert_same(net, wanted)


@pytest.mark.parametrize("n", [60, 65, 69], ids="{} samples".format)
def test_mini_batches(n):
    x, y = data(n)
    stream = Arrays(x, y, 10, seed=3)
    net = streamed.fit(network(SIZES), stream, passes=2)
    assert_same(net, network(SIZES).fit(x, y, batch_size=10, seed=3, passes=2))
    for first in (True, False):
        net = streamed.sequential_fit(network(SIZES), stream, passes=2, first_update=first)
        options = {"batch_size": 10, "seed": 3, "passes": 2, "first_update": first}
        assert_same(net, sequential_fit(network(SIZES), x, y, **options))


def test_mini_batches_come_in_the_order_of_the_stream():
    x, y = data(40)
    one, other = (
        streamed.sequential_fit(network(), [(x[part], y[part]) for part in parts], passes=1)
        for parts in ([slice(0, 20), slice(20, 40)], [slice(20, 40), slice(0, 20)])
    )
    assert not same_state(one, state(other))


def test_an_interrupted_update_goes_on_to_the_same_bits():
    x, y = data(60)
    kept = []
    wanted = streamed.one_update(network(SIZES), Arrays(x, y, 9), watch=lambda f: kept.append([*f]))
    assert [len(found) for found in kept] == [1, 2, 3]
    for found in kept:
        again = streamed.one_update(network(SIZES), Arrays(x, y, 9), found=found)
        assert same_state(again, state(wanted))


def test_an_interrupted_training_goes_on_to_the_same_bits():
    x, y = data(60)
    stream, kept, net = Arrays(x, y, 9, seed=1), {}, network(SIZES)
    streamed.sequential_fit(net, stream, passes=3, watch=lambda k: kept.update({k: state(net)}))
    for done in (1, 2, 3):
        again = network(SIZES)
        again.load_state_dict(kept[done])
        streamed.sequential_fit(again, stream, passes=3, done=done)
        assert same_state(again, kept[3])


def test_an_interrupted_settling_goes_on_to_the_same_bits():
    x, y = data(60)
    wanted = streamed.settle(network(), Arrays(x, y, 9), updates=3)
    again = streamed.settle(network(), Arrays(x, y, 9), updates=1)
    assert same_state(streamed.settle(again, Arrays(x, y, 9), updates=2), state(wanted))


@pytest.mark.parametrize("layer", [0, 1])
def test_a_stream_that_fails_late_leaves_the_network_as_it_was(layer):
    x, y = data(60)
    opened = []

    def stream():
        opened.append(True)
        yield x[:30], y[:30]
        yield (x[30:] if len(opened) <= layer else x[30:] * np.nan), y[30:]

    net = network()
    before = state(net)
    with pytest.raises(ValueError, match=f"^batch 2 of pass {layer + 1}: x: 120 of 120 entries"):
        streamed.one_update(net, stream)
    assert same_state(net, before)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda net, s: streamed.one_update(net, s, ridge=-1), "^ridge"),
        (lambda net, s: streamed.one_update(net, s, inverse="no"), "^inverse"),
        (lambda net, s: streamed.settle(net, s, updates=0), "^updates"),
        (lambda net, s: streamed.fit(net, s, passes=0), "^passes"),
        (lambda net, s: streamed.fit(net, s, share=-1), "^share"),
        (lambda net, s: streamed.sequential_fit(net, s, code=2), "^code"),
        (lambda net, s: streamed.sequential_fit(net, s, first_update=5), "^first_update"),
        (lambda net, s: streamed.sequential_fit(net, s, done=-1), "^done"),
        (
            lambda net, s: streamed.one_update(net, [(99 * x, y) for x, y in s]),
            "^x: inputs of size",
        ),
        (lambda net, s: streamed.fit(net, [(1e-9 * x, y) for x, y in s]), "^x: inputs of size"),
    ],
)
def test_bad_settings_are_named(wrong, named):
    net = network()
    before = state(net)
    with pytest.raises(ValueError, match=named):
        wrong(net, [data(30)])
    assert same_state(net, before)
