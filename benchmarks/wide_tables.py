"""Few samples with many columns: seconds beside scikit-learn's RidgeClassifier, and peak memory.

    python benchmarks/wide_tables.py [--rows 60] [--columns 8000 80000] [--repeats 15]

Fits alternate, and the ratio is taken within a pair; medians. The memory is that of a process of
its own: what its peak grows by during one fit, over the size of the inputs.
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
from sklearn.linear_model import RidgeClassifier

from erlib import ERClassifier


def table(rows, columns):
    random = np.random.default_rng(0)
    return random.normal(size=(rows, columns)), np.arange(rows) % 2


def seconds(model, x, y):
    begin = time.perf_counter()
    model.fit(x, y)
    return time.perf_counter() - begin


def speed(rows, columns, repeats):
    x, y = table(rows, columns)
    models = RidgeClassifier(), ERClassifier()
    pairs = [[seconds(model, x, y) for model in models] for _ in range(repeats + 1)][1:]
    ridge, er = (1e3 * median(part) for part in zip(*pairs))
    ratio = median(er / ridge for ridge, er in pairs)
    print(
        f"{rows} x {columns}: RidgeClassifier {ridge:.1f} ms, ERClassifier {er:.1f} ms, "
        f"{ratio:.1f} times"
    )


def memory(rows, columns):
    ERClassifier().fit(*table(rows, 2 * rows + 1000))  # all that is loaded once
    x, y = table(rows, columns)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins at what is there now (Linux)
    before = peak()
    ERClassifier().fit(x, y)
    print(f"{rows} x {columns}: peak memory {(peak() - before) / x.nbytes:.1f} times the inputs")


def peak():
    """The most memory so far, in bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--columns", type=int, nargs="+", default=[8_000, 80_000])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for columns in options.columns:
        if options.memory:
            memory(options.rows, columns)
            continue
        speed(options.rows, columns, options.repeats)
        arguments = ["--memory", "--rows", str(options.rows), "--columns", str(columns)]
        subprocess.run([sys.executable, __file__, *arguments], check=True)


if __name__ == "__main__":
    main()
