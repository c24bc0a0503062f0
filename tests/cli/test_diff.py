"""`netbuild diff`: specs and runs by meaning, and where two trainings part."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netbuild


@pytest.fixture
def runs(small: Path, tmp_path: Path) -> list[netbuild.Run]:
    """Two runs of a spec that logs each step, the second with other data."""
    spec = small.read_text().replace("steps: 24", "steps: 24\n  log_every: 1")
    small.write_text(spec)
    first = netbuild.train(small, tmp_path / "runs")
    rng = np.random.default_rng(5)
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(60, 5)), y=rng.integers(0, 3, 60))
    return [first, netbuild.train(small, tmp_path / "runs")]


def test_specs_by_meaning(cli: Any, small: Path) -> None:
    other = small.parent / "other.yaml"
    other.write_text(cli("config", small, "--set", "seed=9", "--unset", "training.evaluate").out)
    same = cli("diff", small, small)
    assert (same.code, same.out) == (0, "no difference\n")
    found = cli("diff", small, other)
    assert found.code == 0
    assert found.out.splitlines() == [
        "spec",
        "  seed: 3 -> 9",
        "  training.evaluate.every: 8 -> (none)",
    ]
    records = json.loads(cli("diff", other, small, "--format", "json").out)
    assert records == {
        "spec": [
            {"path": "seed", "a": 9, "b": 3},
            {"path": "training.evaluate.every", "a": None, "b": 8},
        ],
        "inputs": [],
    }


def test_a_run_and_its_copy_are_the_same(cli: Any, small: Path, tmp_path: Path) -> None:
    one, two = (netbuild.train(small, tmp_path / name) for name in ("here", "there"))
    assert cli("diff", one.path, two.path).out == "no difference\n"
    records = json.loads(cli("diff", one.path, two.path, "--format", "json").out)
    assert records == {
        "spec": [],
        "inputs": [],
        "overrides": [],
        "environment": [],
        "metrics": [],
        "first_difference": None,
    }
    assert cli("diff", one.path, small).out == "no difference\n"


def test_other_inputs_are_told_by_digest_with_what_they_lead_to(
    cli: Any, small: Path, runs: list[netbuild.Run]
) -> None:
    out = cli("diff", runs[0].path, runs[1].path).out
    digests = [run.spec.files["task.file"].sha256[:16] for run in runs]
    assert out.startswith(f"inputs\n  task.file: sha256 {digests[0]} -> sha256 {digests[1]}\n")
    assert re.search(r"metrics\n  accuracy: .*\n  loss: ", out)
    assert "the logs differ first at step 1 (train)\n  accuracy: " in out
    other = cli("diff", runs[0].path, small).out
    assert other == f"inputs\n  task.file: sha256 {digests[0]} -> sha256 {digests[1]}\n"


def test_where_two_trainings_part(cli: Any, runs: list[netbuild.Run]) -> None:
    one = runs[0].path
    lines = (one / "metrics.jsonl").read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if json.loads(line)["step"] == 7)
    record = json.loads(lines[at])
    lines[at] = json.dumps(record | {"loss": 0.5, "steps_per_second": 1.0})
    two = runs[1].path
    for name in ("resolved.yaml", "run.json"):
        (two / name).write_bytes((one / name).read_bytes())
    for name in (one / "inputs").iterdir():
        (two / "inputs" / name.name).write_bytes(name.read_bytes())
    (two / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    assert cli("diff", one, two).out.splitlines() == [
        "the logs differ first at step 7 (train); they agree until step 6",
        f"  loss: {record['loss']} -> 0.5",
    ]
    found = json.loads(cli("diff", one, two, "--format", "json").out)
    assert found["metrics"] == []
    assert found["first_difference"] == {
        "step": 7,
        "kind": "train",
        "agreed_until": 6,
        "differences": [{"path": "loss", "a": record["loss"], "b": 0.5}],
    }


def test_overrides_and_environment(cli: Any, small: Path, tmp_path: Path) -> None:
    spec = netbuild.load(small, ["training.steps=12", "seed=4"])
    one, two = netbuild.train(small, tmp_path / "runs"), netbuild.train(spec, tmp_path / "runs")
    about = json.loads((two.path / "run.json").read_text())
    about["environment"]["threads"] = 77
    about["environment"]["packages"]["torch"] = "0.1"
    about["environment"]["argv"] = ["another"]
    (two.path / "run.json").write_text(json.dumps(about))
    out = cli("diff", one.path, two.path).out
    assert "overrides\n  --set: (none) -> [training.steps=12, seed=4]\nenvironment\n" in out
    threads = one.about["environment"]["threads"]
    assert f"  threads: {threads} -> 77\n" in out
    assert re.search(r"  packages\.torch: .* -> ['\"]?0\.1", out)
    assert "argv" not in out
    assert "  step: 24 -> 12\n" in out


def test_what_cannot_be_compared(cli: Any, small: Path, runs: list[netbuild.Run]) -> None:
    assert cli("diff", small, "gone.yaml").code == 3
    assert cli("diff", small, "no-such-run").code == 2
    (runs[0].path / "metrics.jsonl").write_text("{\n")
    result = cli("diff", runs[0].path, runs[1].path)
    assert (result.code, result.out) == (5, "")
    assert "metrics.jsonl" in result.err
