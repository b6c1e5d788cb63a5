"""Tidy rows (one dict a measurement) as tables: selected, compared seed by seed, written out."""

from .intervals import percent


def select(rows, **where):
    """The rows whose entries have all the given values.

    >>> select([{"arm": "ER", "width": 30}, {"arm": "ER", "width": 100}], arm="ER", width=30)
    [{'arm': 'ER', 'width': 30}]
    """
    return [row for row in rows if all(row[key] == value for key, value in where.items())]


def gains(rows, arm, over, value="accuracy", **where):
    """Differences of `value` between two arms, one for each seed that both have.

    Paired by seed: both start from the same network, so what the seed does to both drops out.
    Raises ValueError if no seed has both arms, or a seed has one of them twice.

    >>> rows = [{"arm": name, "seed": 0, "accuracy": a} for name, a in [("ER", 0.75), ("LS", 0.5)]]
    >>> gains(rows, "ER", over="LS")
    [0.25]
    """
    by_seed = []
    for name in (arm, over):
        found = select(rows, arm=name, **where)
        by_seed.append({row["seed"]: row[value] for row in found})
        if len(by_seed[-1]) != len(found):
            raise ValueError(f"{name}: a seed occurs twice among the rows {where}")
    first, second = by_seed
    if not first.keys() & second.keys():
        raise ValueError(f"no seed has both {arm!r} and {over!r} among the rows {where}")
    return [first[seed] - second[seed] for seed in first if seed in second]


def pivot(rows, index, columns, value="accuracy", cell=percent):
    """Markdown table with a line for each `index`, a column for each `columns`, over their seeds.

    Both in order of first appearance; a combination without rows is left empty.
    """
    heads = list(dict.fromkeys(row[columns] for row in rows))
    lines = []
    for name in dict.fromkeys(row[index] for row in rows):
        groups = [select(rows, **{index: name, columns: head}) for head in heads]
        cells = [cell([row[value] for row in group]) if group else "" for group in groups]
        lines.append([name, *cells])
    return markdown([index, *(f"{columns} {head}" for head in heads)], lines)


def markdown(header, lines):
    """A Markdown table, its columns padded so that the source reads well too.

    >>> print(markdown(["arm", "accuracy"], [["ER", 96.2]]))
    | arm | accuracy |
    |-----|----------|
    | ER  | 96.2     |
    """
    lines = [[str(entry) for entry in line] for line in [header, *lines]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    padded = [
        "| " + " | ".join(entry.ljust(width) for entry, width in zip(line, widths)) + " |"
        for line in lines
    ]
    padded.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(padded)
