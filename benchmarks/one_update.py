"""Time of one ER update as a multiple of the time of its matrix products alone.

    python benchmarks/one_update.py [--dataset mnist] [--widths 1000 3000] [--repeats 5]

Both sides run in turn in one process on the same data, with torch in float32. "Products alone" is
what no implementation of this update can leave out: the products of whole matrices, without
activations, copies, sums or the solution of the linear systems. The ratio is taken pair by pair;
its median counts.
"""

import argparse
import statistics
import time

import torch

import erlib


def products(x, width, classes):
    """The matrix products of one update of a network with one hidden layer, and nothing else."""
    w1, w2 = torch.randn(x.shape[1], width), torch.randn(width, classes)
    wanted = torch.randn(len(x), classes)
    hidden = x @ w1  # forward, old weights
    hidden @ w2
    h_star = wanted @ w2.T  # the inverse mapping has the shape of the transpose
    x.T @ x  # regression of the hidden layer
    x.T @ h_star
    hidden = x @ w1  # forward, new weights
    hidden.T @ hidden  # regression of the readout
    hidden.T @ wanted


def seconds(work):
    """Wall-clock seconds that `work()` takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--widths", type=int, nargs="+", default=[1000, 3000])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    data = erlib.load(options.dataset)
    x, y = data.x_train.flatten(1), data.y_train
    classes = len(data.classes)
    print(f"{options.dataset}: {len(x)} images, {torch.get_num_threads()} threads")
    print("hidden units   update, s   products, s   ratio (median, range)")
    for width in options.widths:
        pairs = []
        for repeat in range(options.repeats + 1):
            net = erlib.ERNetwork.dense([x.shape[1], width, classes], seed=repeat)
            alone = seconds(lambda w=width: products(x, w, classes))
            pairs.append((seconds(lambda n=net: n.one_update(x, y)), alone))
        pairs = pairs[1:]  # the first warms up
        ratios = sorted(update / alone for update, alone in pairs)
        update, alone = (statistics.median(side) for side in zip(*pairs))
        print(
            f"{width:12d}   {update:9.2f}   {alone:11.2f}   "
            f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
