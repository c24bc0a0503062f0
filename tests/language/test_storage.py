"""Sparse and dense storage of one map: the same wiring, the same values, and which one is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checks import HEAD, connected, map_of, plan_of, said_of
from hypothesis import given
from hypothesis import strategies as st

from netbuild.builder import build
from netbuild.errors import Exit, SpecError
from netbuild.language import load
from netbuild.language.maps import Map
from netbuild.language.memory import (
    BYTES_PER_CONNECTION,
    BYTES_PER_UNIT,
    BYTES_PER_VALUE,
    BYTES_PER_WEIGHT,
)
from netbuild.language.storage import LEAST_PAIRS, MOST_DENSITY, wants_sparse

FLY = 139_255  # neurons of a fruit fly


@given(
    st.sampled_from(["auto", "dense", "sparse"]),
    st.sampled_from(["normal", "orthogonal", "identity"]),
    st.integers(1, 10**7),
    st.floats(0, 1),
)
def test_what_is_taken_goes_by_the_word_and_then_by_the_measured_crossover(
    storage: str, init: str, pairs: int, density: float
) -> None:
    words = Map.model_validate({"weight": {"init": init}, "storage": storage})
    connections = int(density * pairs)
    found = wants_sparse(words, pairs, connections)
    if storage == "auto":
        large = pairs >= LEAST_PAIRS and connections <= MOST_DENSITY * pairs
        assert found == (large and init == "normal")
    else:
        assert found == (storage == "sparse")


@pytest.mark.parametrize(
    "words",
    [
        "density: 0.4",
        "density: 0",
        "density: 1",
        "sparsity_mask: {generate: random, density: 0.5, seed: 4}",
        "sparsity_mask: {generate: fixed_indegree, connections: 1}",
        "sparsity_mask: {file: m.npy}",
        "sparsity_mask: {file: c.npy, threshold: 2}",
        "bias: null",
    ],
)
def test_sparse_storage_keeps_the_connections_of_dense_storage(tmp_path: Path, words: str) -> None:
    arrays = {"m": np.array([[0, 1, 1], [0, 0, 1]]), "c": np.array([[0, 1, 3], [5, 2, 4]])}
    dense = map_of(tmp_path, f"{words}, storage: dense", **arrays)
    sparse = map_of(tmp_path, f"{words}, storage: sparse", **arrays)
    assert not dense.connections.is_sparse
    assert sparse.connections.is_sparse
    np.testing.assert_array_equal(connected(dense), connected(sparse))


def test_arrays_of_connections_are_those_of_the_matrices(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    mask = np.array([[0, 1, 1], [1, 0, 1]])
    plastic, weight = rng.random((2, 3)), rng.normal(size=(2, 3))
    words = "sparsity_mask: m.npy, plasticity_mask: p.npy, weight: w.npy, storage: sparse"
    found = map_of(tmp_path, words, m=mask, p=plastic, w=weight)
    # By postsynaptic unit, then by presynaptic: (1, 0), (0, 1), (0, 2), (1, 2).
    assert found.connections.graph().sources.tolist() == [1, 0, 0, 1]
    assert found.connections.graph().targets.tolist() == [0, 1, 2, 2]
    for array, whole in ((found.plasticity, plastic), (found.weight, weight)):
        assert array is not None
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, [whole[1, 0], whole[0, 1], whole[0, 2], whole[1, 2]])


LAYER = "layers: [{{name: a, type: linear, input_dim: 5, output_dim: 5, {}}}]\n"
RECURRENT = "layers: [{{name: a, type: ctrnn, input_dim: 5, size: 5, alpha: 0.3, {}}}]\n"
WORDS = [
    "weight: w.npy, sparsity_mask: m.npy",
    "weight: 0.5, density: 0.4, self_connections: false",
    "weight: w.npy, sparsity_mask: m.npy, ei_mask: [1, -1, 0, 1, -1]",
    "weight: w.npy, sparsity_mask: m.npy, ei_mask: [1, -1, 0, 1, -1], dale: abs",
    "weight: w.npy, sparsity_mask: m.npy, ei_mask: [1, -1, 0, 1, -1], ei_balance: row",
    "weight: w.npy, sparsity_mask: m.npy, ei_mask: [1, -1, 0, 1, -1], ei_balance: global",
    "weight: w.npy, sparsity_mask: m.npy, ei_mask: s.npy, plasticity_mask: p.npy",
]


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("recurrent", [False, True])
def test_both_storages_compute_the_same(tmp_path: Path, words: str, recurrent: bool) -> None:
    rng = np.random.default_rng(1)
    arrays = {
        "w": rng.normal(size=(5, 5)),
        "m": rng.integers(0, 2, (5, 5)),
        "s": rng.integers(-1, 2, (5, 5)),
        "p": rng.random((5, 5)),
    }
    for name in arrays:
        words = words.replace(f"{name}.npy", f"{{file: {name}.npy, rows: pre}}")
        np.save(tmp_path / f"{name}.npy", arrays[name])
    values, gradients = [], []
    x = torch.from_numpy(rng.normal(size=(4, 6, 5))).float()
    for storage in ("dense", "sparse"):
        said = f"{words}, storage: {storage}"
        said = RECURRENT.format(f"recurrent: {{{said}}}") if recurrent else LAYER.format(said)
        (tmp_path / "spec.yaml").write_text(HEAD + said)
        network = build(load(tmp_path / "spec.yaml"), device="cpu")
        module: Any = network.a.recurrent if recurrent else network.a  # type: ignore[union-attr]
        assert (module.sources is not None) == (storage == "sparse")
        y = network(x)
        y.square().sum().backward()
        gradient = module.weight.grad
        if storage == "dense":
            gradient = gradient[module.connected if module.connected is not None else ...]
        values.append(y.detach())
        gradients.append(gradient.reshape(-1))
    torch.testing.assert_close(values[0], values[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=1e-4)


def test_a_map_that_is_too_large_for_a_matrix_is_never_made_one(tmp_path: Path) -> None:
    """12,000 units: the mask alone would be 144 MB; the same connections are drawn as pairs."""
    words = "name: a, type: linear, input_dim: 12000, output_dim: 12000, density: 0.0001"
    tail = ", plasticity_mask: {generate: random, density: 0.25}"
    (found,) = plan_of(tmp_path, f"layers: [{{{words}{tail}}}]\n").layers.values()
    plan = found.maps[""]
    assert plan.connections.is_sparse
    assert plan.connections.count == 14_400
    assert plan.plasticity is not None
    assert plan.plasticity.shape == (14_400,)
    assert plan.plasticity.sum() == 3_600
    assert set(np.unique(plan.plasticity)) == {0, 1}


BRAIN = (
    "layers: [{{name: brain, type: ctrnn, input_dim: 3, size: {}, alpha: 0.1,"
    " recurrent: {{{}}}}}]\n"
)


@pytest.mark.parametrize(
    "words", ["storage: dense", "storage: dense, density: 0.0008", "weight: 0"]
)
def test_a_matrix_of_the_size_of_a_fly_is_refused(tmp_path: Path, words: str) -> None:
    (tmp_path / "spec.yaml").write_text(HEAD + BRAIN.format(FLY, words))
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "spec.yaml", memory_limit=16 << 30)
    assert caught.value.exit_code == Exit.RESOURCES
    (problem,) = caught.value.problems
    assert problem.what.startswith("training needs 659.")
    assert problem.path == "layers[brain]"


def test_values_of_its_connections_alone_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(HEAD + BRAIN.format(FLY, "density: 1e-5"))
    spec = load(tmp_path / "spec.yaml", memory_limit=16 << 30)
    wiring = spec.plan.layers["brain"].maps["recurrent"].connections.wiring
    assert wiring is not None
    assert len(wiring) == round(1e-5 * FLY**2)


def test_the_limit_of_sparse_storage_is_exact(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(HEAD + LAYER.format("density: 0.4, storage: sparse"))
    needed = 10 * BYTES_PER_CONNECTION + 5 * BYTES_PER_VALUE + 10 * BYTES_PER_UNIT
    assert load(tmp_path / "spec.yaml", memory_limit=needed)
    for limit in (needed - 1, 0):
        with pytest.raises(SpecError):
            load(tmp_path / "spec.yaml", memory_limit=limit)
    assert BYTES_PER_CONNECTION < 2 * BYTES_PER_WEIGHT


def test_projections_in_sparse_storage_are_those_of_dense_storage(tmp_path: Path) -> None:
    text = (
        "layers: [{name: h, type: ctrnn, input_dim: 2, alpha: 0.1, areas: {A: {size: 2}, B:"
        " {size: 3}}, recurrent: {storage: STORAGE, projections: [{from: A, to: B, weight: 2},"
        " {from: B, to: B, weight: 3, density: 0.5, self_connections: false}]}}]\n"
    )
    weights = []
    for storage in ("dense", "sparse"):
        (tmp_path / "spec.yaml").write_text(HEAD + text.replace("STORAGE", storage))
        network: Any = build(tmp_path / "spec.yaml", device="cpu")
        layer = network.h.recurrent
        whole = layer.weight.detach()
        if storage == "sparse":
            whole = torch.zeros(5, 5)
            whole[layer.targets, layer.sources] = layer.weight.detach()
        weights.append(whole)
    assert torch.equal(*weights)
    assert (weights[0] == 2).sum() == 6
    assert (weights[0] == 3).sum() == 3


def test_a_matrix_norm_needs_a_matrix(tmp_path: Path) -> None:
    norm = "regularizers: [{type: L2, params: a.weight, norm: matrix}]\n"
    text = LAYER.replace("{}", "density: 0.4, storage: {}")
    assert said_of(tmp_path, text.format("dense") + norm) == []
    (said,) = said_of(tmp_path, text.format("sparse") + norm)
    assert said.startswith("NB305 regularizers[0].norm: `a.weight` keeps values of its connections")


@pytest.mark.parametrize("init", ["orthogonal", "identity"])
def test_some_inits_take_a_matrix(tmp_path: Path, init: str) -> None:
    text = LAYER.replace("{}", f"weight: {init}, density: 0.4, storage: {{}}")
    assert said_of(tmp_path, text.format("auto")) == []
    (said,) = said_of(tmp_path, text.format("sparse"))
    assert said.startswith(f"NB308 layers[a].weight: `{init}` needs a whole matrix")


def test_large_maps_without_self_connections_are_drawn_as_pairs(tmp_path: Path) -> None:
    """Unit i of a layer is taken for unit i of another of as many units."""
    words = "name: a, type: linear, input_dim: 11000, output_dim: 11000, density: 0.0001"
    text = f"layers: [{{{words}, self_connections: false}}]\n"
    (found,) = plan_of(tmp_path, text).layers.values()
    wiring = found.maps[""].connections.wiring
    assert wiring is not None
    assert (wiring.sources != wiring.targets).all()
    assert len(wiring) == round(0.0001 * 11_000 * 10_999)
