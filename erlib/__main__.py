"""``python -m erlib``, the same as the command ``erlib``."""

from .runs.cli import main

main(prog_name="erlib")
