"""A task from arrays: its keys, and its data against the network, the loss and the batch size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from netbuild.errors import DataFileError, joined
from netbuild.language.base import Model, Seed, key
from netbuild.language.context import Context, Here, Result
from netbuild.language.plan import TaskInputs
from netbuild.language.shorthand import Shorthand, array
from netbuild.language.training import Training
from netbuild.language.units import Units
from netbuild.language.values import as_float32
from netbuild.language.weights import Array as ArrayName
from netbuild.language.weights import FileName
from netbuild.splits import SampleSplit, counts_of, digest_of, split_of
from netbuild.wording import counted

Array = NDArray[Any]

LEAST_DIVISOR = 1e-30  # in double precision, in which inputs are scaled
OF_FILES = ("NB202", "NB203", "NB204")  # problems of the file itself, whichever array is read


class TaskArray(Model):
    """One array of a data file, and how it is scaled."""

    file: FileName | None = key(None, "the file of this array alone", "x.npy")
    array: ArrayName = None
    subtract: float = key(0.0, "subtracted first", 0)
    divide: float = key(1.0, "then divided by", 16)


class TargetArray(Model):
    """The targets: class numbers for cross_entropy, values for mse; or the loss mask."""

    file: FileName | None = key(None, "the file of this array alone", "y.npy")
    array: ArrayName = None


class Split(Model):
    """Which samples are trained on, and which choices are made on; the rest is the test set.

    Choices are those of `stop_when` and of the best checkpoint. Without `validation` they are made
    on the test set.
    """

    train: float = key(0.8, "fraction trained on", 0.8, gt=0, le=1)
    validation: float | None = key(
        None, "fraction that choices are made on, of all samples", 0.15, gt=0, lt=1
    )
    seed: Seed | None = key(None, "a separate seed; the spec's `seed` when left out", 0)


NAMED = Shorthand(array, {"type": "string", "description": "an array's name"})


class Arrays(Model):
    """Samples from a file, or whole trials, whose arrays have time as their second axis.

    Inputs are (sample, input), targets (sample) or (sample, output); of trials, inputs are
    (trial, time, input), targets (trial, time) or (trial, time, output).
    """

    type: Literal["arrays"]
    file: FileName | None = key(None, "the data file", "digits.npz")
    inputs: Annotated[TaskArray, NAMED] = key(
        ..., "what the network reads", {"array": "x", "divide": 16}, also="x"
    )
    targets: Annotated[TargetArray, NAMED] = key(..., "what it should answer", "y", also="labels y")
    loss_mask: Annotated[TargetArray, NAMED] | None = key(
        None, "how much each step of a trial counts in the loss, (trial, time)", "mask"
    )
    variables: list[Annotated[str, Field(min_length=1, max_length=255)]] = key(
        [],
        "arrays of `file` with one value a sample or trial, kept for analysis",
        ["coherence", "context"],
        max_length=1000,
    )
    split: Split = key(
        Split(), "training, validation and test samples", {"train": 0.7, "validation": 0.15}
    )

    has_epochs: ClassVar[bool] = True
    parts: ClassVar[int] = 1

    def answers_are_choices(self, given: TaskInputs | None) -> bool:
        """Whether an evaluation has an accuracy whichever loss is trained on."""
        return False

    @property
    def fractions(self) -> tuple[float, float]:
        """The fractions of the samples for training and for validation."""
        return self.split.train, self.split.validation or 0.0

    def split_seed(self, context: Context) -> int:
        """The seed of the split: its own, or the spec's."""
        return context.parsed.seed if self.split.seed is None else self.split.seed

    def given(self, context: Context) -> TaskInputs | None:
        """How many inputs the data has, from the header of its file."""
        shape = _from_file(context, self, "inputs", Here.shape)
        if shape is None:
            return None
        if len(shape) not in (2, 3):
            what = f"inputs are (sample, input) or (trial, time, input); this array is {shape}"
            context.at("task", "inputs").problem("NB201", what)
            return None
        return TaskInputs(shape[-1], {})

    def check(
        self,
        context: Context,
        given: TaskInputs | None,
        output: Units | None,
        training: Training | None,
    ) -> ArraysPlan | None:
        """The data, scaled, when it fits the network and the loss."""
        inputs, targets = _read(context, self, "inputs"), _read(context, self, "targets")
        if inputs is not None:
            _check_batch(context, self, training, len(inputs))
        if inputs is None or targets is None or given is None:
            return None
        here = context.at("task")
        if len(inputs) != len(targets):
            hint = "one row for each sample" if targets.size == len(inputs) else ""
            what = f"{counted(len(targets), 'target')} for {counted(len(inputs), 'sample')}"
            here["targets"].problem("NB201", what, hint)
            return None
        before = len(context.problems)
        mask = _loss_mask(context, self, inputs.shape)
        _check_split(context, self, mask)
        variables = _variables(context, self, len(inputs))
        if training is None or output is None:
            return None
        if not _fits(here["targets"], inputs, targets, output, training.loss):
            return None
        loss, steps = training.loss, inputs.shape[:-1]
        answers = _converted(
            context, "targets", targets, (loss,), lambda: _answers(targets, steps, loss)
        )
        scale = self.inputs.subtract, self.inputs.divide
        scaled = _converted(context, "inputs", inputs, scale, lambda: _scaled(inputs, *scale))
        if scaled is None or answers is None or len(context.problems) > before:
            return None
        where = "task.inputs.file" if self.inputs.file is not None else "task.file"
        digest = context.once(("digest", id(inputs)), lambda: digest_of(inputs))
        trained, validated, _ = counts_of(len(inputs), *self.fractions)
        sha256, seed = context.files[where].sha256, self.split_seed(context)
        split = SampleSplit(sha256, digest, len(inputs), trained, seed, validated)
        return ArraysPlan(scaled.shape[-1], {}, scaled, answers, mask, variables, split)


@dataclass(frozen=True)
class ArraysPlan(TaskInputs):
    """The data of a task: samples, or trials, which have time as their second axis."""

    samples: NDArray[np.float32]  # (sample, input) or (trial, time, input), scaled
    targets: Array
    loss_mask: NDArray[np.float32] | None  # (trial, time)
    variables: dict[str, Array]  # (sample,) each
    split: SampleSplit

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the samples."""
        return self.samples.shape


# Reading


def _from_file(
    context: Context, task: Arrays, name: str, read: Callable[[Here, str, str | None], Result]
) -> Result | None:
    """What `read` gives of the array of a key, or None with a problem noted where it comes from.

    That is the file where no array can be read from it; where an array is named, its name
    where there is no such array, and the section where what the array holds is wrong.
    """
    here, words = context.at("task", name), getattr(task, name)
    file, at = words.file, here["file"]
    if file is None:
        file, at = task.file, context.at("task", "file")
    if file is None:
        here.problem(
            "NB102", "no file is named for this array", "write `file: ...` here or in `task`"
        )
        return None
    try:
        return read(at, file, words.array)
    except DataFileError as error:
        node = context.parsed.tree.at(here.location)
        place = here
        if words.array is None or error.code in OF_FILES:
            place = at
        elif error.code == "NB206" and not (node is not None and node.short):
            place = here["array"]
        place.problem(error.code, error.what, error.hint)
        return None


def _read(context: Context, task: Arrays, name: str) -> Array | None:
    def samples(at: Here, file: str, array: str | None) -> Array:
        found = at.read(file, array)
        if found.ndim == 0:
            raise DataFileError("NB201", "a single number, where an array of samples belongs")
        return found

    return _from_file(context, task, name, samples)


def _converted(
    context: Context, name: str, array: Array, words: tuple[Any, ...], work: Callable[[], Array]
) -> Array | None:
    """An array of the task as the network takes it, or None with its problem noted.

    It is made once for all stages that give it the same `words`. The context keeps what it has
    read, so arrays are distinguished by their identity.
    """
    here = context.at("task", name)
    return here.attempt(lambda: context.once((name, id(array), words), work))


def _answers(targets: Array, steps: tuple[int, ...], loss: str) -> Array:
    """Targets for each sample, or for each step of each trial: class numbers or values."""
    if loss == "cross_entropy":
        return targets.reshape(steps).astype(np.int64)
    return as_float32(targets.reshape(*steps, -1))


def _scaled(inputs: Array, subtract: float, divide: float) -> NDArray[np.float32]:
    """(input - subtract) / divide, in double precision until the end."""
    if abs(divide) < LEAST_DIVISOR:
        raise DataFileError("NB104", "`divide` is zero, or too close to zero")
    with np.errstate(over="ignore"):
        return as_float32((inputs.astype(np.float64) - subtract) / divide)


def _loss_mask(
    context: Context, task: Arrays, shape: tuple[int, ...]
) -> NDArray[np.float32] | None:
    """How much each step counts, (trial, time)."""
    if task.loss_mask is None:
        return None
    here = context.at("task", "loss_mask")
    if len(shape) == 2:
        what = "a loss mask weighs the time steps of trials, and these inputs have none"
        here.problem("NB308", what, "remove it", key=True)
        return None
    mask = _read(context, task, "loss_mask")
    if mask is None:
        return None
    if mask.shape != shape[:2]:
        what = f"a loss mask is (trial, time) = {shape[:2]}; this array is {mask.shape}"
        here.problem("NB201", what)
    elif mask.min(initial=0) < 0 or not mask.any():
        here.problem("NB205", "a loss mask holds weights of 0 or more, not all of which are 0")
    else:
        return _converted(context, "loss_mask", mask, (), lambda: as_float32(mask))
    return None


def _variables(context: Context, task: Arrays, samples: int) -> dict[str, Array]:
    """The arrays of the task's file that are kept beside its samples."""
    found: dict[str, Array] = {}
    at = context.at("task", "file")
    for i, name in enumerate(task.variables):
        here = context.at("task", "variables", i)
        if task.file is None:
            what = "no file is named for this array"
            here.problem("NB102", what, "write `file: ...` in `task`")
            return {}
        values = here.attempt(partial(at.read, task.file, name))
        if values is not None and values.shape == (samples,):
            found[name] = values
        elif values is not None:
            what = f"a variable has one value for each of {samples} samples; `{name}` is"
            here.problem("NB201", f"{what} {values.shape}")
    return found


# Whether the data fits


def _check_batch(context: Context, task: Arrays, training: Training | None, samples: int) -> None:
    train, validation, test = counts_of(samples, *task.fractions)
    have, here = counted(samples, "sample"), context.at("task", "split")
    if train < 1:
        here["train"].problem("NB309", f"of {have} none is left to train on")
    elif task.split.validation is not None and min(validation, test) < 1:
        to = "validate" if validation < 1 else "test"
        written = f"train: {task.split.train:g}, validation: {task.split.validation:g}"
        what = f"with `{written}`, none of {have} is left to {to} on"
        here["validation"].problem("NB309", what, "for example `train: 0.7, validation: 0.15`")
    if training is not None and training.is_written and training.batch_size > train >= 1:
        what = f"batch_size is {training.batch_size}, but {train} of {have} are trained on"
        here = context.at("training", "batch_size")
        here.problem("NB309", what, f"write `batch_size: {train}`")


def _check_split(context: Context, task: Arrays, mask: Array | None) -> None:
    """Whether the loss mask counts anything among the trials of each part of the split."""
    train, validation = task.fractions
    if mask is None:
        return
    counts = counts_of(len(mask), train, validation)
    if counts[0] < 1 or (validation and min(counts) < 1):  # `_check_batch` reports it
        return
    parts = split_of(len(mask), train, task.split_seed(context), validation)
    for which, trials in zip(("trained on", "validated on", "tested"), parts, strict=True):
        if len(trials) and not mask[trials].any():
            count = "the one trial" if len(trials) == 1 else f"all {len(trials)} trials"
            what = f"the loss mask is 0 in {count} {which}, so that they have no loss"
            hint = "take another `split`, or a loss mask that counts some of them"
            context.at("task", "loss_mask").problem("NB205", what, hint)


def _fits(here: Here, inputs: Array, targets: Array, output: Units, loss: str) -> bool:
    """Whether the loss can compare the last layer's outputs with the targets."""
    wrong = _not_steps(inputs, targets, loss) if inputs.ndim == 3 else None
    if wrong is None:
        flat = targets.reshape(-1, *targets.shape[2:]) if inputs.ndim == 3 else targets
        wrong = (_not_values if loss == "mse" else _not_classes)(flat, output)
    if wrong is not None:
        here.problem("NB307", *wrong)
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
    outputs = counted(output.size, "output")
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
    outputs = counted(output.size, "output")
    what = f"the classes are {lowest} to {highest}, but `{output.layer}` has {outputs}"
    fitting = f"its `output_dim` would be {highest + 1}" if lowest >= 0 else ""
    return what, joined("classes are counted from 0", fitting)
