"""Batch runs of the notebooks: plan, run, refresh, collect.

``plan`` decides what runs and refuses mistakes before anything does; ``run`` executes the plan into
a folder, one notebook after the other; ``refresh`` renews the committed outputs; ``collect`` copies
finished results into the form that is committed.  Each stage has a section below.

A run is done when its ``<id>.json`` exists.  That file is written atomically and last, because
papermill's own marks cannot be trusted: after a timeout its output says "completed" everywhere.
"""

import ast
import csv
import dataclasses
import datetime
import hashlib
import io
import itertools
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import nbformat
import papermill
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpecManager
from jupyter_core.paths import jupyter_runtime_dir

from . import paths
from .parameters import from_text, suggestion
from .record import CHANNEL, environment, read_channel, write_atomically, write_json

PROFILES = ("quick", "full")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


# ---- plan: which notebook runs with which parameters --------------------------------------------


@dataclasses.dataclass(frozen=True)
class Run:
    """One notebook with one set of parameters."""

    id: str  #: the stem of the notebook, or of the YAML file with its parameters
    notebook: Path
    profile: str
    settings: dict  #: parameters from the YAML file of the full profile
    overrides: dict  #: parameters from the command line; they win

    @property
    def parameters(self):
        """All parameters, the notebook's defaults included."""
        return declared_parameters(self.notebook) | self.settings | self.overrides

    @property
    def command(self):
        """The command line that repeats this run."""
        words = ["erlib", "run", self.id, "--profile", self.profile]
        for name, value in self.overrides.items():
            words += ["-p", name, _as_text(value)]
        return shlex.join(words)


def plan(selection=(), *, profile="quick", overrides=None):
    """The list of :class:`Run` that ``selection`` means, in the order of the numbers.

    ``selection`` holds numbers (``"3"``, ``"03"``), ranges (``"1-3"``), stems of notebooks or ids
    of runs; nothing selects all.  Profile ``quick`` is the committed defaults; ``full`` is one run
    per ``notebooks/full/NN_name*.yaml``, and the defaults where a notebook has none.

    Raises ValueError if something selected does not exist, if a YAML file is no mapping or belongs
    to no notebook, or if a parameter is none of its notebook's (papermill would only warn, and run
    with the default).
    """
    if profile not in PROFILES:
        raise ValueError(f"profile is {profile!r}, allowed: {', '.join(PROFILES)}")
    notebooks = find_notebooks()
    settings = _full_settings(notebooks) if profile == "full" else {}
    runs = []
    for notebook in notebooks:
        of_this = {id: v for id, v in settings.items() if id.split(".")[0] == notebook.stem}
        for id, values in (of_this or {notebook.stem: {}}).items():
            runs.append(Run(id, notebook, profile, values, dict(overrides or {})))
    runs = _select(runs, selection)
    for run in runs:
        known = declared_parameters(run.notebook)
        for name in (run.settings | run.overrides).keys() - known.keys():
            has = f"it has: {', '.join(known)}" if known else "it has none"
            raise ValueError(f"{run.id} has no parameter {name!r}{suggestion(name, known)}; {has}")
    return runs


def find_notebooks():
    """The numbered notebooks, in order."""
    found = sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise ValueError(f"no numbered notebooks (NN_name.ipynb) in {paths.NOTEBOOKS}")
    return found


def declared_parameters(notebook):
    """Names and default values of the cell tagged ``parameters``, {} where there is none.

    A default that is no literal is given as its source text.
    """
    for cell in _cells(notebook):
        if "parameters" in cell.metadata.get("tags", []):
            break
    else:
        return {}
    try:
        statements = ast.parse(cell.source).body
    except SyntaxError as error:
        raise ValueError(f"{notebook.name}: the parameters cell is no Python: {error}") from None
    declared = {}
    for statement in statements:
        targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and getattr(statement, "value", None):
                declared[target.id] = _literal(statement.value)
    return declared


def source_hash(notebook):
    """SHA-256 of the cells' kinds, sources and tags: outputs and other metadata do not count."""
    essence = [[c.cell_type, c.source, c.metadata.get("tags", [])] for c in _cells(notebook)]
    return hashlib.sha256(json.dumps(essence).encode()).hexdigest()


def _cells(notebook):
    try:
        return nbformat.read(notebook, as_version=4).cells
    except Exception as error:  # nbformat has several, none of which names the file
        raise ValueError(f"{notebook.name} is no notebook: {_first_line(str(error))}") from None


def _full_settings(notebooks):
    """Parameters by run id, one for each YAML file of the full profile."""
    stems = {notebook.stem for notebook in notebooks}
    settings = {}
    for file in sorted((paths.NOTEBOOKS / "full").glob("*.yaml"), key=lambda file: file.stem):
        if file.stem.split(".")[0] not in stems:
            hint = suggestion(file.stem, stems)
            raise ValueError(f"full/{file.name} belongs to no notebook{hint}")
        try:
            values = from_text(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"full/{file.name} {error}") from None
        if values is not None and not isinstance(values, dict):
            raise ValueError(f"full/{file.name} is no mapping of parameters to values")
        settings[file.stem] = values or {}
    return settings


def _select(runs, selection):
    if not selection:
        return runs
    chosen = set()
    for word in map(str, selection):
        numbers = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        name = Path(word).name.removesuffix(".ipynb")  # a path completed by the shell will do
        if numbers:
            low, high = int(numbers[1]), int(numbers[2] or numbers[1])
            matches = {run.id for run in runs if low <= int(run.id[:2]) <= high}
        else:
            matches = {run.id for run in runs if name in (run.id, run.notebook.stem)}
        if not matches:
            ids = [run.id for run in runs]
            hint = suggestion(name, ids)
            raise ValueError(f"no notebook {word!r}{hint}; there are: {', '.join(ids)}")
        chosen |= matches
    return [run for run in runs if run.id in chosen]


def _literal(node):
    try:
        return json.loads(json.dumps(ast.literal_eval(node)))  # as it will stand in the JSON
    except (ValueError, TypeError):
        return ast.unparse(node)


def _as_text(value):
    """``value`` in the form in which ``-p`` reads it back."""
    return value if isinstance(value, str) and _means(value) == value else json.dumps(value)


def _means(text):
    try:
        return from_text(text)
    except ValueError:
        return None


# ---- execute: one notebook in a kernel of its own -----------------------------------------------


class NotebookFailed(Exception):
    """A notebook did not run to its end; says in which cell and why."""

    def __init__(self, cell, line, name, message):
        self.cell, self.line, self.name, self.message = cell, line, name, message
        super().__init__(f"In [{cell}]  {line}\n{name}: {message}")


def _execute(notebook, output, *, label, parameters, variables, timeout):
    """Execute ``notebook`` into ``output`` with papermill and return it; raise NotebookFailed.

    ``variables`` are set in the environment of the kernel alone; None unsets one.
    """
    code = [c for c in _cells(notebook) if c.cell_type == "code" and c.source.strip()]
    with _Progress(label, len(code) + bool(parameters)) as progress:
        try:
            executed = papermill.execute_notebook(
                notebook,
                output,
                parameters,
                kernel_name=NATIVE_KERNEL_NAME,
                language="python",
                kernel_manager_class=_kernel_with(variables),
                cwd=notebook.parent,
                execution_timeout=timeout,
                progress_bar=False,
                on_cell_execute=progress.cell_started,
            )
        except papermill.PapermillExecutionError as error:
            line = _first_line(error.source)
            raise NotebookFailed(error.exec_count, line, error.ename, error.evalue) from None
        except Exception as error:  # timeout, death of the kernel, and whatever else there is
            name, message = type(error).__name__, _first_line(str(error))
            if timeout and name == "CellTimeoutError":
                message = f"the cell ran longer than {timeout:g} s"
            raise NotebookFailed(progress.cell, progress.line, name, message) from None
    for number, cell in enumerate(executed.cells):
        skipped = "skip-execution" in cell.metadata.get("tags", [])
        if cell.cell_type == "code" and cell.source.strip() and not cell.execution_count:
            if not skipped:  # papermill takes sys.exit(0) for success
                message = f"cell {number} and those after it were never executed"
                raise NotebookFailed(progress.cell, progress.line, "stopped early", message)
    return executed


def _kernel_with(variables):
    """A kernel manager that starts the interpreter running erlib, whatever a kernelspec says.

    The variables go straight to the kernel's process, so none can leak into this one.
    """
    changed = {name: str(value) for name, value in variables.items() if value is not None}
    kept = {name: value for name, value in os.environ.items() if name not in variables}
    if kept.get("ERLIB_DATA"):  # the kernel starts in another folder
        kept["ERLIB_DATA"] = str(Path(kept["ERLIB_DATA"]).expanduser().resolve())
    if paths.ROOT == Path(__file__).parents[1]:  # this checkout, installed or not
        others = [kept["PYTHONPATH"]] if kept.get("PYTHONPATH") else []
        kept["PYTHONPATH"] = os.pathsep.join([str(paths.ROOT), *others])
    # Over TCP the kernel warns that it is not encrypted, and ports can be taken twice.  A socket's
    # path must be short, though, about 100 characters with the name of the connection file.
    short = os.name == "posix" and len(jupyter_runtime_dir()) < 48

    class Kernel(AsyncKernelManager):
        def __init__(self, **options):
            specs = KernelSpecManager(kernel_dirs=[])  # leaves only this interpreter's own
            transport = "ipc" if short else "tcp"
            super().__init__(kernel_spec_manager=specs, transport=transport, **options)

        async def start_kernel(self, **options):
            return await super().start_kernel(env=kept | changed, **options)

    return Kernel


class _Progress:
    """Shows which cell is running: one line renewed on a terminal, else a line every minute."""

    def __init__(self, label, cells):
        self.label, self.cells = label, cells
        self.cell, self.line = 0, "starting the kernel"
        self._live = sys.stdout.isatty()
        self._start = time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()
        if self._live:
            print("\r\033[K", end="", flush=True)

    def cell_started(self, cell, cell_index):
        self.cell += 1
        self.line = _first_line(cell.source)

    def _beat(self):
        while not self._done.wait(0.5 if self._live else 60):
            seconds = time.monotonic() - self._start
            text = f"{self.label}  cell {self.cell} of {self.cells}, {seconds:.0f} s: {self.line}"
            if self._live:
                width = shutil.get_terminal_size().columns - 1
                print(f"\r\033[K{text[:width]}", end="", flush=True)
            else:
                print(text, flush=True)


def _first_line(text):
    """The first line that says something, without papermill's notes and Python's comments."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("#")), lines[0] if lines else "")


# ---- run: a plan into a folder ------------------------------------------------------------------


def run(runs, *, output=None, force=False, stop=False, threads=None, timeout=None):
    """Execute planned ``runs`` and return the ids of those that failed.

    Into the folder ``output`` (default ``runs/<profile>-<date>-<time>``) go for each run the
    executed ``<id>.ipynb``, its figures, and last, if it succeeded, ``<id>.json`` with the recorded
    values and all that led to them.  A run that is done there already is skipped, so that an
    interrupted batch can be resumed; ``force`` runs it again.  A failure does not keep later
    notebooks from running unless ``stop``.  ``threads`` limits the threads of the kernels,
    ``timeout`` the seconds of each cell.

    Raises ValueError before anything runs if the folder holds a result of the same id that another
    notebook or other parameters gave.
    """
    folder = Path(output).resolve() if output else _new_folder(runs[0].profile)
    done = set() if force else {each.id for each in runs if _is_done(each, folder)}
    folder.mkdir(parents=True, exist_ok=True)
    print(f"results: {_short(folder)}", flush=True)

    failed, finished = [], 0
    width = max((len(each.id) for each in runs), default=0)
    try:
        for each in runs:
            label = each.id.ljust(width)
            if each.id in done:
                print(f"{label}  done already", flush=True)
                continue
            start = time.monotonic()
            try:
                _run_one(each, folder, label, threads, timeout)
            except NotebookFailed as failure:
                failed.append(each.id)
                where = _short(folder / f"{each.id}.ipynb")
                _report_failure(label, failure, time.monotonic() - start)
                print(f"  open it: jupyter lab {shlex.quote(str(where))}", flush=True)
                if stop:
                    break
            else:
                finished += 1
                print(f"{label}  ok  {time.monotonic() - start:.1f} s", flush=True)
    except KeyboardInterrupt:
        print(f"\ninterrupted; the same command with --output {_short(folder)} goes on", flush=True)
        raise
    counts = {"ok": finished, "failed": len(failed), "done already": len(done)}
    print(", ".join(f"{count} {what}" for what, count in counts.items() if count), flush=True)
    return failed


def _new_folder(profile):
    name = f"{profile}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    for suffix in itertools.chain([""], (f"-{n}" for n in itertools.count(2))):
        try:
            (paths.RUNS / (name + suffix)).mkdir(parents=True)
            return paths.RUNS / (name + suffix)
        except FileExistsError:  # another batch started in the same second
            continue


def _is_done(run, folder):
    """Is the result of exactly this run in the folder?  Another result of its id is an error."""
    file = folder / f"{run.id}.json"
    if not file.is_file():
        return False
    result = json.loads(file.read_text(encoding="utf-8"))
    then, now = result["parameters"], run.parameters
    if result["notebook_sha256"] != source_hash(run.notebook):
        differs = "an earlier state of the notebook"
    elif then != now:
        names = [name for name in then | now if then.get(name) != now.get(name)]
        differs = f"other values of {', '.join(names)}"
    else:
        return True
    raise ValueError(
        f"{_short(file)} holds the result of {differs}: "
        "give another output folder, or --force to replace it"
    )


def _run_one(run, folder, label, threads, timeout):
    result = folder / f"{run.id}.json"
    # Kept if the notebook fails: hours may have gone into the values recorded until then.
    channel = folder / f"{run.id}.partial.jsonl"
    # From here on an older result would no longer belong to the notebook beside it.
    result.unlink(missing_ok=True)
    channel.unlink(missing_ok=True)
    # Two data sets through one notebook draw figures of the same names: a folder for each.
    figures = folder / "figures" / run.id.removeprefix(run.notebook.stem).lstrip(".")
    variables = {CHANNEL: channel, "ERLIB_FIGURES": figures}
    variables |= dict.fromkeys(THREAD_VARIABLES, threads) if threads else {}
    figures.mkdir(parents=True, exist_ok=True)

    started, clock = datetime.datetime.now(datetime.UTC), time.monotonic()
    sha256, parameters = source_hash(run.notebook), run.parameters
    _execute(
        run.notebook,
        folder / f"{run.id}.ipynb",
        label=label,
        parameters=run.settings | run.overrides,
        variables=variables,
        timeout=timeout,
    )
    left = read_channel(channel)
    write_json(
        result,
        {
            "id": run.id,
            "notebook": run.notebook.name,
            "notebook_sha256": sha256,
            "profile": run.profile,
            "parameters": parameters,
            "command": run.command + (f" --threads {threads}" if threads else ""),
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - clock, 1),
            "threads": threads,
            "recorded": left["recorded"],
            "data": left["data"],
            # A notebook that does not call print_environment ran in a process like this one, but
            # for the number of torch threads.
            "environment": left["environment"] or environment() | {"torch_threads": None},
        },
    )
    channel.unlink(missing_ok=True)


def _report_failure(label, failure, seconds):
    print(f"{label}  FAILED  {seconds:.1f} s")
    print(f"  In [{failure.cell}]  {failure.line}")
    print(textwrap.indent(f"{failure.name}: {failure.message}", "  "), flush=True)


def _short(path):
    """The path as seen from here, if it lies below."""
    path = Path(path)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


# ---- refresh: the committed outputs -------------------------------------------------------------


def refresh(runs, *, timeout=None):
    """Execute the notebooks of ``runs`` with their defaults, store the outputs in place, and return
    the ids of those that failed.

    A notebook that fails keeps the outputs it had, and figures/ the figures.  Only outputs and
    execution counts change; time stamps, papermill's marks and versions are left out.
    """
    failed = []
    width = max((len(each.id) for each in runs), default=0)
    for each in runs:
        label, start = each.id.ljust(width), time.monotonic()
        try:
            _refresh_one(each.notebook, label, timeout)
        except NotebookFailed as failure:
            failed.append(each.id)
            _report_failure(label, failure, time.monotonic() - start)
            print(f"  {each.notebook.name} is left as it was", flush=True)
        else:
            print(f"{label}  ok  {time.monotonic() - start:.1f} s", flush=True)
    return failed


def _refresh_one(notebook, label, timeout):
    before = notebook.read_bytes()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        figures = scratch / "figures"
        figures.mkdir()
        executed = _execute(
            notebook,
            scratch / notebook.name,
            label=label,
            parameters={},
            variables={CHANNEL: scratch / "channel.jsonl", "ERLIB_FIGURES": figures},
            timeout=timeout,
        )
        if notebook.read_bytes() != before:
            message = "the notebook was changed while it ran; its new state is kept"
            raise NotebookFailed("-", notebook.name, "not stored", message)
        for file in sorted(figures.rglob("*")):
            if file.is_file():
                target = paths.figures_folder() / file.relative_to(figures)
                write_atomically(target, file.read_bytes())
    clean = _with_outputs(nbformat.reads(before.decode("utf-8"), as_version=4), executed)
    write_atomically(notebook, nbformat.writes(clean).rstrip("\n") + "\n")


def _with_outputs(notebook, executed):
    """The notebook with the outputs of its executed copy and without traces of the execution."""
    notebook.metadata.pop("papermill", None)
    notebook.metadata.kernelspec = {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    }
    notebook.metadata.language_info = {"name": "python"}
    for cell, done in zip(notebook.cells, executed.cells, strict=True):
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.execution_count = done.execution_count
            cell.outputs = _merge_streams(done.outputs)
    return notebook


def _merge_streams(outputs):
    """Join neighbouring pieces of one stream: where they are cut depends on timing."""
    merged = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


# ---- collect: results in the form that is committed ---------------------------------------------


def collect(folders, to=None):
    """Copy the finished results of run folders into ``to`` (default ``results/full``).

    For each run ``<id>.json`` says where its numbers come from, and each recorded table is a tidy
    ``<id>.<table>.csv``, its columns in the order in which they were recorded.  Returns the files
    written and the ids of runs left out because they are not finished.

    Raises ValueError before anything is written if a folder holds no finished run, if two hold the
    same id, or if a result names a folder of this machine.
    """
    to = Path(to or paths.RESULTS)
    results, unfinished = {}, []
    for folder in map(Path, folders):
        finished = sorted(folder.glob("[0-9][0-9]_*.json"))
        if not finished:
            raise ValueError(f"{folder} holds no finished run (no NN_name.json)")
        for file in finished:
            if file.stem in results:
                raise ValueError(f"{file.stem} is in more than one of the folders")
            results[file.stem] = json.loads(file.read_text(encoding="utf-8"))
            _refuse_local_paths(results[file.stem], file.stem)
        stems = {file.stem for file in finished}
        unfinished += [n.stem for n in sorted(folder.glob("*.ipynb")) if n.stem not in stems]

    written = []
    for id, result in results.items():
        tables = {key: v for key, v in result["recorded"].items() if _is_table(v)}
        result["recorded"] = {k: v for k, v in result["recorded"].items() if k not in tables}
        result["tables"] = {key: f"{id}.{key}.csv" for key in tables}
        target = to / f"{id}.json"
        old = json.loads(target.read_text(encoding="utf-8"))["tables"] if target.is_file() else {}
        for key, rows in tables.items():
            write_atomically(to / result["tables"][key], _as_csv(rows))
            written.append(to / result["tables"][key])
        write_json(target, result)
        written.append(target)
        for file in set(old.values()) - set(result["tables"].values()):
            (to / file).unlink(missing_ok=True)  # a table that the run no longer records
    return written, [id for id in unfinished if id not in results]


def _is_table(value):
    """A list of flat dicts, at least one."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(row, dict) for row in value)
        and not any(isinstance(cell, (list, dict)) for row in value for cell in row.values())
    )


def _as_csv(rows):
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _refuse_local_paths(value, where):
    """A result that names a folder of this machine can be repeated by nobody else."""
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_local_paths(item, f"{where}.{key}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _refuse_local_paths(item, f"{where}[{i}]")
    elif isinstance(value, str):
        places = [str(place) for place in (paths.ROOT, Path.home()) if len(place.parts) > 1]
        if Path(value).is_absolute() or any(place in value for place in places):
            raise ValueError(f"{where} is a path on this machine, not to be committed: {value!r}")
