import nbformat
import pytest
from nbformat.v4 import new_code_cell
from small_notebooks import write_notebook

from erlib.notebook import paths
from erlib.notebook.parameters import Typed
from erlib.runs.declared import Declared
from erlib.runs.notebooks import find_notebooks

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
        ("plain", "x", "plain is 'x', allowed: a number"),
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
    assert declared.defaults.keys() == declared._rules.keys()
    for name, default in declared.defaults.items():
        assert declared.value(name, default) in (default, [])  # [] for None


def test_the_rules_are_those_of_the_notebook_itself():
    declared = Declared(paths.NOTEBOOKS / "07_convolution.ipynb")
    with pytest.raises(ValueError, match=r"dtype is 'float16', allowed: one of float32, float64"):
        declared.value("dtype", "float16")
    with pytest.raises(ValueError, match=r"small_arms\[0\] is 'SGD', allowed: a list.*plain ER"):
        declared.value("small_arms", ["SGD"])


DEFAULTS = """
n = 1
rate = 0.5
flag = True
title = "x"
seeds = [0, 1]
rates = [0.1, 1.0]
mixed = [0, 0.5, 1.0]
names = ("a", "b")
nothing = None
nested = [[50], [100, 100]]
maybe = [None, 3]
empty = []
table = {"a": 1}
power = 2**5
counted = list(range(3))
unknown = open
cap = 1e999
"""


@pytest.fixture
def unruled(place):
    return Declared(write_notebook("01_a", parameters=DEFAULTS))


def test_a_default_passes_its_own_check(unruled):
    for name, default in unruled.defaults.items():
        found = unruled.value(name, default)
        assert repr(found) == repr(default), name


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("n", "1e3", 1000),
        ("n", "0.5", 0.5),
        ("rate", "1", 1.0),
        ("title", "run #3", "run #3"),
        ("title", "007", "007"),
        ("title", "true", "true"),
        ("title", "[draft] x", "[draft] x"),
        ("title", "'tis", "'tis"),
        ("title", '"007"', "007"),
        ("seeds", "3", [3]),
        ("seeds", "[0.5, 1e3]", [0.5, 1000]),
        ("rates", "[1, 2]", [1.0, 2.0]),
        ("mixed", "[1, 2.0]", [1, 2.0]),
        ("names", "007", ["007"]),
        ("names", "- x", ["- x"]),
        ("names", "[a, b]", ["a", "b"]),
        ("nothing", "@home", "@home"),
        ("nothing", "- x", "- x"),
        ("nothing", "3", 3),
        ("nothing", "{a: [1]}", {"a": [1]}),
        ("nested", "[[10]]", [[10]]),
        ("maybe", "4", [4]),
        ("maybe", "[x]", ["x"]),
        ("empty", "[]", []),
        ("table", "5", 5),
        ("power", "big", "big"),
        ("counted", "7", [7]),
        ("unknown", "null", None),
        ("cap", "5", 5.0),
    ],
)
def test_what_is_typed_is_read_as_what_is_wanted(unruled, name, typed, value):
    assert repr(unruled.value(name, Typed(typed))) == repr(value)


@pytest.mark.parametrize(
    ("name", "typed", "complaint"),
    [
        ("n", "1e999", "n is inf"),
        ("nothing", "{a: [1e999]}", r"nothing\.a\[0\] is inf"),
        ("nothing", "[1", "nothing cannot be read as YAML"),
        ("nothing", "[" * 2000, "nothing cannot be read as YAML"),
        ("nothing", "[!!timestamp 2024-01-01]", r"nothing\[0\] is of type date"),
        ("nothing", "{1: 2}", "nothing has the key 1"),
        ("nothing", "[&a [*a]]", "nothing is a list that holds itself"),
        ("rate", "1" + "0" * 400, "allowed: a number"),
        ("flag", "1", "flag is 1, allowed: true or false"),
        ("seeds", "[true]", r"seeds\[0\] is True"),
        ("mixed", "[x]", r"mixed\[0\] is 'x', allowed: a list, each item a number"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(unruled, name, typed, complaint):
    with pytest.raises(ValueError, match=complaint):
        unruled.value(name, Typed(typed))


def test_a_rule_says_what_is_wanted(place):
    lines = """%matplotlib inline
title = parameter(str | None, title=title)
names = parameter([str] | None, names=names) or ["all"]
twice = 2 * parameter(int, twice=twice)"""
    parameters = "title = names = None\ntwice = 3"
    declared = Declared(write_notebook("01_a", lines, parameters=parameters))
    assert declared.value("title", Typed("007")) == "007"
    assert declared.value("title", Typed("null")) is declared.value("names", Typed("null")) is None
    assert declared.value("names", Typed("true")) == ["true"]
    assert declared.value("twice", Typed("5")) == 5, "as the line takes it, not what it makes of it"


def test_what_was_injected_counts_as_the_defaults(place):
    def declared(*sources):
        file = write_notebook("01_a", "pass")
        content = nbformat.read(file, 4)
        content.cells[:0] = [
            new_code_cell(source, metadata={"tags": [tag]}) for tag, source in sources
        ]
        nbformat.write(content, file)
        return Declared(file)

    given = ("parameters", "n = None\nrate = 0.5"), ("injected-parameters", "n = 5\nown = 1")
    assert declared(*given).defaults == {"n": 5, "rate": 0.5, "own": 1}
    assert declared(*given).value("n", "text") == "text", "the notebook itself says what it may be"
    assert declared(given[1]).defaults == {"n": 5, "own": 1}
    late = declared(*given[::-1])
    assert late.defaults == {"n": None, "own": 1, "rate": 0.5}
    with pytest.raises(ValueError, match="a later cell of parameters sets it again"):
        late.value("n", 3)
    lost = declared(given[0], ("injected-parameters", "n = {1}"))
    lost.refuse_to_lose({})
    lost.refuse_to_lose({"n": 1})
    with pytest.raises(ValueError, match=r"n = \{1\} would be lost"):
        lost.refuse_to_lose({"rate": 1})


def test_two_parameters_on_a_line_have_their_own_rules(place):
    lines = "a, b = parameter(int, a=a, at_least=1), parameter(str, b=b, among=['x', 'y'])"
    declared = Declared(write_notebook("01_a", lines, parameters="a = 1\nb = 'x'"))
    with pytest.raises(ValueError, match="a is 0, allowed: an integer, at least 1"):
        declared.value("a", 0)
    with pytest.raises(ValueError, match="b is 'z', allowed: one of x, y"):
        declared.value("b", "z")
