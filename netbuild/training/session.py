"""Train a spec into a run directory: what `netbuild train` and `netbuild.train` do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from netbuild.builder import (
    build,
    build_optimizer,
    build_regularizers,
    build_task,
    change_optimizer,
)
from netbuild.check import Spec, load
from netbuild.errors import Exit, NetbuildError
from netbuild.layers import Network
from netbuild.tasks import NeurogymTask, Prefetch, Task
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
    initial = parameters_of(network)
    optimizer = build_optimizer(spec.model.training, network)
    writer: RunWriter | None = None
    before: Trainer | None = None
    parts = list(_parts(spec))
    try:
        for name, part in parts:
            with _made_ahead(build_task(part) if task is None else task) as source:
                if name:
                    network.regularizers = build_regularizers(part, network).to(place)
                    change_optimizer(part.model.training, optimizer)
                trainer = _trainer(part, network, source, optimizer, before)
                if watch_start is not None:
                    watch_start(trainer)
                writer = writer or start_run(spec, Path(out), network, place)
                is_last = part is parts[-1][1]
                for record in _records(trainer, name, is_last=is_last):
                    _write(record, writer, trainer, initial)
                    if watch is not None:
                        watch(record, trainer)
                if record.kind == "end":
                    break
                before = trainer
    except BaseException as error:  # a task's own mistake, say: the run does not go on
        if writer is not None:
            writer.fail(error)
        raise
    finally:
        if writer is not None:
            writer.close()
    assert writer is not None
    return Run(writer.path, task)


def _parts(spec: Spec) -> Iterator[tuple[str, Spec]]:
    """The stages of a training by name, each as a whole spec; without stages the spec itself."""
    stages = spec.model.training.stages
    if not stages:
        yield "", spec
        return
    for words, stage in zip(stages, spec.stages, strict=True):
        yield words.name, stage


def _trainer(
    part: Spec,
    network: Network,
    task: Task,
    optimizer: torch.optim.Optimizer,
    before: Trainer | None,
) -> Trainer:
    """The trainer of one stage, which goes on where the one before it has ended."""
    training, seed = part.model.training, part.model.seed
    step = 0 if before is None else before.step
    trainer = Trainer(network, task, training, optimizer, seed=seed, step=step)
    trainer.stop = before is not None and before.stop
    return trainer


def _records(trainer: Trainer, stage: str, *, is_last: bool) -> Iterator[Record]:
    """A stage's records, with its name; the end of the training comes after the last one only."""
    for record in trainer.records():
        goes_on = record.kind == "end" and record.values["reason"] != "interrupted" and not is_last
        if goes_on:
            return
        if stage and record.kind in ("train", "evaluation"):
            record = replace(record, values={"stage": stage} | record.values)
        yield record


@contextmanager
def _made_ahead(task: Task) -> Iterator[Task]:
    """The task; trials that take a while to make are made by a process of their own."""
    if not isinstance(task, NeurogymTask):
        yield task
        return
    with Prefetch(task) as quick:
        yield quick


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
