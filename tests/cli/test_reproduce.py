"""`netbuild reproduce`: the same bits are exit code 0, others are 5 and are named."""

from __future__ import annotations

import json
from typing import Any

import netbuild


def test_the_same_bits(cli: Any, run: netbuild.Run) -> None:
    result = cli("reproduce", run.path, "--quiet")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"{run.path}: the same bits (24 steps, ")
    found = json.loads(cli("reproduce", run.path, "--format", "json").out)
    assert found["same"] is True
    assert (found["run"], found["steps"]) == (str(run.path), 24)


def test_another_log_is_not_the_same(cli: Any, run: netbuild.Run) -> None:
    log = run.path / "metrics.jsonl"
    lines = log.read_text().splitlines()
    lines[0] = json.dumps({**json.loads(lines[0]), "loss": 0.125})
    log.write_text("\n".join(lines) + "\n")
    result = cli("reproduce", run.path, "--quiet")
    assert result.code == 5
    assert result.out.startswith(f"{run.path}: not the same; ")
    assert "loss" in result.out
