"""Sparse storage computes what dense storage does, from values for the connections alone."""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel

from netbuild import wiring
from netbuild.layers import (
    CTRNNLayer,
    LinearLayer,
    Network,
    PerConnection,
    attach,
    verify,
)
from netbuild.layers.initial import SCHEMES
from netbuild.regularization import REGULARIZATIONS, RegularizationList
from netbuild.regularization.targets import NamedParameters

OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.1),
    "adam": lambda p: optim.Adam(p, lr=0.05),
    "adam-fused": lambda p: optim.Adam(p, lr=0.05, fused=True),
    "adamw": lambda p: optim.AdamW(p, lr=0.05, weight_decay=0.1),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.05),
}
PLASTICITY = {"none": None, "binary": [0.0, 1.0], "fractional": [0.0, 0.3, 1.0]}
DALES = ("project", "abs", "none")


def words_of(
    n: int = 12, m: int = 9, *, plasticity: str = "fractional", seed: int = 0, **more: Any
) -> dict[str, Any]:
    """The words of a layer from n to m units, with all masks and a weight."""
    rng = np.random.default_rng(seed)
    words: dict[str, Any] = {
        "input_dim": n,
        "output_dim": m,
        "weight": rng.normal(size=(m, n)),
        "bias": rng.normal(size=m),
        "ei_mask": rng.integers(-1, 2, n),
        "sparsity_mask": rng.random((n, m)) < 0.4,
    }
    if (levels := PLASTICITY[plasticity]) is not None:
        words["plasticity_mask"] = rng.choice(levels, (n, m))
    return words | more


def sparse_layer(*arguments: Any, **words: Any) -> LinearLayer:
    return LinearLayer(*arguments, storage="sparse", **words)


def pair(**words: Any) -> tuple[LinearLayer, LinearLayer]:
    """The same layer in both storages."""
    words = words_of(**words)
    sparse = LinearLayer.from_dict(words | {"storage": "sparse"})
    assert sparse.sources is not None
    dense = LinearLayer.from_dict(words | {"storage": "dense"})
    assert dense.sources is None
    return dense, sparse


def at(layer: LinearLayer, matrix: Tensor) -> Tensor:
    """The entries of a matrix (output_dim, input_dim) at the connections."""
    return matrix[layer.targets.long(), layer.sources.long()]


def assert_same(dense: LinearLayer, sparse: LinearLayer) -> None:
    close = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(sparse.weight, at(sparse, dense.weight), **close)
    torch.testing.assert_close(sparse.bias, dense.bias, **close)
    effective = torch.from_numpy(sparse.matrix().toarray())
    torch.testing.assert_close(effective, dense.effective_weight.detach(), **close)


def inputs(n: int, *shape: int) -> Tensor:
    return torch.randn(*shape, n, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("dale", "plasticity", "name"), [*itertools.product(DALES, PLASTICITY, OPTIMIZERS)]
)
def test_training_agrees_with_dense_storage(dale: str, plasticity: str, name: str) -> None:
    """Values, gradients, what clipping sees, and the constraints after every step."""
    layers = pair(dale=dale, plasticity=plasticity)
    dense, sparse = layers
    starts = [{"weight": layer.weight.detach().clone()} for layer in layers]
    optimizers = [OPTIMIZERS[name](layer.parameters()) for layer in layers]
    for layer, optimizer in zip(layers, optimizers, strict=True):
        attach(layer, optimizer)
    x = inputs(12, 7)
    for _ in range(6):
        outputs = [layer(x) for layer in layers]
        torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-5, atol=1e-5)
        for optimizer, output in zip(optimizers, outputs, strict=True):
            optimizer.zero_grad()
            (output - 1).square().mean().backward()
        assert sparse.weight.grad is not None
        assert dense.weight.grad is not None
        gradient = at(sparse, dense.weight.grad)
        torch.testing.assert_close(sparse.weight.grad, gradient, rtol=1e-5, atol=1e-5)
        norms = [nn.utils.clip_grad_norm_(layer.parameters(), 0.5) for layer in layers]
        torch.testing.assert_close(norms[0], norms[1], rtol=1e-5, atol=1e-6)
        for optimizer in optimizers:
            optimizer.step()
        checks = [verify(layer, start) for layer, start in zip(layers, starts, strict=True)]
        assert checks[0] == checks[1]
        assert not any(check.violations for check in checks[0])
    # Adam divides by the root of a square: gradients near 0 turn rounding into steps.
    torch.testing.assert_close(sparse.weight, at(sparse, dense.weight), rtol=1e-3, atol=1e-4)
    moved = (sparse.weight != starts[1]["weight"]).float().mean()
    assert moved > 0.2


@pytest.mark.parametrize("dale", DALES)
@pytest.mark.parametrize("balance", ["none", "row", "global", "nn4n"])
@pytest.mark.parametrize("radius", [None, 0.7])
def test_a_start_of_ones_own_agrees_with_dense_storage(
    dale: str, balance: str, radius: float | None
) -> None:
    layers = pair(n=10, m=10, dale=dale, ei_balance=balance, spectral_radius=radius)
    assert_same(*layers)
    assert layers[0].get_specs() == pytest.approx(layers[1].get_specs(), abs=1e-6)
    for layer in layers:
        layer.auto_rescale("weight")
        layer.set_weight(layer.matrix() if layer is layers[0] else layer.matrix().toarray())
    assert_same(*layers)


def test_specs_are_dense_storage_s_own() -> None:
    dense, sparse = (layer.get_specs() for layer in pair())
    assert list(dense) == list(sparse)
    assert [type(value) for value in dense.values()] == [type(v) for v in sparse.values()]
    positive = words_of(weight=np.ones((9, 12)), ei_mask=None)
    assert LinearLayer.from_dict(positive | {"storage": "sparse"}).get_specs()["weight_min"] == 0
    full = positive | {"sparsity_mask": np.ones((12, 9)), "storage": "sparse"}
    assert LinearLayer.from_dict(full).get_specs()["weight_min"] == 1


@given(st.integers(1, 5), st.integers(1, 5), st.floats(0, 1), st.integers(0, 99))
@settings(max_examples=60)
def test_every_wiring_in_every_form(n: int, m: int, density: float, seed: int) -> None:
    """Empty rows, empty columns and no connection at all are wirings too."""
    mask = np.random.default_rng(seed).random((n, m)) < density
    forms = [mask, wiring.from_matrix(mask), scipy.sparse.coo_array(mask.astype(float))]
    weight = np.arange(1.0, n * m + 1).reshape(m, n)
    for form in forms:
        for storage in ("sparse", "dense"):
            words = {"weight": weight, "sparsity_mask": form, "storage": storage}
            layer = LinearLayer.from_dict({"input_dim": n, "output_dim": m} | words)
            matrix = layer.matrix()
            whole = matrix.numpy() if storage == "dense" else matrix.toarray()
            np.testing.assert_array_equal(whole, np.where(mask.T, weight, 0))
            x = inputs(n, 2, 3)
            expected = x @ torch.from_numpy(whole).T + layer.bias
            torch.testing.assert_close(layer(x), expected)
            pre, post, values = layer.connections()
            np.testing.assert_array_equal(values, weight[post, pre])
            assert layer.get_specs()["n_connections"] == len(pre) == mask.sum()


def test_arrays_per_connection_are_the_matrix_s_entries() -> None:
    words = words_of(scale_groups=np.arange(108).reshape(12, 9) % 4, scale=[1, 2, 0.5, 0])
    wires = wiring.from_matrix(words["sparsity_mask"])
    words["ei_mask"] = np.repeat(words["ei_mask"][:, None], 9, axis=1)
    listed = dict(words) | {"weight": PerConnection(words["weight"][wires.targets, wires.sources])}
    for key in ("ei_mask", "plasticity_mask", "scale_groups"):
        listed[key] = PerConnection(words[key][wires.sources, wires.targets])
    for storage in ("dense", "sparse"):
        one, other = (LinearLayer.from_dict(w | {"storage": storage}) for w in (words, listed))
        for key, value in one.state_dict().items():
            if storage == "sparse" or key in ("weight", "bias", "scale", "connected"):
                assert torch.equal(value, other.state_dict()[key]), key
    listed["weight"] = PerConnection([1.0])
    with pytest.raises(ValueError, match=r"weight is \(1,\) per connection; expected"):
        LinearLayer.from_dict(listed | {"storage": "sparse"})
    with pytest.raises(ValueError, match="is per connection, but there is no sparsity_mask"):
        LinearLayer(3, 4, PerConnection([1.0]))


@pytest.mark.parametrize("scheme", [*SCHEMES])
def test_drawn_values_have_dense_storage_s_distribution(scheme: str) -> None:
    init = {"init": scheme} | ({"value": 0.3} if scheme == "constant" else {})
    words = {"input_dim": 300, "output_dim": 100, "weight": init, "seed": 4}
    words["sparsity_mask"] = np.random.default_rng(0).random((300, 100)) < 0.5
    if scheme == "orthogonal":
        with pytest.raises(ValueError, match="needs a whole matrix"):
            LinearLayer.from_dict(words | {"storage": "sparse"})
        return
    dense, sparse = (LinearLayer.from_dict(words | {"storage": s}) for s in ("dense", "sparse"))
    assert sparse.sources is not None
    values, expected = sparse.weight.detach(), at(sparse, dense.weight.detach())
    if scheme in ("zero", "constant", "identity"):
        torch.testing.assert_close(values, expected)
        return
    assert values.std().item() == pytest.approx(expected.std().item(), rel=0.02)
    assert values.mean().abs() < 0.02 * values.std()
    if "normal" not in scheme or scheme == "trunc_normal":
        assert values.max().item() == pytest.approx(expected.max().item(), rel=0.01)
    again = LinearLayer.from_dict(words | {"storage": "sparse"})
    assert torch.equal(values, again.weight)


def test_kaiming_s_arguments_reach_the_draw() -> None:
    init = {"init": "kaiming_normal", "mode": "fan_out", "nonlinearity": "relu"}
    mask = np.ones((400, 100))
    layer = sparse_layer(400, 100, init, sparsity_mask=mask, seed=1)
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / 100), rel=0.02)
    with pytest.raises(ValueError, match="did you mean 'gain'"):
        sparse_layer(4, 4, {"init": "identity", "gian": 2}, sparsity_mask=np.ones((4, 4)))


def test_signs_of_drawn_values() -> None:
    for dale_init, least in (("abs", 1.0), ("clamp", 0.3)):
        layer = sparse_layer(
            50,
            40,
            "normal",
            ei_mask=[1] * 40 + [-1] * 10,
            sparsity_mask=np.ones((50, 40)),
            dale_init=dale_init,
            seed=2,
        )
        assert layer.sign is not None
        assert ((layer.weight * layer.sign) >= 0).all()
        assert (layer.weight != 0).float().mean() >= least
    with pytest.raises(ValueError, match="never learn"):
        sparse_layer(3, 3, "zero", ei_mask=[1, 1, 1], sparsity_mask=np.eye(3), dale="abs")


def test_masks_come_back_as_sparse_arrays() -> None:
    dense, sparse = pair()
    assert dense.sparsity_mask is not None
    np.testing.assert_array_equal(sparse.sparsity_mask.toarray(), dense.sparsity_mask)
    here = sparse.sparsity_mask.toarray()
    np.testing.assert_array_equal(sparse.ei_mask.toarray(), dense.ei_mask.numpy() * here)
    np.testing.assert_array_equal(
        sparse.plasticity_mask.toarray(), dense.plasticity_mask.numpy() * here
    )
    again = sparse_layer(12, 9, sparsity_mask=sparse.sparsity_mask)
    assert torch.equal(again.sources, sparse.sources)
    assert again.ei_mask is again.plasticity_mask is None
    sparse.sparsity_mask.indices[:] = 0
    assert torch.equal(again.sources, sparse.sources)


def test_state_dict_and_copies() -> None:
    dense, sparse = pair()
    assert set(sparse.state_dict()) == {
        *("weight", "bias", "sign", "plasticity", "starts", "sources"),
    }
    x = inputs(12, 3)
    twin = copy.deepcopy(sparse)
    assert torch.equal(twin(x), sparse(x))
    double = copy.deepcopy(sparse).to(torch.float64)
    torch.testing.assert_close(double(x.double()).float(), sparse(x))
    other = LinearLayer.from_dict(words_of(seed=7) | {"storage": "sparse"})
    assert other.sources is not None
    wires = wiring.from_matrix(np.roll(words_of()["sparsity_mask"], 1, axis=0))
    rolled = sparse_layer(
        12, 9, ei_mask=[0] * 12, plasticity_mask=np.ones((12, 9)), sparsity_mask=wires
    )
    rolled.load_state_dict(sparse.state_dict())
    xs = [x.clone().requires_grad_() for _ in range(2)]
    for layer, each in ((rolled, xs[0]), (sparse, xs[1])):
        layer(each).square().sum().backward()
    torch.testing.assert_close(xs[0].grad, xs[1].grad)  # by the transposed pattern, made anew
    with pytest.raises(RuntimeError, match="size mismatch"):
        other.load_state_dict(sparse.state_dict())
    meta = copy.deepcopy(sparse).to("meta")
    assert meta.weight.is_meta
    assert all(f"n_connections={len(sparse.sources)}" in repr(each) for each in (meta, sparse))
    assert [each.storage for each in (sparse, dense, meta)] == ["sparse", "dense", "sparse"]


def test_freeze_and_plasticity_by_hand() -> None:
    dense, sparse = pair(scale_groups=np.zeros((12, 9)))
    for layer in (dense, sparse):
        layer(inputs(12, 3)).square().sum().backward()
        layer.apply_plasticity()
    assert dense.weight.grad is not None
    assert sparse.weight.grad is not None
    torch.testing.assert_close(sparse.weight.grad, at(sparse, dense.weight.grad))
    sparse.freeze()
    assert not any(p.requires_grad for p in sparse.parameters())
    sparse.unfreeze()
    assert all(p.requires_grad for p in sparse.parameters())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"sparsity_mask": None}, "sparse storage needs a sparsity_mask"),
        ({"sparsity_mask": np.ones((9, 12))}, "looks transposed"),
        ({"sparsity_mask": scipy.sparse.csr_array((9, 12))}, r"is \(9, 12\); expected"),
        ({"weight": np.ones((12, 9))}, "looks transposed"),
        ({"ei_mask": PerConnection([1, 1])}, r"ei_mask is \(2,\) per connection"),
        ({"plasticity_mask": np.full((12, 9), 2.0)}, "must lie in"),
        ({"storage": "spares"}, "did you mean 'sparse'"),
        ({"scale": 2.0}, "scale needs scale_groups"),
        ({"scale_groups": np.full((12, 9), 0.5)}, "whole numbers"),
        ({"scale_groups": np.full((12, 9), -1)}, "whole numbers"),
        ({"scale_groups": np.zeros((12, 9)), "scale": [-1.0]}, "must not be below 0"),
        ({"scale_groups": np.arange(108).reshape(12, 9), "scale": [1.0, 2.0]}, "expected a number"),
    ],
)
def test_what_is_refused(words: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LinearLayer.from_dict(words_of() | {"storage": "sparse"} | words)


@pytest.mark.parametrize(
    ("starts", "sources"),
    [
        ([0, 2], [0, 1]),  # too short
        ([1, 2, 2], [0, 1]),
        ([0, 2, 1], [0]),
        ([0, 3, 2], [0, 1]),
        ([0, 2, 2], [1, 0]),
        ([0, 2, 2], [0, 0]),
        ([0, 2, 2], [0, 3]),
        ([0, 2, 2], [-1, 0]),
    ],
)
def test_wirings_out_of_order_are_refused(starts: list[int], sources: list[int]) -> None:
    bad = wiring.Wiring(3, 2, np.array(starts, np.int32), np.array(sources, np.int32))
    with pytest.raises(ValueError, match="must"):
        sparse_layer(3, 2, sparsity_mask=bad)
    right = wiring.Wiring(3, 3, np.array([0, 2, 2, 3], np.int32), np.array([1, 2, 0], np.int32))
    assert len(sparse_layer(3, 3, sparsity_mask=right).sources) == 3


# Scales


@pytest.mark.parametrize("storage", ["dense", "sparse"])
@pytest.mark.parametrize("dale", DALES)
def test_scales_multiply_and_stay_above_zero(storage: str, dale: str) -> None:
    groups = np.add.outer(np.arange(12) % 2 * 2, np.arange(9) % 2)  # of two types on each side
    words = words_of(plasticity="none", dale=dale, scale_groups=groups, storage=storage)
    words["weight"] = {"value": words["weight"], "learn": False}
    layer, plain = (
        LinearLayer.from_dict(words),
        LinearLayer.from_dict(words | {"scale_groups": None}),
    )
    assert torch.equal(layer.effective_weight, plain.effective_weight)
    optimizer = optim.SGD([p for p in layer.parameters() if p.requires_grad], lr=0.5)
    attach(layer, optimizer)
    before = layer.weight.detach().clone()
    for _ in range(5):
        optimizer.zero_grad()
        (layer(inputs(12, 20)) - 5).square().mean().backward()
        optimizer.step()
        assert layer.scale is not None
        assert (layer.scale >= 0).all()
        assert not any(check.violations for check in verify(layer))
    assert torch.equal(layer.weight, before)
    assert (layer.scale != 1).all()
    assert layer.scale.min() == 0  # one was stopped
    pre, post, weight = layer.connections()
    expected = np.zeros((9, 12))
    raw = plain.matrix() if storage == "dense" else plain.matrix().toarray()
    expected[post, pre] = (
        layer.scale.detach().numpy()[groups[pre, post]] * np.asarray(raw)[post, pre]
    )
    np.testing.assert_allclose(weight, expected[post, pre], rtol=1e-6)
    specs = layer.get_specs()
    assert (specs["n_scales"], specs["scale_learnable"], specs["scale_min"]) == (4, True, 0)
    assert "scales=4" in repr(layer)


def test_scales_have_the_same_gradient_in_both_storages() -> None:
    groups = np.arange(108).reshape(12, 9) % 5
    for learn in (True, False):
        layers = pair(scale_groups=groups, scale={"value": 0.7, "learn": learn})
        for layer in layers:
            layer(inputs(12, 4)).square().sum().backward()
        dense, sparse = layers
        assert sparse.scale is not None
        assert dense.scale is not None
        assert (sparse.scale.grad is not None) == learn
        if learn:
            torch.testing.assert_close(sparse.scale.grad, dense.scale.grad)
        assert sparse.weight.grad is not None
        assert dense.weight.grad is not None
        torch.testing.assert_close(sparse.weight.grad, at(sparse, dense.weight.grad))


# In recurrent layers and networks


@pytest.mark.parametrize("formulation", ["current", "rate", "update"])
@pytest.mark.parametrize("kernel", ["fused", "reference"])
def test_recurrent_layers_agree_with_dense_storage(formulation: str, kernel: str) -> None:
    maps = {
        "input": words_of(5, 8, plasticity="none", seed=1),
        "recurrent": words_of(8, 8, dale="abs", seed=2),
    }
    found = []
    for storage in ("dense", "sparse"):
        words = {
            key: {k: v for k, v in each.items() if not k.endswith("_dim")} | {"storage": storage}
            for key, each in maps.items()
        }
        layer = CTRNNLayer(
            5,
            8,
            alpha={"value": [0.1 * i + 0.1 for i in range(8)], "learn": True},
            formulation=formulation,
            activation="tanh",
            noise=0.1,
            kernel=kernel,
            **words,
        )
        layer.set_step(0)
        x = inputs(5, 3, 6).requires_grad_()
        y = layer(x)
        y.square().sum().backward()
        found.append((layer, x, y))
    (dense, x, y), (sparse, x2, y2) = found
    assert sparse.recurrent.sources is not None
    close = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(y2, y, **close)
    torch.testing.assert_close(x2.grad, x.grad, **close)
    assert isinstance(dense.alpha, nn.Parameter)
    torch.testing.assert_close(sparse.alpha.grad, dense.alpha.grad, **close)
    for which in ("input", "recurrent"):
        one, other = getattr(sparse, which), getattr(dense, which)
        torch.testing.assert_close(one.weight.grad, at(one, other.weight.grad), **close)
        torch.testing.assert_close(one.bias.grad, other.bias.grad, **close)
    assert sparse.get_specs() == pytest.approx(dense.get_specs(), abs=1e-5)


@pytest.mark.parametrize("storage", ["dense", "sparse"])
def test_isolated_units_are_counted(storage: str) -> None:
    mask = np.zeros((5, 5))
    mask[0, 1] = mask[3, 3] = 1  # a connection of a unit with itself connects it with nothing
    recurrent = {"weight": {"init": "constant", "value": 2}, "sparsity_mask": mask}
    layer = CTRNNLayer(2, 5, alpha=0.5, recurrent=recurrent | {"storage": storage})
    specs = layer.get_specs()
    assert specs["isolated_units"] == 3
    assert specs["spectral_radius"] == 2
    assert CTRNNLayer(2, 5, alpha=0.5).get_specs()["isolated_units"] == 0


WEIGHT_TERMS: list[dict[str, Any]] = [
    {"type": "L1"},
    {"type": "L1", "reduction": "mean"},
    {"type": "L2"},
    {"type": "L2", "squared": True, "reduction": "mean"},
    {"type": "Lp", "p": 3, "reduction": "mean"},
    {"type": "Lp", "p": math.inf},
    {"type": "DaleLaw", "reference_weights": True},
    {"type": "DaleLawL2", "reference_weights": True},
    {"type": "DaleHinge", "reference_weights": True, "p": 2},
    {"type": "WeightsDistance", "reference_weights": True},
    {"type": "WeightsDistance", "reference_weights": True, "p": 2, "reduction": "mean"},
    {"type": "ExcRatioTargetRegularization"},
    {"type": "InhRatioTargetRegularization"},
]


def networks(**words: Any) -> tuple[Network, Network]:
    dense, sparse = pair(**words)
    return Network({"map": dense}, input_dim=12), Network({"map": sparse}, input_dim=12)


@pytest.mark.parametrize("term", WEIGHT_TERMS, ids=lambda t: "-".join(map(str, t.values())))
@pytest.mark.parametrize("dale", ["project", "abs"])
def test_regularizers_are_the_same_number_in_both_storages(term: dict[str, Any], dale: str) -> None:
    reference = np.random.default_rng(5).normal(size=(9, 12))
    reference *= words_of()["sparsity_mask"].T  # off the pattern there is nothing to agree on
    found = []
    for network in networks(dale=dale, scale_groups=np.arange(108).reshape(12, 9) % 3, scale=0.5):
        words = dict(term)
        if "reference_weights" in words:
            words["reference_weights"] = [reference]
        kind = REGULARIZATIONS[words.pop("type")]
        one = kind.from_dict(words, NamedParameters(network, ["map.weight"]))
        value = one()
        value.backward()
        layer = network.get_submodule("map")
        found.append((value.detach(), layer))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-5, atol=1e-6)
    dense, sparse = found[0][1], found[1][1]
    expected = at(sparse, dense.weight.grad)
    torch.testing.assert_close(sparse.weight.grad, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(sparse.scale.grad, dense.scale.grad, rtol=1e-4, atol=1e-5)


def test_references_per_connection_and_off_the_pattern() -> None:
    _, network = networks()
    layer = network.get_submodule("map")
    assert isinstance(layer, LinearLayer)
    whole = torch.randn(9, 12, generator=torch.Generator().manual_seed(0))
    kind, params = REGULARIZATIONS["WeightsDistance"], NamedParameters(network, ["map.weight"])
    terms = [kind(params, reference_weights=[each]) for each in (whole, at(layer, whole))]
    assert torch.equal(terms[0](), terms[1]())
    assert terms[0]() == (layer.weight - at(layer, whole)).abs().sum()
    with pytest.raises(ValueError, match=r"has shape \(3,\)"):
        kind(params, reference_weights=[torch.ones(3)])


def test_drawn_references_are_of_the_presynaptic_units() -> None:
    _, network = networks(ei_mask=None)
    layer = network.get_submodule("map")
    assert isinstance(layer, LinearLayer)
    params = NamedParameters(network, ["map.weight"])
    term = REGULARIZATIONS["DaleLaw"](params, inh_ratio=0.25, rho=1.0)
    (signs,) = term.reference_weights
    assert torch.equal(signs, torch.where(layer.sources < 3, -1.0, 1.0))
    (some,) = REGULARIZATIONS["DaleLaw"](params, rho=0.5).reference_weights
    assert int(some.count_nonzero()) == math.floor(len(some) / 2 + 0.5)


def test_a_matrix_norm_needs_a_matrix() -> None:
    dense, sparse = networks()
    words = {"type": "L2", "norm": "matrix"}
    RegularizationList.from_dict([words], NamedParameters(dense, ["map.weight"]))
    with pytest.raises(ValueError, match=r"map\.weight is stored for its connections alone"):
        RegularizationList.from_dict([words], NamedParameters(sparse, ["map.weight"]))


def test_a_regularizer_reaches_the_scales_of_a_weight_that_does_not_learn() -> None:
    weight = {"value": np.ones((9, 12)), "learn": False}
    for network in networks(weight=weight, ei_mask=None, scale_groups=np.zeros((12, 9))):
        term = REGULARIZATIONS["L1"](NamedParameters(network, ["map.weight"]))
        term().backward()
        layer = network.get_submodule("map")
        assert isinstance(layer, LinearLayer)
        assert layer.scale is not None
        assert layer.scale.grad == layer.get_specs()["n_connections"]


def test_a_network_s_effective_weights() -> None:
    plain, raw, scaled = (
        networks(**words)[1] for words in ({}, {"dale": "abs"}, {"scale_groups": np.zeros((12, 9))})
    )
    assert plain.effective_weights() == {}
    for network in (raw, scaled):
        ((name, value),) = network.effective_weights().items()
        assert name == "map.effective_weight"
        assert torch.equal(value, network.effective_parameter("map.weight"))


@pytest.mark.parametrize("use_buffers", [False, True])
def test_averages_can_be_made_before_the_first_forward_pass(use_buffers: bool) -> None:
    layer = LinearLayer.from_dict(words_of(5, 8, storage="sparse", seed=1))
    start = {name: value.clone() for name, value in layer.state_dict().items()}
    averaged = AveragedModel(layer, use_buffers=use_buffers)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    attach(layer, optimizer)
    for _ in range(3):
        optimizer.zero_grad()
        layer(inputs(5, 4)).square().sum().backward()
        optimizer.step()
        averaged.update_parameters(layer)
    assert not [check for check in verify(averaged.module, start) if check.violations]
    assert not torch.equal(averaged.module.weight, layer.weight)
    assert torch.isfinite(averaged(inputs(5, 4))).all()
