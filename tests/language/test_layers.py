"""The three types of layer: whose units they give, and how many."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from checks import plan_of, said_of

from netbuild.builder import LAYERS
from netbuild.language.layers import Layer

AREAS = "{V1: {size: 2, excitatory: 0.5}, PFC: {size: 3, excitatory: 1}}"


def test_every_type_of_the_language_has_a_class() -> None:
    kinds = get_args(get_args(Layer)[0])
    assert {get_args(kind.model_fields["type"].annotation)[0] for kind in kinds} == set(LAYERS)


def test_dropout_passes_on_the_units_that_it_reads(tmp_path: Path) -> None:
    text = f"""layers:
- {{name: h, type: ctrnn, input_dim: 2, alpha: 0.2, areas: {AREAS}}}
- {{name: d, type: dropout, p: 0.1, from: PFC}}
- {{name: out, type: linear, output_dim: 2}}
"""
    plans = plan_of(tmp_path, text).layers
    given = plans["d"].gives
    assert (given.layer, given.size, given.areas) == ("d", 3, ("PFC",))
    layer, units = plans["out"].reads.origin
    assert (layer, units.tolist()) == ("h", [2, 3, 4])
    signs = plans["out"].reads.signs
    assert signs is not None
    assert signs.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("", "NB102 layers[a]: the key `output_dim` is missing"),
        ("output_dim: 3, connectome: {edges: e.csv}", "NB301 layers[a].output_dim: output_dim is"),
    ],
)
def test_the_number_of_units_is_said_once(tmp_path: Path, keys: str, problem: str) -> None:
    (tmp_path / "e.csv").write_text("pre,post\nA,B\nB,A\n")
    text = f"layers: [{{name: a, type: linear, input_dim: 2, {keys}}}]\n"
    assert any(said.startswith(problem) for said in said_of(tmp_path, text))
