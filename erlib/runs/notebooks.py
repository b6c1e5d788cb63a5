"""The numbered notebooks as files: which there are, their parameters, a hash of their source."""

import __future__

import ast
import builtins
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat

from ..notebook import paths
from ..notebook.code_state import code_of
from ..notebook.record import as_plain

INJECTED = "injected-parameters"  #: papermill's tag of the cell with the values given

_HARMLESS = {
    name: getattr(builtins, name)
    for name in "list range tuple dict set len min max sum abs round int float str bool sorted zip "
    "enumerate".split()
}
_HARMLESS["print"] = lambda *_, **__: None


def find_notebooks() -> list[Path]:
    """The numbered notebooks, in order."""
    found = sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise ValueError(f"no numbered notebooks (NN_name.ipynb) in {paths.NOTEBOOKS}")
    return found


class Assigned(NamedTuple):
    """What a cell of parameters assigns to a name."""

    source: str
    literal: bool  #: is the value written out
    known: bool  #: can it be told without a kernel
    value: Any

    @property
    def plain(self) -> bool:
        """Whether the value is known, and JSON."""
        try:
            return self.known and bool(json.dumps(as_plain("", self.value)))
        except (ValueError, RecursionError):  # also an integer of thousands of digits
            return False

    @property
    def default(self) -> Any:
        """The value as it stands in a result, or its source text."""
        return as_plain("", self.value) if self.plain else self.source

    @property
    def carried(self) -> Any:
        """The value as papermill can write it into another cell, None if it cannot."""
        return self.default if self.plain else self.value if type(self.value) is float else None


def parameter_cells(notebook: Path) -> list[tuple[bool, dict[str, Assigned]]]:
    """A pair for each cell of parameters, in order: was it injected, and the `Assigned` by name.

    They are evaluated statement by statement, as the kernel will if papermill injects nothing.
    """
    found, namespace = [], {"__builtins__": _HARMLESS}
    for cell in cells(notebook):
        tags = cell.metadata.get("tags", [])
        if cell.cell_type != "code" or not {"parameters", INJECTED} & {*tags}:
            continue
        try:
            statements, source = parsed(cell.source)
        except (SyntaxError, ValueError) as error:
            name = notebook.name
            raise ValueError(f"{name}: the parameters cell is no Python: {error}") from None
        by_name: dict[str, tuple[ast.AST, bool]] = {}
        for statement in statements:
            known = _ran(statement, namespace)
            changed = [
                name
                for name in _changed_by(statement, known)
                if isinstance(namespace.get(name), (list, dict, set))
            ]
            for name, node in (_set_by(statement) | dict.fromkeys(changed, statement)).items():
                by_name[name] = node, known
                if not known:
                    namespace.pop(name, None)
        assigned = {
            name: Assigned(
                ast.get_source_segment(source, node) or "",
                _is_literal(node),
                known,
                namespace.get(name),
            )
            for name, (node, known) in by_name.items()
            if name in namespace or not known  # deleted, or in a branch that was not taken
        }
        found.append((INJECTED in tags, assigned))
    return found


def parsed(source: str) -> tuple[list[ast.stmt], str]:
    """The statements of a cell, and its text, in which IPython's lines (%, !, ?) do nothing.

    Raises SyntaxError, or ValueError for what can be in no source.
    """
    source, timed = re.subn(r"\A\s*%%(time|capture|prun)\b.*", "", source)
    if source.lstrip().startswith("%%") and not timed:
        return [], ""  # another language
    lines = source.split("\n")
    while True:
        try:
            return ast.parse("\n".join(lines)).body, "\n".join(lines)
        except SyntaxError as error:
            at = min(error.lineno or 1, len(lines)) - 1
            magic = re.fullmatch(r"(\s*)(?:%time\s+(.+)|(\w+\s*=)?\s*[%!?].*|\S+\?)\s*", lines[at])
            if not magic:
                raise
            goes_on = lines[at].endswith("\\")
            instead = f"{magic[3]} get_ipython()" if magic[3] else "pass"
            lines[at] = magic[1] + (magic[2] or instead)
            while goes_on and at + 1 < len(lines):
                at, goes_on = at + 1, lines[at + 1].endswith("\\")
                lines[at] = ""


def source_hash(notebook: Path) -> str:
    """SHA-256 of the code and tags of the code cells: prose, comments and outputs do not count."""
    code = (cell for cell in cells(notebook) if cell.cell_type == "code")
    essence = [[code_of(cell.source), cell.metadata.get("tags", [])] for cell in code]
    return hashlib.sha256(json.dumps(essence).encode()).hexdigest()


def cells(notebook: Path) -> list[nbformat.NotebookNode]:
    """The cells of the file; ValueError naming it if it is no notebook."""
    try:
        return nbformat.read(notebook, as_version=4).cells
    except Exception as error:  # nbformat has several, none of which names the file
        raise ValueError(f"{notebook.name} is no notebook: {first_line(str(error))}") from None


def first_line(text: str) -> str:
    """The first line that says something, without papermill's notes and Python's comments."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("#")), lines[0] if lines else "")


def _set_by(statement: ast.stmt) -> dict[str, ast.AST]:
    """The names that a statement assigns, with what stands for their value.

    Those inside its blocks too, but not those of loops, comprehensions and functions.
    """
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)):
        return dict.fromkeys(_stored(statement), statement)
    value = statement.value
    if value is None:
        return {}
    found: dict[str, ast.AST] = {}
    for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
        found |= dict.fromkeys(_stored(target), value)
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):  # a, b = 1, 2
            found |= {t.id: v for t, v in zip(target.elts, value.elts) if type(t) is ast.Name}
    return found


def _stored(node: ast.AST) -> list[str]:
    """The names below a node of the syntax tree that it assigns."""
    if isinstance(node, ast.Name):
        return [node.id] * isinstance(node.ctx, ast.Store)
    if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.comprehension)):
        return []
    inside = [*ast.iter_child_nodes(node)]
    if isinstance(node, ast.For):
        inside = [*node.body, *node.orelse]
    return [name for child in inside for name in _stored(child)]


def _changed_by(statement: ast.stmt, known: bool) -> Iterator[str]:
    """The names whose content it may change: ``a[0] = 1``, ``a.append(1)``, ``shuffle(a)``."""
    for node in ast.walk(statement):
        if isinstance(statement, ast.Expr) and not known and isinstance(node, ast.Name):
            yield node.id
        call = isinstance(statement, ast.Expr) and isinstance(node, ast.Attribute)
        if call or isinstance(getattr(node, "ctx", None), ast.Store):
            while isinstance(node, (ast.Attribute, ast.Subscript)):
                node = node.value
                if isinstance(node, ast.Name):
                    yield node.id


def _ran(statement: ast.stmt, namespace: dict[str, Any]) -> bool:
    """Run a statement; whether plain Python was enough."""
    if any(isinstance(node, ast.Try) for node in ast.walk(statement)):
        return False  # what is missing here would take the other branch
    later = __future__.annotations.compiler_flag  # ``a: Path = 1`` is a
    try:
        code = compile(ast.Module([statement], []), "<parameters>", "exec", later, True)
        exec(code, namespace)
    except Exception:
        return False
    return True


def _is_literal(node: ast.AST) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        return False
    return True
