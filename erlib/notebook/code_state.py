"""Which code a result is from: a hash of each module of erlib that its notebook had loaded.

Modules that only start notebooks are never loaded in a kernel, so that a change of the command line
makes no result stale; nor does one of comments, docstrings or layout, which no number depends on.
"""

import ast
import functools
import hashlib
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
#: They change no number: pictures, and how far work is.
UNCOUNTED = {"notebook/plots.py", "notebook/schematic.py", "progress.py"}
UNCOUNTED |= {"studies/neighbours_drawn.py"}


@functools.cache  # a piece of a run asks again for each module (`kept`)
def code_of(source: str) -> str:
    """A hash of the code in a source: comments, docstrings, annotations and layout do not count.

    Of all its text if it is no plain Python, as a cell of a notebook with a line for IPython.

    >>> code_of("a = 1") == code_of("a = (1)  # one") != code_of("a = 2")
    True
    """
    try:
        source = repr(_essence(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError):
        pass
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def loaded_modules():
    """Files of erlib that are loaded in this process, relative to the package, sorted."""
    package = __name__.partition(".")[0]
    files = (Path(m.__file__) for n, m in sys.modules.items() if n.partition(".")[0] == package)
    return sorted({file.relative_to(PACKAGE).as_posix() for file in files})


def all_modules():
    """All files of erlib: for a notebook that does not say which it loaded."""
    return sorted(file.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py"))


def code_state(modules):
    """`code_of` each of these files that counts; "" for one that is gone.

    >>> list(code_state(["progress.py", "regress.py"])), code_state(["nothing.py"])
    (['regress.py'], {'nothing.py': ''})
    """
    return {module: _code_in(PACKAGE / module) for module in modules if module not in UNCOUNTED}


def changed(state):
    """Which of the files that a result names are not what they were."""
    return [m for m, then in state.items() if m not in UNCOUNTED and _present(m) != then]


@functools.cache
def _present(module):
    """Once, for thousands of results."""
    return _code_in(PACKAGE / module)


def _code_in(file: Path) -> str:
    try:
        return code_of(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""


def _essence(node: object) -> object:
    """A syntax tree as lists and texts, for all versions of Python the same; `ast.dump` is not."""
    if isinstance(node, list):
        return [_essence(each) for each in node if not _is_text(each)]
    if isinstance(node, ast.AST):
        fields = (
            (name, value)
            for name, value in ast.iter_fields(node)
            if value not in (None, []) and name not in ("annotation", "returns")
        )
        return [type(node).__name__, *((name, _essence(value)) for name, value in fields)]
    return repr(node)


def _is_text(node: object) -> bool:
    """A statement that is a docstring, or a text elsewhere: it does nothing."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
