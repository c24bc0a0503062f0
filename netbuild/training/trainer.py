"""Training as a stream of records: one loop, read from top to bottom.

The trainer changes the network and the optimizer that it is given, and nothing else: signals,
threads and determinism belong to whoever runs it, files to the run directory.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from netbuild.errors import Exit, NetbuildError
from netbuild.layers import Dropout, Network
from netbuild.regularization import RegularizationList
from netbuild.spec.training import Training
from netbuild.streams import rng_of
from netbuild.tasks import ArraysTask, Batch, Task
from netbuild.training.losses import accuracy, score, task_loss
from netbuild.training.schedule import factor
from netbuild.training.stopping import should_stop


@dataclass(frozen=True)
class Record:
    """What happened after `step` optimizer steps: "train", "evaluation", "checkpoint" or "end"."""

    kind: str
    step: int
    values: dict[str, Any] = field(default_factory=dict)


class Trainer:
    """Steps a network through a task. `records()` is the training; iterate it to the end.

    `stop` may be set at any time, by a signal handler say: the step in hand is finished, and the
    last record says "interrupted".
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
        self.task = task
        self.training = training
        self.optimizer = optimizer
        self.seed = seed
        self.step = step
        self.steps = steps_of(training, task)
        self.stop = False
        self.evaluations: list[dict[str, float]] = []
        self.rates = [group["lr"] for group in optimizer.param_groups]
        own = network.regularizers
        self._drawing = [m for m in network.modules() if isinstance(m, Dropout)]
        self._regularizers = own if isinstance(own, RegularizationList) else RegularizationList()

    def records(self) -> Iterator[Record]:
        """Train to the end, with a record of each logged step, evaluation and checkpoint due.

        Raises NetbuildError (exit 8) when the loss is no longer finite; the step that would have
        applied it has not been taken.
        """
        training = self.training
        self.network.train()
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
            if self.stop:
                reason = "interrupted"
                break
            if _due(self.step, training.checkpoint.every) and self.step < self.steps:
                yield Record("checkpoint", self.step)
                clock, clocked = time.perf_counter(), self.step
        if reason == "finished":
            yield self._evaluate()
        yield Record("checkpoint", self.step)
        yield Record("end", self.step, {"reason": reason})

    def _step(self, logged: bool) -> dict[str, Any]:
        """One optimizer step; what is written down of it when `logged`."""
        network, training, step = self.network, self.training, self.step
        batch = self._batch("train", step)
        for module in self._drawing:
            module.set_step(step)
        if training.optimizer.schedule is not None:
            scale = factor(training, step, self.steps)
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * scale
        output = network(batch.inputs)
        loss = task_loss(training.loss, output, batch)
        raw: dict[str, Tensor] = {}
        whole = loss
        if len(self._regularizers):
            raw = self._regularizers.raw_terms()
            whole = loss + self._regularizers.total(raw)
        whole.backward()  # type: ignore[no-untyped-call]
        if not math.isfinite(whole.item()):
            raise NetbuildError(f"the loss is {whole.item()} at step {step}", Exit.DIVERGED)
        norm: Tensor | None = None
        if training.clip_grad_norm is not None:
            parameters = self.optimizer.param_groups[0]["params"]
            norm = torch.nn.utils.clip_grad_norm_(parameters, training.clip_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if not logged:
            return {}
        return self._values(loss, whole, raw, norm, output, batch)

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
        if self.training.loss == "cross_entropy":
            values["accuracy"] = accuracy(output, batch)
        values["lr"] = self.optimizer.param_groups[0]["lr"]
        if norm is not None:
            values["grad_norm"] = norm.item()
        return values

    def _evaluate(self) -> Record:
        found = score(self.network, evaluation_batch(self), self.training.loss)
        self.evaluations.append(found)
        return Record("evaluation", self.step, dict(found))

    def _batch(self, stream: str, step: int, size: int | None = None) -> Batch:
        size = size or self.training.batch_size
        if isinstance(self.task, ArraysTask):
            return self.task.batch(step, size)
        return self.task.batch(step, size, rng_of(self.seed, stream, step))


def evaluation_batch(trainer: Trainer) -> Batch:
    """The trials that are scored: the task's own, or as many as the spec says, always the same."""
    own = getattr(trainer.task, "evaluation", None)
    if own is not None:
        batch: Batch = own()
        return batch
    return trainer._batch("evaluation", 0, trainer.training.evaluate.trials)


def steps_of(training: Training, task: Task) -> int:
    """How many optimizer steps a training has; raises NetbuildError when it does not say."""
    if training.steps is not None:
        return training.steps
    if training.epochs is None:
        raise NetbuildError("training: neither `steps` nor `epochs` is given", Exit.SPEC)
    if not isinstance(task, ArraysTask):
        raise NetbuildError("training: `epochs` are of `task: arrays`; write `steps`", Exit.SPEC)
    return training.epochs * task.steps_per_epoch(training.batch_size)


def _due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0
