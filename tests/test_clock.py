import time

import pytest
import torch

from erlib.clock import clock


def worked(seconds):
    """What the clock says of waiting so long."""
    begin = clock()
    time.sleep(seconds)
    return clock() - begin


@pytest.mark.parametrize("threads, counted", [(1, False), (2, True)])
def test_waiting_counts_where_several_threads_work_and_not_for_one(threads, counted):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        assert (worked(0.2) > 0.15) == counted
    finally:
        torch.set_num_threads(before)
