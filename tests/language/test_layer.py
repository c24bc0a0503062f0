"""Layer types: each answers what every layer of the language is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from checks import plan_of, spec_of

from netbuild.builder import build
from netbuild.language.layer import AnyLayer
from netbuild.language.layers import Layer

LAYERS = """dt: 10
layers:
- {name: a, type: linear, input_dim: 3, output_dim: 4}
- {name: h, type: ctrnn, size: 5, tau: {value: 50, learn: true}, initial_state: {value: 0.1,
    learn: true}}
- {name: d, type: dropout, p: 0.1}
- {name: out, type: linear, output_dim: 2, bias: null}
"""


def test_every_type_of_layer_is_one_of_the_union() -> None:
    kinds: tuple[Any, ...] = get_args(get_args(Layer)[0])
    assert all(issubclass(kind, AnyLayer) for kind in kinds)
    assert {get_args(kind.model_fields["type"].annotation)[0] for kind in kinds} == {
        *("linear", "ctrnn", "dropout")
    }


def test_parameters_are_foreseen_as_the_network_has_them(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, LAYERS)
    network = build(spec, device="cpu")
    built = {name: tuple(value.shape) for name, value in network.named_parameters()}
    found: dict[str, Any] = {}
    for plan in spec.plan.layers.values():
        found |= plan.parameters()
    assert found == {name: shape for name, shape in built.items() if name != "out.bias"}


def test_maps_know_their_name_and_the_units_at_both_ends(tmp_path: Path) -> None:
    plans = plan_of(tmp_path, LAYERS).layers
    maps = {each.name: each for plan in plans.values() for each in plan.maps.values()}
    assert list(maps) == ["a", "h.input", "h.recurrent", "out"]
    assert maps["h.input"].reads is plans["a"].gives
    assert maps["h.recurrent"].reads is maps["h.recurrent"].gives
    assert (maps["out"].input_dim, maps["out"].output_dim) == (5, 2)


@pytest.mark.parametrize(
    ("name", "frozen", "learns"),
    [
        ("a", "weight: {init: normal, learn: false}", True),  # its bias does
        ("a", "weight: {init: normal, learn: false}, bias: null", False),
        ("a", "bias: {init: zero, learn: false}", True),
        ("d", "", False),
        ("h", "", True),
    ],
)
def test_layers_tell_whether_they_learn(
    tmp_path: Path, name: str, frozen: str, learns: bool
) -> None:
    text = LAYERS.replace(
        "output_dim: 4", f"output_dim: 4, {frozen}" if frozen else "output_dim: 4"
    )
    assert plan_of(tmp_path, text).layers[name].learns == learns
