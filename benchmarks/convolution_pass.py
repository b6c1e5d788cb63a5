"""One pass of sequential ER over a small convolutional network, against one pass of Adam.

    python benchmarks/convolution_pass.py [--dataset mnist] [--images 6400] [--repeats 5]

The network is the small one of notebook 07 on the full data sets (16 and 32 channels, filters
5 x 5), the batches are the same ones (128 samples). The two passes are run in turn, after one that
does not count; the ratio is taken within each repetition and its median reported, for the Gram
matrix of patches as it is and from all patches.
"""

import argparse
import functools
import statistics
import time

import torch

import erlib
from erlib import regress_batch
from erlib.baselines import backprop, train
from erlib.convolutional import convolutional
from erlib.sequential import Variant, sequential_fit, variant_fit

SETTING = {"inverse": "transpose", "first_update": False, "ridge": 1.0, "passes": 1}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--images", type=int, default=6400)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    data = erlib.load(options.dataset)
    x, y = data.x_train[: options.images], data.y_train[: options.images]

    def network():
        module = convolutional(x, [16, 32], len(data.classes), kernel=5, padding=2)
        return erlib.ERNetwork(module)

    def adam():
        net = network()
        return functools.partial(train, net, x, y, backprop(net, rate=0.001), batch_size=128)

    def sequential():
        return functools.partial(sequential_fit, network(), x, y, batch_size=128, **SETTING)

    def all_patches():
        # As an experiment's own regression, which gets all patches of the batch in rows.
        own = regress_batch.regress_batch
        variant = Variant(regression=own)
        return functools.partial(variant_fit, network(), x, y, variant, batch_size=128, **SETTING)

    methods = {
        "Adam": adam,
        "sequential ER": sequential,
        "sequential ER, all patches": all_patches,
    }
    print(f"{options.dataset}, {len(x):,} images, {torch.get_num_threads()} threads")
    times = {name: [] for name in methods}
    for repeat in range(-1, options.repeats):
        for name, prepare in methods.items():
            work = prepare()
            begin = time.perf_counter()
            work()
            if repeat >= 0:
                times[name].append(time.perf_counter() - begin)
    for name in methods:
        ratios = sorted(own / adam for own, adam in zip(times[name], times["Adam"]))
        print(
            f"{name:28s}{statistics.median(times[name]):7.2f} s   / Adam "
            f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
