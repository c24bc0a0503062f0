"""What a task is: any object with a `batch` method. Each batch is a pure function of its step.

A network chooses in each trial: the choice is its largest output at the end of the decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netbuild.splits import TrialSet
from netbuild.streams import rng_of


class Batch(NamedTuple):
    """Samples or trials of one step.

    Trials that are shorter than the longest one are padded at their end. Where `trials` has the
    integers `steps`, they say how long each trial is; else no step is padding.
    """

    inputs: Tensor  # (batch, input) or (batch, time, input)
    targets: Tensor  # (batch,) or (batch, output), with time after batch where inputs have it
    loss_mask: Tensor | None = None  # (batch, time): which steps count, and how much
    trials: Mapping[str, Any] | None = None  # the trials' own variables, (batch,) each

    @property
    def steps(self) -> Tensor | None:
        """(batch,) int64 on the CPU: how many steps each trial has without padding; None: all."""
        given = np.asarray((self.trials or {}).get("steps", 0))
        shape = tuple(self.inputs.shape)
        if len(shape) < 3 or given.dtype.kind not in "iu" or given.shape != shape[:1]:
            return None
        are_lengths = bool(((given >= 0) & (given <= shape[1])).all())
        if not are_lengths or bool((given == shape[1]).all()):
            return None
        return torch.from_numpy(given.astype(np.int64))

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensors on a device; a copy to a GPU does not wait for it.

        Memory that is pinned must not be written to before the GPU has read it. Other memory may:
        CUDA has read it when this returns.
        """
        free = torch.device(device).type != "cpu"
        inputs, targets, mask = (
            None if part is None else part.to(device, non_blocking=free) for part in self[:3]
        )
        assert inputs is not None
        assert targets is not None
        return Batch(inputs, targets, mask, self.trials)

    def at(self, indices: Tensor) -> Batch:
        """Some of the samples or trials, without their variables."""
        mask = None if self.loss_mask is None else self.loss_mask.index_select(0, indices)
        inputs, targets = (part.index_select(0, indices) for part in (self.inputs, self.targets))
        return Batch(inputs, targets, mask)

    def first(self, count: int) -> Batch:
        """The first `count` samples or trials."""
        mask = None if self.loss_mask is None else self.loss_mask[:count]
        trials = {key: value[:count] for key, value in (self.trials or {}).items()}
        return Batch(self.inputs[:count], self.targets[:count], mask, trials or None)


WholeTrials = Callable[[int, np.random.Generator], Batch]


@runtime_checkable
class Task(Protocol):
    """Gives the batch of a step.

    `rng` is seeded by (seed, stream, step), so that a task that draws only from it gives the same
    batch whenever it is asked for the same step.

    Test trials are scored at the end, validation trials during the training, where choices are made
    on their scores. Both are drawn, from streams of their own: as batches, or by `whole_trials(
    count, rng) -> Batch` where batches are something else. A task may instead have test trials of
    its own, `evaluation() -> Batch`, and validation trials, `validation() -> Batch | None`. Without
    the latter its test trials are scored during the training too. A task with an attribute `seed`
    has its trials drawn from that seed.
    """

    def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
        """The batch of `size` samples or trials for one step, counted from 0."""
        ...


# The names of random streams. That of the validation trials is older than the distinction.
STREAMS: Mapping[TrialSet, str] = {"validation": "evaluation", "test": "test"}


def validation_trials(task: Task, seed: int, count: int) -> Batch | None:
    """The trials that choices are made on: the task's own, or `count` of them, always the same.

    None where a task has test trials of its own and no validation trials.
    """
    own: Callable[[], Batch | None] | None = getattr(task, "validation", None)
    if own is not None:
        return own()
    return None if hasattr(task, "evaluation") else _drawn(task, seed, count, "validation")


def unseen_trials(task: Task, seed: int, count: int, *, separate: bool = True) -> Batch:
    """The test trials: the task's own, or `count` of them, always the same.

    Without `separate`, test trials that are drawn are the validation trials, as in early runs.
    """
    own: Callable[[], Batch] | None = getattr(task, "evaluation", None)
    if own is not None:
        return own()
    return _drawn(task, seed, count, "test" if separate else "validation")


def has_validation(task: Task) -> bool:
    """Whether a task has validation trials."""
    own: Callable[[], Batch | None] | None = getattr(task, "validation", None)
    return not hasattr(task, "evaluation") if own is None else own() is not None


def _drawn(task: Task, seed: int, count: int, of: TrialSet) -> Batch:
    rng = rng_of(getattr(task, "seed", seed), STREAMS[of], 0)
    whole: WholeTrials | None = getattr(task, "whole_trials", None)
    return task.batch(0, count, rng) if whole is None else whole(count, rng)


def choices(outputs: Tensor, batch: Batch) -> NDArray[np.int64] | None:
    """The number of the largest output in the last step of each trial's decision, (trial,).

    `outputs` is (trial, time, output). None where the batch does not say when a trial is to be
    answered: it is not of whole trials, or its answers are values.
    """
    trials = batch.trials or {}
    if "answer_end" not in trials:
        return None
    ends = torch.as_tensor(np.asarray(trials["answer_end"])).to(outputs.device)
    at = (ends - 1).clamp(min=0)
    last = outputs[torch.arange(len(outputs), device=outputs.device), at]
    return last.argmax(-1).cpu().numpy()


def correct(outputs: Tensor, batch: Batch) -> NDArray[np.float64] | None:
    """Whether each trial's choice is right, 1 or 0; NaN where no output is the right one.

    The mean over trials, NaN left out, is the accuracy.
    """
    chosen = choices(outputs, batch)
    if chosen is None or batch.trials is None:
        return None
    answers = right_choices(batch.trials["answer"])
    return np.where(np.isnan(answers), np.nan, chosen == answers)


def right_choices(answers: Any) -> NDArray[np.float64]:
    """The right choice of each trial as a float, NaN where no choice is right.

    Tasks write -1, or another negative number, where no choice is right; that is no choice of
    its own.
    """
    values = np.asarray(answers, dtype=np.float64)
    return np.where(values < 0, np.nan, values)
