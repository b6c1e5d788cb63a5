"""The benchmarks of tables and streams: their statistics, and a small run of each."""

import csv
import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from erlib.notebook import paths
from erlib.notebook.tables import select

FOLDER = paths.ROOT / "benchmarks"


@pytest.fixture(scope="module")
def tabular():
    spec = importlib.util.spec_from_file_location("tabular", FOLDER / "tabular.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def two_methods():
    random = np.random.default_rng(0)
    first = random.normal(0.9, 0.02, size=25)
    return first, first + random.normal(0.005, 0.01, size=25)


def test_without_overlap_the_corrected_t_test_is_the_paired_one(tabular):
    first, second = two_methods()
    expected = stats.ttest_rel(second, first)
    assert tabular.corrected_t_test(second - first, 0) == pytest.approx(tuple(expected))


def test_overlap_widens_the_error_as_nadeau_and_bengio_have_it(tabular):
    first, second = two_methods()
    plain, corrected = (tabular.corrected_t_test(second - first, ratio)[0] for ratio in (0, 0.25))
    assert plain / corrected == pytest.approx(np.sqrt((1 / 25 + 1 / 4) / (1 / 25)))


def test_methods_that_do_not_differ(tabular):
    assert tabular.corrected_t_test(np.zeros(5), 0.25) == (0, 1)


def test_holm_by_hand(tabular):
    assert tabular.holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_published_package_is_not_needed_and_a_run_goes_on(tabular, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "expectation_reflection", None)  # as if not installed
    # Little to choose from, little training: what is tested is the protocol.
    small = {"RIDGES": [1], "ALPHAS": [30], "LINEAR_ALPHAS": [1.0], "HIDDEN": (10,), "PASSES": 50}
    for name, value in small.items():
        monkeypatch.setattr(tabular, name, value)
    options = ["--folds", "2", "--repeats", "1", "--output", str(tmp_path)]
    monkeypatch.setattr(
        sys, "argv", ["tabular.py", "--accuracy", "--datasets", "iris", "diabetes", *options]
    )
    tabular.main()
    out = capsys.readouterr().out
    assert "not installed" in out and "published package |" not in out
    assert out.count("iris, fold") == 2 * 6 and "| diabetes | MLPRegressor" in out
    kept = tmp_path / "accuracy_1x2_seed0_threads1.csv"
    lines = kept.read_text().splitlines(keepends=True)
    kept.write_text("".join(lines[:-1]) + lines[-1][:20])  # interrupted in the last line
    tabular.main()
    again = capsys.readouterr().out
    assert "iris, fold" not in again and again.count("diabetes, fold 2 of 2, MLPRegressor") == 1
    assert len(kept.read_text().splitlines()) == len(lines)


def test_speed_without_the_package(tabular, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "expectation_reflection", None)
    monkeypatch.setattr(tabular, "HIDDEN", (10,))
    options = ["--datasets", "breast_cancer", "--folds", "2", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["tabular.py", "--speed", *options])
    tabular.main()
    assert "| breast_cancer | ERClassifier()" in capsys.readouterr().out


@pytest.mark.slow
def test_stream():
    command = [sys.executable, FOLDER / "stream.py", "--rows", "500", "--columns", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("500 rows") == 1 and done.stdout.count("accuracy 0.") == 2


@pytest.mark.slow
def test_samples_of_a_stream(tmp_path):
    command = [sys.executable, FOLDER / "shards.py", "samples", "--dataset", "digits"]
    command += ["--width", "9", "--samples", "500", "--output", tmp_path / "rows.csv"]
    subprocess.run(command, capture_output=True, check=True)
    with (tmp_path / "rows.csv").open(newline="") as lines:
        (row,) = csv.DictReader(lines)
    assert row["samples"] == "500" and float(row["peak_mib"]) >= float(row["start_mib"])


@pytest.mark.slow
def test_long_trainings_are_chosen_on_a_validation_split_and_not_run_twice(tmp_path):
    command = [sys.executable, FOLDER / "cifar10_long.py", "--dataset", "digits", "--device", "cpu"]
    command += ["--channels", "4", "--passes", "1", "--workers", "2", "--output", tmp_path]

    def rows_of(*seeds):
        done = subprocess.run(
            [*command, "--seeds", *seeds], capture_output=True, text=True, check=True
        )
        with (tmp_path / "cifar10_long.csv").open(newline="") as lines:
            return list(csv.DictReader(lines)), done.stdout

    rows, printed = rows_of("0")
    for method in ("sequential ER", "Adam"):
        tried = select(rows, part="validation", method=method)
        best = max(tried, key=lambda row: float(row["accuracy"]))["setting"]
        assert best in {row["setting"] for row in select(rows, part="test", method=method)}
    assert printed.count(", test: 0.") == len(select(rows, part="test"))
    more, printed = rows_of("0", "1")
    assert more[: len(rows)] == rows and ", validation: 0." not in printed
    assert printed.count("seed 1, test: 0.") == len(more) - len(rows) == len(rows) - 7
