"""What is given to an environment, its arguments and variables of its trials, against what it has.

neurogym takes misspelt periods and trial variables without a word, and trains something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from netbuild.environments import (
    Environment,
    EnvironmentFailed,
    Facts,
    facts_of,
    overruled,
    parameters_of,
    periods_of,
    settable,
)
from netbuild.language.context import Context, Result
from netbuild.language.durations import MOST_VALUES, wrong_duration
from netbuild.yamltree.nodes import Location

LARGEST = 1e6  # of the numbers among an environment's arguments, in either direction
MOST_BLAMED = 20  # arguments that are looked at one by one when an environment fails
SEEDS = ("random_seed", "frozen_seed")  # AnnubesEnv's own


def blamed_for(
    context: Context, where: Location, at: Location, environment: Environment, dt: float
) -> Location:
    """What is to blame where an environment fails: the argument without which it is fine.

    All of them together, if it is fine without any; else the environment itself.
    """
    place, given = (*where, "env_kwargs"), environment.kwargs
    if not context.given(place):
        return at
    for name in list(given)[:MOST_BLAMED]:
        others = {key: value for key, value in given.items() if key != name}
        if context.given((*place, name)) and _works(replace(environment, kwargs=others), dt):
            return (*place, name)
    return place if _works(replace(environment, kwargs={}), dt) else at


def _works(environment: Environment, dt: float) -> bool:
    try:
        facts_of(environment, dt)
    except EnvironmentFailed:
        return False
    return True


def attempt(
    context: Context, location: Location | Callable[[], Location], work: Callable[[], Result]
) -> Result | None:
    """The result of running an environment, or None with what it said noted at `location`."""
    try:
        return work()
    except EnvironmentFailed as error:
        context.problem("NB310", location() if callable(location) else location, str(error))
        return None


def check_arguments(
    context: Context,
    dt: float,
    where: Location,
    at: Location,
    environment: Environment,
    given: Mapping[str, Any],
) -> Environment | None:
    """The environment, when the arguments `given` at `where` are some that it takes and keeps."""
    before = len(context.problems)
    place = (*where, "env_kwargs")
    parameters = attempt(context, at, lambda: parameters_of(environment.env, dt))
    if parameters is None:
        return None
    for name, value in given.items():
        if name == "dt":
            _same_dt(context, (*place, name), value, dt)
        elif name in SEEDS:
            what = f"`{name}` would make every batch the same; all draws follow from `seed`"
            context.problem("NB308", (*place, name), what, "take it away", key=True)
        elif name not in parameters:
            what = f"{environment.env} takes no argument `{name}`"
            hint = context.near(name, sorted(parameters))
            context.problem("NB101", (*place, name), what, hint, key=True)
        too_large(context, (*place, name), value)
    missing = [name for name, must in parameters.items() if must and name not in environment.kwargs]
    for name in missing:
        what = f"{environment.env} needs the argument `{name}`"
        context.problem("NB102", at, what, f"write it into `env_kwargs: {{{name}: ...}}`")
    if len(context.problems) > before:
        return None
    kwargs = {name: value for name, value in environment.kwargs.items() if name != "dt"}
    environment = replace(environment, kwargs=kwargs)
    blamed = partial(blamed_for, context, where, at, environment, dt)
    if not _timing_fits(context, dt, (*place, "timing"), blamed, environment, given.get("timing")):
        return None
    found = attempt(context, blamed, lambda: overruled(environment, dt))
    for path in found or ():
        keys = path.split(".", 1)
        what = f"{environment.env} sets `{path}` to a value of its own; this has no effect"
        context.problem("NB310", (*place, *keys), what, key=True)
    return environment if len(context.problems) == before else None


def _same_dt(context: Context, location: Location, value: object, dt: float) -> None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == dt:
        return
    what = f"the time step is the spec's `dt`, {dt:g} ms"
    context.problem("NB308", location, what, "take it away", key=True)


def too_large(context: Context, location: Location, value: object) -> bool:
    """Whether a value holds numbers that a machine should not be asked to work with."""
    large = [(at, number) for at, number in _numbers(location, value) if not abs(number) <= LARGEST]
    for at, number in large:
        what = f"numbers here are at most {LARGEST:,.0f} in either direction, found {number:g}"
        context.problem("NB104", at, what)
    return bool(large)


def _numbers(location: Location, value: object) -> Iterator[tuple[Location, float]]:
    """Every number in a value, with its place."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _numbers((*location, key), child)
    elif isinstance(value, list):
        for i, child in enumerate(value):
            yield from _numbers((*location, i), child)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield location, value


def _timing_fits(
    context: Context,
    dt: float,
    place: Location,
    blamed: Callable[[], Location],
    environment: Environment,
    timing: object,
) -> bool:
    """Whether the periods and durations written at `place` are ones that the environment has."""
    if timing is None:
        return True
    before = len(context.problems)
    if not isinstance(timing, dict):
        what = "expected a mapping of periods"
        context.problem("NB103", place, what, "for example `timing: {stimulus: 500}`")
        return False
    periods = attempt(context, blamed, lambda: periods_of(environment, dt))
    if periods is None:
        return False
    for period, duration in timing.items():
        if period not in periods:
            what = f"{environment.env} has no period `{period}`"
            hint = context.near(period, sorted(periods))
            context.problem("NB101", (*place, period), what, hint, key=True)
        elif period == "decision" and duration == 0:
            what = "without a decision there is nothing to choose: the right answer is always 0"
            context.problem("NB104", (*place, period), what, f"at least one step, {dt:g}")
        elif wrong := wrong_duration(duration, dt):
            hint = "a number of ms, a list to choose from, or [uniform, [200, 400]]"
            context.problem("NB104", (*place, period), wrong, hint)
    return len(context.problems) == before


def trials_fit(
    context: Context,
    where: Location,
    environment: Environment,
    trials: Mapping[str, Any],
    facts: Facts,
    dt: float,
) -> bool:
    """Whether an environment's trials have these variables, and keep each of these values."""
    before = len(context.problems)
    for name, values in trials.items():
        place: Location = (*where, "trials", name)
        if name not in facts.variables:
            what = f"trials of {environment.env} have no variable `{name}`"
            hint = context.near(name, facts.variables)
            context.problem("NB101", place, what, hint, key=True)
            continue
        if not 0 < len(values) <= MOST_VALUES:
            what = f"1 to {MOST_VALUES:,} values to choose from, not {len(values):,}"
            context.problem("NB104", place, what)
            continue
        written = context.parsed.tree.at(place)
        in_list = written is not None and isinstance(written.value, list)
        for i, value in enumerate(values):
            spot = (*place, i) if in_list else place
            if isinstance(value, dict) or value is None:
                what = "expected a value, or a list of values to choose from"
                context.problem("NB103", spot, what)
                continue
            if too_large(context, spot, value):
                continue
            fits = attempt(context, spot, partial(settable, environment, dt, name, value))
            if fits is False:
                what = f"{environment.env} draws `{name}` by itself; it cannot be given"
                context.problem("NB310", place, what, key=True)
                break
    return len(context.problems) == before
