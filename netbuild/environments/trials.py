"""Batches of whole trials: each draws its environment, and everything else, from one generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from netbuild.environments.drawn import Drawn, padded
from netbuild.environments.player import Player, Trial, renewed
from netbuild.environments.recipe import Environment, Recipe
from netbuild.environments.registry import quietly

SEEDS = 2**32  # environments take seeds of 32 bits


def draw_trials(
    recipe: Recipe,
    count: int,
    rng: np.random.Generator,
    known: dict[int, Player] | None = None,
) -> Drawn:
    """`count` whole trials, which follow from `rng` alone; raises EnvironmentFailed.

    Nothing of an earlier batch is left in the environments: they are made anew, or renewed where
    `known`, which is for this recipe alone, has them; those of this batch are left in it.
    """
    known = {} if known is None else known
    with quietly():
        which = choose(recipe, count, rng)
        seeds = [int(seed) for seed in rng.integers(0, SEEDS, size=len(recipe.environments))]
        players: dict[int, Player] = {}
        trials: list[Trial] = []
        for i in which:
            environment = recipe.environments[i]
            if i not in players:
                # Taken out, so that one whose code fails halfway is not met again.
                players[i] = renewed(known.pop(i, None), environment, recipe.dt, seeds[i])
            trial = players[i].trial(conditions(environment, rng), rng)
            trials.append(kept(trial))
        known.update(players)
        return padded(recipe, trials, which, players[which[0]].actions)


def choose(recipe: Recipe, count: int, rng: np.random.Generator) -> list[int]:
    """Which environment each of `count` trials is of, by their weights."""
    weights = np.array([environment.weight for environment in recipe.environments])
    if len(weights) == 1:
        return [0] * count
    return [int(i) for i in rng.choice(len(weights), size=count, p=weights / weights.sum())]


def conditions(environment: Environment, rng: np.random.Generator) -> Mapping[str, Any]:
    """One of the values of each variable that is given."""
    return {
        name: values[int(rng.integers(len(values)))] for name, values in environment.trials.items()
    }


def kept(trial: Trial) -> Trial:
    """A trial with what the environment may change afterwards copied."""
    return trial._replace(variables=dict(trial.variables))
