"""A run goes on with the kernels that it was started with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from resuming import begun, recurrent, stopped_at

import netbuild
from netbuild.errors import Exit, NetbuildError


def edit_info(run: Path, **changes: Any) -> None:
    file = run / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_run_goes_on_with_the_kernel_that_it_was_started_with(tmp_path: Path) -> None:
    spec = recurrent(tmp_path, steps=8)
    assert netbuild.train(spec, tmp_path / "whole").about["kernels"] == {"hidden": "compiled"}
    run = begun(spec, tmp_path / "cut", stopped_at(4))
    edit_info(run, kernels={"hidden": "fused"})
    used = []
    netbuild.resume(run, watch=lambda _, trainer: used.append(trainer.network.kernels()))
    assert used
    assert all(kernels == {"hidden": "fused"} for kernels in used)


@pytest.mark.parametrize("kernels", [{"drop": "fused"}, {"hidden": "reference "}, {"": "fused"}])
def test_kernels_that_the_network_does_not_have_are_refused(
    tmp_path: Path, kernels: dict[str, str]
) -> None:
    run = begun(recurrent(tmp_path, steps=8), tmp_path / "cut", stopped_at(4))
    edit_info(run, kernels=kernels)
    with pytest.raises(NetbuildError, match=r"run\.json") as caught:
        netbuild.resume(run)
    assert caught.value.exit_code == Exit.RUN
