"""Sweeps that are killed, starved, interrupted and run twice: the table in the end is the same.

A notebook here does not load erlib, so that a run takes little more than a kernel's second.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from erlib.runs.collect import read_runs, rows_of

pytestmark = pytest.mark.slow

WORK = """
import json, os, time
from pathlib import Path
place = Path(os.environ["PLACE"])
with open(place / "began", "a") as file:
    file.write(f"{n} {seed}\\n")
time.sleep(0.3)
if (place / "raise").exists() and seed == 1:
    raise KeyError("gone")
while (place / "hang").exists() and seed == 1:
    time.sleep(0.1)
"""
RECORD = """
rows = [{"arm": arm, "score": n + seed / 8 + i} for i, arm in enumerate("xy")]
with open(os.environ["ERLIB_RECORD"], "a") as channel:
    channel.write(json.dumps({"recorded": {"score": n * 100 + seed, "rows": rows}}) + "\\n")
"""
GRID = ("--grid", "n=1,2", "--grid", "seed=0:3")
EXPECTED = [(n, seed, n * 100 + seed) for n in (1, 2) for seed in range(3)]


@pytest.fixture
def light(tmp_path, monkeypatch):
    """A folder with a notebook, and a function that starts a sweep of it."""
    parameters = new_code_cell("n = 1\nseed = 0", metadata={"tags": ["parameters"]})
    cells = [parameters, new_code_cell(WORK), new_code_cell(RECORD)]
    nbformat.write(new_notebook(cells=cells), tmp_path / "light.ipynb")
    monkeypatch.setenv("PLACE", str(tmp_path))
    started = []

    def start(*words, grid=GRID, out="out"):
        command = [sys.executable, "-m", "erlib", "sweep", "light.ipynb", *grid, "--out", out]
        process = subprocess.Popen(
            [*command, *words],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # Of a test run in the background a child would inherit that Ctrl-C is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    start.place = tmp_path
    yield start
    for process in started:
        kill_with_children(process)


def finish(process, code=0):
    """What a sweep printed, once it has ended as expected."""
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == code, printed
    return printed


def table(folder):
    rows = rows_of(read_runs(folder)[0])
    return [*zip(rows["n"], rows["seed"], rows["score"])]


def children_of(process):
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill_with_children(process):
    family = children_of(process)
    process.kill()
    process.wait()
    for each in family:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)
    return found


def began(place):
    """How often each point has begun."""
    file = place / "began"
    return Counter(file.read_text().splitlines()) if file.exists() else Counter()


def assert_no_half_results(folder):
    for file in folder.glob("*.json"):
        assert json.loads(file.read_text())["recorded"]["score"] > 0


def test_killed_at_random_moments(light):
    folder, moments = light.place / "out", random.Random(1)
    grid = ("--grid", "n=1,2", "--grid", "seed=0:8")
    for _ in range(20):
        process = light("--jobs", "2", grid=grid)
        time.sleep(moments.uniform(0.2, 6))
        family = children_of(process)
        process.kill()
        process.wait()
        # Nobody is left who writes into the folder while the next one is at work.
        _, alive = psutil.wait_procs(family, timeout=30)
        assert not alive
        assert_no_half_results(folder)
    finish(light("--jobs", "2", grid=grid))
    assert table(folder) == [(n, seed, n * 100 + seed) for n in (1, 2) for seed in range(8)]
    assert not list(folder.glob("*.partial.*")), "the last attempt cleans up after those before"


def test_processes_of_the_runs_are_killed(light):
    process = light("--jobs", "2")
    (light.place / "hang").touch()
    wait_for(lambda: began(light.place)["1 1"])
    workers = [each for each in children_of(process) if "erlib.runs.worker" in each.cmdline()]
    assert len(workers) == 2
    for each in workers:
        each.kill()
    (light.place / "hang").unlink()
    printed = finish(process, code=1)
    assert "its process was killed (signal 9; out of memory, perhaps) in cell" in printed
    assert table(light.place / "out") != EXPECTED
    assert "6 ok" not in printed and re.search(r"\d ok, [12] failed", printed)
    finish(light())
    assert table(light.place / "out") == EXPECTED


def test_a_kernel_dies(light):
    process = light()
    (light.place / "hang").touch()
    wait_for(lambda: began(light.place)["1 1"])
    for each in children_of(process):
        if "ipykernel_launcher" in " ".join(each.cmdline()):
            each.kill()
    (light.place / "hang").unlink()
    assert "Kernel died" in finish(process, code=1)
    finish(light("--only-failed"))
    assert table(light.place / "out") == EXPECTED


def test_a_cell_raises_and_a_cell_hangs(light):
    (light.place / "raise").touch()
    printed = finish(light("--jobs", "2"), code=1)
    assert "In [3]  raise KeyError(\"gone\")\n  KeyError: 'gone'" in printed
    assert "4 ok, 2 failed" in printed and "erlib show ID --out out says why" in printed
    (light.place / "raise").unlink()
    (light.place / "hang").touch()
    printed = finish(light("--limit", "6", "--jobs", "2"), code=1)
    assert "it ran longer than 6 s and was stopped in cell 3 of 4: import json" in printed
    (light.place / "hang").unlink()
    printed = finish(light("--only-failed"))
    assert "2 ok, 4 done already" in printed
    assert table(light.place / "out") == EXPECTED
    assert set(began(light.place).values()) == {1, 3}, "what was done was not done again"


def test_two_sweeps_at_once(light):
    both = [light("--jobs", "2"), light()]
    for process in both:
        finish(process)
    assert table(light.place / "out") == EXPECTED
    assert set(began(light.place).values()) == {1}, "no run was done twice"


def test_a_file_cut_short(light):
    finish(light())
    folder = light.place / "out"
    victim = sorted(folder.glob("*.json"))[0]
    os.truncate(victim, 100)
    assert len(table(folder)) == 5
    assert "1 ok, 5 done already" in finish(light())
    assert table(folder) == EXPECTED


def test_interrupted(light):
    process = light("--jobs", "2")
    (light.place / "hang").touch()
    wait_for(lambda: began(light.place)["1 1"])
    family = children_of(process)
    process.send_signal(signal.SIGINT)
    assert "interrupted; the same command goes on" in finish(process, code=130)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    (light.place / "hang").unlink()
    finish(light())
    assert table(light.place / "out") == EXPECTED


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("file systems can be mounted by root alone")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_and_a_read_only_one(light, small_disk):
    (small_disk / "full").write_bytes(bytes(2**21 - 2**14))
    printed = finish(light(out="disk/out"), code=1)
    assert "No space left on device" in printed and "the same command goes on" in printed
    assert_no_half_results(small_disk / "out")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert "cannot write into disk/out: Read-only file system" in finish(
        light(out="disk/out"), code=2
    )
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    (small_disk / "full").unlink()
    finish(light(out="disk/out"))
    assert table(small_disk / "out") == EXPECTED


def test_workers_of_dask_and_one_of_them_dies(light):
    (light.place / "hang").touch()
    process = light("--dask", "local:2")
    wait_for(lambda: began(light.place)["1 1"], 120)
    workers = [
        each
        for each in children_of(process)
        if any("erlib.runs.worker" in " ".join(child.cmdline()) for child in each.children())
        and each.pid != process.pid
    ]
    assert workers
    workers[0].kill()
    time.sleep(1)
    (light.place / "hang").unlink()
    finish(process)
    assert table(light.place / "out") == EXPECTED


def test_a_folder_goes_on_with_another_executor(light, tmp_path):
    finish(light("--dask", "local:2", grid=("--grid", "n=1", "--grid", "seed=0:3")))
    assert "3 ok, 3 done already" in finish(light())
    assert table(Path(light.place / "out")) == EXPECTED
