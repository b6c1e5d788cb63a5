import pytest
from hypothesis import given as given_some
from hypothesis import strategies as st

from erlib.notebook.parameters import from_text, from_typed, parameter, suggestion, typed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1.0e-3", 1e-3),
        (".5", 0.5),
        ("-2.", -2.0),
        ("3", 3),
        ("010", 10),  # 8 in YAML 1.1
        ("false", False),
        ("True", True),
        ("null", None),
        ("None", None),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("mnist", "mnist"),
        ('"3"', "3"),
        ("[1, 2e1, a]", [1, 20.0, "a"]),
        ("lr: 1e-3", {"lr": 1e-3}),
    ],
)
def test_text_means_what_a_reader_takes_it_for(text, value):
    found = from_text(text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("text", ["[1, 2", "a: b: c", "!!python/object/apply:os.getcwd []"])
def test_text_that_is_no_yaml_is_refused(text):
    with pytest.raises(ValueError, match="cannot be read as YAML"):
        from_text(text)


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        # what papermill's command line passes
        (bool, "false", False),
        (float, "1e-3", 1e-3),
        ([int], "[1, 2]", [1, 2]),
        ([str], "[mnist, digits]", ["mnist", "digits"]),
        (int, "1e3", 1000),
        (int | None, "null", None),
        # what is right already
        (bool, True, True),
        (int, 3, 3),
        (float, 3, 3.0),
        (int, 3.0, 3),
        ([int], (1, 2), [1, 2]),
        (list[float], [1, 2.5], [1.0, 2.5]),
        (list[float] | None, None, None),
        (str, "mnist", "mnist"),
        (str, "3", "3"),
        (str, "null", "null"),
        (str | None, "mnist", "mnist"),
        (str | None, None, None),
    ],
)
def test_values_become_what_is_wanted(kind, given, value):
    found = parameter(kind, p=given)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "given", "rules", "complaint"),
    [
        (int, "many", {}, "p is 'many', allowed: an integer"),
        (int, 1.5, {}, "p is 1.5, allowed: an integer"),
        (int, True, {}, "p is True, allowed: an integer"),
        (float, True, {}, "p is True, allowed: a number"),
        (float, float("nan"), {}, "p is nan, allowed: a number"),
        (float, float("inf"), {}, "p is inf"),
        (bool, 1, {}, "p is 1, allowed: true or false"),
        (bool, "no", {}, "p is 'no', allowed: true or false"),
        (str, 3, {}, "p is 3, allowed: text"),
        (int, None, {}, "p is None, allowed: an integer"),
        (int, 0, {"at_least": 1}, "p is 0, allowed: an integer, at least 1"),
        (int, 9, {"at_least": 1, "at_most": 8}, "at least 1, at most 8"),
        (float, "0", {"above": 0}, "p is 0, allowed: a number, above 0"),
        (int | None, 0, {"at_least": 1}, "allowed: an integer, at least 1, or None"),
        (str, "mnsit", {"among": ["digits", "mnist"]}, "one of digits, mnist.*mean 'mnist'"),
        ([int], 3, {}, "p is 3, allowed: a list, each item an integer"),
        ([int], "3", {}, "p is '3', allowed: a list"),
        ([int], [], {}, "p is \\[\\], allowed: a list"),
        ([int], [0, -1], {"at_least": 0}, "p\\[1\\] is -1, allowed: a list"),
        ([int], "[1, 2", {}, "allowed: a list"),
        ([str], ["mnist", "cifar"], {"among": ["mnist"]}, "p\\[1\\] is 'cifar'"),
    ],
)
def test_errors_name_the_parameter_what_was_found_and_what_is_allowed(
    kind, given, rules, complaint
):
    with pytest.raises(ValueError, match=complaint):
        parameter(kind, p=given, **rules)


def test_exactly_one_parameter_is_named():
    with pytest.raises(TypeError, match="name one parameter"):
        parameter(int, a=1, b=2)
    with pytest.raises(TypeError, match="name one parameter"):
        parameter(int)


def test_no_suggestion_for_a_word_like_none():
    assert suggestion("zzz", ["hidden"]) == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("run #3", "run #3"),
        ("#ff0000", "#ff0000"),
        ("a: b", "a: b"),
        ("@home", "@home"),
        ("- x", "- x"),
        ("!x &y *z", "!x &y *z"),
        (" 3 ", 3),
        ("null", None),
        ("{a: 1}", {"a": 1}),
        ("'x, y'", "x, y"),
        ('"\\ud83d\\ude00"', "😀"),
    ],
)
def test_what_is_typed_is_no_document(text, value):
    assert from_typed(text) == value


TEXT = st.text(max_size=12) | st.text("\"'[]{}#:, -0123e.nul\\\ud8ff\x7f", max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner | TEXT) | st.dictionaries(TEXT, inner | TEXT),
    max_leaves=6,
)


@given_some(TEXT, VALUES)
def test_what_is_shown_can_be_typed(text, value):
    assert from_typed(typed(text)) == from_typed(typed(text), as_text=True) == text
    assert repr(from_typed(typed(value))) == repr(value)
