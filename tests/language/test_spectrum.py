"""Spectral radii: what can be scaled builds, in either storage, and what cannot is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checks import said_of, spec_of
from hypothesis import given
from hypothesis import strategies as st

from netbuild.builder import build
from netbuild.errors import Exit, SpecError
from netbuild.language import load
from netbuild.language import spectrum as checks_of_spectrum
from netbuild.language.spectrum import (
    MOST_UNITS,
    _samples_have_cycle,
    has_likely_cycle,
)
from netbuild.layers import spectrum
from netbuild.wiring import from_matrix

HEAD = "layers: [{name: h, type: ctrnn, input_dim: 2, alpha: 0.5, "
FULL = "sparsity_mask: {values: [[1, 1, 1], [1, 1, 1], [1, 1, 1]], rows: pre}"


def text(recurrent: str, units: str = "size: 3") -> str:
    return f"{HEAD}{units}, recurrent: {{{recurrent}}}}}]\n"


@pytest.mark.parametrize("storage", ["dense", "sparse"])
@pytest.mark.parametrize(
    ("weight", "units"),
    [
        ("0", ""),
        ("{init: normal, std: 0}", ""),
        ("{init: normal, std: 0, mean: -0.2}, dale_init: clamp", ", excitatory: 1"),
        ("-0.1, dale_init: clamp", ", excitatory: 1"),
        ("{init: uniform, low: -0.3, high: -0.1}, dale_init: clamp", ", excitatory: 1"),
        ("{values: [[0, 1, 1], [0, 0, 1], [0, 0, 0]], rows: pre}", ""),
        ("{values: [[-1, -1, -1], [-1, -1, -1], [-1, -1, -1]], rows: pre}", ", excitatory: 1"),
        ("{values: [[1e-40, 0, 0], [0, 0, 0], [0, 0, 0]], rows: pre}", ""),
        ("0.1, ei_balance: row", ", excitatory: 0.34"),
    ],
)
def test_a_radius_of_0_is_refused_in_either_storage(
    tmp_path: Path, weight: str, units: str, storage: str
) -> None:
    words = f"weight: {weight}, storage: {storage}, {FULL}, spectral_radius: 0.9"
    said = said_of(tmp_path, text(words, f"size: 3{units}"))
    assert len(said) == 1
    assert said[0].startswith("NB308 layers[h].recurrent.spectral_radius: ")


@pytest.mark.parametrize("storage", ["dense", "sparse"])
def test_whatever_clamp_leaves_of_a_draw_builds(storage: str) -> None:
    """The weights are drawn again where a draw leaves no cycle of them."""
    recurrent = {"weight": "normal", "density": 0.2, "self_connections": False, "storage": storage}
    recurrent |= {"dale_init": "clamp", "spectral_radius": 0.5}
    layer = {"name": "h", "type": "ctrnn", "input_dim": 2, "alpha": 0.5, "size": 10}
    layer |= {"excitatory": 0.8, "recurrent": recurrent}
    specs = [{"netbuild": 1, "seed": seed, "layers": [layer]} for seed in range(10)]
    right = [load(spec) for spec in specs if _is_right(spec)]
    assert len(right) > 5  # the wiring is drawn too, and sometimes has no short cycle
    first = 0
    for spec in right:
        network = build(spec)
        assert spectrum.spectral_radius(network.h.recurrent.matrix()) == pytest.approx(
            0.5, rel=1e-3
        )
        assert not any(check.violations for check in network.verify())
        assert torch.equal(build(spec).h.recurrent.weight, network.h.recurrent.weight)
        first += _first_draw_will_do(spec)
    assert 0 < first < len(right)  # some had to be drawn again


def _is_right(spec: dict[str, Any]) -> bool:
    try:
        load(spec)
    except SpecError:
        return False
    return True


def _first_draw_will_do(spec: Any) -> bool:
    words = {**spec.data["layers"][0]["recurrent"], "spectral_radius": None}
    layer = {**spec.data["layers"][0], "recurrent": words}
    plain = build(load({"netbuild": 1, "seed": spec.model.seed, "layers": [layer]}))
    return spectrum.spectral_radius(plain.h.recurrent.matrix()) > 0


def test_a_long_ring_is_hardly_ever_left_by_clamp(tmp_path: Path) -> None:
    for size, fine in ((5, True), (6, False)):
        ring = np.roll(np.eye(size), 1, axis=1)
        words = "sparsity_mask: {file: ring.npy, rows: pre}, dale_init: clamp, spectral_radius: 1"
        said = said_of(tmp_path, text(words, f"size: {size}, excitatory: 1"), ring=ring)
        assert bool(said) != fine
        free = words.replace("clamp", "abs")
        assert said_of(tmp_path, text(free, f"size: {size}, excitatory: 1"), ring=ring) == []


def test_projections_are_drawn_again_as_one(tmp_path: Path) -> None:
    words = (
        "projections: [{from: A, to: B}, {from: B, to: A}], dale_init: clamp, spectral_radius: 1"
    )
    units = "areas: {A: {size: 1, excitatory: 1}, B: {size: 1, excitatory: 0}}"
    for seed in range(6):
        network = build(spec_of(tmp_path, f"seed: {seed}\n" + text(words, units)))
        assert network.h.get_specs()["spectral_radius"] == pytest.approx(1, rel=1e-3)


def test_what_only_building_finds_out_has_its_place(tmp_path: Path) -> None:
    """Weights that are almost equal have almost no radius under balance, which chance decides."""
    words = "weight: {init: uniform, low: 0.1, high: 0.10000001}, ei_balance: row"
    spec = spec_of(tmp_path, text(f"{words}, spectral_radius: 1", "size: 2, excitatory: 0.5"))
    with pytest.raises(SpecError) as caught:
        build(spec)
    [problem] = caught.value.problems
    assert caught.value.exit_code == Exit.SPEC
    assert problem.path == "layers[h].recurrent.spectral_radius"
    assert problem.place is not None
    assert problem.place.line == 2


@given(st.integers(1, 5), st.floats(0.05, 1), st.integers(0, 2**16))
def test_a_likely_cycle_is_found_where_there_is_one(n: int, most: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    chance = rng.random((n, n)) * most * (rng.random((n, n)) < 0.6)
    best, power = 0.0, chance
    for _ in range(n):  # products along walks of each length, of which the best are kept
        best = max(best, power.diagonal().max())
        power = (power[:, :, None] * chance[None]).max(axis=1)
    graph = from_matrix(chance)
    assert has_likely_cycle(graph, chance[graph.sources, graph.targets]) == (best >= 0.021)


@pytest.mark.parametrize(
    ("weight", "wrong"),
    [
        ("normal, dale_init: clamp", ""),
        ("-0.1", ""),
        ("-0.1, dale_init: clamp", "the weights that do not start at 0 form no cycle"),
        ("{init: normal, std: 0}", "the weights that do not start at 0 form no cycle"),
        ("normal, dale_init: clamp, density: 0", "the connections form no cycle"),
        (
            "{init: uniform, low: -1, high: 0.001}, dale_init: clamp",
            "`dale_init: clamp` sets drawn weights of the wrong sign to 0",
        ),
    ],
)
def test_maps_too_large_for_a_matrix_are_looked_at_by_their_connections(
    tmp_path: Path, weight: str, wrong: str
) -> None:
    density = "" if "density" in weight else ", density: 0.002"
    words = f"weight: {weight}{density}, storage: sparse, spectral_radius: 0.9"
    said = said_of(tmp_path, text(words, f"size: {MOST_UNITS + 100}, excitatory: 1"))
    assert [line.split(": ", 1)[1][: len(wrong)] for line in said] == ([wrong] if wrong else [])


def test_many_unlikely_cycles_make_a_likely_one() -> None:
    """Six layers in a ring: each single cycle is kept with 1.6 %, and nearly every draw has one."""
    count, layers = 20, 6
    blocks = np.zeros((count * layers,) * 2, bool)
    for layer in range(layers):
        after = (layer + 1) % layers
        rows = slice(layer * count, (layer + 1) * count)
        blocks[rows, after * count : (after + 1) * count] = True
    graph = from_matrix(blocks)
    chance = np.full(len(graph), 0.5)
    assert not has_likely_cycle(graph, chance)
    assert _samples_have_cycle(graph, chance)


def test_the_search_for_a_likely_cycle_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_of_spectrum, "MOST_STEPS", 10)
    ring = np.roll(np.eye(40, dtype=bool), 1, axis=1)
    assert has_likely_cycle(from_matrix(ring), np.full(40, 0.5))
