"""A network on a GPU: the same numbers as on the CPU, up to rounding in float64."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import erlib
from erlib import ERNetwork, Moments
from erlib.augment import shifts_and_flips
from erlib.baselines import backprop, train
from erlib.convolutional import convolutional
from erlib.patches import PatchFeatures
from erlib.sequential import sequential_fit

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DIGITS = erlib.load("digits", dtype=torch.float64)
X, Y = DIGITS.x_train[:300], DIGITS.y_train[:300]
X_TEST, Y_TEST = DIGITS.x_test[:100], DIGITS.y_test[:100]


def dense():
    return ERNetwork.dense([64, 30, 20, 10], hidden_bias=True, dtype=torch.float64)


def convolved():
    return ERNetwork(convolutional(X, [4, 8], 10, kernel=3, padding=1))


def whole_update(net, x, y):
    net.one_update(x, y)


def with_targets(net, x, y):
    net.sweep(x, [target.cpu() for target in net.targets(x, y)])


def settled(net, x, y):
    net.settle(x, y, updates=3)


def plain(net, x, y):
    net.fit(x, y, batch_size=100, inverse="transpose")


def by_conjugate_gradients(net, x, y):
    net.fit(x, y, batch_size=100, inverse="cg", steps=3)


def sequential(net, x, y):
    augment = shifts_and_flips(shift=1, seed=0)
    sequential_fit(net, x, y, passes=2, batch_size=50, inverse="transpose", augment=augment)


def adam(net, x, y):
    train(net, x, y, backprop(net, rate=0.01, updates=6), batch_size=50)


LOOPS = [whole_update, with_targets, settled, plain, by_conjugate_gradients, sequential, adam]


@on_gpu
@pytest.mark.parametrize("make", [dense, convolved])
@pytest.mark.parametrize("loop", LOOPS)
def test_loops_find_the_same_weights_on_a_gpu(make, loop):
    here, there = make(), make().to("cuda")
    loop(here, X, Y)
    loop(there, X.cuda(), Y)  # labels are moved
    for own, same in zip(there.parameters(), here.parameters()):
        assert own.is_cuda
        atol = 1e-7 * float(same.detach().abs().max())
        torch.testing.assert_close(own.cpu(), same, rtol=0, atol=atol)
    accuracy = here.score(X_TEST, Y_TEST)
    assert there.score(X_TEST.cuda(), Y_TEST) == accuracy
    assert there.score(X_TEST.cuda(), Y_TEST.cuda()) == accuracy
    assert there.decision_function(X_TEST.cuda()).is_cuda


@on_gpu
def test_verbs_on_a_gpu():
    random = torch.Generator().manual_seed(0)
    x, h, w = (torch.randn(*s, generator=random).double() for s in [(50, 6), (50, 4), (6, 4)])
    torch.testing.assert_close(
        erlib.reflect(h.cuda(), h.sign().cuda()).cpu(), erlib.reflect(h, h.sign())
    )
    for ours, theirs in zip(
        erlib.regress(x.cuda(), h.cuda(), ridge=0.1), erlib.regress(x, h, ridge=0.1)
    ):
        torch.testing.assert_close(ours.cpu(), theirs)
    for settings in ({}, {"method": "damped", "damping": 0.1}, {"method": "cg", "steps": 2}):
        found = erlib.invert(h.cuda(), w.cuda(), **settings)
        torch.testing.assert_close(found.cpu(), erlib.invert(h, w, **settings))
    moments = Moments().add(x.cuda(), h.cuda())
    torch.testing.assert_close(moments.solve()[0].cpu(), Moments().add(x, h).solve()[0])


@on_gpu
def test_front_end_on_a_gpu():
    here = PatchFeatures(X, filters=8, size=3, grid=2)
    there = PatchFeatures(X.cuda(), filters=8, size=3, grid=2)
    torch.testing.assert_close(there(X_TEST.cuda()).cpu(), here(X_TEST))


@on_gpu
def test_saved_on_a_gpu_and_loaded_on_the_cpu(tmp_path):
    net = dense().to("cuda")
    torch.save(net.state_dict(), tmp_path / "net.pt")
    other = dense()
    other.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True, map_location="cpu"))
    for own, same in zip(other.parameters(), net.parameters()):
        assert torch.equal(own, same.cpu())


@on_gpu
@pytest.mark.parametrize("x", [X, X.numpy()])
def test_inputs_elsewhere_are_refused(x):
    net = dense().to("cuda")
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(ValueError, match="x: on cpu, the network is on cuda:0; move one"):
        net.one_update(x, Y)
    with pytest.raises(ValueError, match="x: on cpu, the network is on cuda:0"):
        net.predict(x)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


@on_gpu
def test_layers_on_different_devices_are_refused():
    layers = [nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2, device="cuda")]
    with pytest.raises(ValueError, match=r"layers\[2\]: .* is on cuda:0, the layers before on cpu"):
        ERNetwork(layers)


def test_layers_without_weights_are_refused():
    with pytest.raises(ValueError, match=r"layers\[0\]: .* is on the device meta, it has no"):
        ERNetwork([nn.Linear(3, 2, device="meta")])


def test_numpy_and_labels_of_any_kind_stay_welcome_on_the_cpu():
    net = dense()
    labels = Y.numpy().astype(np.int32)
    net.one_update(X.numpy(), labels)
    assert net.score(X.numpy(), labels) == net.score(X, Y)
