"""Progress of long loops: a bar on a terminal, plain lines elsewhere."""

import sys
import time

from tqdm import tqdm


def progress(items, label, every=10.0):
    """Yield from the sequence `items`, telling how far it has come on standard error.

    A terminal shows a bar; anywhere else a plain line appears at most once in `every` seconds, so a
    short loop is silent and a log is not flooded.
    """
    if sys.stderr.isatty():
        yield from tqdm(items, desc=label, leave=False)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= every:
            last = now
            print(f"{label}: {done} of {len(items)}, {now - start:.0f} s", file=sys.stderr)
