"""The command that trains: interrupted and resumed, refused, killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import erlib
from erlib import checkpoint, streamed
from erlib.streams import Arrays
from erlib.train import Kept, main

SEQUENTIAL = ["--method", "sequential", "--passes", "3", "--batch-size", "100"]
METHODS = {"one update": ["--settle", "2"], "sequential": SEQUENTIAL}
each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def run(*options, code=0):
    """What the command says of a small network on the digits in float64."""
    always = ["--data", "digits", "--hidden", "20,15", "--dtype", "float64"]
    done = CliRunner().invoke(main, [*always, *map(str, options)])
    assert done.exit_code == code, done.output
    return done.output


def network_in(file):
    return checkpoint.read(file)["network"]


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_it_trains_as_the_calls_do(tmp_path):
    data = erlib.load("digits", dtype=torch.float64)
    net = erlib.ERNetwork.dense([64, 20, 15, 10], dtype=torch.float64, hidden_bias=True)
    batches = Arrays(data.x_train, data.y_train, 100, seed=0)
    streamed.sequential_fit(net, batches, passes=3)
    said = run(*SEQUENTIAL, "--checkpoint", tmp_path / "a.pt")
    assert same(network_in(tmp_path / "a.pt"), net.state_dict())
    accuracy = net.score(data.x_test, data.y_test)
    assert said.startswith("digits, 64-20-15-10, sequential, processes: 1, ")
    assert f"accuracy {accuracy:.4f} of 360 test images" in said and accuracy > 0.85


@each_method
def test_a_resumed_training_ends_with_the_same_bits(method, tmp_path, monkeypatch):
    write, written = Kept.write, []

    def counted(*arguments, **named):
        write(*arguments, **named)
        written.append(True)
        if len(written) == stop:
            raise OSError("interrupted")

    monkeypatch.setattr(Kept, "write", counted)
    stop = None
    run(*method, "--checkpoint", tmp_path / "whole.pt")
    passes = len(written)
    assert passes == (3 if method is SEQUENTIAL else 3 + 1 + 2)
    for stop in range(1, passes + 1):
        written.clear()
        options = [*method, "--checkpoint", tmp_path / f"{stop}.pt"]
        assert "interrupted" in run(*options, code=1)
        assert "accuracy" in run(*options, "--resume")
        assert len(written) == passes, "no pass was made twice"
        assert same(network_in(tmp_path / f"{stop}.pt"), network_in(tmp_path / "whole.pt"))


def test_a_full_disk_ends_it_and_the_last_checkpoint_is_whole(tmp_path, monkeypatch):
    sync, synced = os.fsync, []

    def full(number):
        synced.append(True)
        if len(synced) == 3:
            raise OSError(28, "No space left on device")
        sync(number)

    monkeypatch.setattr(os, "fsync", full)
    options = [*SEQUENTIAL, "--checkpoint", tmp_path / "a.pt"]
    said = run(*options, code=1)
    assert "a.pt could not be written" in said and "No space left on device" in said
    assert checkpoint.read(tmp_path / "a.pt")["done"] == 2
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]
    run(*options, "--resume")
    run(*SEQUENTIAL, "--checkpoint", tmp_path / "whole.pt")
    assert same(network_in(tmp_path / "a.pt"), network_in(tmp_path / "whole.pt"))


def test_what_does_not_go_together_is_refused(tmp_path):
    kept = ["--checkpoint", tmp_path / "a.pt"]
    assert "--resume: needs --checkpoint" in run("--resume", code=1)
    assert "checkpoint: there is no" in run(*kept, "--resume", code=1)
    run(*kept)
    assert "a.pt exists; --resume goes on with it" in run(*kept, code=1)
    assert "--resume: seed is 1, in " in run(*kept, "--resume", "--seed", "1", code=1)
    assert "--settle: for --method one-update" in run(*SEQUENTIAL, "--settle", "1", code=1)
    assert "--deformed: for --method one-update" in run(*SEQUENTIAL, "--deformed", "9", code=1)
    assert "--hidden: expected widths such as 500,300" in run("--hidden", "many", code=1)
    assert "no known data set" in run("--data", "no such data", code=1)


def test_deformed_images_make_another_network(tmp_path):
    for name, more in {"old": [], "new": ["--deformed", "2000"]}.items():
        assert "accuracy" in run("--checkpoint", tmp_path / f"{name}.pt", *more)
    assert not same(network_in(tmp_path / "old.pt"), network_in(tmp_path / "new.pt"))


KILLED = """
import os, signal
from erlib import shards, train
write = train.Kept.write
def killed(self, network, stage, done, found=None):
    write(self, network, stage, done, found)
    if done == 2 and shards.here()[0] == 1 and not os.environ.get("ALIVE"):
        os.kill(os.getpid(), signal.SIGKILL)
train.Kept.write = killed
train.main()
"""


@pytest.mark.slow
def test_torchrun_ends_when_one_process_is_killed_and_goes_on_from_there(tmp_path):
    (tmp_path / "killed.py").write_text(KILLED)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    command += ["2", str(tmp_path / "killed.py"), "--data", "digits", "--hidden", "20,15"]
    command += ["--dtype", "float64", *SEQUENTIAL, "--checkpoint", str(tmp_path / "a.pt")]
    path = str(Path(erlib.__file__).parents[1])
    here = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, env=here)
    assert done.returncode and "accuracy" not in done.stdout
    assert checkpoint.read(tmp_path / "a.pt")["done"] == 2
    done = subprocess.run(
        [*command, "--resume"], capture_output=True, text=True, env={**here, "ALIVE": "yes"}
    )
    assert done.returncode == 0 and done.stdout.count("accuracy") == 1, done.stderr
    run(*SEQUENTIAL, "--checkpoint", tmp_path / "one.pt")
    found, wanted = network_in(tmp_path / "a.pt"), network_in(tmp_path / "one.pt")
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-8, atol=1e-8)
