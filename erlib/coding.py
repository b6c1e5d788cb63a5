"""Classes as observed outputs: +1 for the class of the sample, -1 for all others."""

import numpy as np
import torch

from . import checks


def class_labels(y, classes):
    """Return y as int64 labels `[n]`; ValueError unless they are integers from 0 to classes - 1."""
    try:
        labels = y if isinstance(y, torch.Tensor) else checks.from_numpy(np.asarray(y))
    except (TypeError, ValueError) as error:
        found = type(y).__name__
        raise ValueError(f"y: expected integer class labels, found {found}") from error
    if labels.ndim != 1 or labels.is_floating_point() or labels.dtype == torch.bool:
        kind = str(labels.dtype).removeprefix("torch.")
        raise ValueError(
            f"y: expected integer class labels of shape [n], found {kind}, shape "
            f"{tuple(labels.shape)}"
        )
    if len(labels) == 0:
        raise ValueError("y: empty")
    labels = labels.long()
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(
            f"y: labels from {low} to {high}, the {classes} outputs stand for 0 to {classes - 1}"
        )
    return labels


def observed_outputs(y, classes, dtype=torch.float32):
    """Return the observed outputs T `[n, classes]` of integer labels `[n]`, or floating y as it is.

    Raises ValueError for anything that is neither, and for labels of one class only: there would be
    nothing to tell apart.

    >>> observed_outputs(torch.tensor([0, 2]), 3).tolist()
    [[1.0, -1.0, -1.0], [-1.0, -1.0, 1.0]]
    """
    if getattr(y, "ndim", None) == 2:
        observed = checks.tensor("y", y, ndim=2)
        if observed.shape[1] != classes:
            raise ValueError(f"y: {observed.shape[1]} columns, the network has {classes} outputs")
        return observed.to(dtype)
    labels = class_labels(y, classes)
    if bool((labels == labels[0]).all()):
        raise ValueError(
            f"y: only one class ({int(labels[0])}) in {len(labels)} samples, nothing to tell apart"
        )
    observed = torch.full((len(labels), classes), -1.0, dtype=dtype, device=labels.device)
    return observed.scatter_(1, labels[:, None], 1.0)
