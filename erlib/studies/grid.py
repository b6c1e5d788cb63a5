"""An experiment at every point of a grid, as rows of a table."""

import itertools
from collections.abc import Callable
from typing import Any

from ..progress import progress


def over(study: Callable[..., list[dict]], **settings: Any) -> list[dict]:
    """Call `study` at each combination of the settings that are lists, and join its rows.

    What is in a list is run over, the last fastest, and written into each row; what is not is the
    same for all. So is a tuple: a setting that is itself several numbers.

    >>> def squares(base, power):
    ...     return [{"value": base**power}]
    >>> over(squares, base=[2, 3], power=2)
    [{'base': 2, 'value': 4}, {'base': 3, 'value': 9}]
    """
    varied = [name for name, value in settings.items() if isinstance(value, list)]
    points = list(itertools.product(*(settings[name] for name in varied)))
    rows = []
    for point in progress(points, study.__name__):
        named = dict(zip(varied, point))
        rows += [named | row for row in study(**settings | named)]
    return rows
