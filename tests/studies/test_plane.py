"""Two moons: the study is the method it names, and says what notebook 00 says of it."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from erlib import reflect, regress
from erlib.notebook.paths import ROOT
from erlib.studies import plane


def errors(method, updates, networks=5, **settings):
    found = [
        plane.compared(method=method, seed=seed, updates=updates, **settings)
        for seed in range(networks)
    ]
    return [
        100 * (1 - np.mean([rows[k]["accuracy"] for rows in found])) for k in range(len(updates))
    ]


def test_points_are_centred_and_half_of_them_of_each_class():
    points = plane.moons(samples=300)
    assert points.x.shape == (300, 2) and abs(points.x.mean()) < 0.05
    assert sorted(points.t.unique().tolist()) == [-1, 1] and points.t.mean() == 0
    assert points.x[points.t[:, 0] == -1, 1].mean() > points.x[points.t[:, 0] == 1, 1].mean()


def test_the_boundary_itself_counts_half():
    points = plane.moons(samples=50)
    assert plane.accuracy(lambda x: torch.zeros(len(x), 1, dtype=x.dtype), points) == 0.5
    assert plane.accuracy(lambda _: points.t, points) == 1
    assert plane.accuracy(lambda _: -points.t, points) == 0


def test_random_features_learn_by_a_reflection_and_a_regression_of_the_readout():
    points, net = plane.moons(), plane.network(seed=3)
    (learned,) = plane.learned("random features", points, (1,), seed=3)
    below, fields = (part[-1].detach() for part in net.trace(points.x))
    weight, bias = regress(below, reflect(fields, points.t), ridge=1e-5)
    torch.testing.assert_close(learned(points.x), below @ weight + bias)


def test_gradient_descent_goes_downhill_and_all_begin_alike():
    points = plane.moons()
    before, after = plane.learned("gradient descent", points, (0, 1), rate=0.01)
    loss = [(points.t - f(points.x).tanh()).square().mean() for f in (before, after)]
    assert loss[1] < loss[0]
    (start,) = plane.learned("ER", points, (0,))
    assert torch.equal(start(points.x), before(points.x))


def test_er_leads_at_first_and_gradient_descent_in_the_end():
    er, descent = errors("ER", (1, 50), 3), errors("gradient descent", (1, 50), 3)
    assert er[0] < descent[0] - 5
    assert descent[1] < er[1] - 0.5


@pytest.mark.slow
def test_the_rate_is_the_best_of_those_tried():
    found = {
        rate: errors("gradient descent", (5,), networks=20, rate=rate)[0] for rate in plane.RATES
    }
    assert min(found, key=found.get) == plane.RATE


def test_pictures_name_methods_and_errors():
    figure = plane.boundaries((0, 1), samples=60)
    titles = [axes.get_title() for axes in figure.axes]
    assert [axes.get_ylabel().replace("\n", " ") for axes in figure.axes[::2]] == [*plane.METHODS]
    assert titles[0].startswith("0 updates: ") and titles[1].startswith("1 update: ")
    assert titles[4] == "0 updates: 50 % wrong", "a line that is not there yet"
    plt.close(figure)


def test_the_committed_animation_is_small_and_moves():
    file = ROOT / "docs/plane.gif"
    assert file.stat().st_size < 400_000
    with Image.open(file) as moving:
        assert moving.n_frames >= len(plane.MOVING)
        assert moving.info["loop"] == 0, "for ever"
