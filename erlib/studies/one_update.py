"""One update of a whole network, with its controls: notebook 04.

All controls of a seed start from the same random network 784-N-10 (ReLU, no hidden bias) and solve
the readout in the same way. They differ in the fields that the hidden layer is regressed on.
"""

import copy
import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

import erlib

from ..baselines import forward_projection, random_features, receptive_fields
from ..clock import clock
from ..coding import observed_outputs
from ..data.named import Dataset
from ..network import ERNetwork
from ..notebook.kept import kept
from ..patches import PatchFeatures
from .grid import over

#: The penalties of the one update, chosen on a validation split of MNIST; the same for all data.
PENALTIES: dict[str, Any] = {"ridge": 3.0, "readout_ridge": 1e-5}
TINY = 1e-4  # scale of the "tiny" readout
ALL: tuple[str, ...] = (
    "random features",
    "random targets",
    "own fields",
    "Forward Projection",
    "shuffled",
    "ER",
)
ALL += ("shuffled, tiny readout", "ER, tiny readout")
WIDE: tuple[str, ...] = (
    "random features",
    "own fields",
    "ER",
)  # what is still of interest in wide layers
LATER = (1, 2, 3, 5, 10, 20, 40)
CHOICES: dict[str, list] = {  # compared by `validated`
    "ridge": [0.1, 0.3, 1.0, 3.0, 10.0, 30.0],
    "readout_ridge": [1e-6, 1e-5, 1e-4, 1e-2],
    "inverse": ["pinv", "damped 1", "cg 1", "transpose"],
}


@functools.lru_cache(maxsize=2)
def images(dataset: str, dtype: str = "float64", held_out: bool = False) -> Dataset:
    """The data, images as rows; with `held_out` a fifth of the training images as test images."""
    data = erlib.load(dataset, dtype=getattr(torch, dtype))
    return data.holdout(len(data.y_train) // 5, seed=0) if held_out else data


def network(data: Dataset, *hidden: int, seed: int = 0, readout_scale: float = 1.0) -> ERNetwork:
    """The random network of a seed with these hidden widths, which every control starts from."""
    sizes = [data.x_train[0].numel(), *hidden, len(data.classes)]
    scale, dtype = readout_scale, data.x_train.dtype
    return ERNetwork.dense(sizes, readout_scale=scale, dtype=dtype, seed=seed)


def shuffled(labels: torch.Tensor, seed: int) -> torch.Tensor:
    """The labels of other samples: as many of each class, told to the wrong images."""
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]


@kept
def compared(
    *, dataset: str, width: int, seed: int, names: tuple = ALL, dtype: str = "float64"
) -> list[dict]:
    """Test accuracy of one update and of its controls, each also with further updates of the
    readout alone where `WIDE` has it; and the seconds that ER took.

    * random features: the hidden layer stays as it was drawn;
    * random targets: it is regressed on Gaussian noise;
    * own fields: on its own fields, so that only the penalty acts; no labels;
    * Forward Projection: on random projections of inputs and labels, nothing is handed down;
    * shuffled: on ER's targets, made from the labels of other samples;
    * ER; and ER and shuffled from a readout scaled to 1e-4;
    * linear: no hidden layer, one least-squares fit.
    """
    data = images(dataset, dtype)
    x, y = data.x_train.flatten(1), data.y_train
    x_test, y_test = data.x_test.flatten(1), data.y_test
    rows: list[dict] = []

    def start(scale: float = 1.0) -> ERNetwork:
        return network(data, width, seed=seed, readout_scale=scale)

    def note(name: str, net: ERNetwork, seconds: float | None = None, more: bool = False) -> None:
        rows.append({"arm": name, "accuracy": net.score(x_test, y_test), "seconds": seconds})
        if more:
            begin = clock()
            net.settle(x, y, readout_ridge=PENALTIES["readout_ridge"])
            after = None if seconds is None else seconds + clock() - begin
            accuracy = net.score(x_test, y_test)
            rows.append({"arm": f"{name}, settled", "accuracy": accuracy, "seconds": after})

    def swept(hidden: torch.Tensor | None, scale: float = 1.0) -> ERNetwork:
        _, readout = start(scale).targets(x, y)
        return start(scale).sweep(x, [hidden, readout], **PENALTIES)

    generator = torch.Generator().manual_seed(seed)
    torch.randperm(len(y), generator=generator)  # what `shuffled` draws
    if "random features" in names:
        note("random features", swept(None), more=True)
    if "random targets" in names:
        noise = torch.randn(len(x), width, generator=generator, dtype=x.dtype)
        note("random targets", swept(noise))
        del noise
    if "own fields" in names:
        note("own fields", swept(x @ start().layers[0].weight.detach()), more=True)
    if "Forward Projection" in names:
        net = forward_projection(start(), x, y, seed=seed, **PENALTIES)
        net.sweep(x, [None, start().targets(x, y)[1]], **PENALTIES)  # the readout of all others
        note("Forward Projection", net)
    for ending, scale in (("", 1.0), (", tiny readout", TINY)):
        if f"shuffled{ending}" in names:
            hidden, _ = start(scale).targets(x, shuffled(y, seed))
            note(f"shuffled{ending}", swept(hidden, scale))
            del hidden
        if f"ER{ending}" in names:
            net, begin = start(scale), clock()
            net.one_update(x, y, **PENALTIES)
            note(f"ER{ending}", net, clock() - begin, more=not ending)
    return [*rows, {"arm": "linear", "accuracy": linear(dataset, dtype), "seconds": None}]


@kept
def told(*, dataset: str, width: int, seed: int, dtype: str = "float64") -> list[dict]:
    """Test accuracy by what the hidden layer is told; the readout learns from the true labels.

    Nothing (its own fields), shuffled labels, for every image the mean of all labels, true labels.
    Shuffled labels say nothing of an image, so regression keeps their mean of them: in the ten
    directions of the hidden outputs that the readout sees, all images are asked for the same. The
    rest of them, chance, costs nothing measurable where samples are many. (On all of MNIST with 30
    units the two end within a tenth of a point in each of three networks.)
    """
    data = images(dataset, dtype)
    x, y = data.x_train.flatten(1), data.y_train
    mean = observed_outputs(y, len(data.classes), x.dtype).mean(0).expand(len(y), -1)
    start = network(data, width, seed=seed)
    own, (wanted, readout) = x @ start.layers[0].weight.detach(), start.targets(x, y)
    hidden = {"own fields": own, "shuffled": start.targets(x, shuffled(y, seed))[0]}
    hidden |= {"the mean": start.targets(x, mean)[0], "ER": wanted}
    rows = []
    for arm, fields in hidden.items():
        net = network(data, width, seed=seed).sweep(x, [fields, readout], **PENALTIES)
        rows.append({"arm": arm, "accuracy": net.score(data.x_test.flatten(1), data.y_test)})
    return rows


@kept
def projected(
    *, dataset: str, width: int, seed: int, strongest: int = 50, dtype: str = "float64"
) -> list[dict]:
    """Test accuracy by the hidden weights, and their share in the `strongest` directions.

    As drawn; the same projected on the directions in which images vary most, with no regression;
    regressed on noise, on their own fields, on ER's targets. The readout is that of all controls.
    """
    data = images(dataset, dtype)
    x, y = data.x_train.flatten(1), data.y_train
    start = network(data, width, seed=seed)
    first, (wanted, readout) = start.layers[0].weight.detach(), start.targets(x, y)
    centred = x - x.mean(0)
    strong = torch.linalg.eigh(centred.T @ centred)[1][:, -strongest:]
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(x), width, generator=random, dtype=x.dtype)
    hidden = {"random features": None, "projected": None, "random targets": noise}
    rows = []
    for arm, fields in (hidden | {"own fields": x @ first, "ER": wanted}).items():
        net = network(data, width, seed=seed)
        if arm == "projected":
            net.layers[0].assign(strong @ (strong.T @ first), None)
        net.sweep(x, [fields, readout], **PENALTIES)
        weight, accuracy = (
            net.layers[0].weight.detach(),
            net.score(data.x_test.flatten(1), data.y_test),
        )
        share = float((strong.T @ weight).square().sum() / weight.square().sum())
        rows.append({"arm": arm, "accuracy": accuracy, "share": share})
    return rows


@kept
def suspected(
    *, dataset: str, depth: int, width: int, seed: int, dtype: str = "float64"
) -> list[dict]:
    """Test accuracy of one update of a deep network, with one suspect taken away.

    ``new weights``: the targets of a layer are computed after all layers below have been updated;
    ``transpose``: of the weights, in place of their pseudo-inverse.
    """
    data = images(dataset, dtype)
    x, y = data.x_train.flatten(1), data.y_train
    nets = {arm: network(data, *[width] * depth, seed=seed) for arm in ("ER", "new weights")}
    nets["transpose"] = copy.deepcopy(nets["ER"]).one_update(x, y, inverse="transpose", **PENALTIES)
    nets["ER"].one_update(x, y, **PENALTIES)
    for index in range(depth + 1):
        net = nets["new weights"]
        targets = [h if k == index else None for k, h in enumerate(net.targets(x, y))]
        net.sweep(x, targets, **PENALTIES)
    return [
        {"arm": arm, "accuracy": net.score(data.x_test.flatten(1), data.y_test)}
        for arm, net in nets.items()
    ]


@functools.lru_cache(maxsize=2)
def linear(dataset: str, dtype: str = "float64") -> float:
    """Test accuracy of one update without a hidden layer."""
    data = images(dataset, dtype)
    net = network(data).one_update(data.x_train.flatten(1), data.y_train, **PENALTIES)
    return net.score(data.x_test.flatten(1), data.y_test)


@kept
def at_depth(
    *, dataset: str, depth: int, seed: int, width: int, dtype: str = "float64"
) -> list[dict]:
    """Test accuracy with so many hidden layers: random, regressed on their own fields, updated."""
    data = images(dataset, dtype)
    x, y = data.x_train.flatten(1), data.y_train
    frozen, own, updated = (network(data, *[width] * depth, seed=seed) for _ in range(3))
    random_features(frozen, x, y, readout_ridge=PENALTIES["readout_ridge"])
    *_, readout = own.targets(x, y)
    _, fields = own.trace(x)
    own.sweep(x, [*(field.detach() for field in fields[:-1]), readout], **PENALTIES)
    updated.one_update(x, y, **PENALTIES)
    nets = {"random features": frozen, "own fields": own, "ER": updated}
    return [
        {"arm": arm, "accuracy": net.score(data.x_test.flatten(1), data.y_test)}
        for arm, net in nets.items()
    ]


@kept
def validated(
    *, dataset: str, choice: str, value: float | str, seed: int, width: int, dtype: str = "float64"
) -> list[dict]:
    """Validation accuracy with one choice changed: ``ridge``, ``readout_ridge``, ``inverse``."""
    inverses: dict[str, dict] = {"pinv": {}, "transpose": {"inverse": "transpose"}}
    inverses |= {"damped 1": {"inverse": "damped", "damping": 1.0}}
    inverses |= {"cg 1": {"inverse": "cg", "steps": 1}}
    changed = inverses[str(value)] if choice == "inverse" else {choice: value}
    data = images(dataset, dtype, held_out=True)
    net = network(data, width, seed=seed)
    net.one_update(data.x_train.flatten(1), data.y_train, **PENALTIES | changed)
    return [{"accuracy": net.score(data.x_test.flatten(1), data.y_test)}]


@kept
def at_scale(
    *, dataset: str, scale: float, seed: int, width: int, dtype: str = "float64"
) -> list[dict]:
    """Validation accuracy from a readout of this initial scale, with true and shuffled labels."""
    data = images(dataset, dtype, held_out=True)
    z, labels = data.x_train.flatten(1), data.y_train
    net, control = (network(data, width, seed=seed, readout_scale=scale) for _ in range(2))
    field = net.decision_function(z).abs().mean().item()
    hidden, _ = control.targets(z, shuffled(labels, seed))
    control.sweep(z, [hidden, control.targets(z, labels)[1]], **PENALTIES)
    net.one_update(z, labels, **PENALTIES)
    return [
        {"arm": arm, "field": field, "accuracy": each.score(data.x_test.flatten(1), data.y_test)}
        for arm, each in {"ER": net, "shuffled": control}.items()
    ]


@kept
def going_on(
    *, dataset: str, seed: int, width: int, later: tuple = LATER, dtype: str = "float64"
) -> list[dict]:
    """Test accuracy after 1, 2, ... updates with all the data, of all layers or of the readout."""
    data = images(dataset, dtype)
    x, y = data.x_train.flatten(1), data.y_train
    rows = []
    for arm in ("all layers again", "the readout alone"):
        net, done = network(data, width, seed=seed).one_update(x, y, **PENALTIES), 1
        for updates in later:
            if arm == "all layers again":
                if updates > 10:
                    break
                for _ in range(updates - done):
                    net.one_update(x, y, **PENALTIES)
            elif updates > done:
                ridge = PENALTIES["readout_ridge"]
                net.settle(x, y, updates=updates - done, readout_ridge=ridge)
            done = updates
            accuracy = net.score(data.x_test.flatten(1), data.y_test)
            rows.append({"arm": arm, "updates": updates, "accuracy": accuracy})
    return rows


@kept
def in_passes(
    *, dataset: str, seed: int, width: int, passes: int, dtype: str = "float64"
) -> list[dict]:
    """Test accuracy after each mini-batch pass, from the one update and from the random network."""
    data = images(dataset, dtype)
    x, y = data.x_train.flatten(1), data.y_train
    rows = []
    for begin in ("one update", "random network"):
        net = network(data, width, seed=seed)
        if begin == "one update":
            net.one_update(x, y, **PENALTIES)
        for done in range(passes + 1):
            if done:
                net.fit(x, y, passes=1, batch_size=500, seed=100 * seed + done)
            accuracy = net.score(data.x_test.flatten(1), data.y_test)
            rows.append({"arm": begin, "passes": done, "accuracy": accuracy})
    return rows


@kept
def on_front_end(
    *, dataset: str, arm: str, seed: int, filters: int, units: int, dtype: str = "float64"
) -> list[dict]:
    """Test accuracy of one update of a readout on a front end that nobody trains, and its seconds.

    ``patches``: random patches of training images, whitened (`erlib.patches`); ``Gaussian
    filters``: white noise in their place; ``receptive fields``: random rectangles.
    """
    data = images(dataset, dtype)
    small = min(data.x_train.shape[2:]) < 20  # such as digits, 8 x 8
    begin = clock()
    sizes, z, z_test = [units, len(data.classes)], data.x_train.flatten(1), data.x_test.flatten(1)
    if arm == "receptive fields":
        sizes, fields = [z.shape[1], *sizes], {"min_area": 6, "border": 0}
        net = ERNetwork.dense(sizes, activation="tanh", dtype=z.dtype, seed=seed)
        fields = fields if small else {"min_area": 10, "border": 3}
        weight = receptive_fields(data.x_train, data.y_train, units, seed=seed, **fields)
        net.layers[0].assign(weight, None)
        random_features(net, z, data.y_train, readout_ridge=1e-4)
    else:
        patches = {"size": 3, "grid": 2} if small else {"size": 6, "grid": 4}
        front = PatchFeatures(data.x_train, filters=filters, seed=seed, **patches)
        if arm == "Gaussian filters":
            _fill_with_noise(front, data.x_train, seed)
        z, z_test = front(data.x_train), front(data.x_test)
        net = ERNetwork.dense([front.width, len(data.classes)], dtype=z.dtype, seed=seed)
        net.one_update(z, data.y_train, readout_ridge=1e-4)
    once, seconds = net.score(z_test, data.y_test), clock() - begin
    net.settle(z, data.y_train, readout_ridge=1e-4)
    accuracy, later = net.score(z_test, data.y_test), clock() - begin
    return [
        {"arm": arm, "accuracy": once, "seconds": seconds},
        {"arm": f"{arm}, settled", "accuracy": accuracy, "seconds": later},
    ]


def _fill_with_noise(front: PatchFeatures, x: torch.Tensor, seed: int) -> None:
    """White noise in place of the filters, whose responses have the same mean and mean size."""
    noise = torch.randn(front.weight.shape, generator=torch.Generator().manual_seed(seed))
    front.weight.copy_(noise)
    responses = nn.functional.conv2d(x[:1000], front.weight)
    centre = responses.mean((0, 2, 3), keepdim=True)
    size = (responses - centre).abs().mean((0, 2, 3), keepdim=True)
    front.weight.div_(size.transpose(0, 1))
    front.bias.copy_(-(centre / size).flatten())


def everything(
    *,
    widths: Sequence[int],
    wide_widths: Sequence[int],
    widest: int,
    depths: Sequence[int],
    seeds: Sequence[int],
    few_seeds: int,
    width: int,
    passes: int,
    filters: int,
    units: int,
    **common: Any,
) -> dict[str, list[dict]]:
    """All of notebook 04, a table each: by width, depth, going on, front end, scale and choices.

    `common` is the data set and its dtype; everything but the comparison of `widths` is done with
    the first `few_seeds` seeds, and all but that of wide layers at one `width`.
    """
    few: dict = {"seed": seeds[:few_seeds], "width": width, **common}
    rows = over(compared, width=widths, seed=seeds, **common)
    rows += over(compared, width=wide_widths, seed=few["seed"], names=WIDE, **common)
    if widest:
        rows += over(compared, width=[widest], seed=seeds[:1], names=WIDE, **common)
    tables = {"accuracy": rows, "depth": over(at_depth, depth=depths, **few)}
    tables["later"] = over(going_on, **few)
    tables["passes"] = over(in_passes, passes=passes, **few)
    arms = ["patches", "Gaussian filters", "receptive fields"]
    sizes = {"filters": filters, "units": units}
    tables["front_end"] = over(on_front_end, arm=arms, seed=few["seed"], **sizes, **common)
    tables["scale"] = over(at_scale, scale=[1e-4, 1e-2, 0.1, 1.0, 10.0], **few)
    tables["choices"] = [
        {"choice": choice} | row
        for choice, values in CHOICES.items()
        for row in over(validated, choice=choice, value=values, **few)
    ]
    return tables
