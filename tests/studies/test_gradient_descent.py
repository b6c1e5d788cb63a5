"""S5 on random networks of all shapes, and the facts that notebook 03 draws."""

import pytest
import torch
from references import one_thread  # noqa: F401

from erlib import ERNetwork, invert, reflect, regress
from erlib.activations import NAMES
from erlib.studies import gradient_descent as study
from erlib.theory.gauss_newton import gauss_newton_changes
from erlib.theory.gradient import gradient_changes

SMALL = {"dataset": "digits", "hidden": (8, 6), "seed": 0}


def normal(*shape, seed=0):
    generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def difference(found, wanted):
    """Largest relative difference of the changes of a layer, weight and bias together."""
    worst = 0.0
    for one, other in zip(found, wanted, strict=True):
        one, other = study.flat([one]), study.flat([other])
        size = max(one.norm().item(), other.norm().item())
        worst = max(worst, (one - other).norm().item() / size if size else 0.0)
    return worst


def three_verbs(net, x, target, ridge, method="pinv"):
    """The loop of the notebook, for layers with and without bias."""
    with torch.no_grad():
        inputs, fields = net.trace(x)
    changes = []
    for layer, below, h in reversed(list(zip(net.layers, inputs, fields))):
        delta = reflect(h, target, layer.activation.name) - h
        has_bias = layer.bias is not None
        change, shift = regress(below, delta, ridge=ridge, fit_intercept=has_bias)
        changes.append((change, shift if has_bias else None))
        target = below + invert(delta, layer.weight.detach(), method=method)
    return changes[::-1]


# ---- S5: the sweep over all shapes of networks


def inputs(kind, n, d, generator):
    x = normal(n, d, seed=generator)
    if kind == "mixed":
        scales = 10 ** normal(d, seed=generator).clamp(-1, 1)
        return x @ normal(d, d, seed=generator) / d**0.5 * scales
    if kind == "offset":
        return x + 3 * normal(d, seed=generator)
    if kind == "duplicates":
        x = torch.cat([x[:, : max(1, d // 2)], x], 1)[:, :d]
        return torch.cat([x[: n // 2], x])[:n]
    return x


def conditions(net, x):
    """Eigenvalues of all Gram matrices over the largest, variation of all inputs over their size.

    And whether slope and ratio of some unit differ.
    """
    spectra, variations, apart = [], [], False
    with torch.no_grad():
        for layer in net.layers:
            centred = x if layer.bias is None else x - x.mean(0)
            values = torch.linalg.eigvalsh(centred.T @ centred)
            spectra.append(values / values[-1].clamp(min=1e-300))
            variations.append(centred.norm(dim=0) / x.norm(dim=0).clamp(min=1e-300))
            h, unit = layer.field(x), layer.activation
            apart |= not torch.equal(unit.factor(h), unit.slope(h))
            x = unit.f(h)
    return torch.cat(spectra), torch.cat(variations), apart


@pytest.mark.parametrize("networks", [12, pytest.param(240, marks=pytest.mark.slow)])
def test_s5_on_random_networks(networks):
    """Depth 1 to 6, widths 3 to 200, batches of 1 to 1,000, all units, four kinds of inputs.

    Not compared: layers with bias whose inputs hardly vary, by less than 1e-4 of their size, where
    the gradients of weight and bias nearly cancel. With a penalty of 1e-2, because float64 does not
    resolve them otherwise: Gram matrices neither regular nor singular.
    """
    generator, compared = torch.Generator().manual_seed(0), 0

    def uniform():
        return torch.rand((), generator=generator).item()

    for index in range(networks):
        depth, n = 1 + int(6 * uniform()), round(1000 ** uniform())
        sizes = [round(3 * (200 / 3) ** uniform()) for _ in range(depth + 1)]
        units = NAMES[index % len(NAMES)], NAMES[int(len(NAMES) * uniform())]
        net = ERNetwork.dense(
            sizes,
            activation=units[0],
            output=units[1],
            hidden_bias=index % 4 < 2,
            seed=generator,
            dtype=torch.float64,
        )
        for layer in net.layers:
            if layer.bias is not None:
                layer.bias.data = 0.3 * normal(len(layer.bias), seed=generator)
        kind = ["white", "mixed", "offset", "duplicates"][index // 6 % 4]
        x, t = inputs(kind, n, sizes[0], generator), normal(n, sizes[-1], seed=generator)
        spectra, variations, apart = conditions(net, x)
        if ((variations > 0) & (variations < 1e-4)).any():
            continue
        compared += 1
        ridge = 1e-2 if ((spectra > 1e-13) & (spectra < 1e-4)).any() else 0.0
        verbs = three_verbs(net, x, t, ridge)
        assert difference(net.changes(x, t, ridge=ridge), verbs) < 1e-11
        assert difference(gradient_changes(net, x, t, ridge=ridge), verbs) < 1e-10, (sizes, units)
        moves = any(weight.any() for weight, _ in verbs)
        matters = {
            "pseudo-inverse": any(weight.any() for weight, _ in verbs[:-1]),
            "ratio": apart and all(study.flat([change]).any() for change in verbs),
            "Gram matrix": moves,
        }
        for name, how in study.UNDONE.items():
            if matters[name]:
                broken = gradient_changes(net, x, t, ridge=ridge, **how)
                assert difference(broken, verbs) > 1e-3, (name, sizes, units)
    assert compared > 0.8 * networks


def test_verbs_with_the_transpose_are_the_second_path_with_it():  # exercise 2
    net, x, t = study.network([6, 5, 4], "tanh", hidden_bias=True), normal(40, 6), normal(40, 4)
    verbs = three_verbs(net, x, t, 0.3, method="transpose")
    assert difference(gradient_changes(net, x, t, inverse="transpose", ridge=0.3), verbs) < 1e-11


# ---- S6, and what is near


def test_s6c_fails_where_a_network_narrows_again_after_it_has_widened():
    net = study.orthonormal(study.without_bias([6, 4, 7, 3]))
    x, t = normal(60, 6), normal(60, 3, seed=1)
    found, newton = net.changes(x, t, ridge=0), gauss_newton_changes(net, x, t)
    assert difference(found[1:], newton[1:]) < 1e-9 and difference(found[:1], newton[:1]) > 0.1


def test_white_linear_networks_are_the_end_of_the_whitening():
    x = normal(30, 5)
    torch.testing.assert_close(study.white(x).T @ study.white(x), 30 * torch.eye(5).double())
    torch.testing.assert_close(study.reshaped(x, 0.0), x)
    assert torch.linalg.cond(study.reshaped(x, 1.0)) < 1 + 1e-12
    for unit, equal in (("identity", {1, 2, 3}), ("relu", {1})):
        rows = study.whitening(unit=unit, **SMALL)
        ends = {row["layer"] for row in rows if row["alpha"] == 1 and row["cosine"] > 1 - 1e-10}
        assert ends == equal


@pytest.mark.parametrize(("second", "most"), [(5, "Gram matrix"), (20, "pseudo-inverse")])
def test_what_turns_the_step_most_depends_on_the_widths(second, most):
    rows = study.one_by_one(first=20, second=second, dataset="digits")
    away, alone = (
        {
            row["replacement"]: row["cosine"]
            for row in rows
            if row["layer"] == 1 and row["case"] == case
        }
        for case in ("taken away", "alone")
    )
    assert min(away, key=away.get) == max(alone, key=alone.get) == most
    assert max(away, key=away.get) == min(alone, key=alone.get) == "ratio"


def test_with_the_transpose_er_is_near_the_gradient_divided_by_the_gram_matrix():
    x, t = study.images("digits", often=0.1)
    net = study.network([x.shape[1], 20, 15, 10], "tanh", hidden_bias=True)
    foof = gradient_changes(net, x, t, ridge=0.3, factor="slope", inverse="transpose")
    for inverse, near in (("transpose", True), ("pinv", False)):
        cosine = study.cosines(net.changes(x, t, ridge=0.3, inverse=inverse), foof)[0]
        assert (cosine > 0.7) == near


# ---- what does not follow


def test_gradients_average_and_steps_with_a_penalty_nearly():
    rows = study.batch_means(**SMALL)
    off = {(row["step"], row["batch"]): row["difference"] for row in rows}
    for batch in study.BATCHES:
        assert off["gradient", batch] < 1e-12
        assert off["penalty 0.3", batch] < 0.2 < 2 * off["no penalty", batch]


def test_without_silent_units_no_step_of_square_layers_goes_uphill():
    for seed in range(5):
        net = study.without_bias([9, 9, 9, 9], "identity", seed)
        x, t = normal(2, 40, 9, seed=seed)
        found = study.cosines(net.changes(x, t, ridge=0), study.negative_gradient(net, x, t))
        assert min(found) > 0


def test_a_step_with_all_replacements_paints_what_er_paints():
    rows = study.painted(dataset="digits", count=100)
    change = study.steps("digits", 100)[0][0][0]
    largest = change[:, study.loud(study.steps("digits", 100)[0])]
    largest = largest / largest.abs().max()
    assert all(abs(row["all three"] - largest[row["pixel"]]) < 1e-3 for row in rows)
    cosines = {(row["case"], row["layer"]): row["cosine"] for row in study.replaced(
        dataset="digits", count=100)}  # fmt: skip
    assert cosines["all three", 1] > 1 - 1e-9 > 0.9 > cosines["none: the gradient", 1]


def test_with_the_transpose_no_step_goes_uphill():
    assert all(row["cosine"] > 0 for row in study.downhill(inverse="transpose", networks=10))
    assert any(row["cosine"] < 0 for row in study.downhill(inverse="pinv", networks=30))


def test_no_share_is_the_network_and_the_full_one_its_fit():
    rows = study.overshoot(unit="relu", **SMALL)
    x, t = study.images("digits", often=0.1)
    net = study.network([x.shape[1], 8, 6, 10])
    for share in (0.0, 1.0):
        moved = net.fit(x, t, batch_size=len(x), share=share, ridge=0)
        loss = (t - moved.decision_function(x).tanh()).square().sum().item() / 2 / len(x)
        (row,) = (row for row in rows if row["share"] == share)
        assert row["loss"] == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize(
    ("sizes", "unit", "how", "symmetric"),
    [
        ([4, 3, 2], "tanh", {"factor": "slope", "inverse": "transpose"}, True),
        ([6, 3], "tanh", {}, True),
        ([4, 3, 2], "tanh", {}, False),
        ([4, 3, 2], "relu", {}, False),
        ([4, 3, 2], "relu", {"inverse": "transpose"}, True),
        ([4, 3, 2], "tanh", {"inverse": "transpose"}, False),
    ],
)
def test_which_replacement_takes_the_function_away(sizes, unit, how, symmetric):  # exercise 3
    found = study.asymmetry(study.jacobian(sizes, unit, **how))
    assert found < 1e-6 if symmetric else found > 0.05


def test_a_penalty_on_the_weights_adds_weight_decay():
    x, t = study.images("digits", often=0.1)
    net = study.network([x.shape[1], 8, 6, 10])
    old = net.layers[0].weight.detach()
    new, _ = regress(x, net.targets(x, t)[0], ridge=0.3, fit_intercept=False)
    decay = new - old - net.changes(x, t, ridge=0.3)[0][0]
    gram = x.T @ x
    shift = 0.3 * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    torch.testing.assert_close(decay, -shift @ torch.linalg.solve(gram + shift, old))


def test_a_fifth_of_the_hidden_fields_on_digits_changes_sign():
    x, t = study.images("digits", often=0.1)
    net, a, changed = study.network([x.shape[1], 20, 15, 10]), x, []
    for layer, wanted in zip(net.layers[:-1], net.targets(x, t)):
        h = layer.field(a).detach()
        changed.append((h.sign() != wanted.sign()).double().mean().item())
        a = layer.activation.f(h)
    assert 0.1 < sum(changed) / 2 < 0.3
