"""Your own folder of images and your own .npz file."""

import io

import numpy as np
import pytest
import torch
from data_files import N_TEST, N_TRAIN, small_raw, write_images

from erlib.data.named import load
from erlib.data.raw_images import checksum

pytestmark = pytest.mark.usefixtures("empty_machine")


@pytest.mark.parametrize("channels", [1, 3])
def test_own_folder(channels, tmp_path, noted):
    raw = small_raw((channels, 5, 7))
    write_images(tmp_path / "mine", raw, tuple("abcdefghij"))
    (tmp_path / "mine/train/a/notes.txt").write_text("no image")
    data = load(tmp_path / "mine")
    np.testing.assert_array_equal((data.x_train * 255).round().numpy(), raw.x_train)
    assert data.classes == tuple("abcdefghij") and data.name == "mine"
    assert noted == [("mine", checksum(raw))]
    assert str(tmp_path) not in repr(data) + data.source


def test_known_name_wins_over_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "digits", small_raw())
    assert len(load("digits").x_train) == 1437
    own = load("./digits")
    assert len(own.x_train) == N_TRAIN and own.name == "./digits"


def write_npz(file, **changes):
    arrays = {**small_raw((1, 4, 4))._asdict(), **changes}
    np.savez(file, **{key: value for key, value in arrays.items() if value is not None})
    return file


def test_own_npz(tmp_path, noted):
    raw = small_raw((1, 4, 4))
    data = load(write_npz(tmp_path / "mine.npz"), dtype=torch.float64)
    np.testing.assert_allclose(data.x_train.numpy(), raw.x_train / 255, rtol=1e-15)
    assert data.name == "mine.npz" and data.classes == tuple("0123456789")
    flat = write_npz(tmp_path / "flat.npz", x_train=raw.x_train[:, 0], x_test=raw.x_test[:, 0],
                     y_train=raw.y_train.astype(np.uint8))  # fmt: skip
    assert load(flat).sha256 == data.sha256  # the same content, packed in another way
    assert noted == [("mine.npz", data.sha256), ("flat.npz", data.sha256)]


@pytest.mark.parametrize("kind", ["<f4", "<f8", ">f4", "f2"])
def test_npz_of_floating_point_images_is_not_scaled_again(kind, tmp_path):
    raw = small_raw((2, 4, 4))
    changes = {key: (getattr(raw, key) / 255).astype(kind) for key in ("x_train", "x_test")}
    data = load(write_npz(tmp_path / "mine.npz", **changes))
    assert data.x_train.dtype == torch.float32
    np.testing.assert_allclose(data.x_train.numpy(), raw.x_train / 255, atol=1e-3)


def images(value=0.5, dtype=np.float64, n=N_TRAIN):
    return np.full((n, 4, 4), value, dtype)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"y_test": None}, "missing y_test"),
        ({"x_train": images(1.5)}, r"x_train: .*must lie in \[0, 1\], found 1.5 to 1.5"),
        ({"x_train": images(-0.1)}, r"x_train: .*must lie in \[0, 1\]"),
        ({"x_train": images(np.nan)}, "x_train holds NaN"),
        ({"x_train": images(np.inf)}, "x_train holds NaN or inf"),
        ({"x_train": images(1, np.int64)}, "x_train must be uint8 or floating .*found int64"),
        ({"x_train": images()[:0], "y_train": np.zeros(0, int)}, "x_train must .* not empty"),
        ({"x_train": images()[:, 0]}, r"x_train must be \[n, height, width\].*\(20, 4\)"),
        ({"x_train": images(0, np.uint8, n=19)}, r"y_train must hold .*19 images.*\(20,\)"),
        ({"x_train": images()}, "x_train and x_test differ: float64"),
        ({"x_train": np.zeros((N_TRAIN, 1, 4, 5), np.uint8)}, r"differ: uint8 \(1, 4, 5\)"),
        ({"y_train": np.arange(N_TRAIN) % 10 + 0.5}, "y_train must hold one integer.*float64"),
        ({"y_train": np.arange(N_TRAIN) % 10 - 1}, "y_train holds the negative label -1"),
        ({"y_train": np.arange(N_TRAIN) % 10 + 1}, "largest is 10, but y_train has no 0"),
        ({"y_test": np.arange(N_TEST) + 5}, "largest is 14, but y_train has no 10"),
        ({"y_test": np.full(N_TEST, 2**62)}, "but y_train has no 10"),
        ({"y_train": np.array([None] * N_TRAIN)}, "cannot be read as an .npz file"),
    ],
)
def test_malformed_npz(changes, message, tmp_path):
    file = write_npz(tmp_path / "mine.npz", **changes)
    with pytest.raises(ValueError, match=message) as caught:
        load(file)
    assert str(file) in str(caught.value)


def npy_bytes():
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\3\4 torn", npy_bytes()])
def test_file_that_is_no_npz(content, tmp_path):
    file = tmp_path / "mine.npz"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"mine\.npz: cannot be read as an \.npz file"):
        load(file)


def test_missing_or_foreign_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"mine\.npz: no such folder or file"):
        load("mine.npz")
    with pytest.raises(FileNotFoundError, match="no such folder or file"):
        load(tmp_path / "nowhere")
    (tmp_path / "mine.csv").write_text("1,2")
    with pytest.raises(ValueError, match="another kind of file"):
        load(tmp_path / "mine.csv")
