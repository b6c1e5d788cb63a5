"""The results tables of README.md, made from the committed results and from nothing else."""

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from ..notebook import paths
from ..notebook.record import write_atomically
from ..notebook.tables import gains, markdown, mean_interval, percent, select
from .folder import Files, numbered, runs_with_table

CONTROLS = ("random features", "shuffled", "own fields")
VIEWS = {"as they are": ["accuracy"], "augmented": ["accuracy", "both views"]}
END = "<!-- end of results -->"

Lines = list[list]  # of cells; the first is the head


def read_rows(path: Path) -> list[dict]:
    """The rows of a published CSV table, numbers as numbers and empty cells as None.

    Raises FileNotFoundError if there is no such table.
    """
    rows = pd.read_csv(path, dtype_backend="numpy_nullable").astype(object)
    return rows.where(rows.notna(), None).to_dict("records")


def _published(notebook: str, table: str) -> Callable[[Callable], Callable[..., str]]:
    """Turn what gives the lines of a table into what gives it as Markdown.

    It is made of the published runs of the notebook that have this table, in `folder`
    (``results/full`` unless given). Below it is said where it is from: what has changed since would
    soon be untrue in a file. Without results it is a line that says so.
    """

    def decorate(lines_of: Callable[[list[Files]], Lines]) -> Callable[..., str]:
        @functools.wraps(lines_of)
        def made(folder: Path | None = None) -> str:
            runs = runs_with_table(notebook, table, folder or paths.RESULTS)
            if not runs:
                todo = f"`erlib run {int(notebook[:2])} --profile full`, then `erlib publish`"
                return f"*Not collected yet: {todo}.*"
            head, *lines = lines_of(runs)
            notes = dict.fromkeys(_note(_result(files), table) for files in runs)
            hint = "`erlib status` tells whether this is the present code's."
            return markdown(head, lines) + "\n\n" + "\n".join([*notes, hint])

        return made

    return decorate


@_published("03_one_update", "accuracy")
def one_update_table(runs: list[Files]) -> Lines:
    """Accuracy of one update, its gains over the controls, and its time, for each width."""
    head = ["data set", "hidden units", "one ER update: test accuracy, %", "seconds"]
    head += ["− random features", "− shuffled labels", "− own fields"]
    head += ["tiny initial readout: test accuracy, %", "− shuffled labels"]
    lines: Lines = [[*head, "readout settled: test accuracy, %"]]
    for files in runs:
        rows = read_rows(files.table("accuracy"))
        data, count = rows[0]["dataset"], _count(rows)
        for width, group in _groups(rows, "width"):
            tiny = _gain(group, "ER, tiny readout", "shuffled, tiny readout")
            lines.append(
                [
                    data,
                    f"dense, {width}{_fewer(group, count)}",
                    _accuracy(group, "ER"),
                    f"{_seconds(select(group, arm='ER')):.1f}",
                    *(_gain(group, "ER", over) for over in CONTROLS),
                    _accuracy(group, "ER, tiny readout"),
                    tiny,
                    _accuracy(group, "ER, settled"),
                ]
            )
        front = files.table("front_end")
        rows = read_rows(front) if front.is_file() else []
        for arm in dict.fromkeys(row["arm"].removesuffix(", settled") for row in rows):
            group = select(rows, arm=arm)
            name, seconds = f"{arm} front end{_fewer(group, count)}", f"{_seconds(group):.1f}"
            settled = _accuracy(rows, f"{arm}, settled")
            lines.append([data, name, _accuracy(group, arm), seconds, *[""] * 5, settled])
    return lines


@_published("04_training_curves", "curves")
def training_table(runs: list[Files]) -> Lines:
    """Each method's accuracy, updates and seconds after its last pass."""
    head = ["data set", "hidden units", "method", "test accuracy, %"]
    lines: Lines = [[*head, "passes", "updates", "seconds"]]
    for files in runs:
        settings, rows = _result(files)["parameters"], read_rows(files.table("curves"))
        wide = read_rows(files.table("wide"))
        for width, group in ((settings["hidden"], rows), (wide[0]["width"], wide)):
            for arm, curves in _groups(group, "arm"):
                end = _end(curves, arm, _count(rows))
                seconds = f"{_seconds(_last_points(curves)):.0f}"
                lines.append([settings["dataset"], width, *end, seconds])
    return lines


@_published("05_convolution", "curves")
def convolution_table(runs: list[Files]) -> Lines:
    """One update on fixed filters, trained layers on them and convolutional networks.

    Behind a semicolon: fields averaged over an image and its changed copy. Seconds are those of the
    fastest seed: runs of hours share their machine with others. What a further run repeats of an
    earlier one, as a reference with fewer seeds, is shown once.
    """
    head = ["data set", "network", "method", "test accuracy, %", "passes", "seconds, fastest seed"]
    lines: Lines = [head]
    shown = set()
    count = max(_count(read_rows(files.table("curves"))) for files in runs)
    for files in runs:
        settings = _result(files)["parameters"]
        data = settings["dataset"]
        for (filters, arm), group in _groups(read_rows(files.table("front_end")), "filters", "arm"):
            views = [percent([row[of] for row in group], digits=2) for of in VIEWS[arm]]
            name = f"one update, images {arm}{_fewer(group, count)}"
            fixed = f"{filters} fixed filters"
            lines.append([data, fixed, name, "; ".join(views), 1, _fastest(group)])
        second = select(read_rows(files.table("second_layer")), arm="sequential ER")
        network = f"{settings['study_filters']} fixed filters, {settings['second_units']} units"
        name = f"units trained by sequential ER{_fewer(second, count)}"
        accuracy = percent([row["accuracy"] for row in second], digits=2)
        lines.append([data, network, name, accuracy, settings["passes"], ""])
        for (kind, arm), curves in _groups(read_rows(files.table("curves")), "kind", "arm"):
            network = f"{kind}, {'-'.join(map(str, settings[kind]))}"
            name, accuracy, passes, _ = _end(curves, arm, count)
            if (data, network, arm, passes) not in shown:
                shown.add((data, network, arm, passes))
                seconds = _fastest(_last_points(curves))
                lines.append([data, network, name, accuracy, passes, seconds])
    return lines


@_published("07_network_inference", "inference")
def inference_table(runs: list[Files]) -> Lines:
    """Error of the couplings that each method infers, for each strength, and its time.

    Mean and 95 % interval; median and range where that interval would hold errors below 0.
    """
    rows = read_rows(runs[0].table("inference"))
    strengths = sorted({row["g"] for row in rows})
    middle = strengths[len(strengths) // 2]
    of_each = [f"g = {g:g}" for g in strengths]
    lines: Lines = [["1000 × squared error", *of_each, f"seconds, g = {middle:g}"]]
    for method, own in _groups(rows, "method"):
        cells = [_thousandths([row["mse"] for row in select(own, g=g)]) for g in strengths]
        seconds = [row["seconds"] for row in select(own, g=middle)]
        lines.append([method, *cells, f"{median(seconds):.2g}" if seconds else ""])
    return lines


TABLES = {
    "one update": one_update_table,
    "training": training_table,
    "convolution": convolution_table,
    "network inference": inference_table,
}
BEGIN = {name: f"<!-- results: {name} -->" for name in TABLES}


def with_results(text: str, name: str, table: str) -> str:
    """README's `text` with `table` in the block called `name`; ValueError if a mark is missing."""
    marks = re.compile(f"{re.escape(BEGIN[name])}.*?{re.escape(END)}", re.DOTALL)
    if len(marks.findall(text)) != 1:
        raise ValueError(f"README.md: expected one block from {BEGIN[name]} to {END}")
    return marks.sub(lambda _: f"{BEGIN[name]}\n{table}\n{END}", text)


def renewed(text: str) -> str:
    """README's `text` with all blocks as the present results have them.

    Raises FileNotFoundError if there are none.
    """
    if not numbered(paths.RESULTS):
        raise FileNotFoundError(f"no results in {paths.RESULTS}: run `erlib publish`")
    for name, table in TABLES.items():
        text = with_results(text, name, table())
    return text


def renew(path: Path | None = None) -> bool:
    """Write the present results into README.md; returns whether that changed it."""
    path = path or paths.ROOT / "README.md"
    old = path.read_text(encoding="utf-8")
    new = renewed(old)
    if new != old:
        write_atomically(path, new)
    return new != old


def _result(files: Files) -> dict:
    return json.loads(files.result.read_text(encoding="utf-8"))


def _groups(rows: list[dict], *names: str) -> list[tuple[Any, list[dict]]]:
    """The values of these columns, in order of first appearance, each with its rows."""
    keys = dict.fromkeys(tuple(row[name] for name in names) for row in rows)
    groups = ((key, select(rows, **dict(zip(names, key)))) for key in keys)
    return [(key if len(names) > 1 else key[0], group) for key, group in groups]


def _end(rows: list[dict], arm: str, count: int) -> tuple[str, str, str, int]:
    """Where the curves of a method end: its name, accuracy, passes, updates."""
    ends = _last_points(rows)
    accuracy = percent([row["accuracy"] for row in ends], digits=2)
    return arm + _fewer(ends, count), accuracy, f"{ends[0]['passes']:g}", ends[0]["updates"]


def _last_points(rows: list[dict]) -> list[dict]:
    """The last point of each seed's curve."""
    return list({row["seed"]: row for row in rows}.values())


def _seconds(rows: list[dict]) -> float:
    return mean_interval([row["seconds"] for row in rows])[0]


def _fastest(rows: list[dict]) -> str:
    return f"{min(row['seconds'] for row in rows):.0f}"


def _count(rows: list[dict]) -> int:
    """How many seeds there are."""
    return len({row["seed"] for row in rows})


def _fewer(rows: list[dict], count: int) -> str:
    """A remark for what ran with fewer seeds than the rest."""
    seeds = _count(rows)
    return "" if seeds == count else f" ({seeds} seed{'s' * (seeds > 1)})"


def _accuracy(rows: list[dict], arm: str) -> str:
    found = [row["accuracy"] for row in select(rows, arm=arm)]
    return percent(found, digits=2) if found else ""


def _gain(rows: list[dict], arm: str, over: str) -> str:
    both = select(rows, arm=arm) and select(rows, arm=over)
    return percent(gains(rows, arm, over), signed=True, digits=2) if both else ""


def _thousandths(values: list[float]) -> str:
    if not values:
        return ""
    values = [1000 * value for value in values]
    mean, half = mean_interval(values)
    if half and half > mean:  # an interval about the mean would hold errors below 0
        return f"{median(values):.3g} ({min(values):.3g} to {max(values):.3g})"
    return f"{mean:.3g}" + (f" ± {half:.2g}" if half else "")


def _note(result: dict, table: str) -> str:
    environment, repeated = result["environment"], "draws" if table == "inference" else "seeds"
    threads, count = environment["torch_threads"], len(result["parameters"][repeated])
    over = f"mean ± 95 % interval over {count} {repeated}" if count > 1 else "one seed"
    paired = ", gains in points and paired by seed" if table == "accuracy" else ""
    machine = f"{environment['cpu']}, {threads} thread{'s' * (threads > 1)}"
    torch = f"torch {environment['packages']['torch']}"
    changes = " with local changes" if environment["git_dirty"] else ""
    made = f"commit {environment['git_commit']}{changes}, {result['started'][:10]}"
    return f"`{result['command']}` ({made}): {over}{paired}; {machine}, {torch}."
