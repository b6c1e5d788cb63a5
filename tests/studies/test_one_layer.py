"""The five methods of S7, what one update misses, and the loss that they are measured by."""

import itertools
import math

import numpy as np
import pytest
import torch

import erlib
from erlib.single_layer import single_layer_fit
from erlib.studies import one_layer as study
from erlib.studies import perceptron
from erlib.theory.implicit_loss import implicit_loss

RULES = {"Böhning": "boehning", "ER": "er", "weighted ER": "weighted_er", "Newton": "newton"}


def problem(seed=0, scale=1.0, n=300, d=4):
    generator = torch.Generator().manual_seed(seed)
    x = perceptron.normal(generator, n, d)
    return x, perceptron.spins(x @ (scale * perceptron.normal(generator, d, 1) / 2), generator)


@pytest.mark.parametrize("method", RULES)
def test_each_method_is_the_rule_of_the_library(method):
    x, t = problem()
    *_, end = study.iterate(method, x, t)
    found = single_layer_fit(
        x, t, rule=RULES[method], stop=None, updates=200, fit_intercept=False
    ).weight
    assert study.relative(end, found) < 1e-8


@pytest.mark.parametrize("method", study.FAMILY)
def test_with_a_penalty_each_stops_where_its_weighted_errors_balance_it(method):
    x, t = problem(1)
    penalty = 30.0
    *_, end = study.iterate(method, x, t, penalty)
    target, omega = study.FAMILY[method]
    h = x @ end
    balance = x.T @ (omega(h) * (target(h, t) - h)) - penalty * end
    assert balance.abs().max() < 1e-8


def test_the_distances_end_at_the_likelihood_but_for_er_and_least_squares():
    rows = study.distances(seed=3)
    last = {row["arm"]: row["distance"] for row in rows}  # of a method's rows, the last
    assert max(last[name] for name in ("Böhning", "weighted ER", "Newton")) < 1e-10
    assert 1e-3 < last["ER"] < 0.2 < last["least squares"]


def test_with_more_samples_er_comes_to_the_true_weights_and_least_squares_does_not():
    few, many = (
        {row["arm"]: row["distance"] for row in study.from_truth(n=n, seed=0)} for n in (100, 9000)
    )
    assert many["ER"] < 0.06 < few["ER"]
    assert abs(many["ER"] - many["logistic regression"]) < 0.02
    assert many["least squares"] > 0.3


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_errors_shrink_as_predicted(scale):
    for row in study.contraction(scale=scale, n=500):
        assert row["measured"] == pytest.approx(row["predicted"], rel=1e-2)


def test_the_first_update_on_images_is_least_squares_for_every_method():
    found = [study.solutions("digits", arm, 2, 0.1) for arm in study.FAMILY]
    first, second = ([updates[k][0] for updates in found] for k in (0, 1))
    for weight in first[1:]:
        torch.testing.assert_close(weight, first[0])
    pairs = itertools.combinations(second, 2)
    assert min(study.relative(one, other) for one, other in pairs) > 0.01


def test_what_one_update_misses_is_within_its_bound_and_grows_with_the_fields():
    errors = []
    for scale in (0.125, 1.0, 8.0):
        (row,) = study.first_update(inputs="Gaussian", scale=scale, seed=0, n=500, n_test=100)
        assert row["error"] <= row["bound"] < 1 + 1e-12
        errors.append(row["error"])
    assert errors == sorted(errors) and errors[0] < 0.1 and errors[-1] > 0.7


def test_images_are_made_white_and_stay_images():
    x = study.whitened("digits", 5)
    n = len(x)
    assert torch.allclose(x.T @ x / n, torch.eye(5, dtype=x.dtype), atol=1e-10)
    drawn = study.draw_inputs("digits", 50, torch.ones(5), torch.Generator().manual_seed(0))
    assert all((x == row).all(1).any() for row in drawn)


def test_each_image_is_read_once_and_all_methods_begin_the_same():
    rows = study.cross_validated(dataset="digits", ridge=0.1, updates=3, folds=2)
    first = [row for row in rows if row["update"] == 1]
    assert len(rows) == 3 * len(study.FAMILY) and {row["behind"] for row in first} == {0.0}
    images = len(study.images("digits").y_train) + len(study.images("digits").y_test)
    for row in rows:
        apart = row["er_alone"] - row["it_alone"]
        assert row["behind"] == pytest.approx(100 * apart / images, abs=1e-9)
        assert (row["half"] > 0) == (row["er_alone"] + row["it_alone"] > 0)


def test_with_one_penalty_three_methods_end_at_the_same_fit_and_er_beside_it():
    rows = study.cross_validated(dataset="digits", ridge=10.0, updates=6, folds=2)
    end = {row["arm"]: row["discrepancy"] for row in rows if row["update"] == 6}
    assert end["weighted ER"] == pytest.approx(end["Newton"], rel=1e-3)
    assert end["Böhning"] == pytest.approx(end["Newton"], rel=1e-2)
    assert abs(end["ER"] / end["Newton"] - 1) > 0.02


def test_one_gram_matrix_serves_all_updates():
    data = study.images("digits")
    x, t = data.x_train.flatten(1), 2.0 * torch.nn.functional.one_hot(data.y_train, 10) - 1
    fields = torch.zeros_like(t, dtype=x.dtype)
    for weight, bias in study.solutions("digits", "ER", 3, 0.1):
        found, shift = erlib.regress(x, erlib.reflect(fields, t.double()), ridge=0.1)
        torch.testing.assert_close((weight, bias), (found, shift))
        fields = x @ weight + bias


def test_at_the_greatest_likelihood_the_errors_balance_the_penalty():
    end, mean, penalty = study.likeliest("digits", 0.1)
    data = study.images("digits")
    x = data.x_train.flatten(1) - mean
    errors = (
        2.0 * torch.nn.functional.one_hot(data.y_train, 10) - 1 - (x @ end[:-1] + end[-1]).tanh()
    )
    assert (x.T @ errors - penalty * end[:-1]).abs().max() < 1e-3 * (x.T @ errors).abs().max()
    assert errors.sum(0).abs().max() < 1e-2


def test_er_ends_level_with_the_likelihood_on_digits():
    (row,) = study.one_against_rest(dataset="digits", ridge=0.1, updates=100)
    assert abs(row["behind"]) < row["half"] and 0.9 < row["accuracy"] < 1


def test_the_fields_of_fitted_units_grow_with_the_updates():
    early, late = study.size_of_fields("digits", 5, 0.1)
    assert 0.3 < early < 0.6 < late


# ---------------------------------------------------------------- notebook 01


def test_the_closed_form_of_the_loss_is_the_integral():
    h = np.concatenate([np.linspace(-9, 9, 37), [1e-9, -1e-9]])
    for target in (-1.0, 0.3, 1.0):
        found = perceptron.loss_of_tanh(h, target)
        np.testing.assert_allclose(found, implicit_loss(h, np.full_like(h, target)), atol=1e-12)


def test_er_never_raises_the_loss_on_images_and_a_large_rate_does():
    rows = perceptron.descents(dataset="digits", updates=8, ridge=0.1, rates=(1.0, 10.0))
    losses = {}
    for row in rows:
        losses.setdefault(row["arm"], []).append(row["loss"])
    descents = {"gradient descent, 1 × rate", "gradient descent, 10 × rate"}
    assert losses.keys() == {"ER", "Newton", *descents}
    for arm in ("ER", "gradient descent, 1 × rate"):  # both are sure to descend
        assert (np.diff(losses[arm]) < 0).all()
    assert losses["gradient descent, 10 × rate"][-1] > losses["ER"][0] == 0
    assert losses["ER"][1] < losses["gradient descent, 1 × rate"][1]
    assert losses["Newton"][-1] < losses["ER"][-1]
    assert losses["Newton"][-2] == pytest.approx(losses["Newton"][-1], abs=2e-3), "its end"


def test_descent_at_a_small_rate_is_the_gradient_of_that_loss():
    start, after = (
        row["loss"]
        for row in perceptron.descents(dataset="digits", updates=1, ridge=0.0, rates=(1e-4,))
        if row["arm"].startswith("gradient")
    )
    data = erlib.load("digits", dtype=torch.float64)
    x = data.x_train.flatten(1)
    x = torch.hstack([x - x.mean(0), x.new_ones(len(x), 1)])
    t = 2.0 * torch.nn.functional.one_hot(data.y_train, 10) - 1
    gradient = x.T @ t.double()  # of the negative sum, at zero fields
    steepest = max(torch.linalg.eigvalsh(x.T @ x)[-1].item(), len(x))
    expected = 1e-4 / steepest * gradient.square().sum().item() / len(x)
    assert start - after == pytest.approx(expected, rel=1e-3)


def test_the_guarantee_holds_to_size_1_of_the_targets_and_not_beyond():
    (within,), (beyond,) = (
        perceptron.worst_change(size=size, starts=2, seed=1) for size in (1.0, 1.2)
    )
    assert within["change"] < 0 < beyond["change"]


@pytest.mark.parametrize(
    ("activation", "code", "rises"),
    [
        ("tanh", "+1 or -1", False),
        ("relu", "+1 or 0", False),
        ("relu", "+1 or -1", True),
        ("leaky_relu", "+1 or -1", True),
    ],
)
def test_random_problems_rise_where_the_unit_cannot_give_its_targets(activation, code, rises):
    (row,) = perceptron.rising(activation=activation, code=code, problems=2)
    assert row["updates"] == 400 and (row["rises"] > 0) == rises


def test_the_bound_is_lowest_at_the_reflected_field():
    for h, t in ((-2.0, 1.0), (0.3, -1.0)):
        assert perceptron.lowest_of_bound(h, t) == pytest.approx(t * h / math.tanh(h), abs=1e-6)
