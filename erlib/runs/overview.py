"""What a batch tells while it runs: a line for each run that ends, and how far the others are."""

import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager

from ..progress import heartbeat
from .plan import Run


class Overview:
    """The lines of one batch; with `beating` around it, also how far it is.

    A terminal shows one line for all that is under way, renewed twice a second; anywhere else a
    plain line appears once a minute.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.total = len(runs)
        self.width = max((len(label(run)) for run in runs), default=0)
        self.counts: Counter[str] = Counter()
        self._running: dict[str, tuple[str, str, str]] = {}
        self._lock, self._terminal = threading.Lock(), sys.stdout.isatty()

    def beating(self) -> AbstractContextManager[None]:
        return heartbeat(self._describe)

    def done_already(self, run: Run) -> None:
        """Nothing is to do; of a point among many nothing is said."""
        self.counts["done already"] += 1
        if not run.title:
            self.say(f"{run.id.ljust(self.width)}  done already")

    def at(self, run: Run, cell: int, of: int, line: str) -> None:
        """A run has reached a cell."""
        with self._lock:
            self._running[run.id] = (run.title or run.id, f"cell {cell} of {of}", line)

    def ended(self, run: Run, end: dict, hint: str) -> None:
        """A run has ended; `hint` stands below what went wrong."""
        with self._lock:
            self._running.pop(run.id, None)
            self.counts[end["end"]] += 1
            done = self.counts.total()
        count = f"[{done:{len(str(self.total))}} of {self.total}]  " if self.total > 8 else ""
        verdict = "FAILED" if end["end"] == "failed" else end["end"]
        seconds = "" if end["end"] == "done already" else f"  {end['seconds']:.1f} s"
        text = f"{count}{label(run).ljust(self.width)}  {verdict}{seconds}"
        if end["end"] == "failed":
            text += "\n" + textwrap.indent(f"{end['why']}\n{hint}", "  ")
        self.say(text)

    def say(self, text: str) -> None:
        """Print over the line that is renewed."""
        print(f"\r\033[K{text}" if self._terminal else text, flush=True)

    def summary(self) -> str:
        """``3 ok, 1 failed``"""
        left = self.total - self.counts.total()
        kinds = [kind for kind in ("ok", "failed", "done already") if self.counts[kind]]
        text = ", ".join(f"{self.counts[kind]} {kind}" for kind in kinds) or "nothing to do"
        return text + (f", {left} not run" if left else "")

    def _describe(self, seconds: float) -> str:
        with self._lock:
            running = list(self._running.values())
            done = self.counts.total()
        if self.total == 1 and running:
            ((name, place, line),) = running
            return f"{name}  {place}, {seconds:.0f} s: {line}"
        text = f"{done} of {self.total} ended, {seconds:.0f} s"
        now = done - self.counts["done already"]
        if now and done < self.total:
            text += f", about {_duration(seconds / now * (self.total - done))} left"
        return "; ".join([text, *(f"{name} {place}" for name, place, _ in running)])


def label(run: Run) -> str:
    """How a run is called in a list."""
    return f"{run.id}  {run.title}" if run.title else run.id


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
