"""The loops over the three verbs, against loops over samples (tests/references.py)."""

import copy

import numpy as np
import pytest
import references
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from references import one_thread  # noqa: F401
from torch import nn

import erlib.network
from erlib import ERNetwork, invert, reflect, regress
from erlib.activations import NAMES
from erlib.sequential import sequential_fit

EXAMPLES = settings(deadline=None, max_examples=25, derandomize=True)
SIZES = {1: [4, 3], 2: [4, 6, 3], 3: [4, 6, 5, 3], 4: [4, 6, 5, 6, 3]}
every_activation = pytest.mark.parametrize("name", NAMES)
every_depth = pytest.mark.parametrize("depth", SIZES, ids="depth={}".format)
with_and_without_bias = pytest.mark.parametrize(
    "hidden_bias", [True, False], ids=["hidden bias", "no hidden bias"]
)
INVERSES = {
    "pinv": {},
    "damped": {"inverse": "damped", "damping": 0.3},
    "cg": {"inverse": "cg", "steps": 2},
    "transpose": {"inverse": "transpose"},
}
every_inverse = pytest.mark.parametrize("inverse", INVERSES.values(), ids=INVERSES)


def data(n=50, d_in=4, classes=3, seed=0):
    """Inputs whose class a linear rule with noise decides; every class is there."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d_in)) + 0.3
    y = (x @ rng.normal(size=(d_in, classes)) + rng.normal(size=(n, classes))).argmax(1)
    y[:classes] = range(classes)
    return x, y


def network(sizes=(4, 6, 3), seed=0, bias_seed=None, **options):
    """A float64 network; with `bias_seed` the biases, 0 at first, are random."""
    net = ERNetwork.dense(list(sizes), seed=seed, dtype=torch.float64, **options)
    if bias_seed is not None:
        generator = torch.Generator().manual_seed(bias_seed)
        for layer in net.layers:
            if layer.bias is not None:
                nn.init.normal_(layer.bias, 0, 0.3, generator=generator)
    return net


def plain(net):
    """The layers as the references take them."""
    return [
        (
            layer.weight.detach().numpy().copy(),
            None if layer.bias is None else layer.bias.detach().numpy().copy(),
            layer.activation.name,
        )
        for layer in net.layers
    ]


def coded(y, classes=3):
    return np.array([[1.0 if unit == label else -1.0 for unit in range(classes)] for label in y])


def renamed(inverse):
    """The settings of the inverse mapping as the references call them."""
    return {"method" if key == "inverse" else key: value for key, value in inverse.items()}


def worst(found, wanted):
    """Largest difference of two lists of layers, relative to the largest number of each array."""
    ratios = []
    for (weight, bias, _), (weight2, bias2, _) in zip(found, wanted, strict=True):
        assert (bias is None) == (bias2 is None)
        for a, b in ((weight, weight2), (bias, bias2)):
            if a is not None:
                ratios.append(abs(a - b).max() / max(abs(b).max(), 1e-3))
    return max(ratios)


def state(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def same_state(net, before):
    return all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


# ---------------------------------------------------------------- one update


@every_activation
@every_depth
@with_and_without_bias
def test_one_update_is_the_loop_over_samples(hidden_bias, depth, name):
    x, y = data()
    net = network(SIZES[depth], activation=name, hidden_bias=hidden_bias, bias_seed=1)
    before = plain(net)
    wanted = references.one_update(before, x, coded(y), ridge=0.3, readout_ridge=1e-3)
    net.one_update(x, y, ridge=0.3, readout_ridge=1e-3)
    assert worst(plain(net), wanted) < 1e-9
    assert worst(plain(net), before) > 1e-2, "and it moved"


@every_inverse
@pytest.mark.parametrize("output", ["tanh", "identity", "softsign"])
def test_one_update_with_every_inverse_mapping_and_output(output, inverse):
    x, y = data()
    net = network(SIZES[3], output=output, bias_seed=1)
    wanted = references.one_update(plain(net), x, coded(y), 0.3, 1e-3, **renamed(inverse))
    net.one_update(x, y, ridge=0.3, readout_ridge=1e-3, **inverse)
    assert worst(plain(net), wanted) < 1e-9


def test_a_second_update_starts_from_the_first():
    x, y = data()
    net = network(activation="softsign")
    wanted = plain(net)
    for _ in range(2):
        wanted = references.one_update(wanted, x, coded(y), 0.3, 1e-3)
        net.one_update(x, y, ridge=0.3, readout_ridge=1e-3)
    assert worst(plain(net), wanted) < 1e-8


def test_one_update_of_one_layer_is_reflect_and_regress():
    x, y = data()
    net = network(SIZES[1], bias_seed=1)
    fields = net.decision_function(x)
    weight, bias = regress(x, reflect(fields, coded(y)), ridge=0.2)
    net.one_update(x, y, readout_ridge=0.2, ridge=7.0)
    np.testing.assert_allclose(plain(net)[0][0], weight, rtol=1e-13)
    np.testing.assert_allclose(plain(net)[0][1], bias, rtol=1e-13)


@pytest.mark.parametrize("seed", range(3), ids="start={}".format)
def test_one_linear_layer_is_least_squares_after_one_update_from_any_start(seed):
    # S1
    x, _ = data()
    y = np.random.default_rng(seed).normal(size=(50, 3))
    net = network(SIZES[1], seed=seed, bias_seed=seed, output="identity")
    net.one_update(x, y, readout_ridge=0)
    weight, bias = references.least_squares(x, y)
    assert worst(plain(net), [(weight, bias, None)]) < 1e-12


def test_it_learns_what_no_linear_network_can():
    x = np.random.default_rng(0).normal(size=(400, 2))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    assert network([2, 2]).one_update(x, y).score(x, y) < 0.7
    assert network([2, 60, 2]).one_update(x, y, ridge=0.1).score(x, y) > 0.95


# ---------------------------------------------------------------- targets


@every_activation
@every_inverse
def test_targets_are_the_loop_over_samples_and_change_nothing(inverse, name):
    x, y = data()
    net = network(SIZES[3], activation=name, hidden_bias=True, bias_seed=1)
    before = state(net)
    found = net.targets(x, y, **inverse)
    assert same_state(net, before)
    wanted = references.targets(plain(net), x, coded(y), **renamed(inverse))
    for one, other in zip(found, wanted, strict=True):
        assert abs(one - other).max() < 1e-10 * abs(other).max()


def test_targets_by_the_public_verbs():
    x, y = data()
    net = network(bias_seed=1)
    hidden, readout = plain(net)
    h1 = x @ hidden[0]
    h2 = np.maximum(h1, 0) @ readout[0] + readout[1]
    h2_star = reflect(h2, coded(y))
    h1_star = reflect(h1, np.maximum(h1, 0) + invert(h2_star - h2, readout[0]), "relu")
    for found, wanted in zip(net.targets(x, y), (h1_star, h2_star), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


@EXAMPLES
@given(
    depth=st.sampled_from(list(SIZES)),
    name=st.sampled_from(NAMES),
    output=st.sampled_from(["tanh", "identity", "erf"]),
    inverse=st.sampled_from(list(INVERSES.values())),
    seed=st.integers(0, 2**32 - 1),
)
def test_where_observed_is_predicted_nothing_changes(depth, name, output, inverse, seed):
    x, _ = data(seed=seed)
    net = network(
        SIZES[depth], activation=name, hidden_bias=True, seed=seed, bias_seed=1, output=output
    )
    before, started = plain(net), state(net)
    observed = net.layers[-1].activation.f(torch.tensor(net.decision_function(x)))
    inputs, fields = references.forward(before, x)
    for one, other in zip(net.targets(x, observed, **inverse), fields, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13 * abs(other).max())
    net.one_update(x, observed, ridge=0, readout_ridge=0, **inverse)
    if all(np.linalg.cond(below - below.mean(0)) < 1e3 for below in inputs):
        assert worst(plain(net), before) < 1e-8
    # Also where units that are silent or alike leave the weights free:
    assert abs(net.decision_function(x) - fields[-1]).max() < 1e-6 * abs(fields[-1]).max()
    net.load_state_dict(started)
    net.fit(x, observed, batch_size=len(x), passes=2, **inverse)
    # A batch in another order is rounded in another way, and leaky units that are off magnify
    # that by 100 a layer.
    assert worst(plain(net), before) < 1e-12 * (100 ** (depth - 1) if name == "leaky_relu" else 1)


def test_where_observed_is_predicted_targets_are_the_fields_to_the_last_bit():
    x, _ = data()
    net = network(SIZES[3], activation="tanh", bias_seed=1)
    inputs = torch.tensor(x)
    _, fields = net.trace(inputs)
    observed = torch.tanh(fields[-1])
    assert all(torch.equal(*pair) for pair in zip(net.targets(inputs, observed.detach()), fields))


# ---------------------------------------------------------------- sweep


def test_a_layer_without_targets_keeps_its_weights():
    x, y = data()
    net = network(SIZES[3], bias_seed=1)
    before, targets = plain(net), net.targets(x, y)
    net.sweep(x, [targets[0], None, targets[2]], ridge=0.3, readout_ridge=1e-3)
    found = plain(net)
    assert (found[1][0] == before[1][0]).all()
    weight, _ = references.least_squares(x, targets[0], 0.3, intercept=False)
    np.testing.assert_allclose(found[0][0], weight, rtol=1e-9, atol=1e-12)
    # The frozen layer passes on what the new first layer says.
    below = np.maximum(np.maximum(x @ weight, 0) @ before[1][0], 0)
    weight, bias = references.least_squares(below, targets[2], 1e-3)
    np.testing.assert_allclose(found[2][0], weight, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found[2][1], bias, rtol=1e-8, atol=1e-10)


def test_without_any_targets_nothing_changes():
    x, _ = data()
    net = network(bias_seed=1)
    before = state(net)
    assert net.sweep(x, [None, None]) is net and same_state(net, before)


def test_targets_may_be_arrays_or_tensors():
    x, y = data()
    one, other = network(), network()
    targets = one.targets(x, y)
    one.sweep(x, targets)
    other.sweep(x, tuple(torch.from_numpy(t) for t in targets))
    assert same_state(one, state(other))


# ---------------------------------------------------------------- mini-batches


@every_activation
@every_depth
@with_and_without_bias
def test_a_batch_is_the_loop_over_samples(hidden_bias, depth, name):
    x, y = data()
    net = network(SIZES[depth], activation=name, hidden_bias=hidden_bias, bias_seed=1)
    before = plain(net)
    wanted = references.batch_step(before, x, coded(y), 1 / depth, ridge=0.3)
    net.fit(x, y, batch_size=50)
    assert worst(plain(net), wanted) < 1e-9
    assert worst(plain(net), before) > 1e-3


@every_inverse
@pytest.mark.parametrize("share", [0.1, 1.0], ids="share={}".format)
def test_batches_with_every_inverse_mapping_and_share(share, inverse):
    x, y = data()
    net = network(SIZES[3], activation="softsign")
    wanted = plain(net)
    generator = torch.Generator().manual_seed(5)
    net.fit(x, y, batch_size=20, passes=2, share=share, ridge=0.5, seed=5, **inverse)
    for _ in range(2):  # batches of 20, 20 and, just half full, 10
        for rows in torch.randperm(50, generator=generator).split(20):
            rows = rows.numpy()
            wanted = references.batch_step(
                wanted, x[rows], coded(y[rows]), share, 0.5, **renamed(inverse)
            )
    assert worst(plain(net), wanted) < 1e-7


@pytest.mark.parametrize(("n", "steps"), [(40, 2), (49, 2), (50, 3), (59, 3), (60, 3), (7, 1)])
def test_a_last_batch_less_than_half_full_is_left_out(n, steps, monkeypatch):
    x, y = data(n=n)
    net, sizes = network(), []
    real = net._changes
    monkeypatch.setattr(net, "_changes", lambda part, *a: sizes.append(len(part)) or real(part, *a))
    net.fit(x, y, batch_size=20, passes=2)
    assert len(sizes) == 2 * steps and all(10 <= size <= 20 for size in sizes if n > 7)


def test_a_share_of_zero_moves_nothing_and_shares_add_up():
    x, y = data()
    net = network(SIZES[1])
    before = plain(net)
    net.fit(x, y, share=0)
    assert worst(plain(net), before) == 0
    # One layer, one batch, no penalty: the whole share is the full update.
    net.fit(x, y, share=1, ridge=0)
    other = network(SIZES[1]).one_update(x, y, readout_ridge=0)
    assert worst(plain(net), plain(other)) < 1e-11


def test_every_layer_moves_as_if_the_others_stood_still():
    x, y = data()
    together = network(SIZES[3], bias_seed=1)
    before = together.layers
    moved = copy.deepcopy(together).fit(x, y, batch_size=50)
    for index in range(3):  # the change of one layer alone, all others put back
        alone = copy.deepcopy(together).fit(x, y, batch_size=50)
        for other in set(range(3)) - {index}:
            alone.layers[other].load_state_dict(before[other].state_dict())
        assert torch.equal(alone.layers[index].weight, moved.layers[index].weight)
    # The targets are those of the old readout: another one would move the first layer elsewhere.
    changed = copy.deepcopy(together)
    with torch.no_grad():
        changed.layers[2].linear.weight.mul_(-1)
    changed.fit(x, y, batch_size=50)
    assert not torch.allclose(changed.layers[0].weight, moved.layers[0].weight, rtol=1e-3)


def test_training_improves_the_score():
    x, y = data(n=300)
    net = network([4, 20, 3])
    start = net.score(x, y)
    assert net.fit(x, y, passes=5, batch_size=50).score(x, y) > max(start, 0.6)


# ---------------------------------------------------------------- invariance


def trained(x, y, how, **options):
    net = network(SIZES[3], activation="softsign", bias_seed=1, **options)
    return net.one_update(x, y) if how == "one_update" else net.fit(x, y, batch_size=len(x))


@pytest.mark.parametrize("how", ["one_update", "fit"])
def test_the_order_of_the_samples_changes_nothing(how):
    x, y = data()
    order = np.random.default_rng(3).permutation(len(x))
    assert worst(plain(trained(x[order], y[order], how)), plain(trained(x, y, how))) < 1e-10


@pytest.mark.parametrize("chunk", [1, 7, 49], ids="CHUNK={}".format)
def test_the_size_of_the_internal_chunks_changes_nothing(chunk, monkeypatch):
    x, y = data()
    whole = trained(x, y, "one_update")
    fields = whole.decision_function(x)
    monkeypatch.setattr(erlib.network, "CHUNK", chunk)
    assert worst(plain(trained(x, y, "one_update")), plain(whole)) < 1e-10
    np.testing.assert_allclose(whole.decision_function(x), fields, rtol=1e-12, atol=1e-13)


@every_activation
@pytest.mark.parametrize("how", ["one_update", "fit"])
@pytest.mark.parametrize("factor", [1e-4, 255.0], ids="{:g}".format)
def test_inputs_in_another_unit_change_nothing_if_the_start_is_in_that_unit(factor, how, name):
    """Every penalty is relative: with first weights in the unit of x no prediction changes."""
    x, y = data()
    nets = []
    for scale in (1.0, factor):
        net = network(activation=name, bias_seed=1)
        with torch.no_grad():
            net.layers[0].linear.weight.div_(scale)
        nets.append(net.one_update(x * scale, y) if how == "one_update" else net.fit(x * scale, y))
    np.testing.assert_allclose(
        nets[1].decision_function(x * factor), nets[0].decision_function(x), rtol=1e-8, atol=1e-10
    )


@pytest.mark.parametrize("factor", [1 / 255, 30.0], ids="{:.2g}".format)
def test_with_a_tiny_readout_the_unit_of_the_inputs_is_of_no_account(factor):
    """ReLU without hidden bias: only which sample is active in which unit remains of the start."""
    x, y = data(n=200)
    fields = [
        network([4, 30, 3], readout_scale=1e-9)
        .one_update(x * scale, y)
        .decision_function(x * scale)
        for scale in (1.0, factor)
    ]
    assert (fields[0].argmax(1) == fields[1].argmax(1)).all()
    np.testing.assert_allclose(fields[1], fields[0], atol=1e-5 * abs(fields[0]).max())


# ---------------------------------------------------------------- the start


def test_a_seed_repeats_and_another_differs():
    x, y = data()

    def run(start, order):
        return plain(network(seed=start).fit(x, y, batch_size=10, seed=order))

    assert worst(run(1, 2), run(1, 2)) == 0
    assert worst(run(1, 2), run(1, 3)) > 1e-3
    assert worst(run(1, 2), run(2, 2)) > 1e-3
    assert worst(plain(network(seed=np.int64(7))), plain(network(seed=7))) == 0
    generator = torch.Generator().manual_seed(7)
    assert worst(plain(network(seed=generator)), plain(network(seed=7))) == 0
    assert worst(plain(network(seed=generator)), plain(network(seed=7))) > 1e-3, "it went on"


def test_no_global_random_state_is_touched():
    x, y = data()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    net = network(hidden_bias=True)
    net.one_update(x, y)
    net.fit(x, y, passes=2, batch_size=10)
    net.score(x, y)
    assert torch.equal(torch.get_rng_state(), torch_state)
    after = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(one, other) for one, other in zip(after, numpy_state))


@pytest.mark.parametrize(("name", "gain"), [("relu", 2), ("leaky_relu", 2), ("tanh", 1)])
def test_the_initial_scale(name, gain):
    net = network([300, 400, 200, 10], activation=name, readout_scale=0.1, hidden_bias=True)
    scales = [layer.weight.std().item() for layer in net.layers]
    wanted = [(gain / 300) ** 0.5, (gain / 400) ** 0.5, 0.1 / 200**0.5]
    assert scales == pytest.approx(wanted, rel=0.05)
    assert all((layer.bias == 0).all() for layer in net.layers)


def test_both_dtypes_start_from_the_same_network():
    single = ERNetwork.dense([4, 6, 3], seed=3)
    double = network(seed=3)
    for one, other in zip(single.layers, double.layers):
        assert one.weight.dtype == torch.float32
        assert torch.equal(one.weight, other.weight.float())


def test_dense_has_the_layers_it_says():
    net = network([4, 6, 5, 3], activation="erf", output="softsign")
    assert repr(net) == "ERNetwork(4-6-5-3, erf, erf, softsign)"
    assert [layer.bias is None for layer in net.layers] == [True, True, False]
    assert all(layer.bias is not None for layer in network(hidden_bias=True).layers)


def test_torch_modules_are_trained_in_place():
    x, y = data()
    modules = [nn.Linear(4, 6, dtype=torch.float64), nn.Tanh(), nn.Linear(6, 3).double()]
    net = ERNetwork(modules)
    before = modules[0].weight.clone()
    net.one_update(x, y)
    assert not torch.equal(modules[0].weight, before)
    fields = nn.Sequential(*modules)(torch.tensor(x)).detach()
    np.testing.assert_allclose(net.decision_function(x), fields, rtol=1e-12, atol=1e-13)


# ---------------------------------------------------------------- use


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_arrays_come_back_as_given(kind, dtype):
    x, y = data()
    net = network(bias_seed=1).one_update(x, y)
    given_x = x.astype(dtype) if kind == "numpy" else torch.tensor(x.astype(dtype))
    fields, classes = net.decision_function(given_x), net.predict(given_x)
    assert type(fields) is type(classes) is type(given_x)
    assert fields.dtype == given_x.dtype and str(classes.dtype).endswith("int64")
    _, wanted = references.forward(plain(net), x.astype(dtype).astype(float))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(np.asarray(fields, dtype=float), wanted[-1], rtol=eps, atol=1e-12)
    assert np.asarray(classes).tolist() == wanted[-1].argmax(1).tolist()


def test_predictions_are_those_of_the_network_not_of_the_rounded_fields():
    net = network([1, 2])
    with torch.no_grad():  # 1 and 1 + 1e-4 are one number in float16
        net.layers[0].assign(torch.zeros(1, 2), torch.tensor([1.0, 1.0001]))
    half = np.ones((3, 1), dtype="float16")
    assert (net.decision_function(half) == 1).all() and net.predict(half).tolist() == [1, 1, 1]


def test_the_score_is_the_fraction_that_is_right():
    x, y = data()
    net = network().one_update(x, y)
    classes = net.predict(x)
    assert 0 < net.score(x, y) < 1
    assert net.score(x, y) == sum(a == b for a, b in zip(classes, y)) / 50
    assert net.score(torch.tensor(x), y.tolist()) == net.score(x, y)
    assert net.score(x, classes) == 1.0 and net.score(x, (classes + 1) % 3) == 0.0


def test_images_are_flattened():
    x, y = data(d_in=12)
    images = x.reshape(50, 3, 2, 2)
    one, other = network([12, 6, 3]), network([12, 6, 3])
    one.one_update(images, y).fit(images, y)
    other.one_update(x, y).fit(x, y)
    assert same_state(one, state(other))
    assert (one.predict(images) == other.predict(x)).all()


@pytest.mark.parametrize("how", ["one_update", "fit"])
def test_every_kind_of_input_trains_the_same_network(how):
    x, y = data()
    x = x.astype("float32").astype(float)
    wanted = trained(x, y, how)
    for given_x, given_y in (
        (torch.tensor(x), torch.tensor(y)),
        (x[::-1][::-1], y.astype("u1")),
        (x.astype("float32"), y.tolist()),
        (torch.tensor(x, requires_grad=True), coded(y)),
    ):
        assert worst(plain(trained(given_x, given_y, how)), plain(wanted)) == 0


def test_float32_agrees_with_float64():
    x, y = data(n=500)
    single = ERNetwork.dense([4, 20, 3], seed=0).one_update(x, y)
    double = network([4, 20, 3]).one_update(x, y)
    assert single.decision_function(x).dtype == np.float64, "as x is given"
    difference = single.decision_function(x) - double.decision_function(x)
    assert 0 < abs(difference).max() < 2e-3


# ---------------------------------------------------------------- files


@every_activation
@with_and_without_bias
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_network_comes_back_from_its_file_as_any_torch_module(dtype, hidden_bias, name, tmp_path):
    x, y = data()
    how = {"activation": name, "hidden_bias": hidden_bias, "dtype": dtype, "output": "erf"}
    net = ERNetwork.dense(SIZES[3], **how).one_update(x, y)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    back = ERNetwork.dense(SIZES[3], seed=1, **how)
    back.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    assert same_state(back, state(net))
    assert (back.decision_function(x) == net.decision_function(x)).all()


# ---------------------------------------------------------------- interrupted


@pytest.mark.parametrize("at", [0, 1, 2], ids="layer={}".format)
def test_an_interrupted_update_leaves_the_network_as_it_was(at, monkeypatch):
    x, y = data()
    net = network(SIZES[3], bias_seed=1)
    before = state(net)

    def crash(samples):
        raise KeyboardInterrupt

    monkeypatch.setattr(net.layers[at], "moments", crash)
    for call in (net.one_update, net.fit):
        with pytest.raises(KeyboardInterrupt):
            call(x, y)
        assert same_state(net, before)


@pytest.mark.parametrize("setting", [{"readout_ridge": -1}, {"ridge": np.nan}, {"steps": 3}])
def test_a_refused_update_leaves_the_network_as_it_was(setting):
    x, y = data()
    net = network(bias_seed=1)
    before = state(net)
    with pytest.raises(ValueError):
        net.one_update(x, y, **setting)
    assert same_state(net, before)


# ---------------------------------------------------------------- refused

x, y = data(n=6)
BAD_X = {
    "columns": (x[:, :3], r"x: shape \(6, 3\), expected \[n, 4\]"),
    "one axis": (x[0], r"x: shape \(4,\), expected \[n, 4\]"),
    "images": (x.reshape(6, 2, 2)[:, :1], r"x: shape \(6, 1, 2\), .*images with that many numbers"),
    "NaN": (x * [1, 1, 1, np.nan], r"x: 6 of 24 .* NaN or Inf, the first is nan at \(0, 3\)"),
    "Inf": (x * np.inf, "x: 24 of 24 entries are NaN or Inf"),
    "empty": (x[:0], r"x: empty, shape \(0, 4\)"),
    "integers": (x.astype(int), "x: expected floating-point numbers, found int64"),
    "uint8": (x.astype("uint8"), "x: .* found uint8; images need scaling first"),
    "list": (x.tolist(), "x: expected a NumPy array or a torch tensor, found list"),
}
TRAIN = ("one_update", "targets", "changes", "fit")


@pytest.mark.parametrize("call", [*TRAIN, "sweep", "decision_function", "predict", "score"])
@pytest.mark.parametrize("case", BAD_X)
def test_bad_inputs_are_named(case, call):
    given_x, complaint = BAD_X[case]
    more = {"sweep": ([None, None],), "decision_function": (), "predict": ()}.get(call, (y,))
    net = network()
    before = state(net)
    with pytest.raises(ValueError, match=complaint):
        getattr(net, call)(given_x, *more)
    assert same_state(net, before)


BAD_Y = {
    "one class": (np.ones(6, dtype=int), r"y: only one class \(1\) in 6 samples"),
    "too large": (y + 1, "y: labels from 1 to 3, the 3 outputs stand for 0 to 2"),
    "negative": (y - 1, "y: labels from -1 to 1"),
    "floats": (y.astype(float), "y: expected integer class labels .*found float64"),
    "text": (["a"] * 6, "y: expected integer class labels, found str such as 'a'; number them"),
    "length": (y[:5], "y: 5 samples, x has 6"),
    "empty": (y[:0], "y: empty"),
    "columns": (coded(y)[:, :2], "y: 2 columns, the network has 3 outputs"),
    "rows": (coded(y)[:4], "y: 4 samples, x has 6"),
    "NaN": (coded(y) * np.nan, "y: 18 of 18 entries are NaN or Inf"),
    "integer outputs": (coded(y).astype(int), "y: expected floating-point numbers, found int64"),
}


@pytest.mark.parametrize("call", TRAIN)
@pytest.mark.parametrize("case", BAD_Y)
def test_bad_observations_are_named(case, call):
    given_y, complaint = BAD_Y[case]
    with pytest.raises(ValueError, match=complaint):
        getattr(network(), call)(x, given_y)


@pytest.mark.parametrize("case", ["too large", "negative", "floats", "text", "length", "empty"])
def test_a_score_needs_labels(case):
    given_y, complaint = BAD_Y[case]
    with pytest.raises(ValueError, match=complaint):
        network().score(x, given_y)
    with pytest.raises(ValueError, match="y: expected integer class labels"):
        network().score(x, coded(y))


OUT_OF_REACH = {
    "tanh": (coded(y) * 30, "y: values from -30 to 30, tanh gives -1 to 1"),
    "softsign": (coded(y) * 1.01, "y: values from -1.01 to 1.01, softsign gives -1 to 1"),
    "relu": (coded(y), "y: values from -1 to 1, relu gives 0 and more"),
    "erf": ((coded(y) + 1) / 2, "y: one-hot rows of 0 and 1, where classes are coded 1 and -1"),
}


@pytest.mark.parametrize("loop", ["one_update", "fit", "settle", "sequential_fit"])
@pytest.mark.parametrize("output", OUT_OF_REACH)
def test_outputs_out_of_reach_are_refused(output, loop):
    given_y, complaint = OUT_OF_REACH[output]
    net = ERNetwork.dense([4, 5, 3], output=output)
    before = state(net)
    with pytest.raises(ValueError, match=complaint):
        through(net, loop, x, given_y)
    assert same_state(net, before)
    through(net, loop, x, coded(y) * (0.5 if output != "relu" else 0))


def through(net, loop, x, y, **how):
    if loop == "sequential_fit":
        return sequential_fit(net, x, y, **how)
    return getattr(net, loop)(x, y, **how)


@pytest.mark.parametrize("loop", ["one_update", "fit", "settle", "sequential_fit"])
@pytest.mark.parametrize("exponent", [-30, -10, -2, 0, 1, 2, 15])
def test_inputs_of_any_size_are_trained_on_as_well_or_refused(exponent, loop):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 10)).astype("f4")
    y = (x[:, :3] * x[:, 3:6]).argmax(1)
    how = {"one_update": {"ridge": 0.1}, "settle": {"readout_ridge": 0.1}}.get(
        loop, {"passes": 3, "batch_size": 50}
    )

    def score(scale):
        net = ERNetwork.dense([10, 100, 3], hidden_bias=True)
        return through(net, loop, x * scale, y, **how).score(x * scale, y)

    if exponent == 0 or (exponent < 0 and loop == "settle"):
        assert score(np.float32(10.0**exponent)) > score(np.float32(1)) - 0.02 > 0.6
    else:
        with pytest.raises(ValueError, match=r"x: inputs of size .* scale them to a size of about"):
            score(np.float32(10.0**exponent))


def test_inputs_of_another_size_suit_weights_that_are_made_for_them():
    net = ERNetwork.dense([4, 6, 3])
    net.layers[0].assign(net.layers[0].weight / 255, net.layers[0].bias)
    net.fit(255 * x, y)
    tiny = ERNetwork.dense([4, 6, 3], readout_scale=1e-4)
    tiny.one_update(255 * x, y)


def test_a_training_that_blows_up_says_so():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 30)).astype("f4"), np.arange(60) % 3
    net = ERNetwork.dense([30, 20, 20, 20, 20, 3])
    with pytest.raises(ValueError, match=r"network: training overflows, fields of layer \d"):
        net.fit(x, y, batch_size=4, passes=50, ridge=1e-6, share=1)


@pytest.mark.parametrize("how", ["bfloat16", "half", "one layer"])
def test_a_network_of_another_precision_is_named(how):
    net = ERNetwork.dense([4, 6, 3])
    if how == "one layer":
        net.layers[1].double()
    else:
        getattr(net, how)()
    for call in (net.one_update, net.fit, net.score, net.changes):
        with pytest.raises(
            ValueError, match=r"network: .* of layer \d is torch.*network.float\(\)"
        ):
            call(x, y)
    net.float().one_update(x, y)


BAD_INVERSE = [
    ({"inverse": "inverse"}, "inverse: unknown 'inverse'"),
    ({"inverse": 3}, "inverse: unknown 3"),
    ({"inverse": "damped"}, "damping: 0.0 with inverse 'damped'"),
    ({"damping": 0.1}, "damping: 0.1 with inverse 'pinv'"),
    ({"inverse": "damped", "damping": np.nan}, "damping: expected a finite number >= 0, found nan"),
    ({"inverse": "cg"}, "steps: expected an integer >= 1, found None"),
    ({"steps": 2}, "steps: 2 with inverse 'pinv'"),
]
BAD_RIDGE = [-1, -1e-9, np.nan, np.inf, "0.1", None, True]


@pytest.mark.parametrize("call", TRAIN)
@pytest.mark.parametrize(("given_settings", "complaint"), BAD_INVERSE, ids=str)
def test_bad_settings_of_the_inverse_mapping_are_named(given_settings, complaint, call):
    with pytest.raises(ValueError, match=complaint):
        getattr(network(), call)(x, y, **given_settings)


@pytest.mark.parametrize("value", BAD_RIDGE, ids=repr)
@pytest.mark.parametrize(
    ("call", "argument"),
    [
        ("one_update", "ridge"),
        ("one_update", "readout_ridge"),
        ("sweep", "ridge"),
        ("sweep", "readout_ridge"),
        ("changes", "ridge"),
        ("fit", "ridge"),
        ("fit", "share"),
    ],
)
def test_a_number_that_is_no_penalty_is_named(call, argument, value):
    net = network()
    second = net.targets(x, y) if call == "sweep" else y
    if argument == "share" and value is None:
        return  # 1 / number of layers
    with pytest.raises(ValueError, match=rf"^{argument}: expected a (finite )?number >= 0, found"):
        getattr(net, call)(x, second, **{argument: value})


@pytest.mark.parametrize("value", [0, -1, 2.0, "3", None, True], ids=repr)
@pytest.mark.parametrize("argument", ["passes", "batch_size"])
def test_numbers_of_batches_are_positive_integers(argument, value):
    with pytest.raises(ValueError, match=f"{argument}: expected an integer >= 1, found {value!r}"):
        network().fit(x, y, **{argument: value})


@pytest.mark.parametrize("seed", [1.0, None, "0", True, -1, 2**64, torch.ones(1)], ids=str)
def test_what_is_no_seed_is_named(seed):
    for call in (lambda: network(seed=seed), lambda: network().fit(x, y, seed=seed)):
        with pytest.raises(ValueError, match=r"seed: expected an integer from 0 .* found "):
            call()


good = np.zeros((6, 6)), np.zeros((6, 3))


@pytest.mark.parametrize(
    ("targets", "complaint"),
    [
        (None, "targets: expected a list of 2, one for each layer"),
        ([good[0]], "targets: expected a list of 2"),
        (np.zeros((2, 6, 6)), "targets: expected a list of 2"),
        ([good[1], good[0]], r"targets\[0\]: shape \(6, 3\), expected \(6, 6\)"),
        ([good[0][:5], good[1]], r"targets\[0\]: shape \(5, 6\), expected \(6, 6\)"),
        ([None, good[1] * np.nan], r"targets\[1\]: 18 of 18 entries are NaN or Inf"),
        ([None, good[1].astype(int)], r"targets\[1\]: expected floating-point numbers"),
        ([None, good[1][0]], r"targets\[1\]: expected 2 axes, found shape \(3,\)"),
        ([None, good[1].tolist()], r"targets\[1\]: expected a NumPy array or a torch tensor"),
    ],
)
def test_bad_targets_are_named(targets, complaint):
    with pytest.raises(ValueError, match=complaint):
        network().sweep(x, targets)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"sizes": [4]}, r"sizes: expected a list of at least two widths, found \[4\]"),
        ({"sizes": 4}, "sizes: expected a list of at least two widths, found 4"),
        ({"sizes": [4, 0, 3]}, "sizes: expected an integer >= 1, found 0"),
        ({"sizes": [4, 5.0, 3]}, "sizes: expected an integer >= 1, found 5.0"),
        ({"activation": "sigmoid"}, "activation: unknown 'sigmoid'; known: erf"),
        ({"activation": nn.ReLU()}, r"activation: unknown ReLU\(\)"),
        ({"output": "softmax"}, "activation: unknown 'softmax'"),
        ({"readout_scale": 0}, "readout_scale: 0 has no inverse; take a small number"),
        ({"readout_scale": -1}, "readout_scale: expected a finite number >= 0, found -1"),
        ({"readout_scale": np.nan}, "readout_scale: expected a finite number >= 0, found nan"),
        ({"dtype": torch.float16}, "dtype: expected torch.float32 or torch.float64, found "),
        ({"dtype": "float32"}, "dtype: expected .*found 'float32'"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_settings_of_dense_are_named(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        ERNetwork.dense(**{"sizes": [4, 5, 3], **options})


def test_bad_layers_are_named():
    # All cases are in test_layers.py.
    with pytest.raises(ValueError, match="layers: expected a non-empty list of torch layers"):
        ERNetwork([])
    with pytest.raises(ValueError, match="activation: unknown 'softmax'"):
        ERNetwork([nn.Linear(2, 2)], output="softmax")


def test_targets_come_in_the_array_type_of_the_inputs():
    x, y = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 3
    net = ERNetwork.dense([4, 5, 3], dtype=torch.float64)
    given, as_tensors = net.targets(x, y), net.targets(torch.from_numpy(x), y)
    for ours, theirs in zip(given, as_tensors):
        assert isinstance(ours, np.ndarray) and np.array_equal(ours, theirs.numpy())
