"""Deformed images: what moves, how far, and what does not."""

import pytest
import torch

from erlib.deform import deformations

NOTHING = {"turn": 0, "scale": 0, "shift": 0, "bend": 0}


def spots(n=50, size=21):
    """Images with one spot: in the middle, or beside it in the second channel."""
    x = torch.zeros(n, 2, size, size)
    x[:, 0, 9:12, 9:12] = x[:, 1, 9:12, 14:17] = 1
    return x


def centres(x):
    """Where the spots are, row and column `[n, 2, 2]`, relative to the middle."""
    places = torch.arange(x.shape[-1]) - (x.shape[-1] - 1) / 2
    mass = x.sum((2, 3))
    return (
        torch.stack([(x.sum(3) * places).sum(2), (x.sum(2) * places).sum(2)], 2) / mass[..., None]
    )


def test_a_shift_moves_all_of_an_image_by_no_more_than_is_asked():
    moved = centres(deformations(**{**NOTHING, "shift": 2.0})(spots())) - centres(spots())
    assert torch.allclose(moved[:, 0], moved[:, 1], atol=1e-3)
    assert 1.5 < moved.abs().max() <= 2.001 and moved.mean(0).abs().max() < 0.6


def test_a_turn_keeps_the_middle_and_distances():
    found = centres(deformations(**{**NOTHING, "turn": 30.0})(spots()))
    angle = torch.atan2(found[:, 1, 0], found[:, 1, 1]).rad2deg()
    assert found[:, 0].abs().max() < 0.05
    assert torch.allclose(found[:, 1].norm(dim=1), torch.tensor(5.0), atol=0.1)
    assert 20 < angle.abs().max() < 30.5 and angle.min() < 0 < angle.max()


@pytest.mark.parametrize("name", ["scale", "bend"])
def test_what_stretches_or_bends_changes_the_distance_of_spots(name):
    found = centres(deformations(**{**NOTHING, name: {"scale": 0.2, "bend": 2.0}[name]})(spots()))
    assert (found[:, 1] - found[:, 0]).norm(dim=1).std() > 0.3


def test_images_keep_their_range_and_a_seed_makes_the_same_ones():
    x = torch.rand(6, 1, 12, 10, dtype=torch.float64)
    before = torch.get_rng_state()
    one, same, other = (deformations(seed=seed)(x) for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert one.dtype == x.dtype and one.shape == x.shape
    assert 0 <= one.min() and one.max() <= x.max() + 1e-12
    assert torch.equal(torch.get_rng_state(), before)


def test_bad_settings_are_named():
    for name in NOTHING:
        with pytest.raises(ValueError, match=f"^{name}: "):
            deformations(**{name: -1})
    with pytest.raises(ValueError, match=r"^x: expected 4 axes"):
        deformations()(torch.rand(3, 8, 8))
