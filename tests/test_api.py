"""The functions that train, open, resume, fork and reproduce runs."""

from __future__ import annotations

from pathlib import Path

import torch

import netbuild
from netbuild.tasks import Batch


def test_own_task_in_place_of_the_specs(small: Path, tmp_path: Path) -> None:
    class Zeros:
        def batch(self, step: int, size: int, rng: object) -> Batch:
            return Batch(torch.zeros(size, 5), torch.zeros(size, dtype=torch.long))

    run = netbuild.train(small, tmp_path / "runs", task=Zeros())
    assert run.final["accuracy"] == 1.0
    assert tuple(run.activity(7)["readout"].shape) == (7, 3)
    again = netbuild.open_run(run.path, Zeros())
    assert tuple(again.activity(7)["readout"].shape) == (7, 3)


def test_a_task_that_is_empty_like_a_list_is_still_the_task(small: Path, tmp_path: Path) -> None:
    class Zeros:
        def __len__(self) -> int:
            return 0

        def batch(self, step: int, size: int, rng: object) -> Batch:
            return Batch(torch.zeros(size, 5), torch.zeros(size, dtype=torch.long))

    assert netbuild.train(small, tmp_path / "runs", task=Zeros()).final["accuracy"] == 1.0
