"""Renew the outputs that are committed with the notebooks."""

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ..notebook import paths
from ..notebook.record import CHANNEL, write_atomically
from ..progress import VARIABLE as OFF
from .execute import NotebookFailed, execute
from .overview import Overview
from .plan import Run

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def refresh(runs: Sequence[Run], *, timeout: float | None = None) -> list[str]:
    """Execute the notebooks of ``runs`` with their defaults, store the outputs in place, and return
    the ids of those that failed.

    A notebook that fails keeps the outputs it had.  Only outputs and execution counts change; time
    stamps, papermill's marks and versions are left out.  A picture of the name of one in
    ``figures/`` takes its place.
    """
    failed, overview = [], Overview(runs)
    with overview.beating():
        for each in runs:
            start = time.monotonic()
            end: dict = {"end": "ok"}
            try:
                _refresh_one(each.notebook, partial(overview.at, each), timeout)
            except NotebookFailed as failure:
                end = {"end": "failed", "why": str(failure)}
                failed.append(each.id)
            end["seconds"] = time.monotonic() - start
            overview.ended(each, end, f"{each.notebook.name} is left as it was")
    return failed


def _refresh_one(notebook: Path, cell_started: Callable, timeout: float | None) -> None:
    before = notebook.read_bytes()
    with tempfile.TemporaryDirectory() as scratch:
        figures = Path(scratch, "figures")
        variables = {CHANNEL: Path(scratch, "channel.jsonl"), "ERLIB_FIGURES": figures, OFF: "off"}
        executed = execute(
            notebook,
            Path(scratch, notebook.name),
            parameters={},
            variables=variables,
            timeout=timeout,
            cell_started=cell_started,
        )
        drawn = {file.name: file.read_bytes() for file in figures.glob("*.png")}
    if notebook.read_bytes() != before:
        message = "the notebook was changed while it ran; its new state is kept"
        raise NotebookFailed("-", notebook.name, "not stored", message)
    clean = nbformat.reads(before.decode("utf-8"), as_version=4)
    clean.metadata.pop("papermill", None)
    clean.metadata |= {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for cell, done in zip(clean.cells, executed.cells, strict=True):
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = done.execution_count, _merged(done.outputs)
    write_atomically(notebook, nbformat.writes(clean).rstrip("\n") + "\n")
    for name, picture in drawn.items():
        if (paths.FIGURES / name).is_file():
            write_atomically(paths.FIGURES / name, picture)


def _merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Neighbouring pieces of one stream as one: where they are cut depends on timing."""
    merged: list[NotebookNode] = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged
