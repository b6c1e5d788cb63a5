"""Renew the outputs that are committed with the notebooks."""

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ..notebook.record import CHANNEL, write_atomically
from .execute import NotebookFailed, execute
from .overview import Overview
from .plan import Run


def refresh(runs: Sequence[Run], *, timeout: float | None = None) -> list[str]:
    """Execute the notebooks of ``runs`` with their defaults, store the outputs in place, and return
    the ids of those that failed.

    A notebook that fails keeps the outputs it had.  Only outputs and execution counts change; time
    stamps, papermill's marks and versions are left out.
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


def _refresh_one(
    notebook: Path, cell_started: Callable[[int, int, str], object], timeout: float | None
) -> None:
    before = notebook.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        executed = execute(
            notebook,
            scratch / notebook.name,
            parameters={},
            variables={CHANNEL: scratch / "channel.jsonl", "ERLIB_FIGURES": ""},
            timeout=timeout,
            cell_started=cell_started,
        )
        if notebook.read_bytes() != before:
            message = "the notebook was changed while it ran; its new state is kept"
            raise NotebookFailed("-", notebook.name, "not stored", message)
    clean = _with_outputs(nbformat.reads(before.decode("utf-8"), as_version=4), executed)
    write_atomically(notebook, nbformat.writes(clean).rstrip("\n") + "\n")


def _with_outputs(notebook: NotebookNode, executed: NotebookNode) -> NotebookNode:
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


def _merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of one stream: where they are cut depends on timing."""
    merged: list[NotebookNode] = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged
