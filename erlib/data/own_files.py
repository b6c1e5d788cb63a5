"""Your own data: a folder of images, or an .npz file."""

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from .image_files import read_class_folders
from .raw_images import SPLITS, Raw, count_classes


def read_own(name: str | os.PathLike) -> tuple[Raw, tuple[str, ...], str]:
    """The raw images at the path ``name``, the names of their classes, and what was read.

    Raises FileNotFoundError if nothing is there, ValueError naming the file if it is malformed.
    """
    path = Path(name)
    if path.is_dir():
        return *read_class_folders(path), "your own folder of images"
    if not path.is_file():
        raise FileNotFoundError(f"{name}: no such folder or file, and no known data set")
    if path.suffix != ".npz":
        raise ValueError(f"{name}: expected a folder or an .npz file, found another kind of file")
    return *_read_npz(path), "your own .npz file"


def _read_npz(path: Path) -> tuple[Raw, tuple[str, ...]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in Raw._fields if key in archive}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: cannot be read as an .npz file ({error})") from error
    missing = [key for key in Raw._fields if key not in arrays]
    if missing:
        raise ValueError(f"{path}: expected {', '.join(Raw._fields)}, missing {', '.join(missing)}")
    for split in SPLITS:
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
        arrays[f"x_{split}"] = _checked_images(images, f"{path}: x_{split}")
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) != len(images):
            raise ValueError(
                f"{path}: y_{split} must hold one integer for each of the {len(images)} images, "
                f"found {labels.dtype} of shape {labels.shape}"
            )
        arrays[f"y_{split}"] = labels.astype(np.int64)
    raw = Raw(**arrays)
    if raw.x_train.shape[1:] != raw.x_test.shape[1:] or raw.x_train.dtype != raw.x_test.dtype:
        raise ValueError(
            f"{path}: x_train and x_test differ: {raw.x_train.dtype} {raw.x_train.shape[1:]} and "
            f"{raw.x_test.dtype} {raw.x_test.shape[1:]}"
        )
    return raw, tuple(map(str, range(count_classes(raw, path))))


def _checked_images(images: np.ndarray, origin: str) -> np.ndarray:
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise ValueError(
            f"{origin} must be [n, height, width] or [n, channels, height, width] and not empty, "
            f"found shape {images.shape}"
        )
    images = images.astype(images.dtype.newbyteorder("="), copy=False)
    if images.dtype in (np.float16, np.float32, np.float64):
        if not np.isfinite(images).all():
            raise ValueError(f"{origin} holds NaN or infinite values")
        if images.min() < 0 or images.max() > 1:
            raise ValueError(
                f"{origin}: floating-point images must lie in [0, 1], "
                f"found {images.min()} to {images.max()}"
            )
    elif images.dtype != np.uint8:
        wanted = "uint8 or floating point of 16 to 64 bits"
        raise ValueError(f"{origin} must be {wanted}, found {images.dtype}")
    return images[:, None] if images.ndim == 3 else images
