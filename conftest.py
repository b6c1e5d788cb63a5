"""What pytest does before it starts a kernel for a notebook (nbval)."""

import os
import tempfile


def pytest_configure(config):
    # Notebooks save their figures; a test run must leave the committed ones alone.
    figures = tempfile.TemporaryDirectory(prefix="erlib-figures-")
    config.add_cleanup(figures.cleanup)
    os.environ["ERLIB_FIGURES"] = figures.name
    # Kernels show figures inline unless a backend is forced on them, as many CI machines do.
    os.environ.pop("MPLBACKEND", None)
