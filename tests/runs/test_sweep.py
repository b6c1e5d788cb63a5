import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_notebooks import write_notebook

from erlib.notebook import paths
from erlib.runs.plan import plan, read_parameters
from erlib.runs.sweep import default_folder, plan_sweep, read_axis


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=1", [1]),
        ("a=1,2.5,x,true,null", [1, 2.5, "x", True, None]),
        ("a=0:3", [0, 1, 2]),
        ("a=10:0:-5,7", [10, 5, 7]),
        ("a=-2:1", [-2, -1, 0]),
        ("a=[1, 2],[3]", [[1, 2], [3]]),
        ("a='x, y',z", ["x, y", "z"]),
        ("a=1:30x", ["1:30x"]),
        ("a=run #3,a: b,@home", ["run #3", "a: b", "@home"]),
        ("a=don't,won't", ["don't", "won't"]),
        ("a={x: [1, 2]},'[',f[1,2],", [{"x": [1, 2]}, "[", "f[1,2]"]),
    ],
)
def test_values_of_an_axis(text, values):
    assert read_axis(text) == ("a", values)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a", "expected name=value"),
        ("=1", "expected name=value"),
        ("a b=1", "expected name=value"),
        ("a=", "no value"),
        ("a=1,,2", "nothing between commas"),
        ("a=3:3", "3:3 holds no number"),
        ("a=0:3:0", "0:3:0 holds no number"),
        ("a=[1", "grid a: cannot be read as YAML"),
    ],
)
def test_an_axis_that_means_nothing_is_refused(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        read_axis(text)


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-5, 5).filter(bool))
def test_a_count_is_pythons_range(start, end, step):
    expected = list(range(start, end, step))
    if expected:
        assert read_axis(f"n={start}:{end}:{step}") == ("n", expected)
    else:
        with pytest.raises(ValueError, match="holds no number"):
            read_axis(f"n={start}:{end}:{step}")


def ids(runs):
    return {run.id for run in runs}


def test_points_are_the_product_the_last_axis_fastest(three):
    runs = plan_sweep("1", ["hidden=1,2", "seeds=0:2"])
    assert [run.overrides for run in runs] == [
        {"hidden": 1, "seeds": [0]},
        {"hidden": 1, "seeds": [1]},
        {"hidden": 2, "seeds": [0]},
        {"hidden": 2, "seeds": [1]},
    ]
    assert runs[0].title == "hidden=1 seeds=0"
    assert runs[0].command.endswith("erlib run 01_first --profile quick -p hidden 1 -p seeds '[0]'")


def test_an_id_depends_on_the_parameters_alone(three):
    runs = plan_sweep("1", ["hidden=1,2", "seeds=0:2"])
    assert len(ids(runs)) == 4
    assert ids(plan_sweep("1", ["seeds=1,0", "hidden=2,1"])) == ids(runs), "order does not matter"
    assert ids(plan_sweep("1", ["hidden=2,1"], {"seeds": [0]})) < ids(runs)
    assert ids(plan_sweep("1", ["hidden=1e0,2"], {"seeds": "[0]"})) < ids(runs), (
        "nor how it is typed"
    )
    default = plan_sweep("1", [], {"hidden": 10})
    assert ids(default) == ids(plan_sweep("1", [])), "a default may be given or not"
    write_notebook("01_first", "pass", parameters="seeds = [0, 1]\nhidden: int = 11")
    assert ids(plan_sweep("1", [])) != ids(default), "another default is another point"


def test_a_point_that_is_given_twice_is_one(three):
    assert len(plan_sweep("1", ["hidden=1,1,1e0"])) == 1


def test_values_of_text_stay_as_they_are(place):
    write_notebook("01_text", parameters="title = 'x'\nany = None")
    runs = plan_sweep("1", ["title=007,1:30,true,[draft] x,'tis,'a, b','[',a#b"])
    titles = [run.overrides["title"] for run in runs]
    assert titles == ["007", "1:30", "true", "[draft] x", "'tis", "a, b", "[", "a#b"]
    again = plan_sweep("1", ["title=" + ",".join(_typed(run.title) for run in runs)])
    assert again == runs, "each point as it can be typed"


def _typed(title):
    (word,) = shlex.split(title.removeprefix("title="))
    return word


def test_true_is_another_value_than_1(place):
    write_notebook("01_any", parameters="any = None")
    runs = plan_sweep("1", ["any=1,true,0,false,1"])
    assert [repr(run.overrides["any"]) for run in runs] == ["1", "True", "0", "False"]
    assert len(ids(runs)) == 4


@pytest.mark.parametrize(
    ("selection", "axes", "fixed", "complaint"),
    [
        ("1", ["hiden=1"], {}, "did you mean 'hidden'"),
        ("1", ["hidden=1", "hidden=2"], {}, "hidden is given twice"),
        ("1", ["hidden=1"], {"hidden": 2}, "hidden is given twice"),
        ("1", ["hidden=big"], {}, "hidden is 'big', allowed: a number"),
        ("1", [], {"hidden": "big"}, "hidden is 'big', allowed: a number"),
        ("1-2", ["hidden=1"], {}, "means 2 notebooks"),
        ("1", ["hidden=0:9000", "seeds=0:9000"], {}, "81,000,000 points, allowed: 1,000,000"),
        ("7", ["hidden=1"], {}, "no notebook '7'"),
        ("3", ["hidden=1"], {}, "03_third has no parameter 'hidden'; it has none"),
    ],
)
def test_a_mistake_is_refused_before_anything_runs(three, selection, axes, fixed, complaint):
    with pytest.raises(ValueError, match=complaint):
        plan_sweep(selection, axes, fixed)


def test_a_notebook_of_ones_own(place):
    (place / "mine").mkdir()
    own = write_notebook("mine", parameters="n = 1").rename(place / "mine" / "study.ipynb")
    (run,) = plan_sweep("mine/study.ipynb", ["n=2"])
    assert run.notebook == own and run.id.startswith("study-")
    assert run.command == "erlib run mine/study.ipynb --profile quick -p n 2"
    assert [each.id for each in plan(["mine/study.ipynb"])] == ["study"]


def test_fixed_values_from_a_file(tmp_path):
    (tmp_path / "fixed.yaml").write_text("rate: 1e-3\nseeds: [1, 2]\n")
    assert read_parameters(tmp_path / "fixed.yaml") == {"rate": 0.001, "seeds": [1, 2]}
    (tmp_path / "fixed.yaml").write_text("")
    assert read_parameters(tmp_path / "fixed.yaml") == {}
    (tmp_path / "fixed.yaml").write_text("- 1")
    with pytest.raises(ValueError, match=r"fixed\.yaml is no mapping"):
        read_parameters(tmp_path / "fixed.yaml")


def test_the_same_folder_again_without_naming_it(three):
    assert default_folder(plan_sweep("1", [])) == paths.RUNS / "sweep-01_first"


def test_results_of_ones_own_notebook_are_kept_where_one_is(place, monkeypatch):
    (place / "mine").mkdir()
    write_notebook("mine", parameters="n = 1").rename(place / "mine" / "study.ipynb")
    monkeypatch.chdir(place / "mine")
    assert default_folder(plan_sweep("study.ipynb", [])) == place / "mine/runs/sweep-study"
