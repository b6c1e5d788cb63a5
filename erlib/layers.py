"""The layers of an `ERNetwork`: a linear map, its activation, and what regression sees of them."""

import torch
from torch import nn

from .activations import Activation
from .activations import activation as activation_by_name
from .invert import inverse_map
from .regress import Moments

_MODULES = {
    nn.Tanh: "tanh",
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.Identity: "identity",
    nn.Softsign: "softsign",
}


class DenseLayer(nn.Module):
    """A fully connected linear map and its activation.

    This is all that the network asks of a layer: its `field`, the `rows` that regression sees (a
    convolution would give patches and pixels here), the new weights `assign`ed, and `to_below`, the
    inverse mapping of its fields to its inputs.
    """

    def __init__(self, linear, activation):
        super().__init__()
        self.linear = linear
        self.activation = activation

    @property
    def weight(self):
        """W `[d_in, d_out]`, row-major as everywhere in erlib (torch keeps the transpose)."""
        return self.linear.weight.T

    @property
    def bias(self):
        """b `[d_out]`, or None for a layer without."""
        return self.linear.bias

    def field(self, x, weight=None, bias=None):
        """H `[n, d_out]` of x `[n, d_in]`, with the layer's own weights unless others are given."""
        if weight is None:
            weight, bias = self.weight, self.bias
        return x @ weight if bias is None else torch.addmm(bias, x, weight)

    def rows(self, x, h):
        """The regression problem of this layer: inputs and fields, one sample a row."""
        return x, h

    def moments(self):
        """Empty `Moments` that fit this layer."""
        return Moments(fit_intercept=self.bias is not None)

    @torch.no_grad()
    def assign(self, weight, bias, share=None):
        """Take over new weights, or with `share` add that part of a change of weights."""
        pairs = [(self.linear.weight, weight.T)]
        if self.bias is not None:
            pairs.append((self.linear.bias, bias))
        for parameter, value in pairs:
            parameter.copy_(value) if share is None else parameter.add_(value, alpha=share)

    def to_below(self, **inverse):
        """The inverse mapping: a function from a change `[n, d_out]` to a change `[n, d_in]`."""
        return inverse_map(self.weight, **inverse)


def paired(layers, output):
    """Check the list of torch layers and return it as DenseLayers."""
    if not isinstance(layers, (list, tuple, nn.Sequential)) or len(layers) == 0:
        raise ValueError(f"layers: expected a non-empty list of torch layers, found {layers!r}")
    layers = list(layers)
    if len(layers) % 2 == 0:
        raise ValueError("layers: the last one must be a Linear; its activation is `output`")
    result = []
    for index in range(0, len(layers), 2):
        linear = layers[index]
        if not isinstance(linear, nn.Linear):
            raise ValueError(f"layers[{index}]: expected torch.nn.Linear, found {linear!r}")
        if result and result[-1].weight.shape[1] != linear.in_features:
            raise ValueError(
                f"layers[{index}]: takes {linear.in_features} inputs, the layer before has "
                f"{result[-1].weight.shape[1]} outputs"
            )
        allowed = {result[0].weight.dtype} if result else {torch.float32, torch.float64}
        if linear.weight.dtype not in allowed:
            raise ValueError(
                f"layers[{index}]: found {linear.weight.dtype}, expected torch.float32 or "
                "torch.float64, the same in all layers"
            )
        last = index + 1 == len(layers)
        result.append(DenseLayer(linear, output if last else _activation(index, layers[index + 1])))
    return result


def _activation(index, given):
    if isinstance(given, (str, Activation)):
        return activation_by_name(given)
    if type(given) not in _MODULES:
        raise ValueError(f"layers[{index + 1}]: expected an activation, found {given!r}")
    if isinstance(given, nn.LeakyReLU) and given.negative_slope != 0.01:
        raise ValueError(f"layers[{index + 1}]: LeakyReLU only with slope 0.01, found {given!r}")
    return activation_by_name(_MODULES[type(given)])
