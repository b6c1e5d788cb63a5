"""Where a full data set lies, and how it gets there."""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..notebook import paths
from .image_files import CIFAR_FILES, IDX_STEMS, idx_file
from .raw_images import SPLITS

#: Within a folder of data sets, the places where one may lie; a download goes to the first.
_PLACES = {
    "mnist": ("MNIST/raw",),
    "fashion_mnist": ("FashionMNIST/raw",),
    "kmnist": ("KMNIST/raw",),
    "cifar10": ("cifar-10-batches-py",),
    "cifar10-jpeg": ("cifar10-jpeg.zip", "cifar10-jpeg", "cifar10"),
}
#: The classes of torchvision.datasets that can download one.
_TORCHVISION_CLASSES = dict(
    mnist="MNIST", fashion_mnist="FashionMNIST", kmnist="KMNIST", cifar10="CIFAR10"
)
_DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def look_up(name: str) -> tuple[Path | None, list[str]]:
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


def find(name: str, verify: Callable[[str, Path], object], download: bool = True) -> Path:
    """The place to read the data set from, downloaded if need be.

    ``verify(name, place)`` must raise unless the place holds the whole, true content; only what
    passes it is kept of a download.

    Raises FileNotFoundError that lists what was tried.
    """
    place, tried = look_up(name)
    if place is not None:
        return place
    failure = None
    if name not in _TORCHVISION_CLASSES:
        tried.append("download: none is offered for this data set")
    elif not download:
        tried.append("download: switched off (download=False)")
    else:
        try:
            return _download(name, verify)
        except Exception as error:  # whatever went wrong: the data are not here, and this is why
            failure = error
            tried.append(f"download: {type(error).__name__}: {str(error).strip()}")
    lines = "\n".join(f"  - {line}" for line in tried)
    raise FileNotFoundError(
        f"{name}: not found. Tried:\n{lines}\n"
        f"To use it offline, put the files into {_inside(name, paths.DATA)[0]}, or into a folder "
        f"laid out alike that ERLIB_DATA names; data/README.md says where to get them."
    ) from failure


def _inside(name: str, folder: Path) -> list[Path]:
    return [folder / place for place in _PLACES[name]]


def _lacks(name: str, place: Path) -> str:
    """What a place lacks to hold the data set; "" if nothing."""
    if place.suffix == ".zip":
        return "" if place.is_file() else "no such file"
    if not place.is_dir():
        return "no such folder"
    if name == "cifar10":
        missing = [file for file in CIFAR_FILES if not (place / file).is_file()]
    elif name == "cifar10-jpeg":
        missing = [f"{split}/" for split in SPLITS if not (place / split).is_dir()]
    else:
        missing = [f"{stem}[.gz]" for stem in IDX_STEMS if idx_file(place, stem) is None]
    return f"without {', '.join(missing)}" if missing else ""


def _download(name: str, verify: Callable[[str, Path], object]) -> Path:
    """Fetch a data set by torchvision into ``data/``: all of it, verified, or nothing.

    torchvision takes a file that an interrupted extraction left half-written for a whole one.  So
    it works in a folder of its own, and only files that were read and verified move to their place.
    """
    from .torchvision_compat import torchvision

    paths.DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=paths.DATA) as folder:
        with _network_timeout(seconds=30):
            getattr(torchvision.datasets, _TORCHVISION_CLASSES[name])(folder, download=True)
        [fresh], [place] = _inside(name, Path(folder)), _inside(name, paths.DATA)
        verify(name, fresh)
        place.mkdir(parents=True, exist_ok=True)
        for file in fresh.iterdir():
            if file.suffix != ".gz":  # its content lies extracted beside it
                os.replace(file, place / file.name)
    return place


@contextmanager
def _network_timeout(seconds: float) -> Iterator[None]:
    """torchvision sets none, so a connection that is swallowed by a firewall would hang."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
