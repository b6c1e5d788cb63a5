"""What more samples, wider and deeper networks cost ER and Adam, and what more data brings.

    python benchmarks/scale.py [samples] [width] [depth] [control] [solution] [--dataset mnist]

*samples*: networks with one hidden layer trained on 10,000 to a million images, deformed anew: one
update of three widths, of 1,000 units with four million, too; sequential ER (its first update and
one pass) and Adam (one pass), both in batches of 128 and also on the images as they are. *width*:
one hidden layer of 100 to 16,000 units, one update and a pass of Adam over the images as they are;
*depth*: one to eight hidden layers of 1,000. *control*: what one update of 1,000 units on deformed
images owes to its hidden layer (random features have that as it was drawn; with shuffled labels it
alone was told these), to its penalty, and to being one (three; settled: ten updates of the readout;
sequential ER and Adam beside it), on upright and on deformed test images. *solution*: the solution
of a regression alone, by its width.

Each job is a process of one thread. Seconds are those of its processor for the training alone,
deforming included; memory is the peak of the process, and what it was when its data were there.
Adam's rate is the one chosen in notebook 06, and declines to 0. Each finished job is a row of
results/benchmarks/scale.csv, added at once, and one that is there is not run again.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROWS = Path(__file__).parents[1] / "results/benchmarks/scale.csv"
GIVEN = ["what", "dataset", "method", "width", "depth", "samples", "deformed", "seed"]
FOUND = ["seconds", "start_mib", "peak_mib", "accuracy", "deformed_accuracy", "commit"]
SAMPLES = [10_000, 100_000, 1_000_000]
MOST = 4_000_000
WIDTHS = [100, 300, 1000, 2000, 4000, 8000, 16_000]
DEPTHS = [1, 2, 4, 8]
CONTROLS = ["one update", "one update, penalty 0.3", "one update, penalty 0.03"]
CONTROLS += ["one update, settled", "random features", "random features, settled"]
CONTROLS += ["sequential ER", "Adam", "one update, penalty 30", "one update, shuffled labels"]
CONTROLS += ["three updates"]
SOLUTIONS = [2000, 4000, 8192]
RATE, BATCH, CHUNK = 0.003, 128, 4096


def jobs(parts, dataset, images):
    """All that is to be run, the shortest first."""
    found = []

    def add(what, method, width=1000, depth=1, samples=images, deformed=False):
        found.append([what, dataset, method, width, depth, samples, deformed, 0])

    for width in (300, 1000, 4000):
        for samples in SAMPLES:
            add("samples", "one update", width, samples=samples, deformed=True)
    add("samples", "one update", samples=MOST, deformed=True)
    for method in ("sequential ER", "Adam"):
        for samples in SAMPLES:
            add("samples", method, samples=samples, deformed=True)
        add("samples", method)
    for method in ("one update", "Adam"):
        for width in WIDTHS:
            add("width", method, width)
        for depth in DEPTHS:
            add("depth", method, depth=depth)
    for method in CONTROLS:
        for samples in SAMPLES[:2]:
            add("control", method, samples=samples, deformed=True)
    for width in SOLUTIONS:
        add("solution", "solution", width, samples=1)
    known = [dict(zip(GIVEN, job)) for job in found if job[0] in parts]
    return sorted(known, key=lambda job: job["samples"] * job["width"] * job["depth"])


def peak():
    """Peak memory of this process in MiB."""
    of_unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / of_unit


def measure(job):
    """Do a job in this process, and print what it took."""
    import torch

    import erlib
    from erlib import streamed
    from erlib.baselines import backprop
    from erlib.deform import deformations
    from erlib.streams import Arrays, Deformed

    torch.set_num_threads(1)
    data = erlib.load(job["dataset"], dtype=torch.float32)
    x, y, seed = data.x_train, data.y_train, job["seed"]
    sizes = [x[0].numel(), *[job["width"]] * job["depth"], len(data.classes)]
    once, method = job["method"] not in ("sequential ER", "Adam"), job["method"]
    net = erlib.ERNetwork.dense(sizes, hidden_bias=not once, seed=seed)
    size, samples = CHUNK if once else BATCH, job["samples"]
    if job["deformed"]:
        stream = Deformed(x, y, samples, size, change=deformations, seed=seed)
    else:
        stream = Arrays(x[:samples], y[:samples], size, seed=seed)
    if "shuffled" in method:
        order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
        shuffled = Deformed(x, y[order], samples, size, change=deformations, seed=seed)
    if method == "solution":
        moments = solvable(job["width"], len(data.classes))
    start, begin = peak(), time.process_time()
    if method == "solution":
        moments.solve(1e-5)
    elif method.startswith("random features"):
        streamed.settle(net, stream, updates=10 if "settled" in method else 1)
    elif once:
        ridge = float(method.partition("penalty ")[2] or 3.0)
        for _ in range(3 if method == "three updates" else 1):
            streamed.one_update(net, shuffled if "shuffled" in method else stream, ridge=ridge)
        if "settled" in method or "shuffled" in method:
            streamed.settle(net, stream, updates=10 if "settled" in method else 1)
    elif method == "sequential ER":
        streamed.sequential_fit(net, stream, passes=1)
    else:
        step = backprop(net, rate=RATE, updates=len(stream))
        for images, labels in stream:
            step(images.flatten(1), labels)
    seconds = time.process_time() - begin
    found = {"seconds": seconds, "start_mib": start, "peak_mib": peak()}
    found["accuracy"] = net.score(data.x_test, data.y_test)
    new = deformations(seed=1)(data.x_test)
    found["deformed_accuracy"] = net.score(new, data.y_test)
    print("found", json.dumps(found))


def solvable(width, classes):
    """Sums of twice as many random samples as inputs."""
    import torch

    import erlib

    moments, random = erlib.Moments(), torch.Generator().manual_seed(0)
    for _ in range(2):
        x = torch.randn(width, width, generator=random)
        moments.add(x, torch.randn(width, classes, generator=random))
    return moments


def commit():
    """The short commit, with a + for local changes."""
    git = ["git", "-C", Path(__file__).parent]
    here = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--", "../erlib", "../benchmarks"],
        capture_output=True,
        text=True,
    )
    return here.stdout.strip() + "+" * bool(changed.stdout.strip())


def run(job, file):
    """Do a job in a process of its own, and keep its row."""
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, __file__, "--here", json.dumps(job)]
    code = commit()
    environment = os.environ | threads | {"ERLIB_PROGRESS": "off"}
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=environment
    ).stdout
    (line,) = (line for line in done.splitlines() if line.startswith("found"))
    row = job | json.loads(line.removeprefix("found")) | {"commit": code}
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", newline="") as rows:
        writer = csv.DictWriter(rows, GIVEN + FOUND)
        if rows.tell() == 0:
            writer.writeheader()
        writer.writerow(row)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["samples", "width", "depth"])
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--images", type=int, default=60_000, help="of the data set")
    parser.add_argument("--most", type=int, help="leave out jobs of more samples than this")
    parser.add_argument("--widest", type=int, help="and those of wider layers")
    parser.add_argument("--output", type=Path, default=ROWS)
    parser.add_argument("--here", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        measure(json.loads(options.here))
        return
    for job in jobs(options.parts, options.dataset, options.images):
        if job["samples"] > (options.most or 1e99) or job["width"] > (options.widest or 1e99):
            continue
        known = []
        if options.output.is_file():
            known = list(csv.DictReader(options.output.open(newline="")))
        if any(all(row[name] == str(job[name]) for name in GIVEN) for row in known):
            continue
        row = run(job, options.output)
        print(
            f"{job['method']}, {job['depth']} x {job['width']:,}, {job['samples']:,} images"
            f"{' deformed' * job['deformed']}: {row['seconds']:.1f} s, {row['peak_mib']:.0f} MiB, "
            f"accuracy {row['accuracy']:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
