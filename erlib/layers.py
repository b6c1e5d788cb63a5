"""The layers of an `ERNetwork`: a linear map, its activation, and what regression sees of them."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.nn.grad import conv2d_input

from .few_samples import moments_for
from .invert import conjugate_gradients, inverse_map
from .regress import CHUNK, Moments
from .regress_batch import regress_batch, regress_patches

_RESHAPES = (nn.Flatten, nn.Dropout, nn.Dropout2d)  # in inference form; their inverse is exact
AT_ONCE = 2**24  # numbers of patches, or of the fields of images, held at a time


class Tangent(NamedTuple):
    """A layer's fields as a linear function of the outputs below, near one point.

    `push` takes a change of these outputs to the change of the fields it causes, u -> u J; `pull`
    is its transpose, v -> v J', both with the weights that the layer has when they are called.
    `shape` is that of one sample's outputs, `inputs` is what the linear map sees of them.
    """

    push: Callable
    pull: Callable
    shape: tuple
    inputs: torch.Tensor


class DenseLayer(nn.Module):
    """A fully connected linear map and its activation, after modules that stay as they are.

    This is all that the network asks of a layer: the `inputs` of its linear map from the outputs of
    the layer below, its `field`, the `rows` that regression sees, the new weights `assign`ed, its
    tangent `near` a point, and `to_below`, the inverse mapping of its fields to the outputs below.
    """

    def __init__(self, linear, activation, before=()):
        super().__init__()
        self.before = nn.Sequential(*before)
        self.linear = linear
        self.activation = activation
        self.reshapes = all(isinstance(module, _RESHAPES) for module in before)

    @property
    def has_matrix(self):
        """Whether the layer's own W is the matrix from the outputs below to its fields."""
        return self.reshapes

    @property
    def weight(self):
        """W `[d_in, d_out]`, row-major as everywhere in erlib (torch keeps the transpose)."""
        return self.linear.weight.flatten(1).T

    @property
    def bias(self):
        """b `[d_out]`, or None for a layer without."""
        return self.linear.bias

    def inputs(self, below):
        """What the linear map sees of the outputs of the layer below."""
        for module in self.before:
            below = _in_inference(module, below)
        return below

    def field(self, x, weight=None, bias=None):
        """H `[n, d_out]` of x `[n, d_in]`, with the layer's own weights unless others are given."""
        if weight is None:
            weight, bias = self.weight, self.bias
        return x @ weight if bias is None else torch.addmm(bias, x, weight)

    def rows(self, x, h):
        """The regression problem of this layer: inputs and fields, one row for each field."""
        return x, h

    def pieces(self, x, h):
        """`rows` in pieces of bounded size."""
        yield self.rows(x, h)

    def regressed(self, inputs, wanted, ridge, regression=None):
        """Change of weights and bias that best gives a batch's fields what is `wanted` of them.

        And the change of the fields that it gives. `regression` as in `sequential_fit`.
        """
        regression = regression or regress_batch
        return regression(inputs, wanted, ridge, fit_intercept=self.bias is not None)

    def moments(self, samples=None):
        """Empty `Moments` that fit this layer; something quicker if there are few `samples`."""
        intercept = self.bias is not None
        if samples is None:
            return Moments(intercept)
        return moments_for(samples, self.weight.shape[0], intercept)

    @torch.no_grad()
    def assign(self, weight, bias, share=None):
        """Take over new weights, or with `share` add that part of a change of weights."""
        pairs = [(self.linear.weight, weight.T.reshape(self.linear.weight.shape))]
        if self.bias is not None:
            pairs.append((self.linear.bias, bias))
        for parameter, value in pairs:
            parameter.copy_(value) if share is None else parameter.add_(value, alpha=share)

    def near(self, below):
        """The `Tangent` of this layer at outputs `below` of the layer below."""
        inputs = _fixed_tangent(self, below)
        return Tangent(
            lambda change: inputs.push(change) @ self.weight.detach(),
            lambda delta: inputs.pull(delta @ self.weight.detach().T),
            below.shape[1:],
            inputs.inputs,
        )

    def to_below(self, method="pinv", damping=0.0, steps=None):
        """The inverse mapping, from a change of the fields and the tangent to one of the outputs.

        What depends on the weights alone is done once, here.
        """
        if self.has_matrix and method in ("pinv", "damped"):
            inverse = inverse_map(self.weight, method, damping, steps)
            return lambda delta, near: inverse(delta).reshape(-1, *near.shape)
        return _matrix_free(self, method, steps)


class ConvLayer(DenseLayer):
    """A convolution and its activation: the same, with one row for each pixel of the fields.

    The regression's inputs are the patches that the filters see; W has one row for each of their
    numbers and one column for each channel of the fields. A convolution in groups is as many
    regressions side by side: the filters of a group see its channels only.
    """

    def __init__(self, linear, activation, before=()):
        super().__init__(linear, activation, before)
        self.padding = linear.padding
        if isinstance(linear.padding, str):  # an uneven one stands in `before`
            sides = zip(linear.dilation, linear.kernel_size)
            even = linear.padding == "same" and not any(d * (k - 1) % 2 for d, k in sides)
            self.padding = tuple(
                d * (k - 1) // 2 if even else 0 for d, k in zip(linear.dilation, linear.kernel_size)
            )

    @property
    def has_matrix(self):
        return False

    def field(self, x, weight=None, bias=None):
        """H `[n, channels, height, width]` of x, with its own weights unless others are given."""
        weight, bias = (self.linear.weight, self.bias) if weight is None else (weight, bias)
        if weight.ndim == 2:
            weight = weight.T.reshape(self.linear.weight.shape)
        c = self.linear
        return functional.conv2d(x, weight, bias, c.stride, self.padding, c.dilation, c.groups)

    def rows(self, x, h):
        """Patches `[n * pixels, d_in]` and the fields of their pixels `[n * pixels, d_out]`.

        Those of groups beside each other, `d_in` times the number of groups.
        """
        c = self.linear
        patches = functional.unfold(x, c.kernel_size, c.dilation, self.padding, c.stride)
        return patches.transpose(1, 2).flatten(0, 1), h.flatten(2).transpose(1, 2).flatten(0, 1)

    def moments(self, samples=None):
        intercept, groups = self.bias is not None, self.linear.groups
        return Moments(intercept) if groups == 1 else _GroupedMoments(groups, intercept)

    def regressed(self, inputs, wanted, ridge, regression=None):
        groups = self.linear.groups
        if groups == 1:
            return self._regressed(inputs, wanted, ridge, regression)
        parts = zip(inputs.chunk(groups, 1), wanted.chunk(groups, 1))
        found = [self._regressed(x, h, ridge, regression) for x, h in parts]
        weight, bias, given = (list(part) for part in zip(*found))
        bias = None if self.bias is None else torch.cat(bias)
        return torch.cat(weight, 1), bias, torch.cat(given, 1)

    def _regressed(self, inputs, wanted, ridge, regression):
        if regression is None:
            bias = self.bias is not None
            how = {"fit_intercept": bias, "padding": self.padding}
            return regress_patches(self.linear, inputs, wanted, ridge, **how)
        weight, bias, given = super().regressed(*self.rows(inputs, wanted), ridge, regression)
        n, channels, height, width = wanted.shape
        return weight, bias, given.reshape(n, height, width, channels).permute(0, 3, 1, 2)

    def pieces(self, x, h):
        pixels = h.shape[2:].numel()
        width = self.weight.shape[0] * self.linear.groups
        samples = max(1, min(AT_ONCE // width, CHUNK) // pixels)
        for start in range(0, len(x), samples):
            part = slice(start, start + samples)
            yield self.rows(x[part], h[part])

    def near(self, below):
        inputs, c = _fixed_tangent(self, below), self.linear
        weight, how = c.weight.detach(), (c.stride, self.padding, c.dilation, c.groups)
        seen = inputs.inputs.shape
        return Tangent(
            lambda change: functional.conv2d(inputs.push(change), weight, None, *how),
            lambda delta: inputs.pull(conv2d_input(seen, weight, delta, *how)),
            below.shape[1:],
            inputs.inputs,
        )

    def to_below(self, method="pinv", damping=0.0, steps=None):
        return _matrix_free(self, method, steps)


class _GroupedMoments:
    """`Moments` of each group of a convolution, from rows in which groups are beside each other."""

    def __init__(self, groups, fit_intercept):
        self.groups = [Moments(fit_intercept) for _ in range(groups)]

    def accumulate(self, x, h, weights=None):
        count = len(self.groups)
        for moments, *columns in zip(self.groups, x.chunk(count, 1), h.chunk(count, 1)):
            moments.accumulate(*columns, weights)

    def solve(self, ridge=0.0):
        weight, bias = zip(*(moments.solve(ridge) for moments in self.groups))
        return torch.cat(weight, 1), torch.cat(bias)


def _in_inference(module, x):
    """A fixed module, as it is after training, whatever mode it is in."""
    if isinstance(module, (nn.Dropout, nn.Dropout2d)):
        return x
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
        known = module.running_mean, module.running_var, module.weight, module.bias
        return functional.batch_norm(x, *known, training=False, eps=module.eps)
    return module(x)


def _fixed_tangent(layer, below):
    """The `Tangent` of the fixed modules alone.

    By the vector-Jacobian product and that one's own: it is linear in the vector, so its derivative
    is the Jacobian-vector product, and one forward pass serves any number of both.
    """
    if layer.reshapes:
        inputs = layer.inputs(below)
        return Tangent(
            lambda change: change.reshape(inputs.shape),
            lambda delta: delta.reshape(below.shape),
            below.shape[1:],
            inputs,
        )
    with torch.enable_grad():
        below = below.detach().requires_grad_()
        inputs = layer.inputs(below)
        v = torch.zeros_like(inputs, requires_grad=True)
        (pulled,) = torch.autograd.grad(inputs, below, v, create_graph=True)
    return Tangent(
        lambda change: torch.autograd.grad(pulled, v, change, retain_graph=True)[0],
        lambda delta: torch.autograd.grad(inputs, below, delta, retain_graph=True)[0],
        below.shape[1:],
        inputs.detach(),
    )


def _matrix_free(layer, method, steps):
    """`to_below` by products with the Jacobian alone."""
    if method == "transpose":
        return lambda delta, near: near.pull(delta)
    if method == "cg":
        return lambda delta, near: conjugate_gradients(near.push, near.pull, delta, steps)
    raise ValueError(
        f"inverse: {method!r} needs the matrix of {layer.linear!r} after {list(layer.before)}; "
        "take 'cg' with steps (many are the pseudo-inverse) or 'transpose'"
    )


def dense_only(network, what):
    """Raise ValueError unless all layers are fully connected, without fixed modules between."""
    for number, layer in enumerate(network.layers, start=1):
        if type(layer) is not DenseLayer or len(layer.before):
            raise ValueError(f"network: {what} takes dense layers only, layer {number} is {layer}")
