"""Planned runs."""

import shlex

import pytest
from small_notebooks import write_notebook, write_settings

from erlib.notebook.parameters import Typed
from erlib.runs.plan import plan


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [
        ([], [1, 2, 3]),
        (["3"], [3]),
        (["03"], [3]),
        (["2-3"], [2, 3]),
        (["3", "1", "1-1"], [1, 3]),
        (["02_second"], [2]),
        (["notebooks/02_second.ipynb"], [2]),
    ],
)
def test_selection_in_the_order_of_the_numbers(three, selection, numbers):
    assert [int(each.id[:2]) for each in plan(selection)] == numbers


def test_an_unknown_selection_lists_what_exists(three):
    with pytest.raises(ValueError, match=r"'03_thrid'.*mean '03_third'.*01_first, 02_second"):
        plan(["03_thrid"])
    with pytest.raises(ValueError, match="no notebook '4-9'"):
        plan(["4-9"])


def test_a_misspelt_parameter_is_refused_with_a_suggestion(three):
    with pytest.raises(ValueError, match=r"01_first has no parameter 'hiden' \(did you mean 'hi"):
        plan(["1"], overrides={"hiden": 5})


def test_a_parameter_must_belong_to_every_selected_notebook(three):
    assert [each.parameters["hidden"] for each in plan(["1-2"], overrides={"hidden": 5})] == [5, 5]
    with pytest.raises(ValueError, match="03_third has no parameter 'hidden'; it has none"):
        plan(overrides={"hidden": 5})


def test_full_profile_is_one_run_for_each_yaml(three):
    write_settings("01_first", "seeds: [0, 1, 2, 3, 4]\n")
    write_settings("01_first.fashion", "hidden: 1e3\n")
    runs = plan(profile="full", overrides=None)
    assert [each.id for each in runs] == ["01_first", "01_first.fashion", "02_second", "03_third"]
    assert runs[0].parameters == {"seeds": [0, 1, 2, 3, 4], "hidden": 10}
    assert runs[1].parameters == {"seeds": [0, 1], "hidden": 1000}
    assert runs[2].parameters == {"hidden": 20}
    assert [each.id for each in plan(["01_first.fashion"], profile="full")] == ["01_first.fashion"]
    assert len(plan(["1"], profile="full")) == 2
    assert len(plan(["1"])) == 1, "quick takes no yaml"


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("01_first", "sedes: [1]", "01_first has no parameter 'sedes'.*mean 'seeds'"),
        ("01_frist", "seeds: [1]", "full/01_frist.yaml belongs to no notebook"),
        ("01_first", "- seeds", "full/01_first.yaml is no mapping"),
        ("01_first", "seeds: [1", "full/01_first.yaml cannot be read as YAML"),
    ],
)
def test_a_mistake_in_a_yaml_file_is_refused(three, name, text, complaint):
    write_settings(name, text)
    with pytest.raises(ValueError, match=complaint):
        plan(profile="full")


def test_the_command_repeats_the_run(three):
    overrides = {"seeds": [1, 2], "hidden": 1e3}
    command = plan(["1"], profile="full", overrides=overrides)[0].command
    assert command == "erlib run 01_first --profile full -p seeds '[1, 2]' -p hidden 1000"
    write_notebook("04_text", parameters="name = 'x'")
    tricky = plan(["4"], overrides={"name": "3"})[0].command
    assert tricky.endswith("""-p name '"3"'"""), "text that looks like a number stays text"


@pytest.mark.parametrize("text", ["007", "a: b", "[x] y", "'tis", '"q"', " x ", "", "é\n\udce9"])
def test_the_command_repeats_a_text(place, text):
    write_notebook("01_text", parameters="title = 'x'\nany = None")
    overrides = {"title": text, "any": text}
    words = shlex.split(plan(["1"], overrides=overrides)[0].command)[5:]
    given = dict(zip(words[1::3], map(Typed, words[2::3])))
    assert plan(["1"], overrides=given)[0].overrides == overrides


@pytest.fixture
def same_name(three, place):
    """Notebooks in two folders with the name of one of the companion, and of one another."""
    for folder in ("a", "b"):
        (place / folder).mkdir()
        for name in ("01_first", "train"):
            file = write_notebook(name, parameters="hidden = 1")
            file.rename(place / folder / file.name)
    write_notebook("01_first", parameters="hidden = 1")


def test_two_notebooks_of_one_name_are_refused(same_name):
    with pytest.raises(ValueError, match=r"a/train\.ipynb and .*b/train\.ipynb have one name"):
        plan(["a/train.ipynb", "b/train.ipynb"])
    with pytest.raises(ValueError, match=r"a/01_first\.ipynb and .*notebooks/01_first\.ipynb have"):
        plan(["1", "a/01_first.ipynb"])
    assert [run.id for run in plan(["a/train.ipynb", "2", "b/../a/train.ipynb"])] == [
        "train",
        "02_second",
    ]


def test_a_path_is_that_file_and_no_other(same_name):
    assert plan(["a/01_first.ipynb"])[0].place == ""
    assert plan(["notebooks/01_first"])[0].place == "notebooks/01_first.ipynb"
    with pytest.raises(ValueError, match=r"there is no file c/01_first\.ipynb"):
        plan(["c/01_first.ipynb"])
