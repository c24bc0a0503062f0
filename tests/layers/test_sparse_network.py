"""Networks in sparse storage are told of, drawn, saved and analysed as in dense storage."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from checks import spec_of

from netbuild import plots
from netbuild.analysis import fixed_points, jacobians
from netbuild.builder import build
from netbuild.errors import NetbuildError
from netbuild.inspect import areas, summary
from netbuild.language import Spec
from netbuild.layers import LinearLayer, Network
from netbuild.results.maps import LabelledMap, labelled_maps, map_arrays
from netbuild.results.units import Units
from netbuild.runs.checkpoint import load_network, network_tensors, pack, unpack

SPEC = """\
seed: 1
dt: 20
layers:
  - name: brain
    type: ctrnn
    input_dim: 3
    tau: 100
    activation: tanh
    areas: {V1: {size: 6, excitatory: 0.5}, V2: {size: 4, excitatory: 0.75}}
    input: {weight: normal, density: 0.6}
    recurrent: {weight: normal, density: 0.4, self_connections: false}
  - {name: readout, type: linear, output_dim: 2, density: 0.5}
regularizers:
  - {name: small, type: L1, params: "*.weight", reduction: mean, Lambda: 0.1}
"""


def sparse_copy(layer: LinearLayer) -> LinearLayer:
    words: dict[str, Any] = {"weight": layer.weight, "bias": layer.bias, "ei_mask": layer.ei_mask}
    words |= {"sparsity_mask": layer.sparsity_mask, "dale": layer.dale}
    return LinearLayer(layer.input_dim, layer.output_dim, storage="sparse", **words)


@pytest.fixture
def both(tmp_path: Path) -> tuple[Spec, Network, Network]:
    """A spec, its network, and the same in sparse storage."""
    spec = spec_of(tmp_path, SPEC)
    dense = build(spec, device="cpu")
    sparse = build(spec, device="cpu")
    for path in ("brain.input", "brain.recurrent", "readout"):
        parent, _, name = path.rpartition(".")
        setattr(sparse.get_submodule(parent), name, sparse_copy(dense.get_submodule(path)))  # type: ignore[arg-type]
    return spec, dense, sparse


def test_inspect_says_the_same(both: tuple[Spec, Network, Network]) -> None:
    spec, dense, sparse = both
    told = [summary(network) for network in (dense, sparse)]
    assert told[0]["constraints"] == told[1]["constraints"]
    assert {c["constraint"] for c in told[0]["constraints"]} == {"sign", "absent"}
    for path, specs in told[0]["layers"].items():
        assert told[1]["layers"][path] == pytest.approx(specs, rel=1e-5), path
    assert told[1]["regularizers"]["small"] == pytest.approx(told[0]["regularizers"]["small"])
    counts = [each["parameters"] for each in told]
    assert counts[0]["learnable"] == counts[1]["learnable"]
    absent = sum(c["weights"] for c in told[0]["constraints"] if c["constraint"] == "absent")
    assert counts[1]["total"] == counts[0]["total"] - absent
    rows = [areas(network, spec.plan.layers) for network in (dense, sparse)]
    assert len(rows[0]) == 6
    for one, other in zip(*rows, strict=True):
        assert one == pytest.approx(other)
    weight = dense.brain.recurrent.matrix()[6:, :6]
    (row,) = [r for r in rows[1] if (r["from"], r["to"]) == ("V1", "V2")]
    assert row["n_connections"] == int(weight.count_nonzero())
    assert row["n_excitatory"] == int((weight > 0).sum()) > 0
    assert row["mean_weight"] == pytest.approx(weight.abs().sum().item() / row["n_connections"])


def test_a_saved_network_is_read_again(both: tuple[Spec, Network, Network]) -> None:
    _, _, network = both
    other = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.5)
    data = pack(network_tensors(network), {"step": 0})
    load_network(other, unpack(data, "here"), "here")
    for name, value in network.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    layer = other.brain.recurrent
    layer.sources[0] = layer.sources[0] ^ 1
    with pytest.raises(NetbuildError, match=r"`brain\.recurrent\.sources` is not the mask"):
        load_network(other, unpack(data, "here"), "here")


def test_maps_and_figures_are_the_same(both: tuple[Spec, Network, Network]) -> None:
    spec, dense, sparse = both
    whole, parts = (labelled_maps(network, spec.plan.layers) for network in (dense, sparse))
    for name, one in parts.items():
        assert scipy.sparse.issparse(one.weight)
        np.testing.assert_array_equal(one.weight.toarray(), whole[name].weight)
    drawn = [plots.weights(maps).data for maps in (whole, parts)]
    for column, values in drawn[0].items():
        np.testing.assert_array_equal(drawn[1][column], values)
    values = [plots.eigenvalues(maps).data["real"] for maps in (whole, parts)]
    np.testing.assert_allclose(*values, atol=1e-6)
    arrays = map_arrays(parts)
    names = [f"brain.recurrent/{part}" for part in ("data", "indices", "indptr")]
    shape = arrays["brain.recurrent/shape"]
    again = scipy.sparse.csr_array(tuple(arrays[name] for name in names), shape=tuple(shape))
    np.testing.assert_array_equal(again.toarray(), whole["brain.recurrent"].weight)
    assert "brain.recurrent/weight" not in arrays
    layer = sparse.brain.recurrent
    for kind in ("weight", "dist"):
        assert layer.plot_layer(kind).axes


def test_large_sparse_maps_are_drawn_in_bins() -> None:
    count = 200_000
    places = np.arange(0, count, 5)
    shape, ones = (count, count), np.ones(len(places))
    weight = scipy.sparse.csr_array((ones, (places, places[::-1])), shape=shape)
    names = np.array([f"a_{i}" for i in range(count)])
    units = Units(names, np.full(count, ""), np.where(np.arange(count) % 2, 1, -1).astype(np.int8))
    one = LabelledMap(weight, np.zeros(count), None, units, units)
    _, data = plots.weights(one)
    assert len(data["weight"]) == 800 * 800
    assert data["weight"].sum() * 250**2 == pytest.approx(len(places))
    assert data["pre"][0] == "a_1"  # excitatory units come first
    whole = one._replace(weight=np.broadcast_to(0.0, shape))
    with pytest.raises(NetbuildError, match="200,000 units; at most") as caught:
        plots.eigenvalues(whole)
    assert "inspect" in str(caught.value.hint)


def rotations(radii: Any, angle: float) -> Any:
    """A sparse matrix whose eigenvalues are each radius times e^(i angle) and e^(-i angle)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return scipy.sparse.block_diag(
        [r * np.array([[cos, -sin], [sin, cos]]) for r in radii], format="csr"
    )


def test_the_largest_eigenvalues_of_a_large_sparse_map(monkeypatch: pytest.MonkeyPatch) -> None:
    radii = np.concatenate([np.linspace(2.0, 1.0, 30), np.full(600, 0.1)])
    count = 2 * len(radii)
    units = Units(np.arange(count).astype(np.str_), np.full(count, ""), np.zeros(count, np.int8))
    weight = scipy.sparse.csr_array(rotations(radii, 0.7))
    one = LabelledMap(weight, np.zeros(count), None, units, units)

    toarray = scipy.sparse.csr_array.toarray

    def small(self: Any) -> Any:
        assert self.shape[0] < count, "the whole was made dense"
        return toarray(self)

    monkeypatch.setattr(scipy.sparse.csr_array, "toarray", small)
    figure, data = plots.eigenvalues(one)
    expected = np.repeat(radii[:10], 2)
    found = np.hypot(data["real"], data["imaginary"])
    np.testing.assert_allclose(found, expected, rtol=2e-3)
    np.testing.assert_allclose(np.abs(data["imaginary"]), expected * np.sin(0.7), rtol=2e-3)
    assert (
        figure.axes[0].get_title() == f"spectral radius 2, dashed: 1\n20 of {count:,} eigenvalues"
    )
    chain = scipy.sparse.eye_array(count, k=1, format="csr")  # no cycle: all are 0
    _, data = plots.eigenvalues(one._replace(weight=chain))
    assert (data["real"].tolist(), data["imaginary"].tolist()) == ([0.0], [0.0])


@pytest.mark.parametrize("formulation", ["current", "rate", "update"])
def test_fixed_points_are_the_same(both: tuple[Spec, Network, Network], formulation: str) -> None:
    _, dense, sparse = both
    u = torch.tensor([0.3, -0.2, 0.5])
    states = torch.randn(12, 10, generator=torch.Generator().manual_seed(0))
    found = []
    for network in (dense, sparse):
        layer = network.brain
        layer.formulation = formulation
        found.append(fixed_points(layer, u, states))
        torch.testing.assert_close(
            jacobians(layer, u, states), jacobians(dense.brain, u, states), atol=1e-6, rtol=1e-6
        )
    assert len(found[0]) == len(found[1]) > 0
    torch.testing.assert_close(found[0].states, found[1].states, atol=1e-6, rtol=1e-6)
    assert found[0].stability == found[1].stability
