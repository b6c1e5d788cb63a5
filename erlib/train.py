"""Train a dense network by ER, in one process or several; goes on where it was interrupted.

python -m erlib.train --data mnist --hidden 1000
torchrun --nproc-per-node 2 -m erlib.train --data mnist --hidden 1000 --method sequential
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import click
import torch

from . import checkpoint, shards, streamed
from .data.named import load
from .deform import deformations
from .network import ERNetwork
from .progress import VARIABLE
from .streams import Arrays, Deformed

#: Samples of a batch where the weights do not depend on that.
AT_ONCE = 4096
COUNT, DTYPES = click.IntRange(min=1), {"float32": torch.float32, "float64": torch.float64}


class Kept:
    """The checkpoint of one training: its settings, stage, number of passes, and weights.

    Process 0 reads and writes; what it finds, or what goes wrong, all learn.
    """

    def __init__(self, path: str | None, settings: dict[str, Any]) -> None:
        self.path, self.settings = path, settings

    def write(self, network: ERNetwork, stage: str, done: int, found: list | None = None) -> None:
        if self.path:
            state = {"stage": stage, "done": done, "found": found or []}
            state |= {"settings": self.settings, "network": dict(network.state_dict())}
            path = self.path
            _by_first(lambda: checkpoint.write(path, state))

    def read(self, resume: bool) -> dict[str, Any] | None:
        return _by_first(lambda: self._read(resume))

    def _read(self, resume: bool) -> dict[str, Any] | None:
        if not self.path:
            if resume:
                raise ValueError("--resume: needs --checkpoint FILE")
            return None
        if not resume:
            if os.path.exists(self.path):
                raise ValueError(f"--checkpoint: {self.path} exists; --resume goes on with it")
            return None
        state = checkpoint.read(self.path)
        for name, value in self.settings.items():
            if (before := state.get("settings", {}).get(name)) != value:
                raise ValueError(f"--resume: {name} is {value!r}, in {self.path} it is {before!r}")
        return state


def train(
    network: ERNetwork,
    x: torch.Tensor,
    y: torch.Tensor,
    kept: Kept,
    state: dict[str, Any] | None,
    *,
    method: str,
    settle: int,
    passes: int,
    batch_size: int,
    deformed: int | None,
    seed: int,
) -> None:
    """Train on this process's part of the samples, from the state of a checkpoint, if any."""
    stage, done, found = (state or {}).get("stage", method), 0, []
    if state:
        network.load_state_dict(state["network"])
        done, found = state["done"], state["found"]
    part = shards.here()
    if method == "sequential":
        streamed.sequential_fit(
            network,
            Arrays(x, y, batch_size, seed=seed, part=part),
            passes=passes,
            done=done,
            watch=lambda made: kept.write(network, method, made),
        )
        return
    stream: Any = Arrays(x, y, AT_ONCE, part=part)
    if deformed:
        stream = Deformed(x, y, deformed, AT_ONCE, change=deformations, seed=seed, part=part)
    if stage == "one-update":
        streamed.one_update(
            network, stream, found=found, watch=lambda new: kept.write(network, stage, 0, new)
        )
        done = 0
        kept.write(network, "settle", done)
    if settle > done:
        streamed.settle(
            network,
            stream,
            updates=settle - done,
            watch=lambda made: kept.write(network, "settle", done + made),
        )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", default="mnist", show_default=True, help="A data set by name.")
@click.option("--hidden", default="1000", show_default=True, help="Widths, 500 or 500,300.")
@click.option("--method", type=click.Choice(["one-update", "sequential"]), default="one-update")
@click.option("--settle", type=click.IntRange(min=0), default=0, help="Readout updates after one.")
@click.option("--passes", type=COUNT, default=6, show_default=True, help="Of sequential ER.")
@click.option("--batch-size", type=COUNT, default=128, show_default=True, help="Of sequential ER.")
@click.option("--deformed", type=COUNT, help="One update from so many images, deformed anew.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--dtype", type=click.Choice(list(DTYPES)), default="float32", show_default=True)
@click.option("--checkpoint", "path", type=click.Path(dir_okay=False), help="Kept after each pass.")
@click.option("--resume", is_flag=True, help="Go on with the checkpoint, to the same weights.")
@click.option(
    "--timeout", type=float, default=1800.0, show_default=True, help="Of a silent process."
)
def main(path: str | None, resume: bool, timeout: float, **settings: Any) -> None:
    """Train a dense network by ER; under torchrun, by all its processes together."""
    try:
        with shards.processes(timeout) as (number, count):
            if number:
                os.environ[VARIABLE] = "off"  # one process tells how far all are
            _run(path, resume, number, count, settings)
    except (ValueError, OSError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error


def _run(path: str | None, resume: bool, number: int, count: int, settings: dict) -> None:
    shards.agree(**settings)
    how = dict(settings)
    name, hidden, dtype = how.pop("data"), how.pop("hidden"), DTYPES[how.pop("dtype")]
    if how["deformed"] and how["method"] == "sequential":
        raise ValueError("--deformed: for --method one-update")
    if how["settle"] and how["method"] == "sequential":
        raise ValueError("--settle: for --method one-update")
    kept = Kept(path, settings)
    state = kept.read(resume)
    data = load(name, dtype=dtype)
    sizes = [data.x_train[0].numel(), *_widths(hidden), len(data.classes)]
    biased = how["method"] == "sequential"
    network = ERNetwork.dense(sizes, seed=how["seed"], dtype=dtype, hidden_bias=biased)
    start = time.perf_counter()
    train(network, data.x_train, data.y_train, kept, state, **how)
    seconds = time.perf_counter() - start
    if number == 0:
        accuracy = network.score(data.x_test, data.y_test)
        print(
            f"{name}, {'-'.join(map(str, sizes))}, {how['method']}, processes: {count}, "
            f"{seconds:.1f} s, accuracy {accuracy:.4f} of {len(data.x_test):,} test images"
        )


def _widths(text: str) -> list[int]:
    try:
        return [int(width) for width in text.split(",")]
    except ValueError:
        raise ValueError(f"--hidden: expected widths such as 500,300, found {text!r}") from None


def _by_first(make: Callable[[], Any]) -> Any:
    """What process 0 makes, in all processes; or its error."""
    found: Any = None
    if shards.here()[0] == 0:
        try:
            found = make()
        except (ValueError, OSError) as error:
            found = error
    found = shards.exchanged(found)[0]
    if isinstance(found, Exception):
        raise found
    return found


if __name__ == "__main__":
    sys.exit(main())
