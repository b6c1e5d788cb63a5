"""What is claimed (``claims.yaml``): a verdict, and values of the committed tables in their bands.

A claim has a ``quote`` of the paper or a ``statement`` of this companion, a ``verdict`` of at most
25 words, the ``notebook`` that shows it, and ``checks``. A check says ``what`` it is, and has

- ``table``: the name of a committed file, or several, one below the other (column ``file``),
- ``where``: the rows it is about (`pandas.DataFrame.query`),
- ``by``: columns; each group of rows that share them has to hold by itself,
- ``columns``: an entry of this column becomes one column each, of accuracies (or what ``of``
  names), one row a seed or draw, so that differences are paired; of a curve, its last point,
- ``value``: a number from these columns (`pandas.DataFrame.eval`), and its ``band``, [low, high].

What is the same in many checks may stand in the claim; null in a check is without it.
"""

import math
from collections.abc import Set
from numbers import Real
from pathlib import Path

import pandas as pd
import yaml

from ..notebook import paths

NEEDED = {"what", "table", "value", "band"}
OPTIONS = {"where", "by", "columns", "of"}
PAGE = """# Claims

What the paper's abstract (in quotation marks) and this companion claim, what became of it, and the
numbers that say so (of several seeds, widths or data sets the smallest and the largest). Written by
`erlib claims --page`; which tables they are of, and how, is in [claims.yaml](../claims.yaml).

| claim | verdict | where | numbers (band) |
|---|---|---|---|
"""


def judge(file: Path | None = None) -> list[dict]:
    """The claims of a file (``claims.yaml``), each check with its ``values`` and whether ``ok``.

    Raises ValueError, with the name of the claim, if a key is missing or unknown, a verdict is too
    long, there is no such notebook or table, a value is no number, or a band is not [low, high].
    """
    file = file or paths.ROOT / "claims.yaml"
    claims = yaml.safe_load(file.read_text(encoding="utf-8"))
    for claim in claims:
        title = "quote" if "quote" in claim else "statement"
        name = repr(claim.get(title, claim))
        try:
            common = {key: claim.pop(key) for key in claim.keys() & (OPTIONS | NEEDED)}
            _check_keys(claim, {title, "verdict", "notebook", "checks"})
            if len(claim["verdict"].split()) > 25:
                raise ValueError("the verdict has more than 25 words")
            if not (paths.NOTEBOOKS / f"{claim['notebook']}.ipynb").is_file():
                raise ValueError(f"there is no notebook {claim['notebook']}")
            claim["checks"] = [common | check for check in claim["checks"]]
            for check in claim["checks"]:
                name = f"{claim[title]!r}, {check.get('what', check)!r}"
                _check_keys(check, NEEDED, OPTIONS)
                low, high = check["band"]
                if not low <= high:
                    raise ValueError(f"band: expected [low, high], found {check['band']}")
                check["values"] = _values(check)
                check["ok"] = low <= min(check["values"]) and max(check["values"]) <= high
        except Exception as error:  # whatever pandas makes of a mistake
            said = str(error).replace("BACKTICK_QUOTED_STRING_", "")
            raise ValueError(f"claims: {name}: {said}") from error
    return claims


def _check_keys(given: dict, needed: Set[str], others: Set[str] = frozenset()) -> None:
    if missing := needed - given.keys():
        raise ValueError(f"lacks {', '.join(sorted(missing))}")
    if unknown := given.keys() - needed - others:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")


def _values(check: dict) -> list[float]:
    """The value, of each of the groups."""
    names = [check["table"]] if isinstance(check["table"], str) else check["table"]
    rows = pd.concat([pd.read_csv(_path(name)).assign(file=name) for name in names])
    if where := check.get("where"):
        rows = rows.query(where, engine="python")
    if not len(rows):
        raise ValueError(f"no rows where {where}")
    by, columns, of = check.get("by"), check.get("columns"), check.get("of", "accuracy")
    if by and rows[[by] if isinstance(by, str) else by].isna().any(axis=None):
        raise ValueError(f"by: {by} is missing in some rows, which no group would have")
    value, found = check["value"], []
    for group in [group for _, group in rows.groupby(by)] if by else [rows]:
        if columns:
            repeat = "draw" if "draw" in group else "seed"
            group = group.pivot_table(index=repeat, columns=columns, values=of, aggfunc="last")
        number = group.eval(value, engine="python")
        if not isinstance(number, Real) or not math.isfinite(number):
            raise ValueError(f"{value} gives no number but {number}")
        found.append(float(number))
    return found


def _path(name: str) -> Path:
    for folder in ("full", "benchmarks"):
        if (file := paths.ROOT / "results" / folder / name).is_file():
            return file
    raise ValueError(f"no table {name} in results/full or results/benchmarks")


def _shown(check: dict) -> str:
    found = dict.fromkeys(f"{end:.4g}" for end in (min(check["values"]), max(check["values"])))
    band = " to ".join(f"{end:g}" for end in check["band"]).replace("inf", "∞")
    return f"{check['what']}: {' to '.join(found)} ({band}){'' if check['ok'] else ' FAILED'}"


def _title(claim: dict) -> str:
    return f"“{claim['quote']}”" if "quote" in claim else claim["statement"]


def as_text(claims: list[dict]) -> str:
    """What `judge` gives, to read on a terminal."""
    lines = []
    for claim in claims:
        lines += [f"{_title(claim)}  [{claim['notebook']}]", f"  {claim['verdict']}"]
        lines += [f"  {'ok' if c['ok'] else '--'}  {_shown(c)}" for c in claim["checks"]] + [""]
    return "\n".join(lines[:-1])


def as_page(claims: list[dict]) -> str:
    """What `judge` gives, as the page docs/claims.md."""
    page = PAGE
    for claim in claims:
        where = f"[{claim['notebook'][:2]}](../notebooks/{claim['notebook']}.ipynb)"
        numbers = "<br>".join(map(_shown, claim["checks"]))
        page += f"| {_title(claim)} | {claim['verdict']} | {where} | {numbers} |\n"
    return page
