"""Fixtures that several modules of tests share."""

import os
import socket
from types import SimpleNamespace

import pytest
from data_files import expect_small, small_raw, write_idx
from finished_runs import finished
from small_notebooks import write_notebook, write_settings

from erlib.data import lookup
from erlib.data import named as datasets
from erlib.notebook import paths


@pytest.fixture
def empty_machine(tmp_path, monkeypatch):
    """No data anywhere, no network: what a test finds, it has put there."""
    monkeypatch.delenv("ERLIB_DATA", raising=False)
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    monkeypatch.setattr(lookup, "_DEBIAN_FASHION_MNIST", tmp_path / "debian")

    def refuse(*_):
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def noted(monkeypatch):
    """The names and checksums that `load` notes for the record of the run."""
    notes = []
    monkeypatch.setattr(datasets, "note_data", lambda name, sha256: notes.append((name, sha256)))
    return notes


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """A small MNIST in data/; gives its content and its folder."""
    raw, folder = small_raw(), tmp_path / "data/MNIST/raw"
    expect_small(monkeypatch, "mnist", raw)
    write_idx(folder, raw)
    return raw, folder


def make_companion(root, patch):
    for name in ("NOTEBOOKS", "RUNS", "RESULTS", "FIGURES"):
        (root / name.lower()).mkdir()
        patch.setattr(paths, name, root / name.lower())
    patch.chdir(root)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty companion: paths point into a temporary folder."""
    make_companion(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture
def three(place):
    """Three notebooks that are planned but never executed."""
    write_notebook("01_first", parameters="seeds = [0, 1]\nhidden: int = 10  # units")
    write_notebook("02_second", parameters="hidden = 20")
    write_notebook("03_third", "pass")


@pytest.fixture(scope="session")
def batch(tmp_path_factory):
    """One batch in which a notebook fails: what it printed, returned and left behind."""
    from erlib.runs.batch import run  # papermill takes a second to load
    from erlib.runs.plan import Settings, plan

    root = tmp_path_factory.mktemp("batch")
    with pytest.MonkeyPatch.context() as patch:
        make_companion(root, patch)
        patch.setenv("ERLIB_DATA", "my-data")
        write_notebook(
            "01_values",
            "from erlib.notebook.record import note_data, print_environment, record",
            "record(hidden=hidden, table=[{'seed': s, 'score': s / 4} for s in seeds])",
            "note_data('digits', 'abc')",
            "print_environment()",
            parameters="hidden = 5\nseeds = [0, 1]",
        )
        write_notebook("02_fails", "import os", "x = 1\nraise KeyError('gone')", "never = True")
        write_notebook(
            "03_light",
            "import json, os, sys",
            "open(os.environ['ERLIB_FIGURES'] + '/03_plot.png', 'w').write(str(rate))",
            "print(json.dumps([sys.executable, os.getcwd(), dict(os.environ)]))",
            parameters="rate = 0.5",
        )
        write_settings("03_light", "rate: 1e-3\n")
        write_settings("03_light.other", "rate: 2\n")
        before = dict(os.environ)
        with pytest.MonkeyPatch.context() as inner:
            printed = []
            inner.setattr("builtins.print", lambda *a, **_: printed.append(" ".join(map(str, a))))
            failed = run(plan(profile="full"), how=Settings(threads=1))
        assert dict(os.environ) == before, "nothing set for the kernels may leak"
        (folder,) = paths.RUNS.iterdir()
    return SimpleNamespace(root=root, folder=folder, failed=failed, printed=printed)


@pytest.fixture
def sweep(tmp_path):
    """Two widths, three seeds, a number and a table each."""
    for width in (100, 20):
        for seed in range(3):
            finished(
                tmp_path / "sweep",
                f"01_a-{width}{seed}",
                parameters={"width": width, "seeds": [seed], "dataset": "digits"},
                recorded={
                    "score": width + seed,
                    "note": "x",
                    "rows": [{"arm": arm, "score": width + seed + i} for i, arm in enumerate("xy")],
                },
            )
    return tmp_path / "sweep"
