"""Images and labels as a reader gives them, before scaling: checksum, labels, order.

The pixels are those that are stored, so the checksum depends neither on the packaging nor on the
``dtype`` in which the images are used.
"""

import hashlib
from typing import NamedTuple

import numpy as np

SPLITS = ("train", "test")


class Raw(NamedTuple):
    """What every reader returns."""

    x_train: np.ndarray  # [n, channels, height, width], as stored
    y_train: np.ndarray  # [n], int64
    x_test: np.ndarray
    y_test: np.ndarray


def checksum(raw: Raw) -> str:
    """SHA-256 over shape, type and bytes of the four arrays."""
    digest = hashlib.sha256()
    for array in raw:
        array = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def count_classes(raw: Raw, origin: object) -> int:
    """How many classes the labels mean.

    Raises ValueError, naming ``origin``, unless they are 0 .. K - 1, each with a training image: a
    gap is a label counted from 1.
    """
    for key, labels in (("y_train", raw.y_train), ("y_test", raw.y_test)):
        if labels.min() < 0:
            raise ValueError(f"{origin}: {key} holds the negative label {labels.min()}")
    n_classes = 1 + max(int(raw.y_train.max()), int(raw.y_test.max()))
    missing = np.setdiff1d(np.arange(min(n_classes, 1 + 10**6)), raw.y_train)
    if missing.size:
        raise ValueError(
            f"{origin}: labels must be 0 .. K - 1 and each must occur in y_train; the largest is "
            f"{n_classes - 1}, but y_train has no {missing[0]}"
        )
    return n_classes


def interleaved(labels: np.ndarray) -> np.ndarray:
    """Order of rows that takes the first image of each class, then the second of each, ..."""
    rank = np.empty_like(labels)  # of an image within its class
    for label in np.unique(labels):
        rank[labels == label] = np.arange(np.sum(labels == label))
    return np.lexsort((labels, rank))
