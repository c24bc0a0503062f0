"""Recurrent layers in a spec: areas, time constants, projections, the spectral radius."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checks import said_of, spec_of
from hypothesis import given, settings
from hypothesis import strategies as st

from netbuild.builder import build
from netbuild.layers import CTRNNLayer
from netbuild.layers.spectrum import spectral_radius

AREAS = "areas: {V1: {size: 6, excitatory: 0.5, tau: 20}, PFC: {size: 4, excitatory: 0.75}}"


def one(words: str, head: str = "dt: 10\n", **more: str) -> str:
    keys = {"size": "size: 5", "tau": "tau: 100"} | more
    listed = ", ".join(filter(None, (*keys.values(), words)))
    return f"{head}layers: [{{name: h, type: ctrnn, input_dim: 3, {listed}}}]\n"


def built(folder: Path, text: str, **arrays: Any) -> CTRNNLayer:
    layer = build(spec_of(folder, text, **arrays)).get_submodule("h")
    assert isinstance(layer, CTRNNLayer)
    return layer


def alphas(layer: CTRNNLayer) -> list[float]:
    alpha = layer.parameters_of_step().alpha
    return torch.as_tensor(alpha).expand(layer.size).tolist()


def test_time_constants_of_layer_areas_and_units(tmp_path: Path) -> None:
    assert alphas(built(tmp_path, one(""))) == pytest.approx([0.1] * 5)
    assert alphas(built(tmp_path, one("alpha: 0.25", "", tau=""))) == [0.25] * 5
    each = built(tmp_path, one("", tau="tau: [10, 20, 40, 50, 100]"))
    assert alphas(each) == pytest.approx([1, 0.5, 0.25, 0.2, 0.1])
    areas = built(tmp_path, one(AREAS, size=""))
    assert alphas(areas) == pytest.approx([0.5] * 6 + [0.1] * 4)
    assert areas.alpha.shape == (2,)
    file = built(tmp_path, one("", tau="tau: tau.npy"), tau=np.array([10.0, 20, 40, 50, 100]))
    assert alphas(file) == alphas(each)


def test_an_area_without_a_time_constant_has_those_of_the_layer_for_its_units(
    tmp_path: Path,
) -> None:
    areas = (
        "areas: {A: {size: 2, tau: [10, 20]}, B: {size: 1}, C: {size: 2}, D: {size: 1, tau: 50}}"
    )
    each = built(tmp_path, one(areas, size="", tau="tau: [1e9, 1e9, 100, 20, 40, 1e9]"))
    assert alphas(each) == pytest.approx([1, 0.5, 0.1, 0.5, 0.25, 0.2])
    same = built(tmp_path, one(areas, size="", tau="alpha: 0.3"))
    assert alphas(same) == pytest.approx([1, 0.5, 0.3, 0.3, 0.3, 0.2])
    [said] = said_of(tmp_path, one(areas, size="", tau="tau: [20]"))
    assert said == "NB201 layers[h].tau: the time constant is (1,); this layer expects (size=6,)"


@pytest.mark.parametrize("key", ["tau", "alpha"])
def test_the_smallest_leak_that_is_accepted_holds_in_training(tmp_path: Path, key: str) -> None:
    value = {"tau": 1e5, "alpha": 1e-4}[key]
    text = one("", tau=f"{key}: {{value: {value}, learn: true}}")
    network = build(spec_of(tmp_path, text))
    assert not any(check.violations for check in network.verify())
    least = {"tau": 1e15, "alpha": 1e-14}[key]
    network = build(spec_of(tmp_path, one("", tau=f"{key}: {least}")))
    assert network(torch.ones(1, 2, 3)).isfinite().all()


def test_what_learns_is_a_parameter(tmp_path: Path) -> None:
    text = one("initial_state: {value: 0.1, learn: true}", tau="tau: {value: 20, learn: true}")
    names = dict(built(tmp_path, text).named_parameters())
    assert names["alpha"].shape == ()
    assert names["initial_state"].shape == (5,)
    sums = "regularizers: [{type: L2, params: 'h.alpha'}, {type: L1, params: h.initial_state}]\n"
    spec = spec_of(tmp_path, text + sums)
    assert [plan.params for plan in spec.plan.regularizers] == [("h.alpha",), ("h.initial_state",)]
    assert build(spec).regularizers().item() == pytest.approx(0.5 + 0.5)


def test_the_signs_of_units_bind_the_recurrent_map_and_readers(tmp_path: Path) -> None:
    text = one("excitatory: 0.6, recurrent: {self_connections: false, density: 0.5}")
    layer = built(tmp_path, text)
    assert layer.recurrent.sign is not None
    assert layer.recurrent.sign[0].tolist() == [1, 1, 1, -1, -1]
    assert layer.recurrent.connected is not None
    assert int(layer.recurrent.connected.sum()) == 10
    assert not layer.recurrent.connected.diagonal().any()
    assert layer.input.sign is None


def test_areas_are_units_in_order_and_can_be_read(tmp_path: Path) -> None:
    text = f"""dt: 10
layers:
- {{name: h, type: ctrnn, input_dim: 3, tau: 100, {AREAS}}}
- {{name: a, type: linear, from: h.excitatory, output_dim: 2}}
- {{name: b, type: linear, from: V1, output_dim: 2}}
- {{name: c, type: linear, from: PFC.inhibitory, output_dim: 2}}
"""
    spec = spec_of(tmp_path, text)
    plans = spec.plan.layers
    assert plans["a"].reads.indices.tolist() == [0, 1, 2, 6, 7, 8]
    assert plans["b"].reads.indices.tolist() == [0, 1, 2, 3, 4, 5]
    assert plans["c"].reads.indices.tolist() == [9]
    x = torch.randn(2, 4, 3)
    network = build(spec).eval()
    result = network(x, return_activity=True)
    assert isinstance(result, tuple)
    _, activity = result
    for name in ("a", "b", "c"):
        read = activity["h"][..., plans[name].reads.indices.tolist()]
        torch.testing.assert_close(activity[name], network.get_submodule(name)(read))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (one("", size=""), "NB102 layers[h]: the key `size` is missing"),
        (one("", tau=""), "NB102 layers[h]: one of the keys `tau`, `alpha` is missing"),
        (one("alpha: 0.1"), "NB308 layers[h].alpha: `tau` and `alpha` say the same"),
        (one("", ""), "NB102 layers[h].tau: a time constant needs the spec's `dt`"),
        (one("", tau="tau: 5"), "NB104 layers[h].tau: a time constant of 5 ms is below dt, 10 ms"),
        (one("", tau="tau: 0"), "NB104 layers[h].tau: must be more than 0, found 0"),
        (one("", tau="alpha: 1.5"), "NB104 layers[h].alpha: must be at most 1, found 1.5"),
        (one("", tau="tau: {value: 2e5, learn: true}"), "NB104 layers[h].tau: alpha = dt / tau is"),
        (one("", tau="alpha: 1e-40"), "NB104 layers[h].alpha: 1e-40 is too near to 0"),
        (one("", tau="tau: 1e300"), "NB104 layers[h].tau: 1e+300 is beyond what a network"),
        (one("noise: 1e300"), "NB104 layers[h].noise.sigma: 1e+300 is beyond"),
        (one("initial_state: -1e300"), "NB104 layers[h].initial_state: -1e+300 is beyond"),
        (
            one("recurrent: {spectral_radius: 1e300}"),
            "NB104 layers[h].recurrent.spectral_radius: 1e+300 is beyond",
        ),
        (one("", "dt: -1\n"), "NB104 dt: must be more than 0"),
        (
            one("areas: {A: {size: 2, tau: 20}, B: {size: 2}}", size="", tau=""),
            "NB102 layers[h].areas.B: this area has no time constant",
        ),
        (one("", tau="tau: [20, 30]"), "NB201 layers[h].tau: the time constant is (2,)"),
        (one("initial_state: [1, 2]"), "NB201 layers[h].initial_state: the initial state is (2,)"),
        (
            one("input_noise: 0.1", tau="tau: [10, 20, 40, 50, 100]"),
            "NB308 layers[h].input_noise: this noise is scaled by one alpha",
        ),
        (one(AREAS, size="size: 11"), "NB301 layers[h].size: size is 11, but the areas have 10"),
        (
            one("areas: {V-1: {size: 2}}", size=""),
            "NB106 layers[h].areas.V-1: `V-1` does not fit here",
        ),
        (
            one("areas: {h: {size: 2}}", size=""),
            "NB303 layers[h].areas.h: `h` is the name of a layer",
        ),
        (
            one("areas: {A: {size: 2, tau: {value: 20, learn: true}}, B: {size: 2}}", size=""),
            "NB308 layers[h].areas: the time constants of some areas learn",
        ),
        (
            one("recurrent: {weight: zero, spectral_radius: 1}"),
            "NB308 layers[h].recurrent.spectral_radius: weights that start at 0",
        ),
        (
            one("recurrent: {weight: 0.1, spectral_radius: 1}, excitatory: 0.5", size="size: 4"),
            "NB308 layers[h].recurrent.spectral_radius: the spectral radius of these weights is 0",
        ),
        (
            one(f"{AREAS}, recurrent: {{spectral_radius: 1, weight: zero, "
                "projections: [{from: V1, to: V1}]}", size=""),
            "NB308 layers[h].recurrent.spectral_radius: weights that start at 0",
        ),
        (
            one(f"{AREAS}, recurrent: {{spectral_radius: 1, "
                "projections: [{from: V1, to: V1, weight: 0}, {from: V1, to: PFC}]}", size=""),
            "NB308 layers[h].recurrent.spectral_radius: the weights that do not start at 0 form no",
        ),
        (
            one("excitatory: 0, recurrent: {dale_init: clamp, spectral_radius: 1, "
                "weight: {init: uniform, low: 0.1, high: 0.2}}"),
            "NB308 layers[h].recurrent.spectral_radius: the weights that do not start at 0 form no",
        ),
        (
            one(f"{AREAS}, recurrent: {{projections: [{{from: h.V1, to: PFC}}]}}", size=""),
            "NB302 layers[h].recurrent.projections[0].from: `h.V1` names no units",
        ),
        (
            one(f"{AREAS}, input: {{projections: [{{from: h, to: PFC}}]}}", size=""),
            "NB302 layers[h].input.projections[0].from: this map reads `input`, not `h`",
        ),
        (
            one(f"{AREAS}, input: {{self_connections: false, "
                "projections: [{from: input, to: PFC}, {from: input, to: V1}]}", size=""),
            "NB308 layers[h].input.self_connections: this map reads other units than it reaches",
        ),
        (
            one("areas: {A: {size: 2, excitatory: 0.5}, B: {size: 2}}, recurrent: "
                "{projections: [{from: B, to: B, ei_balance: row}]}", size=""),
            "NB308 layers[h].recurrent.projections[0].ei_balance: there are no signs to balance",
        ),
        (
            one(f"{AREAS}, recurrent: {{spectral_radius: 1, projections: [{{from: V1, to: PFC}}]}}",
                size=""),
            "NB308 layers[h].recurrent.spectral_radius: the connections form no cycle",
        ),
        (
            one(f"{AREAS}, recurrent: {{projections: [{{from: V2, to: PFC}}]}}", size=""),
            "NB302 layers[h].recurrent.projections[0].from: `V2` is not an area of `h`",
        ),
        (
            one(f"{AREAS}, input: {{projections: [{{from: light, to: PFC}}]}}", size=""),
            "NB302 layers[h].input.projections[0].from: no channel of the input is named `light`",
        ),
        (
            one(f"{AREAS}, input: {{projections: [{{from: input.excitatory, to: V1}}]}}", size=""),
            "NB302 layers[h].input.projections[0].from: a network's inputs have no signs",
        ),
        (
            one(f"{AREAS}, recurrent: {{projections: [{{from: V1, to: h}}, "
                "{from: V1.excitatory, to: PFC}]}", size=""),
            "NB308 layers[h].recurrent.projections[1]: some of these pairs of units are in",
        ),
        (
            one(f"{AREAS}, recurrent: {{sparsity_mask: m.npy, "
                "projections: [{from: V1, to: V1}]}", size=""),
            "NB308 layers[h].recurrent.sparsity_mask: a map with `projections` cannot have one",
        ),
        (
            one(f"{AREAS}, recurrent: {{projections: [{{from: V1, to: V1}}, "
                "{from: PFC, to: PFC, weight: {init: normal, learn: false}}]}", size=""),
            "NB308 layers[h].recurrent.projections[1].weight: some projections learn",
        ),
        (
            one("") + "task: {type: arrays, inputs: x.npy, targets: y.npy}\n"
            "training: {steps: 1, batch_size: 1}\n",
            "NB301 layers[h]: a recurrent layer reads sequences",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, text: str, said: str) -> None:
    arrays = {"x": np.zeros((4, 3)), "y": np.zeros(4)}
    found = said_of(tmp_path, text, **arrays)
    assert [words[: len(said)] for words in found] == [said]


KINDS = st.sampled_from(["0.1", "-0.2", "zero", "identity", "{init: normal, mean: 0.5, std: 0}"])


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    weight=KINDS,
    size=st.integers(1, 4),
    excitatory=st.sampled_from(["", "excitatory: 0.5, ", "excitatory: 1, "]),
    dale=st.sampled_from(["project", "abs", "none"]),
    init=st.sampled_from(["abs", "clamp"]),
    balance=st.sampled_from(["none", "row", "global", "nn4n"]),
    own=st.booleans(),
    divided=st.booleans(),
)
def test_a_spectral_radius_that_is_accepted_is_reached(
    tmp_path_factory: pytest.TempPathFactory,
    weight: str,
    size: int,
    excitatory: str,
    dale: str,
    init: str,
    balance: str,
    own: bool,
    divided: bool,
) -> None:
    """And one that is refused is none that the layer could reach."""
    words = (
        f"weight: {weight}, dale: {dale}, dale_init: {init}, self_connections: {str(own).lower()}"
    )
    words += f", ei_balance: {balance}" if excitatory else ""
    words += ", projections: [{from: h, to: h}]" if divided else ""
    folder = tmp_path_factory.mktemp("radius", numbered=True)
    text = one(f"{excitatory}recurrent: {{{words}, spectral_radius: 1.5}}", size=f"size: {size}")
    said = said_of(folder, text)
    if not said:
        weights = built(folder, text).recurrent.effective_weight
        assert spectral_radius(weights) == pytest.approx(1.5, rel=1e-5)
    elif all("spectral" in words for words in said):
        free = built(folder, text.replace(", spectral_radius: 1.5", ""))
        assert spectral_radius(free.recurrent.effective_weight) < 1e-6


def test_many_units_need_no_memory_to_be_refused(tmp_path: Path) -> None:
    [said] = said_of(tmp_path, one("", size="size: 1000000000"))
    assert said.startswith("NB901")


@pytest.mark.parametrize("weight", ["uniform", "normal", "{init: normal, std: 0.1}"])
@pytest.mark.parametrize("density", [1.0, 0.5])
def test_the_radius_that_is_warned_of_is_about_that_of_the_weights(
    tmp_path: Path, weight: str, density: float
) -> None:
    words = f"excitatory: 0.9, recurrent: {{weight: {weight}, density: {density}}}"
    spec = spec_of(tmp_path, one(words, size="size: 300"))
    [warning] = [w for w in spec.warnings if w.code == "NB603"]
    told = float(warning.what.rsplit(" ", 1)[1])
    layer = build(spec).get_submodule("h")
    assert isinstance(layer, CTRNNLayer)
    assert told == pytest.approx(spectral_radius(layer.recurrent.weight), rel=0.1)
    for cure in ("ei_balance: row", "spectral_radius: 1"):
        text = one(words.replace("density", f"{cure}, density"), size="size: 300")
        assert not spec_of(tmp_path, text).warnings
