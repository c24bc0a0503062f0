"""What a task is: any object with a `batch` method. Each batch is a pure function of its step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

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
        if (
            self.inputs.ndim < 3
            or given.dtype.kind not in "iu"
            or given.shape != self.inputs.shape[:1]
        ):
            return None
        longest = self.inputs.shape[1]
        if (
            given.min(initial=0) < 0
            or given.max(initial=0) > longest
            or bool((given == longest).all())
        ):
            return None
        return torch.from_numpy(given.astype(np.int64))

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensors on a device."""
        mask = None if self.loss_mask is None else self.loss_mask.to(device)
        return Batch(self.inputs.to(device), self.targets.to(device), mask, self.trials)

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
    batch whenever it is asked for the same step. A task may also have `evaluation() -> Batch`, the
    trials that are scored, or `whole_trials(count, rng) -> Batch`, which draws them where batches
    are something else; with neither they are drawn as a batch of a stream of their own. A task with
    an attribute `seed` has its evaluation drawn from that seed.
    """

    def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
        """The batch of `size` samples or trials for one step, counted from 0."""
        ...


def evaluation_batch(task: Task, seed: int, trials: int) -> Batch:
    """The trials that a task is scored on: its own, or `trials` of them, always the same."""
    own: Callable[[], Batch] | None = getattr(task, "evaluation", None)
    if own is not None:
        return own()
    rng = rng_of(getattr(task, "seed", seed), "evaluation", 0)
    whole: WholeTrials | None = getattr(task, "whole_trials", None)
    return task.batch(0, trials, rng) if whole is None else whole(trials, rng)
