"""Small image data in every form in which `erlib.load` reads them."""

import gzip
import struct
import zipfile

import numpy as np
from PIL import Image

from erlib.data import named as datasets
from erlib.data.image_files import IDX_STEMS
from erlib.data.raw_images import Raw, checksum

N_TRAIN, N_TEST = 20, 10


def small_raw(shape=(1, 28, 28), n_train=N_TRAIN, n_test=N_TEST):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (n_train + n_test, *shape), dtype=np.uint8)
    labels = np.arange(n_train + n_test) % 10
    return Raw(images[:n_train], labels[:n_train], images[n_train:], labels[n_train:])


def expect_small(monkeypatch, name, raw):
    """Let the known content of ``name`` be that of ``raw``, so that tests stay small."""
    known = datasets._KNOWN[name]
    sha256 = known.sha256 and checksum(raw)
    small = known._replace(n_train=len(raw.x_train), n_test=len(raw.x_test), sha256=sha256)
    monkeypatch.setitem(datasets._KNOWN, name, small)


def write_idx(folder, raw, gz=False):
    folder.mkdir(parents=True)
    for stem, array in zip(
        IDX_STEMS,
        (raw.x_train[:, 0], raw.y_train, raw.x_test[:, 0], raw.y_test),
        strict=True,
    ):
        content = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
        content += array.astype(np.uint8).tobytes()
        file = folder / (f"{stem}.gz" if gz else stem)
        file.write_bytes(gzip.compress(content) if gz else content)


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
