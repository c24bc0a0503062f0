"""One environment that gives one trial after the other, all of them from one seed.

For a new batch an environment must be as it was when it was made. Restoring all of its variables
is several times cheaper than making another environment. An environment that holds an object whose
state cannot be restored for certain is made again.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netbuild.environments.recipe import Environment
from netbuild.environments.registry import creator, signature_of

Array = NDArray[Any]
PLAIN = (type(None), bool, int, float, str, bytes, range, np.generic)
LONGEST_REASON = 300  # characters of an environment's own error message


class EnvironmentFailed(ValueError):
    """An environment's own code raised an error, or gave what no network can be trained on."""


class Trial(NamedTuple):
    """One trial; its arrays are the environment's own until the next one is drawn."""

    inputs: Array  # (time, input)
    answers: Array  # (time,) the right action's number, or (time, output) values
    periods: dict[str, tuple[int, int]]  # [start, stop) in steps, of those that have any
    variables: dict[str, Any]


class Player:
    """An instance of an environment with a seed.

    `new_trial` builds a whole trial at once, with its observations and its ground truth, so that
    nothing is ever stepped. Raises EnvironmentFailed.
    """

    def __init__(
        self, environment: Environment, dt: float, seed: int, *, resettable: bool = False
    ) -> None:
        """With `resettable` it keeps what `reset` needs."""
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
            if resettable and not draws_by_itself:
                with suppress(Unknown):
                    self._as_made = Snapshot(self.outer)
            self._seed(seed)
        except Exception as error:
            raise _failed(environment, "cannot be made", error) from error
        # Some environments consist of several (yang19's two modalities) and take turns, from the
        # first one on. Each batch begins at the start, so most would hardly ever come up.
        takes_turns = {"envs", "schedule", "next_i_env"} <= vars(self.outer).keys()
        self._parts = len(self.outer.envs) if takes_turns else 0

    def reset(self, seed: int) -> bool:
        """Make it what a new one with a seed would be; False where it cannot, and is spoilt."""
        if self._as_made is None:
            return False
        try:
            self._as_made.restore()
            self._seed(seed)
        except Exception as error:
            raise _failed(self.environment, "cannot be made", error) from error
        return self._as_made.draws_differ()

    def _seed(self, seed: int) -> None:
        self.outer.get_wrapper_attr("seed")(seed)
        for inner in (self.outer, *getattr(self.outer, "envs", ())):
            base = inner.unwrapped
            if type(getattr(base, "rng", None)) is np.random.RandomState:
                base.rng = _Draws(base.rng._bit_generator)
            # HierarchicalReasoning draws its first block before it has a seed, and the rule of a
            # block is never that of the block before. So it is drawn again from the seed, once or
            # twice, and either rule may come first.
            if hasattr(base, "new_block"):
                for _ in range(1 + seed % 2):
                    base.new_block()

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
            given = ", ".join(f"{name}: {value}" for name, value in fixed.items())
            what = f"cannot give a trial{' with ' + given if given else ''}"
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
        bounds = {
            name: (max(int(start), 0), min(int(base.end_ind[name]), len(inputs)))
            for name, start in base.start_ind.items()
        }
        periods = {name: (start, end) for name, (start, end) in bounds.items() if end > start}
        return Trial(inputs, answers, periods, found)


def player_of(
    environment: Environment, dt: float, seed: int, before: Player | None = None
) -> Player:
    """A player as good as new: the one of an earlier batch, reset, or else another one."""
    if before is None or (before.environment, before.dt) != (environment, dt):
        return Player(environment, dt, seed, resettable=True)
    return before if before.reset(seed) else Player(environment, dt, seed)


def _failed(environment: Environment, what: str, error: Exception) -> EnvironmentFailed:
    reason = " ".join(str(error).split())[:LONGEST_REASON] or type(error).__name__
    return EnvironmentFailed(f"{environment.env} {what}: {reason}")


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


# The state of an environment, kept and given back


class Unknown(Exception):
    """An object whose state nothing here can vouch for."""


class Snapshot:
    """The variables of an environment and of all objects in it. Raises Unknown."""

    def __init__(self, outer: Any) -> None:
        self._parts: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._functions: list[types.FunctionType] = []
        self._note(outer)
        for function in self._functions:
            # It may hold objects of the environment and plain values, and nothing else.
            held = [cell.cell_contents for cell in function.__closure__ or ()]
            if not all(isinstance(value, PLAIN) or id(value) in self._parts for value in held):
                raise Unknown(function.__qualname__)

    def restore(self) -> None:
        """Give every object the variables that it had, and remove those that came later."""
        for part, kept in self._parts.values():
            now = vars(part)
            now.clear()
            now.update((name, copied(value)) for name, value in kept.items())

    def draws_differ(self) -> bool:
        """Whether seeding has replaced the random numbers of every object."""
        return not any(
            isinstance(value, np.random.RandomState) and vars(part).get(name) is value
            for part, kept in self._parts.values()
            for name, value in kept.items()
        )

    def _note(self, part: Any) -> None:
        if id(part) in self._parts:
            return
        mine = dict(vars(part))
        self._parts[id(part)] = part, mine
        for value in mine.values():
            self._look_into(value)
        mine.update((name, copied(value)) for name, value in mine.items())

    def _look_into(self, value: Any) -> None:
        if isinstance(value, (list, tuple, set, dict)):
            for item in value.values() if isinstance(value, dict) else value:
                self._look_into(item)
        elif isinstance(value, types.FunctionType):
            self._functions.append(value)
        elif isinstance(value, np.ndarray):
            if value.dtype.hasobject:
                raise Unknown("an array of objects")
        elif not _is_constant(value):
            package = type(value).__module__.split(".")[0]
            if package not in ("neurogym", "gymnasium") or not hasattr(value, "__dict__"):
                raise Unknown(type(value).__name__)
            self._note(value)


def copied(value: Any) -> Any:
    """A value with all containers and arrays in it copied; objects are themselves."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) is dict:
        return {key: copied(item) for key, item in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)(copied(item) for item in value)
    return value


def _is_constant(value: Any) -> bool:
    """Whether a value never changes, but for random numbers, which seeding replaces."""
    from gymnasium.spaces import Box, Discrete

    # A space has its own random numbers, but only sampling it uses them, which no trial does.
    return isinstance(value, (*PLAIN, np.random.RandomState, Box, Discrete))
