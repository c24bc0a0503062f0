"""What training needs before it begins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import netbuild
from netbuild.errors import Exit, NetbuildError
from netbuild.tasks import Batch

SPEC: dict[str, Any] = {
    "netbuild": 1,
    "layers": [{"name": "out", "type": "linear", "input_dim": 3, "output_dim": 2}],
    "training": {"steps": 2, "batch_size": 4},
}


class Own:
    """A task of somebody's own."""

    def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
        inputs = torch.from_numpy(rng.normal(size=(size, 3))).float()
        return Batch(inputs, torch.zeros(size, dtype=torch.long))


def test_a_spec_without_a_task_is_told_of_both_ways(tmp_path: Path) -> None:
    with pytest.raises(NetbuildError, match="the spec has no `task` to train on") as found:
        netbuild.train(SPEC, tmp_path)
    assert found.value.exit_code == Exit.SPEC
    assert "netbuild.train(spec, task=...)" in found.value.hint
    assert list(tmp_path.iterdir()) == []
    assert netbuild.train(SPEC, tmp_path, task=Own()).about["step"] == 2


@pytest.mark.parametrize(
    ("name", "copy"),
    [
        ("é" * 124 + "x.npz", "é" * 98 + ".npz"),  # 253 bytes; a letter of two is not cut in half
        ("n" * 251 + ".npz", "n" * 196 + ".npz"),
        ("n" * 200 + ".npz", "n" * 196 + ".npz"),
        ("n" * 196 + ".npz", "n" * 196 + ".npz"),
    ],
)
def test_a_data_file_may_have_the_longest_name(
    small: Path, tmp_path: Path, name: str, copy: str
) -> None:
    text = small.read_text()
    data = next(small.parent.glob("*.npz"))
    assert data.name in text
    data.rename(data.with_name(name))
    small.write_text(text.replace(data.name, name))
    run = netbuild.train(small, tmp_path / "runs")
    (kept,) = (run.path / "inputs").iterdir()
    assert kept.name[17:] == copy
    assert netbuild.load(run.path / "resolved.yaml").plan.task is not None


def test_two_runs_never_share_a_folder(small: Path, tmp_path: Path) -> None:
    spec = netbuild.load(small, ["training.steps=1"], unset=["training.checkpoint"])
    paths = {netbuild.train(spec, tmp_path / "runs").path for _ in range(3)}
    assert len(paths) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="a read-only folder for root is a file")
def test_where_nothing_can_be_written_is_told_before_training(small: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(NetbuildError, match="cannot write the run directory") as caught:
        netbuild.train(small, tmp_path / "runs")
    assert caught.value.exit_code == Exit.IO


def test_inputs_that_change_before_the_start_are_told(small: Path, tmp_path: Path) -> None:
    spec = netbuild.load(small)
    _ = spec.plan
    (tmp_path / "data.npz").write_bytes(b"else")
    with pytest.raises(NetbuildError, match="has changed") as caught:
        netbuild.train(spec, tmp_path / "runs")
    assert caught.value.exit_code == Exit.DATA
    assert not (tmp_path / "runs").exists()
