"""The environments of a task together: what they give the network, and what the loss compares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from netbuild.environments import Environment, Facts, Levels, Recipe, environment_names, facts_of
from netbuild.errors import NetbuildError
from netbuild.language.context import Context, numbers_fit
from netbuild.language.environment_arguments import (
    LARGEST,
    attempt,
    blamed_for,
    check_arguments,
    trials_fit,
)
from netbuild.language.environment_plan import EnvironmentPlan, TaskWidths
from netbuild.language.task import Neurogym, Windows
from netbuild.yamltree.nodes import Location

if TYPE_CHECKING:  # the plan of a whole spec holds this one
    from netbuild.language.population import Units

__all__ = ["EnvironmentPlan", "TaskWidths", "check_answers", "check_environments"]

EXAMPLES = 6  # environments named where a name is like no other

TASK: Location = ("task",)


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
    for i, item in enumerate(task.envs):
        numbers_fit(context, (*TASK, "envs", i), item)
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
        hint = context.near(environment.env, names) or _some(environment.env, names)
        context.problem("NB105", at, what, hint)
        return None
    checked = check_arguments(context, dt, where, at, environment, environment.kwargs)
    if checked is None:
        return None
    blamed = partial(blamed_for, context, where, at, environment, dt)
    facts = attempt(context, blamed, lambda: facts_of(checked, dt))
    if facts is None or not _periods_fit(context, where, at, checked, facts, dt):
        return None
    if not trials_fit(context, where, checked, checked.trials, facts, dt):
        return None
    return _Part(where, at, checked, facts)


def _some(word: str, names: list[str]) -> str:
    """A hint that names the environments that a word is a part of, or else some of them all."""
    if "." in word or ":" in word:  # the path of a class: nothing is ever imported by it
        return ""
    having = [name for name in names if word.casefold() in name.casefold()]
    having.sort(key=len)
    if having:
        return f"one of {', '.join(f'`{name}`' for name in having[:EXAMPLES])}?"
    spread = names[:: max(len(names) // EXAMPLES, 1)][:EXAMPLES]
    return f"there are {len(names)}, such as {', '.join(f'`{name}`' for name in spread)}"


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
    numbers_fit(context, (*TASK, "targets"), task.targets)
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
        checked = check_arguments(context, dt, where, part.at, merged, kwargs)
        if checked is None:
            continue
        facts = attempt(context, where, partial(facts_of, checked, dt))
        if facts is None:
            continue
        if _widths(facts) != _widths(part.facts):
            what = f"here {own.label} has {_said(facts)}, and in training {_said(part.facts)}"
            context.problem("NB301", where, what, key=True)
        if trials_fit(context, where, checked, trials, facts, dt):
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
    context: Context, plan: EnvironmentPlan | TaskWidths, output: Units, loss: str
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
