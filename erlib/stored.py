"""Networks in files: what each module is, in words and numbers, and its weights."""

import os
from pathlib import Path

import torch
from torch import nn

#: The modules that a network may consist of, with the arguments that make another one of its kind.
ARGUMENTS = {
    nn.Linear: ("in_features", "out_features"),
    nn.Conv2d: (
        *("in_channels", "out_channels", "kernel_size"),
        *("stride", "padding", "dilation", "groups"),
    ),
    nn.Flatten: ("start_dim", "end_dim"),
    nn.Dropout: ("p",),
    nn.Dropout2d: ("p",),
    nn.MaxPool2d: ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    nn.AvgPool2d: (
        *("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
        "divisor_override",
    ),
    nn.AdaptiveAvgPool2d: ("output_size",),
    nn.BatchNorm1d: ("num_features", "eps", "affine"),
    nn.BatchNorm2d: ("num_features", "eps", "affine"),
}
#: Of the files that `save` writes.
FORMAT = 2
_BY_NAME = {kind.__name__: kind for kind in ARGUMENTS}


def save(network, path):
    """Write `network` to a file, all or nothing; FileNotFoundError if there is no folder."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {str(path.parent)!r} to write {path.name!r} to")
    described = []
    for layer in network.layers:
        described += [*map(_described, layer.before), _described(layer.linear)]
        described.append(layer.activation.name)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        torch.save({"format": FORMAT, "layers": described, "state": network.state_dict()}, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load(path, make):
    """The network in a file, made by ``make(modules, output=...)``.

    Raises FileNotFoundError, or ValueError for any other file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no network file {str(path)!r}")
    try:
        stored = torch.load(path, weights_only=True, map_location="cpu")
        if stored["format"] != FORMAT:
            raise ValueError(f"format {stored['format']!r}, this version of erlib reads {FORMAT}")
        modules = [each if isinstance(each, str) else _made(*each) for each in stored["layers"]]
        network = make(modules[:-1], output=modules[-1])
        network.load_state_dict(stored["state"])
    except Exception as error:
        raise ValueError(f"{str(path)!r} is damaged or no network file: {error}") from error
    return network


def _described(module):
    kind = next(kind for kind in ARGUMENTS if isinstance(module, kind))
    arguments = {name: getattr(module, name) for name in ARGUMENTS[kind]}
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        arguments["bias"] = module.bias is not None
    state = module.state_dict()
    if state:
        dtype = state["weight" if "weight" in state else "running_mean"].dtype
        arguments["dtype"] = str(dtype).removeprefix("torch.")
    return [kind.__name__, arguments]


def _made(name, arguments):
    """A module without an initial draw, which would use the global generator."""
    arguments = dict(arguments)
    if "dtype" not in arguments:
        return _BY_NAME[name](**arguments)
    dtype = getattr(torch, arguments.pop("dtype"))
    return nn.utils.skip_init(_BY_NAME[name], **arguments, dtype=dtype)
