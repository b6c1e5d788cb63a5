"""Full data sets: looked up in every place, downloaded whole or not at all; no network needed."""

import socket
from pathlib import Path

import numpy as np
import pytest
from data_files import N_TRAIN, expect_small, small_raw, write_idx

from erlib.data import lookup
from erlib.data.image_files import IDX_STEMS
from erlib.data.named import load
from erlib.data.raw_images import checksum

pytestmark = pytest.mark.usefixtures("empty_machine")
IDX_CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}


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
    assert noted == [(name, checksum(raw))]
    assert str(tmp_path) not in data.source


def test_erlib_data_comes_before_data(mnist, tmp_path, monkeypatch):
    monkeypatch.setenv("ERLIB_DATA", str(tmp_path / "mine"))
    write_idx(tmp_path / "mine/MNIST/raw", mnist[0])
    assert str(lookup.look_up("mnist")[0]).startswith(str(tmp_path / "mine"))
    (tmp_path / "mine/MNIST/raw/t10k-labels-idx1-ubyte").unlink()  # incomplete: next place
    assert lookup.look_up("mnist")[0] == mnist[1]


@pytest.mark.parametrize("gz", [False, True])
def test_fashion_mnist_of_debian_lies_flat(gz, tmp_path, monkeypatch):
    raw = small_raw()
    expect_small(monkeypatch, "fashion_mnist", raw)
    write_idx(tmp_path / "debian", raw, gz)
    assert len(load("fashion_mnist", download=False).x_train) == N_TRAIN
    with pytest.raises(FileNotFoundError):
        load("mnist", download=False)  # same file names, other data


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


# Download


def fake_download(monkeypatch, name, download):
    """Let torchvision's class be ``download(root)``."""
    from erlib.data.torchvision_compat import torchvision

    class Fake:
        def __init__(self, root, download):
            assert download
            run(Path(root))

    run = download
    monkeypatch.setattr(torchvision.datasets, lookup._TORCHVISION_CLASSES[name], Fake)


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
    assert sorted(file.name for file in tmp_path.glob("data/MNIST/raw/*")) == sorted(IDX_STEMS)
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
