import pytest
from small_notebooks import write_notebook

from erlib import paths
from erlib.declared import Declared
from erlib.notebook_files import find_notebooks

PARAMETERS = 'hidden = 5\nrate = 0.1\nmode = "fast"\nseeds = [0, 1]\nlimit = None\nplain = 3'
CHECKS = """
import numpy
KNOWN = ["fast"]
KNOWN += ["slow"]
hidden = parameter(int, hidden=hidden, at_least=1)
rate = erlib.parameter(float, rate=rate, above=0)
mode = parameter(str, mode=mode, among=KNOWN)
seeds = parameter([int], seeds=seeds, at_least=0)
limit = parameter(list[str] | None, limit=limit, among=[*KNOWN, *computed()]) or []
"""


@pytest.fixture
def declared(place):
    return Declared(
        write_notebook("01_checks", "%matplotlib inline", CHECKS, parameters=PARAMETERS)
    )


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("hidden", 1e3, 1000),
        ("hidden", "7", 7),
        ("rate", 1, 1.0),
        ("mode", "slow", "slow"),
        ("seeds", [3], [3]),
        ("seeds", 3, [3]),
        ("plain", 4, 4),
        ("limit", ["anything"], ["anything"]),
    ],
)
def test_a_value_is_as_the_notebook_takes_it(declared, name, given, value):
    found = declared.value(name, given)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "given", "complaint"),
    [
        ("hidden", 0, "hidden is 0, allowed: an integer, at least 1"),
        ("hidden", "many", "hidden is 'many', allowed: an integer"),
        ("rate", 0, "rate is 0, allowed: a number, above 0"),
        ("mode", "slwo", r"mode is 'slwo', allowed: one of fast, slow \(did you mean 'slow'\?\)"),
        ("seeds", -1, r"seeds is -1, allowed: a list"),
        ("plain", "x", "plain is 'x', allowed: an integer"),
        (
            "hiden",
            1,
            r"01_checks has no parameter 'hiden' \(did you mean 'hidden'\?\); it has: hid",
        ),
    ],
)
def test_a_value_that_the_notebook_would_refuse_is_refused_now(declared, name, given, complaint):
    with pytest.raises(ValueError, match=complaint):
        declared.value(name, given)


@pytest.mark.parametrize("notebook", find_notebooks(), ids=lambda file: file.stem)
def test_each_parameter_of_the_companion_has_a_rule_that_its_default_obeys(notebook):
    declared = Declared(notebook)
    assert declared.defaults.keys() == declared._lines.keys()
    for name, default in declared.defaults.items():
        assert declared.value(name, default) in (default, [])  # [] for None


def test_the_rules_are_those_of_the_notebook_itself():
    declared = Declared(paths.NOTEBOOKS / "05_convolution.ipynb")
    with pytest.raises(ValueError, match=r"dtype is 'float16', allowed: one of float32, float64"):
        declared.value("dtype", "float16")
    with pytest.raises(ValueError, match=r"small_arms\[0\] is 'SGD', allowed: a list.*plain ER"):
        declared.value("small_arms", ["SGD"])
