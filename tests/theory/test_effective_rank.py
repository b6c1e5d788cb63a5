import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from erlib.theory.effective_rank import effective_rank


def matrix(values, n=30, seed=0):
    random = torch.Generator().manual_seed(seed)
    d = len(values)
    left, _ = torch.linalg.qr(torch.randn(n, d, generator=random, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(d, d, generator=random, dtype=torch.float64))
    return left * torch.tensor(values, dtype=torch.float64) @ right.T


@given(
    st.lists(st.floats(0.01, 100), min_size=1, max_size=8),
    st.sampled_from([0.01, 0.1, 0.35]),
)
def test_it_counts_singular_values_until_they_are_enough(values, delta):
    outputs = matrix(values)
    values, sofar, count = sorted(values, reverse=True), 0.0, 0
    while sofar < (1 - delta) * sum(values) * (1 - 1e-9):
        sofar += values[count]
        count += 1
    # A sum that is just enough may be just too little by rounding.
    allowed = {count}
    if sofar <= (1 - delta) * sum(values) * (1 + 1e-9):
        allowed.add(count + 1)
    assert effective_rank(outputs, delta) in allowed


def test_neither_scale_nor_rotation_nor_array_type_matters():
    outputs = matrix([5, 3, 1, 0.001])
    assert effective_rank(outputs) == 3
    assert effective_rank(1e-6 * outputs) == effective_rank(outputs.T) == 3
    assert effective_rank(outputs.numpy().astype(np.float32)) == 3
    assert effective_rank(torch.zeros(4, 3)) == 0


@pytest.mark.parametrize("delta", [0, 1, -0.1, float("nan"), "x"])
def test_delta_is_between_0_and_1(delta):
    with pytest.raises(ValueError, match=r"^delta"):
        effective_rank(torch.eye(3), delta)


def test_outputs_are_checked():
    with pytest.raises(ValueError, match=r"^outputs: expected 2 axes"):
        effective_rank(torch.zeros(3, 2, 2))
    with pytest.raises(ValueError, match=r"^outputs: 1 of 4 entries are NaN"):
        effective_rank(torch.tensor([[1.0, float("nan")], [0.0, 1.0]]))
