"""``erlib data``: the data sets that notebooks and runs use."""

from collections.abc import Sequence

import click

# Functions load `named`, so that other commands do not wait for torch.


def _check_names(context: object, parameter: object, names: Sequence[str]) -> Sequence[str]:
    """Refuse a misspelt name before any work is done for the others."""
    from ..data import named

    for name in names:
        try:
            named.check_name(name)
        except ValueError as error:
            raise click.BadParameter(str(error).removeprefix("name: ")) from error
    return names


@click.group()
def data() -> None:
    """The data sets that notebooks and runs use."""


@data.command("list")
def list_data_sets() -> None:
    """Show every data set and where it would be read from now."""
    from ..data import named

    for entry in named.data_sets():
        shape = " x ".join(map(str, entry.shape))
        click.echo(
            f"{entry.name:<14} {entry.n_train:>6,} + {entry.n_test:>6,} images of {shape:<11}  "
            f"{entry.n_classes} classes  {entry.licence:<12}  {entry.source}\n"
            f"{'':<14} {entry.found or 'not here: see data/README.md'}"
        )


@data.command()
@click.argument("names", nargs=-1, callback=_check_names)
def verify(names: Sequence[str]) -> None:
    """Read NAMES (all that are here, if none are named) and check their content.

    Downloads nothing.  Fails if the content differs, or if a data set that was named is not here.
    """
    from ..data import named

    if not names:
        names = [entry.name for entry in named.data_sets() if entry.found]
        for entry in named.data_sets():
            if not entry.found:
                click.echo(f"not here  {entry.name}")
    _load_each(names, download=False)


@data.command()
@click.argument("names", nargs=-1, required=True, callback=_check_names)
def fetch(names: Sequence[str]) -> None:
    """Download NAMES into data/ unless they are here already, and check their content."""
    _load_each(names, download=True)


def _load_each(names: Sequence[str], download: bool) -> None:
    from ..data import named

    unlisted = {entry.name for entry in named.data_sets() if entry.sha256 is None}
    failed = []
    for name in names:
        try:
            found = named.load(name, download=download)
        except (OSError, ValueError) as error:
            failed.append(name)
            click.echo(f"FAILED  {error}", err=True)
        else:
            note = "  (no known checksum to compare with: structure checked)" * (name in unlisted)
            click.echo(f"ok  {name}  sha256 {found.sha256}{note}")
    if failed:
        raise click.ClickException(f"{len(failed)} of {len(names)} failed: {', '.join(failed)}")
