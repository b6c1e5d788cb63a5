"""Finished pieces of a long run, kept until it is done, so that an interrupted run goes on.

The runner names a folder in ``$ERLIB_KEPT`` and removes it when the notebook has succeeded. With no
run around it, in JupyterLab or under nbval, nothing is kept and everything is computed.
"""

import functools
import hashlib
import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar, cast

from .code_state import code_of, code_state, loaded_modules
from .record import write_json

F = TypeVar("F", bound=Callable)

#: Environment variable with the folder in which the pieces of this run are kept.
FOLDER = "ERLIB_KEPT"


def kept(compute: F) -> F:
    """Decorate a function of keyword arguments whose result can be written as JSON.

    In a run its result is written down at once, and the same call of a later attempt returns it
    from there: the same arguments, with the same code of the function, of the notebook's own
    functions that it calls (also those in a dict), of the numbers, texts and dicts of these that
    they read, and of erlib. Anything else, the data set and lists above all, must be among the
    arguments.

    >>> @kept
    ... def square(number):
    ...     return {"square": number**2}
    >>> square(number=3)
    {'square': 9}
    """

    @functools.wraps(compute)
    def piece(**arguments: Any) -> Any:
        folder = os.environ.get(FOLDER)
        if not folder:
            return compute(**arguments)
        key = json.dumps([_code(compute), arguments], sort_keys=True)
        name = f"{compute.__name__}-{hashlib.sha256(key.encode()).hexdigest()[:20]}.json"
        file = Path(folder) / name
        if file.is_file():
            return json.loads(file.read_text(encoding="utf-8"))["result"]
        result = compute(**arguments)
        write_json(file, {"arguments": arguments, "result": result})
        return result

    return cast(F, piece)


def _code(function: Callable) -> dict[str, Any]:
    """All code and plain values that decide what a function of a notebook computes."""
    found, waiting = {"erlib": code_state(loaded_modules())}, [function]
    while waiting:
        current = inspect.unwrap(waiting.pop())
        if current.__qualname__ in found:
            continue
        found[current.__qualname__] = code_of(inspect.getsource(current))
        for name in sorted(_names(current.__code__)):
            value = _as_plain(current.__globals__.get(name))
            if inspect.isfunction(value) and value.__module__ == function.__module__:
                waiting.append(value)
            elif _is_plain(value):
                found[f"{name} ="] = value
            elif isinstance(value, dict):  # of functions, mostly lambdas: their text is their name
                found[f"{name} ="] = sorted(
                    f"{key}: {inspect.getsource(entry)}"
                    for key, entry in value.items()
                    if inspect.isfunction(entry)
                )
    return found


def _names(code: CodeType) -> set[str]:
    """Global names that compiled code mentions, those of functions inside it too."""
    inner = (constant for constant in code.co_consts if inspect.iscode(constant))
    return set(code.co_names).union(*map(_names, inner))


def _is_plain(value: object) -> bool:
    """A number, a text or a dict of them: a setting. Lists are rows that a notebook collects."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(entry) for key, entry in value.items())
    return isinstance(value, (int, float, str))


def _as_plain(value: object) -> object:
    return str(value) if type(value).__name__ == "dtype" else value  # of torch, not loaded here
