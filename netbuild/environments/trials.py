"""Batches of whole trials: each draws its environment, and everything else, from one generator.

A batch holds padded inputs, targets, the weights of all steps in the loss, and a table of trials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netbuild.environments.player import EnvironmentFailed, Player, Trial, player_of
from netbuild.environments.recipe import Environment, Levels, Recipe
from netbuild.environments.registry import quietly

SEEDS = 2**32  # environments take seeds of 32 bits
Array = NDArray[Any]
MOST_VALUES = 64  # of one trial variable that is a list


class Drawn(NamedTuple):
    """A batch in numpy, as `netbuild.tasks.Batch` is in torch; the caller owns the arrays."""

    inputs: Array  # (batch, time, input) float32
    targets: Array  # (batch, time) int64 classes, or (batch, time, output) float32
    loss_mask: Array | None  # (batch, time) float32
    trials: dict[str, Array] | None  # (batch, ...) each


def draw_trials(
    recipe: Recipe, count: int, rng: np.random.Generator, known: dict[int, Player] | None = None
) -> Drawn:
    """`count` whole trials, which follow from `rng` alone; raises EnvironmentFailed.

    `known`, which belongs to this recipe alone, holds environments of an earlier batch: they are
    reset, and all others are made. Afterwards `known` holds the environments of this batch.
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
                # One whose code fails halfway must not come back, so it is removed first.
                players[i] = player_of(environment, recipe.dt, seeds[i], known.pop(i, None))
            trial = players[i].trial(conditions(environment, rng), rng)
            # The environment may change its variables afterwards.
            trials.append(trial._replace(variables=dict(trial.variables)))
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


def targets_of(answers: Array, actions: int | None, levels: Levels | None) -> Array:
    """The right answers, (..., time) or (..., time, output), in the form that the loss takes."""
    if actions is None:
        return answers.astype(np.float32)
    if levels is None:
        return answers.astype(np.int64)
    first = 0 if levels.fixation else 1
    right = answers[..., None] == np.arange(first, actions)
    return np.where(right, np.float32(levels.high), np.float32(levels.low))


def weights_of(recipe: Recipe, trial: Trial) -> Array:
    """How much each step of a trial counts in the loss, (time,): the most of its periods."""
    steps = len(trial.inputs)
    if recipe.period_weights is None:
        return np.ones(steps, np.float32)
    weights = np.zeros(steps, np.float32)
    for period, weight in recipe.period_weights.items():
        start, end = trial.periods.get(period, (0, 0))
        np.maximum(weights[start:end], weight, out=weights[start:end])
    return weights


def padded(
    recipe: Recipe, trials: Sequence[Trial], which: Sequence[int], actions: int | None
) -> Drawn:
    """A batch of whole trials, each followed by zeros up to the longest; these weigh nothing.

    `which` says of each trial which of the recipe's environments it is of.
    """
    lengths = np.array([len(trial.inputs) for trial in trials])
    longest = int(lengths.max())
    if longest == 0:
        raise EnvironmentFailed(f"every trial of {recipe.environments[0].env} is empty")
    first, count = trials[0], len(trials)
    width = first.inputs.shape[1]
    rules = len(recipe.environments) if recipe.rule_input else 0
    there = np.arange(longest) < lengths[:, None]  # (batch, time): steps of the trials themselves
    inputs = np.zeros((count, longest, width + rules), np.float32)
    inputs[there, :width] = np.concatenate([trial.inputs for trial in trials])
    if rules:
        inputs[..., width:] = there[..., None] & (
            np.arange(rules) == np.array(which)[:, None, None]
        )
    answers = np.zeros((count, longest, *first.answers.shape[1:]), first.answers.dtype)
    answers[there] = np.concatenate([trial.answers for trial in trials])
    mask = there.astype(np.float32)
    if recipe.period_weights is not None:
        mask[there] = np.concatenate([weights_of(recipe, trial) for trial in trials])
    targets = targets_of(answers, actions, recipe.levels)
    return Drawn(inputs, targets, mask, table(recipe, trials, which))


def table(recipe: Recipe, trials: Sequence[Trial], which: Sequence[int]) -> dict[str, Array]:
    """The trials' own variables, an array (batch, ...) each.

    `environment` is its name, `steps` the trial's length; `<period>_start` and `<period>_end` are
    the first step of a period and the one after its last, -1 where a trial has none. `answer`,
    `answer_start` and `answer_end` say what `answer_of` does. The rest comes from the environment.
    """
    found: dict[str, Array] = {
        "environment": np.array([recipe.environments[i].label for i in which]),
        "steps": np.array([len(trial.inputs) for trial in trials]),
    }
    if trials[0].answers.ndim == 1:
        shift = 1 if recipe.levels is not None and not recipe.levels.fixation else 0
        answers = np.array([answer_of(trial) for trial in trials])
        found["answer"] = answers[:, 0] - shift
        found["answer_start"], found["answer_end"] = answers[:, 1].copy(), answers[:, 2].copy()
    names = dict.fromkeys(name for trial in trials for name in trial.variables)
    for name in names:
        column = _column([trial.variables.get(name) for trial in trials])
        if column is not None:
            found[name] = column
    for period in dict.fromkeys(name for trial in trials for name in trial.periods):
        bounds = [trial.periods.get(period, (-1, -1)) for trial in trials]
        found[f"{period}_start"], found[f"{period}_end"] = np.array(bounds).T.copy()
    return found


def answer_of(trial: Trial) -> tuple[int, int, int]:
    """The right action of a trial, and the steps [start, stop) in which it is to be chosen.

    That is the period `decision`, or, where there is none, the last run of steps in which the
    right action is another than 0. In it the last step's action is the right one.
    """
    answers = trial.answers
    if "decision" in trial.periods:
        start, end = trial.periods["decision"]
    else:
        acting = np.flatnonzero(answers)
        end = int(acting[-1]) + 1 if len(acting) else len(answers)
        idle = np.flatnonzero(answers[:end] == 0)
        start = (int(idle[-1]) + 1 if len(idle) else 0) if len(acting) else 0
    return (int(answers[end - 1]) if end else 0), start, end


def _column(values: Sequence[Any]) -> Array | None:
    """One variable of all trials; NaN or "" where a trial has none, None for what is no data."""
    present = [np.asarray(value) for value in values if _is_data(value)]
    if not present or len({value.shape for value in present}) > 1:
        return None
    if len(present) == len(values):
        return np.array(present)
    text = any(value.dtype.kind == "U" for value in present)
    missing: Any = "" if text else np.full(present[0].shape, np.nan)
    return np.array([np.asarray(v) if _is_data(v) else missing for v in values])


def _is_data(value: Any) -> bool:
    if isinstance(value, (str, bool, int, float, np.generic)):
        return True
    if not isinstance(value, (list, tuple, np.ndarray)) or not 0 < len(value) <= MOST_VALUES:
        return False
    return all(isinstance(part, (bool, int, float, np.number, np.bool_)) for part in value)
