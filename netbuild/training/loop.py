"""The training loop: the stages of a training in order, as a stream of records.

A trainer changes its network, its optimizer and its progress, and nothing else. Signals, threads
and determinism belong to the caller, and files to the run directory.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self, cast

import torch
from torch import Tensor

from netbuild.builder import build_regularizers, build_task, change_optimizer
from netbuild.errors import Exit, NetbuildError
from netbuild.language import Spec
from netbuild.language.training import Training, selected_on
from netbuild.layers import Network
from netbuild.splits import Selection, TrialSet
from netbuild.streams import rng_of
from netbuild.tasks import (
    ArraysTask,
    Batch,
    NeurogymTask,
    Prefetch,
    Task,
    has_validation,
    unseen_trials,
    validation_trials,
)
from netbuild.training.guard import diverged
from netbuild.training.losses import answers, check_classes, score
from netbuild.training.optimizer_state import fit_state
from netbuild.training.progress import Progress, Scores
from netbuild.training.rules import rate_factor, should_stop, still_needed
from netbuild.training.step import BackPropagation, Learner

Stage = tuple[str, Spec]  # its name, "" for a training without stages, and its whole spec


@dataclass(frozen=True)
class Record:
    """What happened after `step` optimizer steps: "train", "evaluation", "checkpoint" or "end"."""

    kind: str
    step: int
    values: dict[str, Any] = field(default_factory=dict)
    is_best: bool = False  # whether this is the best evaluation so far


class Trainer:
    """Trains a network on a task. `records()` is the training; iterate over it to the end.

    `progress` says where the training stands, `steps` is the last step of the current stage. `stop`
    may be set at any time, for instance by a signal handler: then the current step is finished, and
    the last record says "interrupted". `saving` is true while the caller saves the state.

    Evaluations are of validation trials where the task has any, and else of test trials. Without
    `separate_test` they are of the trials that a task draws for both, as in runs of format 1.
    """

    def __init__(
        self,
        network: Network,
        task: Task,
        training: Training,
        optimizer: torch.optim.Optimizer,
        *,
        seed: int = 0,
        separate_test: bool = True,
    ) -> None:
        self.network, self.task, self.optimizer = network, task, optimizer
        self.training, self.seed = training, seed
        self.progress = Progress()
        self.steps = steps_of(training, task)
        self.stop = self.saving = False
        self.saves: Collection[int] = ()  # steps of checkpoints in addition to those that are due
        self.device = next(network.parameters()).device
        self.given_task: Task | None = task  # replaces the tasks of all stages
        self.learner: Learner
        self.spec: Spec | None = None
        self.stages: Sequence[Stage] = ()  # of `spec`
        self.separate_test = separate_test
        self._evaluated: TrialSet | None = None  # None: not known yet
        self._trials: dict[TrialSet, Batch] = {}
        self._outputs: dict[TrialSet, tuple[int, Tensor]] = {}  # a step, and the answers after it

    @classmethod
    def of(
        cls,
        spec: Spec,
        network: Network,
        optimizer: torch.optim.Optimizer,
        *,
        task: Task | None = None,
        progress: Progress | None = None,
        separate_test: bool = True,
    ) -> Self:
        """The training of a spec from `progress` on; `progress` is kept up to date.

        The network and the optimizer must have the state of that point. `task` replaces the spec's.
        """
        stages, progress = stages_of(spec), progress or Progress()
        if progress.ended and progress.stage + 1 < len(stages):
            progress.enter_next_stage()
        part = stages[progress.stage][1]
        source = build_task(part) if task is None else task
        seed, training = part.model.seed, part.model.training
        trainer = cls(network, source, training, optimizer, seed=seed, separate_test=separate_test)
        trainer.spec, trainer.stages, trainer.given_task = spec, stages, task
        trainer.progress = progress
        trainer.steps += progress.start
        return trainer

    def trained_on(self) -> list[dict[str, Any]]:
        """The splits of the samples that the weights have seen, also before this training.

        Nothing is known of the samples of a task that replaces the spec's.
        """
        if self.spec is None:
            return []
        seen = list(self.spec.plan.trained_on)
        if self.given_task is None:
            own = [part.plan.split for _, part in self.stages[: self.progress.stage + 1]]
            seen += [split for split in own if split is not None]
        return [split.to_data() for split in dict.fromkeys(seen)]

    @property
    def selected_on(self) -> Selection | None:
        """What the choices of this training are made on; None where it makes none."""
        if self.given_task is not None:
            on: Selection = "validation" if has_validation(self.given_task) else "test"
            trainings = [part.model.training for _, part in self.stages] or [self.training]
            return selected_on((training, on) for training in trainings)
        return selected_on((part.model.training, part.plan.selects_on) for _, part in self.stages)

    @property
    def step(self) -> int:
        """The number of optimizer steps taken."""
        return self.progress.step

    def records(self) -> Generator[Record]:
        """Train to the end, with a record for each logged step, evaluation and checkpoint.

        The state must be saved at each record "checkpoint" and at the last record, "end". Exhaust
        or close the iterator, since another process may be drawing the batches.

        Raises NetbuildError (exit 8) when the loss or the norm of the gradient is no longer finite;
        that step does not change the weights.
        """
        progress = self.progress
        while True:
            with self._prefetched():
                self._begin_stage()
                reason = progress.ended or (yield from self._stage())
                is_last = reason == "interrupted" or progress.stage + 1 >= len(self.stages)
                yield from self._saved("end" if is_last else "checkpoint", reason)
            if is_last:
                return
            progress.enter_next_stage()
            part = self.stages[progress.stage][1]
            self.training, self.seed = part.model.training, part.model.seed
            if self.given_task is None:
                self.task = build_task(part)
            self.steps = progress.start + steps_of(self.training, self.task)

    def _saved(self, kind: str, reason: str = "") -> Generator[Record]:
        """The record at which the caller saves the state, until it asks for the next record."""
        self._refuse_bad_step()
        self.saving = True
        try:
            yield Record(kind, self.progress.step, {"reason": reason} if kind == "end" else {})
        finally:
            self.saving = False

    @contextmanager
    def _prefetched(self) -> Iterator[None]:
        """Have another process draw the trials of a neurogym task ahead, for a spec."""
        if not self.stages or not isinstance(self.task, NeurogymTask):
            yield
            return
        task = self.task
        with Prefetch(task) as quick:
            self.task = quick
            try:
                yield
            finally:
                self.task = task

    def _begin_stage(self) -> None:
        """Fit the network and the optimizer to the current stage."""
        progress, self.device = self.progress, next(self.network.parameters()).device
        if not progress.start <= progress.step <= self.steps:
            what = f"the checkpoint is of step {progress.step}, the training has {self.steps}"
            raise NetbuildError(what, Exit.RUN)
        if self._name:
            part = self.stages[progress.stage][1]
            self.network.regularizers = build_regularizers(part, self.network).to(self.device)
            change_optimizer(self.training, self.optimizer)
            if progress.step == progress.start:  # later the state already fits this stage
                fit_state(self.optimizer)
        if isinstance(self.task, ArraysTask):
            for targets in self.task.targets:  # once, and not in every step
                check_answers(targets, self.network, self.training.loss)
            self.task = self.task.to(self.device)
        self.learner = BackPropagation(self.network, self.optimizer, self.training)
        self._evaluated = None
        self._trials, self._outputs = {}, {}

    def _stage(self) -> Generator[Record, None, str]:
        """The records of one stage; returns why it has ended."""
        training, progress = self.training, self.progress
        clock, clocked = time.perf_counter(), progress.step
        while progress.step < self.steps:
            logged = (progress.step + 1) % training.log_every == 0
            values = self.take_step(logged=logged or progress.step + 1 == self.steps)
            progress.step += 1
            if values:
                now = time.perf_counter()
                values["steps_per_second"] = (progress.step - clocked) / (now - clock)
                yield self._record("train", values)
                clock, clocked = time.perf_counter(), progress.step
            if progress.step == self.steps:
                break
            if _due(progress.step, training.evaluate.every):
                yield self._evaluate()
                rule = training.stop_when
                if rule is not None and should_stop(rule, progress.evaluations):
                    progress.ended = "stopped early"
                    return progress.ended
                clock, clocked = time.perf_counter(), progress.step
            if self.stop:
                return "interrupted"
            if _due(progress.step, training.checkpoint.every) or progress.step in self.saves:
                yield from self._saved("checkpoint")
                clock, clocked = time.perf_counter(), progress.step
        yield self._evaluate()
        progress.ended = "finished"
        return progress.ended

    @property
    def _name(self) -> str:
        """The name of the current stage; "" without stages."""
        return self.stages[self.progress.stage][0] if self.stages else ""

    def _record(self, kind: str, values: dict[str, Any], *, is_best: bool = False) -> Record:
        values = {"stage": self._name} | values if self._name else values
        return Record(kind, self.progress.step, values, is_best)

    def take_step(self, *, logged: bool) -> dict[str, Any]:
        """Take the next optimizer step; returns the values to log, none unless `logged`."""
        if logged:
            self._refuse_bad_step()
        return self._learn(logged=logged)

    def _learn(self, *, logged: bool) -> dict[str, Any]:
        step, start = self.progress.step, self.progress.start
        self._outputs = {}  # they are those of the weights before this step
        factor = rate_factor(self.training, step - start, self.steps - start)
        return self.learner.step(step, self.next_batch(step), factor=factor, logged=logged)

    def _refuse_bad_step(self) -> None:
        """Raise the error of a step that was not taken, if the learner has not told of it yet.

        No step since then has changed a weight, so the training is put back to that step, which is
        tried again to find out what is not finite.
        """
        bad = self.learner.bad_step()
        if bad is not None:
            self.progress.step = bad
            self._learn(logged=True)
            raise diverged(f"the loss or the gradient was not finite at step {bad}")

    def next_batch(self, step: int) -> Batch:
        """The trials of a step, on the network's device."""
        size = self.training.batch_size
        if isinstance(self.task, ArraysTask):
            return self.task.batch(step, size)
        if isinstance(self.task, (NeurogymTask, Prefetch)):
            batch = self.task.batch(step, size)  # from the same stream
        else:
            seed = getattr(self.task, "seed", self.seed)  # a task may have its own seed
            batch = self.task.batch(step, size, rng_of(seed, "train", step))
        check_batch(batch, self.network, self.training.loss)
        return batch.to(self.device)

    def _evaluate(self) -> Record:
        self._refuse_bad_step()
        on = self.evaluated
        scores = self.scores(on)
        if scores["loss"] is not None and not math.isfinite(scores["loss"]):
            what = f"the loss on the {on} trials is {scores['loss']} after step {self.step - 1}"
            raise diverged(what)
        progress = self.progress
        kept = still_needed(self.training.stop_when, [*progress.evaluations, scores])
        progress.evaluations = cast("list[Scores]", kept)
        is_best = progress.score(scores, self.training)
        where = {"on": on} if on == "validation" else {}
        return self._record("evaluation", where | scores, is_best=is_best)

    @property
    def evaluated(self) -> TrialSet:
        """The trials that evaluations during the current stage are of."""
        if self._evaluated is None:
            separate = self.separate_test and has_validation(self.task)
            self._evaluated = "validation" if separate else "test"
        return self._evaluated

    def trials(self, of: TrialSet) -> Batch:
        """Trials that are scored, on the network's device; a stage has the same ones always.

        Raises ValueError for validation trials where there are none.
        """
        if of not in self._trials:
            how = self.task, self.seed, self.training.evaluate.trials
            validation = of == "validation" and self.evaluated == of
            batch = validation_trials(*how) if validation else None
            if batch is None and of == "validation":
                raise ValueError("there are no validation trials")
            batch = batch or unseen_trials(*how, separate=self.separate_test)
            check_batch(batch, self.network, self.training.loss)
            self._trials[of] = batch.to(self.device)
        return self._trials[of]

    def outputs(self, of: TrialSet) -> Tensor:
        """The network's answers to trials that are scored, computed once after each step."""
        if of not in self._outputs or self._outputs[of][0] != self.step:
            self._outputs[of] = self.step, self.answers(of)
        return self._outputs[of][1]

    def answers(self, of: TrialSet) -> Tensor:
        """The same, computed anew from the weights that the network has now."""
        noise = of if self.training.evaluate.noise else None
        return answers(self.network, self.trials(of).inputs, noise=noise)

    def scores(self, of: TrialSet, outputs: Tensor | None = None) -> dict[str, Any]:
        """The scores of the network's answers, or of the given ones, as `losses.score` has them."""
        given = self.outputs(of) if outputs is None else outputs
        return score(given, self.trials(of), self.training.loss)


def stages_of(spec: Spec) -> list[Stage]:
    """The stages of a training; a training without stages is a single stage named ""."""
    stages = spec.model.training.stages
    if not stages:
        return [("", spec)]
    return list(zip([stage.name for stage in stages], spec.stages, strict=True))


def check_batch(batch: Any, network: Network, loss: str) -> None:
    """Raise TypeError or ValueError, with what is expected, for a batch that cannot be used.

    A class number without an output is a ClassError. Class numbers that a task makes on a GPU
    itself are not read, since that would wait for the GPU.
    """
    if not isinstance(batch, Batch):
        what = "batch(step, size, rng) must return a netbuild.tasks.Batch(inputs, targets)"
        raise TypeError(f"{what}, not {type(batch).__name__}")
    for name, value in (("inputs", batch.inputs), ("targets", batch.targets)):
        if not isinstance(value, Tensor):
            raise TypeError(f"a batch's {name} must be a tensor, not {type(value).__name__}")
    width = network.input_dim
    if batch.inputs.shape[-1] != width or batch.inputs.dtype != torch.get_default_dtype():
        found = f"{tuple(batch.inputs.shape)} {batch.inputs.dtype}"
        wanted = f"(batch, {width}) or (batch, time, {width}) {torch.get_default_dtype()}"
        raise ValueError(f"a batch's inputs must be {wanted}, not {found}")
    if batch.targets.is_cpu:
        check_answers(batch.targets, network, loss)


def check_answers(targets: Tensor, network: Network, loss: str) -> None:
    """Raise ClassError (exit 4) for class numbers without an output of the network."""
    if loss == "cross_entropy" and network.output_dim is not None:
        check_classes(targets, network.output_dim)


def steps_of(training: Training, task: Task) -> int:
    """The number of optimizer steps of a training; raises NetbuildError where it is not given."""
    if training.steps is not None:
        return training.steps
    if training.epochs is None:
        what = "training: neither `steps` nor `epochs` is given"
        raise NetbuildError(what, Exit.SPEC, "write `training: {steps: 1000}`")
    if not isinstance(task, ArraysTask):
        raise NetbuildError("training: `epochs` are of `task: arrays`; write `steps`", Exit.SPEC)
    return training.epochs * task.steps_per_epoch(training.batch_size)


def _due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0
