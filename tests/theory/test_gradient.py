"""S5 and S6: the ER update by autograd, by the verbs, and by loops over samples.

The references differ from both code paths: errors sample by sample and unit by unit, one Kronecker
system for all weights of a layer, Jacobians multiplied by hand, finite differences.
"""

import copy
from dataclasses import replace

import numpy as np
import pytest
import references
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from references import one_thread  # noqa: F401

from erlib import ERNetwork, activation
from erlib.activations import NAMES
from erlib.theory.gauss_newton import gauss_newton_changes
from erlib.theory.gradient import gradient_changes

EXAMPLES = settings(deadline=None, max_examples=60, derandomize=True)
PLAIN = {"factor": "slope", "inverse": "transpose", "precondition": False}
MUTATIONS = {
    "transpose": {"inverse": "transpose"},
    "slope": {"factor": "slope"},
    "no Gram matrix": {"precondition": False},
}
every_activation = pytest.mark.parametrize("name", NAMES)


def network(sizes, name="tanh", output="tanh", hidden_bias=True, seed=0, dtype=torch.float64):
    net = ERNetwork.dense(
        sizes, activation=name, output=output, hidden_bias=hidden_bias, seed=seed, dtype=dtype
    )
    generator = torch.Generator().manual_seed(seed)
    for layer in net.layers:
        if layer.bias is not None:
            draw = torch.randn(len(layer.bias), generator=generator, dtype=torch.float64)
            layer.bias.data = 0.3 * draw.to(dtype)
    return net


def problem(net, n, seed=0):
    rng = np.random.default_rng(seed)
    d_in, d_out = net.layers[0].weight.shape[0], net.layers[-1].weight.shape[1]
    return torch.tensor(rng.normal(size=(n, d_in))), torch.tensor(rng.normal(size=(n, d_out)))


def plain(net):
    """The layers as the references have them."""
    return [
        (
            layer.weight.detach().numpy(),
            None if layer.bias is None else layer.bias.detach().numpy(),
            layer.activation.name,
        )
        for layer in net.layers
    ]


def flat(change):
    return np.concatenate([np.ravel(part) for part in change if part is not None])


def difference(found, wanted):
    """Largest relative difference of a layer's change, weight and bias together."""
    worst = 0.0
    for one, other in zip(found, wanted, strict=True):
        one, other = flat(one), flat(other)
        size = max(np.linalg.norm(one), np.linalg.norm(other))
        worst = max(worst, np.linalg.norm(one - other) / size if size else 0.0)
    return worst


def spectra(net, x):
    """Eigenvalues of the Gram matrix of each layer's inputs, relative to the largest."""
    found = []
    for below, (_, bias, _) in zip(references.forward(plain(net), x.numpy())[0], plain(net)):
        centred = below if bias is None else below - below.mean(0)
        values = np.linalg.eigvalsh(centred.T @ centred)
        found.append(values / max(values[-1], 1e-300))
    return found


def clear(net, x, low=1e-4):
    """Is every Gram matrix either regular or plainly singular?"""
    return not any(((v > 1e-13) & (v < low)).any() for v in spectra(net, x))


def central_difference(f, parameter, index, step):
    """Of what f() returns, by one number of the parameter."""
    ends = []
    for sign in (1, -1):
        parameter[index] += sign * step
        ends.append(f())
        parameter[index] -= sign * step
    return (ends[0] - ends[1]) / (2 * step)


# ---------------------------------------------------------------- S5


@every_activation
@pytest.mark.parametrize("hidden_bias", [True, False])
@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_the_update_is_that_of_the_loops_over_samples(ridge, hidden_bias, name):
    net = network([6, 5, 4, 3], name, "tanh", hidden_bias)
    x, t = problem(net, 60)
    assert min(values.min() for values in spectra(net, x)) > 1e-6
    layers = plain(net)
    inputs, _ = references.forward(layers, x.numpy())
    deltas = references.errors(layers, x.numpy(), t.numpy())
    wanted = [
        references.kronecker_change(below, delta, bias is not None, ridge)
        for below, delta, (_, bias, _) in zip(inputs, deltas, layers)
    ]
    assert difference(gradient_changes(net, x, t, ridge=ridge), wanted) < 1e-9
    assert difference(net.changes(x, t, ridge=ridge), wanted) < 1e-9


@EXAMPLES
@given(
    sizes=st.lists(st.integers(3, 40), min_size=2, max_size=7),
    n=st.integers(1, 200),
    name=st.sampled_from(NAMES),
    output=st.sampled_from(NAMES),
    hidden_bias=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_both_paths_give_one_update(sizes, n, name, output, hidden_bias, seed):
    """S5; and none of the three replacements can be left out."""
    net = network(sizes, name, output, hidden_bias, seed)
    x, t = problem(net, n, seed)
    ridge = 0.0 if clear(net, x) else 1e-2
    wanted = net.changes(x, t, ridge=ridge)
    assert difference(gradient_changes(net, x, t, ridge=ridge), wanted) < 1e-10
    used = {name, output} if len(sizes) > 2 else {output}
    differs = {
        "transpose": any(weight.abs().max() > 0 for weight, _ in wanted[:-1]),
        "slope": bool(used - {"identity", "relu"}),
        "no Gram matrix": any(flat(change).any() for change in wanted),
    }
    for mutation, options in MUTATIONS.items():
        mutant = gradient_changes(net, x, t, ridge=ridge, **options)
        if mutation == "slope" and not differs["slope"]:
            assert difference(mutant, wanted) < 1e-10, "for these units slope and ratio are one"
        elif differs[mutation] and any(flat(change).any() for change in wanted):
            assert difference(mutant, wanted) > 1e-3


@pytest.mark.parametrize(
    ("sizes", "n", "hidden_bias"),
    [([30, 8, 4], 5, False), ([30, 8, 4], 5, True), ([6, 40, 4], 15, False), ([5, 3], 1, True)],
    ids=["few samples", "few samples, bias", "wide layer", "one sample"],
)
def test_singular_gram_matrices_give_the_smallest_change(sizes, n, hidden_bias):
    net = network(sizes, "relu", hidden_bias=hidden_bias)
    x, t = problem(net, n)
    assert clear(net, x) and any((values < 1e-13).any() for values in spectra(net, x))
    layers = plain(net)
    inputs, _ = references.forward(layers, x.numpy())
    wanted = []
    deltas = references.errors(layers, x.numpy(), t.numpy())
    for below, delta, (_, bias, _) in zip(inputs, deltas, layers):
        centre = 0 if bias is None else below.mean(0)
        weight = np.linalg.pinv(below - centre, rcond=1e-8) @ (
            delta - (0 if bias is None else delta.mean(0))
        )
        wanted.append((weight, None if bias is None else delta.mean(0) - centre @ weight))
    assert difference(gradient_changes(net, x, t), wanted) < 1e-10
    assert difference(net.changes(x, t, ridge=0), wanted) < 1e-10


def test_weights_of_low_rank_are_inverted_by_both_paths():
    net = network([6, 8, 7, 3], "softsign")
    weight = net.layers[1].linear.weight.data  # [7, 8]
    weight[3:] = 0
    weight[2] = weight[0] + weight[1]
    x, t = problem(net, 50)
    assert np.linalg.matrix_rank(weight.numpy()) == 2
    wanted = net.changes(x, t, ridge=0.1)
    assert difference(gradient_changes(net, x, t, ridge=0.1), wanted) < 1e-10


# ---------------------------------------------------------------- without the replacements


@every_activation
def test_without_the_replacements_it_is_the_gradient(name):
    """By finite differences of E."""
    net = network([3, 5, 4, 2], name, "erf")
    x, t = problem(net, 10)
    found = gradient_changes(net, x, t, **PLAIN)

    def loss():
        outputs = torch.erf(net.decision_function(x))
        return (0.5 * (t - outputs).square().sum()).item()

    for layer, (weight, bias) in zip(net.layers, found):
        for parameter, change in ((layer.linear.weight, weight.T), (layer.bias, bias)):
            for index in np.ndindex(*parameter.shape):
                slope = central_difference(loss, parameter.data, index, step=1e-6)
                assert -slope == pytest.approx(change[index].item(), rel=1e-5, abs=1e-7)


@every_activation
@pytest.mark.parametrize("inverse", ["pinv", "transpose"])
@pytest.mark.parametrize("factor", ["ratio", "slope"])
def test_every_member_of_the_family_is_its_loop_over_samples(factor, inverse, name):
    net = network([4, 6, 3, 5], name, "softsign")
    x, t = problem(net, 12)
    layers = plain(net)
    inputs, _ = references.forward(layers, x.numpy())
    deltas = references.errors(layers, x.numpy(), t.numpy(), factor, inverse)
    wanted = [(a.T @ d, d.sum(0)) for a, d in zip(inputs, deltas)]
    found = gradient_changes(net, x, t, factor=factor, inverse=inverse, precondition=False)
    assert difference(found, wanted) < 1e-11


# ---------------------------------------------------------------- Gauss-Newton


@every_activation
@pytest.mark.parametrize("ridge", [0.0, 0.05])
@pytest.mark.parametrize("hidden_bias", [True, False])
@pytest.mark.parametrize("n", [3, 25])  # fewer residuals than weights, and more
def test_gauss_newton_is_the_jacobian_multiplied_by_hand(n, hidden_bias, ridge, name):
    net = network([3, 5, 4, 2], name, "tanh", hidden_bias)
    x, t = problem(net, n)
    layers = plain(net)
    outputs = references.output(references.forward(layers, x.numpy())[1][-1], "tanh")
    residual = (t.numpy() - outputs).ravel()
    found = gauss_newton_changes(net, x, t, ridge=ridge)
    for index, (weight, bias) in enumerate(found):
        jacobian = references.output_jacobian(layers, x.numpy(), index)
        damping = np.sqrt(ridge * np.mean(np.sum(jacobian**2, 0)))
        rows = np.vstack([jacobian, damping * np.eye(jacobian.shape[1])])
        wanted = np.linalg.pinv(rows, rcond=1e-11)[:, : len(residual)] @ residual
        assert (bias is None) == (layers[index][1] is None)
        np.testing.assert_allclose(
            flat((weight, bias)), wanted, rtol=1e-6, atol=1e-7 * abs(wanted).max()
        )


# ---------------------------------------------------------------- S6


def without_bias(sizes, name="identity", seed=0, output="identity"):
    net = ERNetwork.dense(sizes, activation=name, output=output, seed=seed, dtype=torch.float64)
    net.layers[-1].linear.bias = None
    return net


def semi_orthogonal(net):
    for layer in net.layers:
        u, _, vt = torch.linalg.svd(layer.linear.weight.data, full_matrices=False)
        layer.linear.weight.data = u @ vt
    return net


def white(x):
    u, _, vt = torch.linalg.svd(x, full_matrices=False)
    return len(x) ** 0.5 * u @ vt


@pytest.mark.parametrize("name", ["identity", "relu"])
@pytest.mark.parametrize("sizes", [[6, 5, 4, 3], [3, 4, 5, 6], [5, 5, 5, 5]], ids=str)
def test_s6a_semi_orthogonal_weights_send_down_the_errors_of_backpropagation(sizes, name):
    net = semi_orthogonal(without_bias(sizes, name))
    x, t = problem(net, 30)
    er = gradient_changes(net, x, t, precondition=False)
    assert difference(er, gradient_changes(net, x, t, **PLAIN)) < 1e-12
    loose = without_bias(sizes, name)
    er = gradient_changes(loose, x, t, precondition=False)
    assert difference(er, gradient_changes(loose, x, t, **PLAIN)) > 1e-2


@pytest.mark.parametrize("sizes", [[6, 5, 4, 3], [5, 5, 5, 5], [8, 8, 4, 1]], ids=str)
def test_s6b_white_inputs_make_er_gradient_descent_of_a_linear_network(sizes):
    net = semi_orthogonal(without_bias(sizes))
    x, t = problem(net, 40)
    step = [(weight / 40, None) for weight, _ in gradient_changes(net, white(x), t, **PLAIN)]
    assert difference(net.changes(white(x), t, ridge=0), step) < 1e-11
    assert difference(net.changes(x, t, ridge=0), step) > 0.05


def test_s6b_in_the_first_layer_of_a_relu_network():
    net = semi_orthogonal(without_bias([6, 5, 4], "relu"))
    x, t = problem(net, 60)
    step = [(weight / 60, None) for weight, _ in gradient_changes(net, white(x), t, **PLAIN)]
    found = net.changes(white(x), t, ridge=0)
    assert difference(found[:1], step[:1]) < 1e-11 < 0.05 < difference(found[1:], step[1:])


@pytest.mark.parametrize(
    ("sizes", "orthogonal", "from_layer"),
    [
        ([7, 6, 5, 4], False, 1),
        ([4, 5, 6, 7], False, 1),
        ([5, 5, 5, 5], False, 0),
        ([7, 6, 3, 5], False, 0),
        ([7, 6, 5, 4], True, 0),
        ([4, 5, 6, 7], True, 0),
    ],
    ids=["narrowing", "widening", "square", "bottleneck", "narrowing orthogonal", "widening orth."],
)
def test_s6c_a_linear_layer_takes_the_gauss_newton_step(sizes, orthogonal, from_layer):
    net = without_bias(sizes)
    net = semi_orthogonal(net) if orthogonal else net
    x, t = problem(net, 40)
    found, wanted = net.changes(x, t, ridge=0), gauss_newton_changes(net, x, t)
    for index in range(3):
        equal = difference(found[index : index + 1], wanted[index : index + 1])
        assert equal < 1e-9 if index >= from_layer else equal > 0.05


def test_a_field_of_er_steps_has_a_curl_with_two_layers_and_none_with_one():
    def asymmetry(sizes, **options):
        net = without_bias(sizes, "tanh", output="tanh")
        x, t = problem(net, 20)

        def step():
            change = gradient_changes(net, x, t, precondition=False, **options)
            return np.concatenate([flat(pair) for pair in change])

        jacobian = np.array(
            [
                central_difference(step, layer.linear.weight.data, (j, i), 1e-5)
                for layer in net.layers
                for i, j in np.ndindex(*layer.weight.shape)
            ]
        )
        return np.linalg.norm(jacobian - jacobian.T) / np.linalg.norm(jacobian + jacobian.T)

    assert asymmetry([3, 4, 2], factor="slope", inverse="transpose") < 1e-7
    assert asymmetry([3, 2]) < 1e-7
    assert asymmetry([3, 4, 2]) > 0.05


# ---------------------------------------------------------------- arrays, and what is refused


def test_the_network_is_left_as_it_was():
    net = network([4, 5, 3])
    x, t = problem(net, 20)
    before = copy.deepcopy(net.state_dict())
    gradient_changes(net, x, t)
    gauss_newton_changes(net, x, t)
    net.changes(x, t)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_arrays_and_single_precision():
    net = network([4, 5, 3], dtype=torch.float32)
    x, t = problem(net, 30)
    found = gradient_changes(net, x.numpy(), t.numpy(), ridge=0.1)
    assert all(part.dtype == torch.float32 for pair in found for part in pair)
    assert difference(found, net.changes(x, t, ridge=0.1)) < 1e-4


@pytest.mark.parametrize("hidden_bias", [True, False])
@pytest.mark.parametrize("kind", ["columns", "offset", "duplicates", "few float32 samples"])
def test_inputs_that_are_not_round(kind, hidden_bias):
    dtype = torch.float32 if "float32" in kind else torch.float64
    net = network([12, 7, 5, 3], "relu", hidden_bias=hidden_bias, dtype=dtype)
    x, t = problem(net, 6 if "few" in kind else 60)
    if kind == "columns":
        x = x * torch.logspace(-2, 2, 12, dtype=x.dtype)
    elif kind == "offset":
        x = x + 100
    elif kind == "duplicates":
        x = torch.cat([torch.cat([x[:30], x[:30]])[:, :6]] * 2, 1)
    x, t = x.to(dtype), t.to(dtype)
    found, wanted = gradient_changes(net, x, t), net.changes(x, t, ridge=0)
    allowed = {"few float32 samples": 1e-3, "offset": 1e-8}.get(kind, 1e-10)
    assert difference(found, wanted) < allowed


@every_activation
def test_fields_of_exactly_zero_have_the_limit_of_the_ratio(name):
    net = network([4, 5, 3], name, name, hidden_bias=False)
    net.layers[-1].linear.bias.data.zero_()
    x, t = problem(net, 40)
    x[::2] = 0
    found, wanted = gradient_changes(net, x, t, ridge=0.1), net.changes(x, t, ridge=0.1)
    assert difference(found, wanted) < 1e-10
    if name != "relu":  # silent samples move the bias of the readout, by 1/f'(0) times their target
        moved = net.changes(x[::2], t[::2], ridge=0.1)[-1][1]
        limit = references.RATIO_AT_0.get(name, 1.0)
        np.testing.assert_allclose(moved, limit * t[::2].mean(0), rtol=1e-12)


def test_inputs_that_are_constant_but_for_their_last_bit_get_no_weight():
    net = network([4, 3])
    x, t = problem(net, 40)
    x[:, 2] = 0.3 + 2.0**-54 * (x[:, 1] > 0).double()
    assert len(x[:, 2].unique()) == 2
    (found, _), (wanted, _) = gradient_changes(net, x, t)[0], net.changes(x, t, ridge=0)[0]
    assert not wanted[2].any() and not found[2].any()
    assert difference([(found,)], [(wanted,)]) < 1e-10
    x[:] = x[:, 2:3]  # and with nothing but such inputs there is no weight at all
    for change in (gradient_changes(net, x, t), net.changes(x, t, ridge=0)):
        assert not change[0][0].any() and change[0][1].all()


def test_silent_units_and_samples():
    net = network([4, 6, 3], "relu", hidden_bias=False)
    net.layers[0].linear.weight.data[:2] = 0  # fields of exactly 0
    x, t = problem(net, 40)
    found, wanted = gradient_changes(net, x, t), net.changes(x, t, ridge=0)
    assert not wanted[0][0][:, :2].any() and not found[0][0][:, :2].any()
    assert difference(found, wanted) < 1e-10


@given(scale=st.floats(-6, 6))
@settings(deadline=None, max_examples=20, derandomize=True)
def test_inputs_of_any_scale(scale):
    net = without_bias([4, 5, 3], "relu")
    x, t = problem(net, 30)
    x = x * 10.0**scale
    assume(clear(net, x))
    wanted = net.changes(x, t, ridge=0)
    assert difference(gradient_changes(net, x, t), wanted) < 1e-10


net = network([4, 5, 3])
x, t = (part.numpy() for part in problem(net, 6))


@pytest.mark.parametrize("call", [gradient_changes, gauss_newton_changes])
@pytest.mark.parametrize(
    ("given_x", "target", "complaint"),
    [
        (x[:, :3], t, "x: 3 columns, the network has 4 inputs"),
        (x[0], t, r"x: expected 2 axes, found shape \(4,\)"),
        (x * np.nan, t, "x: 24 of 24 entries are NaN or Inf"),
        (x[:0], t[:0], "x: empty"),
        (x.astype(int), t, "x: expected floating-point numbers"),
        (x.tolist(), t, "x: expected a NumPy array or a torch tensor, found list"),
        (x, t[:5], r"target: 5 samples \(rows\), x has 6"),
        (x, t[:, :2], r"target: shape \(6, 2\) differs from the output's \(6, 3\)"),
        (x, t * np.inf, "target: 18 of 18 entries are NaN or Inf"),
        (x, np.arange(6), "target: expected floating-point numbers"),
        (x, torch.tensor(t), "target: found Tensor where x is ndarray"),
    ],
    ids=lambda value: "" if not isinstance(value, str) else value[:30],
)
def test_bad_arrays_are_named(call, given_x, target, complaint):
    with pytest.raises(ValueError, match=complaint):
        call(net, given_x, target)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"factor": "g"}, "factor: unknown 'g'; known: ratio, slope"),
        ({"inverse": "damped"}, "inverse: unknown 'damped'; known: pinv, transpose"),
        ({"ridge": -1}, "ridge: expected a finite number >= 0, found -1"),
        ({"ridge": None}, "ridge: expected a number >= 0, found None"),
        ({"precondition": "no"}, "precondition: expected True or False, found 'no'"),
    ],
    ids=str,
)
def test_bad_settings_are_named(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        gradient_changes(net, x, t, **options)


def test_what_overflows_is_named():
    with pytest.raises(ValueError, match="x, target: the change of layer 1 overflows; scale down"):
        gradient_changes(without_bias([4, 3]), x * 1e200, t * 1e200, precondition=False)


@pytest.mark.parametrize("call", [gradient_changes, gauss_newton_changes])
def test_networks_that_have_no_second_path_are_named(call):
    with pytest.raises(ValueError, match="network: expected an ERNetwork, found Linear"):
        call(torch.nn.Linear(4, 3), x, t)
    broken = copy.deepcopy(net)
    broken.layers[1].linear.weight.data[0, 0] = np.nan
    with pytest.raises(ValueError, match="network: weights of layer 2: 1 of 15 entries are NaN"):
        call(broken, x, t)
    impostor = copy.deepcopy(net)
    impostor.layers[0].activation = replace(activation("tanh"), f=torch.sin)
    with pytest.raises(ValueError, match=r"network: layer 1 has Activation\('tanh'\); known: erf"):
        call(impostor, x, t)


def test_it_computes_gradients_also_where_they_are_switched_off():
    wanted = gradient_changes(net, x, t)
    with torch.no_grad():
        assert difference(gradient_changes(net, x, t), wanted) == 0
