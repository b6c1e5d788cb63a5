"""Two processes against one, and ten times the samples in the same memory.

    python benchmarks/shards.py processes [--dataset mnist] [--width 2000] [--repeats 3]
    python benchmarks/shards.py samples [--dataset mnist] [--width 1000] [--samples 100000 1000000]

*processes*: one update, and a pass of sequential ER (with its first update, and its batches alone)
and of Adam in batches of several sizes, by one process of one thread and by two of one thread each,
in turn; the ratio of their seconds is taken pair by pair. Seconds are those of the training alone:
processes have started and data are in memory. Of the two, the slower one's; so with the seconds of
a core that it used, which other work on the machine changes less.

*samples*: one update from images of the data set deformed anew, as many as asked for, and peak
memory: that of the process at the end, and when its data were there.

Rows are added to results/benchmarks/shards.csv.
"""

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROWS = Path(__file__).parents[1] / "results/benchmarks/shards.csv"
FIELDS = "what dataset width batch samples processes repeat seconds cpu_seconds start_mib peak_mib"
FIELDS += " accuracy"
METHODS = ["one update", "sequential", "sequential, batches alone", "Adam"]


def peak():
    """Peak memory of this process in MiB."""
    of_unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / of_unit


def measure(job):
    """Do a job in this process, with the others of torchrun, and print what it took."""
    import torch

    import erlib
    from erlib import shards, streamed
    from erlib.deform import deformations
    from erlib.streams import Arrays, Deformed

    torch.set_num_threads(1)
    with shards.processes() as part:
        data = erlib.load(job["dataset"])
        x, y = data.x_train, data.y_train
        if job["images"]:
            x, y = x[: job["images"]], y[: job["images"]]
        sizes = [x[0].numel(), job["width"], len(data.classes)]
        net = erlib.ERNetwork.dense(sizes, hidden_bias=job["what"] != "one update")
        # The first optimiser of a process loads modules for a second.
        torch.optim.Adam([torch.zeros(1, requires_grad=True)]).step()
        start, samples = peak(), job["samples"] or len(x)
        shards.exchanged(None)  # all are ready
        begin, cpu = time.perf_counter(), time.process_time()
        if job["what"].startswith("sequential"):
            stream = Arrays(x, y, job["batch"], seed=0, part=part)
            first = job["what"] == "sequential"
            streamed.sequential_fit(net, stream, passes=1, first_update=first)
        elif job["what"] == "Adam":
            adam(net, Arrays(x, y, job["batch"], seed=0, part=part))
        elif job["samples"]:
            stream = Deformed(x, y, samples, job["batch"], change=deformations, part=part)
            streamed.one_update(net, stream)
        else:
            streamed.one_update(net, Arrays(x, y, job["batch"], part=part))
        took = time.perf_counter() - begin, time.process_time() - cpu
        seconds, cpu = map(max, zip(*shards.exchanged(took)))
        found = {
            "seconds": seconds,
            "cpu_seconds": cpu,
            "start_mib": start,
            "peak_mib": peak(),
            "samples": samples,
        }
        found["accuracy"] = net.score(data.x_test, data.y_test)
        if part[0] == 0:
            print("found", json.dumps(found))


def adam(net, stream):
    """A pass of Adam, at the rate of notebook 06; processes add up their gradients of a batch."""
    import torch
    from torch import distributed
    from torch.nn.functional import cross_entropy

    weights = list(net.parameters())
    optimiser = torch.optim.Adam(weights, 0.003)
    for x, y in stream:
        loss = cross_entropy(net(x.flatten(1)), y, reduction="sum") / stream.batch_size
        gradients = torch.autograd.grad(loss, weights)
        if distributed.is_initialized() and distributed.get_world_size() > 1:
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            distributed.all_reduce(flat)
            gradients = flat.split([weight.numel() for weight in weights])
        for weight, gradient in zip(weights, gradients):
            weight.grad = gradient.view_as(weight)
        optimiser.step()


def run(job, processes):
    """Do a job by so many processes of one thread; what it took."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), __file__, "here", json.dumps(job)]
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | threads
    )
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("found"))
    return json.loads(line.removeprefix("found"))


def keep(path, row):
    """Add a row to the file, which gets a first line if it is new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS.split(), extrasaction="ignore")
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(row)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["processes", "samples", "here"])
    parser.add_argument("job", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--width", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--batches", type=int, nargs="+", default=[128, 512, 2048])
    parser.add_argument("--samples", type=int, nargs="+", default=[10**5, 10**6])
    parser.add_argument("--images", type=int, help="train on the first so many only")
    parser.add_argument("--output", type=Path, default=ROWS)
    options = parser.parse_args()
    if options.part == "here":
        measure(json.loads(options.job))
        return
    job = {"dataset": options.dataset, "images": options.images, "samples": None}
    if options.part == "samples":
        job |= {"what": "one update", "width": options.width or 1000, "batch": 4096}
        for samples in options.samples:
            found = {**job, "processes": 1, "repeat": 0, **run(job | {"samples": samples}, 1)}
            keep(options.output, found)
            print(
                f"{found['samples']:,} images: {found['seconds']:.1f} s, peak "
                f"{found['peak_mib']:.0f} MiB ({found['start_mib']:.0f} with the data alone), "
                f"accuracy {found['accuracy']:.4f}",
                flush=True,
            )
        return
    job["width"] = options.width or 2000
    jobs = [
        {"what": what, "batch": batch}
        for what in options.methods
        for batch in ([4096] if what == "one update" else options.batches)
    ]
    for each in jobs:
        ratios = []
        for repeat in range(options.repeats):
            pair = {count: run(job | each, count) for count in (1, 2)}
            for count, found in pair.items():
                keep(options.output, job | each | {"processes": count, "repeat": repeat} | found)
            ratios.append(pair[1]["seconds"] / pair[2]["seconds"])
            of = ", ".join(
                f"{found['seconds']:.1f} s ({found['cpu_seconds']:.1f} s of a core)"
                for found in pair.values()
            )
            print(f"{each['what']}, batches of {each['batch']}: {of}, ratio {ratios[-1]:.2f}")
        ratios.sort()
        print(f"  median {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
