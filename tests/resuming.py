"""What tests of interrupted trainings share: runs that are cut, and what must be the same bits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import netbuild
from netbuild.results.run import Run
from netbuild.runs.checkpoint import checkpoints, open_checkpoint
from netbuild.runs.schema import without_nan
from netbuild.training import Record, Trainer

Watcher = Callable[[Record, Trainer], None]


class Killed(BaseException):
    """The process has ended, as far as the run can tell."""


def stopped_at(step: int) -> Watcher:
    """Asks the trainer to stop after a step that has a record, as a signal would."""

    def watch(record: Record, trainer: Trainer) -> None:
        if record.step >= step:
            trainer.stop = True

    return watch


def killed_at(step: int) -> Watcher:
    """Ends the training at the first record of a step, whatever was saved."""

    def watch(record: Record, trainer: Trainer) -> None:
        if record.step >= step:
            raise Killed

    return watch


def begun(
    spec: Any, out: Path, watch: Watcher, task: Any = None, device: str | None = None
) -> Path:
    """A run that `watch` cuts short; returns its folder."""
    before = set(out.glob("*/*")) if out.is_dir() else set()
    try:
        return netbuild.train(spec, out, task, device=device, watch=watch).path
    except Killed:
        (path,) = set(out.glob("*/*")) - before
        return path


def lines(run: Path) -> list[dict[str, Any]]:
    """The log without what the clock says."""
    text = (run / "metrics.jsonl").read_text()
    return [
        {key: value for key, value in json.loads(line).items() if key != "steps_per_second"}
        for line in text.splitlines()
    ]


def last_state(run: Path) -> dict[str, Any]:
    """The newest checkpoint: the digests of its tensors, and where the training stood."""
    found = open_checkpoint(checkpoints(run / "checkpoints")[-1])
    without = ("run", "metrics", "metrics_sha256")
    return {k: v for k, v in without_nan(found.state.model_dump()).items() if k not in without}


def assert_same(one: Run | Path, other: Run | Path) -> None:
    """Weights, optimizer, metrics and trials are the same bits."""
    first, second = (run.path if isinstance(run, Run) else run for run in (one, other))
    assert lines(first) == lines(second)
    assert last_state(first) == last_state(second)
    tables = [(run / "evaluation" / "trials.parquet").read_bytes() for run in (first, second)]
    assert tables[0] == tables[1]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the lock, which tells who had it last."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def recurrent(folder: Path, **training: Any) -> netbuild.Spec:
    """Noise, dropout, plasticity between 0 and 1, learnt alpha, signs, absence, regularizers."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 7, 3)).astype(np.float32)
    np.savez(folder / "trials.npz", x=x, y=(x[..., 0] > 0).astype(np.int64))
    np.save(folder / "plastic.npy", rng.choice([0.0, 0.3, 1.0], size=(8, 8)))
    spec: dict[str, Any] = {
        "netbuild": 1,
        "name": "cut",
        "seed": 5,
        "dt": 20,
        "task": {"type": "arrays", "file": "trials.npz", "inputs": "x", "targets": "y"},
        "layers": [
            {
                "name": "hidden",
                "type": "ctrnn",
                "size": 8,
                "excitatory": 0.75,
                "tau": {"value": 100, "learn": True},
                "noise": {"sigma": 0.2},
                "recurrent": {
                    "weight": "normal",
                    "density": 0.6,
                    "plasticity_mask": {"file": "plastic.npy", "rows": "pre"},
                },
            },
            {"name": "drop", "type": "dropout", "p": 0.3},
            {"name": "readout", "type": "linear", "output_dim": 2},
        ],
        "regularizers": [
            {"name": "rates", "type": "FiringRateL2", "layers": "hidden", "Lambda": 1e-3},
            {"name": "dale", "type": "DaleLawL2", "params": "hidden.recurrent.weight"},
        ],
        "training": {
            "steps": 30,
            "batch_size": 6,
            "log_every": 1,
            "evaluate": {"every": 4},
            "checkpoint": {"every": 7},
            "clip_grad_norm": 1.0,
        }
        | training,
    }
    if training.get("stages"):
        del spec["training"]["steps"]
    path = folder / "cut.yaml"
    path.write_text(json.dumps(spec))
    return netbuild.load(path)
