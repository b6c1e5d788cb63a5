"""Batches: cut, deformed, checked, and compared between passes."""

from itertools import zip_longest

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from erlib import ERNetwork
from erlib.batches import minibatches
from erlib.deform import deformations
from erlib.streams import Arrays, Deformed, Passes, recut


def samples(n=20, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, 3)), random.permutation(np.arange(n) % 2)


def passes(source, **options):
    return Passes(ERNetwork.dense([3, 4, 2], dtype=torch.float64), source, **options)


def read(of, *modes):
    """The inputs of so many passes, each read exactly or not."""
    return [torch.cat([x for x, _ in of.read("test", exact)]) for exact in modes]


# ---------------------------------------------------------------- sources


def test_orders_are_those_of_training_in_memory():
    x, y = np.arange(22.0)[:, None], np.arange(22)
    batches, found = Arrays(x, y, 5, seed=7), []
    for epoch in range(3):
        batches.set_epoch(epoch)
        found += [labels.tolist() for _, labels in batches if len(labels) > 2]
    assert found == [part.tolist() for part in minibatches(22, 5, 3, 7)]


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("parts", [2, 3, 4])
def test_parts_make_up_each_batch(parts, seed):
    x, y = np.arange(22.0)[:, None], np.arange(22)
    whole = [labels.tolist() for _, labels in Arrays(x, y, 5, seed=seed)]
    split = [list(Arrays(x, y, 5, seed=seed, part=(k, parts))) for k in range(parts)]
    batches = zip_longest(*split, fillvalue=(None, np.empty(0)))
    assert [[label for _, part in batch for label in part] for batch in batches] == whole


def test_files_are_read_batch_by_batch(tmp_path):
    x, y = samples()
    np.save(tmp_path / "x.npy", x)
    on_disk = np.load(tmp_path / "x.npy", mmap_mode="r")
    for seed in (None, 2):
        for (found, _), (wanted, _) in zip(
            Arrays(on_disk, y, 6, seed=seed), Arrays(x, y, 6, seed=seed)
        ):
            assert np.array_equal(found, wanted) and len(found) <= 6


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda x, y: Arrays(x, y[:3], 5), "^y: 3 samples, x has 20"),
        (lambda x, y: Arrays(x, y, 0), "^batch_size"),
        (lambda x, y: Arrays(x, y, 5, part=(2, 2)), r"^part: expected .* found \(2, 2\)"),
        (lambda x, y: Arrays(x, y, 2, part=(0, 3)), "^part: 3 parts of 2"),
        (lambda x, y: Deformed(x, y, 0, 5, change=deformations), "^samples"),
    ],
)
def test_what_cannot_be_cut_is_named(wrong, named):
    with pytest.raises(ValueError, match=named):
        wrong(*samples())


def test_deformed_images_differ_and_parts_are_the_batches_of_the_whole():
    x, y = torch.rand(5, 1, 8, 8), torch.arange(5)
    whole = list(Deformed(x, y, 23, 4, change=deformations, seed=1))
    images = torch.cat([images for images, _ in whole]).flatten(1)
    assert len(images.unique(dim=0)) == 23
    assert torch.cat([labels for _, labels in whole])[:20].bincount().tolist() == [4] * 5
    for part in (0, 1):
        some = Deformed(x, y, 23, 4, change=deformations, seed=1, part=(part, 2))
        for (found, _), (wanted, _) in zip(some, whole[part::2], strict=True):
            assert torch.equal(found, wanted)


@pytest.mark.parametrize("size", [1, 4, 7, 100])
def test_recut_batches_hold_the_same_rows(size):
    x = torch.arange(20)
    found = [part for part, _ in recut(zip(x.split(3), x.split(3)), lambda x: size)]
    assert torch.equal(torch.cat(found), x)
    assert {len(part) for part in found[:-1]} <= {size} and len(found[-1]) <= size


# ---------------------------------------------------------------- passes


def test_the_order_may_change_between_passes():
    x, y = map(torch.as_tensor, samples())
    random = torch.Generator().manual_seed(0)
    loader = DataLoader(TensorDataset(x, y), 6, shuffle=True, generator=random)
    first, second = read(passes(loader), True, True)
    assert not torch.equal(first, second)
    assert torch.equal(first.sort(0).values, second.sort(0).values)


def changed(how):
    """A function that opens a stream, which is another one when it is opened a second time."""
    x, y = samples()
    opened = []

    def open_stream():
        opened.append(True)
        return how(x.copy(), y.copy()) if len(opened) > 1 else [(x[:10], y[:10]), (x[10:], y[10:])]

    return open_stream


def swapped(x, y):
    """Two samples of different classes have each other's label."""
    a, b = np.flatnonzero(y == 0)[0], np.flatnonzero(y == 1)[0]
    y[[a, b]] = y[[b, a]]
    return [(x, y)]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (lambda x, y: [(x[:19], y[:19])], "pass 2 had 19 samples, the first pass 20 samples"),
        (lambda x, y: [(x, 1 - y[::-1] // 2 * 2)], "pass 2 had labels of checksum"),
        (swapped, "pass 2 had inputs of checksum"),
        (lambda x, y: [(x + 1e-15, y)], "pass 2 had inputs of checksum"),
        (lambda x, y: [(x[:, ::-1], y)], "pass 2 had inputs of checksum"),
    ],
    ids=["fewer", "other labels", "labels swapped", "other noise", "mirrored"],
)
def test_a_stream_that_changes_is_named(how, says):
    with pytest.raises(ValueError, match=f"^stream: it has changed: {says}"):
        read(passes(changed(how)), True, True)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (lambda x, y: [(x[:10], y[:10])], "pass 2 had 10 samples, the first pass 20"),
        (
            lambda x, y: [(x[:9], y[:9]), (x[9:], y[9:])],
            "batch 1 .* 9 samples, the first pass had 10",
        ),
        (
            lambda x, y: [(x[:10], y[:10]), (x[10:], y[10:]), (x[:1], y[:1])],
            "batch 3 .* 1 samples, the first pass had 0",
        ),
    ],
    ids=["fewer batches", "cut otherwise", "more batches"],
)
def test_training_needs_batches_of_the_same_sizes(how, says):
    with pytest.raises(ValueError, match=f"stream: it has changed: .*{says}|{says}"):
        read(passes(changed(how)), True, False)


def test_training_may_have_other_samples_in_each_pass():
    others = changed(lambda x, y: [(x[:10] + 1, y[10:]), (x[10:], y[:10])])
    first, second = read(passes(others), True, False)
    torch.testing.assert_close(second[:10], first[:10] + 1)


def with_nan(x, y):
    x[13, 1] = np.nan
    return x, y


@pytest.mark.parametrize(
    ("batches", "says"),
    [
        (lambda x, y: Arrays(*with_nan(x, y), 5), "^batch 3 of pass 1: x: 1 of 15 entries are NaN"),
        (lambda x, y: [(x, y), (x, y + 1)], "^batch 2 of pass 1: y: labels from 1 to 2"),
        (lambda x, y: [(x, y), (x[:, :2], y)], "^batch 2 of pass 1: x: shape"),
        (lambda x, y: [(x, y), (x, y[:5])], "^batch 2 of pass 1: y: 5 samples, x has 20"),
        (lambda x, y: [(x, y), x], "^batch 2 of pass 1: stream: expected a pair"),
        (lambda x, y: [(x, y), (x, 3)], "^batch 2 of pass 1: y: expected an array, found int"),
        (lambda x, y: [(x, y), (x[:0], y[:0])], "^batch 2 of pass 1: x: empty"),
        (lambda x, y: [], "^stream: no samples$"),
        (lambda x, y: [(x, 0 * y), (x, 0 * y)], r"^y: only one class \(0\) in 40 samples"),
        (lambda x, y: iter([(x, y)]), "^stream: an iterator can be read only once"),
        (lambda x, y: x, "^stream: an array"),
    ],
)
def test_what_is_wrong_with_a_batch_is_said_with_its_number(batches, says):
    with pytest.raises(ValueError, match=says):
        read(passes(batches(*samples())), True)


def test_a_batch_may_be_of_one_class():
    x, y = samples()
    order = np.argsort(y)
    (found,) = read(passes([(x[order][:10], y[order][:10]), (x[order][10:], y[order][10:])]), True)
    assert torch.equal(found, torch.as_tensor(x[order]))
