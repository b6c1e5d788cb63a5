"""Where the companion keeps its files, wherever it is called from."""

from pathlib import Path

_checkout = Path(__file__).resolve().parents[2]

#: The checkout (``pip install -e .``), or the current folder for an erlib installed elsewhere.
ROOT = _checkout if (_checkout / "pyproject.toml").is_file() else Path.cwd()
NOTEBOOKS = ROOT / "notebooks"
DATA = ROOT / "data"
RUNS = ROOT / "runs"
RESULTS = ROOT / "results" / "full"
FIGURES = ROOT / "figures"
