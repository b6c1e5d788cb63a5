"""The drawing of the method: what it says, and that it can be read."""

import itertools
import warnings

import matplotlib.pyplot as plt
import pytest
from matplotlib.text import Text

from erlib.notebook import plots
from erlib.notebook.paths import FIGURES
from erlib.notebook.schematic import main, schematic


@pytest.fixture
def drawing():
    figure = schematic()
    yield figure
    plt.close(figure)


def texts(figure):
    return [text for text in figure.findobj(Text) if text.get_text() and text.axes]


def test_each_verb_stands_where_backpropagation_has_its_factor(drawing):
    places = {}
    for text in texts(drawing):
        places.setdefault(text.get_text(), []).append(text.get_position())
    for ours, theirs in (("reflect", "slope"), ("invert", "transpose"), ("regress", "step")):
        apart = {
            (round(there[0] - here[0], 6), round(there[1] - here[1], 6))
            for here, there in zip(places[ours], places[theirs], strict=True)
        }
        assert len(apart) == 1 and apart.pop()[1] == 0, f"{ours} and {theirs} are side by side"
    assert len(places["reflect"]) == len(places["regress"]) == 2  # one a layer
    assert len(places["invert"]) == 1  # there is nothing below the first layer to hand down to


def test_what_a_factor_multiplies_is_a_change(drawing):
    said = [text.get_text() for text in texts(drawing)]
    assert said.count("$T-A_2$") == 2, "both begin with the error"
    for change in ("$H_2^*-H_2$", "$T_1-A_1$", "$H_1^*-H_1$"):
        assert change in said


def test_no_text_lies_on_another_or_leaves_the_picture(drawing):
    drawing.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(drawing)]
    for (one, here), (other, there) in itertools.combinations(boxes, 2):
        assert not here.overlaps(there), f"{one} on {other}"
    for name, box in boxes:
        assert drawing.bbox.contains(*box.min) and drawing.bbox.contains(*box.max), name


def test_letters_are_large_enough_at_700_pixels(drawing):
    for text in texts(drawing):
        pixels = text.get_fontsize() / 72 * 700 / drawing.get_figwidth()
        assert pixels > 10, text.get_text()


def test_it_brings_its_own_white_ground(drawing):
    assert drawing.get_facecolor() == (1, 1, 1, 1)


def test_it_can_be_saved_again_in_the_style_of_the_figures(tmp_path):
    with plt.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("error")  # constrained layout has nothing to lay out here
        plots.use_style()
        figure = schematic()
        for name in ("one.png", "two.png"):
            figure.savefig(tmp_path / name, dpi=50)
    plt.close(figure)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.slow
def test_the_committed_picture_is_this_one(tmp_path):
    main(tmp_path / "again.png")
    again, committed = (
        plt.imread(file) for file in (tmp_path / "again.png", FIGURES / "schematic.png")
    )
    assert again.shape == committed.shape
    assert abs(again - committed).mean() < 0.01, "python -m erlib.notebook.schematic"
