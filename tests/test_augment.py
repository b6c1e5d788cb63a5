import pytest
import torch

from erlib import ERNetwork, baselines
from erlib.augment import augmented, shifts_and_flips
from erlib.sequential import sequential_fit


def images(n=6, channels=2, height=5, width=7, seed=0):
    return torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(seed))


def moves(image, shift):
    """Every image that moving and mirroring can make of it, by loops."""
    _, height, width = image.shape
    for mirrored in (image, image.flip(2)):
        for down in range(-shift, shift + 1):
            for right in range(-shift, shift + 1):
                moved = torch.zeros_like(image)
                for i in range(height):
                    for j in range(width):
                        if 0 <= i + down < height and 0 <= j + right < width:
                            moved[:, i, j] = mirrored[:, i + down, j + right]
                yield moved


def test_each_image_is_one_of_its_moves_by_itself():
    x = images(40)
    moved = shifts_and_flips(shift=1, seed=3)(x)
    found = []
    for image, changed in zip(x, moved):
        same = [k for k, move in enumerate(moves(image, 1)) if torch.equal(move, changed)]
        assert len(same) == 1
        found += same
    assert len(set(found)) > 9  # of 18


def test_seeds_repeat_and_passes_differ():
    x = images()
    one, two = shifts_and_flips(seed=1), shifts_and_flips(seed=1)
    first, second = one(x), one(x)
    assert torch.equal(first, two(x)) and torch.equal(second, two(x))
    assert not torch.equal(first, second)


def test_nothing_to_do_changes_nothing():
    x = images()
    assert torch.equal(shifts_and_flips(shift=0, flip=False)(x), x)
    assert augmented(None, x, x.shape[1:]) is x


@pytest.mark.parametrize("loop", ["sequential_fit", "train"])
def test_loops_see_the_augmented_images_in_their_own_shape(loop):
    x, y, seen = images(12).double(), torch.arange(12) % 3, []

    def noted(batch):
        seen.append(batch)
        return batch * 0.5

    nets = [ERNetwork.dense([70, 4, 3], dtype=torch.float64) for _ in range(2)]
    for net, data, augment in ((nets[0], x, noted), (nets[1], x / 2, None)):
        if loop == "train":
            step = baselines.backprop(net, optimizer="sgd", rate=0.1)
            baselines.train(net, data, y, step, passes=2, batch_size=4, augment=augment)
        else:
            sequential_fit(
                net, data, y, passes=2, batch_size=4, first_update=False, augment=augment
            )
    assert len(seen) == 6 and seen[0].shape == (4, 2, 5, 7)
    torch.testing.assert_close(nets[0](x.flatten(1)), nets[1](x.flatten(1)))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"^shift: expected an integer >= 0, found -1"):
        shifts_and_flips(shift=-1)
    with pytest.raises(ValueError, match=r"^x: expected 4 axes"):
        shifts_and_flips()(torch.zeros(3, 4))
    x = images()
    with pytest.raises(ValueError, match=r"^augment: expected a tensor of 6 samples"):
        augmented(lambda batch: batch[:2], x, x.shape[1:])
    with pytest.raises(ValueError, match=r"^augment: 420 of 420 entries are NaN"):
        augmented(lambda batch: batch * torch.nan, x, x.shape[1:])
