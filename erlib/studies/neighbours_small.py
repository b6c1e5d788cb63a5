"""What each neighbour of notebook 11 is about, on its own ground, with ER on the same ground."""

import copy
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import Lasso
from torch import nn
from torch.nn import functional

from .. import baselines, checks
from ..baselines import backprop, train
from ..baselines.hyperplanes import hyperplanes
from ..baselines.threshold import lower_bound
from ..batches import generator, minibatches
from ..er import ER
from ..network import ERNetwork
from ..notebook.kept import kept
from ..patches import PatchFeatures
from ..theory.effective_rank import effective_rank
from .any_module import accuracy, trained
from .any_module import network as torch_network
from .grid import over
from .training import images, network, updates_in_a_pass

GUESSES: dict[str, dict[str, Any]] = {
    "direction in the weights": {"perturb": "weights"},
    "direction in the fields": {"perturb": "fields"},
    "noise in the fields": {"noise": 0.1},
}
DRAWS = [1, 3, 10, 30, 100]
UNITS = ("ER", "Adam", "random")
#: With the rate of each on `wave`, chosen by trial on five seeds: with twice the rate one of them
#: is carried away at first.
LEARNERS = {"ER": 0.0, "random features": 0.0, "L-BFGS": 1.0, "Adam": 0.1}
LEARNERS |= {"gradient descent": 0.1, "forward gradient": 0.03}
RIFLE_RATES = (0.01, 0.03, 0.1)
TUNING = ["drawn once", "drawn 4 times", "solved once", "solved 4 times"]


def guessed(*, guess: str, draws: int, seed: int, dataset: str, width: int) -> list[dict]:
    """The cosine of a gradient guessed from so many draws with that of backpropagation.

    Of the first layer's weights, for a batch of 100 images and the network as it was drawn. Noise
    comes in antithetic pairs: a draw is a pair, two passes.
    """
    checks.choice("guess", guess, GUESSES)
    data = images(dataset)
    net = network(data, width, seed)
    x, y = data.x_train.flatten(1)[:100], data.y_train[:100]
    with torch.enable_grad():
        loss = functional.cross_entropy(net(x), y)
        (gradient,) = torch.autograd.grad(loss, [net.layers[0].linear.weight])
    if guess == "noise in the fields":
        step: Any = baselines.likelihood_ratio(
            net, rate=1.0, copies=2 * draws, noise=0.1, seed=seed
        )
    else:
        settings: dict[str, Any] = {"draws": draws, "seed": seed} | GUESSES[guess]
        step = baselines.forward_gradient(net, rate=1.0, **settings)
    found = step.estimate(x, y)[0]
    cosine = torch.cosine_similarity(found.flatten(), gradient.flatten(), dim=0)
    return [{"cosine": float(cosine), "numbers": sum(p.numel() for p in net.parameters())}]


def wave(x: torch.Tensor) -> torch.Tensor:
    """The function to be learned, with a slow and a fast part."""
    return torch.sin(3 * x) + 0.3 * torch.sin(12 * x)


def wave_network(units: int, seed: int) -> ERNetwork:
    """1-units-1, tanh, with hidden fields that bend inside [-1, 1] at many places."""
    net = ERNetwork.dense(
        [1, units, 1], activation="tanh", hidden_bias=True, output="identity", seed=seed,
        dtype=torch.float64,
    )  # fmt: skip
    random = generator(seed)
    slope = 8 * torch.randn(1, units, generator=random, dtype=torch.float64)
    place = 2 * torch.rand(units, generator=random, dtype=torch.float64) - 1
    net.layers[0].assign(slope, -slope[0] * place)
    return net


def learned_wave(
    *, arm: str, seed: int, units: int, updates: int, rate: float = 0.01
) -> list[dict]:
    """Mean square error of `wave` on [-1, 1] after 1, 2, 3, 6, 10, ... updates with 200 points.

    ``forward gradient`` guesses from one direction in the weights, ``gradient descent`` and Adam
    know the gradient; they go down the squared error, at a rate that declines to 0. L-BFGS searches
    along lines and may look at the error several times an update. ``ER`` gets ten updates, ``random
    features`` one, of the readout alone.
    """
    checks.choice("arm", arm, LEARNERS)
    length = {"ER": 10, "random features": 1}.get(arm, updates)
    shown = {round(10**k) for k in np.arange(0, math.log10(updates) + 0.01, 0.25)}
    x, y = wave_points()
    net = wave_network(units, seed)
    return [
        {"updates": update, "error": float((net(x).detach() - y).square().mean())}
        for update in wave_updates(net, arm, length, rate, seed)
        if update in shown
    ]


def wave_points() -> tuple[torch.Tensor, torch.Tensor]:
    """200 points between -1 and 1 `[200, 1]`, and `wave` there."""
    x = torch.linspace(-1, 1, 200, dtype=torch.float64)[:, None]
    return x, wave(x)


def wave_updates(net: ERNetwork, arm: str, updates: int, rate: float, seed: int) -> Iterator[int]:
    """The number of updates done, after each."""
    x, y = wave_points()
    guess: Any = None
    parameters = list(net.parameters())
    optimiser: Any = torch.optim.SGD(parameters, rate)
    if arm == "Adam":
        optimiser = torch.optim.Adam(parameters, rate)
    elif arm == "L-BFGS":
        optimiser = torch.optim.LBFGS(
            parameters, rate, 1, 25, 0.0, 0.0, 50, line_search_fn="strong_wolfe"
        )

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        with torch.enable_grad():
            found = (net(x) - y).square().sum(1).mean() / 2
            found.backward()
        return found

    if arm == "forward gradient":
        settings: dict[str, Any] = {"rate": rate, "loss": "squared", "seed": seed}
        guess = baselines.forward_gradient(net, updates=updates, **settings)
    for update in range(1, updates + 1):
        if arm == "ER":
            net.one_update(x, y, ridge=1e-6, readout_ridge=1e-8)
        elif arm == "random features":
            net.settle(x, y, updates=1, readout_ridge=1e-8)
        elif guess:
            guess(x, y)
        else:
            if arm != "L-BFGS":
                optimiser.param_groups[0]["lr"] = rate * (1 - (update - 1) / updates)
            optimiser.step(loss)
        yield update


def few_points(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`n` points of two moons, with labels of +1 and -1."""
    random = generator(seed)
    angle = math.pi * torch.rand(n, generator=random, dtype=torch.float64)
    side = torch.arange(n) % 2
    x = torch.stack([angle.cos() + side, angle.sin() * (1 - 2.0 * side) + 0.3 * side], 1)
    x = x + 0.15 * torch.randn(x.shape, generator=random, dtype=torch.float64)
    return x, 1 - 2.0 * side.to(x.dtype)


def threshold_cost(*, arm: str, seed: int, n: int, units: int, penalty: float) -> list[dict]:
    """What the best readout of so many threshold units costs, over the least possible cost.

    The cost is that of `erlib.baselines.threshold_network`, least over all its dichotomies. Units
    are hyperplanes of a network of tanh units after 200 updates of joint ER (``ER``), after 500
    steps of Adam (``Adam``), or drawn.
    """
    checks.choice("arm", arm, UNITS)
    x, y = few_points(n, seed)
    if arm == "random":
        weight, bias = hyperplanes(x, units, seed=seed)
    else:
        net = ERNetwork.dense(
            [2, units, 1], activation="tanh", hidden_bias=True, seed=seed, dtype=x.dtype
        )
        if arm == "ER":
            module = nn.Sequential(net.layers[0].linear, nn.Tanh(), net.layers[1].linear)
            er = ER(module, updates=200, ridge=0.01, part=1.0)
            for _ in range(200):
                er.step(x, 0.8 * y[:, None])
        else:
            optimiser = torch.optim.Adam(net.parameters(), 0.03)
            for _ in range(500):
                optimiser.zero_grad()
                functional.softplus(-2 * y[:, None] * net(x)).mean().backward()
                optimiser.step()
        weight, bias = net.layers[0].weight.detach(), net.layers[0].bias.detach()
    best, gap = least_cost(n, seed, penalty)
    return [{"cost": cost(x, y, weight, bias, penalty), "least": best, "gap": gap}]


@functools.cache
def least_cost(n: int, seed: int, penalty: float) -> tuple[float, float]:
    """The global optimum for `few_points`, and by how much at most it may be too high."""
    net = baselines.threshold_network(*few_points(n, seed), penalty=penalty)
    return net.objective, net.gap


def cost(
    x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, penalty: float
) -> float:
    """The Lasso's cost with these threshold units and those that are always on."""
    d = torch.cat([(x @ weight + bias >= 0).to(x.dtype), torch.ones(len(x), 1, dtype=x.dtype)], 1)
    lasso = Lasso(penalty / len(d), fit_intercept=False, tol=1e-11, max_iter=100_000)
    w = torch.from_numpy(np.ravel(lasso.fit(d.numpy(), y.numpy()).coef_))
    found = float(0.5 * (d @ w - y).square().sum() + penalty * w.abs().sum())
    assert found >= lower_bound(d, y, w, penalty) - 1e-9
    return found


@kept
def fine_tuned(
    *, arm: str, seed: int, rate: float, dataset: str, width: int, labels: int, passes: int,
    judged: str = "test",
) -> list[dict]:  # fmt: skip
    """Accuracy on classes 5 to 9 after pre-training on 0 to 4 and fine-tuning on a few labels.

    Pre-training is six passes of Adam; fine-tuning has so many `labels` of each class and SGD with
    momentum, its readout drawn or solved for at the start of one or of four periods (`TUNING`).
    """
    how, _, times = checks.choice("arm", arm, TUNING).partition(" ")
    data = images(dataset, judged=judged)
    first = data.y_train < 5
    net = copy.deepcopy(_pretrained(dataset, width, seed, judged))
    x, y = data.x_train.flatten(1)[~first], data.y_train[~first] - 5
    order = torch.randperm(len(y), generator=generator(seed))
    drawn = torch.cat([order[y[order] == label][:labels] for label in range(5)])
    x, y, batch = x[drawn], y[drawn], 10
    updates = passes * updates_in_a_pass(len(y), batch)
    settings: dict[str, Any] = {"periods": 1 if times == "once" else 4, "seed": seed}
    solve = (x, y) if how == "solved" else None
    step = baselines.rifle(net, rate=rate, updates=updates, solve=solve, **settings)
    train(net, x, y, step, passes=passes, batch_size=batch, seed=seed)
    held = data.y_test >= 5
    return [{"accuracy": net.score(data.x_test.flatten(1)[held], data.y_test[held] - 5)}]


@functools.cache
def _pretrained(dataset: str, width: int, seed: int, judged: str) -> ERNetwork:
    data = images(dataset, judged=judged)
    first = data.y_train < 5
    x, y = data.x_train.flatten(1)[first], data.y_train[first]
    net = ERNetwork.dense([x.shape[1], width, 5], hidden_bias=True, seed=seed, dtype=x.dtype)
    updates = 6 * updates_in_a_pass(len(y), 50)
    step = backprop(net, rate=0.003, updates=updates)
    return train(net, x, y, step, passes=6, batch_size=50, seed=seed)


def best_fine_tuned(*, rates: Sequence[float], seeds: Sequence[int], **common: Any) -> list[dict]:
    """`fine_tuned` for all of `TUNING`, each at its best rate on validation images of two seeds."""
    rows = []
    for arm in TUNING:

        def held(rate: float, arm: str = arm) -> float:
            given: dict[str, Any] = {"arm": arm, "rate": rate, "judged": "rates"} | common
            return sum(fine_tuned(seed=seed, **given)[0]["accuracy"] for seed in (0, 1))

        best = max(rates, key=held)
        for seed in seeds:
            (row,) = fine_tuned(arm=arm, seed=seed, rate=best, **common)
            rows.append({"arm": arm, "seed": seed, "rate": best} | row)
    return rows


def generations(*, arm: str, seed: int, count: int, dataset: str, width: int) -> list[dict]:
    """Effective rank of the hidden outputs, over networks that each learn from the one before.

    The first learns the labels, each next one, drawn anew, the outputs of the last: by one update
    of ER (``ER``), by its readout alone (``random features``), or by six passes of Adam on the
    squared error (``Adam``). Training images; the accuracy is that on test images.
    """
    checks.choice("arm", arm, ("ER", "random features", "Adam"))
    data = images(dataset)
    x, width_out = data.x_train.flatten(1), len(data.classes)
    target, rows = 0.8 * (2 * functional.one_hot(data.y_train, width_out).to(x) - 1), []
    for generation in range(1, count + 1):
        net = network(data, width, 100 * seed + generation)
        if arm == "ER":
            net.one_update(x, target)
        elif arm == "random features":
            net.settle(x, target, updates=1)
        else:
            _fit_outputs(net, x, target, seed)
        with torch.no_grad():
            inputs, fields = net.trace(x)
            target = 0.99 * torch.tanh(fields[-1])
        rank = effective_rank(inputs[-1])
        accuracy = net.score(data.x_test, data.y_test)
        rows.append({"generation": generation, "rank": rank, "accuracy": accuracy})
    return rows


def _fit_outputs(net: ERNetwork, x: torch.Tensor, target: torch.Tensor, seed: int) -> None:
    optimiser = torch.optim.Adam(net.parameters(), 0.003)
    for _ in range(6):
        order = torch.randperm(len(x), generator=generator(seed))
        for part in order.split(100):
            optimiser.zero_grad()
            with torch.enable_grad():
                (torch.tanh(net(x[part])) - target[part]).square().mean().backward()
            optimiser.step()


#: Rates tried for the small convolutional network; those of AdaS are the first ones.
CONVOLVED = {"AdaS": (0.01, 0.03, 0.1), "Adam": (0.0015, 0.003, 0.01), "joint ER": (0.0,)}
FRONT_ENDS = ["no filters", "random patches", "random patches, 0 or 1", "spike timing"]


@kept
def front_end(
    *, arm: str, seed: int, dataset: str, filters: int, size: int, grid: int, seen: int
) -> list[dict]:
    """Test accuracy of a readout of features found without labels, regressed by ER.

    Those of spikes are 0 or 1; random patches can be made so: above their median, or not.
    """
    checks.choice("arm", arm, FRONT_ENDS)
    data = images(dataset, "float32")
    kinds = {"filters": filters, "size": size, "grid": grid, "seed": seed}
    front: nn.Module = nn.Flatten()
    if arm.startswith("random patches"):
        front = PatchFeatures(data.x_train, **kinds)
    elif arm == "spike timing":
        front = baselines.SpikeFeatures(data.x_train, seen=seen, **kinds)
    x, test = (_in_parts(front, part) for part in (data.x_train, data.x_test))
    if arm.endswith("0 or 1"):
        middle = x.median(0).values
        x, test = ((part > middle).to(x) for part in (x, test))
    net = ERNetwork.dense([x.shape[1], len(data.classes)], hidden_bias=True, seed=seed)
    net.settle(x, data.y_train, updates=1, readout_ridge=1e-3)
    return [{"accuracy": net.score(test, data.y_test), "width": x.shape[1]}]


def _in_parts(front: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([front(part).flatten(1) for part in x.split(500)])


@kept
def convolved(
    *, arm: str, seed: int, dataset: str, passes: int, rate: float = 0.0, judged: str = "test"
) -> list[dict]:
    """Test accuracy of the small convolutional network by AdaS, Adam or joint ER."""
    checks.choice("arm", arm, CONVOLVED)
    data = images(dataset, "float32", judged)
    if arm != "AdaS":
        settings: dict[str, Any] = {"rate": rate} if arm == "Adam" else {}
        method = arm.removeprefix("joint ")
        found = trained(data, "small", method, passes=passes, seed=seed, **settings)
        return [{"accuracy": found.accuracy}]
    net = torch_network("small", data.x_train, len(data.classes), seed)
    every = updates_in_a_pass(len(data.y_train), 128)
    step = baselines.adas(net, every=every, rate=rate)
    for part in minibatches(len(data.y_train), 128, passes, seed):
        step(data.x_train[part], data.y_train[part])
    return [{"accuracy": accuracy(net, data.x_test, data.y_test)}]


def best_convolved(*, seeds: Sequence[int], **common: Any) -> list[dict]:
    """`convolved` by each method, at its best rate on validation images of the first seed."""
    rows = []
    for arm, rates in CONVOLVED.items():

        def held(rate: float, arm: str = arm) -> float:
            given: dict[str, Any] = {
                "arm": arm,
                "seed": 0,
                "rate": rate,
                "judged": "rates",
            } | common
            return convolved(**given)[0]["accuracy"]

        best = max(rates, key=held) if len(rates) > 1 else rates[0]
        rows += [
            {"rate": best} | row
            for row in over(convolved, arm=[arm], seed=list(seeds), rate=best, **common)
        ]
    return rows


def on_their_ground(
    *, dataset: str, few_images: str, seeds: Sequence[int], width: int, labels: int, filters: int,
    convolved_passes: int,
) -> dict[str, list[dict]]:  # fmt: skip
    """All small experiments of notebook 11, a table each; AdaS only with `convolved_passes`.

    Front ends and AdaS have all of `dataset`, the others the data set `few_images`. All seeds where
    a training takes a second, else the first two, of AdaS three; eight sets of points.
    """
    several, few = list(seeds), list(seeds[:2])
    images_of: dict[str, Any] = {"dataset": few_images, "width": width}
    small = images(dataset).x_train.shape[-1] < 20
    front = {"filters": filters, "size": 3 if small else 5, "grid": 3 if small else 6}
    learners = ["ER", "random features", "Adam"]
    tables = {
        "guessed": over(guessed, guess=[*GUESSES], draws=DRAWS, seed=few, **images_of),
        "wave": [
            row
            for arm, rate in LEARNERS.items()
            for row in over(learned_wave, arm=[arm], seed=several, units=20, updates=316, rate=rate)
        ],
        "threshold": over(
            threshold_cost, arm=[*UNITS], seed=[*range(8)], n=14, units=8, penalty=0.1
        ),
        "fine_tuned": best_fine_tuned(
            rates=RIFLE_RATES, seeds=several, labels=labels, passes=12, **images_of
        ),
        "generations": over(generations, arm=learners, seed=few, count=5, **images_of),
        "front_end": over(front_end, arm=FRONT_ENDS, seed=few, dataset=dataset, seen=200, **front),
    }
    if convolved_passes:
        of: dict[str, Any] = {"dataset": dataset, "passes": convolved_passes, "seeds": several[:3]}
        tables["convolved"] = best_convolved(**of)
    return tables
