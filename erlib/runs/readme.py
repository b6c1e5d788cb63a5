"""The results tables of README.md, made from the committed results and from nothing else."""

import csv
import json
import re
from statistics import median

from ..notebook import paths
from ..notebook.record import write_atomically
from ..notebook.tables import gains, markdown, mean_interval, percent, select

CONTROLS = ("random features", "shuffled", "own fields")
VIEWS = {"as they are": ["accuracy"], "augmented": ["accuracy", "both views"]}
END = "<!-- end of results -->"
BLOCKS = ("one update", "training", "convolution", "network inference")
BEGIN = {name: f"<!-- results: {name} -->" for name in BLOCKS}


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
    files = _tables("03_one_update", "accuracy", folder)
    if not files:
        place = folder or paths.RESULTS
        raise FileNotFoundError(f"no results of 03_one_update in {place}: run `erlib publish`")
    lines, notes = [], []
    for file in files:
        rows = read_rows(file)
        count = _seeds(rows)
        for width in dict.fromkeys(row["width"] for row in rows):
            group = select(rows, width=width)
            seconds = [row["seconds"] for row in select(group, arm="ER")]
            lines.append(
                [
                    rows[0]["dataset"],
                    f"dense, {width}{_fewer(group, count)}",
                    _accuracy(group, "ER"),
                    f"{mean_interval(seconds)[0]:.1f}",
                    *(_gain(group, "ER", over) for over in CONTROLS),
                    _accuracy(group, "ER, tiny readout"),
                    _gain(group, "ER, tiny readout", "shuffled, tiny readout"),
                    _accuracy(group, "ER, settled"),
                ]
            )
        front = file.with_name(file.name.replace(".accuracy.csv", ".front_end.csv"))
        front_rows = read_rows(front) if front.is_file() else []
        for arm in dict.fromkeys(row["arm"].removesuffix(", settled") for row in front_rows):
            group = select(front_rows, arm=arm)
            took = f"{mean_interval([row['seconds'] for row in group])[0]:.1f}"
            settled = _accuracy(front_rows, f"{arm}, settled")
            name = f"{arm} front end{_fewer(group, count)}"
            line = [rows[0]["dataset"], name, _accuracy(group, arm), took]
            lines.append([*line, *[""] * 5, settled])
        notes.append(_note(file, ".accuracy.csv"))
    head = ["data set", "hidden units", "one ER update: test accuracy, %", "seconds"]
    head += ["− random features", "− shuffled labels", "− own fields"]
    head += ["tiny initial readout: test accuracy, %", "− shuffled labels"]
    head += ["readout settled: test accuracy, %"]
    return _with_notes(head, lines, notes)


def training_table(folder=None):
    """Markdown: each method's accuracy, updates and seconds after its last pass.

    From the tables ``04_training_curves*.curves.csv`` in `folder` (``results/full`` unless given);
    a line that says so if there is none.
    """
    files = _tables("04_training_curves", "curves", folder)
    if not files:
        return "*Not collected yet: `erlib run 4 --profile full`, then `erlib publish`.*"
    lines, notes = [], []
    for file in files:
        settings, rows, wide = _settings(file), read_rows(file), read_rows(_beside(file, "wide"))
        count = _seeds(rows)
        for width, group in ((settings["hidden"], rows), (wide[0]["width"], wide)):
            for arm in dict.fromkeys(row["arm"] for row in group):
                name, accuracy, passes, updates, seconds = _end(select(group, arm=arm), arm, count)
                line = [settings["dataset"], width, name, accuracy, passes, updates, seconds]
                lines.append(line)
        notes.append(_note(file, ".curves.csv"))
    head = ["data set", "hidden units", "method", "test accuracy, %"]
    head += ["passes", "updates", "seconds"]
    return _with_notes(head, lines, notes)


def convolution_table(folder=None):
    """Markdown: one update on fixed filters, trained layers on them and convolutional networks.

    Behind a semicolon: fields averaged over an image and its changed copy. Seconds are those of the
    fastest seed: runs of hours share their machine with others. What a further run repeats of an
    earlier one, as a reference with fewer seeds, is shown once.

    From the tables ``05_convolution*.front_end.csv``, ``.second_layer.csv`` and ``.curves.csv`` in
    `folder` (``results/full`` unless given); a line that says so if there is none.
    """
    files = _tables("05_convolution", "curves", folder)
    if not files:
        return "*Not collected yet: `erlib run 5 --profile full`, then `erlib publish`.*"
    lines, notes, shown = [], [], set()
    count = max(_seeds(read_rows(file)) for file in files)
    for file in files:
        settings, rows, front = (
            _settings(file),
            read_rows(file),
            read_rows(_beside(file, "front_end")),
        )
        data = settings["dataset"]
        for filters, arm in dict.fromkeys((row["filters"], row["arm"]) for row in front):
            group = select(front, filters=filters, arm=arm)
            views = [percent([row[of] for row in group], digits=2) for of in VIEWS[arm]]
            name = f"one update, images {arm}{_fewer(group, count)}"
            line = [data, f"{filters} fixed filters", name, "; ".join(views), 1, _fastest(group)]
            lines.append(line)
        second = select(read_rows(_beside(file, "second_layer")), arm="sequential ER")
        network = f"{settings['study_filters']} fixed filters, {settings['second_units']} units"
        name = f"units trained by sequential ER{_fewer(second, count)}"
        line = [data, network, name, percent([row["accuracy"] for row in second], digits=2)]
        lines.append([*line, settings["passes"], ""])
        for kind, arm in dict.fromkeys((row["kind"], row["arm"]) for row in rows):
            network = f"{kind}, {'-'.join(map(str, settings[kind]))}"
            curves = select(rows, kind=kind, arm=arm)
            name, accuracy, passes, *_ = _end(curves, arm, count)
            if (data, network, arm, passes) in shown:
                continue
            shown.add((data, network, arm, passes))
            seconds = _fastest(_last_points(curves))
            lines.append([data, network, name, accuracy, passes, seconds])
        notes.append(_note(file, ".curves.csv"))
    head = ["data set", "network", "method", "test accuracy, %", "passes", "seconds, fastest seed"]
    return _with_notes(head, lines, notes)


def inference_table(folder=None):
    """Markdown: error of the couplings that each method infers, for each strength, and its time.

    Mean and 95 % interval; median and range where that interval would hold errors below 0.

    From the table ``07_network_inference.inference.csv`` in `folder` (``results/full`` unless
    given); a line that says so if there is none.
    """
    files = _tables("07_network_inference", "inference", folder)
    if not files:
        return "*Not collected yet: `erlib run 7 --profile full`, then `erlib publish`.*"
    rows = read_rows(files[0])
    strengths = sorted({row["g"] for row in rows})
    middle, lines = strengths[len(strengths) // 2], []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = select(rows, method=method)
        cells = [_thousandths([row["mse"] for row in select(own, g=g)]) for g in strengths]
        seconds = [row["seconds"] for row in select(own, g=middle)]
        lines.append([method, *cells, f"{median(seconds):.2g}" if seconds else ""])
    head = ["1000 × squared error", *(f"g = {g:g}" for g in strengths), f"seconds, g = {middle:g}"]
    return _with_notes(head, lines, [_note(files[0], ".inference.csv", "draws")])


def with_results(text, name, table):
    """README's `text` with `table` in the block called `name`; ValueError if a mark is missing."""
    marks = re.compile(f"{re.escape(BEGIN[name])}.*?{re.escape(END)}", re.DOTALL)
    if len(marks.findall(text)) != 1:
        raise ValueError(f"README.md: expected one block from {BEGIN[name]} to {END}")
    return marks.sub(lambda _: f"{BEGIN[name]}\n{table}\n{END}", text)


def renewed(text):
    """README's `text` with all blocks as the present results have them."""
    tables = one_update_table, training_table, convolution_table, inference_table
    for name, table in zip(BLOCKS, tables, strict=True):
        text = with_results(text, name, table())
    return text


def renew(path=None):
    """Write the present results into README.md; returns whether that changed it."""
    path = path or paths.ROOT / "README.md"
    old = path.read_text(encoding="utf-8")
    new = renewed(old)
    if new != old:
        write_atomically(path, new)
    return new != old


def _tables(notebook, table, folder):
    """One table of a notebook for each of its full runs, the notebook's own name first."""
    found = (folder or paths.RESULTS).glob(f"{notebook}*.{table}.csv")
    return sorted(found, key=lambda file: len(file.name))


def _settings(file):
    """Parameters of the run that a table of curves is from."""
    result = file.with_name(file.name.replace(".curves.csv", ".json"))
    return json.loads(result.read_text(encoding="utf-8"))["parameters"]


def _beside(file, table):
    return file.with_name(file.name.replace(".curves.csv", f".{table}.csv"))


def _end(rows, arm, count):
    """Where the curves of a method end: its name, accuracy, passes, updates, seconds."""
    ends = _last_points(rows)
    accuracy = percent([row["accuracy"] for row in ends], digits=2)
    first = ends[0]
    return (
        arm + _fewer(ends, count),
        accuracy,
        f"{first['passes']:g}",
        first["updates"],
        _took(ends),
    )


def _took(rows):
    return f"{mean_interval([row['seconds'] for row in rows])[0]:.0f}"


def _fastest(rows):
    return f"{min(row['seconds'] for row in rows):.0f}"


def _last_points(rows):
    """The last point of each seed's curve."""
    return list({row["seed"]: row for row in rows}.values())


def _seeds(rows):
    return len({row["seed"] for row in rows})


def _fewer(rows, count):
    """A remark for what ran with fewer seeds than the rest."""
    seeds = _seeds(rows)
    return "" if seeds == count else f" ({seeds} seed{'s' * (seeds > 1)})"


def _accuracy(rows, arm):
    found = [row["accuracy"] for row in select(rows, arm=arm)]
    return percent(found, digits=2) if found else ""


def _gain(rows, arm, over):
    both = select(rows, arm=arm) and select(rows, arm=over)
    return percent(gains(rows, arm, over), signed=True, digits=2) if both else ""


def _thousandths(values):
    if not values:
        return ""
    values = [1000 * value for value in values]
    mean, half = mean_interval(values)
    if half and half > mean:  # an interval about the mean would hold errors below 0
        return f"{median(values):.3g} ({min(values):.3g} to {max(values):.3g})"
    return f"{mean:.3g}" + (f" ± {half:.2g}" if half else "")


def _with_notes(head, lines, notes):
    """The table, and where it is from. What has changed since would soon be untrue in a file."""
    notes = [*dict.fromkeys(notes), "`erlib status` tells whether this is the present code's."]
    return markdown(head, lines) + "\n\n" + "\n".join(notes)


def _note(file, table, repeated="seeds"):
    result = json.loads(file.with_name(file.name.replace(table, ".json")).read_text("utf-8"))
    environment, threads = result["environment"], result["environment"]["torch_threads"]
    paired = ", gains in points and paired by seed" if table == ".accuracy.csv" else ""
    count = len(result["parameters"][repeated])
    over = f"mean ± 95 % interval over {count} {repeated}" if count > 1 else "one seed"
    machine = f"{environment['cpu']}, {threads} thread{'s' * (threads > 1)}"
    torch = f"torch {environment['packages']['torch']}"
    changes = " with local changes" if environment["git_dirty"] else ""
    made = f"commit {environment['git_commit']}{changes}, {result['started'][:10]}"
    return f"`{result['command']}` ({made}): {over}{paired}; {machine}, {torch}."


def _value(text):
    if text == "":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
