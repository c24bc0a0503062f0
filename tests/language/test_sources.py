"""Who reads whom: widths, selections and signs travel along the layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks import layer_of, plan_of, said_of, spec_of
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from netbuild.builder import build
from netbuild.language.reserved import REGULARIZER_NAMES, RESERVED
from netbuild.language.sources import Sources
from netbuild.language.units import Units, units_of_areas
from netbuild.regularization import L1, RegularizationList
from netbuild.splits import round_half_up

A = "{name: a, type: linear, input_dim: 4, output_dim: 5, excitatory: 0.6}"


def read(units: Units) -> tuple[str, list[int], list[int] | None]:
    signs = units.signs
    return units.layer, units.indices.tolist(), None if signs is None else signs.tolist()


def test_a_layer_is_added_to_the_areas_that_are_known_without_a_copy_of_them() -> None:
    sources = Sources()
    areas = sources.areas
    first = units_of_areas("a", [("V1", 2, 0.5), ("V2", 2, 0.5)])
    second = units_of_areas("b", [("V2", 3, 0.5), ("V3", 3, 0.5)])
    sources.add("a", first)
    sources.add("b", second)
    assert sources.areas is areas
    assert areas == {"V1": first, "V2": first, "V3": second}


@given(st.integers(1, 40), st.floats(0, 1))
def test_the_first_units_are_excitatory(size: int, fraction: float) -> None:
    found = units_of_areas("a", [("", size, fraction)])
    assert found.size == size
    assert found.signs is not None
    excitatory = round_half_up(fraction, size)
    assert found.signs.tolist() == [1] * excitatory + [-1] * (size - excitatory)


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("a", ("a", [0, 1, 2, 3, 4], [1, 1, 1, -1, -1])),
        ("a.excitatory", ("a", [0, 1, 2], [1, 1, 1])),
        ("a.inhibitory", ("a", [3, 4], [-1, -1])),
        ("input", ("input", [0, 1, 2, 3], None)),
    ],
)
def test_selections(tmp_path: Path, source: str, reads: Any) -> None:
    text = f"layers: [{A}, {{name: b, type: linear, from: {source}, output_dim: 2}}]\n"
    assert read(layer_of(tmp_path, text).reads) == reads


def test_a_layer_reads_the_one_before_it(tmp_path: Path) -> None:
    text = f"layers: [{A}, {{name: b, type: linear, output_dim: 2}}]\n"
    plans = plan_of(tmp_path, text).layers
    assert read(plans["a"].reads) == ("input", [0, 1, 2, 3], None)
    assert plans["b"].reads is plans["a"].gives


def test_dropout_passes_units_and_signs_on(tmp_path: Path) -> None:
    text = f"""layers:
- {A}
- {{name: d, type: dropout, p: 0.5, from: a.inhibitory}}
- {{name: e, type: dropout, p: 0.5}}
- {{name: b, type: linear, output_dim: 2}}
"""
    plans = plan_of(tmp_path, text).layers
    assert read(plans["d"].gives) == ("d", [0, 1], [-1, -1])
    assert read(plans["b"].reads) == ("e", [0, 1], [-1, -1])


def test_any_reader_of_the_input_tells_its_width(tmp_path: Path) -> None:
    text = """layers:
- {name: d, type: dropout, p: 0.1}
- {name: a, type: linear, from: input, output_dim: 2}
- {name: b, type: linear, from: d, input_dim: 7, output_dim: 2}
"""
    plans = plan_of(tmp_path, text).layers
    assert [plan.reads.size for plan in plans.values()] == [7, 7, 7]


def test_large_layers_need_no_memory_to_be_told_apart(tmp_path: Path) -> None:
    text = """layers:
- {name: a, type: linear, input_dim: 1, output_dim: 1000000000000, excitatory: 0.5}
- {name: b, type: linear, from: a.excitatory, output_dim: 1}
"""
    assert [said.split(":")[0] for said in said_of(tmp_path, text)] == ["NB901 layers[a]"]


def test_a_layer_with_problems_hides_no_others(tmp_path: Path) -> None:
    text = """layers:
- {name: a, type: linear, input_dim: 4, output_dim: x}
- {name: b, type: linear, output_dim: 2}
- {name: c, type: linear, from: a, output_dim: 2}
- {name: d, type: linear, from: nowhere, output_dim: 2}
- {name: e, type: linear, from: b, input_dim: 3, output_dim: 2}
"""
    assert said_of(tmp_path, text) == [
        "NB103 layers[a].output_dim: expected a whole number, found the text `x`",
        "NB302 layers[d].from: no layer is named `nowhere`",
        "NB301 layers[e].input_dim: input_dim is 3, but `b` gives 2",
    ]


def test_the_names_that_are_reserved_are_those_in_use(tmp_path: Path) -> None:
    network = build(spec_of(tmp_path, f"layers: [{A}]\n"))
    used = {name for name in dir(network) if name[0].islower()} - {"a"}
    assert used <= RESERVED
    assert RESERVED - used == {"input"}  # what layers read, and no attribute
    listed = RegularizationList([L1([nn.Parameter(nn.init.ones_(network.a.bias))])])
    held = next(iter(listed._modules.values()))
    in_list = {name for name in dir(held) if name[0].islower()} - set(held._modules)
    assert in_list == REGULARIZER_NAMES


@pytest.mark.parametrize("name", sorted(RESERVED)[::9])
def test_reserved_names_are_refused(tmp_path: Path, name: str) -> None:
    text = f"layers: [{{name: {name}, type: linear, input_dim: 1, output_dim: 1}}]\n"
    assert said_of(tmp_path, text) == [
        f"NB303 layers[{name}].name: `{name}` is a name that a network already uses"
    ]


TASK = "task: {type: arrays, inputs: x.npy, targets: y.npy}\n"
FROZEN = "weight: {init: normal, learn: false}, bias: null"


@pytest.mark.parametrize(
    ("layers", "learns"),
    [
        (f"[{{name: a, type: linear, output_dim: 2, {FROZEN}}}]", False),
        ("[{name: a, type: linear, output_dim: 2, weight: {init: zero, learn: false}}]", True),
        ("[{name: d, type: dropout, p: 0.1}]", False),
        (
            "[{name: a, type: linear, output_dim: 2},"
            f" {{name: b, type: linear, output_dim: 2, {FROZEN}}}]",
            True,
        ),
        (
            "[{name: a, type: linear, output_dim: 2},"
            f" {{name: b, type: linear, from: input, output_dim: 2, {FROZEN}}}]",
            False,
        ),
    ],
)
def test_something_must_learn_where_there_is_a_task(
    tmp_path: Path, layers: str, learns: bool
) -> None:
    arrays = {"x": [[0.0, 1], [1, 0]], "y": [0, 1]}
    said = said_of(tmp_path, f"{TASK}layers: {layers}\n", **arrays)
    assert said == ([] if learns else ["NB308 layers: nothing that learns reaches the output"])
    text = layers.replace("output_dim: 2", "input_dim: 2, output_dim: 2")
    if "dropout" not in text:
        assert said_of(tmp_path, f"layers: {text}\n") == []


def test_two_layers_of_one_name_are_not_followed_in_a_circle(tmp_path: Path) -> None:
    text = """layers:
- {name: a, type: linear, output_dim: 2, weight: {init: normal, learn: false}, bias: null}
- {name: c, type: dropout, p: 0.1}
- {name: c, type: dropout, p: 0.1}
task: {type: arrays, inputs: x.npy, targets: y.npy}
training: {steps: 1, batch_size: 1}
"""
    found = said_of(tmp_path, text, x=np.zeros((4, 3)), y=np.zeros(4))
    assert [words.split(":")[0] for words in found] == ["NB308 layers", "NB303 layers[2].name"]


def test_of_two_layers_of_one_name_the_first_is_read(tmp_path: Path) -> None:
    text = """layers:
- {name: d, type: dropout, p: 0.2}
- {name: a, type: linear, input_dim: 4, output_dim: 3}
- {name: d, type: dropout, p: 0.2}
- {name: b, type: linear, from: d, output_dim: 3}
"""
    assert said_of(tmp_path, text) == ["NB303 layers[2].name: two layers are named `d`"]
