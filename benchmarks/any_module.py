"""`erlib.ER` beside Adam on images: the settings on validation splits, then the test images.

    python benchmarks/any_module.py validation   how accuracy depends on each setting
    python benchmarks/any_module.py test         all networks and data sets, three seeds
    python benchmarks/any_module.py long         24 passes of CIFAR-10, three seeds
    python benchmarks/any_module.py ablation     each part of ER taken away, three seeds
    python benchmarks/any_module.py controls     FOOF, and Adam told softer labels: validation, test
    python benchmarks/any_module.py time         Adam in the seconds of joint ER, CIFAR-10
    python benchmarks/any_module.py speed        a pass of each method, alternating

Validation: the network `small`, 20,000 training images of CIFAR-10 (moved and mirrored anew in
every pass, ten passes) and of Fashion-MNIST (five), accuracy on a sixth of the training images that
no training sees. Every setting is changed by up to ten times either way, the others left; Adam's
rate beside it.

Each finished training is a row of any_module.csv (any_module_speed.csv), added at once, and one
that is there is not run again; `--workers` of them run at the same time, one thread each, so only
`speed` compares seconds, and wants a machine that does nothing else.
"""

import argparse
import csv
import dataclasses
import multiprocessing
import os
import platform
import statistics
import subprocess
import time
from pathlib import Path

import torch

import erlib
from erlib import ER
from erlib.batches import minibatches
from erlib.studies.any_module import BATCH, PARTS, RATE, adam, network, trained

COLUMNS = ["part", "data", "network", "images", "passes", "method", "setting", "value", "seed"]
FOUND = ["accuracy", "training", "curve", "seconds", "commit"]
FACTORS = [0.1, 0.3, 1.0, 3.0, 10.0]
SETTINGS = {
    "share": 1.0,
    "ridge": 0.3,
    "code": 0.8,
    "every": 20,
    "part": 0.125,
    "batch_size": BATCH,
}
TRIED = {
    ("cifar10-jpeg", "small", "FOOF"): (
        "rate ridge",
        [
            "0.1 0.3",
            "0.3 0.3",
            "1 0.3",
            "3 0.3",
            "0.3 3",
            "1 3",
            "3 3",
            "10 3",
            "3 30",
            "10 30",
            "10 0.3",
            "30 3",
        ],
    ),
    ("cifar10-jpeg", "deeper", "FOOF"): ("rate ridge", ["1 0.3", "3 0.3", "5 0.3", "10 0.3"]),
    ("cifar10-jpeg", "small", "Adam"): ("smoothing", ["0.05", "0.1", "0.2", "0.4"]),
    ("fashion_mnist", "dense", "FOOF"): ("rate ridge", ["1 0.3", "1 3", "3 3", "10 3", "10 30"]),
    ("fashion_mnist", "dense", "Adam"): (
        "rate smoothing",
        ["0.0015 0", "0.003 0", "0.0015 0.1", "0.003 0.1", "0.0015 0.2", "0.003 0.2", "0.003 0.4"],
    ),
}
#: The best of them, by data set, network, passes and method.
CHOSEN = {
    ("cifar10-jpeg", "deeper", 8, "FOOF"): ("rate ridge", "5 0.3"),
    ("fashion_mnist", "dense", 6, "Adam"): ("rate smoothing", "0.003 0.1"),
    ("fashion_mnist", "dense", 6, "FOOF"): ("rate ridge", "10 30"),
}
MOST = {"code": 1.0, "part": 1.0}  # beyond there is nothing
PASSES = {"cifar10-jpeg": 10, "fashion_mnist": 5, "mnist": 5}


def validation():
    for data in ("cifar10-jpeg", "fashion_mnist"):
        work = {"part": "validation", "data": data, "network": "small", "images": 20000, "seed": 0}
        work["passes"] = PASSES[data]
        yield work | {"method": "ER", "setting": "", "value": ""}
        yield work | {"method": "Adam", "setting": "", "value": ""}
        for factor in FACTORS:
            if factor == 1:
                continue
            yield work | {"method": "Adam", "setting": "rate", "value": f"{RATE * factor:g}"}
            for setting, usual in SETTINGS.items():
                value = usual * factor
                if value > MOST.get(setting, value):
                    continue
                value = max(1, round(value)) if isinstance(usual, int) else value
                yield work | {"method": "ER", "setting": setting, "value": f"{value:g}"}


def ablation():
    work = {"part": "validation", "data": "cifar10-jpeg", "network": "small", "images": 20000}
    work |= {"passes": PASSES["cifar10-jpeg"], "method": "ER"}
    for seed in range(3):
        yield work | {"seed": seed, "setting": "", "value": ""}
        for part in PARTS:
            yield work | {"seed": seed, "setting": "without", "value": part}


def test():
    for data, name, passes in (
        ("cifar10-jpeg", "deeper", 8),
        ("mnist", "dense", 6),
        ("fashion_mnist", "dense", 6),
        ("mnist", "deeper", 4),
        ("mnist", "wide", 8),
        ("fashion_mnist", "wide", 8),
        ("fashion_mnist", "deeper", 8),
        ("cifar10-jpeg", "residual", 8),
    ):
        work = {"part": "test", "data": data, "network": name, "images": 0, "passes": passes}
        for seed in range(3):
            for method in ("ER", "Adam"):
                yield work | {"seed": seed, "method": method, "setting": "", "value": ""}


def long():
    work = {"part": "test", "data": "cifar10-jpeg", "network": "deeper", "images": 0, "passes": 24}
    for seed in range(3):
        for method in ("ER", "Adam"):
            yield work | {"seed": seed, "method": method, "setting": "", "value": ""}


def controls():
    """Settings of two controls on validation images, then the best on test images (``control``).

    On CIFAR-10 with the images of `validation`, on Fashion-MNIST with the dense network and all
    training images but the validation split. The best setting of FOOF with the small network lets
    the deeper one overflow (a row of 0.1), so that this has a choice of its own.
    """
    for (data, name, method), (setting, values) in TRIED.items():
        work = {"part": "validation", "data": data, "network": name, "seed": 0}
        work["images"] = 0 if name == "dense" else 20000
        work["passes"] = 6 if name == "dense" else PASSES[data]
        for value in values:
            yield work | {"method": method, "setting": setting, "value": value}
        if name == "deeper":  # what the setting of ER, which has none, reaches on the same images
            yield work | {"method": "ER", "setting": "", "value": ""}
    for (data, name, passes, method), (setting, value) in CHOSEN.items():
        work = {"part": "control", "data": data, "network": name, "images": 0, "passes": passes}
        for seed in range(3):
            yield work | {"seed": seed, "method": method, "setting": setting, "value": value}


def equal_time():
    """Adam for as many seconds as eight passes of joint ER take, on two processors (`speed`)."""
    work = {"data": "cifar10-jpeg", "network": "deeper", "images": 0}
    for part, passes in {"equal time": 16, "equal time on AMD": 13}.items():
        for seed in range(3):
            run = {"part": part, "passes": passes, "seed": seed, "method": "Adam"}
            yield work | run | {"setting": "", "value": ""}


PLANS = {
    "validation": validation,
    "ablation": ablation,
    "test": test,
    "long": long,
    "controls": controls,
    "time": equal_time,
}


def one(job, file):
    """Train once and add the row to the file."""
    torch.set_num_threads(1)
    code = commit()  # before others may change it
    data = erlib.load(job["data"])
    if job["part"] == "validation":
        data = data.holdout(len(data.y_train) // 6, seed=0)
    if job["images"]:
        kept = slice(job["images"])
        x, y = data.x_train[kept], data.y_train[kept]
        data = dataclasses.replace(data, x_train=x, y_train=y)
    settings = {}
    for name, value in zip(job["setting"].split(), job["value"].split()):
        whole = isinstance(SETTINGS.get(name), int)
        settings[name] = (int if whole else float)(value)
    if job["setting"] == "without":
        settings = {"without": job["value"]}
    how = {"passes": job["passes"], "seed": job["seed"], "changed": job["data"].startswith("cifar")}
    try:
        found = trained(data, job["network"], job["method"], **how, **settings)
        curve = " ".join(f"{part:.4f}" for part in found.curve)
        row = job | {"accuracy": found.accuracy, "training": found.training, "curve": curve}
        row["seconds"] = round(found.seconds, 1)
    except ValueError as error:  # it overflows: a result, too
        print(error, flush=True)
        row = job | {"accuracy": 1 / len(data.classes), "training": "", "curve": "", "seconds": ""}
    add(file, row | {"commit": code}, COLUMNS + FOUND)
    print(*(str(job[name]) for name in COLUMNS if job[name] != ""), row["accuracy"], flush=True)


def speed(file):
    """A pass of `images` by each method, alternating, five times; the ratio of medians."""
    torch.set_num_threads(1)
    for data_name, name in (("cifar10-jpeg", "small"), ("cifar10-jpeg", "deeper"),
                            ("cifar10-jpeg", "residual"), ("mnist", "dense")):  # fmt: skip
        data = erlib.load(data_name)
        x, y = data.x_train[: 40 * BATCH], data.y_train[: 40 * BATCH]
        parts = minibatches(len(x), BATCH, 1, 0)
        seconds = {"ER": [], "Adam": []}
        for repeat in range(6):
            for method, found in seconds.items():
                module = network(name, x, len(data.classes), seed=0)
                updates = len(parts)
                step = ER(module, updates=updates).step if method == "ER" else adam(module, updates)
                begin = time.perf_counter()
                for part in parts:
                    step(x[part], y[part])
                if repeat:  # the first warms up
                    found.append(time.perf_counter() - begin)
        ratios = [a / b for a, b in zip(*seconds.values())]
        row = {"data": data_name, "network": name, "images": len(x)}
        row |= {m: round(statistics.median(found), 3) for m, found in seconds.items()}
        row |= {"ratio": round(statistics.median(ratios), 2), "cpu": processor()}
        row |= {"least": round(min(ratios), 2), "most": round(max(ratios), 2), "commit": commit()}
        add(file, row, list(row))
        print(row, flush=True)


def processor():
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip().replace(",", " ")
    return platform.processor()


def commit():
    """The commit of the code, marked where erlib is not as committed."""
    root = Path(__file__).parent

    def git(*words):
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True).stdout

    changed = "+" if git("status", "--porcelain", "../erlib").strip() else ""
    return git("rev-parse", "--short=8", "HEAD").strip() + changed


def add(file, row, columns):
    """One line in one write, so that processes do not mix theirs."""
    if not file.exists():
        file.write_text(",".join(columns) + "\n", encoding="utf-8")
    handle = os.open(file, os.O_WRONLY | os.O_APPEND)
    os.write(handle, (",".join(str(row[name]) for name in columns) + "\n").encode())
    os.close(handle)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=[*PLANS, "speed"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks"))
    options = parser.parse_args()
    if not options.output.is_dir():
        parser.error(f"--output: no folder {str(options.output)!r}")
    if options.what == "speed":
        return speed(options.output / "any_module_speed.csv")
    file, known = options.output / "any_module.csv", set()
    if file.exists():
        with file.open(encoding="utf-8", newline="") as lines:
            known = {tuple(row[name] for name in COLUMNS) for row in csv.DictReader(lines)}
    else:
        file.write_text(",".join(COLUMNS + FOUND) + "\n", encoding="utf-8")
    jobs = PLANS[options.what]()
    missing = [job for job in jobs if tuple(str(job[name]) for name in COLUMNS) not in known]
    with multiprocessing.get_context("spawn").Pool(options.workers, maxtasksperchild=1) as pool:
        pool.starmap(one, [(job, file) for job in missing], chunksize=1)


if __name__ == "__main__":
    main()
