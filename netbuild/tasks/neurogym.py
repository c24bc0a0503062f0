"""A task whose trials are made by environments of neurogym, new ones for every batch."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch

from netbuild.environments.player import EnvironmentFailed
from netbuild.environments.recipe import Recipe
from netbuild.environments.trials import Drawn, draw_trials
from netbuild.environments.windows import WHOLE, Share, batches_of
from netbuild.environments.worker import Answer, Worker
from netbuild.streams import rng_of
from netbuild.system import cores
from netbuild.tasks.task import Batch

PATIENCE = 5.0  # seconds without an answer, which takes milliseconds
LATE = 1.0  # seconds of waiting for a worker after which a second one is worth its start


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

    Where this process has waited for `LATE` seconds in all, and may use another core, a second
    worker takes a half of the work. The batches and their order are the same.

        with Prefetch(task) as quick:
            batch = quick.batch(step, size, rng)
    """

    def __init__(self, task: NeurogymTask) -> None:
        self.task, self.seed = task, task.seed
        self.worker = Worker(task.recipe, task.seed)
        self.second: Worker | None = None
        self._ready: set[Worker] = set()
        self._next: tuple[int, int] | None = None  # the step and size that come next
        self._begun, self._shares = 0, 1  # the step from which on so many workers share the work
        self._waited = 0.0  # seconds for batches

    def close(self) -> None:
        """End the workers; a second call does nothing."""
        self.worker.close()
        if self.second is not None:
            self.second.close()

    def is_ready(self) -> bool:
        """Whether the worker can make batches."""
        return self._is_ready(self.worker)

    def _is_ready(self, worker: Worker) -> bool:
        is_new = worker not in self._ready and self.worker.is_open
        if is_new and self._receive(worker, 0.0) is not None:
            self._ready.add(worker)
        return worker in self._ready and self.worker.is_open

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
                self._begin(step + 1, size)
            self._next = (step + 1, size)
            self._share(step + 1, size)
        return self.task.batch(step, size, rng) if drawn is None else as_batch(drawn)

    def _is_of_training(self, rng: np.random.Generator, step: int) -> bool:
        """Whether these are the random numbers that the worker draws a step's batch from."""
        if self.task.recipe.window is not None:
            return True  # windows follow from the seed alone
        own = rng_of(self.seed, "train", step)
        return bool(rng.bit_generator.state == own.bit_generator.state)

    def _begin(self, step: int, size: int) -> None:
        """Have the batches from a step on made, by both workers where there are two."""
        workers = [self.worker]
        if self.second is not None and size > 1 and self._is_ready(self.second):
            workers.append(self.second)
        self._begun, self._shares = step, len(workers)
        for number, worker in enumerate(workers):
            worker.begin(step, size, (number, len(workers)))

    def _share(self, step: int, size: int) -> None:
        """Start a second worker where one is late, and give it its share once it is ready."""
        if not self.worker.is_open or size < 2 or self._shares > 1:
            return
        if self.second is None:
            if self._waited > LATE and cores() > 1:
                self.second = Worker(self.task.recipe, self.seed)
        elif self._is_ready(self.second):
            self._begin(step, size)

    def _prefetched(self, step: int, size: int) -> Drawn | None:
        """The workers' batch of a step; None where they have ended or do not answer."""
        if self._shares == 1 or self.second is None:
            return self._answered(self.worker, step, size, WHOLE)
        workers = (self.worker, self.second)
        if self.task.recipe.window is None:
            turn = (step - self._begun) % 2
            return self._answered(workers[turn], step, size, (turn, 2))
        halves = [self._answered(each, step, size, (k, 2)) for k, each in enumerate(workers)]
        return None if halves[0] is None or halves[1] is None else _joined(halves[0], halves[1])

    def _answered(self, worker: Worker, step: int, size: int, share: Share) -> Drawn | None:
        """A worker's share of the batches from a step on, of that step."""
        began = time.perf_counter()
        while self.worker.is_open:
            answer = self._receive(worker, PATIENCE)
            if answer is None:
                self._without("does not answer")
                break
            head, drawn = answer
            if (head["step"], head["size"], tuple(head["share"])) == (step, size, share):
                self._waited += time.perf_counter() - began
                if "error" in head:
                    raise EnvironmentFailed(f"{head['error']} (in step {step})")
                return drawn
        return None

    def _receive(self, worker: Worker, patience: float) -> Answer | None:
        try:
            return worker.receive(patience)
        except (EOFError, OSError, ValueError):
            self._without(f"has ended (exit {worker.process.wait()})")
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


def _joined(one: Drawn, two: Drawn) -> Drawn:
    """Both halves of the rows of a window, which has no table of trials."""
    mask = None
    if one.loss_mask is not None and two.loss_mask is not None:
        mask = np.concatenate((one.loss_mask, two.loss_mask))
    inputs = np.concatenate((one.inputs, two.inputs))
    return Drawn(inputs, np.concatenate((one.targets, two.targets)), mask, None)


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
