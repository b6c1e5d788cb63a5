"""What every public call asks of its arguments; the calls' own tests are with the calls."""

import numpy as np
import pytest
import torch

from erlib import checks

FLOATS = ["float16", "float32", "float64"]


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_numpy_array_is_shared_not_copied(dtype):
    given = np.arange(6, dtype=dtype).reshape(2, 3)
    for layout in (given, given.T, given[:, ::2]):
        found = checks.tensor("x", layout)
        assert found.data_ptr() == layout.ctypes.data
        assert found.numpy().dtype == layout.dtype and (found.numpy() == layout).all()


def test_layouts_that_torch_cannot_share_are_copied():
    given = np.arange(6.0).reshape(2, 3)
    frozen = given.copy()
    frozen.flags.writeable = False
    fields = np.zeros(6, dtype=[("a", "f4"), ("b", "i1")])
    for layout in (given[::-1], given[:, ::-1], frozen, given.astype(">f8"), fields["a"]):
        found = checks.tensor("x", layout)
        assert (found.numpy() == layout).all()
        found += 1
        assert (found.numpy() == layout + 1).all(), "the copy is the caller's no more"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_a_tensor_passes_without_its_gradient(dtype):
    given = torch.ones(2, dtype=dtype, requires_grad=True)
    found = checks.tensor("x", given)
    assert found.data_ptr() == given.data_ptr() and not found.requires_grad


class Odd:
    """Something that is no array."""


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (Odd(), "x: expected a NumPy array or a torch tensor, found Odd"),
        ([1.0], "found list"),
        (np.float64(1), "found float64"),
        (np.ones(2, dtype=np.longdouble), "x: expected floating-point numbers, found dtype float"),
        (np.array([None]), "x: expected floating-point numbers, found dtype object"),
        (np.array(["2024-01-01"], dtype="M8[D]"), "found dtype datetime64"),
        (np.ones(2, dtype="u2"), "x: expected floating-point numbers, found uint16$"),
        (torch.ones(2, dtype=torch.uint8), r"found uint8; .* x / 255 \(erlib.load does it\)"),
        (np.ones((2, 0)), r"x: empty, shape \(2, 0\)"),
        (torch.ones(3), r"x: expected 2 axes, found shape \(3,\)"),
    ],
    ids=str,
)
def test_no_array_of_floating_numbers(value, complaint):
    if getattr(value, "dtype", None) == np.longdouble and value.itemsize == 8:
        pytest.skip("long double is float64 on this machine")
    with pytest.raises(ValueError, match=complaint):
        checks.tensor("x", value, ndim=2 if "axes" in complaint else None)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
def test_the_first_bad_entry_is_told(dtype, bad, kind):
    value = np.ones((3, 4), dtype=dtype)
    value[1, 2] = value[2, 0] = bad
    value = value if kind == "numpy" else torch.tensor(value)
    with pytest.raises(ValueError, match=rf"x: 2 of 12 .*the first is {bad} at \(1, 2\)"):
        checks.tensor("x", value)


def test_infinities_of_both_signs_do_not_cancel():
    with pytest.raises(ValueError, match="2 of 3 entries are NaN or Inf, the first is inf"):
        checks.require_finite("x", torch.tensor([np.inf, -np.inf, 0]))


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_sum_that_overflows_is_no_bad_entry(dtype):
    value = np.full(100, np.finfo(dtype).max)
    assert checks.tensor("x", value).shape == (100,)


def test_shapes_and_kinds_are_compared_by_name():
    two, three, array = torch.ones(2), torch.ones(3), np.ones(2)
    checks.same_shape("b", two, "a", two.clone())
    with pytest.raises(ValueError, match=r"b: shape \(3,\) differs from a's \(2,\)"):
        checks.same_shape("b", three, "a", two)
    checks.same_kind("b", two, "a", three)
    checks.same_kind("b", array, "a", array)
    with pytest.raises(ValueError, match="b: found ndarray where a is Tensor; pass both as NumPy"):
        checks.same_kind("b", array, "a", two)


@pytest.mark.parametrize("value", [0, 2, 0.5, np.float32(0.5), np.int64(3), 1e300], ids=repr)
def test_numbers_from_zero_up(value):
    found = checks.not_negative("ridge", value)
    assert found == value and type(found) is float


@pytest.mark.parametrize(
    "value",
    [-1, -1e-300, np.nan, np.inf, -np.inf, True, np.True_, None, "1", [1.0], 1j, np.complex64(1)],
    ids=repr,
)
def test_what_is_no_number_from_zero_up(value):
    with pytest.raises(ValueError, match=r"ridge: expected a (finite )?number >= 0, found "):
        checks.not_negative("ridge", value)


def test_positive_integers():
    for value in (1, np.int32(7), 10**20):
        found = checks.positive_integer("steps", value)
        assert found == value and type(found) is int
    for value in (0, -1, 1.0, np.float64(2), True, None, "1", np.int64(0)):
        with pytest.raises(ValueError, match="steps: expected an integer >= 1, found "):
            checks.positive_integer("steps", value)


def test_a_choice_is_a_known_name():
    assert checks.choice("method", "b", ("b", "a")) == "b"
    assert checks.choice("method", "b", {"b": 1}) == "b"
    for value in ("c", None, ["a"], {"a"}, np.array(["a", "b"])):
        with pytest.raises(ValueError, match=r"method: unknown .*; known: a, b$"):
            checks.choice("method", value, ("b", "a"))


@pytest.mark.parametrize("dtype", FLOATS)
def test_results_take_the_type_and_dtype_of_what_was_given(dtype):
    result = torch.tensor([0.5, 2.0], dtype=torch.float64)
    array = checks.like(result, np.ones(3, dtype=dtype))
    assert isinstance(array, np.ndarray) and array.dtype == dtype and array.tolist() == [0.5, 2]
    tensor = checks.like(result, torch.ones(3, dtype=getattr(torch, dtype)))
    assert tensor.dtype == getattr(torch, dtype) and tensor.tolist() == [0.5, 2]


def test_masked_entries_are_refused():
    given = np.ma.array(np.arange(6.0), mask=[0, 0, 1, 0, 0, 1])
    with pytest.raises(ValueError, match="x: 2 of 6 entries are masked"):
        checks.tensor("x", given)
    found = checks.tensor("x", np.ma.array(np.arange(3.0), mask=False))
    assert type(found) is torch.Tensor and found.tolist() == [0, 1, 2]
