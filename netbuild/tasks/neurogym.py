"""A task whose trials are made by environments of neurogym, new ones for every batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from netbuild.environments import Drawn, Player, Recipe, WindowSource, draw_trials
from netbuild.streams import rng_of
from netbuild.tasks.task import Batch


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
        self._windows = None if recipe.window is None else WindowSource(recipe, seed)
        self._players: dict[int, Player] = {}  # of the last batch, to be renewed

    def batch(self, step: int, size: int, rng: np.random.Generator | None = None) -> Batch:
        """The batch of one step; whole trials are drawn from `rng`, when it is given.

        Windows are of streams that `seed` alone begins, whatever the `rng`.
        """
        return as_batch(self.draw(step, size, rng))

    def draw(self, step: int, size: int, rng: np.random.Generator | None = None) -> Drawn:
        """As `batch`, in numpy."""
        if self._windows is not None:
            return self._windows.batch(step, size)
        rng = rng or rng_of(self.seed, "train", step)
        return draw_trials(self.recipe, size, rng, self._players)

    def whole_trials(self, count: int, rng: np.random.Generator) -> Batch:
        """`count` trials as they are scored, whole ones even where windows are trained on."""
        return as_batch(draw_trials(self.scored, count, rng))

    def __getstate__(self) -> dict[str, Any]:
        return {"recipe": self.recipe, "seed": self.seed, "scored": self.scored}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(  # type: ignore[misc]
            state["recipe"], seed=state["seed"], evaluation=state["scored"]
        )


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
