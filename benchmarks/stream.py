"""Millions of rows through ERClassifier.partial_fit: peak memory, rows a second, accuracy.

    python benchmarks/stream.py [--rows 100000 1000000 10000000] [--columns 50] [--classes 3]

Rows are drawn chunk by chunk from a known model (normal inputs, labels from the softmax of a
linear function of them) and never all in memory. Each method and number of rows has a process of
its own, so that its peak is its own. Seconds are those of `partial_fit` alone, without drawing
rows, with one thread. scikit-learn's SGDClassifier (logistic loss, its own defaults) sees the same
chunks. Accuracy is that on fresh rows, beside the accuracy of the model that drew them, which none
can exceed but by chance.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

CHUNK = 10_000  # rows
FRESH = 100_000
METHODS = ("ERClassifier", "SGDClassifier")


def chunks(rows, columns, classes, seed):
    """Yield inputs, labels, and the most probable labels; the model is the same for all seeds."""
    import numpy as np

    weight = np.random.default_rng(0).normal(size=(columns, classes)) * 3 / columns**0.5
    random = np.random.default_rng(seed)
    for first in range(0, rows, CHUNK):
        x = random.standard_normal((min(CHUNK, rows - first), columns), dtype=np.float32)
        fields = x @ weight.astype(np.float32)
        # The largest of fields with Gumbel noise is a draw from their softmax.
        yield x, (fields + random.gumbel(size=fields.shape)).argmax(1), fields.argmax(1)


def peak():
    """Peak memory of this process in MiB."""
    of_unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / of_unit


def measure(method, rows, columns, classes):
    """Stream `rows` through a method and print what there is to say as JSON."""
    import torch
    from sklearn.linear_model import SGDClassifier
    from threadpoolctl import threadpool_limits

    from erlib import ERClassifier

    torch.set_num_threads(1)
    threadpool_limits(1)
    model = ERClassifier() if method == "ERClassifier" else SGDClassifier("log_loss")
    model.set_params(random_state=0)
    start, seconds = peak(), 0.0
    for x, y, _ in chunks(rows, columns, classes, seed=1):
        begin = time.perf_counter()
        model.partial_fit(x, y, classes=range(classes))
        seconds += time.perf_counter() - begin
    top, right, best = peak(), 0, 0
    for x, y, probable in chunks(FRESH, columns, classes, seed=2):
        right += int((model.predict(x) == y).sum())
        best += int((probable == y).sum())
    found = {"start": start, "peak": top, "seconds": seconds}
    print(json.dumps({**found, "accuracy": right / FRESH, "best": best / FRESH}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10**5, 10**6, 10**7])
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--classes", type=int, default=3)
    parser.add_argument("--here", choices=METHODS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    size = options.columns, options.classes
    if options.here:
        measure(options.here, options.rows[0], *size)
        return
    print(f"float32, {size[0]} columns, {size[1]} classes, chunks of {CHUNK:,} rows")
    for rows in options.rows:
        print(f"{rows:,} rows, {rows * size[0] * 4 / 2**20:,.0f} MiB if they were all in memory")
        for method in METHODS:
            arguments = ["--here", method, "--rows", str(rows)]
            arguments += ["--columns", str(size[0]), "--classes", str(size[1])]
            command = [sys.executable, __file__, *arguments]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout)
            print(
                f"  {method:14s}{found['seconds']:7.1f} s, {rows / found['seconds']:9,.0f} rows/s, "
                f"peak {found['peak']:4.0f} MiB ({found['start']:.0f} at the start), "
                f"accuracy {found['accuracy']:.4f} (at best {found['best']:.4f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
