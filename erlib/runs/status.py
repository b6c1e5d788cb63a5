"""Which published results are the present code's, and what has changed since the others."""

from pathlib import Path

from ..notebook import paths
from ..notebook.code_state import PACKAGE, changed
from .folder import numbered, read_result
from .notebooks import source_hash


def older(result: dict) -> list[str]:
    """Why a result need not be what the present code would give: texts, none if it is."""
    notebook, code = paths.NOTEBOOKS / result["notebook"], result.get("code")
    why = []
    if not notebook.is_file() or source_hash(notebook) != result["notebook_sha256"]:
        why.append("notebook")
    if not code:
        why.append("not known which code made it")
    elif differ := changed(code):
        # What is gone has certainly changed; a hash of old may have counted comments.
        gone = [module for module in differ if not (PACKAGE / module).is_file()]
        why.append(_few(gone) + " gone" if gone else _few(differ))
    if not result["environment"].get("git_commit"):
        why.append("no commit")
    if result["environment"].get("git_dirty"):
        why.append("local changes when it was made")
    return why


def status(folder: str | Path | None = None) -> tuple[list[str], bool]:
    """A line for each result in a folder (default: ``results/full``), and are all the present ones.

    Raises ValueError if there is none, or one is not whole.
    """
    folder = Path(folder or paths.RESULTS)
    lines, all_present = [], True
    if not (files := numbered(folder)):
        raise ValueError(f"{folder} holds no results (no NN_name.json)")
    width = max(len(file.stem) for file in files)
    for file in files:
        result = read_result(file)
        if result is None:
            raise ValueError(f"{file} is no whole result")
        why = older(result)
        told = f"older: {'; '.join(why)}" if why else "present"
        commit, day = result["environment"].get("git_commit") or "-", result["started"][:10]
        lines.append(f"{file.stem:<{width}}  {commit:<9}  {day}  {told}")
        all_present = all_present and not why
    return lines, all_present


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
