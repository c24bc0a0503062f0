"""The course of a training: its stages in order, from the first step or from a later one."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NamedTuple

import torch

from netbuild.builder import build_regularizers, build_task, change_optimizer
from netbuild.language import Spec
from netbuild.language.training import Training
from netbuild.layers import Network
from netbuild.tasks import NeurogymTask, Prefetch, Task
from netbuild.training.optimizer_state import fit_state
from netbuild.training.trainer import Record, Trainer


@dataclass
class Point:
    """Where a training stands, beside its weights and its optimizer: plain data.

    Random streams and learning rates are functions of the step, and the batches too.
    """

    step: int = 0  # optimizer steps taken
    stage: int = 0  # the number of the stage in hand, from 0
    start: int = 0  # the step that this stage began at
    ended: str = ""  # how it has ended, if it has: "finished" or "stopped early"
    # Those of this stage that still count, oldest first.
    evaluations: list[Mapping[str, Any]] = field(default_factory=list)
    # Step, stage, metric, value and loss of the best evaluation.
    best: dict[str, Any] | None = None

    def to_data(self) -> dict[str, Any]:
        """As a checkpoint's `state.json` has it."""
        data = asdict(self)
        return data | {"evaluations": [_with_null(found) for found in self.evaluations]}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Point:
        """The same again; raises KeyError, TypeError or ValueError for what is no such data."""
        point = cls(**{f.name: data[f.name] for f in fields(cls)})
        point.evaluations = [_with_nan(found) for found in point.evaluations]
        counts = (point.step, point.stage, point.start)
        if not all(type(count) is int and count >= 0 for count in counts):
            raise ValueError("a step or a stage is not a count")
        if point.start > point.step or point.ended not in ("", "finished", "stopped early"):
            raise ValueError("a step before the stage began, or an end that there is not")
        if not all(isinstance(each, dict) and "loss" in each for each in point.evaluations):
            raise ValueError("an evaluation without a loss")
        best = point.best
        if best is not None and not (
            type(best["step"]) is type(best["stage"]) is int
            and isinstance(best["metric"], str)
            and isinstance(best["value"], int | float)
            and isinstance(best["loss"], int | float | None)
        ):
            raise ValueError("the best evaluation has no step, or no value")
        return point

    def score(self, record: Record, training: Training) -> bool:
        """Take in an evaluation; whether it is the best of its stage.

        Of two with the same accuracy that of the lower loss is better, and of equal ones the first.
        """
        rule = training.stop_when
        metric = rule.metric if rule is not None else "accuracy"
        value, loss = record.values.get(metric), record.values["loss"]
        if value is None or math.isnan(value):  # no trial has a right answer
            metric, value = "loss", loss
        if value is None:  # no step of the test trials counts
            return False
        found: dict[str, Any] = {"step": record.step, "stage": self.stage, "metric": metric}
        found |= {"value": float(value), "loss": None if loss is None else float(loss)}
        before = self.best
        if (
            before is not None
            and (before["stage"], before["metric"]) == (self.stage, metric)
            and not _merit(found) > _merit(before)
        ):
            return False
        self.best = found
        return True


def _merit(evaluation: Mapping[str, Any]) -> tuple[float, float]:
    """What evaluations of one metric are compared by: the larger is the better one."""
    value, loss = evaluation["value"], evaluation["loss"]
    loss = math.inf if loss is None else loss
    return (-loss if evaluation["metric"] == "loss" else value), -loss


def _with_null(found: Mapping[str, Any]) -> dict[str, Any]:
    """An evaluation with null in place of NaN, which JSON does not have."""
    return _with(found, lambda value: None if value != value else value)


def _with_nan(found: Mapping[str, Any]) -> dict[str, Any]:
    """The same again, as it was."""
    return _with(found, lambda value: math.nan if value is None else value)


def _with(found: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Its scores, and those in each of several environments, changed."""
    values = {key: change(value) for key, value in found.items()}
    if isinstance(each := found.get("environments"), Mapping):
        values["environments"] = {name: change(value) for name, value in each.items()}
    return values


class Happening(NamedTuple):
    """A record, the trainer that gave it, and whether it is the best evaluation so far."""

    record: Record
    trainer: Trainer
    is_best: bool = False


def follow(
    spec: Spec,
    network: Network,
    optimizer: torch.optim.Optimizer,
    point: Point,
    *,
    task: Task | None = None,
    begin: Callable[[Trainer], None] | None = None,
) -> Generator[Happening]:
    """Train from `point`, which is kept up to date, to the end; the last record is the "end".

    The network and the optimizer are as they were at that point. `begin` is called with the trainer
    of each stage before its first step. Close the iterator, or exhaust it: a process of its own may
    be making the batches.
    """
    parts = parts_of(spec)
    if point.ended and point.stage + 1 < len(parts):
        _next_stage(point)
    place = next(network.parameters()).device
    stop = False
    for number in range(point.stage, len(parts)):
        name, part = parts[number]
        with _made_ahead(build_task(part) if task is None else task) as source:
            if name:
                network.regularizers = build_regularizers(part, network).to(place)
                change_optimizer(part.model.training, optimizer)
                if point.step == point.start:  # else the state is this stage's own already
                    fit_state(optimizer)
            trainer = _trainer(part, network, source, optimizer, point)
            trainer.stop = stop
            if begin is not None:
                begin(trainer)
            is_last = number + 1 == len(parts)
            for record in trainer.records() if not point.ended else _end_of(point):
                if (
                    record.kind == "end"
                    and record.values["reason"] != "interrupted"
                    and not is_last
                ):
                    break
                is_best = _take_in(record, trainer, point)
                if name and record.kind in ("train", "evaluation"):
                    record = replace(record, values={"stage": name} | record.values)
                yield Happening(record, trainer, is_best)
                if record.kind == "end":
                    return
            stop = trainer.stop
        _next_stage(point)


def parts_of(spec: Spec) -> list[tuple[str, Spec]]:
    """The stages of a training by name, each as a whole spec; without stages the spec itself."""
    stages = spec.model.training.stages
    if not stages:
        return [("", spec)]
    names = [stage.name for stage in stages]
    return list(zip(names, spec.stages, strict=True))


def trained_on(spec: Spec, stage: int) -> list[dict[str, Any]]:
    """The splits of the samples that weights have seen by a stage, and those they start from."""
    own = [part.plan.split for _, part in parts_of(spec)[: stage + 1]]
    seen = [*spec.plan.trained_on, *(split for split in own if split is not None)]
    return [split.to_data() for split in dict.fromkeys(seen)]


def _trainer(
    part: Spec, network: Network, task: Task, optimizer: torch.optim.Optimizer, point: Point
) -> Trainer:
    """The trainer of one stage, as it was at a point of it."""
    training, seed = part.model.training, part.model.seed
    trainer = Trainer(network, task, training, optimizer, seed=seed, step=point.start)
    trainer.resume(point.step, point.evaluations)
    return trainer


def _take_in(record: Record, trainer: Trainer, point: Point) -> bool:
    """Bring a point up to a record; whether that is the best evaluation so far."""
    point.step, point.evaluations = record.step, trainer.evaluations
    if record.kind == "checkpoint" and record.values.get("reason", "interrupted") != "interrupted":
        point.ended = record.values["reason"]
    return record.kind == "evaluation" and point.score(record, trainer.training)


def _end_of(point: Point) -> Iterator[Record]:
    """What is left of a training that was saved at its end."""
    yield Record("end", point.step, {"reason": point.ended})


def _next_stage(point: Point) -> None:
    point.stage, point.start, point.ended, point.evaluations = point.stage + 1, point.step, "", []


@contextmanager
def _made_ahead(task: Task) -> Iterator[Task]:
    """The task; trials that take a while to make are made by a process of their own."""
    if not isinstance(task, NeurogymTask):
        yield task
        return
    with Prefetch(task) as quick:
        yield quick
