"""CIFAR-10 with many passes of changed images: does sequential ER go on learning? For a GPU.

    python benchmarks/cifar10_long.py [--passes 24] [--device cuda] [--output results/benchmarks]

Notebook 07 ends after eight passes, where sequential ER knows its training images by heart and is
behind Adam. Here both train the deeper network of 07 several times as long, every batch moved and
mirrored anew. First each method's one number is chosen on a validation split (5/6 of the training
images, first seed, as many passes): the penalty of ER, the rate of Adam. Then each runs with all
seeds on all training images, and sequential ER with the frozen penalty of 07, too, where that is
not the chosen one.

Every training is a process of its own, as many at once as `--workers`: a network of this size
leaves most of a GPU idle. So seconds are not comparable with those of 07. A row for each finished
training goes to cifar10_long.csv at once, and one that is there is not run again; the last rows of
each are printed as a table.
"""

import argparse
import csv
import multiprocessing
import os
import sys
import time
from pathlib import Path

import torch

import erlib
from erlib import ERNetwork
from erlib.augment import shifts_and_flips
from erlib.baselines import backprop, train
from erlib.convolutional import convolutional
from erlib.notebook.tables import markdown, percent
from erlib.sequential import sequential_fit

FROZEN = 1.0  # the penalty of notebook 07
TRIED = {"sequential ER": [0.3, FROZEN, 3.0, 10.0], "Adam": [0.0005, 0.0015, 0.005]}
COLUMNS = ["data", "channels", "part", "method", "setting", "passes", "seed"]
FOUND = ["training", "accuracy", "seconds", "gpu", "torch"]
BATCH = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="cifar10-jpeg")
    parser.add_argument("--channels", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--passes", type=int, default=24)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks"))
    options = parser.parse_args()
    if not options.output.is_dir():
        parser.error(f"--output: no folder {str(options.output)!r}")
    torch.set_num_threads(1)  # before the processes fork
    data = erlib.load(options.dataset)
    file = options.output / "cifar10_long.csv"
    work = {"data": data.name, "channels": "-".join(map(str, options.channels))}
    work["passes"] = options.passes
    if not file.exists():
        file.write_text(",".join(COLUMNS + FOUND) + "\n", encoding="utf-8")

    tried = [
        work
        | {"part": "validation", "method": method, "setting": setting, "seed": options.seeds[0]}
        for method, settings in TRIED.items()
        for setting in settings
    ]
    rows = run(tried, data, options, file)
    chosen = {method: best(rows, method) for method in TRIED}
    settings = [(method, setting) for method, setting in chosen.items()]
    if chosen["sequential ER"] != FROZEN:
        settings.append(("sequential ER", FROZEN))
    final = [
        work | {"part": "test", "method": method, "setting": setting, "seed": seed}
        for seed in options.seeds
        for method, setting in settings
    ]
    report(rows, run(final, data, options, file))


def run(jobs, data, options, file):
    """The rows of these jobs, in their order: from the file, or computed and written to it."""
    known = {key(row): row for row in read(file)}
    missing = [job for job in jobs if key(job) not in known]
    # Forked, so that the images are read once; no process has used the GPU before it forks.
    context = multiprocessing.get_context("fork")
    waiting, running = list(missing), []
    while waiting or running:
        while waiting and len(running) < options.workers:
            job = waiting.pop(0)
            process = context.Process(target=one, args=(job, data, options, file))
            process.start()
            running.append((process, job))
        time.sleep(0.2)
        for process, job in list(running):
            if not process.is_alive():
                running.remove((process, job))
                if process.exitcode:
                    for other, _ in running:
                        other.terminate()
                    sys.exit(f"failed: {job}")
    known |= {key(row): row for row in read(file)}
    return [known[key(job)] for job in jobs]


def one(job, data, options, file):
    """Train once and add the row to the file."""
    torch.backends.cudnn.allow_tf32 = False  # convolutions in float32, as on a CPU
    held = data.holdout(len(data.y_train) // 6, seed=0) if job["part"] == "validation" else data
    parts = held.x_train, held.y_train, held.x_test, held.y_test
    x, y, x_test, y_test = (part.to(options.device) for part in parts)
    deep = {"kernel": 3, "padding": 1, "seed": job["seed"]}
    module = convolutional(held.x_train, options.channels, len(data.classes), **deep)
    net = ERNetwork(module).to(options.device)
    settings = {"passes": options.passes, "batch_size": BATCH, "seed": job["seed"]}
    settings["augment"] = shifts_and_flips(shift=2, flip=True, seed=job["seed"])
    begin = time.perf_counter()
    if job["method"] == "sequential ER":
        frozen = {"inverse": "transpose", "first_update": False}
        sequential_fit(net, x, y, ridge=job["setting"], **frozen, **settings)
    else:
        whole, rest = divmod(len(y), BATCH)
        updates = options.passes * (whole + (2 * rest >= BATCH))
        train(net, x, y, backprop(net, rate=job["setting"], updates=updates), **settings)
    row = job | {
        "seconds": round(time.perf_counter() - begin, 1),
        "training": net.score(x, y),
        "accuracy": net.score(x_test, y_test),
        "gpu": torch.cuda.get_device_name() if options.device == "cuda" else "",
        "torch": torch.__version__,
    }
    add(file, row)
    print(f"{job['method']} {job['setting']:g}, seed {job['seed']}, {job['part']}: "
          f"{row['accuracy']:.4f} in {row['seconds']:.0f} s", flush=True)  # fmt: skip


def add(file, row):
    """One line in one write, so that processes do not mix theirs."""
    line = ",".join(str(row[name]) for name in COLUMNS + FOUND) + "\n"
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(handle, line.encode())
    os.close(handle)


def read(file):
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        row |= {name: int(row[name]) for name in ("passes", "seed")}
        row |= {name: float(row[name]) for name in ("setting", "training", "accuracy", "seconds")}
    return rows


def key(row):
    return tuple(row[name] for name in COLUMNS)


def best(rows, method):
    mine = [row for row in rows if row["method"] == method]
    return max(mine, key=lambda row: row["accuracy"])["setting"]


def report(tried, final):
    lines = []
    for method, setting in dict.fromkeys((row["method"], row["setting"]) for row in final):
        mine = [r for r in final if (r["method"], r["setting"]) == (method, setting)]
        found = []
        for name in ("training", "accuracy"):
            found.append(percent([row[name] for row in mine], digits=2))
        seconds = [row["seconds"] for row in mine]
        lines.append([method, f"{setting:g}", *found, f"{min(seconds):.0f} to {max(seconds):.0f}"])
    print(markdown(["method", "setting", "training images in %", "test in %", "seconds"], lines))
    print("validation:", *(f"{r['method']} {r['setting']:g}: {r['accuracy']:.4f};" for r in tried))


if __name__ == "__main__":
    main()
