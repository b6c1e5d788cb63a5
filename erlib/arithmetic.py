"""Arithmetic that a caller's modes of torch do not change: ER's sums keep the dtype they are in."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch

F = TypeVar("F", bound=Callable)

_DEVICES = ("cpu", "cuda", "mps", "xpu")


def own_arithmetic(function: F) -> F:
    """Decorate a public call: inside it there is neither `torch.autocast` nor inference mode.

    Under autocast the sums of a regression would be formed in 8 or 11 bits, and under inference
    mode nothing could be differentiated. The caller's modes are as they were afterwards.

    >>> @own_arithmetic
    ... def product(a, b):
    ...     return a @ b
    >>> with torch.autocast("cpu", dtype=torch.bfloat16):
    ...     product(torch.ones(2, 2), torch.ones(2, 2)).dtype
    torch.float32
    """

    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        with contextlib.ExitStack() as modes:
            if torch.is_inference_mode_enabled():
                modes.enter_context(torch.inference_mode(False))
                modes.enter_context(torch.no_grad())  # what is differentiated says so
            for device in _DEVICES:
                if torch.is_autocast_enabled(device):
                    modes.enter_context(torch.autocast(device, enabled=False))
            return function(*arguments, **named)

    return cast(F, called)
