"""`SpikeFeatures` against loops over time, places and single weights, and what spikes must obey."""

import math

import pytest
import torch

import erlib
from erlib import ERNetwork
from erlib.baselines import random_features
from erlib.baselines.spike_features import SpikeFeatures

SETTINGS = {"filters": 6, "size": 3, "grid": 3, "apart": 1, "rate": 0.02, "time_steps": 6}


@pytest.fixture(scope="module")
def digits():
    return erlib.load("digits", dtype=torch.float64)


def slow_contrast(image, row, column):
    """Difference of Gaussians of widths 1 and 2 in a window of 7 pixels, its sum made 0."""
    gaussian = {
        (i, j): math.exp(-(i * i + j * j) / 2) - math.exp(-(i * i + j * j) / 8) / 2
        for i in range(-3, 4)
        for j in range(-3, 4)
    }
    mean = sum(gaussian.values()) / 49
    total = 0.0
    for (i, j), value in gaussian.items():
        if 0 <= row + i < 8 and 0 <= column + j < 8:
            total += (value - mean) * image[row + i][column + j]
    return total / (gaussian[0, 0] - mean)


def slow_times(image, steps):
    """For each pixel, brighter and darker: the step at which it spikes, or None."""
    times = {}
    for sign, half in ((1, 0), (-1, 1)):
        values = {
            (half, i, j): sign * slow_contrast(image, i, j) for i in range(8) for j in range(8)
        }
        strong = sorted(
            (place for place, v in values.items() if v >= 0.2), key=lambda p: -values[p]
        )
        times |= {place: None for place in values}
        times |= {place: rank * steps // len(strong) for rank, place in enumerate(strong)}
    return times


def slow_first(weight, times, threshold, steps, size):
    """At each place the step, filter and potential of the first unit to spike, if one does."""
    first = {}
    for row in range(9 - size):
        for column in range(9 - size):
            potential = [0.0] * len(weight)
            for t in range(steps):
                for half in range(2):
                    for i in range(size):
                        for j in range(size):
                            if times[half, row + i, column + j] == t:
                                for f, w in enumerate(weight):
                                    potential[f] += w[half][i][j]
                if max(potential) >= threshold:
                    best = potential.index(max(potential))
                    first[row, column] = (t, best, potential[best])
                    break
    return first


def slow_learn(weight, times, first, a, apart, learnt, size):
    """Winners of one image, one after the other."""
    resting = [often >= 2 for often in learnt]
    free = {place: unit for place, unit in first.items() if not resting[unit[1]]}
    while free:
        (row, column), (t, f, _) = min(free.items(), key=lambda item: (item[1][0], -item[1][2]))
        for half in range(2):
            for i in range(size):
                for j in range(size):
                    when, w = times[half, row + i, column + j], weight[f][half][i][j]
                    share = a if when is not None and when <= t else -0.75 * a
                    weight[f][half][i][j] += share * w * (1 - w)
        learnt[f] += 1
        free = {
            (r, c): unit
            for (r, c), unit in free.items()
            if unit[1] != f and max(abs(r - row), abs(c - column)) > apart
        }


def test_it_is_the_loop_over_time_places_and_weights(digits):
    images, seen = digits.x_train[:40], 12
    # The same draws: first the weights, then one image after the other.
    random = torch.Generator().manual_seed(3)
    weight = 0.8 + 0.01 * torch.randn(6, 2, 3, 3, generator=random, dtype=torch.float64)
    weight, learnt = weight.tolist(), [0] * 6
    for number in range(seen):
        image = images[torch.randint(40, (1,), generator=random), 0][0].tolist()
        times = slow_times(image, 6)
        first = slow_first(weight, times, 5.4, 6, 3)
        learnt = learnt if number % 5 else [0] * 6
        slow_learn(weight, times, first, min(0.15, 0.02 * 2**number), 1, learnt, 3)
    front = SpikeFeatures(images, seen=seen, seed=3, **SETTINGS)
    expected = torch.tensor(weight, dtype=torch.float64)
    torch.testing.assert_close(front.weight, expected, rtol=1e-10, atol=1e-13)
    assert (expected - 0.8).abs().max() > 0.1  # drawn with a tenth of that
    for image, features in zip(digits.x_test[:5, 0], front(digits.x_test[:5])):
        first = slow_first(weight, slow_times(image.tolist(), 6), 5.4, 6, 3)
        maps = torch.zeros(6, 3, 3, dtype=torch.float64)  # cells of 2 x 2 places
        for (row, column), (_, f, _) in first.items():
            maps[f, row // 2, column // 2] = 1
        assert torch.equal(features, maps.flatten())


def test_weights_stay_between_0_and_1_and_go_to_both_ends(digits):
    front = SpikeFeatures(digits.x_train, filters=10, size=3, grid=3, seen=300, rate=0.15)
    assert front.weight.min() >= 0 and front.weight.max() <= 1
    assert front.weight.min() < 0.05 and front.weight.max() > 0.95


def test_one_unit_at_most_spikes_at_a_place_and_black_images_are_silent(digits):
    front = SpikeFeatures(digits.x_train, filters=8, size=3, grid=6, seen=50)  # a cell for a place
    maps = front(digits.x_test).unflatten(1, (8, 36))
    assert set(maps.unique().tolist()) == {0.0, 1.0} and maps.sum(1).max() == 1
    assert front(torch.zeros(2, 1, 8, 8, dtype=torch.float64)).sum() == 0
    assert front(torch.ones(2, 1, 12, 12, dtype=torch.float64))[:, :].max() == 1  # its border


def test_equal_parts_of_the_pixels_spike_at_each_step_the_strongest_first(digits):
    front = SpikeFeatures(digits.x_train, filters=2, size=3, grid=1, seen=1, time_steps=8)
    times = front.times(digits.x_train[:20])
    assert times.shape == (20, 2, 8, 8)
    for half in times.flatten(0, 1):
        counts = torch.bincount(half.flatten(), minlength=9)[:8]
        assert counts.max() - counts.min() <= 1
    brightest = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    brightest[0, 0, 4, 4], brightest[0, 0, 0, 8] = 1.0, 0.5
    found = front.times(brightest)[0, 0]
    assert found[4, 4] < found[0, 8] < 8


def test_each_colour_has_its_own_two_maps():
    images = torch.rand(10, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    front = SpikeFeatures(images, filters=4, size=3, grid=2, seen=5)
    assert front.weight.shape == (4, 6, 3, 3) and front.threshold == pytest.approx(0.3 * 54)
    times = front.times(images)
    grey = SpikeFeatures(images[:, :1], filters=4, size=3, grid=2, seen=1)
    assert torch.equal(times[:, [1, 4]], grey.times(images[:, 1:2]))


@pytest.mark.slow
def test_a_readout_tells_digits_apart_by_them_and_better_than_before_learning(digits):
    scores = []
    for seen in (1, 400):
        front = SpikeFeatures(digits.x_train, filters=30, size=3, grid=6, seen=seen)
        net = ERNetwork.dense([front.width, 10], dtype=torch.float64)
        random_features(net, front(digits.x_train), digits.y_train, readout_ridge=0.1)
        scores.append(net.score(front(digits.x_test), digits.y_test))
    assert scores[1] > 0.9 and scores[1] > scores[0]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"filters": 0}, "filters"),
        ({"size": 9}, "size: 9, the images are 8 x 8"),
        ({"grid": 7}, "grid: 7 cells, the map has 6"),
        ({"seen": 0}, "seen"),
        ({"time_steps": 0}, "time_steps"),
        ({"apart": -1}, "apart"),
        ({"rate": 0.2}, "rate"),
        ({"rate": 0}, "rate"),
        ({"threshold": 0}, "threshold"),
    ],
)
def test_bad_settings_are_named(digits, wrong, named):
    with pytest.raises(ValueError, match=f"^{named}"):
        SpikeFeatures(digits.x_train, **{**SETTINGS, **wrong})


def test_what_is_no_image_is_refused(digits):
    with pytest.raises(ValueError, match=r"^images: expected 4 axes"):
        SpikeFeatures(digits.x_train.flatten(1), size=3, grid=3)
