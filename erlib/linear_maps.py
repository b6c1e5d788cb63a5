"""The linear maps of a torch module, `Linear` and `Conv2d`, as regression sees them.

Fields are rows of inputs times weights: a row a sample for a `Linear` (or a token, or whatever else
stands in axes between), a row a pixel for a `Conv2d`, whose inputs are patches. Groups of a
convolution are as many regressions side by side.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from .rounding import CONSTANT

LINEAR = (nn.Linear, nn.Conv2d)
NORMALISATION = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    *(nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.RMSNorm),
)

WIDE = 4096  # inputs above which C is that of one batch, by its rows


class Answer(NamedTuple):
    """What a regression found: a change of weight and bias, in the shapes of torch.

    Over the batch, `along` is the inner product of the change of the fields that it gives with the
    one wanted, `energy` its square.
    """

    change: list[torch.Tensor]
    along: float
    energy: float


class LinearMap:
    r"""One linear map: the regression on its inputs, by sums that outlive a batch.

    With C the covariance of the rows of inputs and m their mean, the change of the weights that
    best gives the rows what is wanted of them, :math:`\delta`, is

    .. math:: R = (C + \lambda \, \mathrm{tr} C / d)^{-1} \langle (x - m)' \delta \rangle,
              \qquad r = \langle \delta \rangle - m R .

    The mean :math:`\langle x' \delta \rangle` is the map's weight gradient of
    :math:`\langle H, \delta \rangle`, so the rows themselves are needed for C and m alone. These
    are averages over the batches before, with `memory`. Without a bias nothing is centred.
    """

    def __init__(self, name: str, module: nn.Linear | nn.Conv2d) -> None:
        self.name, self.module = name, module
        self.groups = module.groups if isinstance(module, nn.Conv2d) else 1
        self.width = module.weight[0].numel()  # d
        self.inputs: torch.Tensor | None = None  # of the batch
        self.count = 0  # rows of the batch
        self.mean = self.scatter = module.weight.new_empty(0)  # m, and C or centred rows
        self.taken = 0  # how often C was averaged
        self._solve: Callable | None = None
        self._penalty: torch.Tensor | None = None  # of each group

    @property
    def parameters(self) -> list[torch.Tensor]:
        """Weight, and bias if there is one."""
        module = self.module
        return [module.weight] if module.bias is None else [module.weight, module.bias]

    def see(self, module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        """A forward hook: keep the inputs of the batch."""
        if self.inputs is not None:
            raise ValueError(
                f"module: {self.name}, {module!r}, is used twice in one forward pass; regression "
                "gives each linear map one set of fields"
            )
        self.inputs = inputs[0].detach()
        self.count = output.numel() // len(self.module.weight)

    def look_again(self, samples: int, memory: float) -> None:
        """Average m and C with those of the batch: of all rows, or of the patches of `samples`."""
        assert self.inputs is not None
        if isinstance(self.module, nn.Linear):
            rows = self.inputs.reshape(1, -1, self.width)
        else:
            rows = self._patches(self.inputs[:samples], all_of=samples >= len(self.inputs))
        mean = rows.mean(1, keepdim=True)
        if self.module.bias is None:
            mean = torch.zeros_like(mean)
        rows = rows - mean
        self._solve = None
        self.taken += 1
        if rows.shape[1] < self.width and self.width > WIDE:
            self.mean, self.scatter = mean, rows
            return
        part = max(1 / self.taken, 1 - memory)
        scatter = rows.mT @ rows / rows.shape[1]
        if part < 1:
            mean, scatter = self.mean.lerp(mean, part), self.scatter.lerp(scatter, part)
        self.mean, self.scatter = mean, scatter

    def factor(self, ridge: float) -> None:
        """Factor C with its penalty, unless that is done, for regressions until the next look."""
        if self._solve is not None:
            return
        by_rows = self.scatter.shape[1] < self.width
        rows, n = self.scatter, self.scatter.shape[1] if by_rows else 1
        matrix = rows @ rows.mT if by_rows else rows
        trace = matrix.diagonal(dim1=-2, dim2=-1).sum(-1)
        precision = CONSTANT * torch.finfo(trace.dtype).eps
        constant = trace <= n * precision**2 * self.mean.square().sum((1, 2))
        penalty = torch.where(constant, 1.0, ridge * trace / self.width)[:, None, None]
        eye = torch.eye(len(matrix[0]), dtype=trace.dtype, device=trace.device)
        factor = torch.linalg.cholesky(matrix + penalty * eye)
        said = ~constant[:, None, None]  # constant inputs say nothing
        self._penalty = penalty / n

        def solve(cross: torch.Tensor) -> torch.Tensor:
            if not by_rows:
                return said * torch.cholesky_solve(cross, factor)
            dual = torch.cholesky_solve(rows @ cross, factor)
            return said * (cross - rows.mT @ dual) * (n / penalty)

        self._solve = solve

    def load(self, taken: int, mean: torch.Tensor, scatter: torch.Tensor) -> None:
        """Take over what another of its kind had kept."""
        like = self.module.weight
        self.taken, self.mean, self.scatter = taken, mean.to(like), scatter.to(like)
        self._solve = None

    def regressed(self, weight_sum: torch.Tensor, bias_sum: torch.Tensor | None = None) -> Answer:
        """R and r, from the sums of x' delta and delta over the batch."""
        assert self._solve is not None
        shape = self.module.weight.shape
        cross = weight_sum.reshape(self.groups, -1, self.width).mT / self.count
        wanted = torch.zeros_like(cross[:, :1])
        if bias_sum is not None:
            wanted = bias_sum.reshape(self.groups, 1, -1) / self.count
            cross = cross - self.mean.mT @ wanted
        weight = self._solve(cross)
        change = [weight.mT.reshape(shape)]
        if bias_sum is not None:
            change.append((wanted - self.mean @ weight).reshape(-1))
        along = (weight * cross).sum() + wanted.square().sum()
        energy = along - (self._penalty * weight.square()).sum()
        return Answer(change, self.count * float(along), self.count * float(energy))

    def _patches(self, x: torch.Tensor, all_of: bool) -> torch.Tensor:
        """Patches `[groups, rows, d]`; unless `all_of` them, every second pixel where that will do.

        Neighbouring patches are mostly copies of each other.
        """
        assert isinstance(self.module, nn.Conv2d)
        c = self.module
        padding: Any = c.padding
        if isinstance(padding, str):
            sides = [d * (k - 1) for d, k in zip(c.dilation, c.kernel_size)]
            around = [half for side in sides[::-1] for half in (side // 2, side - side // 2)]
            x, padding = functional.pad(x, around if padding == "same" else [0] * 4), 0
        sparse = 2 if not all_of and self.count // 4 >= 2 * self.width else 1
        stride = tuple(sparse * step for step in c.stride)
        patches = functional.unfold(x, c.kernel_size, c.dilation, padding, stride)
        return patches.unflatten(1, (self.groups, -1)).permute(1, 0, 3, 2).flatten(1, 2)


def linear_maps(module: nn.Module) -> list[LinearMap]:
    """The linear maps of a module whose weights are to be trained; ValueError naming what is not.

    All other weights must be those of a normalisation, which stay as they are, or not be trained
    (``requires_grad``).
    """
    if not isinstance(module, nn.Module):
        raise ValueError(f"module: expected a torch.nn.Module, found {type(module).__name__}")
    found: list[LinearMap] = []
    seen: dict[int, str] = {}
    for name, part in module.named_modules():
        own = {n: p for n, p in part.named_parameters(recurse=False) if p.requires_grad}
        if not own or isinstance(part, NORMALISATION):
            continue
        where = f"module: {name or 'itself'}, {part!r},"
        if type(part) not in LINEAR:
            raise ValueError(
                f"{where} has weights that no regression gives; known: "
                f"{', '.join(kind.__name__ for kind in LINEAR)}; requires_grad_(False) leaves "
                "them as they are"
            )
        if getattr(part, "padding_mode", "zeros") != "zeros":
            raise ValueError(f"{where} expected padding_mode 'zeros'")
        if "weight" not in own or (part.bias is not None and "bias" not in own):
            raise ValueError(f"{where} has only one of weight and bias to train; train both")
        for kind, parameter in own.items():
            if parameter.dtype not in (torch.float32, torch.float64):
                raise ValueError(f"{where} {kind} is {parameter.dtype}; module.float() mends it")
            if id(parameter) in seen:
                raise ValueError(f"{where} shares its {kind} with {seen[id(parameter)]}")
            seen[id(parameter)] = name
        found.append(LinearMap(name, part))
    if not found:
        raise ValueError("module: has no Linear or Conv2d to train")
    return found
