"""`ER`, which trains any torch module, against the chain's code, finite differences, and torch."""

import copy
import re

import pytest
import torch
from torch import nn

import erlib
from erlib import ER, ERNetwork, regress
from erlib.linear_maps import LinearMap

DIGITS = erlib.load("digits")
EVERYTHING = {"memory": 0.0, "every": 1, "part": 1.0}  # all of this batch, nothing of those before


def batch(n=40, dtype=torch.float64):
    return DIGITS.x_train[:n].to(dtype), DIGITS.y_train[:n]


def double(module, seed=0):
    """In float64, with weights that the global generator has no part in."""
    module, random = module.double(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, (nn.Linear, nn.Conv2d)):
                draw = torch.randn(part.weight.shape, generator=random, dtype=torch.float64)
                part.weight.copy_(draw * (2 / part.weight[0].numel()) ** 0.5)
                if part.bias is not None:
                    # not 0: fields of black pixels would stand on the kink of a ReLU
                    part.bias.fill_(0.1)
    return module


class Residual(nn.Module):
    """Two convolutions with a way round them, two heads, and a normalisation."""

    def __init__(self, unit):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norm, self.unit = nn.BatchNorm2d(4), unit
        self.inner = nn.Sequential(nn.Conv2d(4, 4, 3, padding="same", groups=2), unit)
        self.heads = nn.ModuleList([nn.Linear(64, 10), nn.Linear(64, 2)])

    def forward(self, x):
        x = self.unit(self.norm(self.first(x)))
        x = (x + self.inner(x))[:, :, ::2, ::2].flatten(1)
        return [head(x) for head in self.heads]


CHAINS = {
    "dense": lambda: [nn.Flatten(), nn.Linear(64, 30), nn.ReLU(), nn.Linear(30, 10)],
    "no bias": lambda: [nn.Flatten(), nn.Linear(64, 90, bias=False), nn.ReLU(), nn.Linear(90, 10)],
    "convolutions": lambda: [
        *(nn.Conv2d(1, 4, 3, stride=2, padding=(1, 2)), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 6, (1, 2), dilation=(1, 2), groups=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(48, 10)),
    ],
    "uneven padding": lambda: [
        *(nn.Conv2d(1, 4, (2, 4), padding="same"), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10)),
    ],
}


@pytest.mark.parametrize("name", CHAINS)
def test_one_update_is_that_of_the_chain(name):
    """Moves are `ERNetwork.changes`, to rounding, times one length a layer."""
    module, (x, y) = double(nn.Sequential(*CHAINS[name]())), batch()
    chain = ERNetwork(copy.deepcopy(module))
    before = copy.deepcopy(module)
    er = ER(module, updates=5, share=0.5, code=1.0, **EVERYTHING)
    er.step(x, y)
    penalties = {linear.name: er.penalty(linear) for linear in er.maps}
    for linear, layer in zip(er.maps, chain.layers):
        # the chain takes one penalty for all layers
        wanted = chain.changes(x, y, ridge=penalties[linear.name], inverse="transpose")
        weight, bias = wanted[list(chain.layers).index(layer)]
        old = before.get_submodule(linear.name)
        move = (linear.module.weight - old.weight).detach().flatten(1).T
        length = float((move * weight).sum() / weight.square().sum())
        assert length > 0
        assert torch.allclose(move, length * weight, rtol=0, atol=1e-10 * float(move.abs().max()))
        if bias is not None:
            gap = (linear.module.bias - old.bias).detach() - length * bias
            assert float(gap.abs().max()) < 1e-10 * max(1.0, length)


def caused_and_wanted(before, after, x, y, names):
    """What moving these layers from `before` to `after` causes, by a small step either way."""
    ends = []
    for sign in (1e-7, -1e-7):
        moved = copy.deepcopy(before)
        for name in names:
            there, new = moved.get_submodule(name), after.get_submodule(name)
            for kind in ("weight", "bias"):
                parameter = getattr(there, kind)
                parameter.add_(sign * (getattr(new, kind) - parameter))
        ends.append(moved(x))
    h = before(x)
    observed = 0.8 * (2.0 * nn.functional.one_hot(y, 10) - 1)
    return (ends[0] - ends[1]) / 2e-7, h / h.tanh() * observed - h


def test_lengths_are_those_of_differences():
    """All together, and each by itself relative to the others, moves are of the best length."""
    module, (x, y) = double(nn.Sequential(*CHAINS["convolutions"]())), batch()
    before, share = copy.deepcopy(module), 0.25
    ER(module, updates=1, share=share, **EVERYTHING).step(x, y)
    names = [n for n, p in before.named_modules() if isinstance(p, (nn.Linear, nn.Conv2d))]
    factors = []
    with torch.no_grad():
        for moving in [names, *([name] for name in names)]:
            caused, wanted = caused_and_wanted(before, module, x, y, moving)
            factors.append(float((caused * wanted).sum() / caused.square().sum()))
    # of moves that are already of the best length, the best factor is 1 / share
    assert factors[0] == pytest.approx(1 / share, rel=1e-6)
    # and each by itself would have to be as much longer as any other
    assert factors[1:] == pytest.approx([factors[1]] * len(names), rel=1e-6)


def test_penalty_grows_with_the_weights_that_a_row_speaks_for():
    module, (x, y) = double(nn.Sequential(*CHAINS["dense"]())), batch(32)
    er = ER(module, updates=1, ridge=0.5)
    er.step(x, y)
    assert [er.penalty(linear) for linear in er.maps] == [0.5 + 64 / 32, 0.5 + 30 / 32]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [20, 80])
def test_by_rows_or_by_inputs_it_is_the_regression(monkeypatch, bias, rows):
    monkeypatch.setattr("erlib.linear_maps.WIDE", 10)
    random = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 50, generator=random, dtype=torch.float64) + 1
    delta = torch.randn(rows, 3, generator=random, dtype=torch.float64)
    want = regress(x, delta, ridge=0.7, fit_intercept=bias)
    linear = LinearMap("it", nn.Linear(50, 3, bias=bias).double())
    linear.see(linear.module, (x,), delta)
    linear.look_again(rows, 0.0)
    linear.factor(0.7)
    found = linear.regressed(delta.T @ x, *[delta.sum(0)] * bias)
    assert torch.allclose(found.change[0].T, want[0], rtol=1e-9)
    assert not bias or torch.allclose(found.change[1], want[1], rtol=1e-9)
    fields = x @ want[0] + (want[1] if bias else 0)
    assert found.along == pytest.approx(float((fields * delta).sum()), rel=1e-9)
    assert found.energy == pytest.approx(float(fields.square().sum()), rel=1e-9)


def test_sums_have_a_memory():
    """With memory m the n-th batch counts max(1/n, 1 - m): first a mean, then an average."""
    linear, means = LinearMap("it", nn.Linear(1, 1).double()), []
    for value in (0.0, 2.0, 4.0):
        linear.inputs = torch.full((4, 1), value, dtype=torch.float64)
        linear.look_again(4, 0.5)
        means.append(float(linear.mean))
    assert means == [0.0, 1.0, 2.5]


@pytest.mark.parametrize("unit", [nn.GELU(), nn.SiLU(), nn.Sigmoid(), nn.Tanh()])
@pytest.mark.parametrize("training", [True, False])
def test_any_module_learns_and_is_otherwise_as_it_was(unit, training):
    module = double(Residual(unit)).train(training)
    x, y = batch(200)
    module.first.weight.grad = torch.ones_like(module.first.weight)
    frozen = {name: p.clone() for name, p in module.norm.named_parameters()}
    state = copy.deepcopy(module)
    er = ER(module, updates=30)
    errors = []
    for _ in range(30):
        digit, _ = er.step(x, [y, y % 2])
        errors.append(float((digit.argmax(1) != y).double().mean()))
    assert errors[-1] < errors[0] / 2
    assert module.training == training
    assert bool((module.first.weight.grad == 1).all()) and module.inner[0].weight.grad is None
    assert all(bool((frozen[n] == p).all()) for n, p in module.norm.named_parameters())
    # buffers: those of so many forward passes
    passes = int(module.norm.num_batches_tracked - state.norm.num_batches_tracked)
    assert passes == (30 if training else 0)
    assert not any(part._forward_hooks for part in module.modules())


def test_it_goes_on_from_its_state():
    x, y = batch(64)
    whole, half = (double(nn.Sequential(*CHAINS["dense"]())) for _ in range(2))
    straight = ER(whole, updates=8, every=3)
    for _ in range(8):
        straight.step(x, y)
    first = ER(half, updates=8, every=3)
    for _ in range(4):
        first.step(x, y)
    kept = copy.deepcopy(first.state_dict())
    second = ER(half, updates=8, every=3)
    second.load_state_dict(kept)
    for _ in range(4):
        second.step(x, y)
    assert all(bool((a == b).all()) for a, b in zip(whole.parameters(), half.parameters()))
    with pytest.raises(ValueError, match=r"state: .*\['1', '3'\]"):
        ER(double(nn.Sequential(nn.Flatten(), nn.Linear(64, 10))), updates=8).load_state_dict(kept)
    with pytest.raises(ValueError, match=r"state: 1: \[5, 64\] inputs"):
        kept["maps"]["1"]["mean"] = kept["maps"]["1"]["mean"][..., :5]
        second.load_state_dict(kept)


def test_constant_inputs_move_the_bias_alone():
    module = double(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    before = copy.deepcopy(module[1].weight)
    ER(module, updates=3).step(torch.full((20, 1, 8, 8), 3.0, dtype=torch.float64), batch(20)[1])
    assert bool((module[1].weight == before).all()) and float(module[1].bias.abs().max()) > 0


def test_layers_that_are_not_to_be_trained_stay():
    module = double(nn.Sequential(*CHAINS["dense"]()))
    module[1].requires_grad_(False)
    before = copy.deepcopy(module)
    ER(module, updates=3).step(*batch())
    assert bool((module[1].weight == before[1].weight).all())
    assert bool((module[3].weight != before[3].weight).any())


TIED = nn.Linear(64, 64)
ALIKE = nn.Linear(64, 64)
ALIKE.weight = TIED.weight


class Unused(nn.Sequential):
    def forward(self, x):
        return self[0](x)


@pytest.mark.parametrize(
    ("module", "message"),
    {
        "no module": ([nn.Linear(2, 2)], "module: expected a torch.nn.Module, found list"),
        "nothing": (nn.Flatten(), "module: has no Linear or Conv2d to train"),
        "recurrent": (nn.Sequential(nn.LSTM(3, 3)), "module: 0, LSTM.* has weights that no regres"),
        "prelu": (nn.Sequential(nn.Linear(2, 2), nn.PReLU()), "module: 1, PReLU"),
        "padded": (nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), "padding_mode 'zeros'"),
        "half": (nn.Linear(2, 2).half(), r"weight is torch.float16; module.float\(\) mends it"),
        "tied": (nn.Sequential(TIED, ALIKE), "module: 1, .* shares its weight with 0"),
    }.values(),
)
def test_modules_that_are_refused(module, message):
    with pytest.raises(ValueError, match=message):
        ER(module, updates=1)


def test_modules_that_are_refused_when_they_are_used():
    x, y = DIGITS.x_train[:20].flatten(1), DIGITS.y_train[:20]
    twice = nn.Linear(64, 64)
    with pytest.raises(ValueError, match=r"module: 0, .* is used twice in one forward pass"):
        ER(nn.Sequential(twice, twice, nn.Linear(64, 10)), updates=1).step(x, y)
    with pytest.raises(ValueError, match=r"module: 1, .* has no part in the outputs"):
        ER(Unused(nn.Linear(64, 10), nn.Linear(64, 10)), updates=1).step(x, y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.full((20, 64), torch.nan)}, "x: 1280 of 1280 entries are NaN"),
        ({"x": torch.zeros(0, 64)}, "x: empty"),
        ({"x": torch.zeros(20, 63)}, "x: samples of shape (63,) do not fit the module"),
        ({"y": torch.zeros(19, dtype=torch.long)}, "y: 19 samples, x has 20"),
        ({"y": torch.full((20,), 10)}, "y: labels from 10 to 10, the 10 outputs"),
        ({"y": torch.full((20, 10), 2.0)}, "y: values from 2 to 2, tanh gives -1 to 1"),
        ({"x": torch.full((20, 64), 1e30)}, "module: training overflows"),
    ],
)
def test_bad_batches_change_nothing(change, message):
    module = nn.Sequential(nn.Linear(64, 30), nn.ReLU(), nn.Linear(30, 10))
    before = copy.deepcopy(module.state_dict())
    given = {"x": DIGITS.x_train[:20].flatten(1), "y": DIGITS.y_train[:20]} | change
    er = ER(module, updates=1)
    with pytest.raises(ValueError, match=re.escape(message)):
        er.step(**given)
    assert all(bool((before[n] == v).all()) for n, v in module.state_dict().items())
    assert er.done == 0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"updates": 0}, "updates: expected an integer >= 1"),
        ({"share": 0}, "share: expected a number > 0"),
        ({"ridge": -1}, "ridge: expected a finite number >= 0"),
        ({"code": 1.5}, "code: expected a number above 0 and up to 1"),
        ({"memory": 1}, "memory: expected a number from 0 to below 1"),
        ({"every": 0}, "every: expected an integer >= 1"),
        ({"part": 2}, "part: expected a number above 0 and up to 1"),
        ({"output": "softmax"}, "activation: unknown 'softmax'"),
    ],
)
def test_settings_out_of_range(setting, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ER(nn.Linear(2, 2), **{"updates": 1} | setting)


def test_no_update_beyond_the_last():
    er = ER(nn.Linear(64, 10), updates=1)
    er.step(DIGITS.x_train[:20].flatten(1), DIGITS.y_train[:20])
    with pytest.raises(ValueError, match="step: all 1 updates are done"):
        er.step(DIGITS.x_train[:20].flatten(1), DIGITS.y_train[:20])
