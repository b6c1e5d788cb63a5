"""ER as a classifier for tables: beside its authors' published package and scikit-learn.

    python benchmarks/tabular.py [--speed] [--accuracy] [--repeats 5] [--folds 5]

The package, PyPI `expectation-reflection` 0.0.10, is optional: `pip install -e '.[bench]'`. Only
its path for two classes is used, one class against the rest where there are more.

`--speed`: seconds to fit by the package as it comes and by ERClassifier at several settings, in
turn on the training rows of each of `--folds` folds; the ratio is taken within a fold, and its
median and range are reported beside the accuracies on the same folds. A ratio counts where
ERClassifier is at least as accurate.

`--accuracy`: the classification tables that scikit-learn ships, and diabetes for regression, by
nested cross-validation: `--repeats` times `--folds` outer folds (stratified for classes), and
within the training rows of each a grid search in three inner folds, by accuracy or R^2, that
chooses each method's one penalty; ties go to the larger one. Inputs are standardised with the
training rows. The package is tuned from 1e-4 to 0.1 (larger ones are worse and take minutes); for
digits, where one fit takes a minute, it keeps its default 0.01. Intervals (95 %) and p-values use
the variance that Nadeau and Bengio (Machine Learning 52, 239, 2003) corrected for training sets
that overlap; p-values are of the difference to the first method, paired by fold, and corrected by
Holm's method for all comparisons of a table. "One fit" is the last one, with the chosen penalty.

Without either option both are done. Each fold is written to a CSV below `--output` as soon as it is
there, and the same command goes on where it was. All is seeded; one thread unless `--threads`.
"""

import argparse
import csv
import importlib.metadata
import math
import shlex
import statistics
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from sklearn import datasets, metrics
from sklearn.base import BaseEstimator, ClassifierMixin, is_classifier
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LogisticRegressionCV, RidgeClassifierCV, RidgeCV
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RepeatedKFold,
    RepeatedStratifiedKFold,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from erlib import ERClassifier, ERRegressor
from erlib.record import environment
from erlib.tables import markdown, select

SETS = ["iris", "wine", "breast_cancer", "digits", "diabetes"]
FIELDS = "dataset fold method score loss seconds one_fit penalty test_over_train".split()
PACKAGE = "published package"
# From the largest on: of equally good ones a search takes the first.
RIDGES = [10, 1, 0.1, 0.01, 1e-3, 1e-4]
REGS = [0.1, 0.01, 1e-3, 1e-4]
ALPHAS = [30, 10, 1, 0.1, 1e-3]
LINEAR_ALPHAS = np.logspace(4, -4, 17)
HIDDEN = (300,)


class Published(ClassifierMixin, BaseEstimator):
    """The published package for two classes, with what scikit-learn asks of a classifier."""

    def __init__(self, reg=0.01):
        self.reg = reg

    def fit(self, X, y):
        from expectation_reflection import classification

        self.model_, self.classes_ = classification.model(reg=self.reg).fit(X, y), np.unique(y)
        return self

    def predict(self, X):
        return self.model_.predict(X)

    def predict_proba(self, X):
        p = self.model_.predict_proba(X)  # of the second class only
        return np.column_stack([1 - p, p])

    def decision_function(self, X):
        return self.model_.b + X @ self.model_.w


def corrected_error(values, test_over_train):
    """Standard error of a mean over folds whose training sets overlap (Nadeau and Bengio)."""
    return math.sqrt((1 / len(values) + test_over_train) * np.var(values, ddof=1))


def corrected_t_test(differences, test_over_train):
    """Statistic and two-sided p-value of the corrected resampled t-test of the mean being 0.

    `differences` of two methods, one a fold; `test_over_train`, the ratio of rows in a fold.
    """
    mean, error = np.mean(differences), corrected_error(differences, test_over_train)
    if error == 0:
        return (0.0, 1.0) if mean == 0 else (math.copysign(math.inf, mean), 0.0)
    return mean / error, 2 * stats.t.sf(abs(mean / error), len(differences) - 1)


def holm(p_values):
    """Holm's adjusted p-values, in the order given."""
    p, order = np.asarray(p_values), np.argsort(p_values)
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    return adjusted


def scaled(model):
    return Pipeline([("scale", StandardScaler()), ("model", model)])


def methods(name, inner):
    """Each method for a data set, tuned in the inner folds; differences are to the first."""

    def tuned(model, penalty, values):
        return GridSearchCV(scaled(model), {f"model__{penalty}": values}, cv=inner)

    mlp = {"hidden_layer_sizes": HIDDEN, "max_iter": 1000, "random_state": 0}
    if name == "diabetes":
        mlp = TransformedTargetRegressor(MLPRegressor(**mlp), transformer=StandardScaler())
        hidden = ERRegressor(HIDDEN, random_state=0)
        return {
            "ERRegressor": tuned(ERRegressor(), "ridge", RIDGES),
            f"ERRegressor, hidden={HIDDEN}": tuned(hidden, "ridge", RIDGES),
            "RidgeCV": scaled(RidgeCV(LINEAR_ALPHAS, cv=inner)),
            "MLPRegressor": tuned(mlp, "regressor__alpha", ALPHAS),
        }
    package = OneVsRestClassifier(Published())
    tuned_package = tuned(package, "estimator__reg", REGS)
    logistic = LogisticRegressionCV(cv=inner, scoring="accuracy", max_iter=10_000)
    hidden = ERClassifier(HIDDEN, random_state=0)
    return {
        "ERClassifier": tuned(ERClassifier(), "ridge", RIDGES),
        "ERClassifier, weighted_er": tuned(ERClassifier(rule="weighted_er"), "ridge", RIDGES),
        f"ERClassifier, hidden={HIDDEN}": tuned(hidden, "ridge", RIDGES),
        PACKAGE: scaled(package) if name == "digits" else tuned_package,
        "LogisticRegressionCV": scaled(logistic),
        "RidgeClassifierCV": scaled(RidgeClassifierCV(LINEAR_ALPHAS, cv=inner)),
        "MLPClassifier": tuned(MLPClassifier(**mlp), "alpha", ALPHAS),
    }


def as_they_come(*_):
    """The methods of `--speed`."""
    return {
        PACKAGE: scaled(OneVsRestClassifier(Published())),
        "ERClassifier()": scaled(ERClassifier()),
        "ERClassifier(rule='weighted_er')": scaled(ERClassifier(rule="weighted_er")),
        f"ERClassifier(hidden={HIDDEN})": scaled(ERClassifier(HIDDEN, random_state=0)),
    }


def measure(model, x, y, train, test):
    """Fit to the training rows; seconds, and score and loss of the test rows."""
    begin = time.perf_counter()
    model.fit(x[train], y[train])
    seconds = time.perf_counter() - begin
    found = {"score": model.score(x[test], y[test]), "loss": "", "seconds": seconds}
    if not is_classifier(model):
        found["loss"] = metrics.root_mean_squared_error(y[test], model.predict(x[test]))
    elif hasattr(model, "predict_proba"):
        found["loss"] = metrics.log_loss(y[test], model.predict_proba(x[test]))
    if isinstance(model, GridSearchCV):
        (penalty,) = model.best_params_.values()
        return {**found, "one_fit": model.refit_time_, "penalty": penalty}
    last = model[-1]  # one that tunes itself, or one that does not
    penalty = getattr(last, "alpha_", getattr(last, "C_", ""))
    return {**found, "one_fit": "" if hasattr(last, "cv") else seconds, "penalty": penalty}


def run(path, sets, candidates, options, repeats):
    """Measure all folds of all methods that `path` does not have yet; returns all rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text() if path.exists() else ",".join(FIELDS) + "\n"
    path.write_text(text[: text.rfind("\n") + 1])  # without the half line of an interrupted run
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    done = {(row["dataset"], row["fold"], row["method"]) for row in rows}
    for name in sets:
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        classes = name != "diabetes"
        outer = (RepeatedStratifiedKFold if classes else RepeatedKFold)(
            n_splits=options.folds, n_repeats=repeats, random_state=options.seed
        )
        for fold, (train, test) in enumerate(outer.split(x, y)):
            inner = (StratifiedKFold if classes else KFold)(3, shuffle=True, random_state=fold)
            new = []
            for method, model in candidates(name, inner).items():
                key = {"dataset": name, "fold": str(fold), "method": method}
                if tuple(key.values()) in done or (method == PACKAGE and not options.package):
                    continue
                found = measure(model, x, y, train, test)
                new.append({**key, **found, "test_over_train": len(test) / len(train)})
                print(
                    f"{name}, fold {fold + 1} of {repeats * options.folds}, {method}: "
                    f"{found['score']:.4f}, {found['seconds']:.2f} s",
                    flush=True,
                )
                if candidates is methods:
                    write(path, new[-1:])
            if candidates is as_they_come:  # only a whole fold is a comparison of times
                write(path, new)
            rows += new
    for row in rows:
        for field in ("score", "loss", "seconds", "one_fit", "test_over_train"):
            row[field] = float(row[field]) if row[field] != "" else None
    return rows


def write(path, rows):
    with path.open("a", newline="") as file:
        csv.DictWriter(file, FIELDS, lineterminator="\n").writerows(rows)


def speed_table(rows, sets):
    lines = []
    for name in sets:
        package = select(rows, dataset=name, method=PACKAGE)
        for method in as_they_come():
            if not (own := select(rows, dataset=name, method=method)):
                continue
            line = [name, method, f"{100 * statistics.fmean(row['score'] for row in own):.2f}"]
            line.append(f"{statistics.median(row['seconds'] for row in own):.3f}")
            pairs = list(zip(package, own))
            if method != PACKAGE and pairs:
                gain = 100 * statistics.fmean(b["score"] - a["score"] for a, b in pairs)
                ratios = sorted(a["seconds"] / b["seconds"] for a, b in pairs)
                line += [
                    f"{gain:+.2f}",
                    f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})",
                ]
            lines.append(line + [""] * (6 - len(line)))
    head = ["data set", "method", "accuracy, %", "seconds", "− package, points", "times faster"]
    return markdown(head, lines)


def score_table(rows, sets, score, loss, percent):
    """Means with corrected intervals; differences to the first method, and their p-values."""
    lines, p_values = [], []
    for name in sets:
        of_set = select(rows, dataset=name)
        names = list(methods(name, None))
        first = {row["fold"]: row["score"] for row in select(of_set, method=names[0])}
        for method in names:
            if not (own := select(of_set, method=method)):
                continue
            overlap = statistics.fmean(row["test_over_train"] for row in own)

            def interval(values, digits, sign="", overlap=overlap):
                half = stats.t.ppf(0.975, len(values) - 1) * corrected_error(values, overlap)
                return f"{np.mean(values):{sign}.{digits}f} ± {half:.{digits}f}"

            line = [name, method, interval([percent * row["score"] for row in own], 2)]
            if method == names[0]:
                line += ["", "", ""]
            else:
                gains = [percent * (row["score"] - first[row["fold"]]) for row in own]
                p_values.append(corrected_t_test(gains, overlap)[1])
                line += [interval(gains, 2, "+"), f"{p_values[-1]:.2g}", p_values[-1]]
            losses = [row["loss"] for row in own if row["loss"] is not None]
            line.append(interval(losses, 3) if losses else "")
            for field in ("seconds", "one_fit"):
                values = [row[field] for row in own if row[field] is not None]
                line.append(f"{statistics.median(values):.3f}" if values else "")
            lines.append(line)
    adjusted = iter(holm(p_values))
    lines = [[f"{next(adjusted):.2g}" if type(e) is not str else e for e in x] for x in lines]
    head = ["data set", "method", score, "− first method", "p", "p, Holm", loss]
    return markdown([*head, "seconds, tuned", "seconds, one fit"], lines)


def package_version():
    """Of the published package, after telling which parts of it fail here; None without it."""
    try:
        from expectation_reflection import classification
    except ImportError:
        print(f"The {PACKAGE} is not installed, and left out: pip install -e '.[bench]'")
        return None
    version = importlib.metadata.version("expectation-reflection")
    x, y = datasets.load_iris(return_X_y=True)
    for what, attempt in {
        "fit with three classes": lambda: classification.model().fit(x, y),
        "cross_val_score": lambda: cross_val_score(classification.model(), x, y == 0),
    }.items():
        try:
            attempt()
            print(f"The {PACKAGE} {version}, {what}: works")
        except Exception as error:  # whatever it is: it is what we report
            print(f"The {PACKAGE} {version}, {what}: {type(error).__name__}: {error}")
    return version


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--accuracy", action="store_true")
    parser.add_argument("--datasets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("runs/tabular"))
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning, module="sklearn")
    torch.set_num_threads(options.threads)
    options.package = package_version()
    both, tables = options.speed == options.accuracy, []
    split = f"{options.folds}_seed{options.seed}.csv"
    with threadpool_limits(options.threads):
        if options.speed or both:
            sets = [name for name in options.datasets if name in ("breast_cancer", "digits")]
            rows = run(options.output / f"speed_{split}", sets, as_they_come, options, 1)
            tables.append(speed_table(rows, sets))
        if options.accuracy or both:
            path = options.output / f"accuracy_{options.repeats}x{split}"
            rows = run(path, options.datasets, methods, options, options.repeats)
            classes = [name for name in options.datasets if name != "diabetes"]
            if classes:
                tables.append(score_table(rows, classes, "accuracy, %", "log loss", 100))
            if "diabetes" in options.datasets:
                tables.append(score_table(rows, ["diabetes"], "R²", "RMSE", 1))
    here = environment()
    versions = [f"{key} {here['packages'][key]}" for key in ("numpy", "scikit-learn", "torch")]
    versions += [f"expectation-reflection {options.package}"] if options.package else []
    command = shlex.join(["python", "benchmarks/tabular.py", *sys.argv[1:]])
    print("", *tables, f"`{command}`; {here['cpu']}, {options.threads} threads,", sep="\n\n")
    print(f"Python {here['python']}, erlib {here['erlib']}, {', '.join(versions)}.")


if __name__ == "__main__":
    main()
