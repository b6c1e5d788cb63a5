"""What a notebook says of its parameters: their defaults, and the rules of its `parameter` lines.

With them a batch refuses a wrong value before anything runs. The rules stay where they are, in the
notebook: its lines ``name = parameter(kind, name=name, ...)`` are found in its source and called
with the value in question. A line that needs what only the running notebook has (a list that it
computes) is left to the notebook.
"""

import ast
import contextlib
import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any

from ..notebook.code_state import PACKAGE
from ..notebook.parameters import NULL, Typed, from_typed, parameter, suggestion
from ..notebook.record import as_plain
from .notebooks import Assigned, cells, parameter_cells, parsed


class Declared:
    """The parameters of one notebook.

    `defaults` are as its cells of parameters leave them, what papermill injected included. One that
    takes more than plain Python to compute, or is no JSON, is given as its source text.
    """

    def __init__(self, notebook: Path) -> None:
        self.notebook = notebook
        found = parameter_cells(notebook)
        first: dict[str, Assigned] = {}
        last: dict[str, Assigned] = {}
        for _, assigned in found:
            first, last = assigned | first, last | assigned
        self.defaults = {name: each.default for name, each in last.items()}
        self._kinds = {name: _kind(each.value) for name, each in first.items() if each.literal}
        self._texts = {name: _texts(each.value) for name, each in first.items() if each.plain}
        # papermill puts the values given in place of the cell that it injected before, or else
        # after the first cell of parameters: they neither reach what a later one assigns, nor is
        # what the replaced one assigned still there.
        place = next((at for at, (injected, _) in enumerate(found) if injected), 0)
        self._late = {name for _, assigned in found[place + 1 :] for name in assigned}
        replaced = found[place][1] if found and found[place][0] else {}
        self._lost = {
            name: each.source
            for name, each in replaced.items()
            if each.carried is None and not each.plain
        }
        self._rules: dict[str, CodeType] = {}
        self._known: dict[str, Any] = {"parameter": parameter}
        self._known["erlib"] = SimpleNamespace(parameter=parameter)
        for statement in _statements(notebook):
            name, call = _rule(statement)
            if call and name in self.defaults:
                kind = ast.unparse(call.args[0])
                self._rules[name] = compile(ast.Expression(call), "<notebook>", "eval")
                self._texts[name] = kind if kind.removesuffix(" | None") in _TEXTS else ""
            elif isinstance(statement, ast.ImportFrom) and statement.module == "erlib.studies":
                for each in statement.names:
                    self._known[each.asname or each.name] = _plain_values(each.name)
            else:
                _assign(statement, self._known)

    def takes_text(self, name: str, typed: str) -> bool:
        """Whether what was typed for a parameter is text as it stands, whatever it looks like."""
        wanted = self._texts.get(name, "")
        if wanted.endswith("None") and NULL.match(typed.strip()):
            return False
        return bool(wanted) and not ("[" in wanted and typed.lstrip().startswith("["))

    def value(self, name: str, given: Any) -> Any:
        """The value that the notebook will use, as it takes it: 1e3 for an integer is 1000.

        What was `Typed` is read as what is wanted; one value of a list is a list of one. Raises
        ValueError naming the parameter, what was found and what is allowed, or the parameters that
        there are.
        """
        if name not in self.defaults:
            has = f"it has: {', '.join(self.defaults)}"
            if not self.defaults:
                has = "it has none: no cell is tagged 'parameters'"
            hint = suggestion(name, self.defaults)
            raise ValueError(f"{self.notebook.stem} has no parameter {name!r}{hint}; {has}")
        if name in self._late:
            raise ValueError(
                f"no value of {name} arrives: a later cell of parameters sets it again"
            )
        try:
            given = self._read(name, given) if isinstance(given, Typed) else given
            given = as_plain(name, given)
        except RecursionError:
            raise ValueError(f"{name} is a list that holds itself") from None
        try:
            return as_plain(name, self._checked(name, given))
        except ValueError:
            if given is not None and not isinstance(given, list):
                with contextlib.suppress(ValueError):
                    return as_plain(name, self._checked(name, [given]))
            raise

    def values(self, given: dict[str, Any]) -> dict[str, Any]:
        """All of a dict of values, checked."""
        return {name: self.value(name, value) for name, value in given.items()}

    def refuse_to_lose(self, given: Collection[str]) -> None:
        """Raise ValueError if these parameters would replace what cannot be handed over again."""
        lost = [f"{name} = {source}" for name, source in self._lost.items() if name not in given]
        if given and lost:
            raise ValueError(
                f"{lost[0]} would be lost: papermill replaces the cell that it injected before; "
                "move the line to the cell of parameters, or give it a value"
            )

    def _read(self, name: str, typed: str) -> Any:
        text = self.takes_text(name, typed)
        try:
            value = from_typed(typed, as_text=text)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
        return [value] if text and "[" in self._texts[name] else value

    def _checked(self, name: str, given: Any) -> Any:
        if name in self._rules:
            try:
                return eval(self._rules[name], self._known | {name: given})
            except ValueError:
                raise
            except Exception:
                pass  # it needs what only the running notebook has
        default, kind = self.defaults[name], self._kinds.get(name)
        if json.dumps(given) == json.dumps(default):
            return given
        if kind:
            return kind(name, given)
        if given is None or isinstance(given, (list, dict)) or not isinstance(default, list):
            return given
        nested = any(isinstance(item, (list, dict)) for item in default)
        return given if nested or not default else [given]


_TEXTS = ("str", "[str]", "list[str]")


def _texts(value: object) -> str:
    """``str`` for text, ``[str]`` for a list of texts, else nothing."""
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) for item in value):
        return "[str]"
    return "str" if isinstance(value, str) else ""


def _kind(value: Any) -> Callable[[str, Any], Any] | None:
    """What checks that another value is of the kind of this one.

    A kind is a bool, text, a number, or a list of one of them; None stands for all else, in place
    of which anything is allowed.
    """
    many = isinstance(value, (list, tuple))
    kinds = {type(item) for item in (value if many else [value])}

    if kinds in ({bool}, {str}, {float}):
        (kind,) = kinds
        return lambda name, given: parameter([kind] if many else kind, **{name: given})

    def number(name: str, given: Any) -> Any:
        """In place of an integer, one if it is one, such as 1e3."""
        if many:
            found = parameter([float], **{name: given})
            items = given if isinstance(given, list) else found
            return [int(i) if kinds == {int} and float(i).is_integer() else i for i in items]
        with contextlib.suppress(ValueError):
            return parameter(int, **{name: given})
        return parameter(float, **{name: given})

    return number if kinds in ({int}, {int, float}) else None


def _statements(notebook: Path) -> Iterator[ast.stmt]:
    """Statements of the code cells, of those that are Python."""
    for cell in cells(notebook):
        if cell.cell_type == "code" and "parameter" in cell.source:
            try:
                for statement in parsed(cell.source)[0]:
                    yield from _one_by_one(statement)
            except (SyntaxError, ValueError):
                continue


def _assign(statement: ast.stmt, known: dict[str, Any]) -> None:
    """Do what a plain assignment does, such as of the list of allowed names."""
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and not _calls(statement):
        with contextlib.suppress(Exception):
            exec(compile(ast.Module([statement], []), "<notebook>", "exec"), known)


def _plain_values(study: str) -> SimpleNamespace:
    """What a module of `erlib.studies` assigns without calling anything; it is not loaded."""
    known: dict[str, Any] = {}
    with contextlib.suppress(OSError):
        source = (PACKAGE / "studies" / f"{study}.py").read_text(encoding="utf-8")
        for statement in ast.parse(source).body:
            _assign(statement, known)
    return SimpleNamespace(**{name: known[name] for name in known if name.isupper()})


def _one_by_one(statement: ast.stmt) -> Iterator[ast.stmt]:
    """``a, b = x, y`` as ``a = x`` and ``b = y``; any other statement as it is."""
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Tuple):
        (*_, target), values = statement.targets, statement.value.elts
        if isinstance(target, ast.Tuple) and len(target.elts) == len(values):
            for name, value in zip(target.elts, values):
                yield ast.copy_location(ast.Assign([name], value), statement)
            return
    yield statement


def _rule(statement: ast.stmt) -> tuple[str, ast.Call | None]:
    """The name that a line ``name = parameter(kind, name=name, ...)`` checks, and this call."""
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        name = statement.targets[0].id
        for call in _calls(statement):
            function = getattr(call.func, "id", None) or getattr(call.func, "attr", None)
            if function == "parameter" and call.args and name in {k.arg for k in call.keywords}:
                return name, call
    return "", None


def _calls(statement: ast.stmt) -> list[ast.Call]:
    return [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
