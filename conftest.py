"""What pytest does before it starts a kernel for a notebook (nbval)."""

import os

import pytest


def pytest_configure(config):
    # Threads wait for each other by spinning: beside any other work, two are far slower than one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Kernels show figures inline unless a backend is forced on them, as many CI machines do.
    os.environ.pop("MPLBACKEND", None)


def pytest_collection_modifyitems(items):
    # A notebook starts a kernel, and trains.
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    # A kernel says nothing of how slow the machine is: its outputs are compared.
    if item.path.suffix == ".ipynb":
        os.environ["ERLIB_PROGRESS"] = "off"
    else:
        os.environ.pop("ERLIB_PROGRESS", None)
