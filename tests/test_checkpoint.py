"""A checkpoint is the old one or the new one, whatever happens to the disk."""

import resource

import pytest
import torch

from erlib import checkpoint

OLD, NEW = ({"done": done, "weights": torch.full((999,), float(done))} for done in (1, 2))


def test_what_is_read_is_what_was_written_last(tmp_path):
    for state in (OLD, NEW):
        checkpoint.write(tmp_path / "state.pt", state)
        found = checkpoint.read(tmp_path / "state.pt")
        assert found["done"] == state["done"] and torch.equal(found["weights"], state["weights"])
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]


def test_a_full_disk_leaves_the_old_one(tmp_path):
    file = tmp_path / "state.pt"
    checkpoint.write(file, OLD)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # no file may be longer
    try:
        with pytest.raises(
            OSError, match=r"^checkpoint: .*state.pt could not be written \(.*whole$"
        ):
            checkpoint.write(file, NEW)
        with pytest.raises(OSError, match=r"there was none before$"):
            checkpoint.write(tmp_path / "other.pt", NEW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoint.read(file)["done"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]


def test_what_is_no_checkpoint_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"^checkpoint: there is no .*none.pt$"):
        checkpoint.read(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("hello")
    checkpoint.write(tmp_path / "whole.pt", OLD)
    whole = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    for name in ("text", "half"):
        with pytest.raises(ValueError, match=f"^checkpoint: .*{name}.pt is none, or damaged: "):
            checkpoint.read(tmp_path / f"{name}.pt")
