"""What training needs before it begins."""

from __future__ import annotations

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
