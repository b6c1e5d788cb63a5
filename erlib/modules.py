"""Which torch modules make an `ERNetwork`: the list is checked and paired into layers."""

import torch
from torch import nn

from .activations import NAMES, Activation
from .activations import activation as activation_by_name
from .layers import ConvLayer, DenseLayer

_ACTIVATIONS = {
    nn.Tanh: "tanh",
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.Identity: "identity",
    nn.Softsign: "softsign",
}
_LINEAR = (nn.Linear, nn.Conv2d)
_FIXED = (
    *(nn.Flatten, nn.Dropout, nn.Dropout2d, nn.BatchNorm1d, nn.BatchNorm2d),
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.ZeroPad2d),
)
DTYPES = (torch.float32, torch.float64)


def paired(layers, output):
    """Check the list of torch modules and return it as layers.

    Linear maps (`Linear`, `Conv2d`), each but the last with the activation that follows it, and the
    fixed modules before it (pooling, flattening, normalisation and dropout in inference form). A
    Sequential among them counts as what it holds.
    """
    if not isinstance(layers, (list, tuple, nn.Sequential)) or len(layers) == 0:
        raise ValueError(f"layers: expected a non-empty list of torch layers, found {layers!r}")
    found, before, linear, seen = [], [], None, set()
    for name, module in _flat("layers", layers):
        if linear is not None and not _is_linear(module):
            found.append(_layer(linear, _activation(name, module), before))
            before, linear = [], None
            continue
        if linear is not None:
            raise ValueError(
                f"{name}: expected an activation, found {module!r}; known: {_names(_ACTIVATIONS)}"
            )
        if type(module) not in (*_LINEAR, *_FIXED):
            raise ValueError(
                f"{name}: expected a layer of torch.nn, found {module!r}; known: "
                f"{_names(_LINEAR, _FIXED)}, and Sequential of them"
            )
        _check_hooks(name, module)
        _leave_inference_mode(module)
        if _is_linear(module):
            _check_linear(name, module, found, before)
            if id(module.weight) in seen:
                raise ValueError(f"{name}: {module!r} has the weights of a layer before it")
            seen.add(id(module.weight))
            linear = module
            if padding := _uneven_padding(module):
                before.append(nn.ZeroPad2d(padding))
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


def _flat(name, modules):
    """The names and modules of a list, with those of each Sequential in its place."""
    for index, module in enumerate(modules):
        if type(module) is nn.Sequential:
            _check_hooks(f"{name}[{index}]", module)
            yield from _flat(f"{name}[{index}]", module)
        else:
            yield f"{name}[{index}]", module


def _is_linear(module):
    return isinstance(module, _LINEAR)


def _check_hooks(name, module):
    if module._forward_hooks or module._forward_pre_hooks:
        raise ValueError(f"{name}: {module!r} has hooks, which would be passed over")


def _leave_inference_mode(module):
    """Make weights ordinary that were made under inference mode: they could not be changed."""
    for name, parameter in list(module.named_parameters(recurse=False)):
        if parameter.is_inference():
            setattr(module, name, nn.Parameter(parameter.detach().clone()))
    for name, value in list(module.named_buffers(recurse=False)):
        if value.is_inference():
            setattr(module, name, value.clone())


def _uneven_padding(linear):
    """Zeros left, right, above, below that ``padding="same"`` puts around an even kernel.

    torch's convolutions have one number a side pair: these zeros become a module before it.
    """
    if getattr(linear, "padding", None) != "same":
        return None
    total = [d * (k - 1) for d, k in zip(linear.dilation, linear.kernel_size)]
    if not any(each % 2 for each in total):
        return None
    return tuple(part for each in reversed(total) for part in (each // 2, each - each // 2))


def _layer(linear, activation, before):
    kind = ConvLayer if isinstance(linear, nn.Conv2d) else DenseLayer
    return kind(linear, activation, before)


def _names(*kinds):
    return ", ".join(kind.__name__ for some in kinds for kind in some)


def _check_linear(name, linear, found, before):
    if "weight" not in linear._parameters or not linear.weight.requires_grad:
        raise ValueError(
            f"{name}: the weight of {linear!r} is frozen or computed by something else"
        )
    if linear.weight.is_meta:
        raise ValueError(f"{name}: {linear!r} is on the device meta, it has no weights yet")
    if isinstance(linear, nn.Conv2d):
        if linear.padding_mode != "zeros":
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
    allowed = (first.dtype,) if found else DTYPES
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
        raise ValueError(
            f"{name}: expected an activation, found {given!r}{hint}; known: "
            f"{_names(_ACTIVATIONS)}, and the names {', '.join(NAMES)}"
        )
    if isinstance(given, nn.LeakyReLU) and given.negative_slope != 0.01:
        raise ValueError(f"{name}: LeakyReLU only with slope 0.01, found {given!r}")
    return activation_by_name(_ACTIVATIONS[type(given)])
