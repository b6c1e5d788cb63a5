"""Accuracy while a network is being trained, against updates, passes and seconds."""

from collections.abc import Callable, Iterable
from typing import Any

from ..clock import clock


class Curve:
    """Watch a training: test accuracy at chosen updates, the clock stopped meanwhile.

    Hand it as `watch` to `ERNetwork.fit`, `erlib.sequential` or `erlib.baselines.train`. After
    it, `rows` holds a dict for each point: ``updates``, ``passes`` over the training data,
    ``seconds`` of training without the measuring, ``accuracy`` of the network on images x of
    classes y. The clock starts with the object, which measures the network as it is as update 0.

    ``per_pass`` are the updates in a pass: points are about evenly spaced on a logarithmic axis in
    the first pass, then once a pass. ``passes``, called with the updates, returns the passes so far
    of a method whose updates take more than one each.

    >>> import erlib
    >>> data = erlib.load("digits")
    >>> net = erlib.ERNetwork.dense([64, 30, 10])
    >>> curve = Curve(net, data.x_test, data.y_test, per_pass=3)
    >>> _ = net.fit(data.x_train, data.y_train, passes=2, watch=curve)
    >>> [row["updates"] for row in curve.rows]
    [0, 1, 2, 3, 6]
    """

    def __init__(
        self,
        network: Any,
        x: Any,
        y: Any,
        *,
        per_pass: int,
        passes: Callable[[int], float] | None = None,
    ) -> None:
        self.network, self.x, self.y = network, x, y
        self.per_pass, self.passes = per_pass, passes
        early = {round(per_pass / 2**halvings) for halvings in range(20)}
        self.points = {point for point in early if point >= 1}
        self.seconds = 0.0
        self.rows: list[dict] = []
        self.started = clock()
        self._measure(0)

    def __call__(self, update: int) -> None:
        """Note that this many updates are done, and measure if it is time."""
        if update in self.points or update % self.per_pass == 0:
            self._measure(update)

    def _measure(self, update: int) -> None:
        self.seconds += clock() - self.started
        accuracy = self.network.score(self.x, self.y)
        passes = self.passes(update) if self.passes else update / self.per_pass
        row = {"updates": update, "passes": passes, "seconds": self.seconds, "accuracy": accuracy}
        self.rows.append(row)
        self.started = clock()


def first_reach(rows: Iterable[dict], level: float, of: str = "seconds") -> Any:
    """Where a curve first reaches the accuracy `level`, or None; `of` one of the columns.

    >>> rows = [{"seconds": 1.0, "accuracy": 0.9}, {"seconds": 2.0, "accuracy": 0.96}]
    >>> first_reach(rows, 0.95), first_reach(rows, 0.99)
    (2.0, None)
    """
    return next((row[of] for row in rows if row["accuracy"] >= level), None)
