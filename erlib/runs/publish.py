"""Copy the results of runs into the form that is committed."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..notebook import paths
from ..notebook.record import write_atomically, write_json
from .collect import as_csv, frame_of
from .folder import Files, not_finished, numbered, tables_in


def publish(
    folders: Sequence[str | Path], to: str | Path | None = None
) -> tuple[list[Path], list[str]]:
    """Copy the finished results of run folders into ``to`` (default ``results/full``).

    For each run ``<id>.json`` says where its numbers come from, and each recorded table with a row
    is a tidy ``<id>.<table>.csv``, its columns in the order in which they were recorded. Figures
    stay where the run left them: those of the pages are drawn from the published tables. Returns
    the files written and the ids of runs left out because they are not finished.

    Raises ValueError before anything is written if a folder holds no finished run, if two hold the
    same id, if a result names a folder of this machine, or if no commit holds the code it is of.
    """
    results: dict[Files, dict] = {}
    unfinished: list[str] = []
    for folder in map(Path, folders):
        if not (finished := numbered(folder)):
            raise ValueError(f"{folder} holds no finished run (no NN_name.json)")
        for files in map(Files.of, finished):
            if any(files.id == other.id for other in results):
                raise ValueError(f"{files.id} is in more than one of the folders")
            results[files] = result = json.loads(files.result.read_text(encoding="utf-8"))
            _refuse_code_in_no_commit(result.get("environment", {}), files.id)
            _refuse_local_paths(result, files.id)
            _refuse_local_paths(shlex.split(result.get("command", "")), f"{files.id}.command")
        unfinished += not_finished(folder)

    written: list[Path] = []
    for files, result in results.items():
        target = Files(Path(to or paths.RESULTS), files.id)
        tables = {name: rows for name, rows in tables_in(result).items() if rows}
        result["recorded"] = {k: v for k, v in result["recorded"].items() if k not in tables}
        if result.get("place", "").startswith("."):  # the folders of somebody's own notebook
            result["place"] = Path(result["place"]).name
        result["tables"] = {name: target.table(name).name for name in tables}
        old = json.loads(target.result.read_text("utf-8")) if target.result.is_file() else {}
        for name, rows in tables.items():
            write_atomically(target.table(name), as_csv(frame_of(rows)))
        write_json(target.result, result)
        for name in old.get("tables", {}).keys() - tables.keys():
            target.table(name).unlink(missing_ok=True)  # which the run no longer records
        written += [*map(target.table, tables), target.result]
    done = {files.id for files in results}
    return written, [id for id in unfinished if id not in done]


def _refuse_code_in_no_commit(environment: dict, id: str) -> None:
    """Nobody else could see the code that such a result is of."""
    commit = environment.get("git_commit")
    if not commit:
        raise ValueError(f"{id} knows no commit that it is of: run it in a checkout")
    if environment.get("git_dirty"):
        raise ValueError(f"{id} was made with local changes to {commit}: commit, and run it again")


def _refuse_local_paths(value: Any, where: str) -> None:
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
