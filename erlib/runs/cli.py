"""The command line: ``erlib run``, ``sweep``, ``collect``, ``show`` and the maintainers' verbs."""

import dataclasses
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click import argument, option

from .. import __version__
from ..notebook.parameters import Typed
from .data_cli import data

# Commands load what they do, so that others do not wait for pandas, papermill or torch.

FOLDER, FOUND = click.Path(file_okay=False), click.Path(exists=True, file_okay=False)
COUNT, SECONDS = click.IntRange(min=1), click.FloatRange(min=0, min_open=True)
VERDICTS = "Whether a notebook asserts its verdicts, which are about its defaults."


class _Command(click.Command):
    """What the planning refuses is the caller's mistake: exit code 2 and no traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except FileNotFoundError as error:
            what = f"there is no {error.filename} here" if error.filename else str(error)
            raise click.UsageError(what, context) from error
        except ValueError as error:
            raise click.UsageError(str(error), context) from error
        except KeyboardInterrupt:
            sys.exit(130)  # what there is to say has been said


class _Main(click.Group):
    """The command line, which no character that a terminal cannot show brings to a stop."""

    command_class = _Command

    def main(self, *arguments: Any, **options: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        return super().main(*arguments, **options)


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="erlib")
def main() -> None:
    """Run the notebooks of this companion, and keep their data and results.

    Exit codes: 0 all went well, 1 a notebook failed, 2 the command was not understood.
    """


main.add_command(data)


def _in_a_checkout(file: str) -> None:
    from ..notebook.paths import ROOT

    if not (ROOT / file).is_file():
        raise ValueError(f"{file} is not in {ROOT}: this is for a checkout of the companion")


_timeout = option("--timeout", type=SECONDS, help="Seconds a cell may take.")
HOW = [  # what becomes `erlib.runs.plan.Settings`
    option("--force", is_flag=True, help="Run again what is done already."),
    option("--stop", is_flag=True, help="Stop at the first run that fails."),
    option("--jobs", type=COUNT, default=1, show_default=True, help="Runs at once."),
    option("--dask", metavar="ADDRESS", help="Run on the workers of this scheduler, or local:N."),
    option("--threads", type=COUNT, help="Threads of each kernel."),
    _timeout,
    option("--limit", type=SECONDS, help="Seconds a run may take."),
    option("--verdicts/--no-verdicts", default=True, help=VERDICTS),
]


def _how(command: Callable) -> Callable:
    for each in reversed(HOW):
        command = each(command)
    return command


def _once(context: object, parameter: object, given: list[tuple[str, str]]) -> dict[str, Typed]:
    if len(dict(given)) < len(given):
        raise click.UsageError("-p sets the same parameter twice")
    return {name: Typed(value) for name, value in given}


_values = option(
    "-p",
    "overrides",
    type=(str, str),
    multiple=True,
    callback=_once,
    metavar="NAME VALUE",
    help="Set a parameter: 3, 1e-3, false, [1, 2], mnist.",
)


@main.command()
@argument("selection", nargs=-1)
@option(
    "--profile",
    type=click.Choice(["quick", "full"]),
    default="quick",
    show_default=True,
    help="quick: the defaults. full: notebooks/full/*.yaml.",
)
@_values
@option("--output", "--out", type=FOLDER, help="Folder to write or resume.")
@_how
def run(
    selection: tuple[str, ...], profile: str, overrides: dict, output: str | None, **how: Any
) -> None:
    """Run notebooks into a new folder below runs/.

    SELECTION is numbers (3), ranges (1-3), names (04_one_update) or files; all if there is none.
    """
    from . import batch, plan

    planned = plan.plan(selection, profile=profile, overrides=overrides)
    sys.exit(1 if batch.run(planned, output, plan.Settings(**how)) else 0)


@main.command()
@argument("notebook")
@option(
    "--grid",
    "axes",
    multiple=True,
    metavar="NAME=V1,V2,...",
    help="Values of a parameter; 0:10 means 0 to 9. Once for each axis.",
)
@_values
@option(
    "--params",
    type=click.Path(exists=True, dir_okay=False),
    help="YAML file of values that are the same everywhere.",
)
@option("--out", "--output", type=FOLDER, help="Default: runs/sweep-NOTEBOOK.")
@option("--dry-run", is_flag=True, help="Print the plan, run nothing.")
@option("--only-failed", is_flag=True, help="Only what failed before.")
@_how
def sweep(
    notebook: str,
    axes: tuple[str, ...],
    overrides: dict,
    params: str | None,
    out: str | None,
    dry_run: bool,
    **options: Any,
) -> None:
    """Run a NOTEBOOK at every point of a grid of parameters.

    The same command again runs what is missing, failed, or older than the notebook and erlib. Then:
    erlib collect FOLDER.

    \b
    erlib sweep 4 --grid widths=50,100 --grid seeds=0:10 --jobs 2
    """
    from . import batch, plan, sweep

    if not axes:
        raise ValueError("give at least one --grid; a notebook runs once by erlib run")
    how = plan.Settings(replace=True, **options)
    if how.dask and how.jobs > 1:
        raise ValueError("--jobs is for this machine alone; dask has as many as its workers")
    fixed = (plan.read_parameters(params) if params else {}) | overrides
    planned = sweep.plan_sweep(notebook, axes, fixed)
    folder = Path(out or sweep.default_folder(planned)).resolve()
    shown = shlex.quote(str(batch.short(folder)))
    how = dataclasses.replace(how, threads=how.threads or batch.threads_each(how))
    click.echo(batch.describe(planned, folder, how))
    at_once = f"by dask at {how.dask}" if how.dask else f"{how.jobs} at once"
    click.echo(f"{at_once}, {how.threads} thread{'s' * (how.threads != 1)} each")
    if dry_run:
        return
    failed = batch.run(planned, folder, how)
    where = f" --out {shown}" if out else ""
    again = f"the same command again runs what failed; erlib show ID{where} says why"
    click.echo(again if failed else f"erlib collect {shown}")
    sys.exit(1 if failed else 0)


@main.command()
@argument("folder", type=FOUND)
@option("--table", help="One of the recorded tables, row by row.")
@option("--by", help="Columns, as A,B: means and 95 % intervals over all rows that share them.")
@option(
    "--where", multiple=True, metavar="NAME=V1,V2,...", help="Only rows with one of these values."
)
@option("--csv", "to", is_flag=True, help="CSV in place of a table to read.")
@option(
    "--plot", type=click.Path(dir_okay=False), help="Picture: the means, first by column across."
)
@option("--value", help="The column to draw.")
@option("--log", is_flag=True, help="A logarithmic axis across.")
@option("--mixed", is_flag=True, help="Take results of different code together.")
def collect(
    folder: str,
    table: str | None,
    by: str | None,
    where: tuple[str, ...],
    to: bool,
    plot: str | None,
    value: str,
    log: bool,
    mixed: bool,
) -> None:
    """Print the results in a FOLDER of runs as one tidy table.

    \b
    erlib collect runs/sweep-04_one_update --table accuracy --by width,arm
    erlib collect FOLDER --table accuracy --by width,arm --value accuracy --plot widths.png
    """
    from . import collect as results
    from . import show
    from .sweep import split_axis

    columns = [column.strip() for column in by.split(",")] if by else []
    if value and not plot:
        raise ValueError("--value is the column that --plot draws")
    if plot and not (columns and value):
        raise ValueError("--plot needs --by, its first column across, and --value")
    if plot and not Path(plot).parent.is_dir():
        raise ValueError(f"--plot {plot}: there is no folder {Path(plot).parent}")
    found, others = results.read_runs(folder, mixed=mixed)
    rows = results.rows_of(found, table=table)
    if table:
        others[f"without table {table}"] = len(found) - len(results.with_table(found, table))
    for text in where:
        rows = results.select(rows, *split_axis(text, "where"))
    if columns:
        rows = results.means(rows, columns, results.varying(found))
    if plot:
        show.plot(rows, columns, value, plot, log=log)
        click.echo(f"wrote {plot}")
    else:
        click.echo(results.as_csv(rows) if to else results.as_text(rows), nl=not to)
    for what, count in (+others).items():
        click.echo(f"left out: {count} {what}", err=True)
    if not any(result["recorded"] for result in found):
        click.echo("nothing was recorded: erlib.record(name=value) in the notebook", err=True)
    if not table and (lengths := results.lengths(found)):
        there = ", ".join(f"{name} ({length} rows a run)" for name, length in lengths.items())
        click.echo(f"tables: {there}; --table NAME shows one", err=True)


@main.command()
@argument("run")
@option("--out", type=FOUND, help="Its folder; else all of runs/.")
@option("--open", "in_lab", is_flag=True, help="Open the executed notebook in JupyterLab.")
def show(run: str, out: str | None, in_lab: bool) -> None:
    """Print what a RUN was and found, or why it failed.

    RUN is its id, the beginning of one, or of its hash.
    """
    from . import show

    file = show.find(run, [out] if out else None)
    if in_lab:
        notebook = str(show.notebook_of(file))
        os.execv(sys.executable, [sys.executable, "-m", "jupyter", "lab", notebook])
    click.echo(show.describe(file))


@main.command()
@argument("selection", nargs=-1)
@_timeout
def refresh(selection: tuple[str, ...], timeout: float | None) -> None:
    """Renew the stored outputs of notebooks.

    SELECTION is as in `erlib run`.
    """
    from . import plan, refresh

    sys.exit(1 if refresh.refresh(plan.plan(selection), timeout=timeout) else 0)


@main.command()
@argument("folders", nargs=-1, required=True, type=FOUND)
@option("--to", type=FOLDER, help="Default: results/full.")
def publish(folders: tuple[str, ...], to: str | None) -> None:
    """Copy finished results of run FOLDERS into committed tables."""
    from . import publish

    written, unfinished = publish.publish(folders, to)
    for file in written:
        click.echo(f"wrote {file}")
    for run_id in unfinished:
        click.echo(f"left out, not finished: {run_id}")


@main.command()
@argument("folder", required=False, type=FOUND)
@option("--check", is_flag=True, help="Exit with 1 unless all are the present code's.")
def status(folder: str | None, check: bool) -> None:
    """Tell of each published result whether it is the present code's, or what has changed.

    They are those in results/full, or in FOLDER.
    """
    from . import status

    lines, all_present = status.status(folder)
    click.echo("\n".join(lines))
    sys.exit(1 if check and not all_present else 0)


@main.command()
def results() -> None:
    """Write the published results into the tables of docs/results.md."""
    from . import results_page

    _in_a_checkout("docs/results.md")
    click.echo(f"docs/results.md {'renewed' if results_page.renew() else 'is up to date'}")


@main.command()
@option("--page", is_flag=True, help="Write docs/claims.md, and print nothing.")
def claims(page: bool) -> None:
    """Check the claims of claims.yaml against the committed tables."""
    from ..notebook.paths import ROOT
    from . import claims

    _in_a_checkout("claims.yaml")
    judged = claims.judge()
    if page:
        (ROOT / "docs/claims.md").write_text(claims.as_page(judged), encoding="utf-8")
    else:
        click.echo(claims.as_text(judged))
    sys.exit(0 if all(check["ok"] for claim in judged for check in claim["checks"]) else 1)
