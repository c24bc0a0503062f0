"""Batches cut from streams of trials, with the scheme of neurogym's `Dataset`.

Each row of a batch is a stream of trials, one after the other without a gap, which is cut into
windows of equal length: window w+1 begins where window w ended, so trials begin and end anywhere
in them. After a number of windows (a filling) all streams start again; the last window before that
is left out. All of this is as in `neurogym.utils.data.Dataset` (2.3.1), except that the streams are
seeded, so that any window can be made again, and that the caller owns the arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netbuild.environments.player import EnvironmentFailed, Player, player_of
from netbuild.environments.recipe import Recipe
from netbuild.environments.registry import quietly
from netbuild.environments.trials import (
    SEEDS,
    Drawn,
    choose,
    conditions,
    draw_trials,
    targets_of,
    weights_of,
)
from netbuild.streams import rng_of

Array = NDArray[Any]

CACHED = 1e5  # numbers that `Dataset` keeps at a time
EMPTY = 1000  # trials without a step before a stream is given up


Share = tuple[int, int]  # (k, n): the part number k, from 0, of n parts
WHOLE: Share = (0, 1)


def batches_of(
    recipe: Recipe, seed: int
) -> Callable[[int, int, np.random.Generator | None], Drawn]:
    """What makes the training batches of a recipe: (step, size, random numbers) to a batch.

    Whole trials are drawn from the random numbers, when they are given; windows never are.
    """
    if recipe.window is not None:
        return WindowSource(recipe, seed).batch
    known: dict[int, Player] = {}  # the environments of the last batch, which the next one resets

    def batch(step: int, size: int, rng: np.random.Generator | None) -> Drawn:
        return draw_trials(recipe, size, rng or rng_of(seed, "train", step), known)

    return batch


class WindowSource:
    """The windows of a recipe, by step. `seed` and the number of rows fix all of them.

    Going from one step to the next is quick; going anywhere else makes the streams again from
    where they last began.
    """

    def __init__(self, recipe: Recipe, seed: int) -> None:
        if recipe.window is None:
            raise ValueError("a recipe of windows says how long they are")
        self.recipe, self.seed, self.steps = recipe, seed, recipe.window
        self._at: tuple[int, int, Share] = (-1, -1, WHOLE)  # filling, rows, and which of them
        self._position = 0
        self._streams: list[_Stream] = []

    def batch(
        self, step: int, rows: int, rng: np.random.Generator | None = None, share: Share = WHOLE
    ) -> Drawn:
        """The window of one step, (rows, steps, ...), whatever the `rng`; EnvironmentFailed.

        With a share (k, n) only its part of the rows is made, which `rows_of` tells.
        """
        try:
            with quietly():
                probe, parts = self._go_to(step, rows, share)
        except BaseException:
            self._streams = []  # some of them have advanced, and some have not
            raise
        inputs, answers, *weights = (np.stack(part) for part in zip(*parts, strict=True))
        targets = targets_of(answers, probe.actions, self.recipe.levels)
        return Drawn(np.asarray(inputs, np.float32), targets, weights[0] if weights else None, None)

    def _go_to(self, step: int, rows: int, share: Share) -> tuple[_Stream, list[list[Array]]]:
        """One of the streams, and each one's part of the window of a step."""
        if not self._streams or self._at[1:] != (rows, share):
            self._begin(0, rows, share)
        probe = self._streams[0]
        # As many windows as `Dataset` gives from one filling of its cache.
        kept = int(CACHED / (probe.inputs + probe.answers) / rows)
        filling, window = divmod(step, max(1, kept // self.steps))
        if self._at[0] != filling or window < self._position:
            self._begin(filling, rows, share)
        for _ in range(self._position, window):
            for stream in self._streams:
                stream.take(self.steps)
        parts = [stream.take(self.steps) for stream in self._streams]
        self._position = window + 1
        return self._streams[0], parts

    def _begin(self, filling: int, rows: int, share: Share) -> None:
        rng = rng_of(self.seed, "train", "windows", filling)
        seeds = rng.integers(0, SEEDS, size=(rows, len(self.recipe.environments) + 1))
        # Each row's environments are reset, which is cheaper than to make them again.
        seeds = seeds[rows_of(rows, share)]
        known = [stream.players for stream in self._streams] + [{} for _ in range(rows)]
        self._streams = [
            _Stream(self.recipe, [int(seed) for seed in row], players)
            for row, players in zip(seeds, known, strict=False)
        ]
        self._at, self._position = (filling, rows, share), 0


def rows_of(rows: int, share: Share) -> slice:
    """The rows of a share (k, n), of n shares as equal as they can be."""
    k, n = share
    return slice(rows * k // n, rows * (k + 1) // n)


class _Stream:
    """One row: trials one after the other. `seeds` holds one of each environment, then its own."""

    def __init__(self, recipe: Recipe, seeds: list[int], known: dict[int, Player]) -> None:
        self.recipe, self._seeds, self._known = recipe, seeds, known
        self._rng = np.random.default_rng(seeds[-1])
        self.players: dict[int, Player] = {}
        player = self._player(0)
        self.actions = player.actions
        rules = len(recipe.environments) if recipe.rule_input else 0
        self.inputs = int(np.prod(player.outer.observation_space.shape)) + rules
        self.answers = int(np.prod(player.base.action_space.shape))
        self._rest: list[tuple[Array, ...]] = []
        self._left = 0  # steps in `_rest`

    def _player(self, i: int) -> Player:
        if i not in self.players:
            environment, before = self.recipe.environments[i], self._known.pop(i, None)
            self.players[i] = player_of(environment, self.recipe.dt, self._seeds[i], before)
        return self.players[i]

    def take(self, steps: int) -> list[Array]:
        """The next steps: inputs (time, input), answers (time, ...) and weights (time,)."""
        empty = 0
        while self._left < steps:
            part = self._next()
            self._rest.append(part)
            self._left += len(part[0])
            empty = 0 if len(part[0]) else empty + 1
            if empty > EMPTY:
                name = self.recipe.environments[0].env
                raise EnvironmentFailed(f"every trial of {name} is empty")
        whole = [np.concatenate(part) for part in zip(*self._rest, strict=True)]
        self._rest = [tuple(part[steps:] for part in whole)]
        self._left -= steps
        return [part[:steps] for part in whole]

    def _next(self) -> tuple[Array, ...]:
        """The next trial, its inputs, answers and, if its periods have any, weights."""
        [i] = choose(self.recipe, 1, self._rng)
        environment = self.recipe.environments[i]
        trial = self._player(i).trial(conditions(environment, self._rng))
        inputs = trial.inputs
        if self.recipe.rule_input:
            rule = np.zeros((len(inputs), len(self.recipe.environments)), np.float32)
            rule[:, i] = 1
            inputs = np.concatenate([inputs, rule], axis=1)
        if self.recipe.period_weights is None:
            return inputs, trial.answers
        return inputs, trial.answers, weights_of(self.recipe, trial)
