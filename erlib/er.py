r"""ER for any feed-forward torch module: one backward pass, a regression a layer, no learning rate.

For a batch, with the weights from before it,

1. *reflect* the output fields: :math:`\varepsilon = H^* - H` is wanted of them;
2. *invert*, by the transpose: one backward pass hands :math:`\varepsilon` down, to each linear map
   what is wanted of its fields, :math:`\delta_l`;
3. *regress* that on the inputs of the map: :math:`R_l`;
4. regress lengths, too: first that of each answer by itself, then the one of all together, by which
   they best produce :math:`\varepsilon`.

Every layer is asked the whole question, at once. Moves decline to nothing over the updates.

Why each of these, and what it is worth, is told in notebook 08.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call

from . import checks
from .activations import Activation
from .activations import activation as activation_by_name
from .arithmetic import own_arithmetic
from .checks import Array
from .coding import class_labels, observed_outputs, require_reachable
from .linear_maps import Answer, LinearMap, linear_maps

#: Output fields of a module: a tensor `[n, d_out]`, or several, one a head.
Outputs = torch.Tensor | Sequence[torch.Tensor]


class ER:
    r"""Trains a feed-forward module by Expectation Reflection, a batch at a time.

    Update k = 0, 1, ... of K gives each `Linear` and `Conv2d` l of the module

    .. math::
        \delta_l &= (\partial H / \partial H_l)^T \varepsilon, \qquad
            \varepsilon = g(H) \circ (T - f(H)), \\
        R_l &= \mathrm{regress}(A_l, \delta_l), \qquad
            s_l = \langle A_l R_l, \delta_l \rangle / (\gamma_l \lVert A_l R_l \rVert^2), \\
        s &= \arg\min_{s \ge 0} \lVert s \, \mathrm{d}H[s_1 R_1, s_2 R_2, ...] - \varepsilon
            \rVert^2, \\
        \Delta W_l &= \mathrm{share} \, (1 - k/K) \, s \, s_l R_l,

    where H are the output fields, :math:`A_l` and :math:`H_l` the inputs and fields of the linear
    map, :math:`\mathrm{d}H[...]` the change of the output fields that changes of weights cause, to
    first order, and the **gain** :math:`\gamma_l = \lVert \mathrm{d}H[R_l] \rVert^2 / \lVert A_l
    R_l \rVert^2` says how much of a change of its fields arrives at the outputs. As
    :math:`\langle \mathrm{d}H[R_l], \varepsilon \rangle = \langle A_l R_l, \delta_l \rangle`,
    :math:`s_l` is the length with which :math:`R_l` alone best produces :math:`\varepsilon`. Gains
    change slowly: one map's is measured in each update, in turn, and averaged.

    Parameters
    ----------
    module : torch.nn.Module
        Any module that maps x `[n, ...]` to output fields `[n, d_out]` (no activation at the end),
        or to several of them, a tuple or list. Its `Linear` and `Conv2d` maps are trained, in
        place, each used once in a forward pass, wherever they stand. Normalisation works as in a
        forward pass of the module's mode, its own weights stay as they are.
    updates : int >= 1
        The number of updates to come: passes times ``len(loader)``. Moves decline to 0 over them.
    share : float > 0
        The part of the answer that is made at first. 1, all of it, is the method; other values show
        what that is worth.
    ridge : float >= 0
        Relative penalty of each regression, beside what `penalty` adds.
    code : float, 0 < code <= 1
        Size of the observed outputs of class labels, +code and -code.
    output : str
        Activation f of the outputs: tanh for classes, identity for a regression.
    memory : float, 0 <= memory < 1
        What is kept of the covariance of the inputs when that of a new batch is averaged in; and
        of a gain.
    every : int >= 1
        That is done in every so many updates.
    part : float, 0 < part <= 1
        The part of a batch from which lengths, and the covariance of patches, are taken. With 1
        they are exact; below, of a large image every second pixel is taken for the covariance.

    Raises
    ------
    ValueError
        For settings out of range, and for modules with weights that are neither a linear map's nor
        a normalisation's; ``requires_grad_(False)`` leaves such as they are.

    Notes
    -----
    All arithmetic is in the dtype of the module. Gradients, modes and hooks of the module are left
    alone, and buffers are those of one forward pass. All of this is this companion's own.

    Examples
    --------
    >>> import erlib
    >>> data = erlib.load("digits")
    >>> _ = torch.manual_seed(0)
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))
    >>> pairs = torch.utils.data.TensorDataset(data.x_train, data.y_train)
    >>> loader = torch.utils.data.DataLoader(pairs, batch_size=32, shuffle=True)
    >>> er = ER(net, updates=5 * len(loader))
    >>> for _ in range(5):
    ...     for x, y in loader:
    ...         _ = er.step(x, y)
    >>> float((net(data.x_test).argmax(1) == data.y_test).double().mean()) > 0.96
    True
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        updates: int,
        share: float = 1.0,
        ridge: float = 0.3,
        code: float = 0.8,
        output: str | Activation = "tanh",
        memory: float = 0.9,
        every: int = 20,
        part: float = 0.125,
    ) -> None:
        self.module = module
        self.maps = linear_maps(module)
        self.updates = checks.positive_integer("updates", updates)
        self.share = checks.positive("share", share)
        self.ridge = checks.not_negative("ridge", ridge)
        self.code, self.part = _fraction("code", code), _fraction("part", part)
        self.output = activation_by_name(output)
        if not checks.not_negative("memory", memory) < 1:
            raise ValueError(f"memory: expected a number from 0 to below 1, found {memory!r}")
        self.memory = memory
        self.every = checks.positive_integer("every", every)
        self.done = 0
        self.gains: list[float | None] = [None] * len(self.maps)

    @own_arithmetic
    @torch.no_grad()
    def step(self, x: torch.Tensor, y: Array | Sequence[Array]) -> Outputs:
        """Train on one batch; returns its output fields from before, as the module gives them.

        x `[n, ...]` is what the module takes; y are class labels `[n]`, or the observed outputs
        themselves `[n, d_out]`, floating; for several heads a list of these. ValueError for a batch
        that does not fit, or one that lets the weights overflow: nothing is changed then.
        """
        if self.done >= self.updates:
            raise ValueError(f"step: all {self.updates} updates are done; ER(module, updates=...)")
        outputs, wanted, sums = self._asked(checks.tensor("x", x), y)
        samples = max(1, round(self.part * len(x)))
        answers = {}
        for index, (linear, of_map) in enumerate(zip(self.maps, sums)):
            if self.done % self.every == 0 or not linear.taken:
                linear.look_again(samples, self.memory)
            answer = self._answer(linear, of_map)
            if self.done % len(self.maps) == index or self.gains[index] is None:
                self._look_at_gain(index, x[:samples], answer, samples / len(x))
            length = self._length(index, answer)
            answers[linear] = [length * value for value in answer.change]
            linear.inputs = None
        caused = self._caused(x[:samples], answers)
        size = self.share * self._decline()
        size *= self._together(caused, [part[:samples] for part in wanted])
        moves = [size * value for change in answers.values() for value in change]
        if not all(bool(move.isfinite().all()) for move in moves):
            raise ValueError("module: training overflows; a smaller share keeps it bounded")
        parameters = [p for linear in self.maps for p in linear.parameters]
        for parameter, move in zip(parameters, moves):
            parameter.add_(move)
        self.done += 1
        return outputs

    def penalty(self, linear: LinearMap) -> float:
        r"""The relative penalty of a linear map's regression: ridge + d / rows.

        Of d weights, as many rows of a batch say little: with noise as large as what can be
        explained, the best penalty is d / n.
        """
        return self.ridge + linear.width / linear.count

    def state_dict(self) -> dict[str, Any]:
        """What a training needs to go on, beside the state of the module: for `torch.save`."""
        maps = {m.name: {"taken": m.taken, "mean": m.mean, "scatter": m.scatter} for m in self.maps}
        return {"done": self.done, "gains": list(self.gains), "maps": maps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken; ValueError for one of another module."""
        names = [linear.name for linear in self.maps]
        if list(state["maps"]) != names:
            raise ValueError(f"state: of {list(state['maps'])}, the module has {names}")
        for linear in self.maps:
            kept = state["maps"][linear.name]
            widths = {kept[kind].shape[-1] for kind in ("mean", "scatter")}
            if kept["taken"] and widths != {linear.width}:
                raise ValueError(
                    f"state: {linear.name}: {sorted(widths)} inputs, the module has {linear.width}"
                )
        for linear in self.maps:
            linear.load(**state["maps"][linear.name])
        self.done, self.gains = state["done"], list(state["gains"])

    def _asked(self, x: torch.Tensor, y: Any) -> tuple[Any, list, list]:
        """Output fields, what is wanted of them, and for each map the sums of x' delta, delta."""
        with ExitStack() as hooks, torch.enable_grad():
            for linear in self.maps:
                linear.inputs = None
                hooks.callback(linear.module.register_forward_hook(linear.see).remove)
            try:
                given = self.module(x)
            except RuntimeError as error:
                raise ValueError(
                    f"x: samples of shape {tuple(x.shape[1:])} do not fit the module: {error}"
                ) from None
        heads, several = _heads(given), not isinstance(given, torch.Tensor)
        for linear in self.maps:
            if linear.inputs is None:
                raise ValueError(
                    f"module: {linear.name}, {linear.module!r}, has no part in the outputs"
                )
        if several and len(y) != len(heads):
            raise ValueError(f"y: {len(y)} entries, the module has {len(heads)} outputs")
        wanted = [self._wanted(h.detach(), t) for h, t in zip(heads, y if several else [y])]
        parameters = [p for linear in self.maps for p in linear.parameters]
        try:
            found = iter(torch.autograd.grad(heads, parameters, wanted))
        except RuntimeError as error:
            raise ValueError(f"module: no backward pass to all linear maps: {error}") from None
        sums = [[next(found) for _ in linear.parameters] for linear in self.maps]
        fields = [h.detach() for h in heads]
        return type(given)(fields) if several else fields[0], wanted, sums

    def _wanted(self, h: torch.Tensor, y: Array) -> torch.Tensor:
        """H* - H of the output fields, as `erlib.reflect`."""
        if h.ndim != 2:
            raise ValueError(f"module: outputs of shape {tuple(h.shape)}, expected [n, d_out]")
        if getattr(y, "ndim", None) == 2:
            observed = observed_outputs(y, h.shape[1], h.dtype).to(h.device)
            require_reachable("y", observed, self.output)
        else:
            labels = class_labels(y, h.shape[1]).to(h.device)
            observed = self.code * (2 * nn.functional.one_hot(labels, h.shape[1]).to(h) - 1)
        if len(observed) != len(h):
            raise ValueError(f"y: {len(observed)} samples, x has {len(h)}")
        if not float(h.abs().max()) < torch.finfo(h.dtype).max ** 0.5:
            raise ValueError(f"module: training overflows, outputs of size {float(h.abs().max())}")
        return self.output.factor(h) * (observed - self.output.f(h))

    def _answer(self, linear: LinearMap, sums: list) -> Answer:
        """The regression of what is wanted of a map's fields on its inputs."""
        linear.factor(self.penalty(linear))
        return linear.regressed(*sums)

    def _length(self, index: int, answer: Answer) -> float:
        """That with which the answer of a map alone best produces what is wanted of the outputs."""
        arriving = (self.gains[index] or 0.0) * answer.energy
        return max(0.0, answer.along / arriving) if arriving > 0 else 0.0

    def _decline(self) -> float:
        return 1 - self.done / self.updates

    def _together(self, caused: list[torch.Tensor], wanted: list[torch.Tensor]) -> float:
        """argmin over s >= 0 of |s caused - wanted|^2."""
        size = sum(float(c.square().sum()) for c in caused)
        along = sum(float((c * w).sum()) for c, w in zip(caused, wanted))
        return max(0.0, along / size) if size else 0.0

    def _look_at_gain(self, index: int, x: torch.Tensor, answer: Answer, part: float) -> None:
        """Average the gain of a map with what x, a `part` of the batch, shows of it."""
        linear, before = self.maps[index], self.gains[index]
        if answer.energy <= 0:
            return
        caused = self._caused(x, {linear: answer.change})
        gain = sum(float(c.square().sum()) for c in caused) / (part * answer.energy)
        kept = self.memory if before is not None else 0.0
        self.gains[index] = kept * (before or 0.0) + (1 - kept) * gain

    def _caused(self, x: torch.Tensor, changes: dict[LinearMap, list]) -> list[torch.Tensor]:
        """The change of the output fields of x that changes of weights cause, to first order."""
        kept: dict[str, Any] = {name: b.clone() for name, b in self.module.named_buffers()}
        kept |= {name: p.detach() for name, p in self.module.named_parameters()}
        with forward_ad.dual_level():
            for linear, change in changes.items():
                for kind, value in zip(("weight", "bias"), change):
                    name = f"{linear.name}.{kind}".lstrip(".")
                    kept[name] = forward_ad.make_dual(kept[name], value)
            outputs = _heads(functional_call(self.module, kept, (x,)))
            caused = [forward_ad.unpack_dual(h).tangent for h in outputs]
        return [torch.zeros_like(h) if c is None else c for h, c in zip(outputs, caused)]


def _heads(outputs: Any) -> list[torch.Tensor]:
    return [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)


def _fraction(name: str, value: object) -> float:
    if not 0 < checks.not_negative(name, value) <= 1:
        raise ValueError(f"{name}: expected a number above 0 and up to 1, found {value!r}")
    return float(value)  # type: ignore[arg-type]
