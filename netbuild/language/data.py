"""The task's data against itself, the network, the loss and the batch size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from netbuild.errors import DataFileError, joined
from netbuild.language.check_splits import digest_of
from netbuild.language.context import Context, Result, as_float32
from netbuild.language.plan import TaskPlan
from netbuild.language.population import Units
from netbuild.language.task import Arrays, Neurogym, TargetArray, TaskArray
from netbuild.language.training import UNTIL, Cosine, Training
from netbuild.rounding import round_half_up
from netbuild.splits import split_of
from netbuild.yamltree.nodes import Location

if TYPE_CHECKING:  # which takes a while to import, and few specs need
    from netbuild.language.environments import EnvironmentPlan, TaskWidths

Array = NDArray[Any]

LEAST_DIVISOR = 1e-30  # in double precision, in which inputs are scaled
_OF_FILES = ("NB202", "NB203", "NB204")  # what is wrong whichever array is read


@dataclass(frozen=True)
class SequencePlan(TaskPlan):
    """As TaskPlan, with what trials have beside inputs and targets; time is the second axis."""

    loss_mask: NDArray[np.float32] | None = None  # (trial, time)
    variables: dict[str, Array] = field(default_factory=dict)  # (trial,) each
    digest: str = ""  # of the inputs, as the file has them


def task_width(
    context: Context, environments: EnvironmentPlan | TaskWidths | None = None
) -> int | None:
    """How many inputs the task gives: from the header of its file, or from its environments."""
    if environments is not None:
        return environments.inputs
    task = context.parsed.task
    if not isinstance(task, Arrays):
        return None
    location, file = _file(context, task, "inputs", task.inputs)
    if file is None:
        return None
    shape = _attempt(
        context,
        "inputs",
        task.inputs,
        location,
        lambda: context.shape(location, file, task.inputs.array),
    )
    if shape is None:
        return None
    if len(shape) not in (2, 3):
        what = f"inputs are (sample, input) or (trial, time, input); this array is {shape}"
        context.problem("NB201", ("task", "inputs"), what)
        return None
    return shape[-1]


def _file(
    context: Context, task: Arrays, key: str, source: TaskArray | TargetArray
) -> tuple[Location, str | None]:
    if source.file is not None:
        return ("task", key, "file"), source.file
    if task.file is None:
        what = "no file says where this array is"
        context.problem("NB102", ("task", key), what, "write `file: ...` here or in `task`")
    return ("task", "file"), task.file


def check_task(
    context: Context,
    width: int | None,
    output: Units | None,
    environments: EnvironmentPlan | TaskWidths | None = None,
) -> TaskPlan | EnvironmentPlan | TaskWidths | None:
    """The task's data, scaled, or its environments, when they fit the network and the loss."""
    task = context.parsed.task
    training = context.parsed.training
    loss = training.loss if isinstance(training, Training) else None
    if environments is not None and output is not None and loss is not None:
        from netbuild.language.environments import check_answers

        check_answers(context, environments, output, loss)
    if not isinstance(task, Arrays):
        return environments
    inputs = _read(context, task, "inputs", task.inputs)
    targets = _read(context, task, "targets", task.targets)
    if inputs is not None:
        _check_batch(context, task, len(inputs))
    if inputs is None or targets is None or width is None:
        return None
    if len(inputs) != len(targets):
        count = "1 target" if len(targets) == 1 else f"{len(targets)} targets"
        hint = "one row a sample" if targets.size == len(inputs) else ""
        context.problem("NB201", ("task", "targets"), f"{count} for {len(inputs)} samples", hint)
        return None
    before = len(context.problems)
    mask = _loss_mask(context, task, inputs.shape)
    _check_split(context, task, mask)
    variables = _variables(context, task, len(inputs))
    if loss is None or output is None or not _fits(context, inputs, targets, output, loss):
        return None
    answers = _converted(
        context, "targets", targets, (loss,), lambda: _answers(targets, inputs.shape[:-1], loss)
    )
    scale = task.inputs.subtract, task.inputs.divide
    scaled = _converted(context, "inputs", inputs, scale, lambda: _scaled(inputs, task.inputs))
    if scaled is None or answers is None or len(context.problems) > before:
        return None
    digest = context.once(("digest", id(inputs)), lambda: digest_of(inputs))
    return SequencePlan(scaled, answers, mask, variables, digest)


def _converted(
    context: Context, key: str, array: Array, words: tuple[Any, ...], work: Callable[[], Array]
) -> Array | None:
    """An array of the task as the network takes it, or None with its problem noted.

    It is made once for all stages that say the same `words` of it. The context keeps what it has
    read, so an array is told from the others by its identity.
    """
    return context.attempt(("task", key), lambda: context.once((key, id(array), words), work))


def _answers(targets: Array, each: tuple[int, ...], loss: str) -> Array:
    """Targets for each sample, or for each step of each trial: class numbers or values."""
    if loss == "cross_entropy":
        return targets.reshape(each).astype(np.int64)
    return as_float32(targets.reshape(*each, -1))


def _loss_mask(
    context: Context, task: Arrays, shape: tuple[int, ...]
) -> NDArray[np.float32] | None:
    """How much each step counts, (trial, time)."""
    if task.loss_mask is None:
        return None
    if len(shape) == 2:
        what = "a loss mask weighs the time steps of trials, and these inputs have none"
        context.problem("NB308", ("task", "loss_mask"), what, "take it away", key=True)
        return None
    array = _read(context, task, "loss_mask", task.loss_mask)
    if array is None:
        return None
    if array.shape != shape[:2]:
        what = f"a loss mask is (trial, time) = {shape[:2]}; this array is {array.shape}"
        context.problem("NB201", ("task", "loss_mask"), what)
    elif array.min(initial=0) < 0 or not array.any():
        what = "a loss mask holds weights of 0 or more, some of them more"
        context.problem("NB205", ("task", "loss_mask"), what)
    else:
        return _converted(context, "loss_mask", array, (), lambda: as_float32(array))
    return None


def _check_split(context: Context, task: Arrays, mask: Array | None) -> None:
    """Whether the loss mask counts anything among the trials trained on, and among those tested."""
    train = task.split.train
    if mask is None or round_half_up(train, len(mask)) < 1:  # which is told of elsewhere
        return
    seed = context.parsed.seed if task.split.seed is None else task.split.seed
    parts = split_of(len(mask), train, seed)
    for which, trials in zip(("trained on", "tested"), parts, strict=True):
        if not mask[trials].any():
            count = "the one trial" if len(trials) == 1 else f"all {len(trials)} trials"
            what = f"the loss mask is 0 in {count} {which}, so that they have no loss"
            hint = "take another `split`, or let some of them count"
            context.problem("NB205", ("task", "loss_mask"), what, hint)


def _variables(context: Context, task: Arrays, samples: int) -> dict[str, Array]:
    """The arrays of the task's file that are kept beside its samples."""
    found: dict[str, Array] = {}
    for i, name in enumerate(task.variables):
        where: Location = ("task", "variables", i)
        if task.file is None:
            what = "no file says where this array is"
            context.problem("NB102", where, what, "write `file: ...` in `task`")
            return {}
        file = task.file

        def read(name: str = name, file: str = file) -> Array:
            return context.read(("task", "file"), file, name)

        array = context.attempt(where, read)
        if array is not None and array.shape != (samples,):
            what = f"a variable has one value for each of {samples} samples; `{name}` is"
            context.problem("NB201", where, f"{what} {array.shape}")
        elif array is not None:
            found[name] = array
    return found


def _scaled(inputs: Array, words: TaskArray) -> NDArray[np.float32]:
    """(input - subtract) / divide, in double precision until the end."""
    if abs(words.divide) < LEAST_DIVISOR:
        raise DataFileError("NB104", "`divide` is zero, or next to it")
    with np.errstate(over="ignore"):
        scaled = (inputs.astype(np.float64) - words.subtract) / words.divide
    return as_float32(scaled)


def _read(
    context: Context, task: Arrays, key: str, source: TaskArray | TargetArray
) -> Array | None:
    location, file = _file(context, task, key, source)
    if file is None:
        return None

    def read() -> Array:
        array = context.read(location, file, source.array)
        if array.ndim == 0:
            raise DataFileError("NB201", "a single number, where samples belong")
        return array

    return _attempt(context, key, source, location, read)


def _attempt(
    context: Context,
    key: str,
    source: TaskArray | TargetArray,
    file: Location,
    work: Callable[[], Result],
) -> Result | None:
    """The result of reading an array, or None with its problem noted where it comes from.

    That is the file where no array can be read from it; where one is named, its name where there
    is no such array, and the section where what the array holds is wrong.
    """
    try:
        return work()
    except DataFileError as error:
        location: Location = ("task", key)
        node = context.parsed.tree.at(location)
        if source.array is None or error.code in _OF_FILES:
            location = file
        elif error.code == "NB206" and not (node is not None and node.short):
            location = ("task", key, "array")
        context.problem(error.code, location, error.what, error.hint)
        return None


def _fits(context: Context, inputs: Array, targets: Array, output: Units, loss: str) -> bool:
    """Whether the loss can compare the last layer's outputs with the targets."""
    wrong = _not_steps(inputs, targets, loss) if inputs.ndim == 3 else None
    if wrong is None:
        flat = targets.reshape(-1, *targets.shape[2:]) if inputs.ndim == 3 else targets
        wrong = (_not_values if loss == "mse" else _not_classes)(flat, output)
    if wrong is not None:
        context.problem("NB307", ("task", "targets"), *wrong)
    return wrong is None


def _not_steps(inputs: Array, targets: Array, loss: str) -> tuple[str, str] | None:
    """What is wrong with targets that do not have the same trials and steps as the inputs."""
    if targets.ndim in (2, 3) and targets.shape[:2] == inputs.shape[:2]:
        return None
    trials, time = inputs.shape[:2]
    wanted = "(trial, time)" if loss == "cross_entropy" else "(trial, time, output)"
    what = f"the inputs are {trials} trials of {time} time steps; their targets are {wanted}"
    return f"{what}, and this array is {targets.shape}", "one target for each step"


def _not_values(targets: Array, output: Units) -> tuple[str, str] | None:
    width = 1 if targets.ndim == 1 else targets.shape[-1]
    if targets.ndim <= 2 and width == output.size:
        return None
    outputs = "1 output" if output.size == 1 else f"{output.size} outputs"
    what = f"mse compares {outputs} of `{output.layer}` with targets of shape {targets.shape}"
    hint = f"its `output_dim` would be {width}" if targets.ndim <= 2 else ""
    if width == 1 and targets.dtype.kind in "iu":
        hint = joined(hint, "if the targets are class numbers, write `loss: cross_entropy`")
    return what, hint


def _not_classes(targets: Array, output: Units) -> tuple[str, str] | None:
    if targets.size != len(targets):
        what = "cross_entropy takes one class number a sample; these targets have several columns"
        return what, "give class numbers, or write `loss: mse`"
    if targets.dtype.kind == "f" and bool((targets != np.round(targets)).any()):
        what = "cross_entropy takes class numbers; these targets are numbers with a fraction"
        return what, "write `loss: mse`"
    lowest, highest = int(targets.min()), int(targets.max())
    if lowest >= 0 and highest < output.size:
        return None
    outputs = "1 output" if output.size == 1 else f"{output.size} outputs"
    what = f"the classes are {lowest} to {highest}, but `{output.layer}` has {outputs}"
    if lowest < 0:
        return what, "classes are counted from 0"
    return what, f"classes are counted from 0; its `output_dim` would be {highest + 1}"


def _check_batch(context: Context, task: Arrays, samples: int) -> None:
    train = round_half_up(task.split.train, samples)
    have = "1 sample" if samples == 1 else f"{samples} samples"
    if train < 1:
        what = f"of {have} none is left to train on"
        context.problem("NB309", ("task", "split", "train"), what)
    training = context.parsed.training
    if _is_meant(training) and training.batch_size > train >= 1:
        what = f"batch_size is {training.batch_size}, but {train} of {have} are trained on"
        context.problem("NB309", ("training", "batch_size"), what, f"write `batch_size: {train}`")


def _is_meant(training: object) -> TypeGuard[Training]:
    """Whether the spec says anything of training; a network alone can be built and inspected.

    Told by the values and not by the file, since a resolved spec has every default written out.
    """
    return isinstance(training, Training) and training != Training()


def check_training(
    context: Context, environments: EnvironmentPlan | TaskWidths | None = None
) -> None:
    """What the keys of `training` say together, and whether the task has what they count."""
    training = context.parsed.training
    if not isinstance(training, Training):
        return
    _check_length(context, training)
    optimizer = training.optimizer
    if getattr(optimizer, "nesterov", False) and not getattr(optimizer, "momentum", 0):
        what = "Nesterov's momentum needs a momentum"
        where: Location = ("training", "optimizer", "nesterov")
        context.problem("NB308", where, what, "write `momentum: 0.9` beside it")
    _check_stop(context, training, environments)


def _check_length(context: Context, training: Training) -> None:
    if training.steps is not None and training.epochs is not None:
        what = "`steps` and `epochs` both say how long"
        context.problem("NB308", ("training", "epochs"), what, "take one away", key=True)
    elif training.epochs is not None and not context.given(("task",)):
        what = "`epochs` counts passes over the samples of a task, and there is none"
        hint = "write `steps`, or a `task`"
        context.problem("NB308", ("training", "epochs"), what, hint, key=True)
    elif training.epochs is not None and isinstance(context.parsed.task, Neurogym):
        what = "`epochs` counts passes over samples, and this task's trials are always new"
        context.problem("NB308", ("training", "epochs"), what, "write `steps: 2000`", key=True)
    elif (
        (training.steps, training.epochs, training.stages) == (None, None, None)
        and _is_meant(training)
        and context.given(("task",))  # without a task nothing is trained yet
    ):
        what = "nothing says how long to train"
        hint = "write `epochs` or `steps`, e.g. `epochs: 20`"
        context.problem("NB102", ("training",), what, hint, key=True)


def _metrics(
    context: Context, training: Training, environments: EnvironmentPlan | TaskWidths | None
) -> tuple[str, ...] | None:
    """The metrics of the task's evaluations; None if environments with problems leave them unknown.

    Trials of an environment whose answers are actions have an accuracy whatever the loss is.
    """
    if training.loss == "cross_entropy":
        return ("accuracy", "loss")
    if not isinstance(context.parsed.task, Neurogym):
        return ("loss",)
    if environments is None:
        return None
    return ("accuracy", "loss") if environments.classes else ("loss",)


def _check_stop(
    context: Context, training: Training, environments: EnvironmentPlan | TaskWidths | None
) -> None:
    stop = training.stop_when
    if training.steps == UNTIL and isinstance(training.optimizer.schedule, Cosine):
        what = "a cosine takes a known number of steps, and this stage ends by `stop_when` alone"
        context.problem("NB308", ("training", "optimizer"), what, "give the stage `steps`")
    if stop is None:
        return
    where: Location = ("training", "stop_when")
    if stop.at_least is None and stop.at_most is None and stop.patience is None:
        what = "nothing says when to stop"
        hint = "write `at_least`, `at_most` or `patience`"
        context.problem("NB102", where, what, hint, key=True)
    if stop.metric == "accuracy" and not 0 <= (stop.at_least or 0) <= 1:
        what = f"an accuracy lies between 0 and 1, and this asks for {stop.at_least:g}"
        percent = (stop.at_least or 0) / 100
        hint = f"85 % is 0.85; here {percent:g}" if 0 < percent <= 1 else ""
        context.problem("NB104", (*where, "at_least"), what, hint)
    if stop.metric == "loss" and stop.at_most is not None and stop.at_most < 0:
        what = f"a loss is never below 0, and this asks for {stop.at_most:g}"
        context.problem("NB104", (*where, "at_most"), what)
    metrics = _metrics(context, training, environments)
    if metrics is not None and stop.metric not in metrics:
        what = f"this task has no {stop.metric}, since its answers are values, not choices"
        hint = f"its evaluations have {' and '.join(f'`{metric}`' for metric in metrics)}"
        context.problem("NB308", (*where, "metric"), what, hint)
    if training.evaluate.every is None:
        what = "this counts evaluations, and there are none before the end"
        hint = "write `evaluate: {every: 200}` in `training`"
        context.problem("NB308", where, what, hint, key=True)
