"""Which code a result is from: a hash of each module of erlib that its notebook had loaded.

Modules that only start notebooks are never loaded in a kernel, so that a change of the command line
makes no result stale.
"""

import functools
import hashlib
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def loaded_modules():
    """Files of erlib that are loaded in this process, relative to the package, sorted.

    Without the one that leaves out asserts: a run that failed on one of these goes on with what it
    has computed, when it is started again without them.
    """
    package = __name__.partition(".")[0]
    files = (Path(m.__file__) for n, m in sys.modules.items() if n.partition(".")[0] == package)
    return sorted(
        {file.relative_to(PACKAGE).as_posix() for file in files} - {"notebook/verdicts.py"}
    )


def all_modules():
    """All files of erlib: for a notebook that does not say which it loaded."""
    return sorted(file.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py"))


def code_state(modules):
    """The beginning of the SHA-256 of each of these files; "" for one that is gone.

    >>> list(code_state(["regress.py"])), code_state(["nothing.py"])
    (['regress.py'], {'nothing.py': ''})
    """
    return {module: _hash(PACKAGE / module) for module in modules}


def changed(state):
    """Which of the files that a result names are not what they were."""
    return [module for module, then in state.items() if _present(module) != then]


@functools.cache
def _present(module):
    """Once, for thousands of results."""
    return _hash(PACKAGE / module)


def _hash(file):
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    except FileNotFoundError:
        return ""
