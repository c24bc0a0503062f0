"""A spec becomes a network: sizes, signs, seeds, regularizers, devices."""

from __future__ import annotations

import copy
import inspect
import pickle
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

import netbuild
from netbuild.builder import build, build_layer, build_optimizer, build_task, device_of
from netbuild.errors import Exit, NetbuildError
from netbuild.kernels import ACTIVATIONS
from netbuild.language import regularizers, weights
from netbuild.language.layer import Named, Power
from netbuild.language.reserved import RESERVED
from netbuild.layers import LinearLayer, Network
from netbuild.layers.initial import FOR_A_BIAS, SCHEMES, arguments_of
from netbuild.regularization import REGULARIZATIONS, RegularizationList


def test_names_shapes_and_signs(small: Path) -> None:
    network = build(small)
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
    assert shapes == {
        "hidden.weight": (12, 5),
        "hidden.bias": (12,),
        "readout.weight": (3, 12),
        "readout.bias": (3,),
    }
    signs = network.readout.sign
    assert signs.shape == (3, 12)
    assert (signs[:, :9] == 1).all()
    assert (signs[:, 9:] == -1).all()
    assert network(torch.zeros(4, 5)).shape == (4, 3)


def test_the_same_spec_gives_the_same_bits(small: Path) -> None:
    one, two, other = build(small), build(small), build(netbuild.load(small, ["seed=4"]))
    assert all(torch.equal(a, two.state_dict()[name]) for name, a in one.state_dict().items())
    assert not torch.equal(one.hidden.weight, other.hidden.weight)


def test_building_takes_nothing_from_the_global_generator(small: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    build(small)
    assert torch.equal(before, torch.get_rng_state())


def test_a_pickled_spec_builds_the_same(small: Path) -> None:
    spec = netbuild.load(small)
    again = pickle.loads(pickle.dumps(spec))
    assert again._found is None  # the arrays of its files are read again
    assert torch.equal(build(spec).hidden.weight, build(again).hidden.weight)


def test_a_file_that_changed_since_is_refused(small: Path) -> None:
    spec = pickle.loads(pickle.dumps(netbuild.load(small)))
    np.savez(small.parent / "data.npz", x=np.zeros((60, 5)), y=np.zeros(60, dtype=int))
    with pytest.raises(NetbuildError, match=r"data\.npz has changed"):
        build(spec)


def test_meta_leaves_nothing_behind_and_regularizers_stay_tied(small: Path) -> None:
    network = build(small).to("meta")
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        assert tensor.is_meta, name
    assert network.regularizers().is_meta
    loose = [
        f"{path}.{key}"
        for path, module in network.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, torch.Tensor) and not value.is_meta
    ]
    assert not loose
    network.eval()(torch.zeros(2, 5, device="meta")).sum().backward()
    assert network.hidden.weight.grad.is_meta


def test_regularizers_read_the_parameters_of_their_own_network(small: Path) -> None:
    network = build(small)
    other = copy.deepcopy(network)
    before = network.regularizers().item()
    with torch.no_grad():
        other.readout.weight.mul_(3)
    assert network.regularizers().item() == before
    assert other.regularizers().item() != before
    assert not [
        name for name in network.state_dict() if "regularizers" in name and "weight" in name
    ]


def test_the_loss_has_the_regularizers_of_the_file_and_no_other(small: Path) -> None:
    network = build(small)
    assert isinstance(network.regularizers, RegularizationList)
    assert network.regularizers.names == ["dale", "sparse"]
    w = network.readout.weight
    dale = (0.8 * w * w - 0.2 * w * network.readout.sign).sum()
    raw = network.regularizers.raw_terms()["dale"]
    assert raw.item() == pytest.approx(dale.item(), rel=1e-5)
    assert network.regularizers.weight("dale") == pytest.approx(1e-3)


def test_a_selection_reads_its_units_alone(small: Path) -> None:
    spec = netbuild.load(small, ["layers[readout].from=hidden.inhibitory"])
    network = build(spec)
    assert network.readout.input_dim == 3
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    y, activity = network.eval()(x, return_activity=True)
    assert torch.equal(y, network.readout(activity["hidden"][:, 9:]))
    assert (network.readout.weight <= 0).all()


def test_optimizer_is_attached_and_fused(small: Path) -> None:
    spec = netbuild.load(small)
    network = build(spec)
    start = network.readout.weight.detach().clone()
    optimizer = build_optimizer(spec.model.training, network)
    assert optimizer.defaults["fused"]
    for _ in range(3):
        network(torch.randn(8, 5)).square().sum().backward()
        optimizer.step()
    initial = {"readout.weight": start, "hidden.weight": network.hidden.weight.detach().clone()}
    assert not [check for check in network.verify(initial) if check.violations]
    assert not torch.equal(start, network.readout.weight)


def test_nothing_to_learn_is_told(small: Path) -> None:
    changes = [
        f"layers[{name}].{key}={{init: zero, learn: false}}"
        for name in ("hidden", "readout")
        for key in ("weight", "bias")
    ]
    changes.append("layers[hidden].input_dim=5")
    spec = netbuild.load(small, changes, unset=["task"])
    with pytest.raises(NetbuildError, match="nothing in this network learns"):
        build_optimizer(spec.model.training, build(spec))


def test_no_task_is_told(small: Path) -> None:
    spec = netbuild.load(small, ["layers[hidden].input_dim=5"], unset=["task"])
    with pytest.raises(NetbuildError, match="no `task`"):
        build_task(spec)


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what a machine without CUDA says")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(NetbuildError, match=f"device {name} is not there") as caught:
        device_of(name)
    assert caught.value.exit_code == Exit.MISSING


def inits_of(union: object) -> set[str]:
    """The schemes that a parameter of the language may name."""
    models = get_args(get_args(union)[0])
    named = [model.model_fields["init"] for model in models if "init" in model.model_fields]
    return {name for info in named for name in get_args(info.annotation)}


def test_the_words_are_those_of_the_maths() -> None:
    """Models name exactly the schemes, arguments, activations and regularizers that exist."""
    classes = (
        *(weights.Uniform, weights.Normal, weights.TruncNormal, weights.Zero, weights.Constant),
        *(weights.Xavier, weights.Kaiming, weights.Orthogonal, weights.Identity),
    )
    assert inits_of(weights.Weight) == {*SCHEMES, "connectome"}  # which are values of a file
    assert inits_of(weights.Bias) == set(FOR_A_BIAS)
    for model in classes:
        words = set(model.model_fields) - {"init", "learn"}
        for name in model.model_fields["init"].annotation.__args__:
            assert words == set(arguments_of(name)), name
    activations = {*Named.model_fields["type"].annotation.__args__, "power"}
    assert activations == set(ACTIVATIONS)
    assert set(Power.model_fields) == {"type", "n"}
    for name, model in vars(regularizers).items():
        if not (inspect.isclass(model) and "type" in getattr(model, "model_fields", {})):
            continue
        (kind,) = model.model_fields["type"].annotation.__args__
        known = set(REGULARIZATIONS[kind].options())
        words = set(model.model_fields) - {"type", "name", "params", "reference", "from_", "to"}
        assert words <= known, name


def test_reserved_names_are_the_networks_own() -> None:
    empty = Network({"x": torch.nn.Identity()}, input_dim=1)
    named = {name for name in dir(empty) if name[0].isalpha() and name.islower()} - {"x"}
    assert named <= RESERVED


def test_layer_keys_reach_the_layer(small: Path) -> None:
    changes = [
        "layers[readout].dale=abs",
        "layers[hidden].bias=null",
        "layers[hidden].weight={init: normal, std: 0.01, learn: false}",
    ]
    network = build(netbuild.load(small, changes))
    assert network.readout.dale == "abs"
    assert isinstance(network.hidden, LinearLayer)
    assert not network.hidden.weight.requires_grad
    assert not network.hidden.bias.requires_grad
    assert network.hidden.bias.abs().sum() == 0
    assert 0 < network.hidden.weight.std() < 0.02


def test_a_compiled_kernel_that_cannot_run_is_named_before_the_training() -> None:
    layer = {"name": "a", "type": "ctrnn", "input_dim": 3, "size": 4, "alpha": 0.5}
    layer |= {"kernel": "compiled", "recurrent": {"storage": "sparse", "density": 0.5}}
    with pytest.raises(NetbuildError) as caught:
        build({"netbuild": 1, "layers": [layer]})
    what = "layers[a].kernel: `compiled` cannot run: the weight is stored sparse"
    assert str(caught.value).startswith(what)
    assert caught.value.exit_code is Exit.MISSING


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("dale: abs", r"layers\[b\]: dale='abs' with a weight that starts at 0 everywhere"),
        ("type: ctrnn", r"layers\[b\]\.recurrent\.spectral_radius: the spectral radius of .*e-40"),
    ],
)
def test_a_start_that_no_check_foresaw_names_its_layer(kind: str, said: str) -> None:
    """The words are changed after the check, as if it had missed them."""
    a = {"name": "a", "type": "linear", "input_dim": 3, "output_dim": 4, "excitatory": 0.5}
    weight = {"init": "normal", "std": 1.0}
    if kind == "dale: abs":
        b = {"name": "b", "type": "linear", "output_dim": 2, "dale": "abs", "weight": weight}
    else:
        recurrent = {"weight": weight, "spectral_radius": 0.5, "density": 0.8}
        b = {"name": "b", "type": "ctrnn", "size": 6, "alpha": 0.5, "recurrent": recurrent}
    spec = netbuild.load({"netbuild": 1, "layers": [a, b]})
    layer = spec.model.layers[1]
    changed = layer if kind == "dale: abs" else layer.recurrent
    object.__setattr__(changed.weight, "std", 0.0 if kind == "dale: abs" else 1e-40)
    with pytest.raises(NetbuildError, match=said) as caught:
        build_layer(spec, layer, spec.plan.layers["b"])
    assert caught.value.exit_code is Exit.SPEC
