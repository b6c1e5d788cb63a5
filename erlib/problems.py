"""What a network is asked, checked: inputs, observed outputs, settings, and if they suit it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from . import checks
from .checks import Array
from .coding import class_labels, observed_outputs, require_reachable
from .invert import check_settings
from .layers import ConvLayer
from .modules import DTYPES

if TYPE_CHECKING:
    from .network import ERNetwork

# Root mean squares between which training does about as well as at 1: larger output fields
# saturate, and the first change outweighs first fields that vary less.
MOST, LEAST = 2.5, 0.06


def inputs_of(network: ERNetwork, x: Array) -> torch.Tensor:
    """x as the first layer takes it, in the dtype of the network; ValueError if it does not fit."""
    x = checks.tensor("x", x)
    _check_dtypes(network)
    weight = network.layers[0].weight
    if x.device != weight.device:
        raise ValueError(
            f"x: on {x.device}, the network is on {weight.device}; move one to the other, "
            f"x.to({str(weight.device)!r}) or network.to({str(x.device)!r})"
        )
    if isinstance(network.layers[0], ConvLayer) or not network.layers[0].reshapes:
        x = x.to(weight.dtype)
        _check_shapes(network, x[:1])
        return x
    if x.ndim < 2 or x[0].numel() != weight.shape[0]:
        raise ValueError(
            f"x: shape {tuple(x.shape)}, expected [n, {weight.shape[0]}] "
            "(or images with that many numbers each)"
        )
    return x.flatten(1).to(weight.dtype)


def check_training(
    network: ERNetwork, x: torch.Tensor, observed: torch.Tensor, least: float = LEAST
) -> None:
    """Raise ValueError for outputs out of reach, and inputs of a size the weights don't suit.

    Too large are inputs, as the first linear map sees them, with output fields as large; too
    small are inputs whose first fields vary as little as they do, by less than `least`, unless
    the readout is tiny: then the size of the inputs is of no account.
    """
    require_reachable("y", observed, network.layers[-1].activation)
    seen, fields = network.trace(x[: next(iter(network._chunks(x))).stop])
    size, last, varies, of_inputs = (
        float(checks.root_mean_square(part))
        for part in (seen[0], fields[-1], fields[0] - fields[0].mean(0), seen[0] - seen[0][:1])
    )
    if min(size, last) > MOST:
        why = f"saturate the outputs (fields of size {last:.2g})"
    elif of_inputs and max(size, varies) < least and last > size / 100:
        why = f"vanish beside the first change (fields that vary by {varies:.2g})"
    else:
        return
    raise ValueError(
        f"x: inputs of size {size:.2g} (root mean square) {why}; scale them to a size of about "
        f"1: x / {size:.2g}"
    )


def _check_dtypes(network: ERNetwork) -> None:
    first = network.layers[0].weight.dtype
    for number, layer in enumerate(network.layers, start=1):
        for name, value in layer.state_dict(keep_vars=True).items():
            kind = value.dtype
            if kind.is_floating_point and (kind not in DTYPES or kind != first):
                raise ValueError(
                    f"network: {name} of layer {number} is {kind}, expected torch.float32 or "
                    "torch.float64, the same in all layers; network.float() makes it so"
                )


def _check_shapes(network: ERNetwork, x: torch.Tensor) -> None:
    """Let one sample through, and name the layer that does not take it."""
    shape = tuple(x.shape[1:])
    for number, layer in enumerate(network.layers, start=1):
        try:
            x = layer.activation.f(layer.field(layer.inputs(x)))
            if x.ndim != (4 if isinstance(layer, ConvLayer) else 2):
                raise RuntimeError(f"fields of shape {tuple(x.shape)}")
        except RuntimeError as error:
            raise ValueError(
                f"x: samples of shape {shape} do not fit layer {number}, {layer.linear!r} "
                f"after {list(layer.before)}: {error}"
            ) from None


def labelled(network: ERNetwork, x: Array, y: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """x `[n, d_in]` in the dtype of the network and class labels y, both checked."""
    inputs, labels = inputs_of(network, x), class_labels(y, network.layers[-1].weight.shape[1])
    same_length(inputs, labels)
    return inputs, labels.to(inputs.device)


def problem(
    network: ERNetwork, x: Array, y: Array, inverse: str | None, damping: float, steps: int | None
) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
    """Inputs, observed outputs and the settings of the inverse mapping, all checked."""
    inputs, observed = samples(network, x, y)
    return inputs, observed, inverse_mapping(network, inverse, damping, steps)


def samples(
    network: ERNetwork, x: Array, y: Array, *, several: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and observed outputs, checked; `several` if they are one of several batches."""
    weight = network.layers[-1].weight
    inputs = inputs_of(network, x)
    observed = observed_outputs(y, weight.shape[1], weight.dtype, several=several)
    same_length(inputs, observed)
    return inputs, observed.to(weight.device)


def inverse_mapping(
    network: ERNetwork, inverse: str | None, damping: float, steps: int | None
) -> dict[str, Any]:
    """The settings of the inverse mapping, checked."""
    if inverse is None:
        direct = all(layer.has_matrix for layer in network.layers[1:])
        inverse = "pinv" if direct else "transpose"
    check_settings(inverse, damping, steps, name="inverse")
    return {"method": inverse, "damping": damping, "steps": steps}


def wanted_fields(network: ERNetwork, x: torch.Tensor, targets: Sequence[Array | None]) -> list:
    """The fields wanted of each layer, or None, as tensors; ValueError naming one that is wrong."""
    if not isinstance(targets, (list, tuple)) or len(targets) != len(network.layers):
        raise ValueError(f"targets: expected a list of {len(network.layers)}, one for each layer")
    wanted = []
    for index, (field, h_star) in enumerate(zip(network.trace(x[:1])[1], targets)):
        if h_star is not None:
            name, shape = f"targets[{index}]", (len(x), *field.shape[1:])
            h_star = checks.tensor(name, h_star, ndim=len(shape)).to(x)
            if h_star.shape != shape:
                raise ValueError(f"{name}: shape {tuple(h_star.shape)}, expected {shape}")
        wanted.append(h_star)
    return wanted


def require_bounded(fields: Iterable[torch.Tensor]) -> None:
    """Raise ValueError where training has blown up, before that shows as something else."""
    for number, field in enumerate(fields, start=1):
        if not len(field):
            continue  # a part of a batch whose samples are all in other processes
        largest = float(torch.linalg.vector_norm(field, float("inf")))
        if not largest < torch.finfo(field.dtype).max ** 0.5:
            raise ValueError(
                f"network: training overflows, fields of layer {number} have grown to "
                f"{largest:.0e} in batches of {len(field)}; a larger batch_size or ridge, or a "
                "smaller share, keeps them bounded"
            )


def same_length(x: Array, y: Array) -> None:
    """Raise ValueError naming y unless there is one for each sample."""
    if len(x) != len(y):
        raise ValueError(f"y: {len(y)} samples, x has {len(x)}")
