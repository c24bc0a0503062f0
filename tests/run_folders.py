"""Folders of runs that were never trained: a `run.json`, a checkpoint, a log and a lock."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

START = "2026-11-22T06:{:02d}:00.000+00:00"


def make_run(root: Path, number: int = 0, *, name: str = "small", **about: Any) -> Path:
    """A run's folder with a `run.json` and a checkpoint's state, and nothing that takes long."""
    path = root / name / f"20261122T06{number:02d}00Z-{number:04x}beef-{number:02x}ab"
    (path / "checkpoints" / "step-00000020").mkdir(parents=True)
    best = {"step": 20, "stage": 0, "metric": "accuracy", "value": 0.75}
    state = {"step": 20, "best": best, "evaluations": [{"loss": 0.5, "accuracy": 0.75}]}
    (path / "checkpoints" / "step-00000020" / "state.json").write_text(json.dumps(state))
    (path / "metrics.jsonl").write_text("")
    (path / ".lock").touch()
    whole = {
        "format": 1,
        "name": name,
        "spec_hash": f"{number:04x}beef00000000",
        "seed": number,
        "git": {"commit": f"{number:x}" * 40, "changed": bool(number % 2)},
        "started": START.format(number),
        "status": "finished",
        "step": 24,
        "loss": 1 / (number + 1),
        "accuracy": number / 10,
        "best": best | {"value": 0.9},
    }
    (path / "run.json").write_text(json.dumps(whole | about))
    rate = 10.0 ** -(number % 3)
    text = "layers:\n- name: hidden\n  type: linear\n  activation: {type: relu}\n"
    text += f"training:\n  lr: {rate!r}\n"
    (path / "resolved.yaml").write_text(text)
    return path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another holder of a run's lock."""
    descriptor = os.open(path / ".lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def listed(cli: Any, *arguments: object) -> list[dict[str, Any]]:
    result = cli("runs", *arguments, "--format", "json")
    assert (result.code, result.err) == (0, "")
    found: list[dict[str, Any]] = json.loads(result.out)
    return found
