"""How far a regression goes too far: means over draws against the formulas."""

import re

import numpy as np
import pytest
import torch

from erlib import regress
from erlib.theory.overshoot import explained_elsewhere


def draws(count, n, d, noise, seed=0):
    """Batches whose signal has mean square 1: weights and inputs alike in all directions."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        x = rng.normal(size=(n, d))
        weights = rng.normal(size=(d, 1)) / np.sqrt(d)
        yield x, weights, x @ weights + np.sqrt(noise) * rng.normal(size=(n, 1))


@pytest.mark.parametrize(("n", "d", "noise"), [(60, 20, 1.0), (60, 20, 0.2), (200, 10, 5.0)])
def test_own_samples_show_s_plus_nd_over_n_and_others_s(n, d, noise):
    own, elsewhere = [], []
    for x, weights, delta in draws(2000, n, d, noise):
        answer = regress(x, delta, fit_intercept=False)[0]
        own.append(float((x @ answer * delta).mean()))
        elsewhere.append((weights.T @ answer).item())  # of any other sample, in the mean
    assert np.mean(own) == pytest.approx(1 + noise * d / n, rel=0.03)
    assert np.mean(elsewhere) == pytest.approx(1, rel=0.03)


def test_halves_show_the_fraction():
    n, d, noise = 120, 20, 1.0
    found = [explained_elsewhere(x, delta) for x, _, delta in draws(2000, n, d, noise)]
    assert np.mean(found) == pytest.approx(1 / (1 + d / (n / 2) * noise), rel=0.05)


def test_the_best_penalty_is_the_overshoot():
    """Over a factor of ten around d N / n S no other penalty errs less on other samples."""
    n, d, noise = 40, 30, 2.0
    lam = d / n * noise
    tried = lam * np.array([0.1, 0.3, 1.0, 3.0, 10.0])
    errors = np.zeros(len(tried))
    for x, weights, delta in draws(400, n, d, noise):
        for index, ridge in enumerate(tried):
            answer = regress(x, delta, ridge=ridge, fit_intercept=False)[0]
            errors[index] += np.sum((answer - weights) ** 2)
    assert errors.argmin() == 2


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_where_steps_settle_half_the_share_is_signal(share):
    """w <- w - s (w + noise): the mean squares of w and of the question, iterated exactly."""
    square = 4.0
    for _ in range(500):
        square = (1 - share) ** 2 * square + share**2
    assert square / (square + 1) == pytest.approx(share / 2, rel=1e-9)


@pytest.mark.parametrize(
    ("x", "delta", "message"),
    [
        (torch.ones(1, 2), torch.ones(1, 1), "x: 1 sample, expected at least two"),
        (torch.ones(4, 2), torch.ones(3, 1), "delta: 3 samples (rows), x has 4"),
        (torch.zeros(4, 2), torch.ones(4, 1), "x: explains nothing of delta"),
    ],
)
def test_bad_input_is_named(x, delta, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        explained_elsewhere(x, delta)
