"""The caller's modes of torch change neither values nor errors of public calls."""

import contextlib

import numpy as np
import pytest
import torch
from references import one_thread  # noqa: F401
from torch import nn

import erlib
from erlib.augment import shifts_and_flips
from erlib.baselines import backprop, foof, semi_implicit, target_propagation, train
from erlib.baselines.forward_projection import forward_projection
from erlib.baselines.random_features import random_features
from erlib.baselines.receptive_fields import receptive_fields
from erlib.convolutional import convolutional
from erlib.inference import ising
from erlib.inference.hidden_spins import infer_hidden
from erlib.inference.mean_field import mean_field
from erlib.patches import PatchFeatures
from erlib.sequential import sequential_fit
from erlib.single_layer import RULES, single_layer_fit
from erlib.theory.effective_rank import effective_rank
from erlib.theory.gauss_newton import gauss_newton_changes
from erlib.theory.gradient import gradient_changes
from erlib.theory.implicit_loss import implicit_loss

DIGITS = erlib.load("digits")
IMAGES, LABELS = DIGITS.x_train[:200], DIGITS.y_train[:200]
X, FIELDS = IMAGES.flatten(1), 3 * IMAGES[:, 0, 4] + 1
SPINS = ising.simulate(ising.couplings(6, 1.0), 200)


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


MODES = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "inference mode": torch.inference_mode,
    "no grad": torch.no_grad,
    "float64 by default": lambda: default_dtype(torch.float64),
    "bfloat16 by default": lambda: default_dtype(torch.bfloat16),
    "deterministic": deterministic,
}


def dense(**how):
    return erlib.ERNetwork.dense([64, 20, 10], **how)


def conv(padding=1):
    norm, random = nn.BatchNorm2d(1, dtype=torch.float32), torch.Generator().manual_seed(0)
    linear = [nn.Conv2d(1, 4, 3, padding=padding), nn.Linear(64, 10)]
    with torch.no_grad():
        for each in linear:
            weight = torch.randn(each.weight.shape, generator=random, dtype=torch.float32) / 4
            each.weight = nn.Parameter(weight)
            each.bias = nn.Parameter(torch.zeros(len(weight), dtype=torch.float32))
    blocks = nn.Sequential(norm, linear[0], nn.ReLU(), nn.AvgPool2d(2)), nn.Flatten(), linear[1]
    return erlib.ERNetwork(nn.Sequential(*blocks))


def trained(net, x, step):
    return train(net, x, LABELS, step(net), passes=1, batch_size=50)


def weights(net):
    return [part.detach() for part in net.state_dict().values()]


def estimated(model, y):
    model.fit(X.numpy(), y)
    return model.predict(X.numpy()), model.score(X.numpy(), y)


CALLS = {
    "reflect": lambda: erlib.reflect(FIELDS, FIELDS / 9),
    "regress": lambda: erlib.regress(X, FIELDS, ridge=0.1),
    "invert": lambda: erlib.invert(FIELDS, X[:, :8], method="damped", damping=0.1),
    "moments": lambda: erlib.Moments().add(X, FIELDS).solve(0.1),
    "dense": lambda: weights(dense()),
    "one_update": lambda: weights(dense().one_update(X, LABELS)),
    "one_update, conv": lambda: weights(conv().one_update(IMAGES, LABELS)),
    "cg, conv": lambda: conv().targets(IMAGES, LABELS, inverse="cg", steps=2),
    "fit": lambda: weights(dense().fit(X, LABELS, batch_size=50)),
    "fit, conv": lambda: weights(conv(padding="same").fit(IMAGES, LABELS, batch_size=50)),
    "settle": lambda: weights(dense().settle(X, LABELS, updates=2)),
    "sequential": lambda: weights(sequential_fit(dense(), X, LABELS, passes=1)),
    "sequential, conv": lambda: weights(sequential_fit(conv(), IMAGES, LABELS, passes=1)),
    "augmented": lambda: weights(
        sequential_fit(conv(), IMAGES, LABELS, passes=1, augment=shifts_and_flips(shift=1))
    ),
    "changes": lambda: dense().changes(X, LABELS),
    "trace": lambda: [part.detach() for part in dense()(X)],
    "use": lambda: (dense().decision_function(X), dense().predict(X), dense().score(X, LABELS)),
    "gradient": lambda: gradient_changes(dense(), X, FIELDS.new_ones(200, 10), ridge=0.1),
    "gauss_newton": lambda: gauss_newton_changes(
        erlib.ERNetwork.dense([8, 3, 8]), FIELDS[:9], FIELDS[:9] / 9, ridge=0.1
    ),
    "implicit_loss": lambda: implicit_loss(FIELDS, FIELDS / 9),
    "effective_rank": lambda: effective_rank(X),
    "patches": lambda: PatchFeatures(IMAGES, filters=5, size=3, grid=2)(IMAGES),
    "convolutional": lambda: weights(convolutional(IMAGES, [3], 10, kernel=3)),
    "hidden spins": lambda: infer_hidden(SPINS, 1, sweeps=2),
    "ising": lambda: ising.simulate(ising.couplings(4, 1.0), 20),
    "mean field": lambda: mean_field(SPINS[:-1], SPINS[1:], kind="exact"),
    "backprop": lambda: weights(trained(dense(), X, backprop)),
    "foof": lambda: weights(trained(dense(), X, lambda net: foof(net, rate=0.1))),
    "semi-implicit": lambda: weights(trained(dense(), X, lambda net: semi_implicit(net, rate=0.1))),
    "target propagation": lambda: weights(trained(dense(), X, target_propagation)),
    "forward projection": lambda: weights(forward_projection(dense(), X, LABELS)),
    "random features": lambda: weights(random_features(dense(), X, LABELS)),
    "receptive fields": lambda: receptive_fields(IMAGES, LABELS, 20, min_area=4, border=1),
    "classifier": lambda: estimated(erlib.ERClassifier(), LABELS.numpy()),
    "hidden classifier": lambda: estimated(
        erlib.ERClassifier((20,), passes=1, random_state=0), LABELS.numpy()
    ),
    "regressor": lambda: estimated(erlib.ERRegressor((20,), random_state=0), FIELDS.numpy()),
    **{
        rule: lambda rule=rule: single_layer_fit(
            X, torch.tanh(FIELDS - 2), rule=rule, ridge=0.1, updates=2
        )
        for rule in RULES
    },
}
_USUAL = {}


def numbers(found):
    """All numbers of a nested result."""
    if isinstance(found, (tuple, list)):
        return [number for part in found if part is not None for number in numbers(part)]
    return [np.asarray(found, dtype=float)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("call", CALLS)
def test_values_are_the_same(call, mode):
    if call not in _USUAL:
        _USUAL[call] = numbers(CALLS[call]())
    with MODES[mode]():
        found = numbers(CALLS[call]())
    assert len(found) == len(_USUAL[call])
    for one, usual in zip(found, _USUAL[call]):
        np.testing.assert_array_equal(one, usual)


@pytest.mark.parametrize("mode", MODES)
def test_errors_are_the_same_and_modes_are_as_they_were(mode):
    with MODES[mode]():
        states = (
            torch.is_autocast_enabled("cpu"), torch.is_inference_mode_enabled(),
            torch.is_grad_enabled(), torch.get_default_dtype(),
        )  # fmt: skip
        for bad in (X * np.nan, X[:0]):
            with pytest.raises(ValueError, match="x: "):
                dense().one_update(bad, LABELS[: len(bad)])
        assert states == (
            torch.is_autocast_enabled("cpu"), torch.is_inference_mode_enabled(),
            torch.is_grad_enabled(), torch.get_default_dtype(),
        )  # fmt: skip


def test_what_was_made_under_inference_mode_is_trained_outside():
    with torch.inference_mode():
        x, net, made = X.clone(), dense(), conv()
    usual = weights(dense().fit(X, LABELS, batch_size=50))
    for one, other in zip(weights(net.fit(x, LABELS, batch_size=50)), usual):
        assert torch.equal(one, other)
    made.one_update(IMAGES, LABELS, inverse="cg", steps=2)
    assert trained(net, x, backprop).score(x, LABELS) > 0.5


def test_a_number_of_threads_changes_no_digit_that_matters():
    before, found = torch.get_num_threads(), {}
    x = X.double()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            found[threads] = weights(dense(dtype=torch.float64).one_update(x, LABELS))
        finally:
            torch.set_num_threads(before)
    for one, other in zip(found[1], found[2]):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
