"""The parameters of a notebook: read from text as people mean it, checked before they are used.

papermill hands over what its command line makes of a value: ``-p plot false`` arrives as the text
"false", ``-p seeds '[1, 2]'`` as the text "[1, 2]".  The cell after ``parameters`` therefore passes
each one through :func:`parameter`, one line each::

    dataset = parameter(str, dataset=dataset, among=["digits", "mnist5k", "mnist"])
    seeds = parameter([int], seeds=seeds, at_least=0)
    hidden = parameter(int, hidden=hidden, at_least=1, at_most=20_000)
    ridge = parameter(float, ridge=ridge, at_least=0)
    limit = parameter(int | None, limit=limit, at_least=1)
"""

import contextlib
import difflib
import json
import math
import operator
import re
import types
import typing
from collections.abc import Callable, Collection, Iterable
from typing import Any

import yaml


class _Yaml12(yaml.SafeLoader):
    """YAML as its version 1.2 reads it: 1e-3 is a number, and yes, 1:30 and 2024-01-01 are text."""

    yaml_implicit_resolvers: typing.ClassVar[dict] = {}  # none of version 1.1


_SCALARS: list[tuple[re.Pattern, Callable]] = []  # (pattern, what it is converted by)


def _scalar(kind: str, pattern: str | re.Pattern, convert: Callable) -> None:
    _SCALARS.append((re.compile(pattern), convert))
    _Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(pattern), None)
    _Yaml12.add_constructor(
        f"tag:yaml.org,2002:{kind}", lambda loader, node: convert(loader.construct_scalar(node))
    )


# "None" is no YAML, but it is what a Python reader types.
NULL = re.compile(r"^(?:~|null|Null|NULL|None|)$")
_scalar("null", NULL, lambda text: None)
_scalar("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", lambda text: text.lower() == "true")
_scalar("int", r"^[-+]?[0-9]+(?:_[0-9]+)*$", int)
_scalar("float", r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$", float)


def from_text(text: str) -> Any:
    """The value that a piece of YAML stands for; text that is no YAML is refused.

    >>> from_text("1e-3"), from_text("false"), from_text("[1, 2]"), from_text("mnist")
    (0.001, False, [1, 2], 'mnist')

    Raises ValueError with the place of the mistake.
    """
    try:
        return yaml.load(text, Loader=_Yaml12)  # a SafeLoader: it builds plain values only
    except (yaml.YAMLError, RecursionError) as error:
        shown = repr(text if len(text) <= 60 else f"{text[:56]} ...")
        why = " ".join(str(error).split())
        raise ValueError(f"cannot be read as YAML: {shown} ({why})") from None


class Typed(str):
    """A value as it was typed, to be read (`from_typed`) once it is known what is wanted."""


QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\']|\'\')*\'', re.DOTALL)


def from_typed(text: str, as_text: bool = False) -> Any:
    """The value that a word of the command line stands for: it is no document of YAML.

    What begins with a bracket or a quote is JSON or YAML, anything else one plain value, or text as
    it is. Where text is wanted (``as_text``), all is text as it is, but for quotes around it.

    >>> from_typed("1e-3"), from_typed("[1, 2]"), from_typed("run #3"), from_typed('"3"')
    (0.001, [1, 2], 'run #3', '3')
    >>> from_typed("007", as_text=True), from_typed("'007'", as_text=True)
    ('007', '007')

    Raises ValueError with the place of the mistake.
    """
    bare = text if as_text else text.strip()
    if as_text and not QUOTED.fullmatch(text):
        return str(text)
    if not bare.startswith(("[", "{", '"', "'")):
        return next((convert(bare) for known, convert in _SCALARS if known.match(bare)), str(text))
    try:
        return json.loads(bare, parse_constant=from_text)  # YAML lacks some characters of JSON
    except (ValueError, RecursionError):
        pass
    try:
        return from_text(bare)
    except ValueError:
        if as_text:
            return str(text)
        raise


def typed(value: object) -> str:
    """A value in the form in which `from_typed` reads it back, whether text is wanted or not.

    >>> typed(3), typed("3"), typed([1, "a"]), typed("run #3")
    ('3', '"3"', '[1, "a"]', 'run #3')
    """
    if isinstance(value, str) and value.isprintable():
        try:
            if value and from_typed(value) == value == from_typed(value, as_text=True):
                return value
        except ValueError:
            pass
    return json.dumps(value, ensure_ascii=False)


def parameter(
    kind: Any,
    /,
    *,
    among: Collection | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    **named: Any,
) -> Any:
    """The value of one parameter, as ``kind``; ``named`` is that parameter, as ``name=value``.

    ``kind`` is int, float, bool, str, a list of one of them such as ``[int]``, or either with
    ``| None``.  Text is read as YAML where another kind is wanted; an integer is a valid float, and
    a float without fraction a valid int, but a bool is neither.  ``among`` lists the values
    allowed, ``at_least``, ``at_most`` and ``above`` bound a number; in a list they hold for each
    item.  A list holds at least one item.

    >>> parameter(bool, plot="false"), parameter([int], seeds="[1, 2]")
    (False, [1, 2])
    >>> parameter(float, ridge="1e-3", at_least=0)
    0.001
    >>> parameter(int, hidden=0, at_least=1)
    Traceback (most recent call last):
        ...
    ValueError: hidden is 0, allowed: an integer, at least 1

    Raises ValueError naming the parameter, what was found and what is allowed.
    """
    if len(named) != 1:
        raise TypeError(f"name one parameter, as in parameter(int, n=n), not {len(named)}")
    ((name, given),) = named.items()
    optional = isinstance(kind, types.UnionType)
    if optional:
        (kind,) = (each for each in typing.get_args(kind) if each is not type(None))
    (item,) = kind if isinstance(kind, list) else typing.get_args(kind) or (kind,)
    many = item is not kind

    value = given
    if isinstance(given, str) and (optional or kind is not str):
        with contextlib.suppress(ValueError):  # below, the text is complained of as it is
            value = from_text(given)
        if kind is str and value is not None:
            value = given
    if value is None and optional:
        return None
    bounds = {"among": among, "at_least": at_least, "at_most": at_most, "above": above}
    rules = {rule: bound for rule, bound in bounds.items() if bound is not None}
    allowed = _describe(item, many, optional, rules)
    if not many:
        return _one(name, value, item, rules, allowed)
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"{name} is {given!r}, allowed: {allowed}")
    return [_one(f"{name}[{i}]", one, item, rules, allowed) for i, one in enumerate(value)]


def suggestion(word: object, known: Iterable) -> str:
    """`` (did you mean 'hidden'?)`` for a word close to a known one, else nothing.

    >>> suggestion("hiden", ["hidden", "seeds"])
    " (did you mean 'hidden'?)"
    """
    close = difflib.get_close_matches(str(word), [str(each) for each in known], n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


_WORDS = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
_FITS: dict[str, Callable] = {
    "among": lambda value, known: value in known,
    "at_least": operator.ge,
    "at_most": operator.le,
    "above": operator.gt,
}


def _one(name: str, value: Any, item: type, rules: dict[str, Any], allowed: str) -> Any:
    """``value`` as an ``item``, or the error that says why not."""
    found = value
    if item is float and isinstance(value, int) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            value = float(value)
    elif item is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    right_kind = isinstance(value, item) and not (item is int and isinstance(value, bool))
    if right_kind and item is float:
        right_kind = math.isfinite(value)
    if not (right_kind and all(_FITS[rule](value, bound) for rule, bound in rules.items())):
        hint = suggestion(found, rules.get("among", ()))
        raise ValueError(f"{name} is {found!r}, allowed: {allowed}{hint}")
    return value


def _describe(item: type, many: bool, optional: bool, rules: dict[str, Any]) -> str:
    if "among" in rules:
        what = "one of " + ", ".join(map(str, rules["among"]))
    else:
        bounds = (f", {rule.replace('_', ' ')} {bound}" for rule, bound in rules.items())
        what = _WORDS[item] + "".join(bounds)
    return ("a list, each item " if many else "") + what + (", or None" if optional else "")
