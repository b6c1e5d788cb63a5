"""Copy the results of runs into the form that is committed."""

import csv
import io
import json
import shlex
import shutil
from pathlib import Path

from ..notebook import paths
from ..notebook.record import write_atomically, write_json


def publish(folders, to=None):
    """Copy the finished results of run folders into ``to`` (default ``results/full``).

    For each run ``<id>.json`` says where its numbers come from, each recorded table is a tidy
    ``<id>.<table>.csv``, its columns in the order in which they were recorded, and the figures go
    to ``figures/<id>/`` (below ``to``, if it is given).  Returns the files written and the ids of
    runs left out because they are not finished.

    Raises ValueError before anything is written if a folder holds no finished run, if two hold the
    same id, if a result names a folder of this machine, or if no commit holds the code it is of.
    """
    pictures = Path(to) / "figures" if to else paths.FIGURES
    to = Path(to or paths.RESULTS)
    results, figures, unfinished = {}, {}, []
    for folder in map(Path, folders):
        finished = sorted(folder.glob("[0-9][0-9]_*.json"))
        if not finished:
            raise ValueError(f"{folder} holds no finished run (no NN_name.json)")
        for file in finished:
            if file.stem in results:
                raise ValueError(f"{file.stem} is in more than one of the folders")
            results[file.stem] = json.loads(file.read_text(encoding="utf-8"))
            drawn = (folder / "figures" / file.stem).glob("*.png")
            figures[file.stem] = sorted(drawn)
            _refuse_code_in_no_commit(results[file.stem].get("environment", {}), file.stem)
            _refuse_local_paths(results[file.stem], file.stem)
            words = shlex.split(results[file.stem].get("command", ""))
            _refuse_local_paths(words, f"{file.stem}.command")
        stems = {file.stem for file in finished}
        unfinished += [n.stem for n in sorted(folder.glob("*.ipynb")) if n.stem not in stems]

    written = []
    for id, result in results.items():
        tables = {key: v for key, v in result["recorded"].items() if _is_table(v)}
        result["recorded"] = {k: v for k, v in result["recorded"].items() if k not in tables}
        if result.get("place", "").startswith("."):  # the folders of somebody's own notebook
            result["place"] = Path(result["place"]).name
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
        shutil.rmtree(pictures / id, ignore_errors=True)
        for figure in figures[id]:
            copy = pictures / id / figure.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(copy, figure.read_bytes())
            written.append(copy)
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


def _refuse_code_in_no_commit(environment, id):
    """Nobody else could see the code that such a result is of."""
    commit = environment.get("git_commit")
    if not commit:
        raise ValueError(f"{id} knows no commit that it is of: run it in a checkout")
    if environment.get("git_dirty"):
        raise ValueError(f"{id} was made with local changes to {commit}: commit, and run it again")


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
