"""A task whose trials are made by environments of neurogym, new ones for every batch."""

from __future__ import annotations

import warnings
from functools import cached_property
from types import TracebackType
from typing import Any

import numpy as np
import torch

from netbuild.environments import (
    Drawn,
    EnvironmentFailed,
    Recipe,
    TrialSource,
    WindowSource,
    Worker,
    draw_trials,
    source_of,
)
from netbuild.streams import rng_of
from netbuild.tasks.task import Batch

PATIENCE = 5.0  # seconds without an answer, which takes milliseconds
AHEAD = 16  # batches; windows come in bursts, when their streams start again


class NeurogymTask:
    """Trials of a recipe. Every batch follows from (`seed`, step), and none is given twice.

    Whole trials come padded, (trial, time, input), with what is padded weighing nothing in the
    loss mask, and with a table of the trials; windows have no trials of their own. `evaluation`
    is the recipe of the trials that are scored, the same one when it is left out.

    Its methods raise `netbuild.environments.EnvironmentFailed` (a ValueError) where an
    environment's own code fails, and NetbuildError (exit 10) without neurogym.
    """

    def __init__(self, recipe: Recipe, *, seed: int = 0, evaluation: Recipe | None = None) -> None:
        self.recipe, self.seed = recipe, seed
        self.scored = evaluation or recipe

    @cached_property
    def _source(self) -> TrialSource | WindowSource:
        return source_of(self.recipe, self.seed)

    def batch(self, step: int, size: int, rng: np.random.Generator | None = None) -> Batch:
        """The batch of one step; whole trials are drawn from `rng`, when it is given.

        Windows are of streams that `seed` alone begins, whatever the `rng`.
        """
        return as_batch(self._source.batch(step, size, rng))

    def whole_trials(self, count: int, rng: np.random.Generator) -> Batch:
        """`count` trials as they are scored, whole ones even where windows are trained on."""
        return as_batch(draw_trials(self.scored, count, rng))

    def __getstate__(self) -> dict[str, Any]:
        """Without the environments, which cannot be pickled and are made again."""
        return {name: value for name, value in vars(self).items() if name != "_source"}


class Prefetch:
    """A NeurogymTask whose next batches are being made while the last one is trained on.

    Whatever the worker cannot give is made here: while it starts, for another stream than the
    training's, and when it has ended, which a RuntimeWarning says once. So the batches never depend
    on it. Close it, or use it in a `with`; it also ends with this process, however this one ends.

        with Prefetch(task) as quick:
            batch = quick.batch(step, size, rng)
    """

    def __init__(self, task: NeurogymTask, *, ahead: int = AHEAD) -> None:
        if ahead < 1:
            raise ValueError(f"at least one batch is prefetched, not {ahead}")
        self.task, self.seed, self.ahead = task, task.seed, ahead
        self.worker = Worker(task.recipe, task.seed)
        self.close = self.worker.close
        self._asked: list[tuple[int, int]] = []  # (step, size), in the order of their answers
        self._arrived: dict[tuple[int, int], tuple[str | None, Drawn | None]] = {}
        self._ready = False

    def is_ready(self) -> bool:
        """Whether the worker has begun."""
        self._take_in()
        return self._ready

    def whole_trials(self, count: int, rng: np.random.Generator) -> Batch:
        """As the task's own: the trials that are scored."""
        return self.task.whole_trials(count, rng)

    def batch(self, step: int, size: int, rng: np.random.Generator | None = None) -> Batch:
        """The task's own batch of one step; raises EnvironmentFailed as it does."""
        if rng is not None and not self._is_of_training(rng, step):
            return self.task.batch(step, size, rng)
        wanted = (step, size)
        if wanted not in self._arrived:
            self._take_in()
        while wanted in self._asked:
            if not self._receive(PATIENCE) and wanted in self._asked:
                self._without("does not answer")
        error, drawn = self._arrived.pop(wanted, (None, None))
        if error is not None:
            raise EnvironmentFailed(f"{error} (in step {step})")
        self._ask_after(step, size)
        return as_batch(drawn) if drawn is not None else self.task.batch(step, size, rng)

    def _is_of_training(self, rng: np.random.Generator, step: int) -> bool:
        """Whether these are the random numbers that the worker draws a step's batch from."""
        if self.task.recipe.window is not None:
            return True  # windows follow from the seed alone
        own = rng_of(self.seed, "train", step)
        return bool(rng.bit_generator.state == own.bit_generator.state)

    def _take_in(self) -> None:
        """Take in what has arrived."""
        while self.worker.is_open and self._receive():
            pass

    def _receive(self, patience: float = 0.0) -> bool:
        """Take in one answer, if there is one within so many seconds."""
        try:
            answer = self.worker.receive(patience)
        except (EOFError, OSError, ValueError):
            if self.worker.is_open:
                self._without(f"has ended (exit {self.worker.process.wait()})")
            self._asked = []
            return False
        if answer is None:
            return False
        head, drawn = answer
        if "ready" in head:
            self._ready = True
            return True
        key = (head["step"], head["size"])
        self._asked.remove(key)
        self._arrived[key] = head.get("error"), drawn
        return True

    def _without(self, why: str) -> None:
        """The same bits are made here from now on."""
        self.close()
        self._ready, self._asked = False, []
        what = f"the process that prepares trials {why}; trials are made in this one, which takes"
        warnings.warn(f"{what} longer", RuntimeWarning, stacklevel=2)

    def _ask_after(self, step: int, size: int) -> None:
        """Have the steps after this one made, and forget all others.

        Several at once: each request may wake the worker, and that can cost as much as a step.
        """
        coming = [(step + i, size) for i in range(1, self.ahead + 1)]
        self._arrived = {key: answer for key, answer in self._arrived.items() if key in coming}
        if not self._ready or not self.worker.is_open:
            return
        new = [key for key in coming if key not in self._asked and key not in self._arrived]
        if len(new) < max(self.ahead // 2, 1):
            return
        asked = new[: self.ahead - len(self._asked)]
        if asked and self.worker.ask([key[0] for key in asked], size):
            self._asked += asked

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def as_batch(drawn: Drawn) -> Batch:
    """The tensors of a batch, numbers in torch's default precision."""
    dtype = torch.get_default_dtype()
    targets = torch.from_numpy(drawn.targets)
    mask = None if drawn.loss_mask is None else torch.from_numpy(drawn.loss_mask).to(dtype)
    return Batch(
        torch.from_numpy(drawn.inputs).to(dtype),
        targets.to(dtype) if targets.is_floating_point() else targets,
        mask,
        drawn.trials,
    )
