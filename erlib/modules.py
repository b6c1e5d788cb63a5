"""Which torch modules make an `ERNetwork`: the list is checked and paired into layers."""

import torch
from torch import nn

from .activations import Activation
from .activations import activation as activation_by_name
from .layers import ConvLayer, DenseLayer
from .stored import ARGUMENTS

_ACTIVATIONS = {
    nn.Tanh: "tanh",
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.Identity: "identity",
    nn.Softsign: "softsign",
}
_FIXED = tuple(kind for kind in ARGUMENTS if kind not in (nn.Linear, nn.Conv2d))


def paired(layers, output):
    """Check the list of torch modules and return it as layers.

    Linear maps (`Linear`, `Conv2d`), each but the last with the activation that follows it, and the
    fixed modules before it (pooling, flattening, normalisation and dropout in inference form).
    """
    if not isinstance(layers, (list, tuple, nn.Sequential)) or len(layers) == 0:
        raise ValueError(f"layers: expected a non-empty list of torch layers, found {layers!r}")
    found, before, linear, seen = [], [], None, set()
    for index, module in enumerate(layers):
        name = f"layers[{index}]"
        if linear is not None and not _is_linear(module):
            found.append(_layer(linear, _activation(name, module), before))
            before, linear = [], None
            continue
        if linear is not None:
            raise ValueError(f"{name}: expected an activation, found {module!r}")
        if type(module) not in ARGUMENTS:
            raise ValueError(f"{name}: expected {_expected(found, before)}, found {module!r}")
        if module._forward_hooks or module._forward_pre_hooks:
            raise ValueError(f"{name}: {module!r} has hooks, which would be passed over")
        if _is_linear(module):
            _check_linear(name, module, found, before)
            if id(module.weight) in seen:
                raise ValueError(f"{name}: {module!r} has the weights of a layer before it")
            seen.add(id(module.weight))
            linear = module
        else:
            _check_fixed(name, module)
            before.append(module)
    if linear is None:
        raise ValueError(
            f"layers: the last one must be a Linear, its activation is `output`; found {module!r}"
        )
    if not isinstance(linear, nn.Linear):
        raise ValueError(f"layers: the last one must be a Linear, found {linear!r}")
    return [*found, _layer(linear, output, before)]


def _is_linear(module):
    return isinstance(module, (nn.Linear, nn.Conv2d))


def _layer(linear, activation, before):
    kind = ConvLayer if isinstance(linear, nn.Conv2d) else DenseLayer
    return kind(linear, activation, before)


def _expected(found, before):
    if not found and not before:
        return "torch.nn.Linear or Conv2d"
    known = ", ".join(kind.__name__ for kind in _FIXED)
    return f"torch.nn.Linear, Conv2d or one of {known}"


def _check_linear(name, linear, found, before):
    if "weight" not in linear._parameters or not linear.weight.requires_grad:
        raise ValueError(
            f"{name}: the weight of {linear!r} is frozen or computed by something else"
        )
    if linear.weight.is_meta:
        raise ValueError(f"{name}: {linear!r} is on the device meta, it has no weights yet")
    if isinstance(linear, nn.Conv2d):
        if linear.padding_mode != "zeros" or isinstance(linear.padding, str):
            raise ValueError(
                f"{name}: expected a convolution padded with a number of zeros, found {linear!r}"
            )
    below = found[-1] if found and not before else None
    if below is not None and isinstance(linear, nn.Conv2d) != isinstance(below, ConvLayer):
        wanted = "torch.nn.Flatten before" if isinstance(below, ConvLayer) else "images as inputs"
        raise ValueError(f"{name}: {linear!r} after {below.linear!r} needs {wanted}")
    takes = linear.in_channels if isinstance(linear, nn.Conv2d) else linear.in_features
    if below is not None and below.weight.shape[1] != takes:
        raise ValueError(
            f"{name}: takes {takes} inputs, the layer before has {below.weight.shape[1]} outputs"
        )
    first = found[0].linear.weight if found else linear.weight
    if linear.weight.device != first.device:
        raise ValueError(
            f"{name}: {linear!r} is on {linear.weight.device}, the layers before on {first.device}"
        )
    allowed = {first.dtype} if found else {torch.float32, torch.float64}
    if linear.weight.dtype not in allowed:
        raise ValueError(
            f"{name}: found {linear.weight.dtype}, expected torch.float32 or torch.float64, the "
            "same in all layers"
        )


def _check_fixed(name, module):
    if isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) != (1, -1):
        raise ValueError(f"{name}: expected Flatten of all axes but the first, found {module!r}")
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.running_mean is None:
        raise ValueError(f"{name}: {module!r} keeps no running statistics to normalise by")
    if getattr(module, "return_indices", False):
        raise ValueError(f"{name}: {module!r} returns its indices, too")


def _activation(name, given):
    if isinstance(given, (str, Activation)):
        return activation_by_name(given)
    if type(given) not in _ACTIVATIONS:
        hint = ""
        if isinstance(given, nn.BatchNorm2d):
            hint = "; fuse it: torch.nn.utils.fusion.fuse_conv_bn_eval"
        elif isinstance(given, nn.BatchNorm1d):
            hint = "; fuse it: torch.nn.utils.fusion.fuse_linear_bn_eval"
        elif type(given) in _FIXED:
            hint = "; place it after the activation"
        raise ValueError(f"{name}: expected an activation, found {given!r}{hint}")
    if isinstance(given, nn.LeakyReLU) and given.negative_slope != 0.01:
        raise ValueError(f"{name}: LeakyReLU only with slope 0.01, found {given!r}")
    return activation_by_name(_ACTIVATIONS[type(given)])
