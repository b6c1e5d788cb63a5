"""Seconds of training until a test accuracy is first seen: ER against Adam on the same network.

    python benchmarks/time_to_accuracy.py [--dataset mnist] [--levels 0.95 0.97] [--repeats 5]

Adam's learning rate is chosen first, on a validation split, from a grid; that time is reported as a
multiple too. Then all methods train in turn in one process from the same initial network and with
the same seeds, and the clock stands while accuracy is measured. The ratio to Adam is taken within
each repetition; its median counts. `one update` counts only if it reaches the level by itself.
"""

import argparse
import statistics
import time

import torch

import erlib
from erlib.baselines import backprop, choose, train
from erlib.notebook.curves import Curve, first_reach
from erlib.sequential import sequential_fit

RATES = [0.001, 0.003, 0.01, 0.03]
ER_BATCH, BATCH = 500, 128


def one_update(net, x, y, passes, seed, watch):
    net.one_update(x, y)
    watch(watch.per_pass)


def er(net, x, y, passes, seed, watch):
    net.fit(x, y, passes=passes, batch_size=ER_BATCH, inverse="transpose", seed=seed, watch=watch)


def sequential(net, x, y, passes, seed, watch):
    sequential_fit(net, x, y, passes=passes, batch_size=BATCH, seed=seed, watch=watch)


def adam(rate):
    def method(net, x, y, passes, seed, watch=None):
        step = backprop(net, rate=rate, updates=passes * (len(x) // BATCH))
        train(net, x, y, step, passes=passes, batch_size=BATCH, seed=seed, watch=watch)

    return method


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--hidden", type=int, default=500)
    parser.add_argument("--passes", type=int, default=4)
    parser.add_argument("--levels", type=float, nargs="+", default=[0.95, 0.97])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    data = erlib.load(options.dataset)
    sizes = [data.x_train[0].numel(), options.hidden, len(data.classes)]

    def network(seed):
        return erlib.ERNetwork.dense(sizes, hidden_bias=True, seed=seed)

    def tried(rate, x, y):
        net = network(0)
        adam(rate)(net, x, y, options.passes, 0)
        return net

    choice = choose(RATES, tried, data.holdout(len(data.y_train) // 6))
    print(f"{options.dataset}, {'-'.join(map(str, sizes))}, {torch.get_num_threads()} threads")
    print(f"Adam: rate {choice.best:g} chosen among {RATES} in {choice.seconds:.0f} s")
    methods = {"Adam": adam(choice.best), "ER, transpose": er, "sequential ER": sequential}
    methods["one update"] = one_update
    times = {name: [] for name in methods}
    for seed in range(options.repeats):
        for name, method in methods.items():
            batch = ER_BATCH if name == "ER, transpose" else BATCH
            begin, net = time.perf_counter(), network(seed)
            watch = Curve(net, data.x_test, data.y_test, per_pass=len(data.y_train) // batch)
            method(net, data.x_train, data.y_train, options.passes, seed, watch)
            times[name].append([first_reach(watch.rows, level) for level in options.levels])
            took = time.perf_counter() - begin
            print(f"  seed {seed}, {name}: {took:.0f} s with measuring", flush=True)
    print("level   method          seconds (median)   / Adam (median, range)   tuning counted")
    for index, level in enumerate(options.levels):
        for name in methods:
            pairs = [
                (own[index], other[index])
                for own, other in zip(times[name], times["Adam"])
                if own[index] is not None and other[index] is not None
            ]
            if not pairs:
                print(f"{level:5.3f}   {name:15s} no seed in which this and Adam reached it")
                continue
            ratios = sorted(own / other for own, other in pairs)
            paid = choice.seconds if name == "Adam" else 0
            counted = statistics.median((own + paid) / (a + choice.seconds) for own, a in pairs)
            print(
                f"{level:5.3f}   {name:15s} {statistics.median(own for own, _ in pairs):8.2f}"
                f"           {statistics.median(ratios):5.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
                f"      {counted:.2f}   ({len(pairs)} of {options.repeats} seeds)"
            )


if __name__ == "__main__":
    main()
