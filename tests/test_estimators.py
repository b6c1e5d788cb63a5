"""The estimators: scikit-learn's own checks, streams, and the layers that they should be."""

import copy
import itertools
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.special
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from references import one_thread  # noqa: F401
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_wine, make_circles
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import erlib.few_samples
from erlib import ERClassifier, ERRegressor
from erlib.sequential import sequential_fit
from erlib.single_layer import RULES, single_layer_fit

EXAMPLES = settings(deadline=None, max_examples=25, derandomize=True)
each_estimator = pytest.mark.parametrize("kind", [ERClassifier, ERRegressor])
with_and_without_hidden = pytest.mark.parametrize(
    "hidden", [(), (6,)], ids=["single layer", "hidden"]
)
F = {
    "tanh": np.tanh,
    "erf": scipy.special.erf,
    "softsign": lambda h: h / (1 + abs(h)),
    "identity": lambda h: h,
}


def labelled(n=100, classes=3, d_in=4, seed=0):
    """Inputs, labels of classes that overlap, and weights of samples."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d_in)) + rng.normal(size=d_in)
    h = x @ rng.normal(size=(d_in, classes)) + rng.gumbel(size=(n, classes))
    y = h.argmax(1)
    y[:classes] = range(classes)
    return x, y, rng.uniform(0.2, 2, n)


def measured(n=100, d_out=None, d_in=4, seed=0):
    """Inputs, noisy linear outputs, and weights of samples."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d_in)) + rng.normal(size=d_in)
    y = x @ rng.normal(size=(d_in, d_out or 1)) + rng.normal(size=(n, d_out or 1)) + 3
    return x, y if d_out else y[:, 0], rng.uniform(0.2, 2, n)


def data(kind, **how):
    return labelled(**how) if kind is ERClassifier else measured(**how)


def first_call(model, method, x, y, **how):
    """`fit` or `partial_fit` of a model, which is told all classes if it must be."""
    if isinstance(model, ERClassifier) and method == "partial_fit":
        how["classes"] = np.unique(y)
    return getattr(model, method)(x, y, **how)


def xor(n=300):
    x = np.random.default_rng(0).uniform(-1, 1, size=(n, 2))
    return x, x[:, 0] * x[:, 1] > 0


def results(model, x):
    """All that a fitted model says of x, classes first."""
    names = ("predict", "decision_function", "predict_proba")
    return [getattr(model, name)(x) for name in names if hasattr(model, name)]


def assert_same_model(one, other, x, rtol=1e-8):
    """What two models say of x agrees; of classes, the fields and probabilities."""
    for first, second in list(zip(results(one, x), results(other, x)))[-2:]:
        np.testing.assert_allclose(first, second, rtol=rtol, atol=rtol * abs(second).max())


def assert_same_weights(one, other, rtol=1e-8):
    for name in ("coef_", "intercept_"):
        first, second = np.asarray(getattr(one, name)), np.asarray(getattr(other, name))
        assert first.shape == second.shape
        np.testing.assert_allclose(first, second, rtol=0, atol=rtol * abs(second).max())


# ---------------------------------------------------------------- scikit-learn's checks

CHECKED = [
    f"{kind}({how})"
    for kind in ("ERClassifier", "ERRegressor")
    for how in ("", "updates=1", "rule='weighted_er'", "hidden=(20,)")
]
CHECK = """
import json, sys, warnings
warnings.simplefilter("ignore")
import torch
torch.set_num_threads(1)
from sklearn.utils.estimator_checks import check_estimator
import erlib.few_samples
from erlib import ERClassifier, ERRegressor
for model in sys.argv[1:]:
    checks = check_estimator(eval(model), on_fail=None, on_skip=None)
    print(json.dumps([[c["check_name"], c["status"], repr(c["exception"])] for c in checks]))
"""


@pytest.fixture(scope="module")
def checked():
    """What became of each check; the array API is only looked at if scipy is told to, at once."""
    done = subprocess.run(
        [sys.executable, "-c", CHECK, *CHECKED],
        env={**os.environ, "SCIPY_ARRAY_API": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(CHECKED, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("model", CHECKED)
def test_every_check_of_scikit_learn_passes(checked, model):
    assert "check_array_api_input" in [name for name, _, _ in checked[model]]
    assert [each for each in checked[model] if each[1] != "passed"] == []


# ---------------------------------------------------------------- the single layer


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("activation", ["tanh", "erf", "softsign", "identity"])
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "newton"])
def test_the_classifier_is_single_layer_fit_of_its_codes(rule, activation, weighted):
    x, y, weights = labelled()
    weights = weights if weighted else None
    chosen = {"rule": rule, "activation": activation, "ridge": 0.1, "updates": 6, "stop": None}
    model = ERClassifier(**chosen).fit(x, y, weights)
    spread = np.ptp(x if weights is None else x[weights > 0], axis=0)
    found = single_layer_fit(
        x / spread, np.where(y[:, None] == range(3), 1.0, -1.0), sample_weight=weights, **chosen
    )
    np.testing.assert_allclose(model.coef_, found.weight.T / spread, rtol=1e-11)
    np.testing.assert_allclose(model.intercept_, found.bias, rtol=1e-11)
    assert model.n_iter_ == 6


@pytest.mark.parametrize(  # stops that rounding does not move
    ("stop", "activation"), [("discrepancy", "softsign"), ("settled", "tanh")]
)
@each_estimator
def test_the_updates_of_the_slowest_field_are_counted(kind, stop, activation):
    x, y, _ = labelled()
    observed = np.where(y[:, None] == range(3), 1.0, -1.0)
    how = {"activation": activation, "stop": stop, "ridge": 0.01, "updates": 1000}
    found = single_layer_fit(x / np.ptp(x, axis=0), observed, **how)
    model = kind(**how).fit(x, y if kind is ERClassifier else observed)
    assert 1 < min(found.updates) < model.n_iter_ == max(found.updates) < 1000


@pytest.mark.parametrize(("classes", "units"), [(2, 1), (4, 4)])
@with_and_without_hidden
def test_classes_have_a_field_each_and_the_largest_wins_but_two_share_one(hidden, classes, units):
    x, y, _ = labelled(classes=classes)
    model = ERClassifier(hidden, random_state=0).fit(x, 10 * y - 7)
    fields = model.decision_function(x)
    assert fields.shape == ((100,) if units == 1 else (100, 4))
    assert model.predict_proba(x).shape == (100, classes)
    if not hidden:
        assert model.coef_.shape == (units, 4) and model.intercept_.shape == (units,)
        wanted = x @ model.coef_.T + model.intercept_
        np.testing.assert_allclose(fields.reshape(100, units), wanted, rtol=1e-12)
    won = fields > 0 if units == 1 else fields.argmax(1)
    assert (model.predict(x) == 10 * won - 7).all()


@pytest.mark.parametrize("activation", ["tanh", "erf", "softsign", "identity"])
@pytest.mark.parametrize("classes", [2, 3])
@with_and_without_hidden
def test_probabilities_are_expected_outputs(hidden, classes, activation):
    x, y, _ = labelled(classes=classes)
    model = ERClassifier(hidden, activation=activation, random_state=0).fit(x, y)
    p = model.predict_proba(2 * x)
    f = np.clip(F[activation](model.decision_function(2 * x)), -1, 1)
    wanted = np.stack([1 - f, 1 + f], 1) / 2 if classes == 2 else (1 + f) / (1 + f).sum(1)[:, None]
    np.testing.assert_allclose(p, wanted, atol=1e-14)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-14)
    assert ((p >= 0) & (p <= 1)).all()


def test_where_every_class_is_ruled_out_all_are_as_likely():
    x, y, _ = labelled()
    model = ERClassifier(activation="identity").fit(x, y)
    model.coef_, model.intercept_ = 0 * model.coef_, 0 * model.intercept_ - 2
    np.testing.assert_allclose(model.predict_proba(x), 1 / 3)


@pytest.mark.parametrize(
    ("names", "dtype"),
    [
        (["no", "perhaps", "yes"], None),
        (["no", "perhaps", "yes"], object),
        ([-7, -1, 3], None),
        ([0.0, 1.0, 2.0], None),
        ([False, True], None),
        (["yes", "no"], None),
        (["yes", "no"], object),
        ([-1, 1], None),
    ],
    ids=str,
)
@with_and_without_hidden
def test_labels_of_any_type_come_back(names, dtype, hidden):
    x, y, _ = labelled(classes=len(names))
    names = np.sort(np.asarray(names, dtype=dtype))  # classes are kept sorted
    model = ERClassifier(hidden, random_state=0).fit(x, names[y])
    plain = ERClassifier(hidden, random_state=0).fit(x, y)
    assert model.classes_.tolist() == names.tolist()
    assert model.classes_.dtype == model.predict(x).dtype == names.dtype
    assert model.predict(x).tolist() == names[plain.predict(x)].tolist()
    assert_same_model(model, plain, x, rtol=0)


def test_labels_of_any_type_stream():
    x, y, _ = labelled()
    names = np.array(["a", "bb", "ccc"], dtype=object)
    named = names[y]
    model = ERClassifier().partial_fit(x[:50], named[:50], classes=names[[2, 0, 1]])
    model.partial_fit(x[50:], named[50:])
    assert model.classes_.tolist() == ["a", "bb", "ccc"]
    assert model.predict(x).dtype == object
    assert (model.predict(x) == names[model.decision_function(x).argmax(1)]).all()
    listed = ERClassifier().partial_fit(x, named, classes=["ccc", "a", "bb"])
    assert (listed.predict(x) == model.predict(x)).all()
    assert_same_weights(model, ERClassifier(updates=1).fit(x, y))


# ---------------------------------------------------------------- regression


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("d_out", [None, 1, 3])
@pytest.mark.parametrize("rule", RULES)
def test_a_linear_output_is_linear_regression(rule, d_out, weighted):
    x, y, weights = measured(d_out=d_out)
    weights = weights if weighted else None
    model = ERRegressor(rule=rule).fit(x, y, weights)
    wanted = LinearRegression().fit(x, y, weights)
    assert_same_weights(model, wanted, rtol=1e-10)
    assert model.predict(x).shape == y.shape
    np.testing.assert_allclose(model.predict(x), wanted.predict(x), rtol=1e-10)


@pytest.mark.parametrize("size", [1e-12, 1e6, 1e12])
@with_and_without_hidden
def test_outputs_of_any_size_are_taken(size, hidden):
    x, y, _ = measured()
    models = [ERRegressor(hidden, random_state=0).fit(x, scale * y) for scale in (1, size)]
    np.testing.assert_allclose(models[1].predict(x), size * models[0].predict(x), rtol=1e-9)


@pytest.mark.parametrize("activation", ["tanh", "erf", "softsign"])
def test_a_known_nonlinear_model_is_recovered(activation):
    x, truth = measured()[0], np.array([[0.5, -1, 0.3, 0.2], [0, 0.1, 0, -0.4]])
    y = F[activation](x @ truth.T + [0.1, -0.2])
    model = ERRegressor(activation=activation, updates=2000, stop="settled").fit(x, y)
    np.testing.assert_allclose(model.coef_, truth, atol=1e-6)
    np.testing.assert_allclose(model.intercept_, [0.1, -0.2], atol=1e-6)
    np.testing.assert_allclose(model.predict(x), y, atol=1e-6)


@given(
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-1e3, 1e3),
    d_out=st.sampled_from([None, 2]),
    weighted=st.booleans(),
)
@EXAMPLES
def test_hidden_layers_do_not_see_the_unit_of_the_output(scale, shift, d_out, weighted):
    x, y, weights = measured(d_out=d_out)
    weights = weights if weighted else None
    plain, scaled = (
        ERRegressor((6,), random_state=0).fit(x, each, weights) for each in (y, scale * y + shift)
    )
    wanted = scale * plain.predict(x) + shift
    atol = 1e-7 * (scale + abs(shift))
    np.testing.assert_allclose(scaled.predict(x), wanted, rtol=1e-7, atol=atol)


@with_and_without_hidden
def test_outputs_that_do_not_vary_are_predicted(hidden):
    x, y, _ = measured(d_out=2)
    y[:, 1] = 4
    model = ERRegressor(hidden, random_state=0).fit(x, y)
    np.testing.assert_allclose(model.predict(x + 1)[:, 1], 4, rtol=1e-12)
    assert model.predict(x)[:, 0].std() > 0.1


@pytest.mark.parametrize(
    ("activation", "y", "complaint"),
    [
        ("tanh", 1.5, r"from -0.5 to 1.5, tanh gives -1 to 1"),
        ("erf", -1.01, r"from -1.01 to -0.5, erf gives -1 to 1"),
        ("softsign", 7, r"from -0.5 to 7, softsign gives -1 to 1"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_outputs_that_f_cannot_take_are_refused(method, activation, y, complaint):
    x, outputs = measured()[0], np.full(100, -0.5)
    outputs[3] = y
    with pytest.raises(ValueError, match=rf"^y: values {complaint}"):
        getattr(ERRegressor(activation=activation), method)(x, outputs)


@pytest.mark.parametrize("activation", ["tanh", "erf", "softsign"])
def test_outputs_at_the_ends_of_f_are_taken(activation):
    x, y, _ = labelled(classes=2)
    model = ERRegressor(activation=activation).fit(x, 2 * y - 1)
    classifier = ERClassifier(activation=activation, ridge=0).fit(x, y)
    np.testing.assert_allclose(model.coef_, classifier.coef_[0], rtol=1e-12)


# ---------------------------------------------------------------- streams


def stream(model, x, y, weights, cuts, order=None):
    """The model after partial_fit in pieces that end at the cuts."""
    order = np.arange(len(x)) if order is None else order
    how = {}
    if isinstance(model, ERClassifier) and not hasattr(model, "classes_"):
        how = {"classes": np.unique(y)}
    for start, end in itertools.pairwise([0, *sorted(set(cuts)), len(x)]):
        part = order[start:end]
        some = None if weights is None else weights[part]
        assert model.partial_fit(x[part], y[part], sample_weight=some, **how) is model
    return model


STREAMS = {
    "two classes": (ERClassifier, {"classes": 2}),
    "four classes": (ERClassifier, {"classes": 4}),
    "an output": (ERRegressor, {}),
    "three outputs": (ERRegressor, {"d_out": 3}),
}
each_stream = pytest.mark.parametrize("case", STREAMS)


@pytest.mark.parametrize("pieces", [1, 7, 100])
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@each_stream
def test_pieces_give_what_fit_finds_in_one_update(case, weighted, pieces):
    kind, how = STREAMS[case]
    x, y, weights = data(kind, **how)
    weights = weights if weighted else None
    cuts = np.linspace(0, 100, pieces + 1).astype(int)[1:-1]
    model = stream(kind(), x, y, weights, cuts)
    whole = kind(updates=1).fit(x, y, weights)
    assert_same_weights(model, whole)
    assert model.n_iter_ == whole.n_iter_ == 1
    assert (model.predict(x) == whole.predict(x)).all() or kind is ERRegressor
    assert model.predict(x).shape == whole.predict(x).shape


@EXAMPLES
@given(
    case=st.sampled_from(list(STREAMS)),
    cuts=st.lists(st.integers(1, 99), max_size=30),
    weighted=st.booleans(),
    activation=st.sampled_from(["tanh", "erf", "identity"]),
    ridge=st.sampled_from([0.0, 1e-2, 1.0]),
    by_class=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_pieces_in_any_order_give_the_same(
    case, cuts, weighted, activation, ridge, by_class, seed
):
    kind, how = STREAMS[case]
    x, y, weights = data(kind, seed=seed, **how)
    weights = weights if weighted else None
    y = y if kind is ERClassifier else np.tanh(y)
    order = np.argsort(y.T[0] if y.ndim > 1 else y)  # one class after the other
    order = order if by_class else np.random.default_rng(seed).permutation(100)
    chosen = {"ridge": ridge, "activation": activation}
    model = stream(kind(**chosen), x, y, weights, cuts, order)
    assert_same_weights(model, kind(updates=1, **chosen).fit(x, y, weights))


@pytest.mark.parametrize("done", [1, 3])
@each_estimator
def test_a_stream_after_a_fit_is_one_more_update(kind, done):
    x, y, weights = labelled()
    y = y if kind is ERClassifier else np.where(y[:, None] == range(3), 0.9, -0.9)
    chosen = {"stop": None, "activation": "tanh"}
    model = kind(updates=done, **chosen).fit(x, y, weights)
    stream(model, x, y, weights, [30, 31, 80])
    assert_same_weights(model, kind(updates=done + 1, **chosen).fit(x, y, weights))


def test_a_fit_after_a_stream_begins_anew_and_so_does_the_next_stream():
    x, y, _ = labelled()
    model = stream(ERClassifier(updates=2, stop=None), x[:40], y[:40], None, [20]).fit(x, y)
    fresh = ERClassifier(updates=2, stop=None).fit(x, y)
    assert_same_weights(model, fresh)
    assert_same_weights(stream(model, x, y, None, [50]), stream(fresh, x, y, None, [50]))


def test_settings_of_the_loop_have_no_say_in_a_stream():
    x, y, _ = labelled()
    models = [
        stream(ERClassifier(updates=updates, stop=stop), x, y, None, [50])
        for updates, stop in ((1, None), (100, "settled"))
    ]
    assert_same_weights(*models, rtol=0)


@each_stream
def test_what_a_stream_keeps_does_not_grow(case):
    kind, how = STREAMS[case]
    x, y, _ = data(kind, n=5000, **how)
    sizes = [
        len(pickle.dumps(stream(kind(), x[:n], y[:n], None, range(50, n, 50)))) for n in (100, 5000)
    ]
    assert abs(sizes[1] - sizes[0]) < 100


@each_estimator
def test_a_piece_that_is_refused_changes_nothing(kind):
    x, y, _ = data(kind)
    model, other = (stream(kind(), x[:50], y[:50], None, [25]) for _ in range(2))
    wrong = np.where(np.arange(50) < 49, y[50:], 7) if kind is ERClassifier else y[50:] * np.nan
    for bad_x, bad_y in ((x[50:, :3], y[50:]), (x[50:] * np.nan, y[50:]), (x[50:], wrong)):
        with pytest.raises(ValueError, match=r"features|NaN|class"):
            model.partial_fit(bad_x, bad_y)
    for each in (model, other):
        each.partial_fit(x[50:], y[50:])
    assert_same_weights(model, other, rtol=0)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(("first", "later"), [(1, 2), (2, 1), (2, 3), (None, 2), (2, None)])
def test_later_pieces_must_have_the_outputs_of_the_first(first, later, method):
    x, y, _ = measured(d_out=first)
    model, other = (getattr(ERRegressor(), method)(x, y) for _ in range(2))
    found, before = (f"widths 4-{d_out or 1}, activation 'identity'" for d_out in (later, first))
    with pytest.raises(ValueError, match=rf"^y: {found} where the samples before had {before}$"):
        model.partial_fit(*measured(d_out=later)[:2])
    assert_same_weights(model, other, rtol=0)
    assert model.predict(x).shape == y.shape
    for each in (model, other):
        each.partial_fit(x[:30], y[:30])
    assert_same_weights(model, other, rtol=0)


@each_estimator
def test_a_stream_after_hidden_layers_is_none(kind):
    x, y, _ = data(kind)
    model = kind((6,), random_state=0).fit(x, y)
    said = results(model, x)
    d_out = 3 if kind is ERClassifier else 1
    with pytest.raises(
        ValueError,
        match=rf"^y: widths 4-{d_out}, .* where the samples before had widths 4-6-{d_out}, ",
    ):
        model.set_params(hidden=()).partial_fit(x, y)
    for one, other in zip(results(model.set_params(hidden=(6,)), x), said):
        assert (one == other).all()
    model.set_params(hidden=()).fit(x, y)  # but a fit in between will do
    wanted = stream(kind().fit(x, y), x, y, None, [50])
    assert_same_weights(stream(model, x, y, None, [50]), wanted, rtol=0)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@each_estimator
def test_a_stream_keeps_its_activation(kind, method):
    x, y, _ = labelled(classes=2)
    y = y if kind is ERClassifier else 2 * y - 1
    model = first_call(kind(activation="erf"), method, x, y)
    with pytest.raises(
        ValueError, match=r"^y: widths 4-1, activation 'tanh' where .* 4-1, activation 'erf'$"
    ):
        model.set_params(activation="tanh").partial_fit(x, y)


@pytest.mark.parametrize(
    "model", [ERClassifier((6,)), ERClassifier(rule="boehning"), ERRegressor((6,))]
)
def test_there_is_no_stream_but_by_er_in_a_single_layer(model):
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError, match=r"partial_fit") as error:
        _ = model.partial_fit
    assert "hidden=" in str(error.value.__cause__) and "rule=" in str(error.value.__cause__)


# ---------------------------------------------------------------- hidden layers


def circles():
    return make_circles(300, noise=0.05, factor=0.5, random_state=0)


@pytest.mark.parametrize("problem", [xor, circles])
@pytest.mark.parametrize("hidden", [(20,), [30, 20]])
def test_hidden_layers_solve_what_a_single_layer_cannot(problem, hidden):
    x, y = problem()
    train, test = slice(0, 200), slice(200, None)
    assert ERClassifier().fit(x[train], y[train]).score(x[test], y[test]) < 0.75
    model = ERClassifier(hidden, random_state=0).fit(x[train], y[train])
    assert model.score(x[test], y[test]) > 0.9
    assert [len(layer.weight) for layer in model.network_.layers] == [2, *hidden]


def test_hidden_layers_make_regression_nonlinear():
    x = np.random.default_rng(0).uniform(-2, 2, size=(300, 1))
    y = np.sin(2 * x[:, 0])
    assert ERRegressor().fit(x, y).score(x, y) < 0.5
    assert (
        ERRegressor((100,), hidden_ridge=0.1, ridge=0, random_state=0).fit(x, y).score(x, y) > 0.9
    )


@pytest.mark.parametrize("rule", ["er", "weighted_er"])
def test_a_fit_updates_hidden_layers_once_and_then_fits_the_last(rule):
    """Seen at a fit that goes on from the one before."""
    x, y, weights = labelled()
    how = {"rule": rule, "ridge": 0.2, "updates": 5, "stop": None, "hidden_ridge": 1.5}
    model = ERClassifier((8, 6), warm_start=True, random_state=0, **how).fit(x, y, weights)
    net = copy.deepcopy(model.network_)
    model.fit(x, y, weights)
    inputs, w = model._scaled(torch.tensor(x)), torch.tensor(weights)
    observed = torch.tensor(np.where(y[:, None] == range(3), 1.0, -1.0))
    net.sweep(
        inputs, [*net.targets(inputs, observed)[:-1], None], ridge=how.pop("hidden_ridge"),
        sample_weight=w,
    )  # fmt: skip
    features = net.trace(inputs)[0][-1].detach()
    last = single_layer_fit(features, observed, sample_weight=w, **how)
    wanted = (features @ last.weight + last.bias).numpy()
    np.testing.assert_allclose(model.decision_function(x), wanted, rtol=1e-9, atol=1e-9)


def test_passes_train_all_layers():
    x, y = circles()
    scores, networks = {}, {}
    for passes in (0, 20):
        model = ERClassifier((5,), passes=passes, random_state=0).fit(x, y)
        scores[passes], networks[passes] = model.score(x, y), model.network_
    assert scores[20] > 0.98 > scores[0] + 0.05
    assert model.n_iter_ == 20
    for one, other in zip(networks[0].layers, networks[20].layers):
        assert (one.weight - other.weight).abs().max() > 1e-2


def test_settings_of_the_last_layer_have_no_say_in_passes():
    x, y, _ = labelled()
    how = {"hidden": (6,), "passes": 2, "random_state": 0}
    one = ERClassifier(**how).fit(x, y)
    other = ERClassifier(rule="newton", ridge=7.0, updates=1, stop=None, **how).fit(x, y)
    assert_same_model(one, other, x, rtol=0)
    smaller = ERClassifier(batch_size=10, **how).fit(x, y)
    assert abs(one.decision_function(x) - smaller.decision_function(x)).max() > 1e-3


@pytest.mark.parametrize("classes", [2, 3])
def test_passes_are_sequential_er_with_classes_coded_0_8(classes):
    """Seen at a fit that goes on from the one before."""
    x, y, _ = labelled(classes=classes)
    how = {"passes": 3, "batch_size": 20}
    model = ERClassifier((8, 6), warm_start=True, random_state=5, hidden_ridge=1.5, **how)
    begun = model.fit(x, y).network_
    nets = [copy.deepcopy(begun) for _ in range(2)]
    model.fit(x, y)
    observed = np.where(y[:, None] == np.arange(classes), 1.0, -1.0)
    observed = observed[:, 1:] if classes == 2 else observed
    seed = np.random.RandomState(5).randint(np.iinfo(np.int32).max)
    fields, x_given = [], x
    x = model._scaled(torch.tensor(x)).numpy()
    for code, net in zip((0.8, 1), nets):
        net.sweep(x, [*map(torch.tensor, net.targets(x, observed)[:-1]), None], ridge=1.5)
        sequential_fit(net, x, code * observed, first_update=False, seed=seed, **how)
        fields.append(net.decision_function(x).reshape(model.decision_function(x_given).shape))
    np.testing.assert_allclose(model.decision_function(x_given), fields[0], rtol=1e-9, atol=1e-9)
    assert abs(fields[1] - fields[0]).max() > 1e-2


@pytest.mark.parametrize("setting", [{"passes": 1}, {"batch_size": 10}], ids=str)
def test_a_regression_has_no_mini_batches(setting):
    with pytest.raises(TypeError, match=next(iter(setting))):
        ERRegressor((6,), **setting)
    assert not setting.keys() & ERRegressor().get_params().keys()
    assert setting.keys() <= ERClassifier().get_params().keys()


with_passes = pytest.mark.parametrize(
    ("kind", "how"),
    [(ERClassifier, {}), (ERClassifier, {"passes": 2}), (ERRegressor, {})],
    ids=["classifier", "passes", "regressor"],
)


@with_passes
def test_a_seed_repeats_and_another_does_not(kind, how):
    x, y, _ = data(kind)
    one, same, other = (
        results(kind((6,), random_state=seed, **how).fit(x, y), x)[-1] for seed in (3, 3, 4)
    )
    assert (one == same).all() and abs(one - other).max() > 1e-3


@with_passes
@pytest.mark.parametrize("seed", [0, "RandomState"])
def test_no_global_generator_is_touched(kind, how, seed):
    x, y, _ = data(kind)
    seed = np.random.RandomState(0) if seed else 0
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    kind().fit(x, y)
    kind((6,), random_state=seed, **how).fit(x, y)
    assert (np.random.get_state()[1] == before[0]).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


# ---------------------------------------------------------------- weights of samples


@pytest.mark.parametrize("rule", ["er", "weighted_er"])
@with_and_without_hidden
@each_estimator
def test_weights_count_samples(kind, hidden, rule):
    x, y, _ = data(kind)
    times = 1 + np.arange(100) % 3
    times[50:60] = 0
    rows = np.repeat(np.arange(100), times)
    how = {"rule": rule, "updates": 10, "stop": None, "random_state": 0}
    weighted = kind(hidden, **how).fit(x, y, times)
    assert_same_model(weighted, kind(hidden, **how).fit(x[rows], y[rows]), x)
    if rule == "er" and not hidden:
        weighted = stream(kind(), x, y, 0.5 + times, [30, 70])
        rows = np.repeat(np.arange(100), 1 + 2 * times)
        assert_same_model(weighted, kind(updates=1).fit(x[rows], y[rows]), x)


# ---------------------------------------------------------------- warm start


@each_estimator
def test_updates_one_fit_at_a_time_are_the_updates_of_one_fit(kind):
    x, y, weights = labelled()
    y = y if kind is ERClassifier else np.where(y == 1, 0.9, -0.8)
    how = {"activation": "tanh", "stop": None, "ridge": 0.1}
    model = kind(updates=1, warm_start=True, **how)
    for updates in range(1, 6):
        model.fit(x, y, weights)
        assert_same_weights(model, kind(updates=updates, **how).fit(x, y, weights))


@with_and_without_hidden
@each_estimator
def test_without_warm_start_a_second_fit_is_a_first_one(kind, hidden):
    x, y, _ = data(kind)
    model = kind(hidden, random_state=0).fit(x[:70], y[:70]).fit(x, y)
    assert_same_model(model, kind(hidden, random_state=0).fit(x, y), x, rtol=0)


@each_estimator
def test_a_warm_start_goes_on_with_the_hidden_layers(kind):
    x, y, _ = data(kind)
    how = {"hidden": (6,), "random_state": 0}
    cold = kind(**how).fit(x, y)
    warm = kind(warm_start=True, **how).fit(x, y)
    assert_same_model(cold, warm, x, rtol=0)
    again = results(warm.fit(x, y), x)[-1]
    assert abs(again - results(cold, x)[-1]).max() > 1e-4


@pytest.mark.parametrize(("first", "then"), [("float32", "float64"), ("float64", "float32")])
@with_and_without_hidden
@each_estimator
def test_a_warm_start_takes_data_of_another_precision(kind, hidden, first, then):
    x, y, _ = data(kind)
    model = kind(hidden, warm_start=True, random_state=0)
    model.fit(x.astype(first), y).fit(x.astype(then), y)
    if hidden:
        assert {str(layer.weight.dtype) for layer in model.network_.layers} == {f"torch.{then}"}
    else:
        assert model.coef_.dtype == then
    wanted = kind(hidden, warm_start=True, random_state=0).fit(x, y)
    once = results(wanted, x)[-1]
    assert_same_model(model, wanted.fit(x, y), x, rtol=1e-2)
    if hidden:  # and goes on: as far from one fit as two are
        moved = abs(results(wanted, x)[-1] - once).max()
        assert abs(results(model, x)[-1] - once).max() == pytest.approx(moved, rel=0.1)
        assert moved > 1e-4


def test_new_classes_are_no_warm_start():
    x, y, _ = labelled()
    for other in (y + 1, np.minimum(y, 1), y.astype(str)):
        model = ERClassifier(warm_start=True).fit(x, y)
        with pytest.raises(ValueError, match=r"^warm_start: classes .* where the fit before had"):
            model.fit(x, other)


@with_and_without_hidden
@each_estimator
def test_other_inputs_or_another_activation_are_no_warm_start(kind, hidden):
    x, y, _ = labelled(classes=2)
    y = y if kind is ERClassifier else 2 * y - 1
    model = kind(hidden, activation="erf", warm_start=True, random_state=0).fit(x, y)
    had = "where the fit before had widths"
    with pytest.raises(ValueError, match=rf"^warm_start: widths 3-.* {had} 4-"):
        model.fit(x[:, :3], y)
    with pytest.raises(ValueError, match=rf"^warm_start: .*, activation 'tanh' {had} .* 'erf'$"):
        model.set_params(activation="tanh").fit(x, y)


@pytest.mark.parametrize(("first", "later"), [(2, 1), (1, 2), (None, 2), (2, None)])
@with_and_without_hidden
def test_other_outputs_are_no_warm_start(hidden, first, later):
    model = ERRegressor(hidden, warm_start=True, random_state=0).fit(*measured(d_out=first)[:2])
    widths = "widths 4-6-{}" if hidden else "widths 4-{}"
    found, had = (f"{widths.format(d)}, activation 'identity'" for d in (later or 1, first or 1))
    with pytest.raises(ValueError, match=rf"^warm_start: {found} where the fit before had {had}$"):
        model.fit(*measured(d_out=later)[:2])


@pytest.mark.parametrize(
    ("before", "after"), [((6,), (7,)), ((6,), (6, 6)), ((), (6,)), ((6,), ())], ids=str
)
@each_estimator
def test_other_hidden_layers_are_no_warm_start(kind, before, after):
    x, y, _ = data(kind)
    model = kind(before, warm_start=True, random_state=0).fit(x, y)
    said = results(model, x)
    d_out = 3 if kind is ERClassifier else 1
    found, had = ("-".join(map(str, (4, *hidden, d_out))) for hidden in (after, before))
    with pytest.raises(
        ValueError, match=rf"^warm_start: widths {found}, .* the fit before had widths {had}, "
    ):
        model.set_params(hidden=after).fit(x, y)
    for one, other in zip(results(model.set_params(hidden=before), x), said):
        assert (one == other).all()
    model.set_params(hidden=after, warm_start=False).fit(x, y)
    assert_same_model(model, kind(after, random_state=0).fit(x, y), x, rtol=0)


# ---------------------------------------------------------------- as part of scikit-learn


@with_and_without_hidden
@each_estimator
def test_names_of_columns_are_kept_and_compared(kind, hidden):
    x, y, _ = data(kind)
    frame = pd.DataFrame(x, columns=["a", "b", "c", "d"])
    model = kind(hidden, random_state=0).fit(frame, pd.Series(y))
    assert model.feature_names_in_.tolist() == ["a", "b", "c", "d"] and model.n_features_in_ == 4
    plain = kind(hidden, random_state=0).fit(x, y)
    for one, other in zip(results(model, frame), results(plain, x)):
        assert (one == other).all()
    calls = [lambda: model.predict(frame.rename(columns={"b": "e"}))]
    if not hidden:
        streamed = first_call(kind(), "partial_fit", frame, y)
        calls.append(lambda: streamed.partial_fit(frame[["b", "a", "c", "d"]], y))
    for call in calls:
        with pytest.raises(ValueError, match=r"feature names should match"):
            call()


def test_a_grid_search_in_a_pipeline_finds_what_is_needed():
    x, y = xor()
    steps = Pipeline([("scale", StandardScaler()), ("er", ERClassifier(random_state=0))])
    grid = {"er__hidden": [(), (20,)], "er__ridge": [1e-2, 1e4], "er__rule": list(RULES)}
    search = GridSearchCV(steps, grid, cv=3, error_score="raise").fit(100 * x + 7, y)
    assert len(search.cv_results_["params"]) == 20
    assert search.best_params_["er__hidden"] == (20,) and search.best_params_["er__ridge"] == 1e-2
    assert search.score(100 * x + 7, y) > 0.9


@each_estimator
def test_a_clone_has_the_settings_and_nothing_of_the_fit(kind):
    x, y, _ = data(kind)
    model = kind((6,), activation="identity", ridge=0.5, updates=7, random_state=3).fit(x, y)
    copied = clone(model)
    assert copied.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        copied.predict(x)
    assert_same_model(copied.fit(x, y), model, x, rtol=0)


@pytest.mark.parametrize("hidden", [(), (6, 5)], ids=str)
@with_passes
def test_a_pickled_model_says_the_same(kind, how, hidden):
    x, y, _ = data(kind)
    model = kind(hidden, random_state=0, **(how if hidden else {}))
    again = pickle.loads(pickle.dumps(model.fit(x, y)))
    for one, other in zip(results(again, x), results(model, x)):
        assert (one == other).all()


@each_stream
def test_a_pickled_stream_goes_on(case):
    kind, how = STREAMS[case]
    x, y, weights = data(kind, **how)
    model = stream(kind(), x[:60], y[:60], weights[:60], [10])
    again = pickle.loads(pickle.dumps(model))
    for each in (model, again):
        stream(each, x[60:], y[60:], weights[60:], [20])
    assert_same_weights(model, again, rtol=0)
    assert_same_weights(again, kind(updates=1).fit(x, y, weights))


@with_and_without_hidden
@each_estimator
def test_float32_is_computed_with_in_float32(kind, hidden):
    x, y, _ = data(kind)
    model = kind(hidden, random_state=0).fit(x.astype("float32"), y)
    weight = model.network_.layers[0].weight.numpy(force=True) if hidden else model.coef_
    assert weight.dtype == np.float32
    assert results(model, x.astype("float32"))[-1].dtype == np.float32
    assert_same_model(model, kind(hidden, random_state=0).fit(x, y), x, rtol=2e-2)


@each_estimator
def test_nothing_given_is_changed(kind):
    arrays = data(kind)
    copies = [array.copy() for array in arrays]
    for hidden in ((), (6,)):
        kind(hidden, random_state=0).fit(*arrays).predict(arrays[0])
    assert all((one == other).all() for one, other in zip(arrays, copies))


# ---------------------------------------------------------------- refused

x, y, once = labelled()
NOT_NEGATIVE, COUNT = r"expected a finite number >= 0, found", r"expected an integer >= 1, found"
REFUSED = [
    ("ridge", -1, f"{NOT_NEGATIVE} -1"),
    ("ridge", np.nan, f"{NOT_NEGATIVE} nan"),
    ("ridge", "1", r"expected a number >= 0, found '1'"),
    ("hidden_ridge", -1, f"{NOT_NEGATIVE} -1"),
    ("updates", 0, f"{COUNT} 0"),
    ("stop", "never", r"unknown 'never'; known: discrepancy, settled"),
    ("rule", "irls", r"unknown 'irls'; known: boehning, er, "),
    ("activation", "sigmoid", r"unknown 'sigmoid'; known: erf, identity, softsign, tanh$"),
    ("activation", "relu", r"unknown 'relu'; known: "),  # it has no ratio at zero field
    ("activation", "leaky_relu", r"unknown 'leaky_relu'; known: "),
    ("hidden", 6, r"expected a tuple of widths, found 6"),
    ("hidden", "6", r"expected a tuple of widths, found '6'"),
    ("hidden", None, r"expected a tuple of widths, found None"),
    ("hidden", np.array([6]), r"expected a tuple of widths, found array"),
    ("hidden", (6, 0), f"{COUNT} 0"),
    ("hidden", (6, 2.5), f"{COUNT} 2.5"),
    ("hidden", (True,), f"{COUNT} True"),
]
OF_BATCHES = [("passes", value, "an integer >= 0") for value in (-1, 1.5, True)] + [
    ("batch_size", value, "an integer >= 1") for value in (0, 2.5, None)
]


def assert_refused_up_front(model, complaint):
    """Before the data are looked at: these are none, and leave no trace."""
    for method in ("fit", "partial_fit"):
        before = dict(vars(model))
        if hasattr(model, method):
            with pytest.raises(ValueError, match=rf"^{complaint}"):
                getattr(model, method)(x * np.nan, y)
        assert vars(model) == before


@pytest.mark.parametrize(("name", "value", "complaint"), REFUSED)
@pytest.mark.parametrize("hidden", [(), (6,)], ids=str)
@each_estimator
def test_settings_are_looked_at_first(kind, hidden, name, value, complaint):
    model = kind(**{"hidden": hidden, name: value})
    assert hasattr(model, "partial_fit") == (not hidden and name not in ("hidden", "rule"))
    assert_refused_up_front(model, f"{name}: {complaint}")


@pytest.mark.parametrize(("name", "value", "kind"), OF_BATCHES)
def test_settings_of_mini_batches_are_looked_at_first(name, value, kind):
    for hidden in ((), (6,)):
        model = ERClassifier(hidden, rule="newton", **{name: value})  # without a stream
        assert_refused_up_front(model, f"{name}: expected {kind}, found {value!r}$")


def test_a_stream_looks_at_its_settings_again():
    model = ERClassifier().partial_fit(x, y, classes=[0, 1, 2]).set_params(ridge=-1)
    assert_refused_up_front(model, f"ridge: {NOT_NEGATIVE} -1")


def test_passes_need_hidden_layers_and_take_no_weights():
    with pytest.raises(ValueError, match=r"^passes: 2, but there is no hidden layer to train"):
        ERClassifier(passes=2).fit(x, y)
    with pytest.raises(ValueError, match=r"^sample_weight: mini-batches \(passes > 0\) do not"):
        ERClassifier((6,), passes=2).fit(x, y, once)


def test_one_class_is_nothing_to_tell_apart():
    for call in (
        lambda: ERClassifier().fit(x, 0 * y),
        lambda: ERClassifier((6,)).fit(x, 0 * y),
        lambda: ERClassifier().partial_fit(x, 0 * y, classes=[0]),
    ):
        with pytest.raises(ValueError, match=r"^y: only one class"):
            call()


def test_classes_of_a_stream_are_settled_at_the_first_call():
    with pytest.raises(ValueError, match=r"^classes: all classes are needed at the first call"):
        ERClassifier().partial_fit(x, y)
    with pytest.raises(ValueError, match=r"^y: class .*2.* is none of \["):
        ERClassifier().partial_fit(x, y, classes=[0, 1])
    model = ERClassifier().partial_fit(x, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"^classes: classes .* where the fit before had"):
        model.partial_fit(x, y, classes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match=r"^y: class .*4.* is none of \["):
        model.partial_fit(x, y + 2)
    assert model.partial_fit(x, y, classes=[2, 1, 0]).classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("weights", [-once, once[:3]], ids=["negative", "too few"])
@each_estimator
def test_bad_weights_are_named(kind, weights, method):
    with pytest.raises(ValueError, match=r"sample_weight"):
        first_call(kind(), method, x, y, sample_weight=weights)


@each_estimator
def test_a_model_that_is_not_fitted_says_so(kind):
    for name in ("predict", "decision_function", "predict_proba"):
        if hasattr(kind, name):
            with pytest.raises(NotFittedError, match=kind.__name__):
                getattr(kind(), name)(x)


# ---------------------------------------------------------------- units and sizes


@with_passes
@pytest.mark.parametrize("hidden", [(), (20,)], ids=str)
@pytest.mark.parametrize("factor", [1e-30, 1e-12, 255, 1e15, "each its own"])
def test_neither_the_size_nor_the_units_of_columns_matter(factor, hidden, kind, how):
    how = {"hidden": hidden, **(how if hidden else {})}
    x, y, _ = data(kind)
    x = x.astype("f4")
    if factor == "each its own":
        factor = np.array([1e-9, 1, 1e4, 1e9])
    other = (x * factor).astype("f4")
    scores = [kind(random_state=0, **how).fit(each, y).score(each, y) for each in (x, other)]
    assert abs(scores[0] - scores[1]) < 0.02 and scores[0] > 0.5


def test_raw_columns_of_different_units():
    x, y = load_wine(return_X_y=True)
    for hidden in ((), (50,)):
        assert cross_val_score(ERClassifier(hidden, random_state=0), x, y).mean() > 0.95


def test_a_stream_scales_columns_by_all_that_it_has_seen():
    x, y = load_wine(return_X_y=True)
    model = ERClassifier()
    for part in np.array_split(np.random.default_rng(0).permutation(len(x)), 9):
        model.partial_fit(x[part], y[part], classes=range(3))
    whole = ERClassifier(updates=1).fit(x, y)
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.intercept_, whole.intercept_, rtol=1e-9)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("how", [{}, {"hidden": (20,)}], ids=str)
def test_the_rounding_of_a_constant_is_no_column(how, dtype):
    x, y, _ = measured()
    eps = np.finfo(dtype).eps
    noise = np.random.default_rng(1).integers(-2, 3, size=len(x))
    almost = np.column_stack([x, 1e3 * (1 + eps * noise)]).astype(dtype)
    exactly = np.column_stack([x, np.full(len(x), 1e3)]).astype(dtype)
    assert np.ptp(almost[:, -1]) > 0
    models = [ERRegressor(random_state=0, **how).fit(each, y) for each in (almost, exactly)]
    if not how:
        assert models[0].coef_[-1] == 0
        streamed = ERRegressor().partial_fit(almost[:50], y[:50]).partial_fit(almost[50:], y[50:])
        assert streamed.coef_[-1] == 0
    one, other = (model.predict(exactly) for model in models)
    np.testing.assert_allclose(one, other, rtol=1e-2 if dtype == "f4" else 1e-9)


@pytest.mark.parametrize("width", [100, 350, 1000])
def test_a_hidden_layer_of_any_width_regresses(width):
    """As wide as there are samples, its outputs would interpolate without a penalty."""
    x, y = load_diabetes(return_X_y=True)
    assert cross_val_score(ERRegressor((width,), random_state=0), x, y).mean() > 0.4
    assert ERRegressor()._ridge() == 0


@pytest.mark.parametrize("rule", ["er", "weighted_er"])
@pytest.mark.parametrize("hidden", [(), (5,)], ids=str)
def test_wide_tables_are_fitted_as_narrow_ones(hidden, rule, monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 1200)), rng.integers(3, size=40)
    how = {"updates": 3, "stop": None, "rule": rule, "random_state": 0}
    model = ERClassifier(hidden, **how).fit(x, y)
    monkeypatch.setattr(erlib.few_samples, "MANY_COLUMNS", 10**9)
    by_sums = ERClassifier(hidden, **how).fit(x, y)
    np.testing.assert_allclose(
        model.decision_function(x), by_sums.decision_function(x), rtol=1e-8, atol=1e-8
    )
    if not hidden:
        atol = 1e-8 * abs(by_sums.coef_).max()
        np.testing.assert_allclose(model.coef_, by_sums.coef_, rtol=0, atol=atol)


# ---------------------------------------------------------------- as scikit-learn's users expect


@pytest.mark.parametrize("activation", ["tanh", "identity"])
@pytest.mark.parametrize("classes", [2, 3])
def test_logarithms_of_probabilities(classes, activation):
    x, y, _ = labelled(classes=classes)
    model = ERClassifier(activation=activation).fit(x, y)
    far = np.vstack([x, 100 * x])
    p, log_p = model.predict_proba(far), model.predict_log_proba(far)
    np.testing.assert_allclose(np.exp(log_p), p, rtol=1e-12, atol=1e-300)
    assert (p == 0).any() and (log_p[p == 0] == -np.inf).all()


@with_and_without_hidden
def test_weights_of_classes_are_weights_of_their_samples(hidden):
    x, y, weights = labelled()
    by_class = {0: 3.0, 2: 0.5}
    model = ERClassifier(hidden, class_weight=by_class, random_state=0).fit(x, y, weights)
    factors = np.array([by_class.get(label, 1.0) for label in y])
    same = ERClassifier(hidden, random_state=0).fit(x, y, weights * factors)
    assert_same_model(model, same, x, rtol=1e-9)


def test_balanced_classes_count_alike():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2000, 2)), rng.random(2000) < 0.03
    x[y] += 1
    recall = [
        (ERClassifier(class_weight=how).fit(x, y).predict(x)[y]).mean()
        for how in (None, "balanced")
    ]
    assert recall[0] < 0.1 and recall[1] > 0.6


def test_weights_of_classes_stream():
    x, y, _ = labelled()
    how = {"class_weight": {0: 2.0, 1: 0.1}, "updates": 1}
    model = ERClassifier(**how).partial_fit(x[:40], y[:40], classes=range(3))
    assert_same_weights(model.partial_fit(x[40:], y[40:]), ERClassifier(**how).fit(x, y))


@pytest.mark.parametrize(
    ("how", "method", "complaint"),
    [
        ({"class_weight": "even"}, "fit", "class_weight: "),
        ({"class_weight": {0: -1}}, "fit", "class_weight: negative"),
        ({"class_weight": {9: 1}}, "fit", "class_weight: "),
        ({"class_weight": "balanced"}, "partial_fit", "class_weight: 'balanced' needs all labels"),
        ({"class_weight": "balanced", "hidden": (5,), "passes": 1}, "fit", "class_weight: mini-"),
    ],
)
def test_bad_weights_of_classes_are_named(how, method, complaint):
    x, y, _ = labelled()
    with pytest.raises(ValueError, match=complaint):
        first_call(ERClassifier(**how), method, x, y)


@each_estimator
def test_masked_entries_are_refused(kind):
    x, y, _ = data(kind)
    masked = np.ma.array(x, mask=x > 1)
    for some_x, some_y in ((masked, y), (x, np.ma.array(y, mask=y > 1))):
        with pytest.raises(ValueError, match="entries are masked"):
            kind().fit(some_x, some_y)
    with pytest.raises(ValueError, match=r"X: .* entries are masked"):
        kind().fit(x, y).predict(masked)
