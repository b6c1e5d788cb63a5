import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from erlib.batches import generator, minibatches


@given(st.integers(1, 60), st.integers(1, 70), st.integers(1, 3), st.integers(0, 5))
def test_every_pass_visits_each_sample_once_but_for_a_short_rest(n, batch_size, passes, seed):
    batches = minibatches(n, batch_size, passes, seed)
    size = min(batch_size, n)
    rest = n % size
    left_out = rest if 2 * rest < size else 0
    per_pass = len(batches) // passes
    for index in range(passes):
        visited = torch.cat(batches[index * per_pass : (index + 1) * per_pass])
        assert len(visited) == len(visited.unique()) == n - left_out


def test_seeds_decide_and_the_global_generator_is_left_alone():
    state = torch.get_rng_state()
    first, again, other = (torch.cat(minibatches(50, 10, 1, seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, True, "1", None])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(ValueError, match=r"^seed"):
        generator(seed)
