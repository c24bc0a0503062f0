"""Training: how long, on what loss, with which optimizer, and what is written down.

Below the keys are the rules among them, and what a stage keeps of the whole training.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from netbuild.environments.recipe import Environment
from netbuild.language.base import (
    Count,
    Fraction,
    Model,
    Name,
    NonNegative,
    OneOf,
    Positive,
    WordOrNumber,
    key,
)
from netbuild.language.context import Context, Here
from netbuild.language.plan import NeurogymPlan, Plan, TaskInputs
from netbuild.language.shorthand import Shorthand, listed, text
from netbuild.splits import SampleSplit, Selection
from netbuild.tracking.trackers import Name as Tracker
from netbuild.yamltree.paths import follow

UNTIL = 10**15  # the steps of a stage that only its `stop_when` ends

WeightDecay = Annotated[NonNegative, key(..., "weight decay", 0.01)]
Momentum = Annotated[Fraction, key(..., "momentum", 0.9)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Epsilon = Annotated[Positive, key(..., "added to the denominator", 1e-8)]


class Cosine(Model):
    """Half a cosine from the learning rate to `min_factor` times it, at the last step."""

    type: Literal["cosine"]
    warmup: int = key(0, "steps of linear increase", 100, ge=0, le=10**15)
    min_factor: Fraction = key(0.0, "where it ends", 0.1)


class StepDecay(Model):
    """Times `factor` every `every` steps."""

    type: Literal["step"]
    every: Count = key(..., "steps between two decays", 1000)
    factor: Positive = key(0.1, "what the learning rate is multiplied by", 0.5)


class Exponential(Model):
    """Times `factor` every step."""

    type: Literal["exponential"]
    factor: Positive = key(..., "what the learning rate is multiplied by at each step", 0.999)


Schedule = Annotated[
    Cosine | StepDecay | Exponential, OneOf("type"), Shorthand(text("type"), {"enum": ["cosine"]})
]


class Optimizer(Model):
    """What all optimizers have."""

    lr: Positive = key(1e-3, "learning rate", 1e-3, also="learning_rate")
    weight_decay: WeightDecay = 0.0
    schedule: Schedule | None = key(None, "how the learning rate changes", {"type": "cosine"})


class SGD(Optimizer):
    """Stochastic gradient descent."""

    type: Literal["SGD"]
    momentum: Momentum = 0.0
    nesterov: bool = key(False, "Nesterov's momentum", True)


class Adam(Optimizer):
    """Kingma & Ba 2015; `weight_decay` is added to the gradient."""

    type: Literal["Adam"] = "Adam"
    betas: list[Beta] = key(
        [0.9, 0.999], "running averages", [0.9, 0.999], min_length=2, max_length=2
    )
    eps: Epsilon = 1e-8
    amsgrad: bool = key(False, "Reddi et al. 2018", True)


class AdamW(Adam):
    """Loshchilov & Hutter 2019: Adam with decoupled weight decay."""

    type: Literal["AdamW"]  # type: ignore[assignment]
    weight_decay: WeightDecay = 0.01


class RMSprop(Optimizer):
    """Tieleman & Hinton 2012."""

    type: Literal["RMSprop"]
    alpha: Beta = key(0.99, "smoothing of the squared gradient", 0.99)
    eps: Epsilon = 1e-8
    momentum: Momentum = 0.0


class Adagrad(Optimizer):
    """Duchi et al. 2011."""

    type: Literal["Adagrad"]
    lr_decay: NonNegative = key(0.0, "decay of the learning rate", 0.0)
    eps: Epsilon = 1e-10


OptimizerSpec = Annotated[
    SGD | Adam | AdamW | RMSprop | Adagrad,
    OneOf("type"),
    Shorthand(text("type"), {"enum": ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"]}),
]


class Evaluate(Model):
    """When validation trials are scored, and how; test trials are scored once, at the end.

    Samples from arrays without a validation part have their test set scored each time.
    """

    every: Count | None = key(
        None, "steps between two evaluations; the end of a training always has one", 200
    )
    trials: Count = key(500, "validation trials, and test trials, of a generated task", 500)
    noise: bool | None = key(
        None,
        "whether recurrent layers keep their noise in evaluation; if left out, they do not",
        True,
    )


class Checkpoint(Model):
    """When the state is saved; at the end it always is."""

    every: Count | None = key(500, "steps between two checkpoints; null: only at the end", 500)
    keep: int = key(2, "how many are kept", 2, ge=2, le=10**6)


class StopWhen(Model):
    """Ends the training early; all counts are numbers of evaluations."""

    metric: Literal["accuracy", "loss"] = key(
        ...,
        "which metric; the accuracy of trials with a decision is that of the choice at"
        " its end, else that of samples or steps",
        "accuracy",
    )
    at_least: float | None = key(None, "stop at this or above", 0.85)
    at_most: float | None = key(None, "stop at this or below", 0.05)
    mean_of_last: int = key(1, "averaged over this many evaluations", 5, ge=1, le=10**6)
    patience: Count | None = key(None, "stop after this many evaluations without a new best", 10)
    of: Literal["all", "worst_task"] = key(
        "all",
        "the metric of all trials, or of the environment with the worst accuracy",
        "worst_task",
    )


Trackers = Annotated[
    list[Tracker], Field(max_length=10), Shorthand(listed, {"enum": list(get_args(Tracker))})
]


class Stage(Model):
    """One part of a training, with its own overrides; the state of the optimizer is kept."""

    name: Name
    set: dict[str, object] = key(
        {},
        "overrides of `task`, `training` and `regularizers`, by path",
        {"task.trials.coh": [25.6, 51.2]},
        max_length=200,
    )
    steps: Count | None = key(
        None,
        "optimizer steps of this stage, at most; without this key only `stop_when` ends the stage",
        1000,
    )
    stop_when: StopWhen | None = key(None, "its end", {"metric": "accuracy", "at_least": 0.9})


class Training(Model):
    """The training loop."""

    steps: Count | None = key(None, "optimizer steps", 2000, also="iterations")
    epochs: Count | None = key(None, "passes over the training samples, for `arrays`", 20)
    batch_size: Count = key(32, "samples or trials a step", 64)
    loss: Literal["cross_entropy", "mse"] = key(
        "cross_entropy", "the task's loss", "mse", also="criterion objective"
    )
    optimizer: OptimizerSpec = key(
        Adam.model_construct(type="Adam"), "the optimizer", {"type": "AdamW", "lr": 1e-3}
    )
    clip_grad_norm: Positive | None = key(
        None, "largest norm of the whole gradient", 1.0, also="clip gradient_clip max_grad_norm"
    )
    evaluate: Evaluate = key(Evaluate.model_construct(), "scoring", {"every": 200})
    checkpoint: Checkpoint = key(Checkpoint.model_construct(), "saving", {"every": 500})
    stop_when: StopWhen | None = key(
        None, "early end", {"metric": "accuracy", "at_least": 0.9}, also="early_stopping"
    )
    stages: list[Stage] | None = key(
        None,
        "the parts of the training, in order, in place of `steps` and `stop_when`",
        [{"name": "easy", "steps": 500}, {"name": "hard", "steps": 1000}],
        min_length=1,
        max_length=100,
    )
    log_every: Count = key(10, "steps between two lines of the log", 10)
    threads: Annotated[Literal["auto"] | Annotated[int, Field(ge=1, le=4096)], WordOrNumber()] = (
        key("auto", "cores used; `auto` takes and records those available when the run starts", 2)
    )
    track: Trackers | None = key(
        None,
        "trackers that follow a run; it is the same run without them, and has the same hash",
        ["tensorboard"],
    )

    @property
    def is_written(self) -> bool:
        """Whether the spec says anything of training; a network alone can be built and inspected.

        The values decide, not the file: a resolved spec has every default written out.
        """
        return self != Training()


# The rules among the keys


def check_training(context: Context, training: Training, given: TaskInputs | None) -> None:
    """The rules among the keys, and whether the task (`given`) has what they count."""
    here = context.at("training")
    _check_length(here, training)
    optimizer = training.optimizer
    if getattr(optimizer, "nesterov", False) and not getattr(optimizer, "momentum", 0):
        hint = "write `momentum: 0.9` beside it"
        what = "Nesterov's momentum needs a momentum"
        here["optimizer"]["nesterov"].problem("NB308", what, hint)
    if training.steps == UNTIL and isinstance(optimizer.schedule, Cosine):
        what = "a cosine needs a known number of steps, and only `stop_when` ends this stage"
        here["optimizer"].problem("NB308", what, "give the stage `steps`")
    if training.stop_when is not None:
        _check_stop(here, training, training.stop_when, given)
    if training.stages is not None:
        _check_stages(here, training, training.stages)


def chooses(training: Training) -> bool:
    """Whether a training, or a stage, is ended by its scores, or one of several states is the best.

    The last evaluation of `epochs` is not known here, so `every` alone counts with them.
    """
    every, steps = training.evaluate.every, training.steps
    several = every is not None and (steps is None or every < steps)
    return training.stop_when is not None or several


def selected_on(parts: Iterable[tuple[Training, Selection]]) -> Selection | None:
    """What the choices of a training are made on, if it makes any; the least honest part counts.

    `parts` are its stages, or itself, each with what a choice in it is made on.
    """
    made = {on for training, on in parts if chooses(training)}
    return next((on for on in reversed(get_args(Selection)) if on in made), None)


def check_selection(context: Context, parts: Sequence[tuple[Training, Plan]]) -> None:
    """Warn where a training, whose parts are given as above, makes a choice on the test set."""
    for training, plan in parts:
        if selected_on([(training, plan.selects_on)]) == "test":
            who = "the best checkpoint is"
            if training.stop_when is not None:
                who = "`stop_when` and the best checkpoint are"
            what = f"{who} chosen on the test set, whose score is then not that of unseen samples"
            hint = "`split: {train: 0.7, validation: 0.15}` makes choices on validation samples"
            context.at("task", "split").problem("NB607", what, hint)
            return


def _check_length(here: Here, training: Training) -> None:
    task, has_task = here.context.parsed.task, here.context.at("task").given
    lengths = training.steps, training.epochs, training.stages
    epochs, hint = here["epochs"], "write `steps: 2000`"
    if training.steps is not None and training.epochs is not None:
        what = "`steps` and `epochs` both say how long"
        epochs.problem("NB308", what, "remove one of them", key=True)
    elif training.epochs is not None and not has_task:
        what = "`epochs` counts passes over the samples of a task, and there is none"
        epochs.problem("NB308", what, "write `steps`, or a `task`", key=True)
    elif training.epochs is not None and not getattr(task, "has_epochs", True):
        what = "`epochs` counts passes over samples, and this task's trials are always new"
        epochs.problem("NB308", what, hint, key=True)
    elif lengths == (None, None, None) and training.is_written and has_task:
        hint = "write `epochs` or `steps`, e.g. `epochs: 20`"
        here.problem("NB102", "nothing says how long to train", hint, key=True)


def _check_stop(here: Here, training: Training, stop: StopWhen, given: TaskInputs | None) -> None:
    """Whether the rule that ends a training early can ever hold."""
    where, every = here["stop_when"], training.evaluate.every
    if stop.at_least is None and stop.at_most is None and stop.patience is None:
        hint = "write `at_least`, `at_most` or `patience`"
        where.problem("NB102", "nothing says when to stop", hint, key=True)
    if stop.metric == "accuracy" and not 0 <= (stop.at_least or 0) <= 1:
        what = f"an accuracy lies between 0 and 1, and this asks for {stop.at_least:g}"
        percent = (stop.at_least or 0) / 100
        hint = f"85 % is 0.85; here {percent:g}" if 0 < percent <= 1 else ""
        where["at_least"].problem("NB104", what, hint)
    if stop.metric == "loss" and stop.at_most is not None and stop.at_most < 0:
        what = f"a loss is never below 0, and this asks for {stop.at_most:g}"
        where["at_most"].problem("NB104", what)
    if stop.metric == "accuracy" and not has_accuracy(here.context.parsed.task, training, given):
        what = "this task has no accuracy, since its answers are values, not choices"
        where["metric"].problem("NB308", what, "its evaluations have `loss`")
    if every is None:
        what = "this counts evaluations, and there are none before the end"
        hint = "write `evaluate: {every: 200}` in `training`"
        where.problem("NB308", what, hint, key=True)
    elif training.steps is not None and every > training.steps:
        what = f"this counts evaluations, and the first one would be after {every:,} of"
        hint = f"write `evaluate: {{every: {max(training.steps // 10, 1)}}}` in `training`, say"
        where.problem("NB308", f"{what} {training.steps:,} steps", hint, key=True)
    if stop.of == "worst_task" and stop.metric != "accuracy":
        what = f"`worst_task` needs `metric: accuracy`; a {stop.metric} is that of all trials"
        where["of"].problem("NB308", what, "write `of: all`")
    elif stop.of == "worst_task" and getattr(here.context.parsed.task, "parts", 2) < 2:
        what = "`worst_task` needs several `envs`, and this task has only one"
        where["of"].problem("NB308", what, "write `of: all`")


def has_accuracy(task: Any, training: Training, given: TaskInputs | None) -> bool:
    """Whether the evaluations of a task have an accuracy, or may have: the task has problems."""
    if training.loss == "cross_entropy":
        return True
    return task is not None and task.answers_are_choices(given) is not False


def _check_stages(here: Here, training: Training, stages: Sequence[Stage]) -> None:
    for name in ("epochs", "stop_when"):
        if getattr(training, name) is not None:
            what = f"`{name}` and `stages` both say how long"
            hint = "write it into the stages" if name == "stop_when" else "stages have `steps`"
            here[name].problem("NB308", what, hint, key=True)
    names = [stage.name for stage in stages]
    for i, stage in enumerate(stages):
        own = here["stages"][i]
        if names.index(stage.name) != i:
            what = f"two stages are named `{stage.name}`"
            own["name"].problem("NB303", what, "give it another name")
        if stage.steps is None and stage.stop_when is None and training.steps is None:
            own.problem(
                "NB102", "nothing says when this stage ends", "write `steps` or `stop_when`"
            )


# What a stage keeps of the whole training


def check_stage(
    context: Context, before: Sequence[tuple[Training, Plan]], own: tuple[Training, Plan]
) -> None:
    """Check what a stage may not change of the whole spec and of the stages before it.

    All stages share the network, the meaning of its inputs, the kind of the optimizer, the files of
    the data and the samples that are tested on. `before` is the whole spec, then each stage so far.
    """
    (whole, plan), *stages = before
    training, found = own
    _check_inputs(context, plan, found)
    if whole.track != training.track:
        what = "a stage cannot have trackers of its own"
        context.at("training", "track").problem("NB308", what, "write `track` into `training`")
    if whole.optimizer.type != training.optimizer.type:
        what = f"the optimizer is {whole.optimizer.type} in the whole spec"
        hint = "its state is kept from stage to stage; change its `lr`, for example"
        context.at("training", "optimizer").problem("NB308", what, hint)
    trained_on = [stage.split for _, stage in stages if stage.split is not None]
    refuse_leaks(context.at("task", "split"), "a stage before this one", trained_on, found.split)


def _check_inputs(context: Context, before: Plan, after: Plan) -> None:
    """Every input of the network means the same in a stage as in the whole spec."""
    here = context.at("task")
    if before.input_dim != after.input_dim:
        what = f"the task gives {after.input_dim} inputs, and {before.input_dim} in the whole spec"
        here.problem("NB301", what, "all stages train the same network")
        return
    hint = "list the environments in the same order in every stage"
    one, other = (plan.task.channels if plan.task else {} for plan in (before, after))
    for name in one.keys() & other.keys():
        if one[name] != other[name]:
            what = f"input `{name}` is at another position than in the whole spec"
            here["envs"].problem("NB301", what, hint)
            return
    rules = _rules(before)
    kinds = [replace(rule, name="", weight=1.0) for rule in rules]
    for i, (old, new) in enumerate(zip(rules, _rules(after), strict=False)):
        kind = replace(new, name="", weight=1.0)
        is_renamed = kind == kinds[i] or (new.env == old.env and kind not in kinds)
        if new.label != old.label and not is_renamed:
            what = f"the rule input of `{old.label}` is that of `{new.label}` here"
            here["envs"].problem("NB301", what, hint)
            return


def _rules(plan: Plan) -> tuple[Environment, ...]:
    """The environment that each rule input stands for."""
    recipe = plan.task.recipe if isinstance(plan.task, NeurogymPlan) else None
    return recipe.environments if recipe is not None and recipe.rule_input else ()


def check_same_files(context: Context, known: Collection[str]) -> None:
    """Check that a stage names only files of the whole spec, whose paths are `known`.

    A run keeps a copy of these files, and of no others.
    """
    for where, record in context.files.items():
        if record.path not in known:
            what = f"only the whole spec can name a file, {record.reference}"
            hint = "name it in the whole spec; a stage may choose among the arrays of such a file"
            context.problem("NB308", follow(context.parsed.tree.root, where), what, hint)


def refuse_leaks(
    here: Here, who: str, earlier: Sequence[SampleSplit], now: SampleSplit | None
) -> None:
    """Note a problem where a split tests on samples that `who` has trained on."""
    for split in earlier:
        if now is not None and split.leaks_into(now):
            seen = "trained on" if split.selects_on != "validation" else "trained on, or chose on,"
            scored = "validation or test samples" if now.validated else "test samples"
            what = f"{who} {seen} samples of the same file that are {scored} here"
            here.problem("NB311", what, f"write `task: {{{split.words}}}`")
            return
