"""The layers of an `ERNetwork`: a linear map, its activation, and what regression sees of them."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from .activations import Activation
from .activations import activation as activation_by_name
from .invert import conjugate_gradients, inverse_map
from .regress import Moments
from .stored import ARGUMENTS

_ACTIVATIONS = {
    nn.Tanh: "tanh",
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.Identity: "identity",
    nn.Softsign: "softsign",
}
_RESHAPES = (nn.Flatten, nn.Dropout, nn.Dropout2d)  # in inference form; their inverse is exact
_FIXED = tuple(kind for kind in ARGUMENTS if kind not in (nn.Linear, nn.Conv2d))
_AT_ONCE = 2**24  # numbers of patches held at a time


class Tangent(NamedTuple):
    """A layer's fields as a linear function of the outputs below, near one point.

    `push` takes a change of these outputs to the change of the fields it causes, u -> u J; `pull`
    is its transpose, v -> v J'. `shape` is that of one sample's outputs.
    """

    push: Callable
    pull: Callable
    shape: tuple


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

    def train(self, mode=True):
        """The fixed modules stay in their inference form, whatever the mode of the network."""
        super().train(mode)
        self.before.eval()
        return self

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
        return self.before(below)

    def field(self, x, weight=None, bias=None):
        """H `[n, d_out]` of x `[n, d_in]`, with the layer's own weights unless others are given."""
        if weight is None:
            weight, bias = self.weight, self.bias
        return x @ weight if bias is None else torch.addmm(bias, x, weight)

    def rows(self, x, h):
        """The regression problem of this layer: inputs and fields, one row for each field."""
        return x, h

    def from_rows(self, rows, like):
        """Fields in rows, as `rows` has them, in the shape of the fields `like`."""
        return rows

    def pieces(self, x, h):
        """`rows` in pieces of bounded size."""
        yield self.rows(x, h)

    def moments(self):
        """Empty `Moments` that fit this layer."""
        return Moments(fit_intercept=self.bias is not None)

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
        if self.reshapes:
            weight = self.weight.detach()
            return Tangent(
                lambda change: change.flatten(1) @ weight,
                lambda delta: (delta @ weight.T).reshape(below.shape),
                below.shape[1:],
            )
        return _tangent(lambda at: self.inputs(at) @ self.weight.detach(), below)

    def to_below(self, method="pinv", damping=0.0, steps=None):
        """The inverse mapping, from a change of the fields and the tangent to one of the outputs.

        What depends on the weights alone is done once, here.
        """
        if self.reshapes and method in ("pinv", "damped"):
            inverse = inverse_map(self.weight, method, damping, steps)
            return lambda delta, near: inverse(delta).reshape(-1, *near.shape)
        return _matrix_free(self, method, steps)


class ConvLayer(DenseLayer):
    """A convolution and its activation: the same, with one row for each pixel of the fields.

    The regression's inputs are the patches that the filters see; W has one row for each of their
    numbers and one column for each channel of the fields.
    """

    def field(self, x, weight=None, bias=None):
        """H `[n, channels, height, width]` of x, with its own weights unless others are given."""
        weight, bias = (self.linear.weight, self.bias) if weight is None else (weight, bias)
        if weight.ndim == 2:
            weight = weight.T.reshape(self.linear.weight.shape)
        c = self.linear
        return functional.conv2d(x, weight, bias, c.stride, c.padding, c.dilation)

    def rows(self, x, h):
        """Patches `[n * pixels, d_in]` and the fields of their pixels `[n * pixels, d_out]`."""
        c = self.linear
        patches = functional.unfold(x, c.kernel_size, c.dilation, c.padding, c.stride)
        return patches.transpose(1, 2).flatten(0, 1), h.flatten(2).transpose(1, 2).flatten(0, 1)

    def from_rows(self, rows, like):
        n, channels, height, width = like.shape
        return rows.reshape(n, height, width, channels).permute(0, 3, 1, 2)

    def pieces(self, x, h):
        samples = max(1, _AT_ONCE // (self.weight.shape[0] * h[0, 0].numel()))
        for start in range(0, len(x), samples):
            part = slice(start, start + samples)
            yield self.rows(x[part], h[part])

    def near(self, below):
        weight = self.linear.weight.detach()
        return _tangent(lambda at: self.field(self.inputs(at), weight, None), below)

    def to_below(self, method="pinv", damping=0.0, steps=None):
        return _matrix_free(self, method, steps)


def _tangent(fields, below):
    """The tangent of any torch function, by its vector-Jacobian product and that one's own.

    The second is linear in the vector, so its derivative is the Jacobian-vector product: one
    forward pass serves any number of products with J and J'.
    """
    with torch.enable_grad():
        below = below.detach().requires_grad_()
        h = fields(below)
        v = torch.zeros_like(h, requires_grad=True)
        (pulled,) = torch.autograd.grad(h, below, v, create_graph=True)

    def push(change):
        return torch.autograd.grad(pulled, v, change, retain_graph=True)[0]

    def pull(delta):
        return torch.autograd.grad(h, below, delta, retain_graph=True)[0]

    return Tangent(push, pull, below.shape[1:])


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


def paired(layers, output):
    """Check the list of torch modules and return it as layers.

    Linear maps (`Linear`, `Conv2d`), each but the last with the activation that follows it, and the
    fixed modules before it (pooling, flattening, normalisation and dropout in inference form).
    """
    if not isinstance(layers, (list, tuple, nn.Sequential)) or len(layers) == 0:
        raise ValueError(f"layers: expected a non-empty list of torch layers, found {layers!r}")
    found, before, linear = [], [], None
    for index, module in enumerate(layers):
        name = f"layers[{index}]"
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            if linear is not None:
                raise ValueError(f"{name}: expected an activation, found {module!r}")
            _check_linear(name, module, found, before)
            linear = module
        elif linear is not None:
            found.append(_layer(linear, _activation(name, module), before))
            before, linear = [], None
        elif isinstance(module, _FIXED):
            before.append(module)
        else:
            raise ValueError(f"{name}: expected {_expected(found, before)}, found {module!r}")
    if not isinstance(linear, nn.Linear):
        raise ValueError("layers: the last one must be a Linear; its activation is `output`")
    return [*found, _layer(linear, output, before)]


def _layer(linear, activation, before):
    kind = ConvLayer if isinstance(linear, nn.Conv2d) else DenseLayer
    return kind(linear, activation, before).eval()


def _expected(found, before):
    if not found and not before:
        return "torch.nn.Linear or Conv2d"
    known = ", ".join(kind.__name__ for kind in _FIXED)
    return f"torch.nn.Linear, Conv2d or one of {known}"


def _check_linear(name, linear, found, before):
    if isinstance(linear, nn.Conv2d):
        if linear.groups != 1 or linear.padding_mode != "zeros" or isinstance(linear.padding, str):
            raise ValueError(
                f"{name}: expected a convolution in one group, padded with a number of zeros, "
                f"found {linear!r}"
            )
    elif found and not before:
        below = found[-1]
        if isinstance(below, ConvLayer):
            raise ValueError(
                f"{name}: {linear!r} after a convolution needs torch.nn.Flatten before"
            )
        if below.weight.shape[1] != linear.in_features:
            raise ValueError(
                f"{name}: takes {linear.in_features} inputs, the layer before has "
                f"{below.weight.shape[1]} outputs"
            )
    allowed = {found[0].linear.weight.dtype} if found else {torch.float32, torch.float64}
    if linear.weight.dtype not in allowed:
        raise ValueError(
            f"{name}: found {linear.weight.dtype}, expected torch.float32 or torch.float64, the "
            "same in all layers"
        )


def _activation(name, given):
    if isinstance(given, (str, Activation)):
        return activation_by_name(given)
    if type(given) not in _ACTIVATIONS:
        hint = ""
        if isinstance(given, (nn.BatchNorm1d, nn.BatchNorm2d)):
            hint = " (fuse it: torch.nn.utils.fusion.fuse_conv_bn_eval)"
        raise ValueError(f"{name}: expected an activation, found {given!r}{hint}")
    if isinstance(given, nn.LeakyReLU) and given.negative_slope != 0.01:
        raise ValueError(f"{name}: LeakyReLU only with slope 0.01, found {given!r}")
    return activation_by_name(_ACTIVATIONS[type(given)])
