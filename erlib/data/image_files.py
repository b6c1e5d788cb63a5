"""Readers of the formats in which image data sets come: IDX files, CIFAR-10, folders of images."""

import gzip
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..progress import progress
from .raw_images import SPLITS, Raw, interleaved

IDX_STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte",
             "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")  # fmt: skip
CIFAR_FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp"}


def read_idx_folder(folder: Path, n_train: int, n_test: int, size: Sequence[int]) -> Raw:
    """The four IDX files of MNIST and its kin, raw or gzipped; ``size`` is height and width."""
    arrays = []
    for n, images, labels in ((n_train, *IDX_STEMS[:2]), (n_test, *IDX_STEMS[2:])):
        arrays.append(_read_idx(folder, images, (n, *size))[:, None])
        arrays.append(_read_idx(folder, labels, (n,)).astype(np.int64))
    return Raw(*arrays)


def idx_file(folder: Path, stem: str) -> Path | None:
    """The IDX file of that stem, raw or gzipped; None if neither is there."""
    candidates = (folder / stem, folder / f"{stem}.gz")
    return next((file for file in candidates if file.is_file()), None)


def _read_idx(folder: Path, stem: str, shape: tuple[int, ...]) -> np.ndarray:
    """The unsigned bytes of an IDX file, whose header and size must be exactly those of ``shape``.

    torchvision reads a truncated file without complaint, or fails in a reshape.
    """
    file = idx_file(folder, stem)
    assert file is not None, f"{folder} lacks {stem}"  # see lookup
    content = file.read_bytes()
    if file.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(
                f"{file}: a damaged gzip file of {len(content):,} bytes ({error}). "
                "Delete it and load again, or copy it anew."
            ) from error
    header = struct.pack(f">{1 + len(shape)}I", 0x800 + len(shape), *shape)
    size = len(header) + math.prod(shape)
    if len(content) != size or not content.startswith(header):
        raise ValueError(
            f"{file}: expected {size:,} bytes with the IDX header {header.hex(' ', 4)}, found "
            f"{len(content):,} bytes that begin {content[: len(header)].hex(' ', 4) or 'nowhere'}. "
            "Delete it and load again, or copy it anew."
        )
    return np.frombuffer(bytearray(content), np.uint8, offset=len(header)).reshape(shape)


def read_cifar10(folder: Path) -> Raw:
    """The pickled batches of CIFAR-10; ``folder`` must be called cifar-10-batches-py."""
    from .torchvision_compat import torchvision

    arrays = []
    for train in (True, False):
        try:  # the files are pickles: torchvision unpickles them only after checking their MD5 sums
            part = torchvision.datasets.CIFAR10(folder.parent, train=train, download=False)
        except RuntimeError as error:
            raise ValueError(
                f"{folder}: a file is corrupted ({error}). Delete the folder and load again, or "
                "copy it anew."
            ) from error
        arrays.append(np.ascontiguousarray(part.data.transpose(0, 3, 1, 2)))
        arrays.append(np.array(part.targets, dtype=np.int64))
    return Raw(*arrays)


def read_class_folders(place: Path) -> tuple[Raw, tuple[str, ...]]:
    """The images of ``{train,test}/<class>/`` in a folder or a zip, and the names of the classes.

    A class folder may have folders of its own, whose images belong to the class. Rows are
    interleaved: the first image of each class, then the second of each, ...
    """
    root = _opened(place)
    classes, others = (_class_names(root, split) for split in SPLITS)
    if classes != others:
        raise ValueError(
            f"{root}: train/ and test/ differ in their class folders: {', '.join(classes)} and "
            f"{', '.join(others)}"
        )
    first, arrays = None, []
    for split in SPLITS:
        files = [
            (label, file)
            for label, name in enumerate(classes)
            for file in _image_files(root / split / name)
        ]
        labels = np.array([label for label, _ in files], dtype=np.int64)
        images = []
        for _, file in progress(files, f"images of {split}/"):
            image = _read_image(file)
            first = first or (file, image.shape)
            if image.shape != first[1]:
                raise ValueError(
                    f"{file}: all images must have one size; this one is "
                    f"{image.shape} (channels, height, width), {first[0]} is {first[1]}"
                )
            images.append(image)
        order = interleaved(labels)
        arrays += [np.stack(images)[order], labels[order]]
    return Raw(*arrays), classes


def _opened(place: Path) -> Path | zipfile.Path:
    """The folder that holds train/ and test/; inside of a zip they may lie one folder deeper."""
    if place.is_dir():
        return place
    try:
        root = zipfile.Path(place)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{place}: a damaged zip file ({error}). Copy it anew.") from error
    return next((top for top in (root, *root.iterdir()) if (top / "train").is_dir()), root)


def _class_names(root: Path | zipfile.Path, split: str) -> tuple[str, ...]:
    folder = root / split
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected train/ and test/ in {root}")
    names = (child.name for child in folder.iterdir() if child.is_dir())
    classes = tuple(sorted(name for name in names if not name.startswith(".")))
    if not classes:
        raise ValueError(f"{folder}: no class folders")
    return classes


def _image_files(folder: Path | zipfile.Path) -> list:
    files = sorted(_images_below(folder), key=lambda found: found[0])
    if not files:
        raise ValueError(f"{folder}: no images")
    return [file for _, file in files]


def _images_below(folder: Path | zipfile.Path, way: tuple = (), seen: tuple = ()) -> Iterator:
    """Names from the class folder down, and the file, of each image; links in a circle end."""
    place = folder.resolve() if isinstance(folder, Path) else None
    if place is not None and place in seen:
        return
    for child in folder.iterdir():
        if child.name.startswith("."):
            continue
        if child.is_dir():
            yield from _images_below(child, (*way, child.name), (*seen, place))
        elif Path(child.name).suffix.lower() in _IMAGE_SUFFIXES:
            yield (*way, child.name), child


def _read_image(file: Path | zipfile.Path) -> np.ndarray:
    """Pixels ``[channels, height, width]``, uint8: one channel if grey, three if coloured."""
    from PIL import Image

    modes = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}
    try:
        with Image.open(io.BytesIO(file.read_bytes())) as image:
            mode = image.mode
            pixels = np.asarray(image.convert(modes[mode])) if mode in modes else None
    except Exception as error:  # Pillow has many kinds, one for each way to be damaged or too large
        raise ValueError(f"{file}: cannot be read as an image ({error})") from error
    if pixels is None:  # transparency or 16 bits: what to drop is not for erlib to decide
        raise ValueError(f"{file}: expected a grey or RGB image of 8 bits, found mode {mode}")
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
