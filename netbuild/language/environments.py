"""The environments of a task against what neurogym has: names, arguments, periods, variables.

neurogym ignores misspelt periods and trial variables, and trains something else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from netbuild.environments.facts import (
    Facts,
    facts_of,
    overruled,
    parameters_of,
    periods_of,
    settable,
)
from netbuild.environments.player import EnvironmentFailed
from netbuild.environments.recipe import Environment, Levels, Recipe
from netbuild.environments.registry import environment_names
from netbuild.errors import NetbuildError
from netbuild.language.context import Context, Here, Result
from netbuild.language.plan import NeurogymPlan

Neurogym: TypeAlias = Any  # the section with the keys, whose file imports this one
LARGEST = 1e6  # of the numbers among an environment's arguments, in either direction
EXAMPLES = 6  # environments that a hint names where no name is close to the one written
MOST_BLAMED = 20  # arguments that are removed one by one when an environment fails
MOST_STEPS = 1e6  # of one period
MOST_VALUES = 1000  # to choose from
SEEDS = ("random_seed", "frozen_seed")  # arguments of AnnubesEnv
LEAST_LIKELY = 1e-3  # of a truncated exponential, which is drawn again until it fits
# The distributions of a period's duration in neurogym, and how many numbers each takes.
DISTRIBUTIONS = {
    "uniform": (2, 2),
    "choice": (1, MOST_VALUES),
    "truncated_exponential": (1, 3),
    "constant": (1, 1),
    "until": (1, 1),
}


def check_environments(context: Context, task: Neurogym) -> NeurogymPlan | None:
    """What a task of `type: neurogym` gives, or None with its problems noted."""
    here = context.at("task")
    try:
        names = environment_names()
    except NetbuildError as error:
        here["type"].problem("NB1001", str(error), error.hint)
        return None
    dt = _dt(context)
    written = _written(here, task, dt or 0.0)
    if not written or dt is None:
        return None
    parts = [part for part in (each.looked_at(names) for each in written) if part is not None]
    if len(parts) < len(written) or not _equal_widths(parts):
        return None
    facts = parts[0][1]
    weights = _period_weights(here["loss_mask"], task, [facts for _, facts in parts])
    levels = _levels(here["targets"], task, facts)
    scored = _evaluation(here["evaluation"], task, parts)
    environments = tuple(each.environment for each, _ in parts)
    recipe = Recipe(environments, dt, task.rule_input, task.window, levels, weights)
    rules = [environment.label for environment in environments] if task.rule_input else []
    channels = {rule: (facts.inputs + i,) for i, rule in enumerate(rules)}
    outputs = facts.values
    if facts.actions is not None:
        outputs = facts.actions - (levels is not None and not levels.fixation)
    return NeurogymPlan(
        facts.inputs + len(rules),
        {**facts.channels, **channels},
        outputs,
        facts.actions is not None,
        recipe,
        replace(recipe, environments=scored, window=None),
    )


def _dt(context: Context) -> float | None:
    node = context.parsed.tree.at(("dt",))
    value = node.value if node is not None else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if 0 < value < math.inf else None  # others have a problem already
    if value is None:
        hint = "write `dt: 20` (in ms) at the top of the spec"
        context.at("task").problem("NB102", "nothing says how long a time step is", hint, key=True)
    return None


def _written(here: Here, task: Neurogym, dt: float) -> list[_Written]:
    """Each environment as it is written; none, with a problem, where it is not clear which."""
    if task.env is not None and task.envs:
        what = "`env` and `envs` both say where the trials come from"
        here["envs"].problem("NB308", what, "remove one of them", key=True)
        return []
    if task.env is None and not task.envs:
        hint = "write `env: PerceptualDecisionMaking-v0`"
        here.problem("NB102", "no environment is named", hint, key=True)
        return []
    if task.rule_input and not task.envs:
        what = "a rule input says which of several environments a trial is of; there is only one"
        here["rule_input"].problem("NB308", what, "remove it, or write `envs`", key=True)
    for name in ("env_kwargs", "trials") if task.envs else ():
        if getattr(task, name):
            what = f"`{name}` of the task has no effect, since each item of `envs` has its own"
            here[name].problem("NB308", what, "move it into the items", key=True)
    written: list[_Written] = []
    for i, item in enumerate(task.envs or [task]):
        where = here["envs"][i] if task.envs else here
        name, weight = getattr(item, "name", None) or "", getattr(item, "weight", 1.0)
        environment = Environment(item.env, name, item.env_kwargs, _listed(item.trials), weight)
        if environment.label in (each.environment.label for each in written):
            what = f"two of the environments are called {environment.label}"
            where["name" if name else "env"].problem("NB303", what, "give each its own `name`")
        where.numbers_fit(item)
        written.append(_Written(where, where["env"], environment, dt))
    return written


def _listed(trials: Mapping[str, object]) -> dict[str, list[Any]]:
    """Each variable's values; a single value is a list of one."""
    return {name: v if isinstance(v, list) else [v] for name, v in trials.items()}


# One environment


@dataclass(frozen=True)
class _Written:
    """An environment, and where the spec writes it."""

    where: Here  # the section with its `env_kwargs` and `trials`
    at: Here  # its `env`, which is to blame for what nothing in the section explains
    environment: Environment
    dt: float  # ms

    def looked_at(self, names: list[str]) -> tuple[_Written, Facts] | None:
        """The same without `dt` among its arguments, and its facts; None with a problem noted."""
        env = self.environment.env
        if env not in names:
            hint = self.at.context.near(env, names) or _some(env, names)
            self.at.problem("NB105", f"neurogym registers no environment `{env}`", hint)
            return None
        checked = self.with_arguments(self.environment.kwargs)
        facts = checked.attempt(facts_of) if checked is not None else None
        if checked is None or facts is None:
            return None
        short = {name: ms for name, ms in facts.constant.items() if 0 < ms < self.dt}
        for name, ms in short.items():
            what = f"its period `{name}` lasts {ms:g} ms, less than a time step ({self.dt:g} ms)"
            hint = f"a smaller `dt`, or `env_kwargs: {{timing: {{{name}: {self.dt:g}}}}}`"
            self.at.problem("NB310", f"{what}: it would be empty", hint)
        if short or not checked.takes(checked.environment.trials, facts):
            return None
        return checked, facts

    def attempt(
        self, work: Callable[[Environment, float], Result], at: Here | None = None
    ) -> Result | None:
        """The result of running the environment; None with a problem `at` a place, or by blame."""
        try:
            return work(self.environment, self.dt)
        except EnvironmentFailed as error:
            (at or self._blamed()).problem("NB310", str(error))
            return None

    def _blamed(self) -> Here:
        """The argument without which the environment does not fail.

        All of them together, if it is fine without any; else the environment itself.
        """
        here, given = self.where["env_kwargs"], self.environment.kwargs
        if not here.given:
            return self.at
        for name in list(given)[:MOST_BLAMED]:
            others = {key: value for key, value in given.items() if key != name}
            if here[name].given and self._works_with(others):
                return here[name]
        return here if self._works_with({}) else self.at

    def _works_with(self, kwargs: Mapping[str, Any]) -> bool:
        try:
            facts_of(replace(self.environment, kwargs=kwargs), self.dt)
        except EnvironmentFailed:
            return False
        return True

    def with_arguments(self, given: Mapping[str, Any]) -> _Written | None:
        """The same without `dt`, when the arguments `given` here are taken and kept."""
        before = len(self.at.context.problems)
        here, env = self.where["env_kwargs"], self.environment.env
        parameters = self.attempt(lambda _, dt: parameters_of(env, dt), self.at)
        if parameters is None:
            return None
        for name, value in given.items():
            self._check_argument(here[name], name, value, parameters)
        for name, must in parameters.items():
            if must and name not in self.environment.kwargs:
                hint = f"write it into `env_kwargs: {{{name}: ...}}`"
                self.at.problem("NB102", f"{env} needs the argument `{name}`", hint)
        if len(self.at.context.problems) > before:
            return None
        kwargs = {name: value for name, value in self.environment.kwargs.items() if name != "dt"}
        checked = replace(self, environment=replace(self.environment, kwargs=kwargs))
        if given.get("timing") is not None and not checked._has_periods(given["timing"]):
            return None
        for path in checked.attempt(overruled) or ():
            place = here
            for name in path.split(".", 1):
                place = place[name]
            what = f"{env} replaces the value of `{path}`, so this has no effect"
            place.problem("NB310", what, key=True)
        return checked if len(self.at.context.problems) == before else None

    def _check_argument(
        self, here: Here, name: str, value: object, parameters: Mapping[str, bool]
    ) -> None:
        if name == "dt":
            if type(value) not in (int, float) or value != self.dt:
                what = f"the time step is the spec's `dt`, {self.dt:g} ms"
                here.problem("NB308", what, "remove it", key=True)
        elif name in SEEDS:
            what = f"`{name}` would make every batch the same; all draws follow from `seed`"
            here.problem("NB308", what, "remove it", key=True)
        elif name not in parameters:
            what = f"{self.environment.env} takes no argument `{name}`"
            here.problem("NB101", what, here.context.near(name, sorted(parameters)), key=True)
        _are_fair(here, value)

    def _has_periods(self, timing: object) -> bool:
        """Whether `timing` has only periods of the environment, each with a right duration."""
        here = self.where["env_kwargs"]["timing"]
        before = len(here.context.problems)
        if not isinstance(timing, dict):
            hint = "for example `timing: {stimulus: 500}`"
            here.problem("NB103", "expected a mapping of periods", hint)
            return False
        periods = self.attempt(periods_of)
        if periods is None:
            return False
        for period, duration in timing.items():
            if period not in periods:
                what = f"{self.environment.env} has no period `{period}`"
                hint = here.context.near(period, sorted(periods))
                here[period].problem("NB101", what, hint, key=True)
            elif period == "decision" and duration == 0:
                what = "without a decision there is nothing to choose: the right answer is always 0"
                here[period].problem("NB104", what, f"at least one step, {self.dt:g}")
            elif wrong := wrong_duration(duration, self.dt):
                hint = "a number of ms, a list to choose from, or [uniform, [200, 400]]"
                here[period].problem("NB104", wrong, hint)
        return len(here.context.problems) == before

    def takes(self, trials: Mapping[str, Any], facts: Facts) -> bool:
        """Whether its trials have these variables, and keep each of these values."""
        context, env = self.at.context, self.environment.env
        before = len(context.problems)
        for name, values in trials.items():
            here = self.where["trials"][name]
            if name not in facts.variables:
                what = f"trials of {env} have no variable `{name}`"
                here.problem("NB101", what, context.near(name, facts.variables), key=True)
            elif not 0 < len(values) <= MOST_VALUES:
                what = f"1 to {MOST_VALUES:,} values to choose from, not {len(values):,}"
                here.problem("NB104", what)
            else:
                self._check_values(here, name, values)
        return len(context.problems) == before

    def _check_values(self, here: Here, name: str, values: list[Any]) -> None:
        written = here.context.parsed.tree.at(here.location)
        in_list = written is not None and isinstance(written.value, list)
        for i, value in enumerate(values):
            spot = here[i] if in_list else here
            if isinstance(value, dict) or value is None:
                what = "expected a value, or a list of values to choose from"
                spot.problem("NB103", what)
            elif _are_fair(spot, value):
                work = partial(settable, name=name, value=value)
                if self.attempt(work, spot) is False:
                    what = f"{self.environment.env} always draws `{name}` itself; it cannot be set"
                    here.problem("NB310", what, key=True)
                    break


def _some(word: str, names: list[str]) -> str:
    """A hint that names the environments that a word is a part of, or else some of them all."""
    if "." in word or ":" in word:  # the path of a class: nothing is ever imported by it
        return ""
    having = sorted((name for name in names if word.casefold() in name.casefold()), key=len)
    if having:
        return f"one of {', '.join(f'`{name}`' for name in having[:EXAMPLES])}?"
    spread = names[:: max(len(names) // EXAMPLES, 1)][:EXAMPLES]
    return f"there are {len(names)}, such as {', '.join(f'`{name}`' for name in spread)}"


def _are_fair(here: Here, value: object) -> bool:
    """Whether a value holds no numbers that a machine should not be asked to work with."""
    large = [(at, number) for at, number in _numbers(here, value) if not abs(number) <= LARGEST]
    for at, number in large:
        what = f"numbers here are at most {LARGEST:,.0f} in either direction, found {number:g}"
        at.problem("NB104", what)
    return not large


def _numbers(here: Here, value: object) -> Iterator[tuple[Here, float]]:
    """Every number in a value, with its place."""
    if isinstance(value, (dict, list)):
        for part, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _numbers(here[part], child)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield here, value


def wrong_duration(duration: object, dt: float) -> str:
    """What is wrong with a period's duration, or "".

    A duration is a number of ms, a list to choose from, or a distribution with its numbers.
    """
    kind, numbers = _distribution(duration)
    if kind not in DISTRIBUTIONS:
        return f"`{kind}` is no distribution of durations; these are {', '.join(DISTRIBUTIONS)}"
    if not all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in numbers):
        return "a duration is made of numbers"
    if kind in ("constant", "until") and isinstance(duration, list) and duration[1] == numbers:
        return f"`{kind}` takes one number, not a list"
    if isinstance(duration, list) and len(duration) > 2 and duration[0] == kind:
        return f"the numbers of `{kind}` belong in a list: [{kind}, [200, 400]]"
    least, most = DISTRIBUTIONS[kind]
    if not least <= len(numbers) <= most:
        wanted = f"{least}" if least == most else f"{least} to {most:g}"
        return f"`{kind}` takes {wanted} numbers, not {len(numbers)}"
    if any(n < 0 for n in numbers):
        return "a duration is not negative"
    if any(n / dt > MOST_STEPS for n in numbers):
        return f"a period has at most {MOST_STEPS:,.0f} steps (of {dt:g} ms)"
    if kind in ("choice", "constant") and any(0 < n < dt for n in numbers):
        short = min(n for n in numbers if n > 0)
        return f"{short:g} ms are shorter than a time step ({dt:g} ms): the period would be empty"
    if kind == "truncated_exponential" and _likelihood(*numbers) < LEAST_LIKELY:
        return "a truncated exponential would hardly ever fall between these bounds"
    return ""


def _distribution(duration: object) -> tuple[str, list[Any]]:
    """The kind of a duration, and its numbers."""
    if not isinstance(duration, list):
        return "constant", [duration]
    if not duration or not isinstance(duration[0], str):
        return "choice", duration
    numbers = duration[1] if len(duration) == 2 else []
    return duration[0], numbers if isinstance(numbers, list) else [numbers]


def _likelihood(mean: float, low: float = 0, high: float = math.inf) -> float:
    """The probability that a draw from a truncated exponential falls between its bounds."""
    if low >= high:
        return 1.0  # neurogym then takes the upper bound
    return math.exp(-low / mean) - math.exp(-high / mean) if mean > 0 else 0.0


# All environments together


def _equal_widths(parts: list[tuple[_Written, Facts]]) -> bool:
    (first, facts), *others = parts
    different = [(each, found) for each, found in others if found.widths != facts.widths]
    for each, found in different:
        what = f"{each.environment.label} has {found.sizes}"
        what += f", but {first.environment.label} has {facts.sizes}"
        each.at.problem("NB301", what, "environments of one network have the same widths")
    return not different


def _period_weights(here: Here, task: Neurogym, facts: list[Facts]) -> dict[str, float] | None:
    """How much each period counts in the loss, when all of them are there."""
    if task.loss_mask is None:
        return None
    periods = list(dict.fromkeys(name for each in facts for name in each.periods))
    weights: dict[str, float] = {}
    for name, weight in task.loss_mask.items():
        if name not in periods:
            hint = here.context.near(name, periods)
            here[name].problem("NB101", f"no trial has a period `{name}`", hint, key=True)
        elif not isinstance(weight, (int, float)) or isinstance(weight, bool):
            here[name].problem("NB103", "expected a number")
        elif not 0 <= weight <= LARGEST:
            what = f"must be between 0 and {LARGEST:,.0f}, found {weight:g}"
            here[name].problem("NB104", what)
        else:
            weights[name] = float(weight)
    if len(weights) == len(task.loss_mask) and not any(weights.values()):
        hint = "name a period, for example `decision: 1`"
        here.problem("NB104", "nothing counts in the loss", hint)
    return weights


def _levels(here: Here, task: Neurogym, facts: Facts) -> Levels | None:
    if task.targets is None:
        return None
    if facts.actions is None:
        what = "the environment's answers are values already, not actions"
        here.problem("NB308", what, "remove it", key=True)
    here.numbers_fit(task.targets)
    low, high = task.targets.low, task.targets.high
    if low >= high:
        here.problem("NB104", f"`low` ({low:g}) is not below `high` ({high:g})")
    return Levels(low, high, task.targets.fixation)


def _evaluation(
    here: Here, task: Neurogym, parts: list[tuple[_Written, Facts]]
) -> tuple[Environment, ...]:
    """The environments of the trials that are scored."""
    if task.evaluation is None:
        return tuple(each.environment for each, _ in parts)
    kwargs, trials = task.evaluation.env_kwargs, _listed(task.evaluation.trials)
    found: list[Environment] = []
    for each, trained in parts:
        own = each.environment
        merged = replace(own, kwargs=_merged(own.kwargs, kwargs), trials={**own.trials, **trials})
        checked = replace(each, where=here, environment=merged).with_arguments(kwargs)
        facts = checked.attempt(facts_of, here) if checked is not None else None
        if checked is None or facts is None:
            continue
        if facts.widths != trained.widths:
            what = f"here {own.label} has {facts.sizes}, and in training {trained.sizes}"
            here.problem("NB301", what, key=True)
        if checked.takes(trials, facts):
            found.append(checked.environment)
    return tuple(found)


def _merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`more` over `base`, mappings merged."""
    merged = dict(base)
    for name, value in more.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merged(merged[name], value) if both else value
    return merged
