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
training rows. The package is tuned from 1e-4 to 0.1 (1 is less accurate on breast_cancer and
takes several times as long); for digits, ten slow fits each time, it keeps its default 0.01.
Intervals (95 %) and p-values use the variance that Nadeau and Bengio (Machine Learning 52, 239,
2003) corrected for training sets that overlap; p-values are of the difference to the first method,
paired by fold, and, in brackets, corrected by Holm's method for all comparisons of a table. "One
fit" is the last one, with the chosen penalty.

Without either option both are done. Each fold is written to a CSV below `--output` as soon as it is
there, and the same command goes on where it was. All is seeded; one thread unless `--threads`.
"""

import argparse
import csv
import importlib.metadata
import itertools
import math
import shlex
import sys
import time
import warnings
from pathlib import Path
from statistics import fmean, median

import numpy as np
import torch
from scipy import stats
from sklearn import datasets, linear_model, metrics, model_selection
from sklearn.base import BaseEstimator, ClassifierMixin, is_classifier
from sklearn.compose import TransformedTargetRegressor
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from erlib import ERClassifier, ERRegressor
from erlib.notebook.record import environment
from erlib.notebook.tables import markdown, select

SETS = ["iris", "wine", "breast_cancer", "digits", "diabetes"]
NUMBERS = ["score", "loss", "seconds", "one_fit"]
FIELDS = ["dataset", "fold", "method", *NUMBERS, "penalty"]
PACKAGE = "published package"
# From the largest on: of equally good ones a search takes the first.
RIDGES = [10, 1, 0.1, 0.01, 1e-3, 1e-4]
REGS = [0.1, 0.01, 1e-3, 1e-4]
ALPHAS = [30, 10, 1, 0.1, 1e-3]
LINEAR_ALPHAS = np.logspace(4, -4, 17)
HIDDEN, PASSES = (300,), 1000


class Published(ClassifierMixin, BaseEstimator):
    """The published package for two classes, with what OneVsRestClassifier asks of it."""

    def __init__(self, reg=0.01):
        self.reg = reg

    def fit(self, X, y):
        from expectation_reflection import classification

        self.model_, self.classes_ = classification.model(reg=self.reg).fit(X, y), np.unique(y)
        return self

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


def methods(name, inner=3):
    """Each method for a data set, tuned in the inner folds; differences are to the first."""

    def tuned(model, penalty, values):
        pipeline, grid = scaled(model), {f"model__{penalty}": values}
        return model_selection.GridSearchCV(pipeline, grid, cv=inner)

    mlp = {"hidden_layer_sizes": HIDDEN, "max_iter": PASSES, "random_state": 0}
    if name == "diabetes":
        mlp = TransformedTargetRegressor(MLPRegressor(**mlp), transformer=StandardScaler())
        hidden = ERRegressor(HIDDEN, random_state=0)
        return {
            "ERRegressor": tuned(ERRegressor(), "ridge", RIDGES),
            f"ERRegressor, hidden={HIDDEN}": tuned(hidden, "ridge", RIDGES),
            "RidgeCV": scaled(linear_model.RidgeCV(LINEAR_ALPHAS, cv=inner)),
            "MLPRegressor": tuned(mlp, "regressor__alpha", ALPHAS),
        }
    package = OneVsRestClassifier(Published())
    how = {"cv": inner, "scoring": "accuracy", "max_iter": 10_000}
    hidden = ERClassifier(HIDDEN, random_state=0)
    return {
        "ERClassifier": tuned(ERClassifier(), "ridge", RIDGES),
        "ERClassifier, weighted_er": tuned(ERClassifier(rule="weighted_er"), "ridge", RIDGES),
        f"ERClassifier, hidden={HIDDEN}": tuned(hidden, "ridge", RIDGES),
        PACKAGE: scaled(package) if name == "digits" else tuned(package, "estimator__reg", REGS),
        "LogisticRegressionCV": scaled(linear_model.LogisticRegressionCV(**how)),
        "RidgeClassifierCV": scaled(linear_model.RidgeClassifierCV(LINEAR_ALPHAS, cv=inner)),
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
    if hasattr(model, "best_params_"):
        (penalty,) = model.best_params_.values()
        return {**found, "one_fit": model.refit_time_, "penalty": penalty}
    last = model[-1]  # one that tunes itself, in a time that is not told apart, or is not tuned
    penalty = np.ravel(getattr(last, "alpha_", getattr(last, "C_", "")))[0]
    return {**found, "one_fit": "" if hasattr(last, "cv") else seconds, "penalty": penalty}


def run(path, sets, candidates, options, repeats):
    """Measure what `path` does not hold yet, and write it there fold by fold; returns all rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text() if path.exists() else ",".join(FIELDS) + "\n"
    path.write_text(text[: text.rfind("\n") + 1])  # without the half line of an interrupted run
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    done = {(row["dataset"], row["fold"], row["method"]) for row in rows}
    for name in sets:
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        kind = "KFold" if name == "diabetes" else "StratifiedKFold"
        outer = getattr(model_selection, f"Repeated{kind}")(
            n_splits=options.folds, n_repeats=repeats, random_state=options.seed
        )
        for fold, (train, test) in enumerate(outer.split(x, y)):
            inner = getattr(model_selection, kind)(3, shuffle=True, random_state=fold)
            new = []
            for method, model in candidates(name, inner).items():
                key = {"dataset": name, "fold": str(fold), "method": method}
                if tuple(key.values()) in done or (method == PACKAGE and not options.package):
                    continue
                new.append({**key, **measure(model, x, y, train, test)})
                at = f"{name}, fold {fold + 1} of {repeats * options.folds}, {method}"
                print(f"{at}: {new[-1]['score']:.4f}, {new[-1]['seconds']:.2f} s", flush=True)
            with path.open("a", newline="") as file:
                csv.DictWriter(file, FIELDS, lineterminator="\n").writerows(new)
            rows += new
    for row in rows:
        for field in NUMBERS:
            row[field] = None if row[field] == "" else float(row[field])
    return rows


def speed_table(rows, sets):
    lines = []
    for name, method in itertools.product(sets, as_they_come()):
        if not (own := select(rows, dataset=name, method=method)):
            continue
        line = [name, method, f"{100 * fmean(row['score'] for row in own):.2f}", "", "", ""]
        line[4] = f"{median(row['seconds'] for row in own):.3f}"
        pairs = list(zip(own, select(rows, dataset=name, method=PACKAGE)))
        if pairs and method != PACKAGE:
            line[3] = f"{100 * fmean(er['score'] - other['score'] for er, other in pairs):+.2f}"
            ratios = sorted(other["seconds"] / er["seconds"] for er, other in pairs)
            line[5] = f"{median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        lines.append(line)
    head = ["data set", "method", "accuracy, %", "− package, points", "seconds", "times faster"]
    return markdown(head, lines)


def score_table(rows, sets, overlap, score, loss, percent):
    """Means with corrected intervals; differences to the first method, and their p-values."""
    names, form = list(methods(sets[0])), ".2f" if percent == 100 else ".3f"
    own, gains, lines = {}, {}, []
    for key in itertools.product(sets, names):
        if found := select(rows, dataset=key[0], method=key[1]):
            own[key] = found
            first = {row["fold"]: row["score"] for row in own[key[0], names[0]]}
            gains[key] = [percent * (row["score"] - first[row["fold"]]) for row in found]
    tested = [key for key in own if key[1] != names[0]]
    p_values = [corrected_t_test(gains[key], overlap)[1] for key in tested]
    texts = {key: f"{p:.2g} ({q:.2g})" for key, p, q in zip(tested, p_values, holm(p_values))}
    for key, found in own.items():
        scores, losses, seconds, one_fit = (
            [row[field] for row in found if row[field] is not None] for field in NUMBERS
        )
        line = [*key, interval([percent * value for value in scores], overlap, form)]
        line.append(interval(gains[key], overlap, "+" + form) if key in texts else "")
        line += [texts.get(key, ""), interval(losses, overlap, ".3f") if losses else ""]
        lines.append(line + [f"{median(x):.3f}" if x else "" for x in (seconds, one_fit)])
    head = ["data set", "method", score, f"− {names[0]}", "p (Holm)", loss]
    return markdown([*head, "seconds, tuned", "seconds, one fit"], lines)


def interval(values, overlap, form):
    half = stats.t.ppf(0.975, len(values) - 1) * corrected_error(values, overlap)
    return f"{np.mean(values):{form}} ± {half:{form.lstrip('+')}}"


def package_version():
    """Of the published package, after telling which parts of it fail here; None without it."""
    try:
        from expectation_reflection import classification
    except ImportError:
        print(f"The {PACKAGE} is not installed, and left out: pip install -e '.[bench]'")
        return None
    version = importlib.metadata.version("expectation-reflection")
    x, y = datasets.load_iris(return_X_y=True)
    attempts = {
        "fit, three classes": lambda model: model.fit(x, y),
        "cross_val_score": lambda model: model_selection.cross_val_score(model, x, y == 0),
    }
    for what, attempt in attempts.items():
        try:
            attempt(classification.model())
            found = "works"
        except Exception as error:  # whatever it is: it is what we report
            found = f"{type(error).__name__}: {error}"
        print(f"The {PACKAGE} {version}, {what}: {found}")
    return version


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--accuracy", action="store_true")
    parser.add_argument("--datasets", nargs="+", choices=SETS, default=SETS)
    for name, default in {"repeats": 5, "folds": 5, "seed": 0, "threads": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--output", type=Path, default=Path("runs/tabular"))
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning, module="sklearn")
    torch.set_num_threads(options.threads)
    options.package = package_version()
    both, tables = options.speed == options.accuracy, []
    split = f"{options.folds}_seed{options.seed}_threads{options.threads}.csv"
    overlap = 1 / (options.folds - 1)
    with threadpool_limits(options.threads):
        if options.speed or both:
            sets = [name for name in options.datasets if name in ("breast_cancer", "digits")]
            for method, model in as_they_come().items():  # once without a clock, to warm up
                if options.package or method != PACKAGE:
                    model.fit(*datasets.load_iris(return_X_y=True))
            # Times are compared within a run, never with those of one that had no package.
            path = options.output / f"{'speed' if options.package else 'alone'}_{split}"
            tables.append(speed_table(run(path, sets, as_they_come, options, 1), sets))
        if options.accuracy or both:
            path = options.output / f"accuracy_{options.repeats}x{split}"
            rows = run(path, options.datasets, methods, options, options.repeats)
            if classes := [name for name in options.datasets if name != "diabetes"]:
                tables.append(score_table(rows, classes, overlap, "accuracy, %", "log loss", 100))
            if "diabetes" in options.datasets:
                tables.append(score_table(rows, ["diabetes"], overlap, "R²", "RMSE", 1))
    here = environment()
    versions = [f"{key} {here['packages'][key]}" for key in ("numpy", "scikit-learn", "torch")]
    versions += [f"expectation-reflection {options.package}"] if options.package else []
    command = shlex.join(["python", "benchmarks/tabular.py", *sys.argv[1:]])
    print("", *tables, f"`{command}`; {here['cpu']}, threads: {options.threads};", sep="\n\n")
    print(f"Python {here['python']}, erlib {here['erlib']}, {', '.join(versions)}.")


if __name__ == "__main__":
    main()
