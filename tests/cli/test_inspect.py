"""`netbuild inspect`: layers, parameters and constraints of a spec and of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import netbuild
from netbuild.durable import digest
from netbuild.runs.checkpoint import pack


def test_inspect_a_spec_and_a_run(cli: Any, small: Path, run: Any) -> None:
    result = cli("inspect", small)
    assert result.code == 0
    for word in ("hidden", "readout", "n_excitatory", "density", "frozen_fraction", "violations"):
        assert word in result.out
    found = json.loads(cli("inspect", run.path, "--format", "json").out)
    assert found["layers"]["hidden"]["n_connections"] == 30
    kinds = {(c["layer"], c["constraint"]): c["violations"] for c in found["constraints"]}
    assert kinds == {("hidden", "absent"): 0, ("readout", "sign"): 0, ("readout", "frozen"): 0}
    assert found["parameters"] == {
        "total": 111,
        "learnable": 70,
        "absent_or_frozen": 41,
        "fixed": 0,
    }


def test_a_run_is_what_it_is(cli: Any, run: Any) -> None:
    for command in ("inspect", "plot"):
        result = cli(command, run.path, "--set", "seed=3")
        assert result.code == 2
        assert "is a run" in result.err
    assert cli("inspect", run.path, "--device", "cuda:9").code == 10
    assert cli("inspect", run.path, "--device", "tpu").code == 2
    assert cli("inspect", "no-such-thing").code == 2


def test_inspect_counts_what_violates(cli: Any, run: Any) -> None:
    path = run.path / "initial.safetensors"
    shifted = {name: tensor + 1 for name, tensor in run.initial.items() if name.endswith("weight")}
    path.write_bytes(pack({**run.initial, **shifted}, {}))
    about = json.loads((run.path / "run.json").read_text())
    about["initial_sha256"] = digest(path.read_bytes())
    (run.path / "run.json").write_text(json.dumps(about))
    found = json.loads(cli("inspect", run.path, "--format", "json").out)
    (frozen,) = [c for c in found["constraints"] if c["constraint"] == "frozen"]
    assert frozen["violations"] == frozen["weights"] > 0
    with pytest.raises(netbuild.NetbuildError, match="violate") as caught:
        netbuild.open_run(run.path)
    assert caught.value.exit_code == 5
