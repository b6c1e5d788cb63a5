import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from erlib import regress
from erlib.regress_batch import regress_batch, regress_patches


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.booleans(), st.integers(0, 1000))
def test_both_forms_of_the_regression_are_regress(n, d, fit_intercept, seed):
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=random, dtype=torch.float64) + 0.5
    h = torch.randn(n, 2, generator=random, dtype=torch.float64)
    weight, bias, given_fields = regress_batch(x, h, 0.3, fit_intercept=fit_intercept)
    expected, b = regress(x, h, ridge=0.3, fit_intercept=fit_intercept)
    torch.testing.assert_close(weight, expected, rtol=1e-9, atol=1e-11)
    if fit_intercept:
        torch.testing.assert_close(bias, b, rtol=1e-9, atol=1e-11)
    else:
        assert bias is None
    torch.testing.assert_close(given_fields, x @ expected + b, rtol=1e-9, atol=1e-11)


def test_equal_samples_move_nothing_but_the_bias():
    h = torch.tensor([[10.0, -10.0], [-30.0, 10.0]]).repeat(3, 1)
    weight, bias, given_fields = regress_batch(torch.ones(6, 4), h, 1.0)
    assert torch.equal(weight, torch.zeros(4, 2)) and torch.equal(bias, h.mean(0))
    torch.testing.assert_close(given_fields, h.mean(0).expand(6, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("constant", [0.0, 0.1, 0.7, 1e6])
def test_what_rounding_makes_of_a_constant_is_not_regressed_on(constant, dtype):
    # A constant whose mean is not itself in floating point would be divided by its own rounding.
    x, h = torch.full((64, 1, 12, 12), constant, dtype=dtype), draw(64, 2, 10, 10).to(dtype)
    images = regress_patches(nn.Conv2d(1, 2, 3, dtype=dtype), x, h, 10.0)
    rows = regress_batch(x[:, 0, 0], h[:, :, 0, 0], 10.0)
    few = regress_batch(x[:5, 0, 0], h[:5, :, 0, 0], 10.0)
    for weight, bias, fields in (images, rows, few):
        assert not weight.any()
        torch.testing.assert_close(
            fields[-1].flatten(1)[:, 0] if fields.ndim > 2 else fields[-1], bias
        )


def patches_and_fields(convolution, x, h):
    """One row a pixel, by taking each patch out of the padded images."""
    c, n = convolution, len(x)
    (dy, dx), (top, left) = c.dilation, c.padding
    high, wide = (dy * (c.kernel_size[0] - 1) + 1, dx * (c.kernel_size[1] - 1) + 1)
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (top, top), (left, left)))
    rows = {}
    for i in range(h.shape[2]):
        for j in range(h.shape[3]):
            y0, x0 = i * c.stride[0], j * c.stride[1]
            patch = padded[:, :, y0 : y0 + high : dy, x0 : x0 + wide : dx]
            rows[i, j] = torch.tensor(patch.reshape(n, -1)), h[:, :, i, j]
    return rows


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize(
    "how",
    [{}, {"stride": 2}, {"padding": 2}, {"dilation": 2}, {"stride": (2, 1), "padding": (0, 1)}],
)
def test_patches_are_regressed_as_rows(how, every, fit_intercept):
    convolution = nn.Conv2d(2, 3, (3, 2), **how).double()
    x = draw(5, 2, 9, 8) + 1
    h = torch.randn_like(convolution(x).detach()) * 2 - 0.5
    weight, bias, given_fields = regress_patches(
        convolution, x, h, 0.7, fit_intercept=fit_intercept, every=every
    )
    rows = patches_and_fields(convolution, x, h)
    patches, fields = (torch.cat(part) for part in zip(*rows.values()))
    few = torch.cat([patch for (i, j), (patch, _) in rows.items() if i % every == j % every == 0])
    x_mean, h_mean, few_mean = (part.mean(0) * fit_intercept for part in (patches, fields, few))
    gram = (few - few_mean).T @ (few - few_mean) * len(patches) / len(few)
    gram += 0.7 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    expected = torch.linalg.solve(gram, (patches - x_mean).T @ (fields - h_mean))
    torch.testing.assert_close(weight, expected, rtol=1e-9, atol=1e-11)
    if every == 1:  # no estimate
        exact, b = regress(patches, fields, ridge=0.7, fit_intercept=fit_intercept)
        torch.testing.assert_close(weight, exact, rtol=1e-9, atol=1e-11)
    b = h_mean - x_mean @ expected
    assert (bias is None) is not fit_intercept
    if fit_intercept:
        torch.testing.assert_close(bias, b, rtol=1e-9, atol=1e-11)
    found = {(i, j): given_fields[:, :, i, j] for i, j in rows}
    for place, (patch, _) in rows.items():
        torch.testing.assert_close(found[place], patch @ expected + b, rtol=1e-9, atol=1e-10)


def test_black_images_move_nothing_but_the_bias():
    h = draw(4, 3, 5, 5).float()
    weight, bias, _ = regress_patches(nn.Conv2d(1, 3, 3), torch.zeros(4, 1, 7, 7), h, 1.0)
    assert torch.equal(weight, torch.zeros(9, 3))
    torch.testing.assert_close(bias, h.mean((0, 2, 3)))


@pytest.mark.parametrize(("n", "every"), [(7, 1), (8, 2)])
def test_every_second_pixel_is_enough_where_it_leaves_twice_as_many_patches_as_inputs(n, every):
    convolution = nn.Conv2d(1, 2, 4).double()  # 16 inputs; 4 pixels of 16 an image
    x, h = draw(n, 1, 7, 7), draw(n, 2, 4, 4, seed=1)
    weights = [regress_patches(convolution, x, h, 1.0, every=e)[0] for e in (None, 1, 2)]
    assert torch.equal(weights[0], weights[every]) and not torch.equal(weights[1], weights[2])


UNSEEN = {
    "odd rows": (lambda x: x[:, :, ::2].zero_(), {"kernel_size": 1}),
    "beside the corner": (lambda x: x[:, :, :4, :4].zero_(), {"kernel_size": 4, "stride": 4}),
}


@pytest.mark.parametrize("case", UNSEEN)
def test_no_move_is_far_larger_than_asked_where_every_second_pixel_is_dark(case):
    darken, how = UNSEEN[case]
    x, convolution = draw(64, 1, 8, 8).abs(), nn.Conv2d(1, 2, **how).double()
    darken(x)
    x[:, :, 0, 0] += 1e-3 * draw(64, 1, seed=1)  # not quite dark
    wanted = draw(*convolution(x).shape, seed=2)
    found = regress_patches(convolution, x, wanted, 1.0)
    exact = regress_patches(convolution, x, wanted, 1.0, every=1)
    for one, other in zip(found, exact):
        torch.testing.assert_close(one, other)
    estimated = regress_patches(convolution, x, wanted, 1.0, every=2)[2]
    assert estimated.norm() > 10 * exact[2].norm(), "the case tests nothing"
