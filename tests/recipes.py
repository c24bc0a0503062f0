"""What tests of environments share: recipes of trials, and the batches drawn from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from netbuild.environments.recipe import Environment, Recipe
from netbuild.environments.registry import environment_names
from netbuild.environments.trials import Drawn, draw_trials
from netbuild.streams import rng_of

PERCEPTUAL = "PerceptualDecisionMaking-v0"


TIMING = {"fixation": ["choice", [40, 100]], "stimulus": ["choice", [100, 200, 400]]}


FROM_REWARDS = ["Bandit-v0", "DawTwoStep-v0", "EconomicDecisionMaking-v0", "Null-v0"]


ANGLES = ["Reaching1D-v0", "Reaching1DWithSelfDistraction-v0"]


NEEDED = {"AnnubesEnv-v0": {"session": {"v": 0.5, "o": 0.5}, "catch_prob": 0.5}}


def recipe(env: str = PERCEPTUAL, dt: float = 20, **words: Any) -> Recipe:
    kwargs = words.pop("kwargs", {"timing": TIMING} if env == PERCEPTUAL else NEEDED.get(env, {}))
    trials = words.pop("trials", {})
    return Recipe((Environment(env, kwargs=kwargs, trials=trials),), dt, **words)


def drawn(given: Recipe, count: int = 8, step: int = 0, seed: int = 0) -> Drawn:
    return draw_trials(given, count, rng_of(seed, "train", step))


def same(one: Drawn, other: Drawn) -> bool:
    arrays = [(a.inputs, a.targets, a.loss_mask) for a in (one, other)]
    if not all(np.array_equal(a, b) for a, b in zip(*arrays, strict=True)):
        return False
    a, b = one.trials or {}, other.trials or {}
    return list(a) == list(b) and all(
        a[key].dtype == b[key].dtype and a[key].tobytes() == b[key].tobytes() for key in a
    )


LEARNABLE = [n for n in environment_names() if n not in (*FROM_REWARDS, *ANGLES)]


def mixed(**words: Any) -> Recipe:
    parts = (
        Environment("yang19.go-v0", "go", weight=5),
        Environment("yang19.dm1-v0", "dm", weight=1),
        Environment("yang19.dms-v0", weight=4),
    )
    return Recipe(parts, 20, rule_input=True, **words)
