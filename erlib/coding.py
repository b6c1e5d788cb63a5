"""Classes as observed outputs: +1 for the class of the sample, -1 for all others."""

import math

import numpy as np
import torch

from . import checks
from .activations import Activation


def class_labels(y: object, classes: int) -> torch.Tensor:
    """Return y as int64 labels `[n]`; ValueError unless they are integers from 0 to classes - 1."""
    if not isinstance(y, torch.Tensor):
        try:
            y = np.asanyarray(y)
        except ValueError as error:
            found = type(y).__name__
            raise ValueError(f"y: expected integer class labels, found {found}: {error}") from None
        checks.not_masked("y", y)
        if y.dtype.kind not in "iufb":
            found = f"{y.dtype}"
            if y.ndim == 0:
                found = type(y[()]).__name__
            elif y.dtype.kind in "USO" and y.size:
                found = f"{type(y.flat[0]).__name__.strip('_')} such as {str(y.flat[0])!r}"
            raise ValueError(
                f"y: expected integer class labels, found {found}; number them by "
                "np.unique(y, return_inverse=True)[1], or take erlib.ERClassifier, for labels of "
                "any type"
            )
        y = checks.from_numpy(y)
    if y.ndim != 1 or y.is_floating_point() or y.dtype == torch.bool:
        kind = str(y.dtype).removeprefix("torch.")
        raise ValueError(
            f"y: expected integer class labels of shape [n], found {kind}, shape {tuple(y.shape)}"
        )
    if len(y) == 0:
        raise ValueError("y: empty")
    labels = y.long()
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(
            f"y: labels from {low} to {high}, the {classes} outputs stand for 0 to {classes - 1}"
        )
    return labels


def observed_outputs(
    y: object, classes: int, dtype: torch.dtype = torch.float32, *, several: bool = False
) -> torch.Tensor:
    """Return the observed outputs T `[n, classes]` of integer labels `[n]`, or floating y as it is.

    Raises ValueError for anything that is neither, and for labels of one class only: there would be
    nothing to tell apart; unless y is one of `several` batches.

    >>> observed_outputs(torch.tensor([0, 2]), 3).tolist()
    [[1.0, -1.0, -1.0], [-1.0, -1.0, 1.0]]
    """
    if getattr(y, "ndim", None) == 2 and isinstance(y, (torch.Tensor, np.ndarray)):
        whole = not y.is_floating_point() if isinstance(y, torch.Tensor) else y.dtype.kind in "iub"
        if whole:
            _refuse_one_hot("y", torch.as_tensor(y))
        observed = checks.tensor("y", y, ndim=2)
        if observed.shape[1] != classes:
            raise ValueError(f"y: {observed.shape[1]} columns, the network has {classes} outputs")
        return observed.to(dtype)
    labels = class_labels(y, classes)
    if not several and bool((labels == labels[0]).all()):
        raise ValueError(
            f"y: only one class ({int(labels[0])}) in {len(labels)} samples, nothing to tell apart"
        )
    observed = torch.full((len(labels), classes), -1.0, dtype=dtype, device=labels.device)
    return observed.scatter_(1, labels[:, None], 1.0)


def require_reachable(name: str, observed: torch.Tensor, unit: Activation) -> None:
    """Raise ValueError naming the array if it holds outputs that the activation cannot give.

    The ends count: tanh comes as close to 1 as one likes. Classes coded 1 and 0 could be reached
    where 1 and -1 are meant, but say of all other classes that they are undecided.
    """
    (low, high), found = unit.between, (float(observed.min()), float(observed.max()))
    if found[0] < low or found[1] > high:
        gives = f"{low:g} to {high:g}" if high < math.inf else f"{low:g} and more"
        raise ValueError(
            f"{name}: values from {found[0]:g} to {found[1]:g}, {unit.name} gives {gives}"
        )
    if low == -1:
        _refuse_one_hot(name, observed)


def _refuse_one_hot(name: str, rows: torch.Tensor) -> None:
    coded = rows.shape[1] > 1 and len(rows) and bool(((rows == 0) | (rows == 1)).all())
    if coded and bool((rows.sum(1) == 1).all()):
        raise ValueError(
            f"{name}: one-hot rows of 0 and 1, where classes are coded 1 and -1: give the labels "
            "themselves, y.argmax(1), or 2 * y - 1"
        )
