"""The committed tables, for the figures that open a notebook."""

import pandas as pd

from .paths import ROOT


def published(name: str) -> pd.DataFrame:
    """The table ``results/full/<name>.csv`` of the full profile, or one of ``results/``.

    With an accuracy comes a column ``error``, 100 (1 - accuracy): the test error in %. The command,
    seeds and commit of a table are in the JSON beside it. FileNotFoundError that says which tables
    there are, if it is not one of them.

    >>> published("04_one_update.depth").columns.to_list()
    ['depth', 'seed', 'arm', 'accuracy', 'error']
    """
    folder = ROOT / "results"
    for file in (folder / "full" / f"{name}.csv", folder / f"{name}.csv"):
        if file.is_file():
            return with_error(pd.read_csv(file))
    known = sorted(file.stem for file in (folder / "full").glob(f"{name.split('.')[0]}*.csv"))
    raise FileNotFoundError(f"results: no table {name!r}; known: {', '.join(known) or 'none'}")


def with_error(rows: pd.DataFrame | list[dict]) -> pd.DataFrame:
    """Rows as a table, with the error in % beside the accuracy if that is there."""
    table = pd.DataFrame(rows)
    return table.assign(error=100 * (1 - table.accuracy)) if "accuracy" in table else table
