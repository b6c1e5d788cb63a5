"""The span by itself; what it finds, `test_regress` compares with singular values."""

import pytest
import torch

from erlib.few_samples import MANY_COLUMNS, Rows, Span, few


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_it_is_for_many_columns_and_few_samples():
    assert few(60, 8000) and few(MANY_COLUMNS // 2, MANY_COLUMNS)
    assert not few(2, MANY_COLUMNS - 1) and not few(MANY_COLUMNS // 2 + 1, MANY_COLUMNS)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_the_span_is_that_of_the_samples(fit_intercept):
    x = draw(6, 1000) + 5
    x[3], x[:, 7] = x[2], 2.0
    span = Span(x, fit_intercept)
    assert span.z.shape == (6, 4 if fit_intercept else 5), "two samples are alike"
    assert torch.allclose(span.v.T @ span.v, torch.eye(span.z.shape[1]).double())
    assert torch.allclose(span.z @ span.v.T + span.mean, x)


def test_the_penalty_stays_relative_to_the_mean_variance_of_a_column():
    x = draw(5, 1000)
    span = Span(x)
    by_column, by_coordinate = (
        (part - part.mean(0)).square().sum(0).mean() for part in (x, span.z)
    )
    assert torch.isclose(span.ridge(0.25) * by_coordinate, 0.25 * by_column)


def test_rows_come_in_parts():
    x, h, weights = draw(6, 1000), draw(6, 2), torch.tensor([1.0, 2, 0, 1, 1, 3])
    whole, parts = Rows(), Rows()
    whole.accumulate(x, h, weights)
    for part in (slice(2), slice(2, 3), slice(3, 6)):
        parts.accumulate(x[part], h[part], weights[part])
    for one, other in zip(whole.solve(0.1), parts.solve(0.1)):
        assert torch.equal(one, other)


def test_no_sample_with_a_weight_is_nothing_to_solve():
    rows = Rows()
    rows.accumulate(draw(3, 1000), draw(3, 2), torch.zeros(3))
    with pytest.raises(ValueError, match="no sample with a positive weight"):
        rows.solve()


def test_columns_that_are_all_constant_get_no_weight():
    rows, h = Rows(), draw(4, 2)
    rows.accumulate(torch.full((4, 1000), 1.1, dtype=torch.float64), h)
    weight, bias = rows.solve()
    assert not weight.any() and torch.allclose(bias, h.mean(0))
