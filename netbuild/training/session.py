"""Train a spec into a run directory: what `netbuild train` and `netbuild.train` do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from netbuild.builder import build, build_optimizer, build_task
from netbuild.check import Spec, load
from netbuild.errors import Exit, NetbuildError
from netbuild.tasks import ArraysTask, Task
from netbuild.training.checkpoint import save_checkpoint
from netbuild.training.run import Run, RunWriter, frozen_start, start_run
from netbuild.training.table import trial_table
from netbuild.training.trainer import Record, Trainer, evaluation_batch

Watcher = Callable[[Record, Trainer], None]


def train(
    spec: Spec | str | Path | Mapping[str, Any],
    out: str | Path = "runs",
    task: Task | None = None,
    *,
    device: str | None = None,
    watch: Watcher | None = None,
    watch_start: Callable[[Trainer], None] | None = None,
) -> Run:
    """Train a spec and return its run, written below `out`.

    `task` is any object with a `batch` method, in place of the spec's own. `watch` is called with
    every record and the trainer, whose `stop` it may set, `watch_start` with the trainer before its
    first step. Raises SpecError for a bad spec and
    NetbuildError when the loss diverges or the run cannot be written.
    """
    spec = spec if isinstance(spec, Spec) else load(spec)
    network = build(spec, device=device)
    place = next(network.parameters()).device
    own = task or build_task(spec)
    if isinstance(own, ArraysTask):
        own.to(place)
    initial = frozen_start(network)
    training = spec.model.training
    optimizer = build_optimizer(training, network)
    trainer = Trainer(network, own, training, optimizer, seed=spec.model.seed)
    writer = start_run(spec, Path(out), network, place)
    if watch_start is not None:
        watch_start(trainer)
    try:
        for record in trainer.records():
            _write(record, writer, trainer, initial)
            if watch is not None:
                watch(record, trainer)
    except NetbuildError as error:
        writer.status(
            "diverged" if error.exit_code == Exit.DIVERGED else "failed", error=str(error)
        )
        raise
    except OSError as error:
        raise NetbuildError(f"cannot write {writer.path}: {error.strerror}", Exit.IO) from None
    finally:
        writer.close()
    return Run(writer.path, task)


def _write(
    record: Record, writer: RunWriter, trainer: Trainer, initial: Mapping[str, torch.Tensor]
) -> None:
    """Put a record where it belongs in the run directory."""
    if record.kind in ("train", "evaluation"):
        writer.log(record.kind, record.step, record.values)
    elif record.kind == "checkpoint":
        state = {"step": record.step, "run": writer.about["id"], "evaluations": trainer.evaluations}
        save_checkpoint(
            writer.path / "checkpoints",
            trainer.network,
            trainer.optimizer,
            state,
            initial=initial,
            keep=trainer.training.checkpoint.keep,
        )
    else:
        if record.values["reason"] != "interrupted":
            table = trial_table(trainer.network, evaluation_batch(trainer), trainer.training.loss)
            writer.write("evaluation/trials.parquet", table)
        best = trainer.evaluations[-1] if trainer.evaluations else {}
        writer.status(record.values["reason"], step=record.step, **best)
