"""Several processes that train together, as torchrun starts them, but sooner."""

import multiprocessing
import os
import socket
import traceback

import torch

from erlib import shards


def together(count, work, *arguments, timeout=60.0):
    """What `work(*arguments)` returns in each of `count` processes; an exception if it raises."""
    context = multiprocessing.get_context("forkserver")  # torch is loaded once, for all tests
    context.set_forkserver_preload(["erlib.streamed", "erlib.data.named"])
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    started = []
    for number in range(count):
        ours, theirs = context.Pipe()
        place = {"RANK": number, "WORLD_SIZE": count, "MASTER_ADDR": "localhost"}
        place = {name: str(value) for name, value in {**place, "MASTER_PORT": port}.items()}
        process = context.Process(target=_work, args=(theirs, place, timeout, work, arguments))
        process.start()
        theirs.close()
        started.append((process, ours))
    found = []
    for process, ours in started:
        try:
            found.append(ours.recv())
        except EOFError:
            found.append(None)  # it was killed
        process.join()
    return found


def _work(pipe, place, timeout, work, arguments):
    os.environ.update(place, ERLIB_PROGRESS="off")
    torch.set_num_threads(1)
    try:
        with shards.processes(timeout):
            found = work(*arguments)
    except Exception as error:
        if os.environ.get("TRACE"):
            traceback.print_exc()
        found = error
    pipe.send(found)
