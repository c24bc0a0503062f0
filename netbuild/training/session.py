"""Train a spec into a run directory: what `netbuild train` and `netbuild.train` do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from netbuild.builder import build, build_optimizer, build_task
from netbuild.check import Spec, load
from netbuild.errors import Exit, NetbuildError
from netbuild.tasks import Task
from netbuild.training.checkpoint import save_checkpoint
from netbuild.training.run import Run, RunWriter, parameters_of, start_run
from netbuild.training.table import trial_table
from netbuild.training.trainer import Record, Trainer

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
    first step. Threads and determinism are the caller's: this records them and changes nothing of
    the process. Raises SpecError for a bad spec and NetbuildError when the loss diverges or the
    run cannot be written.
    """
    spec = spec if isinstance(spec, Spec) else load(spec)
    network = build(spec, device=device)
    place = next(network.parameters()).device
    own = build_task(spec) if task is None else task
    initial = parameters_of(network)
    training = spec.model.training
    optimizer = build_optimizer(training, network)
    trainer = Trainer(network, own, training, optimizer, seed=spec.model.seed)
    if watch_start is not None:
        watch_start(trainer)
    writer = start_run(spec, Path(out), network, place)
    try:
        for record in trainer.records():
            _write(record, writer, trainer, initial)
            if watch is not None:
                watch(record, trainer)
    except BaseException as error:  # a task's own mistake, say: the run does not go on
        writer.fail(error)
        raise
    finally:
        writer.close()
    return Run(writer.path, task)


def _write(
    record: Record, writer: RunWriter, trainer: Trainer, initial: Mapping[str, torch.Tensor]
) -> None:
    """Put a record where it belongs in the run directory; raises NetbuildError where that fails."""
    try:
        _put(record, writer, trainer, initial)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NetbuildError(f"cannot write {writer.path}: {reason}", Exit.IO) from None


def _put(
    record: Record, writer: RunWriter, trainer: Trainer, initial: Mapping[str, torch.Tensor]
) -> None:
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
            table = trial_table(trainer.network, trainer.evaluation(), trainer.training.loss)
            writer.write("evaluation/trials.parquet", table)
        best = trainer.evaluations[-1] if trainer.evaluations else {}
        writer.status(record.values["reason"], step=record.step, **best)
