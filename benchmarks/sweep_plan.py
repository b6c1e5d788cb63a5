"""How long a sweep of many points takes to plan, to resume and to collect, and its memory.

Nothing is run: the results are written as a run would write them. One line for each number of
points: seconds, and how much the process has grown.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from erlib.notebook.code_state import all_modules, code_state
from erlib.notebook.record import environment
from erlib.runs.batch import describe, states_in
from erlib.runs.collect import means, read_runs, rows_of
from erlib.runs.notebooks import source_hash
from erlib.runs.sweep import plan_sweep


def main():
    """Print the table."""
    environment()  # loads torch, which would count as growth
    print("points  plan, s  first look, s  resume, s  collect, s  means, s  grown by, MiB")
    for points in (100, 1_000, 10_000):
        with tempfile.TemporaryDirectory() as folder:
            seconds, grown = measure(Path(folder), points)
        times = "".join(f"{each:11.2f}" for each in seconds)
        print(f"{points:6,}{times}{grown:14.0f}", flush=True)


def measure(folder, points):
    """Seconds of each step, and MiB by which the process grew from the first to the last."""
    before = peak()
    notebook = folder / "study.ipynb"
    declared = new_code_cell("n = 1\nseed = 0", metadata={"tags": ["parameters"]})
    nbformat.write(new_notebook(cells=[declared]), notebook)
    out, seconds = folder / "out", []

    def timed(work, *arguments):
        began = time.perf_counter()
        found = work(*arguments)
        seconds.append(time.perf_counter() - began)
        return found

    runs = timed(plan_sweep, str(notebook), [f"n=0:{points // 10}", "seed=0:10"])
    timed(describe, runs, out)
    finish(runs, out)
    states = timed(states_in, out, runs)
    assert set(states.values()) == {"done"} and len(states) == points
    rows = timed(lambda: rows_of(read_runs(out)[0]))
    found = timed(means, rows, ["n"])
    assert len(found) == points // 10 and found["score"].iloc[-1] == points // 10 - 1 + 0.45
    return seconds, peak() - before


def finish(runs, out):
    """Leave the results that these runs would leave."""
    out.mkdir()
    rest = {
        "notebook": runs[0].notebook.name,
        "notebook_sha256": source_hash(runs[0].notebook),
        "seconds": 1.0,
        "threads": 1,
        "environment": environment(),
        "code": code_state(all_modules()),
    }
    for run in runs:
        values = run.parameters
        score = values["n"] + values["seed"] / 10
        result = {"id": run.id, "parameters": values, "recorded": {"score": score}, **rest}
        (out / f"{run.id}.json").write_text(json.dumps(result, indent=2))


def peak():
    """Peak memory of this process in MiB."""
    of_unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / of_unit


if __name__ == "__main__":
    main()
