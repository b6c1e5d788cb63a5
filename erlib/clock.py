"""What a training cost, in seconds that other work on the machine does not change."""

import time

import torch


def clock() -> float:
    """Seconds of this process's processor where torch has one thread, of the wall clock elsewhere.

    Only differences mean anything, and only between calls with the same number of threads. What
    else runs on the machine lengthens the second kind; threads that wait would lengthen the first.

    >>> import time
    >>> torch.set_num_threads(1)
    >>> begin = clock()
    >>> time.sleep(0.2)  # no work
    >>> clock() - begin < 0.1
    True
    """
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()
