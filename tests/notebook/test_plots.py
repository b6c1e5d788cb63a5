import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from erlib.notebook import plots


@pytest.fixture
def axes():
    with plt.style.context("default"):
        figure, axes = plt.subplots()
        yield axes
        plt.close(figure)


def test_save_writes_the_same_bytes_for_the_same_figure(axes, tmp_path, monkeypatch):
    axes.plot([1, 2, 3])
    contents = []
    for folder in ("a", "b"):
        monkeypatch.setenv("ERLIB_FIGURES", str(tmp_path / folder))
        plots.save(axes.figure, "line")
        files = sorted((tmp_path / folder).iterdir())
        assert [file.name for file in files] == ["line.png"]
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]
    monkeypatch.delenv("ERLIB_FIGURES")
    monkeypatch.chdir(tmp_path)
    plots.save(axes.figure, "line")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"], "in the notebook alone"


def test_curve_draws_means_in_order_with_intervals(axes):
    rows = [{"n": n, "v": n + s} for n in (10, 1) for s in (-1.0, 1.0)]
    drawn = plots.curve(axes, rows, "n", "v", "label")
    np.testing.assert_allclose(drawn[0].get_xydata(), [[1, 1], [10, 10]])
    low, high = drawn[2][0].get_segments()[0][:, 1]
    assert low < 0 and high > 2  # Student's t with one degree of freedom is wider than the data


def test_image_grid_places_each_unit_and_scales_symmetrically(axes):
    weight = torch.arange(12.0).reshape(4, 3) - 6
    plots.image_grid(axes, weight, (2, 2), count=3, columns=2)
    image = axes.get_images()[0]
    shown = np.asarray(image.get_array().filled(np.nan))
    np.testing.assert_array_equal(shown[:2, 3:5].ravel(), weight[:, 1].numpy())
    assert image.norm.vmin == -image.norm.vmax


def test_style_is_readable_by_matplotlib():
    with plt.style.context("default"):
        plots.use_style()
        assert plt.rcParams["axes.grid"]


@pytest.mark.parametrize("axis", ["x", "y"])
def test_log_scale_has_plain_numbers_at_1_2_5(axes, axis):
    axes.plot([0.1, 7, 30], [0.1, 7, 30])
    plots.log_scale(axes, axis)
    axes.figure.canvas.draw()
    ticks, other = (axes.xaxis, axes.yaxis) if axis == "x" else (axes.yaxis, axes.xaxis)
    assert (ticks.get_scale(), other.get_scale()) == ("log", "linear")
    low, high = ticks.get_view_interval()
    shown = [tick.get_text() for tick in ticks.get_ticklabels()]
    within = [text for text in shown if low <= float(text) <= high]
    assert within == ["0.1", "0.2", "0.5", "1", "2", "5", "10", "20"]
    assert not len(ticks.get_minorticklocs())
