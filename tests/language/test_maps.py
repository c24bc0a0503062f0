"""Masks and matrices of maps: the right way round, from every source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checks import connected, map_of, plan_of, said_of

MASK = np.array([[1, 0, 1], [0, 1, 1]])  # 2 presynaptic, 3 postsynaptic units


def test_weights_are_as_torch_has_them(tmp_path: Path) -> None:
    weight = np.arange(6.0).reshape(3, 2)  # (output_dim, input_dim)
    for source in ("{file: w.npy, rows: post}", f"{{values: {weight.T.tolist()}}}"):
        found = map_of(tmp_path, f"weight: {source}", w=weight).weight
        assert found is not None
        assert found.dtype == np.float32
        assert np.array_equal(found, weight)
        assert found.flags["C_CONTIGUOUS"]


def test_biases(tmp_path: Path) -> None:
    for source in ("b.npy", "column.npy", "[1, 2, 3]", "{values: [1, 2, 3]}"):
        found = map_of(tmp_path, f"bias: {source}", b=[1, 2, 3], column=[[1], [2], [3]]).bias
        assert found is not None
        assert found.tolist() == [1, 2, 3]


def test_files_are_read_once(tmp_path: Path) -> None:
    text = "layers: [{name: a, type: linear, input_dim: 2, output_dim: 3, sparsity_mask: m.npy},"
    text += " {name: b, type: linear, from: input, output_dim: 3, sparsity_mask: m.npy}]\n"
    plans = plan_of(tmp_path, text, m=MASK).layers
    assert np.array_equal(connected(plans["a"].maps[""]), connected(plans["b"].maps[""]))


@pytest.mark.parametrize("value", [1e31, -1e300])
def test_numbers_beyond_single_precision_are_refused(tmp_path: Path, value: float) -> None:
    text = "layers: [{{name: a, type: linear, input_dim: 1, output_dim: 1, {}}}]\n"
    for words in ("weight: {rows: pre, file: w.npy}", "bias: w.npy"):
        assert said_of(tmp_path, text.format(words), w=[[value]])[0].startswith("NB205")
    for words in (f"bias: {value}", f"weight: {{init: normal, mean: {value}}}"):
        assert said_of(tmp_path, text.format(words))[0].startswith("NB104")
