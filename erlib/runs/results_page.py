"""The tables of docs/results.md, made from the committed results and from nothing else."""

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pandas as pd

from ..notebook import paths
from ..notebook.record import write_atomically
from ..notebook.tables import markdown, mean_interval, percent
from .folder import Files, numbered, runs_with_table

CONTROLS = ("random features", "shuffled", "own fields")
VIEWS = {"as they are": ["accuracy"], "augmented": ["accuracy", "both views"]}
END = "<!-- end of results -->"

Lines = list[list]  # of cells; the first is the head


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


@_published("04_one_update", "accuracy")
def one_update_table(runs: list[Files]) -> Lines:
    """Accuracy of one update, its gains over the controls, and its time, for each width."""
    head = ["data set", "hidden units", "one ER update: test accuracy, %", "seconds"]
    head += ["− random features", "− shuffled labels", "− own fields"]
    head += ["tiny initial readout: test accuracy, %", "− shuffled labels"]
    lines: Lines = [[*head, "readout settled: test accuracy, %"]]
    for files in runs:
        rows = pd.read_csv(files.table("accuracy"))
        data, count = _result(files)["parameters"]["dataset"], rows.seed.nunique()
        for width, group in rows.groupby("width", sort=False):
            units = f"dense, {width}{_fewer(group, count)}"
            line = [data, units, _accuracy(group, "ER"), _seconds(group[group.arm == "ER"])]
            line += [_gain(group, "ER", over) for over in CONTROLS]
            line += [_accuracy(group, "ER, tiny readout")]
            line += [_gain(group, "ER, tiny readout", "shuffled, tiny readout")]
            lines.append([*line, _accuracy(group, "ER, settled")])
        if files.table("front_end").is_file():
            rows = pd.read_csv(files.table("front_end"))
            for arm in rows.arm.str.removesuffix(", settled").unique():
                group = rows[rows.arm == arm]
                line = [data, f"{arm} front end{_fewer(group, count)}", _accuracy(rows, arm)]
                settled = _accuracy(rows, f"{arm}, settled")
                lines.append([*line, _seconds(group), *[""] * 5, settled])
    return lines


@_published("06_training_curves", "curves")
def training_table(runs: list[Files]) -> Lines:
    """Each method's accuracy, updates and seconds after its last pass."""
    head = ["data set", "hidden units", "method", "test accuracy, %"]
    lines: Lines = [[*head, "passes", "updates", "seconds"]]
    for files in runs:
        settings, rows = _result(files)["parameters"], pd.read_csv(files.table("curves"))
        wide = pd.read_csv(files.table("wide"))
        for width, group in ((settings["hidden"], rows), (wide.width[0], wide)):
            for arm, curves in group.groupby("arm", sort=False):
                end = _end(curves, arm, rows.seed.nunique())
                seconds = f"{fmean(_last_points(curves).seconds):.0f}"
                lines.append([settings["dataset"], width, *end, seconds])
    return lines


@_published("07_convolution", "curves")
def convolution_table(runs: list[Files]) -> Lines:
    """One update on fixed filters, trained layers on them and convolutional networks.

    Behind a semicolon: fields averaged over an image and its changed copy. Seconds are those of the
    fastest seed: runs of hours share their machine with others. What a further run repeats of an
    earlier one, as a reference with fewer seeds, is shown once.
    """
    head = ["data set", "network", "method", "test accuracy, %", "passes", "seconds, fastest seed"]
    lines: Lines = [head]
    shown = set()
    count = max(pd.read_csv(files.table("curves")).seed.nunique() for files in runs)
    for files in runs:
        settings = _result(files)["parameters"]
        data, front = settings["dataset"], pd.read_csv(files.table("front_end"))
        for (filters, arm), group in front.groupby(["filters", "arm"], sort=False):
            views = "; ".join(percent(group[of], digits=2) for of in VIEWS[arm])
            name = f"one update, images {arm}{_fewer(group, count)}"
            seconds = f"{group.seconds.min():.0f}"
            lines.append([data, f"{filters} fixed filters", name, views, 1, seconds])
        second = pd.read_csv(files.table("second_layer")).query("arm == 'sequential ER'")
        network = f"{settings['study_filters']} fixed filters, {settings['second_units']} units"
        name = f"units trained by sequential ER{_fewer(second, count)}"
        accuracy = percent(second.accuracy, digits=2)
        lines.append([data, network, name, accuracy, settings["passes"], ""])
        curves = pd.read_csv(files.table("curves"))
        for (kind, arm), group in curves.groupby(["kind", "arm"], sort=False):
            network = f"{kind}, {'-'.join(map(str, settings[kind]))}"
            name, accuracy, passes, _ = _end(group, arm, count)
            if (data, network, arm, passes) not in shown:
                shown.add((data, network, arm, passes))
                seconds = f"{_last_points(group).seconds.min():.0f}"
                lines.append([data, network, name, accuracy, passes, seconds])
    return lines


@_published("11_neighbours", "race")
def neighbours_table(runs: list[Files]) -> Lines:
    """Each method's test accuracy after equal passes, and after as many as fit in equal time."""
    lines: Lines = [["data set", "method", "rate", "test accuracy, %", "in equal time", "passes"]]
    for files in runs:
        rows = pd.read_csv(files.table("race"))
        count = rows.seed.nunique()
        for arm, own in rows.groupby("arm", sort=False):
            by = {equal: group for equal, group in own.groupby("equal")}
            passes, seconds = by["passes"], by.get("seconds", own[:0])
            rate = "" if pd.isna(own.rate.iloc[0]) else own.rate.iloc[0]
            line = [own.dataset.iloc[0], f"{arm}{_fewer(passes, count)}", rate]
            line.append(percent(passes.accuracy, digits=2))
            line.append(percent(seconds.accuracy, digits=2) if len(seconds) else "")
            fits = sorted({*seconds.passes})
            lines.append([*line, " to ".join(str(n) for n in dict.fromkeys(fits[:1] + fits[-1:]))])
    return lines


@_published("10_network_inference", "inference")
def inference_table(runs: list[Files]) -> Lines:
    """Error of the couplings that each method infers, for each strength, and its time.

    Mean and 95 % interval; median and range where that interval would hold errors below 0.
    """
    rows = pd.read_csv(runs[0].table("inference"))
    strengths = sorted(rows.g.unique())
    middle = strengths[len(strengths) // 2]
    of_each = [f"g = {g:g}" for g in strengths]
    lines: Lines = [["1000 × squared error", *of_each, f"seconds, g = {middle:g}"]]
    for method, own in rows.groupby("method", sort=False):
        cells = [_thousandths(own.mse[own.g == g]) for g in strengths]
        seconds = own.seconds[own.g == middle]
        lines.append([method, *cells, f"{seconds.median():.2g}" if len(seconds) else ""])
    return lines


def joint_table(folder: Path | None = None) -> str:
    """Joint ER beside Adam, paired by seed, of all networks of benchmarks/any_module.py."""
    file = (folder or paths.RESULTS.parent) / "benchmarks" / "any_module.csv"
    if not file.is_file():
        return "*Not collected yet: `python benchmarks/any_module.py test`.*"
    rows = pd.read_csv(file).query("part in ['test', 'equal time']")
    head = [
        "data set",
        "network",
        "passes",
        "joint ER: test accuracy, %",
        "Adam",
        "paired",
        "seeds",
    ]
    lines = []
    for (data, network, passes), group in rows.groupby(["data", "network", "passes"], sort=False):
        by_seed = group.pivot(index="seed", columns="method", values="accuracy")
        er, adam = (by_seed.get(method, pd.Series(dtype=float)) for method in ("ER", "Adam"))
        shown = [percent(of.dropna(), digits=2) if len(of.dropna()) else "" for of in (er, adam)]
        paired = (er - adam).dropna()
        gain = percent(paired, signed=True, digits=2) if len(paired) else ""
        seeds = " and ".join(str(n) for n in sorted({er.count(), adam.count()}, reverse=True))
        lines.append([data, network, passes, *shown, gain, seeds])
    commits = ", ".join(sorted(rows.commit.str.rstrip("+").unique()))
    note = "`python benchmarks/any_module.py test`, `long` and `time`, one thread; mean ± 95 % "
    note += f"interval over seeds, differences in points and paired by seed; commits {commits}."
    return markdown(head, lines) + "\n\n" + note


def controls_table(folder: Path | None = None) -> str:
    """What shares a choice with joint ER, at its best settings on validation images."""
    file = (folder or paths.RESULTS.parent) / "benchmarks" / "any_module.csv"
    rows = pd.read_csv(file) if file.is_file() else pd.DataFrame({"part": []})
    rows = rows[rows.part == "control"]
    if not len(rows):
        return "*Not collected yet: `python benchmarks/any_module.py controls`.*"
    keys = ["data", "network", "passes", "method", "setting", "value"]
    lines = [
        [
            *key,
            percent(group.accuracy, digits=2) if group.seconds.any() else "overflows",
            len(group),
        ]
        for key, group in rows.groupby(keys, sort=False)
    ]
    commits = ", ".join(sorted(rows.commit.str.rstrip("+").unique()))
    note = "`python benchmarks/any_module.py controls`, one thread a training; "
    return markdown(["data set", *keys[1:], "test accuracy, %", "seeds"], lines) + (
        f"\n\n{note}mean ± 95 % interval over seeds; commits {commits}."
    )


def scale_table(folder: Path | None = None) -> str:
    """What one update, a pass of sequential ER and one of Adam took, and their accuracy."""
    file = (folder or paths.RESULTS.parent) / "benchmarks" / "scale.csv"
    if not file.is_file():
        return "*Not collected yet: `python benchmarks/scale.py`.*"
    rows = pd.read_csv(file).sort_values(["deformed", "depth", "width", "samples"], kind="stable")
    rows = rows.drop_duplicates(["method", "width", "depth", "samples", "deformed"])
    lines: Lines = [["images", "layers", "method", "seconds", "added MiB", "test accuracy, %"]]
    for row in rows.itertuples():
        made = f"{row.samples:,}{' deformed' if row.deformed else ''}"
        added = max(row.peak_mib - row.start_mib, 0)
        layers = f"{row.depth} x {row.width}"
        seconds = f"{row.seconds:.1f}" if row.seconds < 10 else f"{row.seconds:.0f}"
        lines.append(
            [made, layers, row.method, seconds, f"{added:.0f}", f"{100 * row.accuracy:.2f}"]
        )
    commits = ", ".join(sorted(rows.commit.str.rstrip("+").unique()))
    note = "`python benchmarks/scale.py`, one thread, one seed"
    return markdown(lines[0], lines[1:]) + f"\n\n{note}; commits {commits}."


TABLES = {
    "one update": one_update_table,
    "training": training_table,
    "convolution": convolution_table,
    "joint": joint_table,
    "controls": controls_table,
    "network inference": inference_table,
    "neighbours": neighbours_table,
    "scale": scale_table,
}
BEGIN = {name: f"<!-- results: {name} -->" for name in TABLES}


def with_results(text: str, name: str, table: str) -> str:
    """The page's `text` with `table` in the block `name`; ValueError if a mark is missing."""
    marks = re.compile(f"{re.escape(BEGIN[name])}.*?{re.escape(END)}", re.DOTALL)
    if len(marks.findall(text)) != 1:
        raise ValueError(f"docs/results.md: expected one block from {BEGIN[name]} to {END}")
    return marks.sub(lambda _: f"{BEGIN[name]}\n{table}\n{END}", text)


def renewed(text: str) -> str:
    """The page's `text` with all blocks as the present results have them.

    Raises FileNotFoundError if there are none.
    """
    if not numbered(paths.RESULTS):
        raise FileNotFoundError(f"no results in {paths.RESULTS}: run `erlib publish`")
    for name, table in TABLES.items():
        text = with_results(text, name, table())
    return text


def renew(path: Path | None = None) -> bool:
    """Write the present results into docs/results.md; returns whether that changed it."""
    path = path or paths.ROOT / "docs" / "results.md"
    old = path.read_text(encoding="utf-8")
    new = renewed(old)
    if new != old:
        write_atomically(path, new)
    return new != old


def _result(files: Files) -> dict:
    return json.loads(files.result.read_text(encoding="utf-8"))


def _end(curves: pd.DataFrame, arm: str, count: int) -> tuple[str, str, str, int]:
    """Where the curves of a method end: its name, accuracy, passes, updates."""
    ends = _last_points(curves)
    passes, updates = ends.passes.iloc[0], ends.updates.iloc[0]
    return arm + _fewer(ends, count), percent(ends.accuracy, digits=2), f"{passes:g}", updates


def _last_points(curves: pd.DataFrame) -> pd.DataFrame:
    """The last point of each seed's curve."""
    return curves.drop_duplicates("seed", keep="last")


def _seconds(rows: pd.DataFrame) -> str:
    return f"{fmean(rows.seconds):.1f}"


def _fewer(rows: pd.DataFrame, count: int) -> str:
    """A remark for what ran with fewer seeds than the rest."""
    seeds = rows.seed.nunique()
    return "" if seeds == count else f" ({seeds} seed{'s' * (seeds > 1)})"


def _accuracy(rows: pd.DataFrame, arm: str) -> str:
    found = rows.accuracy[rows.arm == arm]
    return percent(found, digits=2) if len(found) else ""


def _gain(rows: pd.DataFrame, arm: str, over: str) -> str:
    """Paired by seed: both start from the same network."""
    by_seed = rows.pivot(index="seed", columns="arm", values="accuracy")
    if arm not in by_seed or over not in by_seed:
        return ""
    return percent((by_seed[arm] - by_seed[over]).dropna(), signed=True, digits=2)


def _thousandths(values: pd.Series) -> str:
    if not len(values):
        return ""
    values = 1000 * values
    mean, half = mean_interval(values)
    if half and half > mean:  # an interval about the mean would hold errors below 0
        return f"{values.median():.3g} ({values.min():.3g} to {values.max():.3g})"
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
