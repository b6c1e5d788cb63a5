"""Convolutions and the fixed modules around them: fields, patches, tangents and inverses.

The independent references are loops over pixels, and the dense matrix of a layer's Jacobian.
"""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from erlib import ERNetwork, Moments, baselines, regress
from erlib.activations import activation
from erlib.layers import ConvLayer, DenseLayer
from erlib.modules import paired
from erlib.regress_batch import regress_batch
from erlib.sequential import sequential_fit

SETTINGS = {
    "plain": {},
    "stride": {"stride": 2},
    "padding": {"padding": 1},
    "dilation": {"dilation": 2},
    "oblong": {"kernel_size": (2, 3), "stride": (2, 1), "padding": (0, 2)},
}


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    return module.double()


def conv(channels=2, filters=3, bias=True, **settings):
    settings = {"kernel_size": 3, **settings}
    return drawn(nn.Conv2d(channels, filters, bias=bias, **settings))


def layer(before=(), **settings):
    return ConvLayer(conv(**settings), activation("relu"), before)


def by_loops(x, linear):
    """The convolution, one pixel at a time; also the patch that each pixel sees."""
    weight, bias = linear.weight.detach().numpy(), linear.bias
    (high, wide), (down, right) = linear.kernel_size, linear.stride
    (top, left), (dy, dx) = linear.padding, linear.dilation
    x = np.pad(x.numpy(), ((0, 0), (0, 0), (top, top), (left, left)))
    n, _, height, width = x.shape
    rows = range(0, height - dy * (high - 1), down)
    columns = range(0, width - dx * (wide - 1), right)
    fields = np.zeros((n, len(weight), len(rows), len(columns)))
    patches = []
    for sample in range(n):
        for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
            last_row, last_column = row + dy * (high - 1) + 1, column + dx * (wide - 1) + 1
            patch = x[sample, :, row:last_row:dy, column:last_column:dx]
            fields[sample, :, i, j] = (weight * patch).sum((1, 2, 3))
            patches.append(patch.ravel())
    if bias is not None:
        fields += bias.detach().numpy()[:, None, None]
    return fields, np.array(patches)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_fields_are_patches_times_weights(settings, bias):
    found, x = layer(bias=bias, **settings), draw(4, 2, 7, 6)
    fields, patches = by_loops(x, found.linear)
    with torch.no_grad():
        h = found.field(x)
        np.testing.assert_allclose(h, fields, rtol=1e-12, atol=1e-12)
        rows, of_fields = found.rows(x, h)
        np.testing.assert_allclose(rows, patches, rtol=1e-12)
        by_rows = rows @ found.weight + (0 if found.bias is None else found.bias)
        torch.testing.assert_close(of_fields, by_rows)
        torch.testing.assert_close(
            found.field(x, 2 * found.weight, found.bias),
            found.field(x) * 2 - (0 if found.bias is None else found.bias[:, None, None]),
        )
        assert found.moments().fit_intercept == bias


def test_pieces_are_the_rows_in_their_order(monkeypatch):
    found, x = layer(), draw(5, 2, 7, 6)
    h = found.field(x).detach()
    rows, fields = found.rows(x, h)
    monkeypatch.setattr("erlib.layers.AT_ONCE", 2 * rows.shape[1] * h[0, 0].numel())
    pieces = list(found.pieces(x, h))
    assert [len(piece[0]) for piece in pieces] == [2 * 20, 2 * 20, 20]
    assert torch.equal(torch.cat([piece[0] for piece in pieces]), rows)
    assert torch.equal(torch.cat([piece[1] for piece in pieces]), fields)
    moments = Moments()
    for piece in pieces:
        moments.accumulate(*piece)
    torch.testing.assert_close(moments.solve(0.1)[0], regress(rows, fields, ridge=0.1)[0])


def test_weights_are_assigned_in_place():
    found = layer()
    parameter, new = found.linear.weight, draw(18, 3)
    found.assign(new, torch.ones(3))
    assert found.linear.weight is parameter
    torch.testing.assert_close(found.weight, new)
    found.assign(new, torch.ones(3), share=0.5)
    torch.testing.assert_close(found.weight, 1.5 * new)
    torch.testing.assert_close(found.bias, torch.full((3,), 1.5, dtype=torch.float64))


# ---------------------------------------------------------------- tangents and inverses


def normalisation():
    norm = drawn(nn.BatchNorm2d(2)).eval()
    norm.running_mean.copy_(draw(2))
    norm.running_var.copy_(draw(2).square() + 0.5)
    return norm


LAYERS = {
    **{name: lambda settings=settings: layer(**settings) for name, settings in SETTINGS.items()},
    "max pooling": lambda: layer([nn.MaxPool2d(2)], kernel_size=2),
    "average pooling": lambda: layer([nn.AvgPool2d(2)], kernel_size=2),
    "adaptive pooling": lambda: layer([nn.AdaptiveAvgPool2d(3)]),
    "normalisation": lambda: layer([normalisation()]),
    "in groups": lambda: layer(filters=4, groups=2, padding=1),
    "dense, flattened": lambda: DenseLayer(
        drawn(nn.Linear(84, 3)), activation("tanh"), [nn.Flatten()]
    ),
    "dense, pooled": lambda: DenseLayer(
        drawn(nn.Linear(18, 3)), activation("tanh"), [nn.MaxPool2d(2), nn.Flatten()]
    ),
}


def jacobian(found, below):
    """The matrix `[inputs, fields]` of one sample's fields by its outputs below."""

    def fields(flat):
        return found.field(found.inputs(flat.reshape(1, *below.shape)))

    matrix = torch.autograd.functional.jacobian(fields, below.flatten())
    return matrix.reshape(-1, below.numel()).T


@pytest.mark.slow
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_the_tangent_is_the_jacobian_and_its_inverses_are_the_family(make):
    found, below = make(), draw(3, 2, 7, 6)
    near = found.near(below)
    h = found.field(found.inputs(below)).detach()
    delta, change = draw(*h.shape, seed=1), draw(*below.shape, seed=2)
    maps = {
        "transpose": found.to_below("transpose"),
        "one step": found.to_below("cg", steps=1),
        "many": found.to_below("cg", steps=300),
    }
    for sample in range(3):
        one = slice(sample, sample + 1)
        matrix = jacobian(found, below[sample])
        pushed = (change[one].flatten(1) @ matrix).reshape(h[one].shape)
        torch.testing.assert_close(near.push(change)[one], pushed, rtol=1e-10, atol=1e-10)
        pulled = (delta[one].flatten(1) @ matrix.T).reshape(below[one].shape)
        torch.testing.assert_close(near.pull(delta)[one], pulled, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(maps["transpose"](delta, near)[one], pulled)
        inverse = (delta[one].flatten(1) @ torch.linalg.pinv(matrix)).reshape(below[one].shape)
        torch.testing.assert_close(maps["many"](delta, near)[one], inverse, rtol=1e-8, atol=1e-8)
        once = maps["one step"](delta, near)[one].flatten()
        cosine = torch.nn.functional.cosine_similarity(once, pulled.flatten(), dim=0)
        assert cosine > 1 - 1e-12


def test_flattening_has_an_exact_inverse():
    found, below = LAYERS["dense, flattened"](), draw(3, 2, 7, 6)
    delta = draw(3, 3, seed=1)
    changed = found.to_below("pinv")(delta, found.near(below))
    assert changed.shape == below.shape
    torch.testing.assert_close(changed.flatten(1), delta @ torch.linalg.pinv(found.weight).detach())


@pytest.mark.parametrize("name", ["plain", "dense, pooled"])
def test_an_inverse_that_needs_a_matrix_is_refused(name):
    with pytest.raises(ValueError, match=r"^inverse: 'pinv' needs the matrix of .*take 'cg'"):
        LAYERS[name]().to_below("pinv")


# ---------------------------------------------------------------- networks


def network():
    modules = [
        conv(1, 4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        conv(4, 5, kernel_size=2),
        nn.ReLU(),
        nn.Flatten(),
        drawn(nn.Linear(20, 3)),
    ]
    return nn.Sequential(*modules)


def images(n=40):
    return draw(n, 1, 8, 8), torch.arange(n) % 3


def test_a_module_is_trained_in_place(tmp_path):
    module, (x, y) = network(), images()
    before = module(x).detach()
    net = ERNetwork(module)
    torch.testing.assert_close(net(x), before)
    sequential_fit(net, x, y, batch_size=20, inverse="transpose")
    after = module(x).detach()
    torch.testing.assert_close(net(x), after)
    assert not torch.allclose(before, after)
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    other = network()
    other.load_state_dict(torch.load(tmp_path / "weights.pt"))
    assert torch.equal(other(x), after)


@pytest.mark.parametrize("loop", ["one_update", "fit", "sequential_fit"])
@pytest.mark.parametrize("inverse", [{"inverse": "transpose"}, {"inverse": "cg", "steps": 2}])
def test_filters_as_large_as_the_image_are_a_dense_layer(loop, inverse):
    x, y = images()
    filters = [conv(1, 6, kernel_size=8), nn.ReLU(), conv(6, 4, kernel_size=1), nn.ReLU()]
    as_conv = ERNetwork([*filters, nn.Flatten(), drawn(nn.Linear(4, 3))])
    matrices = [nn.Linear(64, 6), "relu", nn.Linear(6, 4), "relu", nn.Linear(4, 3)]
    as_dense = ERNetwork([m.double() if isinstance(m, nn.Linear) else m for m in matrices])
    for same, given in zip(as_dense.layers, as_conv.layers):
        same.assign(given.weight, given.bias)
    for net in (as_conv, as_dense):
        if loop == "one_update":
            net.one_update(x, y, **inverse)
        elif loop == "fit":
            net.fit(x, y, batch_size=20, passes=2, **inverse)
        else:
            sequential_fit(net, x, y, batch_size=20, passes=2, **inverse)
    torch.testing.assert_close(as_conv(x), as_dense(x.flatten(1)), rtol=1e-7, atol=1e-7)


def test_a_regression_of_its_own_gets_all_patches_in_rows():
    found, x = layer(), draw(4, 2, 7, 6)
    _, patches = by_loops(x, found.linear)
    wanted, seen = draw(4, 3, 5, 4, seed=1), []

    def copied(rows, fields, ridge, *, fit_intercept):
        seen.append(rows)
        return None, None, fields + fit_intercept * ridge

    _, _, given = found.regressed(x, wanted, 2.0, copied)
    np.testing.assert_allclose(seen[0], patches)
    torch.testing.assert_close(given, wanted + 2.0)


def test_how_many_images_are_held_at_once_changes_nothing(monkeypatch):
    (x, y), nets = images(), [ERNetwork(network()), ERNetwork(network())]
    largest = max(h[0].numel() for h in nets[0].trace(x[:1])[1])
    found = []
    for net, size in zip(nets, (len(x), 7)):
        monkeypatch.setattr("erlib.network.AT_ONCE", size * largest)
        net.one_update(x, y, ridge=0.1).settle(x, y, updates=2)
        found.append(net.decision_function(x))
        assert max(part.stop - part.start for part in net._chunks(x)) == size
    torch.testing.assert_close(*found, rtol=1e-8, atol=1e-8)


def test_without_a_name_the_inverse_is_the_one_that_the_layers_have():
    x, y = images()
    nets = [ERNetwork(network()) for _ in range(3)]
    nets[0].fit(x, y, batch_size=20)
    nets[1].fit(x, y, batch_size=20, inverse="transpose")
    assert torch.equal(nets[0](x), nets[1](x))
    mixed = []
    for _ in range(2):
        dense = [drawn(nn.Linear(72, 5)), "relu", drawn(nn.Linear(5, 3))]
        mixed.append(ERNetwork([conv(1, 2), nn.ReLU(), nn.Flatten(), *dense]))
    mixed[0].one_update(x, y)  # a convolution below all others needs no inverse
    mixed[1].one_update(x, y, inverse="pinv")
    assert torch.equal(mixed[0](x), mixed[1](x))


def test_a_filter_is_regressed_on_all_its_patches():
    x, y = images()
    net = ERNetwork(network())
    inputs, fields = net.trace(x)
    changes = net.changes(x, y, ridge=0.1, inverse="transpose")
    targets = net.targets(x, y, inverse="transpose")
    for index in (0, 1):
        _, patches = by_loops(inputs[index].detach(), net.layers[index].linear)
        delta = (targets[index] - fields[index]).detach().permute(0, 2, 3, 1).flatten(0, 2)
        weight, bias = regress(torch.tensor(patches), delta, ridge=0.1)
        torch.testing.assert_close(changes[index][0], weight, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(changes[index][1], bias, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize(("channels", "filters", "groups"), [(4, 6, 2), (3, 3, 3)])
def test_groups_are_convolutions_side_by_side(channels, filters, groups, bias):
    whole = layer(channels=channels, filters=filters, groups=groups, bias=bias)
    x, wanted = draw(2, channels, 7, 6), draw(2, filters, 5, 4, seed=1)  # few: no patch left out
    patches, filters = [], filters // groups
    with torch.no_grad():
        h = whole.field(x)
        for group, (seen, given) in enumerate(zip(x.chunk(groups, 1), h.chunk(groups, 1))):
            part = slice(group * filters, (group + 1) * filters)
            alone = conv(channels // groups, filters, bias=bias)
            alone.weight.copy_(whole.linear.weight[part])
            if bias:
                alone.bias.copy_(whole.bias[part])
            fields, rows = by_loops(seen, alone)
            np.testing.assert_allclose(given, fields, rtol=1e-12, atol=1e-12)
            patches.append(torch.tensor(rows))
    asked = wanted.permute(0, 2, 3, 1).flatten(0, 2).chunk(groups, 1)
    found = [regress(x, h, ridge=0.1, fit_intercept=bias) for x, h in zip(patches, asked)]
    weight, offset = (torch.cat(part, -1) for part in zip(*found))
    moments = whole.moments()
    for piece in whole.pieces(x, wanted):
        moments.accumulate(*piece)
    by_rows = []

    def recorded(*given, **settings):
        by_rows.append(given[0])
        return regress_batch(*given, **settings)

    for name, answer in {
        "moments": moments.solve(0.1),
        "patches": whole.regressed(x, wanted, 0.1),
        "rows": whole.regressed(x, wanted, 0.1, recorded),
    }.items():
        torch.testing.assert_close(answer[0], weight, rtol=1e-9, atol=1e-10, msg=name)
        if bias:
            torch.testing.assert_close(answer[1], offset, rtol=1e-9, atol=1e-10, msg=name)
        if len(answer) == 3:  # the fields that they give
            torch.testing.assert_close(answer[2], whole.field(x, *answer[:2]), msg=name)
    for given, rows in zip(by_rows, patches, strict=True):
        torch.testing.assert_close(given, rows)


@pytest.mark.parametrize("loop", ["one_update", "fit", "sequential_fit"])
def test_networks_with_groups_learn_and_come_back(loop, tmp_path):
    x, y = images(60)
    x[:, 0, 2:6, 2:6] += 2 * y[:, None, None]
    modules = [conv(1, 4), "relu", conv(4, 4, groups=4), "relu", nn.MaxPool2d(2), nn.Flatten()]
    net = ERNetwork([*modules, drawn(nn.Linear(16, 3))])
    if loop == "one_update":
        net.one_update(x, y, inverse="transpose", ridge=1.0)
    elif loop == "fit":
        net.fit(x, y, batch_size=20, passes=5, inverse="transpose")
    else:
        sequential_fit(net, x, y, batch_size=20, passes=5, inverse="transpose")
    assert net.score(x, y) > 0.8
    torch.save(net.state_dict(), tmp_path / "net.pt")
    modules[::5], modules[2] = [conv(1, 4), nn.Flatten()], conv(4, 4, groups=4)
    other = ERNetwork([*modules, nn.Linear(16, 3).double()])
    other.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    assert torch.equal(other(x), net(x))


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_fixed_modules_are_in_inference_form_whatever_their_mode(mode):
    modules = [conv(1, 2), nn.ReLU(), normalisation(), nn.Dropout(0.5), nn.Flatten()]
    module, (x, y) = nn.Sequential(*modules, drawn(nn.Linear(72, 3))), images()
    expected = module.eval()(x)
    module.train(mode)
    norm, net = module[2], ERNetwork(module)
    mean = norm.running_mean.clone()
    torch.testing.assert_close(net(x), expected)
    sequential_fit(net, x, y, batch_size=20, inverse="transpose")
    assert torch.equal(norm.running_mean, mean)
    assert [each.training for each in module] == [mode] * 6
    module.eval()
    torch.testing.assert_close(net(x), module(x))


def test_no_layer_moves_where_one_has_no_inverse():
    module, (x, y) = network(), images()
    before = module(x).detach()
    with pytest.raises(ValueError, match=r"^inverse: 'pinv' needs the matrix"):
        sequential_fit(ERNetwork(module), x, y, first_update=False, inverse="pinv")
    assert torch.equal(module(x), before)


def test_ties_of_max_pooling_push_and_pull_at_the_same_pixel():
    found, below = layer([nn.MaxPool2d(2)], kernel_size=2), torch.zeros(1, 2, 6, 6).double()
    near, change = found.near(below), draw(1, 2, 6, 6)
    delta = draw(*near.push(change).shape, seed=1)
    pushed, pulled = (near.push(change) * delta).sum(), (near.pull(delta) * change).sum()
    torch.testing.assert_close(pushed, pulled)


def test_the_readout_of_a_convolution_settles():
    net, (x, y) = ERNetwork(network()), images()
    same = ERNetwork([drawn(nn.Linear(20, 3))])
    same.layers[0].assign(net.layers[-1].weight, net.layers[-1].bias)
    features = net.trace(x)[0][-1].detach()
    net.settle(x, y, updates=3)
    same.settle(features, y, updates=3)
    torch.testing.assert_close(net.layers[-1].weight, same.layers[0].weight)


def test_a_network_with_fixed_modules_comes_back_from_its_file(tmp_path):
    def made():
        pooled = [nn.MaxPool2d(2), nn.AvgPool2d(1), nn.AdaptiveAvgPool2d(3), nn.Dropout(0.1)]
        before = [conv(1, 2, padding=1, stride=2), "relu", normalisation(), *pooled, nn.Flatten()]
        return ERNetwork([*before, drawn(nn.Linear(18, 3))], output="erf")

    net, (x, _) = made().one_update(*images()), images()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    back = made()
    assert not torch.equal(back(x), net(x))
    back.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    assert torch.equal(back(x), net(x))
    assert repr(net) == "ERNetwork(1-2c3-3, relu, erf)"
    oblong = [conv(1, 2, kernel_size=(2, 3)), "relu", nn.Flatten(), drawn(nn.Linear(2, 3))]
    assert repr(ERNetwork(oblong)) == "ERNetwork(1-2c2x3-3, relu, tanh)"


BAD = {
    "reflected": (
        [nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect")],
        r"layers\[0\]: .*padded with a number of zeros",
    ),
    "twice": (
        lambda: [twice := nn.Linear(3, 3), "relu", twice],
        r"layers\[2\]: Linear.* has the weights of a layer before it",
    ),
    "frozen": (
        lambda: [nn.Linear(3, 3).requires_grad_(False)],
        r"layers\[0\]: the weight of Linear.* is frozen",
    ),
    "computed": (
        lambda: [nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3))],
        r"(?s)layers\[0\]: expected a layer of torch.nn, found ParametrizedLinear.*; known: Linear",
    ),
    "flatten": (
        lambda: [nn.Flatten(2), nn.Linear(3, 3)],
        r"layers\[0\]: expected Flatten of all axes but the first",
    ),
    "no statistics": (
        lambda: [nn.BatchNorm1d(3, track_running_stats=False), nn.Linear(3, 3)],
        r"layers\[0\]: BatchNorm1d.* keeps no running statistics",
    ),
    "channels": (
        [nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Linear(8, 2)],
        r"layers\[2\]: takes 3 inputs, the layer before has 2 outputs",
    ),
    "pooled too early": (
        [nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Linear(8, 2)],
        r"layers\[1\]: expected an activation, found MaxPool2d.*place it after the activation",
    ),
    "no flatten": (
        [nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Linear(8, 2)],
        r"layers\[2\]: Linear.* after Conv2d.* needs torch.nn.Flatten before",
    ),
    "unknown": (
        [nn.Conv2d(1, 2, 3), nn.ReLU(), nn.LSTM(2, 2), nn.Linear(8, 2)],
        r"layers\[2\]: expected a layer .*found LSTM.*; known: Linear, Conv2d, Flatten, ",
    ),
    "normalised before the activation": (
        [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Linear(8, 2)],
        r"layers\[1\]: expected an activation, found BatchNorm2d.*fuse_conv_bn_eval",
    ),
    "conv last": ([nn.Conv2d(1, 2, 3)], "layers: the last one must be a Linear"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_supported_is_named(case):
    given, complaint = BAD[case]
    given = given() if callable(given) else given
    with pytest.raises(ValueError, match=complaint):
        paired(given, activation("tanh"))


def test_images_of_the_wrong_shape_are_named():
    net, (x, y) = ERNetwork(network()), images()
    for wrong in (x.flatten(1), torch.zeros(40, 2, 8, 8), torch.zeros(40, 1, 2, 2)):
        with pytest.raises(ValueError, match=r"^x: samples of shape .* do not fit layer 1, Conv2d"):
            net.one_update(wrong, y, inverse="transpose")
    with pytest.raises(ValueError, match=r"^x: samples of shape \(1, 12, 12\) .* layer 3, Linear"):
        net.predict(torch.zeros(40, 1, 12, 12))


def test_baselines_that_need_dense_layers_say_so():
    for make in (
        lambda net: baselines.foof(net, rate=1.0),
        lambda net: baselines.target_propagation(net),
        lambda net: baselines.semi_implicit(net, rate=1.0),
    ):
        with pytest.raises(ValueError, match=r"^network: .* takes dense layers only, layer 1 is"):
            make(ERNetwork(network()))


# ---------------------------------------------------------------- networks people bring


@pytest.mark.parametrize("kernel", [3, 2, (3, 4), 1], ids=str)
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padding_by_name_is_padding_by_number(padding, dilation, kernel):
    settings = {"kernel_size": kernel, "dilation": dilation, "padding": padding}
    module = nn.Sequential(
        conv(1, 4, **settings), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(),
        drawn(nn.Linear(36, 3)),
    )  # fmt: skip
    x, y = images()
    net = ERNetwork(module)
    torch.testing.assert_close(net(x), module(x))
    for train in (net.one_update, net.fit, lambda x, y: sequential_fit(net, x, y, passes=1)):
        before = net.layers[0].weight.detach().clone()
        train(x, y)
        assert (net.layers[0].weight - before).abs().max() > 1e-6
        torch.testing.assert_close(net(x), module(x))


def test_the_zeros_of_an_even_kernel_are_part_of_the_tangent():
    module = nn.Sequential(
        conv(1, 2), nn.ReLU(), conv(2, 3, kernel_size=2, padding="same"), nn.ReLU(),
        nn.Flatten(), drawn(nn.Linear(108, 3)),
    )  # fmt: skip
    x, y = images()
    below = draw(5, 2, 6, 6)
    near, change = ERNetwork(module).layers[1].near(below), draw(5, 2, 6, 6, seed=1)
    linear = module[2]
    plain = linear(change) - linear.bias[:, None, None]
    torch.testing.assert_close(near.push(change), plain)
    delta = draw(*plain.shape, seed=2)
    torch.testing.assert_close((near.push(change) * delta).sum(), (near.pull(delta) * change).sum())
    ERNetwork(module).one_update(x, y)


def test_nested_sequentials_are_what_they_hold():
    def blocks(seed=0):
        return [conv(1, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), drawn(nn.Linear(18, 3), seed)]

    (x, y), flat, nested = images(), blocks(), blocks()
    net = ERNetwork(flat).one_update(x, y)
    deep = nn.Sequential(nn.Sequential(nn.Sequential(*nested[:2]), nested[2]), *nested[3:])
    same = ERNetwork(deep).one_update(x, y)
    assert torch.equal(same(x), net(x)) and torch.equal(deep(x), nn.Sequential(*flat)(x))
    deep[0].register_forward_hook(lambda *given: None)
    with pytest.raises(ValueError, match=r"(?s)layers\[0\]: Sequential.* has hooks"):
        ERNetwork(deep)
    with pytest.raises(ValueError, match=r"layers\[0\]\[1\]: expected an activation, found GELU"):
        ERNetwork(nn.Sequential(nn.Sequential(conv(1, 2), nn.GELU())))
