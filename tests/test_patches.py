"""`PatchFeatures` against loops over positions, and what it must not depend on."""

import pytest
import torch

from erlib.patches import PatchFeatures


def images(n=30, channels=2, side=9, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.rand(n, channels, side, side, generator=random, dtype=torch.float64)


def test_features_are_averages_of_the_two_halves_over_the_cells():
    x = images()
    front = PatchFeatures(x, filters=3, size=4, grid=2)
    features = front(x)
    assert features.shape == (30, front.width) == (30, 2 * 3 * 4)
    sample = x[7]
    maps = torch.zeros(3, 6, 6, dtype=torch.float64)
    for row in range(6):
        for column in range(6):
            patch = sample[:, row : row + 4, column : column + 4]
            maps[:, row, column] = (front.weight * patch).sum((1, 2, 3)) + front.bias
    halves = torch.cat([(maps - 1).clamp(min=0), (-1 - maps).clamp(min=0)])
    cells = halves.reshape(6, 2, 3, 2, 3).mean((2, 4))
    torch.testing.assert_close(features[7], cells.flatten())


def test_responses_are_centred_and_of_mean_size_one():
    x = images(2000, channels=1, side=6)
    front = PatchFeatures(x, filters=5, size=6, grid=1)
    responses = (x.flatten(1) @ front.weight.flatten(1).T) + front.bias
    torch.testing.assert_close(responses.mean(0), torch.zeros(5).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(responses.abs().mean(0), torch.ones(5).double())


def test_a_seed_decides_and_chunks_do_not_matter(monkeypatch):
    x = images()
    first = PatchFeatures(x, filters=4, size=3, grid=2, seed=1)
    again = PatchFeatures(x, filters=4, size=3, grid=2, seed=1)
    other = PatchFeatures(x, filters=4, size=3, grid=2, seed=2)
    assert torch.equal(first(x), again(x)) and not torch.equal(first(x), other(x))
    whole = first(x)
    monkeypatch.setattr("erlib.patches._AT_ONCE", 1)
    torch.testing.assert_close(first(x), whole)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"images": torch.zeros(3, 9)}, "images"),
        ({"size": 10}, "size: 10, the images are 9 x 9"),
        ({"grid": 7, "size": 4}, "grid: 7 cells, the map has 6"),
        ({"filters": 0}, "filters"),
        ({"ridge": 0}, "ridge"),
    ],
)
def test_bad_input_is_named(wrong, named):
    with pytest.raises(ValueError, match=f"^{named}"):
        PatchFeatures(**{"images": images(), **wrong})
