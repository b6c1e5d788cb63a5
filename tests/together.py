"""Several processes that train together, as torchrun starts them, but sooner."""

import multiprocessing
import os
import socket

import torch

from erlib import shards

#: Loaded once, by the process that the others are forked from: torch, and what it loads when used.
LOADED = ["erlib.streamed", "torch.fx.experimental.symbolic_shapes", "pytest"]


def together(count, work, *arguments, timeout=60.0):
    """What `work(*arguments)` returns, or the error it raises, in each of `count` processes.

    None for one that has been killed.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    place = {"WORLD_SIZE": str(count), "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    started = []
    for number in range(count):
        ours, theirs = context.Pipe()
        here = {**place, "RANK": str(number)}
        process = context.Process(target=_work, args=(theirs, here, timeout, work, arguments))
        process.start()
        theirs.close()
        started.append((process, ours))
    found = []
    for process, ours in started:
        try:
            found.append(ours.recv())
        except EOFError:
            found.append(None)
        process.join()
    return found


def _work(pipe, place, timeout, work, arguments):
    os.environ.update(place, ERLIB_PROGRESS="off")
    torch.set_num_threads(1)
    try:
        with shards.processes(timeout):
            found = work(*arguments)
    except Exception as error:
        found = error
    pipe.send(found)
