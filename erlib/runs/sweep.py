"""A sweep: one notebook at every point of a grid of parameters.

A point is known by its parameters: the id of its run is a hash of all of them, defaults included.
So the same grid finds its runs again, a wider one adds to them, and the order of the axes does not
matter. (What code gave a result, the result says: `erlib.runs.folder.state`.)
"""

import dataclasses
import hashlib
import itertools
import json
import math
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..notebook.parameters import QUOTED, Typed, from_typed, typed
from .declared import Declared
from .folder import runs_folder
from .plan import Run, plan

MOST = 1_000_000  # points; more are a slip of the pen


def plan_sweep(
    selection: str, axes: Sequence[str], fixed: dict[str, Any] | None = None
) -> list[Run]:
    """The list of `Run` of all points of a grid, the last axis varying fastest.

    `selection` is one notebook, as `erlib.runs.plan.plan` takes it; `axes` are as `read_axis` takes
    them; other parameters have the `fixed` values at every point.

    Raises ValueError if the notebook, a name or a value does not exist or is not allowed, a name is
    given twice, or there are more than `MOST` points.
    """
    found = plan([selection])
    if len(found) != 1:
        raise ValueError(f"{selection!r} means {len(found)} notebooks; a sweep is of one")
    declared = Declared(found[0].notebook)
    read = [read_axis(text, declared.takes_text) for text in axes]
    if (size := math.prod(len(values) for _, values in read)) > MOST:
        raise ValueError(f"this grid has {size:,} points, allowed: {MOST:,}")
    fixed = declared.values(fixed or {})
    grid = {}
    for name, values in read:
        if name in grid or name in fixed:
            raise ValueError(f"{name} is given twice")
        values = [declared.value(name, value) for value in values]
        # By their JSON, in which 1 is not true.
        grid[name] = [*{json.dumps(value, sort_keys=True): value for value in values}.values()]
    declared.refuse_to_lose(fixed | grid)
    (whole,) = found
    runs = []
    for at in itertools.product(*grid.values()):
        point = dict(zip(grid, at))
        parameters = json.dumps(declared.defaults | fixed | point, sort_keys=True)
        id = f"{whole.id}-{hashlib.sha256(parameters.encode()).hexdigest()[:12]}"
        title, known_as = point_text(point), whole.known_as or whole.id
        given = fixed | point
        run = dataclasses.replace(whole, id=id, overrides=given, title=title, known_as=known_as)
        runs.append(run)
    return runs


def read_axis(text: str, takes_text: Callable | None = None) -> tuple[str, list]:
    """The name and the values of an axis.

    Values are separated by commas, each as after ``-p`` (`erlib.notebook.parameters.from_typed`);
    ``a:b`` and ``a:b:step`` count from a up to b, without b, as Python's range does. Where
    ``takes_text(name, value)`` says so, a value is left as it was `Typed`.

    >>> read_axis("ridge=1e-3,0.1")
    ('ridge', [0.001, 0.1])
    >>> read_axis("seed=0:3,10"), read_axis("widths=[50, 100],[300]")
    (('seed', [0, 1, 2, 10]), ('widths', [[50, 100], [300]]))

    Raises ValueError if there is no name, no value, or a value cannot be read.
    """
    name, items = split_axis(text, "grid")
    found: list = []
    for item in items:
        if takes_text and takes_text(name, item):
            found.append(item)
        else:
            try:
                found += counted(item)
            except ValueError as error:
                raise ValueError(f"grid {name}: {error}") from None
    return name, found


def split_axis(text: str, what: str) -> tuple[str, list[Typed]]:
    """The name of an axis, and each of its values as it was `Typed`."""
    name, mark, values = text.partition("=")
    name = name.strip()
    if not mark or not name.isidentifier():
        raise ValueError(f"{what} {text!r}: expected name=value,value,... such as seed=0:10")
    items = _split(values)
    if not any(items):
        raise ValueError(f"{what} {name}: there is no value in {values!r}")
    if not all(items):
        raise ValueError(f'{what} {name}: nothing between commas in {values!r}; "" is empty text')
    return name, items


def counted(item: str) -> list | range:
    """The value of an item of an axis, in a list, or the range that it stands for."""
    numbers = re.fullmatch(r"(-?\d+):(-?\d+)(?::(-?\d+))?", item)
    if not numbers:
        return [from_typed(item)]
    start, end, step = int(numbers[1]), int(numbers[2]), int(numbers[3] or 1)
    if step == 0 or not range(start, end, step):
        raise ValueError(f"{item} holds no number")
    return range(start, end, step)


def default_folder(runs: Sequence[Run]) -> Path:
    """The folder of a sweep that names none: the same again for the same notebook."""
    return runs_folder(runs) / f"sweep-{runs[0].notebook.stem}"


def point_text(values: dict[str, Any]) -> str:
    """``hidden=10 seed=3``, each as it can be typed after ``--grid``."""
    return " ".join(f"{name}={_short(value)}" for name, value in values.items())


def _split(values: str) -> list[Typed]:
    """The items between commas that are in no quotes or brackets; a last comma ends the last."""
    items, item, depth, at = [], "", 0, 0
    while at < len(values):
        quoted = None
        if not item.strip() or (depth and item.rstrip()[-1] in "[{,:"):
            quoted = QUOTED.match(values, at)
        if quoted and not depth and values[quoted.end() :].lstrip()[:1] not in ("", ","):
            quoted = None  # 'tis, and not a quote
        piece = quoted[0] if quoted else values[at]
        at += len(piece)
        if piece == "," and not depth:
            items.append(item)
            item = ""
            continue
        depth = max(0, depth + (piece in "[{") - (piece in "]}"))
        item += piece
    items += [item] if item.strip() else []
    return [Typed(item.strip()) for item in items]


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    text = typed(value) if isinstance(value, str) else ","
    if "," in text:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return shlex.quote(text)
