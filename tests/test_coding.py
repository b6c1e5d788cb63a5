"""Labels as observed outputs."""

import numpy as np
import pytest
import torch

from erlib.coding import class_labels, observed_outputs


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_class_is_plus_one_and_all_others_minus_one(dtype):
    observed = observed_outputs(torch.tensor([2, 0, 2]), 4, dtype)
    assert observed.dtype == dtype
    for row, label in zip(observed, [2, 0, 2]):
        assert row.tolist() == [1.0 if unit == label else -1.0 for unit in range(4)]


FROZEN = np.array([0, 2, 1])
FROZEN.flags.writeable = False


@pytest.mark.parametrize(
    "labels",
    [
        [0, 2, 1],
        (0, 2, 1),
        torch.tensor([0, 2, 1], dtype=torch.uint8),
        torch.tensor([0, 2, 1], dtype=torch.int16),
        *(np.array([0, 2, 1], dtype=t) for t in ("i1", "u1", "u2", "u4", "u8", ">i4", "i8")),
        np.array([1, 2, 0])[::-1],
        np.array([[0, 2, 1]]).T[:, 0],
        FROZEN,
    ],
    ids=lambda labels: f"{type(labels).__name__} {getattr(labels, 'dtype', '')}",
)
def test_labels_of_any_integer_type_and_layout(labels):
    found = class_labels(labels, 3)
    assert found.dtype == torch.int64 and found.tolist() == [0, 2, 1]
    assert observed_outputs(labels, 3).argmax(1).tolist() == [0, 2, 1]


def test_floating_outputs_pass_as_they_are():
    given = np.random.default_rng(0).normal(size=(5, 3))
    assert (observed_outputs(given, 3, torch.float64).numpy() == given).all()
    assert observed_outputs(given, 3).dtype == torch.float32
    assert observed_outputs(given[:, :1], 1).shape == (5, 1), "one unit is no class problem"


BAD_LABELS = {
    "floats": (np.array([0.0, 1.0]), r"y: expected integer class labels .*found float64"),
    "bools": (np.array([True, False]), "y: expected integer class labels .*found bool"),
    "two axes": (np.array([[0], [1]]), r"y: expected .*(\(2, 1\)|found int64)"),
    "number": (3, r"y: expected integer class labels of shape \[n\], found int64, shape \(\)"),
    "text": (["cat", "dog"], "y: expected integer class labels, found str such as 'cat'; .*unique"),
    "nothing": (None, "y: expected integer class labels, found NoneType"),
    "masked": (np.ma.array([0, 1], mask=[0, 1]), "y: 1 of 2 entries are masked"),
    "unequal rows": ([[0, 1], [0]], "y: expected integer class labels, found list"),
    "objects": (np.array([0, None]), "y: expected integer class labels, found int such as '0'"),
    "empty": (np.array([], dtype=int), "y: empty"),
    "too large": (np.array([0, 3]), "y: labels from 0 to 3, the 3 outputs stand for 0 to 2"),
    "negative": (np.array([-1, 1]), "y: labels from -1 to 1, the 3 outputs stand for 0 to 2"),
    "huge": (np.array([2**64 - 1, 1], dtype="u8"), "y: labels from -1 to 1"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_what_is_no_label_is_refused(case):
    labels, complaint = BAD_LABELS[case]
    for call in (class_labels, observed_outputs):
        with pytest.raises(ValueError, match=complaint):
            call(labels, 3)


@pytest.mark.parametrize(
    ("y", "complaint"),
    [
        ([1, 1, 1], r"y: only one class \(1\) in 3 samples, nothing to tell apart"),
        ([2], r"y: only one class \(2\) in 1 samples"),
        (np.ones((4, 2)), "y: 2 columns, the network has 3 outputs"),
        (np.ones((4, 3)) * np.nan, "y: 12 of 12 entries are NaN or Inf"),
        (np.ones((4, 3), dtype=int), "y: expected floating-point numbers, found int64"),
        (np.eye(3, dtype=int), "y: one-hot rows of 0 and 1, .*y.argmax"),
        (np.ones((0, 3)), r"y: empty, shape \(0, 3\)"),
    ],
)
def test_what_is_no_observed_output_is_refused(y, complaint):
    with pytest.raises(ValueError, match=complaint):
        observed_outputs(y, 3)


def test_one_class_has_labels_all_the_same():
    assert class_labels([1, 1], 3).tolist() == [1, 1], "a score needs no second class"
