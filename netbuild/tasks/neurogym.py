"""A task whose trials are made by environments of neurogym, new ones for every batch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch

from netbuild.environments.player import EnvironmentFailed
from netbuild.environments.recipe import Recipe
from netbuild.environments.trials import Drawn, draw_trials
from netbuild.environments.windows import batches_of
from netbuild.environments.worker import Answer, Worker
from netbuild.streams import rng_of
from netbuild.tasks.task import Batch

PATIENCE = 5.0  # seconds without an answer, which takes milliseconds


class NeurogymTask:
    """Trials of a recipe. Every batch follows from (`seed`, step), and none is given twice.

    Whole trials come padded, (trial, time, input), with a loss mask that is 0 in the padding and
    with a table of the trials; windows have no such table. `evaluation` is the recipe of the trials
    that are scored; `recipe` when it is left out.

    Its methods raise `netbuild.environments.EnvironmentFailed` (a ValueError) where an
    environment's own code fails, and NetbuildError (exit 10) without neurogym.
    """

    def __init__(self, recipe: Recipe, *, seed: int = 0, evaluation: Recipe | None = None) -> None:
        self.recipe, self.seed = recipe, seed
        self.scored = evaluation or recipe

    @cached_property
    def _draw(self) -> Callable[[int, int, np.random.Generator | None], Drawn]:
        return batches_of(self.recipe, self.seed)

    def batch(self, step: int, size: int, rng: np.random.Generator | None = None) -> Batch:
        """The batch of one step; whole trials are drawn from `rng`, when it is given.

        Windows are of streams that `seed` alone begins, whatever the `rng`.
        """
        return as_batch(self._draw(step, size, rng))

    def whole_trials(self, count: int, rng: np.random.Generator) -> Batch:
        """`count` trials as they are scored, whole ones even where windows are trained on."""
        return as_batch(draw_trials(self.scored, count, rng))

    def __getstate__(self) -> dict[str, Any]:
        """Without the environments, which cannot be pickled and are made again."""
        return {name: value for name, value in vars(self).items() if name != "_draw"}


class Prefetch:
    """A NeurogymTask whose next batches are being made while the last one is trained on.

    Batches that the worker cannot give are made in this process: while the worker starts, out of
    the order of the steps, for another stream than the training's, and after the worker has ended,
    of which a RuntimeWarning tells once. So the batches never depend on the worker. Close it, or
    use it in a `with`; it also ends with this process, however this process ends.

        with Prefetch(task) as quick:
            batch = quick.batch(step, size, rng)
    """

    def __init__(self, task: NeurogymTask) -> None:
        self.task, self.seed = task, task.seed
        self.worker = Worker(task.recipe, task.seed)
        self.close = self.worker.close
        self._ready = False
        self._next: tuple[int, int] | None = None  # the step and size that come next

    def is_ready(self) -> bool:
        """Whether the worker can make batches."""
        if not self._ready and self.worker.is_open:
            self._ready = self._receive(0.0) is not None
        return self._ready and self.worker.is_open

    def whole_trials(self, count: int, rng: np.random.Generator) -> Batch:
        """As the task's own: the trials that are scored."""
        return self.task.whole_trials(count, rng)

    def batch(self, step: int, size: int, rng: np.random.Generator | None = None) -> Batch:
        """The task's own batch of one step; raises EnvironmentFailed as it does."""
        if rng is not None and not self._is_of_training(rng, step):
            return self.task.batch(step, size, rng)
        drawn = None
        if self.is_ready():
            if self._next == (step, size):
                drawn = self._prefetched(step, size)
            else:
                self.worker.begin(step + 1, size)
            self._next = (step + 1, size)
        return self.task.batch(step, size, rng) if drawn is None else as_batch(drawn)

    def _is_of_training(self, rng: np.random.Generator, step: int) -> bool:
        """Whether these are the random numbers that the worker draws a step's batch from."""
        if self.task.recipe.window is not None:
            return True  # windows follow from the seed alone
        own = rng_of(self.seed, "train", step)
        return bool(rng.bit_generator.state == own.bit_generator.state)

    def _prefetched(self, step: int, size: int) -> Drawn | None:
        """The worker's batch of a step; None where it has ended or does not answer."""
        while self.worker.is_open:
            answer = self._receive(PATIENCE)
            if answer is None:
                self._without("does not answer")
                break
            head, drawn = answer
            if (head["step"], head["size"]) == (step, size):
                if "error" in head:
                    raise EnvironmentFailed(f"{head['error']} (in step {step})")
                return drawn
        return None

    def _receive(self, patience: float) -> Answer | None:
        try:
            return self.worker.receive(patience)
        except (EOFError, OSError, ValueError):
            self._without(f"has ended (exit {self.worker.process.wait()})")
            return None

    def _without(self, why: str) -> None:
        """Make the same bits here from now on."""
        if self.worker.is_open:
            self.close()
            what = f"the process that prepares trials {why}; trials are made in this one, which"
            warnings.warn(f"{what} takes longer", RuntimeWarning, stacklevel=2)

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(self, *error: object) -> None:
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
