"""Training as a stream of records: one loop, read from top to bottom.

The trainer changes the network and the optimizer that it is given, and nothing else: signals,
threads and determinism belong to whoever runs it, files to the run directory.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from netbuild.errors import Exit, NetbuildError
from netbuild.language.training import Training
from netbuild.layers import Network
from netbuild.regularization import RegularizationList
from netbuild.streams import rng_of
from netbuild.tasks import ArraysTask, Batch, Task, evaluation_batch
from netbuild.training.guards import are_finite, bad_gradient, first_bad, total_norm
from netbuild.training.losses import accuracy, answers, has_accuracy, score, task_loss
from netbuild.training.schedule import factor
from netbuild.training.stopping import should_stop, still_needed


@dataclass(frozen=True)
class Record:
    """What happened after `step` optimizer steps: "train", "evaluation", "checkpoint" or "end"."""

    kind: str
    step: int
    values: dict[str, Any] = field(default_factory=dict)


class Trainer:
    """Steps a network through a task. `records()` is the training; iterate it to the end.

    `stop` may be set at any time, by a signal handler say: the step in hand is finished, and the
    last record says "interrupted". It takes the steps from `step` on, as many as the training says.
    """

    def __init__(
        self,
        network: Network,
        task: Task,
        training: Training,
        optimizer: torch.optim.Optimizer,
        *,
        seed: int = 0,
        step: int = 0,
    ) -> None:
        self.network = network
        self.task = (
            task.to(next(network.parameters()).device) if isinstance(task, ArraysTask) else task
        )
        self.training = training
        self.optimizer = optimizer
        self.seed = seed
        self.step = self.start = step
        self.steps = step + steps_of(training, task)
        self.stop = False
        self.saving = False  # whether whoever writes the records is writing a checkpoint
        self.evaluations: list[Mapping[str, Any]] = []  # those that still count, oldest first
        self.saves: Collection[int] = ()  # steps with a checkpoint beside those that are due
        self._evaluation: Batch | None = None
        self.rates = [group["lr"] for group in optimizer.param_groups]
        own = network.regularizers
        self._learnt = [p for group in optimizer.param_groups for p in group["params"]]
        self.device = self._learnt[0].device
        self._modules = list(network.modules())
        self._drawing: list[Any] = [m for m in self._modules[1:] if hasattr(m, "set_step")]
        self._regularizers = own if isinstance(own, RegularizationList) else RegularizationList()
        self._needs_activity = self._regularizers.needs_activity

    def resume(self, step: int, evaluations: Sequence[Mapping[str, Any]]) -> None:
        """Go on after `step` steps, of which those since `start` were this trainer's own.

        The network and the optimizer are as they were then. Raises NetbuildError (exit 5) for a
        step that this training does not have.
        """
        if not self.start <= step <= self.steps:
            what = f"the checkpoint is of step {step}, the training has {self.steps}"
            raise NetbuildError(what, Exit.RUN)
        self.step, self.evaluations = step, list(evaluations)

    def records(self) -> Iterator[Record]:
        """Train to the end, with a record of each logged step, evaluation and checkpoint due.

        Raises NetbuildError (exit 8) when the loss, or the gradient's norm that it is clipped by,
        is no longer finite; the step that would have applied it has not been taken.
        """
        training = self.training
        reason = "finished"
        clock, clocked = time.perf_counter(), self.step
        while self.step < self.steps:
            logged = (self.step + 1) % training.log_every == 0 or self.step + 1 == self.steps
            values = self._step(logged)
            self.step += 1
            if logged:
                now = time.perf_counter()
                values["steps_per_second"] = (self.step - clocked) / (now - clock)
                yield Record("train", self.step, values)
                clock, clocked = time.perf_counter(), self.step
            if _due(self.step, training.evaluate.every) and self.step < self.steps:
                yield self._evaluate()
                rule = training.stop_when
                if rule is not None and should_stop(rule, self.evaluations):
                    reason = "stopped early"
                    break
                clock, clocked = time.perf_counter(), self.step
            if self.stop and self.step < self.steps:
                reason = "interrupted"
                break
            due = _due(self.step, training.checkpoint.every) or self.step in self.saves
            if due and self.step < self.steps:
                yield Record("checkpoint", self.step)
                clock, clocked = time.perf_counter(), self.step
        if reason == "finished":
            yield self._evaluate()
        yield Record("checkpoint", self.step, {"reason": reason})
        yield Record("end", self.step, {"reason": reason})

    def _step(self, logged: bool) -> dict[str, Any]:
        """One optimizer step; what is written down of it when `logged`."""
        training, step = self.training, self.step
        batch = self._batch(step)
        if not all(module.training for module in self._modules):  # a callback evaluated it
            self.network.train()
        for module in self._drawing:
            module.set_step(step)
        if training.optimizer.schedule is not None:
            self._set_rates(factor(training, step - self.start, self.steps - self.start))
        output, activity = self._forward(batch.inputs)
        loss = task_loss(training.loss, output, batch)
        raw: dict[str, Tensor] = {}
        whole = loss
        if len(self._regularizers):
            raw = self._regularizers.raw_terms(activity, batch.steps)
            whole = loss + self._regularizers.total(raw)
        whole.backward()  # type: ignore[no-untyped-call]
        if not math.isfinite(whole.item()):
            found = first_bad(self.network, batch, step) or "a regularizer"
            what = f"the loss is {whole.item()} at step {step}; first found in {found}"
            raise _diverged(what, at_start=step == 0)
        norm = self._clipped(step)
        self.optimizer.step()
        for parameter in self._learnt:  # as `zero_grad`, which also talks to the profiler
            parameter.grad = None
        if not logged:
            return {}
        return self._values(loss, whole, raw, norm, output, batch)

    def _set_rates(self, scale: float) -> None:
        """Multiply each base learning rate by `scale`; raises NetbuildError (exit 8)."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * scale
            if not math.isfinite(group["lr"]):
                what = f"the learning rate is {group['lr']} at step {self.step}"
                hint = "its `schedule` grows without end; write a `factor` below 1"
                raise NetbuildError(what, Exit.DIVERGED, hint)

    def _clipped(self, step: int) -> Tensor | None:
        """The norm of the gradient, which is then clipped, if it is to be; raises NetbuildError."""
        largest = self.training.clip_grad_norm
        if largest is None and are_finite(p.grad for p in self._learnt if p.grad is not None):
            return None
        norm = total_norm(self._learnt)
        if largest is not None and math.isfinite(norm.item()):
            torch.nn.utils.clip_grads_with_norm_(self._learnt, largest, norm)
            return norm
        found = bad_gradient(self.network)
        where = f"; first found in that of `{found}`" if found else ""
        what = f"the norm of the gradient is {norm.item()} at step {step}{where}"
        raise _diverged(what, at_start=step == 0)

    def _forward(self, inputs: Tensor) -> tuple[Tensor, dict[str, Tensor] | None]:
        """The network's answers, and its activity where a regularizer reads it."""
        if not self._needs_activity:
            return self.network(inputs), None
        output, activity = self.network(inputs, return_activity=True)
        return output, activity

    def _values(
        self,
        loss: Tensor,
        whole: Tensor,
        raw: dict[str, Tensor],
        norm: Tensor | None,
        output: Tensor,
        batch: Batch,
    ) -> dict[str, Any]:
        values: dict[str, Any] = {"loss": loss.item(), "total": whole.item()}
        values["regularizers"] = {
            name: {"raw": term.item(), "weighted": term.item() * self._regularizers.weight(name)}
            for name, term in raw.items()
        }
        if has_accuracy(self.training.loss, batch):
            values["accuracy"] = accuracy(output, batch)
        values["lr"] = self.optimizer.param_groups[0]["lr"]
        if norm is not None:
            values["grad_norm"] = norm.item()
        return values

    def _evaluate(self) -> Record:
        batch = self.evaluation()
        found = score(answers(self.network, batch.inputs), batch, self.training.loss)
        if found["loss"] is not None and not math.isfinite(found["loss"]):
            what = f"the loss on the test trials is {found['loss']} after step {self.step - 1}"
            raise _diverged(what)
        seen = [*self.evaluations, found]
        self.evaluations = still_needed(self.training.stop_when, seen)
        return Record("evaluation", self.step, dict(found))

    def evaluation(self) -> Batch:
        """The trials that are scored, on the network's device."""
        if self._evaluation is None:  # always the same
            batch = evaluation_batch(self.task, self.seed, self.training.evaluate.trials)
            check_batch(batch, self.network.input_dim)
            self._evaluation = batch.to(self.device)
        return self._evaluation

    def _batch(self, step: int) -> Batch:
        size = self.training.batch_size
        if isinstance(self.task, ArraysTask):
            return self.task.batch(step, size)
        seed = getattr(self.task, "seed", self.seed)  # a task may have one of its own
        batch = self.task.batch(step, size, rng_of(seed, "train", step))
        check_batch(batch, self.network.input_dim)
        return batch.to(self.device)


def check_batch(batch: Any, width: int) -> None:
    """Raise TypeError or ValueError, with what is expected, for what a task should not give."""
    if not isinstance(batch, Batch):
        what = "batch(step, size, rng) must return a netbuild.tasks.Batch(inputs, targets)"
        raise TypeError(f"{what}, not {type(batch).__name__}")
    for name, value in (("inputs", batch.inputs), ("targets", batch.targets)):
        if not isinstance(value, Tensor):
            raise TypeError(f"a batch's {name} must be a tensor, not {type(value).__name__}")
    if batch.inputs.shape[-1] != width or batch.inputs.dtype != torch.get_default_dtype():
        found = f"{tuple(batch.inputs.shape)} {batch.inputs.dtype}"
        wanted = f"(batch, {width}) or (batch, time, {width}) {torch.get_default_dtype()}"
        raise ValueError(f"a batch's inputs must be {wanted}, not {found}")


def steps_of(training: Training, task: Task) -> int:
    """How many optimizer steps a training has; raises NetbuildError when it does not say."""
    if training.steps is not None:
        return training.steps
    if training.epochs is None:
        what = "training: neither `steps` nor `epochs` is given"
        raise NetbuildError(what, Exit.SPEC, "write `training: {steps: 1000}`")
    if not isinstance(task, ArraysTask):
        raise NetbuildError("training: `epochs` are of `task: arrays`; write `steps`", Exit.SPEC)
    return training.epochs * task.steps_per_epoch(training.batch_size)


def _diverged(what: str, *, at_start: bool = False) -> NetbuildError:
    hint = "a smaller `lr`, or `clip_grad_norm`, may help"
    if at_start:  # before any step was taken, whatever the learning rate is
        hint = (
            "the initial network explodes; `recurrent: {ei_balance: row}` or `{spectral_radius: 1}`"
        )
        hint += " may help, or smaller weights"
    return NetbuildError(what, Exit.DIVERGED, hint)


def _due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0
