"""The results table of README.md, made from the committed results and from nothing else."""

import csv
import json
import re

from . import paths
from .intervals import mean_interval, percent
from .record import write_atomically
from .tables import gains, markdown, select

CONTROLS = ("random features", "shuffled", "own fields")
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


def read_rows(path):
    """The rows of a collected CSV table, numbers as numbers and empty cells as None.

    Raises FileNotFoundError if there is no such table.
    """
    with open(path, encoding="utf-8", newline="") as file:
        return [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(file)]


def one_update_table(folder=None):
    """Markdown: accuracy of one update, its gains over the controls, and its time, for each width.

    From the tables ``03_one_update*.accuracy.csv`` in `folder` (``results/full`` unless given);
    FileNotFoundError if there is none.
    """
    folder = folder or paths.RESULTS
    files = sorted(folder.glob("03_one_update*.accuracy.csv"), key=lambda file: len(file.name))
    if not files:
        raise FileNotFoundError(f"no results of 03_one_update in {folder}: run `erlib collect`")
    lines, notes = [], []
    for file in files:
        rows = read_rows(file)
        for width in dict.fromkeys(row["width"] for row in rows):
            group = select(rows, width=width)
            seconds = [row["seconds"] for row in select(group, arm="ER")]
            lines.append(
                [
                    rows[0]["dataset"],
                    width,
                    _accuracy(group, "ER"),
                    *(_gain(group, "ER", over) for over in CONTROLS),
                    f"{mean_interval(seconds)[0]:.1f}",
                    _accuracy(group, "ER, tiny readout"),
                    _gain(group, "ER, tiny readout", "shuffled, tiny readout"),
                ]
            )
        result = file.with_name(file.name.replace(".accuracy.csv", ".json"))
        notes.append(_note(json.loads(result.read_text(encoding="utf-8"))))
    head = ["data set", "hidden units", "one ER update: test accuracy, %"]
    head += ["− random features", "− shuffled labels", "− own fields", "seconds"]
    head += ["tiny initial readout: test accuracy, %", "− shuffled labels"]
    return markdown(head, lines) + "\n\n" + "\n".join(dict.fromkeys(notes))


def with_results(text, table):
    """README's `text` with `table` between the two marks; ValueError if a mark is missing."""
    marks = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if len(marks.findall(text)) != 1:
        raise ValueError(f"README.md: expected one block from {BEGIN} to {END}")
    return marks.sub(lambda _: f"{BEGIN}\n{table}\n{END}", text)


def renew(path=None):
    """Write the present results into README.md; returns whether that changed it."""
    path = path or paths.ROOT / "README.md"
    old = path.read_text(encoding="utf-8")
    new = with_results(old, one_update_table())
    if new != old:
        write_atomically(path, new)
    return new != old


def _accuracy(rows, arm):
    return percent([row["accuracy"] for row in select(rows, arm=arm)], digits=2)


def _gain(rows, arm, over):
    return percent(gains(rows, arm, over), signed=True, digits=2)


def _note(result):
    environment = result["environment"]
    return (
        f"`{result['command']}`: mean ± 95 % interval over {len(result['parameters']['seeds'])} "
        f"seeds, gains in points and paired by seed; {environment['cpu']}, "
        f"{environment['torch_threads']} threads, torch {environment['packages']['torch']}."
    )


def _value(text):
    if text == "":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
