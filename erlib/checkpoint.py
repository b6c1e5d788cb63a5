"""Checkpoints: how far a training has come, in a file that holds the old state or the new one."""

import os
from pathlib import Path
from typing import Any

import torch


def write(path: str | os.PathLike, state: dict[str, Any]) -> None:
    """Write a state of tensors, numbers, texts, lists and dictionaries, on the disk at once.

    Raises OSError where there is no room or no right to: what was there before still is.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "state.pt"
    >>> write(file, {"done": 3, "weights": torch.ones(2)})
    >>> read(file)
    {'done': 3, 'weights': tensor([1., 1.])}
    """
    path = Path(path)
    # In the same folder, because a rename is atomic only within one file system.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch tells of a full disk by either
        before = "the one from before is whole" if path.exists() else "there was none before"
        raise OSError(f"checkpoint: {path} could not be written ({error}); {before}") from error
    finally:
        temporary.unlink(missing_ok=True)


def read(path: str | os.PathLike) -> dict[str, Any]:
    """The state in a file; ValueError if it has none, or there is no such file."""
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except FileNotFoundError:
        raise ValueError(f"checkpoint: there is no {path}") from None
    except Exception as error:  # of many kinds: torch, zipfile and pickle complain
        why = str(error).splitlines()[0]
        raise ValueError(f"checkpoint: {path} is none, or damaged: {why}") from None
