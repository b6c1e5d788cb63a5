"""What a notebook leaves behind: values, the data sets it used, the environment it ran in.

A notebook calls :func:`record` for the values worth keeping and ends with
:func:`print_environment`.  In a batch run the runner names a file in ``$ERLIB_RECORD``, to which
each call appends one line of JSON; with no run around it, in JupyterLab or under nbval, the calls
only check what they are given.
"""

import functools
import importlib.metadata
import json
import math
import os
import platform
import re
import subprocess
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from . import paths
from .code_state import code_state, loaded_modules

#: Environment variable with the path of the file that a run collects its values in.
CHANNEL = "ERLIB_RECORD"


def record(**values: Any) -> None:
    """Record values of this run under their names.

    A value is a number, text, bool, None, a NumPy or torch scalar or array, or a list or dict of
    these.  A list of flat dicts is a table, one dict a row.

    >>> record(accuracy=0.953, runs=[{"seed": 0, "accuracy": 0.95}, {"seed": 1, "accuracy": 0.96}])
    >>> record(accuracy=float("nan"))
    Traceback (most recent call last):
        ...
    ValueError: record: accuracy is nan; only finite numbers can be recorded

    Raises ValueError naming the key if a value is NaN, infinite or of another kind, or if this run
    recorded the key before.
    """
    plain = {}
    for key, value in values.items():
        if not key.isidentifier():  # keys become names of files
            raise ValueError(f"record: {key!r} is no name; use letters, digits and _")
        plain[key] = as_plain(f"record: {key}", value)
    if not _in_a_run():
        return
    before = read_channel(os.environ[CHANNEL])["recorded"]
    for key in plain:
        if key in before:
            raise ValueError(f"record: {key} was recorded before in this run")
    _append(recorded=plain)


def note_data(name: str, sha256: str) -> None:
    """Note that this run used the data set ``name`` with this checksum; :func:`erlib.load` does so.

    Raises ValueError if the run noted the same name with another checksum.
    """
    if not _in_a_run():
        return
    before = read_channel(os.environ[CHANNEL])["data"].get(name)
    if before is None:
        _append(data={name: sha256})
    elif before != sha256:
        raise ValueError(f"data set {name!r} changed during the run: {before}, now {sha256}")


def read_channel(path: str | os.PathLike) -> dict[str, dict]:
    """All that a run left in the file ``path``: recorded, data, environment and code."""
    found: dict[str, dict] = {"recorded": {}, "data": {}, "environment": {}, "code": {}}
    if Path(path).is_file():
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            for kind, entries in json.loads(line).items():
                found[kind].update(entries)
    return found


def environment() -> dict[str, Any]:
    """What the results of this process depend on: versions, processor, threads, commit.

    >>> sorted(environment())  # doctest: +NORMALIZE_WHITESPACE
    ['cpu', 'erlib', 'git_commit', 'git_dirty', 'gpu', 'logical_cores', 'packages',
     'physical_cores', 'platform', 'python', 'torch_threads']

    The cores are those this process may use.  ``packages`` are the direct dependencies of erlib.
    ``git_commit`` is None outside a checkout.  No name of the machine, the user or a folder is in
    it, so that it can be published.
    """
    import torch  # recording needs no torch

    import erlib  # complete only after this module is

    names = [re.split(r"[^\w.-]", each)[0] for each in _requirements() if "extra ==" not in each]
    commit, dirty = _git_state()
    return {
        "python": platform.python_version(),
        "erlib": erlib.__version__,
        "packages": {name: importlib.metadata.version(name) for name in names},
        "cpu": _cpu_model(),
        "physical_cores": _physical_cores(),
        "logical_cores": len(_available_cores()),
        "torch_threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "platform": f"{platform.system()} {platform.machine()}",
        "git_commit": commit,
        "git_dirty": dirty,
    }


def print_environment() -> None:
    """Print versions, processor and threads in a few plain lines; a run keeps them too.

    The commit is kept but not printed: in a committed notebook it would always be an older one.
    """
    here = environment()
    if _in_a_run():
        _append(environment=here, code=code_state(loaded_modules()))
    cores = f"{here['physical_cores'] or '?'} physical, {here['logical_cores']} logical cores"
    print(f"Python {here['python']}, erlib {here['erlib']}, {here['platform']}")
    print(", ".join(f"{name} {version}" for name, version in here["packages"].items()))
    print(f"{here['cpu']}, {cores}, {here['torch_threads']} torch threads")
    if here["gpu"]:
        print(here["gpu"])


def write_atomically(path: str | os.PathLike, content: str | bytes) -> None:
    """Write text or bytes so that ``path`` holds the old content or the new, never a part of it.

    Half a character, as in names of files that are no UTF-8, is written as JSON escapes it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because a rename is atomic only within one file system.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            if isinstance(content, str):
                content = content.encode("utf-8", "backslashreplace")
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write ``value`` as JSON, atomically; NaN and infinity are refused with ValueError."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, text + "\n")


def as_plain(where: str, value: Any) -> Any:
    """``value`` in the types of JSON; ``where`` names it in errors, as in ``table[2].loss``."""
    if hasattr(value, "tolist"):  # NumPy and torch, scalars and arrays alike
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}; only finite numbers can be recorded")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [as_plain(f"{where}[{i}]", item) for i, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"{where} has the key {key!r}; keys must be text")
        return {key: as_plain(f"{where}.{key}", item) for key, item in value.items()}
    raise ValueError(
        f"{where} is of type {type(value).__name__}; "
        "numbers, text, bool, None, arrays, and lists or dicts of them can be recorded"
    )


def _in_a_run() -> bool:
    return bool(os.environ.get(CHANNEL))


def _append(**entries: dict) -> None:
    with open(os.environ[CHANNEL], "a", encoding="utf-8") as channel:
        channel.write(json.dumps(entries, allow_nan=False) + "\n")


def _requirements() -> list[str]:
    try:
        return importlib.metadata.requires("erlib") or []
    except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
        project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        return project["project"]["dependencies"]


def _available_cores() -> Collection[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def _physical_cores() -> int | None:
    """Cores without their hyper-threads, or None where the system does not tell."""
    siblings = set()
    for core in _available_cores():
        file = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
        if not file.is_file():
            return None
        siblings.add(file.read_text().strip())
    return len(siblings)


@functools.cache
def _cpu_model() -> str:
    if platform.system() == "Linux":
        if found := re.search(r"^model name\s*:(.*)", Path("/proc/cpuinfo").read_text(), re.M):
            return found[1].strip()
    if platform.system() == "Darwin":
        return _output_of("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    return platform.processor() or platform.machine()


def _git_state() -> tuple[str | None, bool | None]:
    """(short commit, are there local changes), or (None, None) outside a checkout."""
    if not (paths.ROOT / ".git").exists():  # a repository further up is somebody else's
        return None, None
    commit = _output_of("git", "-C", str(paths.ROOT), "rev-parse", "--short", "HEAD")
    changes = _output_of("git", "-C", str(paths.ROOT), "status", "--porcelain")
    return (commit, bool(changes)) if commit else (None, None)


def _output_of(*command: str) -> str | None:
    """What a command prints, or None if it fails or does not exist."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
