"""Numbers that are written into README and docs by hand are those of the committed tables."""

import pytest
from finished_runs import read_rows

from erlib.notebook import paths
from erlib.notebook.tables import gains, mean_interval, percent, select

README = " ".join((paths.ROOT / "README.md").read_text("utf-8").split())
RESULTS = " ".join((paths.ROOT / "docs/results.md").read_text("utf-8").split())
CONVOLUTION = ("07_convolution", "07_convolution.fashion_mnist", "07_convolution.cifar10")


def table(name):
    return read_rows(paths.RESULTS / f"{name}.csv")


def last(name, **where):
    """The last row of each seed and method: the ends of its curves."""
    return list({(row["arm"], row["seed"]): row for row in select(table(name), **where)}.values())


def accuracies(rows, **where):
    return [row["accuracy"] for row in select(rows, **where)]


def test_accuracies_of_tables_are_those_of_their_folds():
    text = (paths.ROOT / "docs/tabular.md").read_text(encoding="utf-8")
    shown = text.split("<!-- accuracy of tables -->")[1].split("<!-- end -->")[0]
    head, _, *lines = (
        [c.strip() for c in t.strip("|").split("|")] for t in shown.split("\n")[1:-1]
    )
    rows = read_rows(paths.ROOT / "results/benchmarks/accuracy_5x5_seed0_threads1.csv")
    assert len(lines) == 7
    for method, *cells in lines:
        for name, cell in zip(head[1:], cells, strict=True):
            folds = select(rows, dataset=name.replace(" ", "_"), method=method.strip("`"))
            assert len(folds) == 25
            mean, _ = mean_interval([100 * row["score"] for row in folds])
            assert cell.split()[0] == f"{mean:.1f}"


@pytest.mark.parametrize("run", CONVOLUTION)
def test_second_layer(run):
    rows = table(f"{run}.second_layer")
    assert f"{percent(accuracies(rows, arm='sequential ER'), digits=2)} %" in RESULTS
    er, random = (mean_interval(accuracies(rows, arm=arm))[0] for arm in ("ER", "random"))
    assert f"{100 * er:.2f} against {100 * random:.2f} %" in RESULTS


def test_91_of_fashion_mnist():
    run = "07_convolution.fashion_mnist"
    small, deep = (last(f"{run}.curves", kind=kind) for kind in ("small", "deep"))
    fixed = table(f"{run}.second_layer")
    for name, rows in (("deep network", deep), ("512 fixed filters", fixed)):
        shown = percent(accuracies(rows, arm="sequential ER"), digits=2)
        assert f"{name} ({shown})" in RESULTS
    behind = [percent(gains(rows, "Adam", "sequential ER"), digits=2) for rows in (small, deep)]
    assert "in the small network by {} points, in the deep one by {}.".format(*behind) in RESULTS


def test_24_passes_of_cifar_10():
    rows = read_rows(paths.ROOT / "results/benchmarks/cifar10_long.csv")
    rows = [
        row for row in select(rows, part="test") if row["method"] == "Adam" or row["setting"] == 1
    ]

    def shown(method):
        found = select(rows, method=method)
        fitted, _ = mean_interval([100 * row["training"] for row in found])
        return f"{fitted:.1f}", percent(accuracies(found), digits=2)

    said = "on {} % of the training images and {} % of the test".format(*shown("sequential ER"))
    assert said in RESULTS
    assert "Adam on {} and {} (three seeds".format(*shown("Adam")) in RESULTS


def test_joint_er_on_cifar_10():
    rows = read_rows(paths.ROOT / "results/benchmarks/any_module.csv")
    rows = select(rows, part="test", data="cifar10-jpeg", network="deeper", passes=8)
    rows = [row | {"arm": row["method"]} for row in rows]
    ahead = percent(gains(rows, "ER", "Adam"))
    assert f"joint ER is ahead of Adam by {ahead} points after eight passes" in README
