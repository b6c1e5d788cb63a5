"""What a notebook says of its parameters: their defaults, and the rules of its `parameter` lines.

With them a batch refuses a wrong value before anything runs. The rules stay where they are, in the
notebook: its lines ``name = parameter(kind, name=name, ...)`` are found in its source and called
with the value in question. A line that needs what only the running notebook has (a list that it
computes) is left to the notebook.
"""

import ast
import builtins
from types import SimpleNamespace

from .notebook_files import cells, declared_parameters
from .parameters import parameter, suggestion


class Declared:
    """The parameters of one notebook.

    Attributes
    ----------
    notebook : Path
    defaults : dict
        Name and default of each, as in the cell tagged ``parameters``.
    """

    def __init__(self, notebook):
        self.notebook = notebook
        self.defaults = declared_parameters(notebook)
        self._lines = {}
        self._known = {"parameter": parameter, "erlib": SimpleNamespace(parameter=parameter)}
        for statement in _statements(notebook):
            name = _checked_name(statement)
            if name in self.defaults:
                self._lines[name] = _compiled(statement)
            elif isinstance(statement, (ast.Assign, ast.AugAssign)) and not _calls(statement):
                _try(_compiled(statement), self._known)  # such as the list of allowed names

    def value(self, name, given):
        """The value that the notebook will use, as it takes it: 1e3 for an integer is 1000.

        One value of a list is a list of one. Raises ValueError naming the parameter, what was found
        and what is allowed, or the parameters that there are.
        """
        if name not in self.defaults:
            known = self.defaults
            none = "it has none: no cell is tagged 'parameters'"
            has = f"it has: {', '.join(known)}" if known else none
            hint = suggestion(name, known)
            raise ValueError(f"{self.notebook.stem} has no parameter {name!r}{hint}; {has}")
        try:
            return self._checked(name, given)
        except ValueError as error:
            if given is None or isinstance(given, list):
                raise
            try:
                return self._checked(name, [given])
            except ValueError:
                raise error from None

    def values(self, given):
        """All of a dict of values, checked."""
        return {name: self.value(name, value) for name, value in given.items()}

    def _checked(self, name, given):
        namespace = dict(self._known) | {name: given}
        if name in self._lines and _try(self._lines[name], namespace):
            return namespace[name]
        default = self.defaults[name]
        if type(default) in (bool, int, float, str):
            return parameter(type(default), **{name: given})
        if isinstance(default, list) and default:
            return parameter([type(default[0])], **{name: given})
        return given


def _statements(notebook):
    """Statements of the code cells, of those that are plain Python."""
    for cell in cells(notebook):
        if cell.cell_type == "code" and "parameter" in cell.source:
            try:
                yield from ast.parse(cell.source).body
            except SyntaxError:  # a magic
                continue


def _checked_name(statement):
    """The name that a line ``name = parameter(kind, name=name, ...)`` checks, else None."""
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
        return None
    name = statement.targets[0].id
    for call in _calls(statement):
        keywords = {keyword.arg for keyword in call.keywords}
        function = getattr(call.func, "id", None) or getattr(call.func, "attr", None)
        if function == "parameter" and name in keywords:
            return name
    return None


def _calls(statement):
    return [node for node in ast.walk(statement) if isinstance(node, ast.Call)]


def _compiled(statement):
    return compile(ast.Module([statement], []), "<notebook>", "exec")


def _try(code, namespace):
    """Run one line; whether all that it needs is there. The complaint of a check passes through."""
    try:
        exec(code, {"__builtins__": builtins}, namespace)
    except ValueError:
        raise
    except Exception:
        return False
    return True
