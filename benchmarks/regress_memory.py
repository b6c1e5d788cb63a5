"""Peak memory of a regression whose samples come in chunks.

    python benchmarks/regress_memory.py [--rows 60000 600000] [--columns 4000]

Each number of rows runs in a process of its own, so that its peak is its own. Rows are drawn chunk
by chunk and never all in memory, as a stream from a disk would come.
"""

import argparse
import resource
import subprocess
import sys
import time

CHUNK = 4096  # rows


def measure(rows, columns, outputs=10):
    """Regress `rows` random samples given in chunks and print seconds and peak memory."""
    import torch

    import erlib

    def peak():  # MiB; Linux counts in KiB
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    generator = torch.Generator().manual_seed(0)
    start, begin = peak(), time.perf_counter()
    moments = erlib.Moments()
    for first in range(0, rows, CHUNK):
        n = min(CHUNK, rows - first)
        x = torch.randn(n, columns, generator=generator)
        moments.add(x, x[:, :outputs] + 1)
    weight, bias = moments.solve(ridge=1e-3)
    seconds = time.perf_counter() - begin
    assert abs(weight[:outputs].diagonal().mean() - 1) < 0.01 and abs(bias.mean() - 1) < 0.01
    print(f"{rows:8d} rows: {seconds:6.1f} s, peak {peak():5.0f} MiB ({start:.0f} at the start)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[60_000, 600_000])
    parser.add_argument("--columns", type=int, default=4000)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        measure(options.rows[0], options.columns)
        return
    print(f"float32, {options.columns} columns, chunks of {CHUNK} rows")
    for rows in options.rows:
        arguments = ["--here", "--rows", str(rows), "--columns", str(options.columns)]
        subprocess.run([sys.executable, __file__, *arguments], check=True)


if __name__ == "__main__":
    main()
