"""What a task is: any object with a `batch` method. Each batch is a pure function of its step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from torch import Tensor


class Batch(NamedTuple):
    """Samples or trials of one step."""

    inputs: Tensor  # (batch, input) or (batch, time, input)
    targets: Tensor  # (batch,) or (batch, output), with time after batch where inputs have it
    loss_mask: Tensor | None = None  # (batch, time): which steps count, and how much
    trials: Mapping[str, Any] | None = None  # the trials' own variables, (batch,) each


@runtime_checkable
class Task(Protocol):
    """Gives the batch of a step.

    `rng` is seeded by (seed, stream, step), so that a task that draws only from it gives the same
    batch whenever it is asked for the same step. A task may also have `evaluation() -> Batch`, the
    trials that are scored; without it they are drawn as a batch of a stream of their own.
    """

    def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
        """The batch of `size` samples or trials for one step, counted from 0."""
        ...
