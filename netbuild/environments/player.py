"""One environment that gives one trial after the other, all of them from one seed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netbuild.environments.recipe import Environment
from netbuild.environments.registry import creator, signature_of
from netbuild.environments.renewal import Snapshot, Unknown

Array = NDArray[Any]


class EnvironmentFailed(ValueError):
    """An environment's own code raised an error, or gave what no network can be trained on."""


class Trial(NamedTuple):
    """One trial; its arrays are the environment's own until the next one is drawn."""

    inputs: Array  # (time, input)
    answers: Array  # (time,) the right action's number, or (time, output) values
    periods: dict[str, tuple[int, int]]  # [start, stop) in steps, of those that have any
    variables: dict[str, Any]


class _Draws(np.random.RandomState):
    """The same numbers, but one of a short list is chosen in half the time.

    Environments choose from lists several times in each trial, and it took a third of their time.
    """

    def choice(self, a: Any, size: Any = None, replace: bool = True, p: Any = None) -> Any:
        if size is None and p is None:
            among = np.asarray(a)
            if among.ndim == 1 and len(among):
                return among[self.randint(len(among))]
        return super().choice(a, size, replace, p)


class Player:
    """An instance of an environment with a seed.

    `new_trial` builds a whole trial at once, with its observations and its ground truth, so that
    nothing is ever stepped. Raises EnvironmentFailed.
    """

    def __init__(
        self, environment: Environment, dt: float, seed: int, *, renewable: bool = False
    ) -> None:
        """With `renewable` it keeps what `renew` needs."""
        self.environment, self.dt = environment, dt
        make = creator(environment.env)
        arguments = dict(environment.kwargs)
        draws_by_itself = "random_seed" in signature_of(make)  # numbers that no `seed()` governs
        if draws_by_itself:
            arguments["random_seed"] = seed
        self._as_made: Snapshot | None = None
        try:
            self.outer = make(dt=int(dt) if float(dt).is_integer() else dt, **arguments)
            self._new_trial = self.outer.get_wrapper_attr("new_trial")
            if renewable and not draws_by_itself:
                with suppress(Unknown):
                    self._as_made = Snapshot(self.outer)
            self._seed(seed)
        except Exception as error:
            raise _failed(environment, "cannot be made", error) from error
        # An environment of several (as yang19's two modalities) goes through them in turn, from
        # the first one on. As each batch begins anew, most would hardly ever come up.
        self._parts = len(getattr(self.outer, "envs", ())) if self._is_scheduled() else 0

    def renew(self, seed: int) -> bool:
        """Make it what a new one with a seed would be; False where it cannot be, and is spoilt."""
        if self._as_made is None:
            return False
        try:
            self._as_made.restore()
            self._seed(seed)
        except Exception as error:
            raise _failed(self.environment, "cannot be made", error) from error
        return self._as_made.draws_anew()

    def _seed(self, seed: int) -> None:
        self.outer.get_wrapper_attr("seed")(seed)
        for inner in (self.outer, *getattr(self.outer, "envs", ())):
            base = inner.unwrapped
            if type(getattr(base, "rng", None)) is np.random.RandomState:
                base.rng = _Draws(base.rng._bit_generator)
            # HierarchicalReasoning draws its first block before it has a seed, and its rule is that
            # of no other block: drawn again, from the seed, and either rule may come first.
            if hasattr(base, "new_block"):
                for _ in range(1 + seed % 2):
                    base.new_block()

    def _is_scheduled(self) -> bool:
        return all(name in vars(self.outer) for name in ("envs", "schedule", "next_i_env"))

    @property
    def base(self) -> Any:
        """The environment inside all wrappers; of several, that of the last trial."""
        return self.outer.unwrapped

    @property
    def actions(self) -> int | None:
        """How many actions there are to choose from; None where the answers are values."""
        count = getattr(self.base.action_space, "n", None)
        return None if count is None else int(count)

    def trial(self, fixed: Mapping[str, Any], part: np.random.Generator | None = None) -> Trial:
        """The next trial, with some of its variables given.

        `part` draws which one of several environments inside this one it is; without it they
        follow their own schedule.
        """
        if self._parts and part is not None:
            self.outer.next_i_env = int(part.integers(self._parts))
        before = self.base
        before.start_ind, before.end_ind = {}, {}  # optional periods of other trials stay in them
        try:
            variables = self._new_trial(**fixed)
        except Exception as error:
            said = ", ".join(f"{name}: {value}" for name, value in fixed.items())
            what = f"cannot give a trial{' with ' + said if said else ''}"
            raise _failed(self.environment, what, error) from error
        base = self.base
        inputs, answers = getattr(base, "ob", None), getattr(base, "gt", None)
        if inputs is None or answers is None:
            what = f"{self.environment.env} has no ground truth to learn from: it is for learning"
            raise EnvironmentFailed(f"{what} from rewards")
        if len(inputs) != len(answers):
            what = f"{len(inputs)} observations, but {len(answers)} right answers in a trial"
            raise EnvironmentFailed(f"{self.environment.env} gives {what}")
        found = dict(variables) if isinstance(variables, dict) else {}
        if self._parts:
            found["part"] = self.outer.i_env
        return Trial(inputs, answers, _periods(base, len(inputs)), found)


def renewed(player: Player | None, environment: Environment, dt: float, seed: int) -> Player:
    """A player as good as new: the one that was there before, or else another one."""
    if player is not None and (player.environment, player.dt) == (environment, dt):
        if player.renew(seed):
            return player
        return Player(environment, dt, seed)
    return Player(environment, dt, seed, renewable=True)


def _periods(base: Any, steps: int) -> dict[str, tuple[int, int]]:
    bounds = {
        name: (max(int(start), 0), min(int(base.end_ind[name]), steps))
        for name, start in base.start_ind.items()
    }
    return {name: (start, end) for name, (start, end) in bounds.items() if end > start}


def _failed(environment: Environment, what: str, error: Exception) -> EnvironmentFailed:
    said = " ".join(str(error).split())[:300]
    return EnvironmentFailed(f"{environment.env} {what}: {said or type(error).__name__}")
