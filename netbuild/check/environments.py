"""The environments of a task: names, arguments and trials, against what neurogym really has.

neurogym takes misspelt periods and trial variables without a word, and trains something else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from netbuild.check.context import Context, Result
from netbuild.check.durations import MOST_VALUES, wrong_duration
from netbuild.environments import (
    Environment,
    EnvironmentFailed,
    Facts,
    Levels,
    Recipe,
    environment_names,
    facts_of,
    overruled,
    parameters_of,
    periods_of,
    settable,
)
from netbuild.errors import NetbuildError
from netbuild.spec.nodes import Location
from netbuild.spec.task import Neurogym, Windows

if TYPE_CHECKING:  # the plan of a whole spec holds this one
    from netbuild.check.population import Population

MOST_CHANNELS = 10**6
LARGEST = 1e6  # of the numbers among an environment's arguments, in either direction
SEEDS = ("random_seed", "frozen_seed")  # AnnubesEnv's own

TASK: Location = ("task",)


@dataclass(frozen=True)
class EnvironmentPlan:
    """A task's trials, and the widths that they give a network."""

    recipe: Recipe
    evaluation: Recipe  # always of whole trials
    inputs: int
    outputs: int
    classes: bool  # the answers are actions; else values
    channels: Mapping[str, tuple[int, ...]]  # inputs by name, and each rule by its environment's

    @property
    def widths(self) -> TaskWidths:
        """What a run writes down of it."""
        return TaskWidths(self.inputs, self.outputs, self.classes, self.channels)


@dataclass(frozen=True)
class TaskWidths:
    """What a network needs of its environments, without neurogym: how wide they are."""

    inputs: int
    outputs: int
    classes: bool
    channels: Mapping[str, tuple[int, ...]]

    def to_data(self) -> dict[str, Any]:
        """As plain JSON data."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> TaskWidths:
        """What `to_data` gave; raises KeyError, TypeError or ValueError for anything else."""
        inputs, outputs = data["inputs"], data["outputs"]
        if not all(type(n) is int and 0 < n <= MOST_CHANNELS for n in (inputs, outputs)):
            raise ValueError("widths are whole numbers above 0")
        channels = {
            str(name): tuple(int(unit) for unit in units)
            for name, units in data["channels"].items()
        }
        if not all(0 <= unit < inputs for units in channels.values() for unit in units):
            raise ValueError("a channel is no input")
        return cls(inputs, outputs, bool(data["classes"]), channels)


@dataclass(frozen=True)
class _Part:
    """One environment with the place of its keys."""

    where: Location  # of the section that has `env_kwargs` and `trials`
    at: Location  # of `env`
    environment: Environment
    facts: Facts


def check_environments(context: Context) -> EnvironmentPlan | None:
    """What a task of `type: neurogym` gives, or None with its problems noted."""
    task = context.parsed.task
    if not isinstance(task, Neurogym):
        return None
    try:
        names = environment_names()
    except NetbuildError as error:
        context.problem("NB1001", (*TASK, "type"), str(error), error.hint)
        return None
    dt = _dt(context)
    sections = _sections(context, task)
    if not sections or dt is None:
        return None
    parts = [_part(context, names, dt, *section) for section in sections]
    found = [part for part in parts if part is not None]
    if len(found) < len(sections) or not _equal_widths(context, found):
        return None
    weights = _period_weights(context, task, found)
    levels = _levels(context, task, found[0].facts)
    evaluation = _evaluation(context, task, dt, found)
    window = task.batches.steps if isinstance(task.batches, Windows) else None
    environments = tuple(part.environment for part in found)
    recipe = Recipe(environments, dt, task.rule_input, window, levels, weights)
    scored = replace(recipe, environments=evaluation, window=None)
    facts = found[0].facts
    rules = {part.environment.label: (facts.inputs + i,) for i, part in enumerate(found)}
    return EnvironmentPlan(
        recipe,
        scored,
        facts.inputs + (len(found) if task.rule_input else 0),
        _outputs(facts, levels),
        facts.actions is not None,
        {**facts.channels, **(rules if task.rule_input else {})},
    )


def _dt(context: Context) -> float | None:
    node = context.parsed.tree.at(("dt",))
    value = node.value if node is not None else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if 0 < value < math.inf else None  # what is not has been told already
    if value is None:
        what = "nothing says how long a time step is"
        hint = "write `dt: 20` (in ms) at the top of the spec"
        context.problem("NB102", TASK, what, hint, key=True)
    return None


def _outputs(facts: Facts, levels: Levels | None) -> int:
    if facts.actions is None:
        return facts.values
    return facts.actions - (levels is not None and not levels.fixation)


Section = tuple[Location, Location, Environment]


def _sections(context: Context, task: Neurogym) -> list[Section]:
    """Each environment as it is written: where its keys are, where its name is, and itself."""
    if task.env is not None and task.envs:
        what = "`env` and `envs` both say where the trials come from"
        context.problem("NB308", (*TASK, "envs"), what, "take one away", key=True)
        return []
    if task.rule_input and not task.envs:
        what = "one environment needs no input that tells which it is"
        context.problem("NB308", (*TASK, "rule_input"), what, "it belongs to `envs`", key=True)
    if task.env is not None:
        environment = Environment(task.env, "", task.env_kwargs, _listed(task.trials))
        return [(TASK, (*TASK, "env"), environment)]
    if not task.envs:
        what, hint = "no environment is named", "write `env: PerceptualDecisionMaking-v0`"
        context.problem("NB102", TASK, what, hint, key=True)
        return []
    for key in ("env_kwargs", "trials"):
        if getattr(task, key):
            what = f"`{key}` stands beside `envs`, each of which has its own"
            context.problem("NB308", (*TASK, key), what, "move it into the items", key=True)
    _check_labels(context, task)
    return [
        (
            (*TASK, "envs", i),
            (*TASK, "envs", i, "env"),
            Environment(
                item.env, item.name or "", item.env_kwargs, _listed(item.trials), item.weight
            ),
        )
        for i, item in enumerate(task.envs)
    ]


def _check_labels(context: Context, task: Neurogym) -> None:
    seen: set[str] = set()
    for i, item in enumerate(task.envs):
        label = item.name or item.env
        if label in seen:
            key = "name" if item.name else "env"
            what = f"two of the environments are called {label}"
            context.problem("NB303", (*TASK, "envs", i, key), what, "give each its own `name`")
        seen.add(label)


def _listed(trials: Mapping[str, object]) -> dict[str, list[Any]]:
    """Each variable's values; a single value is a list of one."""
    return {name: v if isinstance(v, list) else [v] for name, v in trials.items()}


def _part(
    context: Context,
    names: list[str],
    dt: float,
    where: Location,
    at: Location,
    environment: Environment,
) -> _Part | None:
    if environment.env not in names:
        what = f"neurogym registers no environment `{environment.env}`"
        context.problem("NB105", at, what, context.near(environment.env, names))
        return None
    checked = _arguments(context, dt, where, at, environment, environment.kwargs)
    if checked is None:
        return None
    blamed = partial(_blamed, context, where, at, environment, dt)
    facts = _attempt(context, blamed, lambda: facts_of(checked, dt))
    if facts is None or not _periods_fit(context, where, at, checked, facts, dt):
        return None
    if not _trials_fit(context, where, checked, checked.trials, facts, dt):
        return None
    return _Part(where, at, checked, facts)


def _blamed(
    context: Context, where: Location, at: Location, environment: Environment, dt: float
) -> Location:
    """What is to blame where an environment fails: its arguments, if it is fine without them."""
    if not context.given((*where, "env_kwargs")):
        return at
    try:
        facts_of(replace(environment, kwargs={}), dt)
    except EnvironmentFailed:
        return at
    return (*where, "env_kwargs")


def _attempt(
    context: Context, location: Location | Callable[[], Location], work: Callable[[], Result]
) -> Result | None:
    """The result of running an environment, or None with what it said noted at `location`."""
    try:
        return work()
    except EnvironmentFailed as error:
        context.problem("NB310", location() if callable(location) else location, str(error))
        return None


def _arguments(
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
    parameters = _attempt(context, at, lambda: parameters_of(environment.env, dt))
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
        _too_large(context, (*place, name), value)
    missing = [name for name, must in parameters.items() if must and name not in environment.kwargs]
    for name in missing:
        what = f"{environment.env} needs the argument `{name}`"
        context.problem("NB102", at, what, f"write it into `env_kwargs: {{{name}: ...}}`")
    if len(context.problems) > before:
        return None
    kwargs = {name: value for name, value in environment.kwargs.items() if name != "dt"}
    environment = replace(environment, kwargs=kwargs)
    if not _timing_fits(context, dt, (*place, "timing"), at, environment, given.get("timing")):
        return None
    blamed = partial(_blamed, context, where, at, environment, dt)
    found = _attempt(context, blamed, lambda: overruled(environment, dt))
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


def _too_large(context: Context, location: Location, value: object) -> bool:
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
    at: Location,
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
    periods = _attempt(context, at, lambda: periods_of(environment, dt))
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


def _periods_fit(
    context: Context,
    where: Location,
    at: Location,
    environment: Environment,
    facts: Facts,
    dt: float,
) -> bool:
    """Whether no period that lasts always as long is shorter than a step, and so empty."""
    short = {name: ms for name, ms in facts.constant.items() if 0 < ms < dt}
    for name, ms in short.items():
        what = f"its period `{name}` lasts {ms:g} ms, less than a time step ({dt:g} ms)"
        hint = f"a smaller `dt`, or `env_kwargs: {{timing: {{{name}: {dt:g}}}}}`"
        context.problem("NB310", at, f"{what}: it would be empty", hint)
    return not short


def _trials_fit(
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
            if _too_large(context, spot, value):
                continue
            fits = _attempt(context, spot, partial(settable, environment, dt, name, value))
            if fits is False:
                what = f"{environment.env} draws `{name}` by itself; it cannot be given"
                context.problem("NB310", place, what, key=True)
                break
    return len(context.problems) == before


def _equal_widths(context: Context, parts: list[_Part]) -> bool:
    first = parts[0]
    equal = True
    for part in parts[1:]:
        if _widths(part.facts) != _widths(first.facts):
            what = f"{part.environment.label} has {_said(part.facts)}"
            what += f", but {first.environment.label} has {_said(first.facts)}"
            hint = "environments of one network have the same widths"
            context.problem("NB301", part.at, what, hint)
            equal = False
    return equal


def _widths(facts: Facts) -> tuple[int, int | None, int]:
    return facts.inputs, facts.actions, facts.values


def _said(facts: Facts) -> str:
    answers = f"{facts.values} values" if facts.actions is None else f"{facts.actions} actions"
    return f"{facts.inputs} inputs and {answers}"


def _period_weights(
    context: Context, task: Neurogym, parts: list[_Part]
) -> dict[str, float] | None:
    """How much each period counts in the loss, when all of them are there."""
    if task.loss_mask is None:
        return None
    place: Location = (*TASK, "loss_mask")
    periods = list(dict.fromkeys(name for part in parts for name in part.facts.periods))
    weights: dict[str, float] = {}
    for name, weight in task.loss_mask.items():
        if name not in periods:
            what = f"no trial has a period `{name}`"
            context.problem("NB101", (*place, name), what, context.near(name, periods), key=True)
        elif not isinstance(weight, (int, float)) or isinstance(weight, bool):
            context.problem("NB103", (*place, name), "expected a number")
        elif not 0 <= weight <= LARGEST:
            what = f"must be between 0 and {LARGEST:,.0f}, found {weight:g}"
            context.problem("NB104", (*place, name), what)
        else:
            weights[name] = float(weight)
    if len(weights) == len(task.loss_mask) and not any(weights.values()):
        what, hint = "nothing counts in the loss", "name a period, for example `decision: 1`"
        context.problem("NB104", place, what, hint)
    return weights


def _levels(context: Context, task: Neurogym, facts: Facts) -> Levels | None:
    if task.targets is None:
        return None
    if facts.actions is None:
        what = "the environment's answers are values already, not actions"
        context.problem("NB308", (*TASK, "targets"), what, "take it away", key=True)
    if task.targets.low >= task.targets.high:
        what = f"`low` ({task.targets.low:g}) is not below `high` ({task.targets.high:g})"
        context.problem("NB104", (*TASK, "targets"), what)
    return Levels(task.targets.low, task.targets.high, task.targets.fixation)


def _evaluation(
    context: Context, task: Neurogym, dt: float, parts: list[_Part]
) -> tuple[Environment, ...]:
    """The environments of the trials that are scored."""
    if task.evaluation is None:
        return tuple(part.environment for part in parts)
    where: Location = (*TASK, "evaluation")
    kwargs, trials = task.evaluation.env_kwargs, _listed(task.evaluation.trials)
    found: list[Environment] = []
    for part in parts:
        own = part.environment
        merged = replace(own, kwargs=_merged(own.kwargs, kwargs), trials={**own.trials, **trials})
        checked = _arguments(context, dt, where, part.at, merged, kwargs)
        if checked is None:
            continue
        facts = _attempt(context, where, partial(facts_of, checked, dt))
        if facts is None:
            continue
        if _widths(facts) != _widths(part.facts):
            what = f"here {own.label} has {_said(facts)}, and in training {_said(part.facts)}"
            context.problem("NB301", where, what, key=True)
        if _trials_fit(context, where, checked, trials, facts, dt):
            found.append(checked)
    return tuple(found)


def _merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`more` over `base`, mappings merged."""
    merged = dict(base)
    for name, value in more.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merged(merged[name], value) if both else value
    return merged


def check_answers(
    context: Context, plan: EnvironmentPlan | TaskWidths, output: Population, loss: str
) -> None:
    """Whether the loss can compare the last layer's outputs with the task's answers."""
    task = context.parsed.task
    assert isinstance(task, Neurogym)
    at: Location = (*TASK, "envs" if task.envs else "env")
    if loss == "mse" and plan.classes and task.targets is None:
        what = "mse compares values, and this task's answers are actions"
        hint = "write `targets: {low: 0, high: 1}` in `task`, or `loss: cross_entropy`"
        context.problem("NB307", at, what, hint)
    elif loss == "cross_entropy" and not plan.classes:
        what = "cross_entropy compares classes, and this task's answers are values"
        context.problem("NB307", at, what, "write `loss: mse` in `training`")
    elif loss == "cross_entropy" and task.targets is not None:
        what = "`targets` are values, which cross_entropy does not compare"
        hint = "write `loss: mse` in `training`, or take it away"
        context.problem("NB308", (*TASK, "targets"), what, hint, key=True)
    elif plan.outputs != output.size:
        kind = "actions" if plan.classes else "values"
        if task.targets is not None and not task.targets.fixation:
            kind += " other than fixation"
        outputs = "1 output" if output.size == 1 else f"{output.size} outputs"
        what = f"the task has {plan.outputs} {kind}, but `{output.layer}` has {outputs}"
        context.problem("NB307", at, what, f"its `output_dim` would be {plan.outputs}")
