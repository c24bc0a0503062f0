"""What a run records of the programs and the machine that its bits depend on."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest
import torch
from resuming import begun, stopped_at

import netbuild
from netbuild.runs.provenance import environment, environment_changes

CPU = torch.device("cpu")
GO_NOGO = """\
netbuild: 1
name: gonogo
dt: 100
task: {type: neurogym, env: GoNogo-v0}
layers:
  - {name: readout, type: linear, output_dim: 2}
training: {steps: 4, batch_size: 2, evaluate: {every: 2, trials: 4}}
"""


def test_every_run_records_what_reads_its_files(small: Path) -> None:
    packages = environment(CPU, netbuild.load(small)).packages
    assert packages["polars"] == metadata.version("polars")
    assert packages["scipy"] == metadata.version("scipy")
    assert "neurogym" not in packages


def test_a_changed_neurogym_is_warned_of(tmp_path: Path) -> None:
    pytest.importorskip("neurogym")
    spec = tmp_path / "gonogo.yaml"
    spec.write_text(GO_NOGO)
    run = begun(spec, tmp_path / "runs", stopped_at(2))
    about = json.loads((run / "run.json").read_text())
    packages = about["environment"]["packages"]
    assert packages["gymnasium"] == metadata.version("gymnasium")
    packages["neurogym"] = "0.0.9"
    (run / "run.json").write_text(json.dumps(about))
    for again in (netbuild.reproduce, netbuild.resume):
        said: list[str] = []
        again(run, warn=said.append)
        now = metadata.version("neurogym")
        assert said == [f"the last bits may differ: packages.neurogym 0.0.9 then, {now} now"]


def test_a_package_that_was_not_recorded_is_no_change(small: Path) -> None:
    here = environment(CPU, netbuild.load(small))
    then = here.model_copy(update={"packages": {"torch": "1"}, "variables": {}})
    changes = {"packages": {"torch": "2", "scipy": "3"}, "variables": {"MKL_CBWR": "AVX2"}}
    assert environment_changes(then, here.model_copy(update=changes)) == [
        ("packages.torch", "1", "2"),
        ("variables.MKL_CBWR", None, "AVX2"),
    ]


def test_a_package_that_is_not_installed_has_no_version(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    assert environment(CPU, netbuild.load(small)).packages["netbuild"] is None
