"""CTRNNLayer: its equations, noise, time constants and start."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from places import TESTS
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from netbuild.layers import CTRNNLayer, LinearLayer, Network, Source, attach, verify
from netbuild.layers.ctrnn import SMALLEST_ALPHA
from netbuild.layers.spectrum import spectral_radius

GOLDEN = json.loads((TESTS / "golden" / "ctrnn.json").read_text())
FORMULATIONS = ("current", "rate", "update")
ACTIVATIONS = ("linear", "relu", "tanh", "sigmoid", "softplus", "retanh", {"type": "power", "n": 3})


def layer(**words: Any) -> CTRNNLayer:
    words = {"input_dim": 3, "size": 5, "alpha": 0.2, "seed": 1} | words
    return CTRNNLayer.from_dict(words)


def inputs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def golden_network(case: dict[str, Any], kernel: str) -> Network:
    layers: dict[str, torch.nn.Module] = {}
    width = 3
    for i, words in enumerate(case["layers"]):
        layers[f"hidden{i}"] = CTRNNLayer(
            width,
            words["size"],
            alpha=case["alpha"],
            activation=case["activation"],
            input={"weight": words["input_weight"], "bias": words["input_bias"]},
            recurrent={"weight": words["recurrent_weight"], "bias": words["recurrent_bias"]},
            kernel=kernel,
        )
        width = words["size"]
    readout = {"weight": case["readout_weight"], "bias": case["readout_bias"]}
    layers["readout"] = LinearLayer(width, 2, **readout)
    return Network(layers, input_dim=3)


@pytest.mark.parametrize("kernel", ["compiled", "fused", "reference"])
@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda c: f"{c['activation']}-{c['alpha']}")
def test_rates_outputs_and_gradients_are_those_of_nn4n(case: dict[str, Any], kernel: str) -> None:
    network = golden_network(case, kernel)
    result = network(torch.tensor(case["x"]), return_activity=True)
    assert isinstance(result, tuple)
    y, activity = result
    (y**2).sum().backward()
    torch.testing.assert_close(y, torch.tensor(case["y"]), rtol=1e-5, atol=1e-5)
    for i in range(len(case["layers"])):
        hidden = getattr(network, f"hidden{i}")
        for given, ours in (
            ("firing_rates", activity[f"hidden{i}"]),
            ("recurrent_weight_grad", hidden.recurrent.weight.grad),
            ("input_weight_grad", hidden.input.weight.grad),
        ):
            torch.testing.assert_close(ours, torch.tensor(case[given][i]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("formulation", FORMULATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_every_kernel_computes_what_the_plain_loop_does(formulation: str, activation: Any) -> None:
    words: dict[str, Any] = {
        "formulation": formulation,
        "activation": activation,
        "alpha": {"value": [0.1, 0.3, 0.5, 0.7, 1.0], "learn": True},
        "initial_state": {"value": 0.3, "learn": True},
        "noise": {"sigma": 0.2},
        "rate_noise": 0.1,
        "input_noise": {"sigma": 0.1, "scaling": "none"},
        "name": "hidden",
    }
    found = []
    for kernel in ("compiled", "fused", "reference"):
        one = layer(kernel=kernel, **words).double()
        one.set_step(0)
        x = inputs(4, 7, 3).double().requires_grad_()
        rates = one(x)
        (rates**2).sum().backward()
        found.append([rates, x.grad, *(p.grad for p in one.parameters())])
    for compiled, fused, reference in zip(*found, strict=True):
        torch.testing.assert_close(fused, reference, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(compiled, reference, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("words", "kernel"),
    [
        ({"size": 1024}, "compiled"),
        ({"size": 1025}, "fused"),
        ({"size": 8, "recurrent": {"storage": "sparse", "sparsity_mask": np.eye(8)}}, "fused"),
        ({"size": 8, "kernel": "fused"}, "fused"),
        ({"size": 1025, "kernel": "compiled"}, "compiled"),
        ({"size": 8, "kernel": "reference"}, "reference"),
    ],
)
def test_auto_takes_the_compiled_kernel_for_small_dense_layers(
    words: dict[str, Any], kernel: str
) -> None:
    assert layer(**words).kernel_in_use() == kernel


def test_auto_takes_the_fused_kernel_off_the_processor() -> None:
    one = layer().to("meta")
    assert one.kernel_in_use() == "fused"
    assert one.why_not_compiled() == "the weight is on meta"


def test_each_formulation_is_its_equation() -> None:
    x = inputs(1, 1, 3)
    r0, alpha = 0.4, 0.2
    for formulation in FORMULATIONS:
        one = layer(formulation=formulation, activation="tanh", initial_state=r0)
        before = math.tanh(r0) if formulation == "current" else r0
        drive = one.recurrent(torch.full((5,), before)) + one.input(x[0, 0])
        expected = {
            "current": torch.tanh(0.8 * r0 + alpha * drive),
            "rate": 0.8 * r0 + alpha * torch.tanh(drive),
            "update": torch.tanh(0.8 * r0 + alpha * drive),
        }[formulation]
        torch.testing.assert_close(one(x)[0, 0], expected)


def test_before_the_first_step_zero_means_a_rate_of_zero() -> None:
    silent = {"weight": "zero", "bias": None}
    alike = {"activation": "sigmoid", "alpha": 1.0, "input": silent}
    own = {"recurrent": {"weight": torch.eye(5).numpy(), "bias": None}}
    assert layer(**alike, **own)(inputs(1, 1, 3)).eq(0.5).all()  # sigmoid(0): r was 0
    given = layer(**alike, **own, initial_state=0.0)(inputs(1, 1, 3))
    torch.testing.assert_close(given, torch.full((1, 1, 5), 0.5).sigmoid())  # r was sigmoid(0)


def test_a_time_constant_is_an_alpha() -> None:
    one = layer(alpha=None, tau=100, dt=20)
    assert one.get_specs()["alpha_min"] == pytest.approx(0.2)
    areas = layer(alpha=None, tau=[100, 20], dt=20, groups=[0, 0, 1, 1, 1])
    each = areas.parameters_of_step().alpha
    assert isinstance(each, Tensor)
    torch.testing.assert_close(each, torch.tensor([0.2, 0.2, 1, 1, 1]))


@pytest.mark.parametrize("scaling", ["euler_maruyama", "nn4n", "none"])
@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0])
def test_noise_has_the_stationary_spread_of_its_scaling(scaling: str, alpha: float) -> None:
    """Without weights v is an AR(1) process of coefficient 1 - alpha."""
    silent = {"weight": "zero", "bias": None}
    noise = {"sigma": 0.15, "scaling": scaling}
    one = layer(alpha=alpha, activation="linear", noise=noise, input=silent, recurrent=silent)
    v = one(torch.zeros(200, 400, 3)).detach()[:, 200:]
    step = {"euler_maruyama": math.sqrt(2 * alpha), "nn4n": alpha, "none": 1.0}[scaling] * 0.15
    expected = step / math.sqrt(1 - (1 - alpha) ** 2)
    assert v.std().item() == pytest.approx(expected, rel=0.03)
    if scaling == "euler_maruyama":
        assert expected == pytest.approx(0.15 * math.sqrt(2 / (2 - alpha)))


def test_input_noise_reaches_units_as_their_own_noise_would() -> None:
    only = {"weight": torch.eye(5).numpy(), "bias": None}
    silent = {"weight": "zero", "bias": None}
    words = {"input_dim": 5, "activation": "linear", "recurrent": silent, "input": only}
    v = layer(**words, input_noise=0.15)(torch.zeros(200, 300, 5)).detach()[:, 100:]
    assert v.std().item() == pytest.approx(0.15 * math.sqrt(2 / 1.8), rel=0.03)


def test_noise_on_the_rates_is_read_and_fed_back() -> None:
    silent = {"weight": "zero", "bias": None}
    one = layer(rate_noise=0.3, input=silent, recurrent=silent)
    assert one(torch.zeros(100, 100, 3)).std().item() == pytest.approx(0.3, rel=0.03)


def test_noise_is_a_function_of_seed_name_and_step() -> None:
    x = inputs(2, 3, 3)

    def run(step: int, **words: Any) -> Tensor:
        one = layer(noise=0.1, **words)
        one.set_step(step)
        rates: Tensor = one(x)
        return rates

    assert torch.equal(run(3), run(3))
    once = layer(noise=0.1)
    once.set_step(3)
    once(x)
    assert torch.equal(once(x), run(3))  # a forward pass counts no steps
    torch.rand(1)
    assert torch.equal(run(3), run(3))
    assert not torch.equal(run(3), run(4))
    assert not torch.equal(run(3, name="a"), run(3, name="b"))
    assert torch.equal(layer(noise=0.1).eval()(x), layer()(x))


ALL_NOISE = {"noise": 0.1, "rate_noise": 0.1, "input_noise": 0.1}


def test_without_a_step_noise_comes_from_torchs_global_generator() -> None:
    one, other, x = layer(**ALL_NOISE), layer(**ALL_NOISE), inputs(2, 3, 3)
    torch.manual_seed(5)
    found = [one(x), one(x), other(x)]
    assert not torch.equal(found[0], found[1])
    assert not torch.equal(found[1], found[2])
    torch.manual_seed(5)
    assert torch.equal(other(x), found[0])


@pytest.mark.parametrize("step", [None, 3])
def test_activation_checkpointing_draws_the_same_noise_again(step: int | None) -> None:
    one, gradients = layer(**ALL_NOISE), []
    for again in (False, True):
        x = inputs(4, 7, 3).requires_grad_()
        one.set_step(step)
        torch.manual_seed(0)
        (checkpoint(one, x, use_reentrant=False) if again else one(x)).square().sum().backward()
        gradients.append(x.grad)
    assert torch.equal(gradients[0], gradients[1])


def test_a_learnt_alpha_stays_in_its_range() -> None:
    one = layer(alpha={"value": 0.5, "learn": True})
    optimizer = torch.optim.SGD(one.parameters(), lr=1.0)
    attach(one, optimizer)
    for gradient, expected in ((100.0, SMALLEST_ALPHA), (-100.0, 1.0)):
        one.zero_grad()
        one.alpha.grad = torch.tensor(gradient)
        optimizer.step()
        assert one.alpha.item() == pytest.approx(expected)
        [check] = [c for c in verify(one) if c.constraint == "range"]
        assert (check.weights, check.violations) == (1, 0)
    one.alpha.data.fill_(1.5)
    [check] = [c for c in verify(one) if c.constraint == "range"]
    assert check.violations == 1


def test_masks_hold_in_both_maps_while_training() -> None:
    signs = [1, 1, 1, -1, -1]
    diagonal = ~torch.eye(5, dtype=torch.bool)
    recurrent = {"ei_mask": signs, "sparsity_mask": diagonal.numpy()}
    one = layer(recurrent=recurrent, input={"sparsity_mask": [[1, 0, 1, 0, 1]] * 3})
    optimizer = torch.optim.Adam(one.parameters(), lr=0.1)
    attach(one, optimizer)
    for step in range(10):
        optimizer.zero_grad()
        (one(inputs(4, 6, 3, seed=step)) - 1).square().mean().backward()
        optimizer.step()
    assert sum(check.weights for check in verify(one)) > 20
    assert not any(check.violations for check in verify(one))


@pytest.mark.parametrize("dale", ["project", "abs"])
def test_the_spectral_radius_is_of_the_effective_weight(dale: str) -> None:
    signs = [1] * 40 + [-1] * 10
    mask = torch.rand(50, 50, generator=torch.Generator().manual_seed(1)) < 0.3
    recurrent = {"ei_mask": signs, "sparsity_mask": mask.numpy(), "dale": dale}
    words = recurrent | {"weight": "normal", "ei_balance": "row", "spectral_radius": 1.5}
    one = layer(size=50, recurrent=words)
    assert spectral_radius(one.recurrent.effective_weight) == pytest.approx(1.5, rel=1e-5)
    assert one.get_specs()["spectral_radius"] == pytest.approx(1.5, rel=1e-5)


@pytest.mark.parametrize(
    "weight", ["zero", [[0, 1, 2], [0, 0, 3], [0, 0, 0]], [[1, -1, 0], [1, -1, 0], [0, 0, 0]]]
)
def test_no_factor_gives_a_radius_to_a_weight_that_has_none(weight: Any) -> None:
    with pytest.raises(ValueError, match="spectral radius of this weight is 0"):
        layer(size=3, recurrent={"weight": weight, "spectral_radius": 1.0})


@pytest.mark.parametrize("storage", ["dense", "sparse"])
@pytest.mark.parametrize(("std", "radius"), [(1e-40, 0.5), (1.0, 1e-60), (1.0, 1e39), (1e-3, 1e37)])
def test_a_radius_out_of_the_weights_precision_is_refused(
    std: float, radius: float, storage: str
) -> None:
    mask = [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1], [1, 1, 0, 1, 0], [0, 0, 1, 0, 1], [1, 0, 0, 1, 1]]
    weight = {"init": "normal", "std": std}
    words = {"weight": weight, "sparsity_mask": mask, "storage": storage}
    with pytest.raises(ValueError, match=r"recurrent: the spectral radius .* out of the range"):
        layer(recurrent=words | {"spectral_radius": radius})


def test_a_weight_that_is_not_finite_has_no_spectral_radius() -> None:
    """In a process of its own: LAPACK may end it, or never return."""
    code = """
import torch
from netbuild.analysis.dynamics import multipliers
from netbuild.layers import CTRNNLayer
for bad in (float("nan"), float("inf")):
    for storage in ("dense", "sparse"):
        mask = torch.ones(4, 4).numpy()
        recurrent = {"storage": storage, "sparsity_mask": mask}
        layer = CTRNNLayer(2, 4, alpha=0.5, recurrent=recurrent)
        with torch.no_grad():
            layer.recurrent.weight.view(-1)[1] = bad
        print(layer.get_specs()["spectral_radius"])
    matrices = torch.eye(3).repeat(2, 1, 1)
    matrices[1, 0, 2] = bad
    print(multipliers(matrices).isnan().sum().item(), multipliers(matrices)[0].abs().sum().item())
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert run.stdout.split() == ["nan", "nan", "3", "3.0"] * 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"alpha": 0}, r"alpha must lie in \(0, 1\]"),
        ({"alpha": 1.1}, r"alpha must lie in \(0, 1\]"),
        ({"alpha": [0.1, 0.2]}, "alpha is"),
        ({"alpha": None}, "either alpha"),
        ({"tau": 100, "dt": 10}, "either alpha"),
        ({"alpha": None, "tau": 10, "dt": 20}, "tau must not be below dt"),
        ({"alpha": {"value": 0.1, "lern": True}}, "did you mean 'learn'"),
        ({"formulation": "currant"}, "did you mean 'current'"),
        ({"activation": "rleu"}, "did you mean 'relu'"),
        ({"noise": -1}, "must not be negative"),
        ({"noise": {"sigma": 1, "scaling": "euler"}}, "did you mean 'euler_maruyama'"),
        ({"initial_state": "one"}, "unknown initial_state"),
        ({"initial_state": [1, 2]}, "initial_state is"),
        ({"input": {"output_dim": 4}}, "the sizes of `input`"),
        ({"recurrent": {"wieght": "zero"}}, "did you mean 'weight'"),
        ({"alpha": [0.1] * 5, "input_noise": 0.1}, "needs one alpha"),
        ({"groups": [0, 1]}, "groups must be 5"),
        ({"sise": 4}, "did you mean 'size'"),
    ],
)
def test_what_is_refused(words: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        layer(**words)


def test_it_reads_sequences() -> None:
    with pytest.raises(ValueError, match=r"reads \(batch, time, 3\); got \(4, 3\)"):
        layer()(inputs(4, 3))


def test_shapes_are_known_without_values() -> None:
    one = layer(alpha={"value": 0.5, "learn": True}, initial_state=0.1, noise=0.1).to("meta")
    assert all(tensor.is_meta for tensor in (*one.parameters(), *one.buffers()))
    assert one.eval()(torch.empty(4, 7, 3, device="meta")).shape == (4, 7, 5)


def test_state_dict_holds_all_that_the_layer_computes_with() -> None:
    one = layer(alpha=[0.1, 0.2, 0.3, 0.4, 0.5], initial_state=0.3, seed=1)
    other = layer(alpha=[0.5] * 5, initial_state=0.1, seed=2)
    other.load_state_dict(one.state_dict())
    x = inputs(2, 4, 3)
    assert torch.equal(one(x), other(x))
    scalar = layer(alpha=0.1)
    scalar.load_state_dict(layer(alpha=0.6, seed=1).state_dict())
    assert torch.equal(scalar(x), layer(alpha=0.6, seed=1)(x))


def test_a_readout_of_excitatory_units_reads_them_alone() -> None:
    layers = {"hidden": layer(), "readout": LinearLayer(3, 2, seed=1)}
    network = Network(layers, input_dim=3, sources={"readout": Source("hidden", slice(0, 3))})
    result = network(inputs(4, 7, 3), return_activity=True)
    assert isinstance(result, tuple)
    y, activity = result
    expected = network.readout(activity["hidden"][..., :3].contiguous())
    torch.testing.assert_close(y, expected)
    assert y.shape == (4, 7, 2)
