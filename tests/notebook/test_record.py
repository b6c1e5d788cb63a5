import json
import os
import platform

import numpy as np
import pytest
import torch

from erlib.notebook.record import (
    CHANNEL,
    environment,
    note_data,
    print_environment,
    read_channel,
    record,
    write_atomically,
    write_json,
)


@pytest.fixture
def channel(tmp_path, monkeypatch):
    """A run around the calls: the file that it collects from."""
    file = tmp_path / "channel.jsonl"
    monkeypatch.setenv(CHANNEL, str(file))
    return file


@pytest.fixture(autouse=True)
def no_run_by_default(monkeypatch):
    monkeypatch.delenv(CHANNEL, raising=False)


def test_values_come_back_as_plain_python(channel):
    record(
        count=3,
        share=np.float32(0.5),
        flags=np.array([True, False]),
        weights=torch.eye(2, requires_grad=True),
        loss=torch.tensor(1.5),
        nothing=None,
        pair=(1, "two"),
        table=[{"seed": np.int64(0), "accuracy": 0.9}],
    )
    record(later="yes")
    assert read_channel(channel)["recorded"] == {
        "count": 3,
        "share": 0.5,
        "flags": [True, False],
        "weights": [[1.0, 0.0], [0.0, 1.0]],
        "loss": 1.5,
        "nothing": None,
        "pair": [1, "two"],
        "table": [{"seed": 0, "accuracy": 0.9}],
        "later": "yes",
    }


def test_numbers_keep_every_digit(channel):
    value = np.nextafter(0.1, 1)
    record(value=value)
    assert read_channel(channel)["recorded"]["value"] == value


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (float("nan"), "x is nan"),
        (np.array([1.0, np.inf]), r"x\[1\] is inf"),
        ([{"loss": torch.tensor(float("-inf"))}], r"x\[0\]\.loss is -inf"),
        (object(), "x is of type object"),
        (1 + 2j, "x is of type complex"),
        (np.array([1j]), r"x\[0\] is of type complex"),
        ({"a": {1, 2}}, r"x\.a is of type set"),
        ({1: 2}, "x has the key 1"),
    ],
)
@pytest.mark.parametrize("in_a_run", [True, False])
def test_what_cannot_be_recorded_is_refused_by_name(value, complaint, in_a_run, request):
    file = request.getfixturevalue("channel") if in_a_run else None
    with pytest.raises(ValueError, match=complaint):
        record(fine=1, x=value)
    assert file is None or not file.exists(), "a refused call must leave nothing behind"


def test_a_key_that_is_no_name_is_refused():
    with pytest.raises(ValueError, match=r"'\.\./x' is no name"):
        record(**{"../x": 1})


def test_a_key_can_be_recorded_once_in_a_run(channel):
    record(accuracy=0.9)
    with pytest.raises(ValueError, match="accuracy was recorded before"):
        record(accuracy=0.8)
    assert read_channel(channel)["recorded"] == {"accuracy": 0.9}


def test_without_a_run_nothing_is_kept_or_printed(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert record(accuracy=0.9) is None
    assert record(accuracy=0.9) is None, "a cell may be executed again"
    note_data("mnist", "abc")
    assert capsys.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_data_may_be_noted_again_but_not_change(channel):
    note_data("mnist", "abc")
    note_data("mnist", "abc")
    note_data("digits", "def")
    assert read_channel(channel)["data"] == {"mnist": "abc", "digits": "def"}
    with pytest.raises(ValueError, match="'mnist' changed"):
        note_data("mnist", "other")


def test_environment_says_where_and_is_fit_to_publish():
    here = environment()
    assert here["python"] == platform.python_version()
    assert here["packages"]["torch"] == torch.__version__
    assert "pytest" not in here["packages"], "direct dependencies only"
    assert here["torch_threads"] == torch.get_num_threads()
    assert 1 <= here["logical_cores"] <= os.cpu_count()
    text = json.dumps(here)
    assert platform.node() not in text or len(platform.node()) < 4
    assert os.path.expanduser("~") not in text and os.getcwd() not in text


def test_environment_is_printed_and_kept(channel, capsys):
    print_environment()
    printed = capsys.readouterr().out
    assert f"torch {torch.__version__}" in printed and "logical cores" in printed
    assert read_channel(channel)["environment"] == environment()


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "result.json"
    write_json(file, {"old": 1})

    def crash(*_):
        raise OSError("disk full")

    for stage in ("fsync", "replace"):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
            patch.setattr(os, stage, crash)
            write_json(file, {"new": 2})
        assert json.loads(file.read_text()) == {"old": 1}
        assert list(tmp_path.iterdir()) == [file], "no temporary file is left"


def test_write_json_refuses_nan_and_keeps_the_old_file(tmp_path):
    file = tmp_path / "result.json"
    write_json(file, {"a": "Ψ"})
    with pytest.raises(ValueError):
        write_json(file, {"a": float("nan")})
    assert json.loads(file.read_text(encoding="utf-8")) == {"a": "Ψ"}


def test_write_creates_folders_and_takes_bytes(tmp_path):
    write_atomically(tmp_path / "new" / "figure.png", b"\x89PNG")
    assert (tmp_path / "new" / "figure.png").read_bytes() == b"\x89PNG"


def test_a_name_of_a_file_that_is_no_text_comes_back(tmp_path, channel):
    name = os.fsdecode(b"caf\xe9")
    record(name=name)
    write_json(tmp_path / "result.json", read_channel(channel)["recorded"])
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8")) == {"name": name}
