"""The command line: ``erlib run``, ``refresh``, ``collect``, ``readme`` and ``data``."""

import contextlib
import sys

import click

from . import __version__
from .collect import collect as collect_results
from .datasets_cli import data
from .parameters import from_text
from .readme import renew as renew_readme


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="erlib")
def main():
    """Run the notebooks of this companion, and keep their data and results.

    Exit codes: 0 all went well, 1 a notebook failed, 2 the command was not understood.
    """


main.add_command(data)


@contextlib.contextmanager
def _mistakes_as_usage_errors():
    """What the planning refuses is the caller's mistake: exit code 2 and no traceback."""
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        raise click.UsageError(str(error)) from error


class _Yaml(click.ParamType):
    """A value written as YAML: 3, 1e-3, false, [1, 2], mnist."""

    name = "value"

    def convert(self, value, param, ctx):
        try:
            return from_text(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


_timeout = click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds a cell may take."
)


@main.command()
@click.argument("selection", nargs=-1)
@click.option(
    "--profile",
    type=click.Choice(["quick", "full"]),
    default="quick",
    show_default=True,
    help="quick: the defaults. full: notebooks/full/*.yaml.",
)
@click.option(
    "-p",
    "overrides",
    type=(str, _Yaml()),
    multiple=True,
    metavar="NAME VALUE",
    help="Set a parameter of the selected notebooks.",
)
@click.option("--output", type=click.Path(file_okay=False), help="Folder to write or resume.")
@click.option("--force", is_flag=True, help="Run again what is done already.")
@click.option("--stop", is_flag=True, help="Stop at the first notebook that fails.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of each kernel.")
@_timeout
def run(selection, profile, overrides, output, force, stop, threads, timeout):
    """Run notebooks into a new folder below runs/.

    SELECTION is numbers (3), ranges (1-3) or names (03_one_update); all if there is none.
    """
    from . import runs  # loading papermill takes a second that other commands can do without

    with _mistakes_as_usage_errors():
        if len(dict(overrides)) < len(overrides):
            raise ValueError("-p sets the same parameter twice")
        planned = runs.plan(selection, profile=profile, overrides=dict(overrides))
        failed = runs.run(
            planned, output=output, force=force, stop=stop, threads=threads, timeout=timeout
        )
    sys.exit(1 if failed else 0)


@main.command()
@click.argument("selection", nargs=-1)
@_timeout
def refresh(selection, timeout):
    """Renew the stored outputs and figures of notebooks.

    SELECTION is as in `erlib run`.
    """
    from .refresh import refresh as refresh_notebooks
    from .runs import plan

    with _mistakes_as_usage_errors():
        planned = plan(selection)
    sys.exit(1 if refresh_notebooks(planned, timeout=timeout) else 0)


@main.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False))
@click.option("--to", type=click.Path(file_okay=False), help="Default: results/full.")
def collect(folders, to):
    """Copy finished results of run FOLDERS into committed tables."""
    with _mistakes_as_usage_errors():
        written, unfinished = collect_results(folders, to)
    for file in written:
        click.echo(f"wrote {file}")
    for run_id in unfinished:
        click.echo(f"left out, not finished: {run_id}")


@main.command()
def readme():
    """Write the collected results into the table of README.md."""
    with _mistakes_as_usage_errors():
        click.echo("README.md renewed" if renew_readme() else "README.md is up to date")
