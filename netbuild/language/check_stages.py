"""How a training ends, and its stages: each is checked as the whole spec that it makes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from netbuild.language.check_splits import refuse_leaks
from netbuild.language.context import Context
from netbuild.language.plan import Plan
from netbuild.language.spec import NetworkSpec
from netbuild.language.task import Arrays, Neurogym
from netbuild.language.training import Training
from netbuild.yamltree.nodes import Location
from netbuild.yamltree.paths import follow


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


def check_stage(
    context: Context, before: Sequence[tuple[NetworkSpec, Plan]], own: tuple[NetworkSpec, Plan]
) -> None:
    """What a stage of a training keeps of the whole spec and of the stages before it.

    The network is one throughout, and so are the meaning of its inputs, the kind of its optimizer,
    the files of its data and the samples that it is tested on. `before` is the whole spec and then
    each stage so far.
    """
    (whole, plan), *stages = before
    model, found = own
    _check_inputs(context, plan, found)
    if whole.training.optimizer.type != model.training.optimizer.type:
        what = f"the optimizer is {whole.training.optimizer.type} in the whole spec"
        hint = "its state is kept from stage to stage; change its `lr`, say"
        context.problem("NB308", ("training", "optimizer"), what, hint)
    trained_on = [stage.split for _, stage in stages if stage.split is not None]
    refuse_leaks(context, ("task", "split"), "a stage before this one", trained_on, found.split)


def _check_inputs(context: Context, before: Plan, after: Plan) -> None:
    """Every input of the network means the same in a stage as in the whole spec."""
    where: Location = ("task",)
    if before.input_dim != after.input_dim:
        what = f"the task gives {after.input_dim} inputs, and {before.input_dim} in the whole spec"
        context.problem("NB301", where, what, "the network is one throughout")
        return
    channels = [getattr(plan.task, "channels", {}) for plan in (before, after)]
    for name in channels[0].keys() & channels[1].keys():
        if channels[0][name] != channels[1][name]:
            what = f"input `{name}` is at another position than in the whole spec"
            hint = "list the environments in the same order in every stage"
            context.problem("NB301", ("task", "envs"), what, hint)
            return


def check_same_files(context: Context, known: Collection[str]) -> None:
    """Check that a stage names files of the whole spec alone: a run keeps a copy of each of these.

    `known` holds their paths.
    """
    for where, record in context.files.items():
        if record.path not in known:
            what = f"a stage cannot name a file of its own, {record.reference}"
            hint = "name it in the whole spec; a stage may choose among the arrays of a file"
            context.problem("NB308", follow(context.parsed.tree.root, where), what, hint)
