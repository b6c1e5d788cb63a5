"""Files that come with data sets: each format is read as it is, and what is damaged is refused."""

import gzip
import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from data_files import expect_small, small_raw, write_images, write_zip
from PIL import Image

from erlib.data import named as datasets
from erlib.data.image_files import read_class_folders
from erlib.data.named import load
from erlib.data.raw_images import checksum
from erlib.progress import progress

pytestmark = pytest.mark.usefixtures("empty_machine")


# IDX files


def flipped(content, at):
    """With one bit changed."""
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


IMAGES, LABELS = "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("stem", "change", "message"),
    [
        (IMAGES, lambda content: content[:-1], "expected 15,696 bytes.*found 15,695 bytes"),
        (LABELS, lambda content: b"", "expected 18 bytes.*found 0 bytes"),
        (LABELS, lambda content: b"\0\0", "expected 18 bytes.*found 2 bytes"),
        (LABELS, lambda content: b"<html>not found</html>", "expected 18 bytes.*found 22 bytes"),
        (LABELS, lambda content: flipped(content, 2), "IDX header 00000801.*begin 00000901"),
    ],
    ids=["truncated", "empty", "two bytes", "a page", "signed bytes"],
)
def test_file_that_is_no_idx_file(mnist, stem, change, message):
    file = mnist[1] / stem
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(ValueError, match=f"^{file}: .*{message}.* Delete it and load again"):
        load("mnist")


def test_flipped_byte(mnist):
    file = mnist[1] / IMAGES
    file.write_bytes(flipped(file.read_bytes(), 1000))
    with pytest.raises(ValueError, match=r"mnist .*MNIST/raw.*corrupted: expected sha256"):
        load("mnist")


def test_truncated_gzip_file(mnist):
    file = mnist[1] / IMAGES
    whole = gzip.compress(file.read_bytes())
    file.unlink()
    Path(f"{file}.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz: a damaged gzip file"):
        load("mnist")


# CIFAR-10, and the copy that is not CIFAR-10


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """A small CIFAR-10 with MD5 sums of its own; gives its content and its folder."""
    import pickle

    from erlib.data.torchvision_compat import torchvision

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
    assert data.sha256 == checksum(raw)


def test_corrupted_cifar10_is_refused(cifar10):
    file = cifar10[1] / "data_batch_3"
    content = file.read_bytes()
    file.write_bytes(flipped(content, len(content) - 100))
    with pytest.raises(ValueError, match=r"cifar-10-batches-py: a file is corrupted"):
        load("cifar10")


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
    content = file.read_bytes()
    file.write_bytes(flipped(content, 200))  # inside of the first image, which is stored as it is
    with pytest.raises(ValueError, match=r"0000\.png: cannot be read as an image|airplane.*CRC"):
        load("cifar10-jpeg")
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"cifar10-jpeg\.zip: a damaged zip file"):
        load("cifar10-jpeg")


# Folders of images


def test_first_image_of_another_size_is_named(tmp_path):
    write_images(tmp_path / "mine", small_raw())
    odd = tmp_path / "mine/test/bird/0002.png"
    Image.new("L", (28, 27)).save(odd)
    with pytest.raises(ValueError, match=r"\(1, 27, 28\).*\(1, 28, 28\)") as caught:
        load(tmp_path / "mine")
    assert str(caught.value).startswith(str(odd))


CAT = "train/cat/0003.png"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "test").rename(root / "validation"), "test: no such folder"),
        (
            lambda root: (root / "test/cat").rename(root / "test/dragon"),
            "differ in their class folders.*drag",
        ),
        (lambda root: [file.unlink() for file in (root / "train/cat").iterdir()], "cat: no images"),
        (lambda root: (root / CAT).write_text("no"), r"0003\.png: cannot be read as an image"),
        (lambda root: Image.new("RGBA", (28, 28)).save(root / CAT), r"0003\.png: .*mode RGBA"),
    ],
    ids="no_test other_classes empty_class text transparent".split(),
)
def test_malformed_folder(spoil, message, tmp_path):
    write_images(tmp_path / "mine", small_raw())
    spoil(tmp_path / "mine")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load(tmp_path / "mine")


def test_decoding_many_images_shows_progress(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("erlib.data.image_files.progress", partial(progress, every=0))
    write_images(tmp_path / "mine", small_raw())
    load(tmp_path / "mine")
    shown = capsys.readouterr().err
    assert "images of train/: 20 of 20" in shown and "images of test/: 10 of 10" in shown


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_images_in_nested_folders_belong_to_the_class(packed, tmp_path, monkeypatch):
    raw = small_raw()
    write_images(tmp_path / "mine", raw)
    usual = load(tmp_path / "mine")
    nested = tmp_path / "mine/train/bird/2024/may"
    nested.mkdir(parents=True)
    (tmp_path / "mine/train/bird/.hidden").mkdir()
    for number in range(3):
        Image.new("L", (28, 28), number).save(nested / f"{number}.png")
        Image.new("L", (28, 28), 9).save(tmp_path / f"mine/train/bird/.hidden/{number}.png")
    if packed:
        write_zip(tmp_path / "mine.zip", tmp_path / "mine")
        found, classes = read_class_folders(tmp_path / "mine.zip")
        counts = np.bincount(found.y_train)
    else:
        data = load(tmp_path / "mine")
        classes, counts = data.classes, data.y_train.bincount().numpy()
    extra = 3 * (np.array(classes) == "bird")
    assert (counts == usual.y_train.bincount().numpy() + extra).all()


def test_links_in_a_circle_end(tmp_path):
    write_images(tmp_path / "mine", small_raw())
    usual = load(tmp_path / "mine")
    (tmp_path / "mine/train/bird/again").symlink_to(tmp_path / "mine/train/bird")
    assert load(tmp_path / "mine").sha256 == usual.sha256


def test_an_image_too_large_is_named(tmp_path):
    write_images(tmp_path / "mine", small_raw())
    Image.new("1", (20000, 20000)).save(tmp_path / "mine/train/bird/0000.png")
    with pytest.raises(ValueError, match=r"bird/0000\.png: cannot be read as an image .*exceeds"):
        load(tmp_path / "mine")
