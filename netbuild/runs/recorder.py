"""A training and its run directory: every record is put where it belongs, as it comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netbuild.errors import Exit, NetbuildError
from netbuild.language import Spec
from netbuild.layers import Network
from netbuild.results.table import trial_table
from netbuild.runs.checkpoint import Packed, pack_checkpoint, prune, write_checkpoint
from netbuild.runs.writer import RunWriter
from netbuild.tasks import Task
from netbuild.training.course import Happening, Point, follow, trained_on
from netbuild.training.trainer import Record, Trainer

TRIALS = "evaluation/trials.parquet"
Watcher = Callable[[Record, Trainer], None]


@dataclass
class Training:
    """A network in training: what it is trained on, and where the training stands."""

    spec: Spec
    network: Network
    optimizer: torch.optim.Optimizer
    initial: Mapping[str, Tensor]  # the parameters that it all started from
    task: Task | None = None  # in place of the spec's own
    point: Point = field(default_factory=Point)


def pack_training(training: Training, **state: Any) -> Packed:
    """A checkpoint of a training as it is now, as bytes; `state` is added to its state.json."""
    point = training.point
    seen = [split.to_data() for split in training.spec.plan.trained_on]
    if training.task is None:
        seen = trained_on(training.spec, point.stage)
    return pack_checkpoint(
        training.network,
        training.optimizer,
        point.to_data() | state,
        initial=training.initial,
        trained_on=seen,
    )


def carry_out(
    training: Training,
    open_writer: Callable[[], RunWriter],
    *,
    watch: Watcher | None = None,
    watch_start: Callable[[Trainer], None] | None = None,
) -> Path:
    """Train from the training's point to its end, into a run directory; returns its path.

    `open_writer` is called when the first step is all that is missing. `watch` is called with every
    record after it was written, `watch_start` with the trainer of each stage. Raises NetbuildError.
    """
    recorder: Recorder | None = None

    def begin(trainer: Trainer) -> None:
        nonlocal recorder
        if watch_start is not None:
            watch_start(trainer)
        recorder = recorder or Recorder(training, open_writer())
        recorder.trainer = trainer

    words = training.spec, training.network, training.optimizer, training.point
    try:
        with closing(follow(*words, task=training.task, begin=begin)) as course:
            for happening in course:
                assert recorder is not None
                recorder.put(happening)
                if watch is not None:
                    watch(happening.record, happening.trainer)
    except BaseException as error:  # a task's own mistake, say: the run does not go on
        if recorder is not None:
            recorder.fail(error)
        raise
    finally:
        if recorder is not None:
            recorder.writer.close()
    assert recorder is not None
    return recorder.writer.path


class Recorder:
    """Writes the records of one training into its run directory."""

    def __init__(self, training: Training, writer: RunWriter) -> None:
        self.training, self.writer = training, writer
        self._folder = writer.path / "checkpoints"
        self.trainer: Trainer | None = None  # of the stage in hand
        self._best: Packed | None = None  # the best state, until the next checkpoint is written

    def put(self, happening: Happening) -> None:
        """Put a record where it belongs; raises NetbuildError (exit 7) where that fails."""
        try:
            self._put(happening)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            what = f"cannot write {self.writer.path}: {reason}"
            raise NetbuildError(what, Exit.IO, "what was saved before is whole") from None

    def fail(self, error: BaseException) -> None:
        """Note how the training has ended, and tell what is left of it."""
        step = self.training.point.step if self.trainer is None else self.trainer.step
        self.writer.fail(error, step)
        saved = self.writer.about.get("step")
        if isinstance(error, NetbuildError) and error.exit_code == Exit.DIVERGED:
            last = (
                f"the last good checkpoint is of step {saved}"
                if saved
                else "there is no checkpoint"
            )
            error.hint = f"{last} in {self.writer.path}; {error.hint}".removesuffix("; ")

    def _put(self, happening: Happening) -> None:
        record = happening.record
        if record.kind in ("train", "evaluation"):
            self.writer.log(record.kind, record.step, record.values)
            if happening.is_best:
                self._best = self._packed()
        elif record.kind == "checkpoint":
            happening.trainer.saving = True
            self._save(happening.trainer.training.checkpoint.keep)
            happening.trainer.saving = False
        else:
            self._end(happening)

    def _packed(self) -> Packed:
        """The state as it is now, as bytes."""
        training = self.training
        writer = self.writer
        log = {"metrics": writer.logged, "metrics_sha256": writer.logged_hash.hexdigest()}
        return pack_training(training, run=writer.about["id"], **log)

    def _save(self, keep: int) -> None:
        """The best state that is not on the disk yet, then this one; older ones go.

        The log comes first: a checkpoint tells how long it was.
        """
        packed = self._packed()
        self.writer.sync()
        if self._best is not None and self._best.step != packed.step:
            write_checkpoint(self._folder, self._best)
        self._best = None
        write_checkpoint(self._folder, packed)
        self._prune(keep)
        self.writer.about["step"] = packed.step

    def _prune(self, keep: int) -> None:
        best = self.training.point.best
        prune(self._folder, keep, () if best is None else (best["step"],))

    def _end(self, happening: Happening) -> None:
        trainer = happening.trainer
        if happening.record.values["reason"] != "interrupted":
            table = trial_table(trainer.network, trainer.evaluation(), trainer.training.loss)
            self.writer.write(TRIALS, table)
            self._prune(trainer.training.checkpoint.keep)  # a kill may have come before
        self.writer.status(**end_of(happening, self.training.point))


def end_of(happening: Happening, point: Point) -> dict[str, Any]:
    """What `run.json` tells of the end of a training: how it came, and the scores."""
    record, seen = happening.record, happening.trainer.evaluations
    last: Mapping[str, Any] = seen[-1] if seen else {}
    best = {} if point.best is None else {"best": point.best}
    return {"status": record.values["reason"], "step": record.step, **last, **best}
