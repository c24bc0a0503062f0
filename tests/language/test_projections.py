"""Projections: blocks of a map, each with its own mask, weights and draws."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checks import connected, plan_of, said_of, spec_of

from netbuild.builder import build
from netbuild.errors import SpecError
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


def test_projections_are_blocks_of_one_map(tmp_path: Path) -> None:
    text = one(
        AREAS + ", input: {bias: null, projections: [{from: input, to: V1}]}"
        ", recurrent: {weight: normal, self_connections: false, projections: ["
        "{from: V1, to: V1}, {from: V1.excitatory, to: PFC, density: 0.5, weight: 0.3},"
        "{from: PFC, to: V1.inhibitory, plasticity_mask: {generate: random, density: 0}}]}",
        size="",
    )
    layer = built(tmp_path, text)
    present, weight = layer.recurrent.sparsity_mask, layer.recurrent.weight.T.detach()
    assert present is not None
    assert present[:6, :6].sum() == 30  # all but itself
    assert present[:3, 6:].sum() == 6
    assert present[3:6, 6:].sum() == 0
    assert present[6:, 3:6].sum() == 12
    assert present[6:, :3].sum() == 0
    assert present[6:, 6:].sum() == 0
    assert set(weight[:3, 6:].flatten().tolist()) == {0.0, float(np.float32(0.3))}
    assert (weight[3:6] <= 0).all()
    frozen = layer.recurrent.plasticity_mask
    assert frozen is not None
    assert (frozen[6:, 3:6] == 0).all()
    assert (frozen[:6] == 1).all()
    assert layer.input.sparsity_mask is not None
    assert layer.input.sparsity_mask.sum(0).tolist() == [3] * 6 + [0] * 4


def test_a_projection_draws_what_it_would_draw_alone(tmp_path: Path) -> None:
    """Whatever other projections there are, and in which order."""
    first, second = "{from: V1, to: PFC, density: 0.5}", "{from: PFC, to: V1}"
    maps = [
        built(tmp_path, one(f"{AREAS}, recurrent: {{projections: [{listed}]}}", size="")).recurrent
        for listed in (first, f"{second}, {first}")
    ]
    assert torch.equal(maps[0].weight[6:, :6], maps[1].weight[6:, :6])


def test_density_is_exact_where_a_block_holds_some_self_connections(tmp_path: Path) -> None:
    text = one(
        f"{AREAS}, recurrent: {{self_connections: false, density: 0.5, "
        "projections: [{from: h, to: V1}]}",
        size="",
    )
    found = connected(plan_of(tmp_path, text).layers["h"].maps["recurrent"])
    assert found[:, :6].sum() == 27  # half of 60 - 6
    assert not found.diagonal().any()


def test_projections_that_overlap_are_told_before_they_take_memory(tmp_path: Path) -> None:
    whole = ", ".join(["{from: h, to: h, density: 0.5}"] * 500)
    text = one(f"recurrent: {{projections: [{whole}]}}", size="size: 400")
    tracemalloc.start()
    [said] = said_of(tmp_path, text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert said.startswith("NB308 layers[h].recurrent.projections[1]: some of these pairs")
    assert peak < 40e6  # and all their masks would be 80 MB


def test_no_connection_is_missed_where_a_projection_is_wrong(tmp_path: Path) -> None:
    text = one(f"{AREAS}, recurrent: {{projections: [{{from: V9, to: PFC}}]}}", size="")
    with pytest.raises(SpecError) as caught:
        spec_of(tmp_path, text)
    assert caught.value.warnings == ()


def test_the_spectral_radius_of_projections(tmp_path: Path) -> None:
    text = one(
        f"{AREAS}, recurrent: {{weight: normal, spectral_radius: 1.5, "
        "projections: [{from: V1, to: V1}, {from: V1, to: PFC}]}",
        size="",
    )
    weight = built(tmp_path, text).recurrent.effective_weight
    assert spectral_radius(weight) == pytest.approx(1.5, rel=1e-5)
