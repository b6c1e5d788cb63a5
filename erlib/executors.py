"""Where the runs of a batch are performed: on this machine, or by the workers of dask.

The others get a plain function, `erlib.processes.perform`, and plain values; results are files in
one folder, so that a batch can go on with another executor than it began with.
"""

import contextlib
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .notebook.code_state import all_modules, code_state
from .processes import perform, start_again, stop_all

Workers = namedtuple("Workers", ["submit", "capacity"])


@contextlib.contextmanager
def executor(folder, *, jobs=1, dask=None):
    """Yield `Workers`: ``submit(order, tell)`` returns a future, ``capacity()`` how many at once.

    `dask` is the address of a scheduler, or ``local:N`` for N workers on this machine. Raises
    ValueError if its workers cannot be used: no dask here, no scheduler there, another state of
    erlib, or a `folder` that they do not see.
    """
    if dask is None:
        start_again()
        pool = ThreadPoolExecutor(jobs)
        try:
            yield Workers(lambda *order_tell: pool.submit(perform, *order_tell), lambda: jobs)
        finally:
            stop_all()
            pool.shutdown(cancel_futures=True)
        return
    with _client(dask) as client:
        _check(client, folder)
        pool = client.get_executor(pure=False)
        yield Workers(
            # Where it is performed, there is nobody to tell how far it has come.
            lambda order, tell: pool.submit(perform, order),
            lambda: max(1, sum(client.nthreads().values())),
        )


def workers_of(dask):
    """How many workers ``local:N`` asks for; None for an address."""
    kind, _, count = dask.partition(":")
    if "://" in dask:
        return None
    if kind != "local" or not count.isdigit() or int(count) < 1:
        raise ValueError(
            f"--dask is {dask!r}, allowed: local:N with N >= 1, or an address as tcp://host:8786"
        )
    return int(count)


@contextlib.contextmanager
def _client(dask):
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ValueError("--dask needs dask.distributed: pip install 'erlib[dask]'") from None
    count = workers_of(dask)
    if count is None:
        try:
            client = Client(dask, timeout=10)
        except (OSError, ValueError) as error:  # a timeout is an OSError
            raise ValueError(f"no scheduler of dask answers at {dask}: {error}") from None
        with client:
            yield client
    else:
        with (
            LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            try:
                yield client
            finally:
                client.run(stop_all)


def _check(client, folder):
    """Complain now of what would make every run fail."""
    if not client.nthreads():
        raise ValueError("the scheduler of dask has no workers")
    here = code_state(all_modules())
    for worker, (there, seen) in client.run(_seen_by_worker, str(folder)).items():
        if there != here:
            raise ValueError(f"worker {worker} has another state of erlib than this process")
        if not seen:
            raise ValueError(f"worker {worker} does not see {folder}: use a folder that all share")


def _seen_by_worker(folder):
    return code_state(all_modules()), Path(folder).is_dir()
