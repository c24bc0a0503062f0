"""Masks: signs, connections and plasticity, from files, from the spec and drawn."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks import connected, layer_of, map_of, said_of

from netbuild.language import load

MASK = np.array([[1, 0, 1], [0, 1, 1]])  # 2 presynaptic, 3 postsynaptic units
SQUARE = "layers: [{{name: a, type: linear, input_dim: 9, output_dim: 9, {}}}]\n"


@pytest.mark.parametrize(
    ("source", "array"),
    [
        ("m.npy", MASK),
        ("{file: m.npy, rows: pre}", MASK),
        ("{file: m.npy, rows: post}", MASK.T),
        (f"{MASK.tolist()}", MASK),
        (f"{{values: {MASK.T.tolist()}, rows: post}}", MASK),
        ("{file: m.npy, threshold: 0.5}", MASK * 0.9),
    ],
)
def test_sparsity_lies_from_pre_to_post(tmp_path: Path, source: str, array: Any) -> None:
    found = connected(map_of(tmp_path, f"sparsity_mask: {source}", m=array))
    assert found is not None
    assert found.dtype == bool
    assert np.array_equal(found, MASK)


@pytest.mark.parametrize("key", ["sparsity_mask", "ei_mask", "plasticity_mask", "weight"])
def test_a_matrix_from_a_file_is_copied_once(tmp_path: Path, key: str) -> None:
    """Beside the file's own bytes there is one copy, and what judging it takes: no second copy."""
    n = 1500
    map_of(
        tmp_path, f"{key}: {{file: m.npy, rows: post}}", m=np.ones((3, 2))
    )  # what is loaded once
    large = np.zeros((n, n), np.float32)
    large[::7] = 1
    np.save(tmp_path / "m.npy", large)
    spec = tmp_path / "large.yaml"
    layer = f"{{name: a, type: linear, input_dim: {n}, output_dim: {n}, {key}: "
    spec.write_text(f"netbuild: 1\nlayers:\n- {layer}{{file: m.npy, rows: post}}}}\n")
    tracemalloc.start()
    try:
        load(spec)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.6 * large.nbytes


@pytest.mark.parametrize(
    ("source", "signs"),
    [
        ("[2, -0.5]", [1, -1]),
        ("{units: [0, 1]}", [0, 1]),
        ("{excitatory: 0.5}", [1, -1]),
        ("v.npy", [1, -1]),
        ("c.npy", [1, -1]),
    ],
)
def test_signs_of_units(tmp_path: Path, source: str, signs: list[int]) -> None:
    found = map_of(tmp_path, f"ei_mask: {source}", v=[3.0, -1.0], c=[[3.0], [-1.0]]).signs
    assert found is not None
    assert found.tolist() == signs


def test_signs_of_connections(tmp_path: Path) -> None:
    found = map_of(tmp_path, "ei_mask: {file: m.npy, rows: post}", m=(MASK - 0.5).T).signs
    assert found is not None
    assert found.T.tolist() == (2 * MASK - 1).tolist()


def test_signs_of_the_population_that_is_read(tmp_path: Path) -> None:
    text = "layers: [{name: a, type: linear, input_dim: 1, output_dim: 4, excitatory: 0.5}, "
    text += "{name: b, type: linear, output_dim: 2}]\n"
    found = layer_of(tmp_path, text).maps[""]
    assert found.signs is not None
    assert found.signs.tolist() == [1, 1, -1, -1]


def test_plasticity(tmp_path: Path) -> None:
    found = map_of(tmp_path, "plasticity_mask: m.npy", m=MASK * 0.25).plasticity
    assert found is not None
    assert found.dtype == np.float32
    assert np.array_equal(found.T, MASK * 0.25)


@pytest.mark.parametrize(
    ("words", "connections"),
    [
        ("density: 0.25", 20),  # round-half-up(0.25 * 81)
        ("density: 0.25, self_connections: false", 18),
        ("density: 1, self_connections: false", 72),
        ("self_connections: false", 72),
        ("sparsity_mask: {generate: random, density: 0.5}", 41),
        ("sparsity_mask: {generate: fixed_indegree, connections: 3}", 27),
        ("sparsity_mask: {generate: fixed_indegree, connections: 8}, self_connections: false", 72),
    ],
)
def test_drawn_masks_have_exact_numbers(tmp_path: Path, words: str, connections: int) -> None:
    found = layer_of(tmp_path, SQUARE.format(words)).maps[""]
    assert int(connected(found).sum()) == connections
    if "self_connections" in words:
        assert not connected(found).diagonal().any()
    if "indegree" in words:
        assert set(connected(found).sum(0)) == {connections // 9}


def drawn(folder: Path, words: str, head: str = "", name: str = "a") -> Any:
    text = SQUARE.format(words).replace("name: a", f"name: {name}")
    found = layer_of(folder, head + text).maps[""]
    return connected(found).tolist()


def test_draws_follow_from_the_seeds(tmp_path: Path) -> None:
    half = "density: 0.5"
    assert drawn(tmp_path, half) == drawn(tmp_path, half)
    assert drawn(tmp_path, half) != drawn(tmp_path, half, head="seed: 1\n")
    assert drawn(tmp_path, half) != drawn(tmp_path, half, name="b")
    assert drawn(tmp_path, f"{half}, seed: 1") == drawn(tmp_path, half, head="seed: 1\n")
    own = "sparsity_mask: {generate: random, density: 0.5, seed: 1}"
    assert drawn(tmp_path, f"{own}, seed: 5") == drawn(tmp_path, half, head="seed: 1\n")


def test_a_drawn_plasticity_mask_is_not_the_wiring(tmp_path: Path) -> None:
    drawn = "{generate: random, density: 0.5}"
    words = f"sparsity_mask: {drawn}, plasticity_mask: {drawn}, self_connections: false"
    found = layer_of(tmp_path, SQUARE.format(words)).maps[""]
    assert found.plasticity is not None
    assert sorted(set(found.plasticity.reshape(-1))) == [0, 1]
    assert not np.array_equal(found.plasticity.T, connected(found))
    assert found.plasticity.sum() == 41  # the diagonal is not left out


def test_a_matrix_in_a_file_loses_its_diagonal_too(tmp_path: Path) -> None:
    words = "sparsity_mask: {file: m.npy, rows: pre}, self_connections: false"
    found = layer_of(tmp_path, SQUARE.format(words), m=np.ones((9, 9))).maps[""]
    assert np.array_equal(connected(found), 1 - np.eye(9))


def test_all_masks_of_a_layer_are_checked(tmp_path: Path) -> None:
    words = (
        "weight: no.npy, bias: [1], sparsity_mask: no.npy, plasticity_mask: no.npy, ei_mask: [1]"
    )
    text = f"layers: [{{name: a, type: linear, input_dim: 2, output_dim: 3, {words}}}]\n"
    assert len(said_of(tmp_path, text)) == 5
