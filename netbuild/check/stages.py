"""How a training ends, and its stages: each is checked as the whole spec that it makes."""

from __future__ import annotations

from collections.abc import Collection

from netbuild.check.context import Context
from netbuild.check.plan import Plan
from netbuild.spec.nodes import Location
from netbuild.spec.paths import parse_path
from netbuild.spec.spec import NetworkSpec
from netbuild.spec.task import Arrays, Neurogym
from netbuild.spec.training import Stage, Training


def check_stages(context: Context) -> None:
    """What the keys of `training` and its stages say together, and what ends it early."""
    training = context.parsed.training
    if not isinstance(training, Training):
        return
    _check_stop(context, training)
    if training.stages is None:
        return
    for key in ("epochs", "stop_when"):
        if getattr(training, key) is not None:
            what = f"`{key}` and `stages` both say how long"
            hint = "write it into the stages" if key == "stop_when" else "stages have `steps`"
            context.problem("NB308", ("training", key), what, hint, key=True)
    names = [stage.name for stage in training.stages]
    for i, stage in enumerate(training.stages):
        here: Location = ("training", "stages", i)
        if names.index(stage.name) != i:
            what = f"two stages are named `{stage.name}`"
            context.problem("NB303", (*here, "name"), what, "give it another name")
        if stage.steps is None and stage.stop_when is None and training.steps is None:
            what, hint = "nothing says when this stage ends", "write `steps` or `stop_when`"
            context.problem("NB102", here, what, hint)


def _check_stop(context: Context, training: Training) -> None:
    """Whether the rule that ends a training early can ever hold."""
    rule, task = training.stop_when, context.parsed.task
    if rule is None:
        return
    where: Location = ("training", "stop_when")
    every = training.evaluate.every
    if every is not None and training.steps is not None and every > training.steps:
        what = f"this counts evaluations, and the first one would be after {every:,} of"
        hint = f"write `evaluate: {{every: {max(training.steps // 10, 1)}}}` in `training`, say"
        context.problem("NB308", where, f"{what} {training.steps:,} steps", hint, key=True)
    if rule.of != "worst_task":
        return
    place = (*where, "of")
    if rule.metric != "accuracy":
        what = f"`worst_task` is of `metric: accuracy`; there is one {rule.metric} for all"
        context.problem("NB308", place, what, "write `of: all`")
    elif isinstance(task, Arrays) or (isinstance(task, Neurogym) and len(task.envs) < 2):
        what = "there is no worst of one task: this is of several `envs`"
        context.problem("NB308", place, what, "write `of: all`")


def check_same_network(
    context: Context, stage: Stage, whole: NetworkSpec, own: NetworkSpec, plans: tuple[Plan, Plan]
) -> None:
    """A stage trains the same units with the same kind of optimizer."""
    before, after = (next(iter(plan.layers.values())).reads.size for plan in plans)
    where: Location = ("task",)
    if before != after:
        what = f"in stage `{stage.name}` the task gives {after} inputs, and else {before}"
        context.problem("NB301", where, what, "the network is one throughout")
    if whole.training.optimizer.type != own.training.optimizer.type:
        what = f"stage `{stage.name}` has another kind of optimizer"
        hint = "it goes on from stage to stage; change its `lr`, say"
        context.problem("NB308", ("training", "optimizer"), what, hint)


def check_same_files(context: Context, stage: Stage, known: Collection[str]) -> None:
    """A run keeps a copy of each file that the whole spec names, and of no others."""
    for where, record in context.files.items():
        if record.path not in known:
            what = f"stage `{stage.name}` names a file of its own, {record.reference}"
            location = tuple(segment.text for segment in parse_path(where))
            context.problem("NB308", location, what, "stages read the files of the whole spec")
