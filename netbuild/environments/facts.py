"""What can be known of an environment before any training: its arguments, widths and trials."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from netbuild.environments.player import EnvironmentFailed, Player, Trial
from netbuild.environments.recipe import Environment
from netbuild.environments.registry import creator, quietly, signature_of

SAMPLED = 64  # trials searched for optional periods and variables; fewer if they are long
LARGEST_TRIAL = 10**7  # numbers in the inputs of one trial


@dataclass(frozen=True)
class Facts:
    """One environment with its arguments."""

    inputs: int
    actions: int | None  # how many; None where the answers are values
    values: int  # how many values answer, where they are values
    channels: Mapping[str, tuple[int, ...]]  # of the inputs, by the environment's own names
    periods: tuple[str, ...]  # that trials really have
    variables: tuple[str, ...]
    constant: Mapping[str, float]  # ms, of the periods whose length never changes

    @property
    def widths(self) -> tuple[int, int | None, int]:
        """How wide a network for it is, at both ends."""
        return self.inputs, self.actions, self.values

    @property
    def sizes(self) -> str:
        """The widths in words."""
        answers = f"{self.values} values" if self.actions is None else f"{self.actions} actions"
        return f"{self.inputs} inputs and {answers}"


def parameters_of(env: str, dt: float) -> dict[str, bool]:
    """The arguments that a registered environment takes, and whether it must be given each.

    `dt` is not among them. Raises EnvironmentFailed.
    """
    make = creator(env)
    found = signature_of(make)
    if not inspect.isclass(make):  # a function that passes them on to a class
        with quietly():
            inner = type(Player(Environment(env), dt, 0).base)
        found |= signature_of(inner)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        name: parameter.default is parameter.empty
        for name, parameter in found.items()
        if parameter.kind in named and name != "dt"
    }


def periods_of(environment: Environment, dt: float) -> dict[str, Any]:
    """The environment's own `timing`, without any that the recipe gives; EnvironmentFailed."""
    kwargs = {name: value for name, value in environment.kwargs.items() if name != "timing"}
    with quietly():
        player = Player(replace(environment, kwargs=kwargs), dt, 0)
    return dict(getattr(player.base, "timing", {}))


def overruled(environment: Environment, dt: float) -> list[str]:
    """The arguments of `kwargs`, as `timing.delay`, that the environment sets to its own value."""
    with quietly():
        base = Player(environment, dt, 0).base
    timing, given = getattr(base, "timing", {}), environment.kwargs.get("timing") or {}
    found = [f"timing.{period}" for period in given if timing.get(period) != given[period]]
    for name, value in environment.kwargs.items():
        if isinstance(value, (bool, str)) and getattr(base, name, value) != value:
            found.append(name)
    return found


def facts_of(environment: Environment, dt: float) -> Facts:
    """Look at an environment and some of its trials; raises EnvironmentFailed."""
    with quietly():
        player = Player(environment, dt, 0)
        shape = player.outer.observation_space.shape
        if shape is None or len(shape) != 1 or not shape[0]:
            what = f"observations of {environment.env} have the shape {shape}"
            raise EnvironmentFailed(f"{what}; a network reads rows of numbers")
        size = _checked_size(player, shape[0], dt)
        count = max(2, min(SAMPLED, int(LARGEST_TRIAL / size)))
        plain = [player.trial({}, np.random.default_rng(i)) for i in range(count)]
        first = plain[0]
        again = Player(environment, dt, 0).trial({}, np.random.default_rng(0))
    actions = player.actions
    answers = plain[0].answers
    if not np.array_equal(first.inputs, again.inputs):
        raise EnvironmentFailed(f"{environment.env} draws numbers that follow from no seed")
    _check_answers(environment, plain, actions)
    if not any(len(trial.inputs) for trial in plain):
        raise EnvironmentFailed(f"every trial of {environment.env} is empty")
    names = getattr(player.outer.observation_space, "name", {})
    return Facts(
        inputs=int(shape[0]),
        actions=actions,
        values=0 if answers.ndim == 1 else int(answers.shape[1]),
        channels={
            str(name): tuple(map(int, at)) if hasattr(at, "__iter__") else (int(at),)
            for name, at in names.items()
        },
        periods=tuple(dict.fromkeys(name for trial in plain for name in trial.periods)),
        variables=tuple(
            dict.fromkeys(name for trial in plain for name in trial.variables if name != "part")
        ),
        constant=_constant(player.base),
    )


def settable(environment: Environment, dt: float, name: str, value: Any) -> bool:
    """Whether a trial's variable can be given: a trial then has it; raises EnvironmentFailed."""
    with quietly():
        trial = Player(environment, dt, 0).trial({name: value}, np.random.default_rng(0))
    found = trial.variables.get(name)
    return name in trial.variables and bool(np.array_equal(np.asarray(found), np.asarray(value)))


def _check_answers(environment: Environment, trials: list[Trial], actions: int | None) -> None:
    """Refuse right answers that are no action: angles, cut to whole numbers, in Reaching1D."""
    found = [trial.answers for trial in trials if len(trial.answers)]
    if actions is None or not found:
        return
    low = min(int(part.min()) for part in found)
    high = max(int(part.max()) for part in found)
    if low < 0 or high >= actions:
        what = f"right answers of {environment.env} are {low} to {high}"
        raise EnvironmentFailed(f"{what}, but it has {actions} actions, counted from 0")


def _checked_size(player: Player, inputs: int, dt: float) -> float:
    """How many numbers a trial may have; more than a machine should be asked for are refused."""
    longest = sum(_longest(duration) for duration in getattr(player.base, "timing", {}).values())
    if longest / dt * inputs > LARGEST_TRIAL:
        what = f"a trial of {player.environment.env} may have {longest / dt:,.0f} steps of"
        raise EnvironmentFailed(f"{what} {inputs:,} inputs, more than {LARGEST_TRIAL:,} numbers")
    return max(longest / dt * inputs, 1.0)


def _longest(duration: Any) -> float:
    if isinstance(duration, (list, tuple)):
        return max((_longest(part) for part in duration), default=0.0)
    return float(duration) if isinstance(duration, (int, float)) else 0.0


def _constant(base: Any) -> dict[str, float]:
    found = {}
    for name, duration in getattr(base, "timing", {}).items():
        if isinstance(duration, (list, tuple)) and duration and duration[0] == "constant":
            duration = duration[1]
        if isinstance(duration, (int, float)):
            found[str(name)] = float(duration)
    return found
