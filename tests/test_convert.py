"""Layer dictionaries become specs that build the same layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import netbuild
from netbuild.layers import LinearLayer


def struct() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "input_dim": 4,
        "output_dim": 3,
        "weight": rng.normal(size=(3, 4)),
        "bias": [0.1, 0.2, 0.3],
        "ei_mask": np.where(np.arange(4) < 3, 1, -1)[:, None].repeat(3, axis=1),
        "sparsity_mask": rng.integers(0, 2, size=(4, 3)),
        "plasticity_mask": rng.random(size=(4, 3)).astype(np.float32),
        "ei_balance": "nn4n",
        "dale_init": "clamp",
    }


def test_the_spec_builds_the_same_layer(tmp_path: Path) -> None:
    path = netbuild.save_spec({"layers": [struct()]}, tmp_path / "spec.yaml")
    network = netbuild.build(path)
    layer = LinearLayer.from_dict(struct())
    for name, value in layer.state_dict().items():
        assert torch.equal(value, network.layer1.state_dict()[name]), name
    assert (tmp_path / "spec_arrays" / "layer1_weight.npy").is_file()


def test_several_layers_names_and_other_keys(tmp_path: Path) -> None:
    layers = [
        {"name": "a", "input_dim": 4, "output_dim": 4, "weight": np.eye(4), "bias": None},
        {"input_dim": 4, "output_dim": 2, "weight": "normal", "activation": "relu"},
    ]
    path = netbuild.save_spec({"layers": layers, "seed": 5, "name": "old"}, tmp_path / "b.yaml")
    spec = netbuild.load(path)
    assert (spec.model.seed, spec.model.name) == (5, "old")
    network = netbuild.build(spec)
    assert torch.equal(network.a.weight, torch.eye(4))
    assert network.layer2.output_dim == 2


def test_what_from_dict_takes_is_taken(tmp_path: Path) -> None:
    words = {"input_dim": 2, "output_dim": 2, "weight": torch.nn.Parameter(torch.eye(2))}
    words["sparsity_mask"] = np.array([[0.3, -1.0], [0.0, 2.0]])
    fixed = {"input_dim": 2, "output_dim": 1, "weight": {"value": [[1.0, 2.0]], "learn": False}}
    network = netbuild.build(netbuild.save_spec({"layers": [words, fixed]}, tmp_path / "a.yaml"))
    assert network.layer1.sparsity_mask.tolist() == [[True, False], [False, True]]
    assert not network.layer2.weight.requires_grad
    assert network.layer2.weight.tolist() == [[1, 2]]


def test_what_does_not_load_leaves_nothing(tmp_path: Path) -> None:
    layers = [{"name": "../evil", "input_dim": 2, "output_dim": 2, "weight": np.eye(2)}]
    with pytest.raises((netbuild.SpecError, OSError)):
        netbuild.save_spec({"layers": layers}, tmp_path / "folder" / "a.yaml")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "no layers"),
        ([{"input_dim": 3}], "needs 'output_dim'"),
        ([{"input_dim": 3, "output_dim": 2, "wieght": "normal"}], "unknown key 'wieght'.*`weight`"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    tmp_path: Path, layers: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        netbuild.save_spec({"layers": layers}, tmp_path / "spec.yaml")
    assert not list(tmp_path.iterdir())
