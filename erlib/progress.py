"""Progress of long work: a bar or a line that is renewed on a terminal, plain lines elsewhere."""

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

#: Environment variable that, set to "off", silences `progress`: where outputs are compared.
VARIABLE = "ERLIB_PROGRESS"


def progress(items: Iterable[T], label: str, every: float = 10.0) -> Iterator[T]:
    """Yield from `items`, telling how far it has come on standard error: of how many, if known.

    A terminal shows a bar; anywhere else a plain line appears at most once in `every` seconds, so a
    short loop is silent and a log is not flooded. With ``ERLIB_PROGRESS=off`` nothing is told.
    """
    if os.environ.get(VARIABLE) == "off":
        yield from items
        return
    if sys.stderr.isatty():
        yield from tqdm(items, desc=label, leave=False)
        return
    start = last = time.monotonic()
    of = f" of {len(items)}" if isinstance(items, Sized) else ""
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= every:
            last = now
            print(f"{label}: {done}{of}, {now - start:.0f} s", file=sys.stderr)


@contextmanager
def heartbeat(describe: Callable[[float], str], every: float = 60.0) -> Iterator[None]:
    """While the block runs, print `describe(seconds)` on standard output, however long a step is.

    A terminal shows one line, renewed twice a second and removed at the end; anywhere else a plain
    line appears every `every` seconds.
    """
    terminal, start, done = sys.stdout.isatty(), time.monotonic(), threading.Event()

    def beat() -> None:
        while not done.wait(0.5 if terminal else every):
            text = describe(time.monotonic() - start)
            if terminal:
                width = shutil.get_terminal_size().columns - 1
                print(f"\r\033[K{text[:width]}", end="", flush=True)
            else:
                print(text, flush=True)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if terminal:
            print("\r\033[K", end="", flush=True)
