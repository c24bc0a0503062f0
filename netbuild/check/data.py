"""The task's arrays against the network, the loss and the batch size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from netbuild import masks
from netbuild.check.context import Context
from netbuild.check.plan import Population, TaskPlan
from netbuild.errors import DataFileError
from netbuild.spec.paths import Location, spell
from netbuild.spec.task import Arrays, TargetArray, TaskArray
from netbuild.spec.training import Training


def task_width(context: Context) -> int | None:
    """How many inputs the task gives, from the header of its file."""
    task = context.parsed.task
    if not isinstance(task, Arrays):
        return None
    location, file = _file(context, task, "inputs", task.inputs)
    if file is None:
        return None
    header = context.attempt(location, lambda: context.header(location, file, task.inputs.array))
    if header is None:
        return None
    if len(header.shape) != 2:
        what = f"inputs are (sample, input); this array is {header.shape}"
        context.problem("NB201", ("task", "inputs"), what)
        return None
    return header.shape[1]


def _file(
    context: Context, task: Arrays, key: str, source: TaskArray | TargetArray
) -> tuple[Location, str | None]:
    if source.file is not None:
        return ("task", key, "file"), source.file
    if task.file is None and context.given(("task", key)):
        context.problem("NB102", ("task", key), "no file says where this array is", "write `file`")
    return ("task", "file"), task.file


def check_task(context: Context, width: int | None, output: Population | None) -> TaskPlan | None:
    """The task's data, scaled, when its arrays fit each other, the network and the loss."""
    task = context.parsed.task
    if not isinstance(task, Arrays) or width is None:
        return None
    inputs = _read(context, task, "inputs", task.inputs)
    targets = _read(context, task, "targets", task.targets)
    if inputs is None or targets is None:
        return None
    if task.inputs.divide == 0:
        context.problem("NB104", ("task", "inputs", "divide"), "division by zero")
        return None
    if len(inputs) != len(targets):
        what = f"{len(targets)} targets for {len(inputs)} samples"
        context.problem("NB201", ("task", "targets"), what)
        return None
    training = context.parsed.training
    loss = training.loss if isinstance(training, Training) else None
    if output is not None and loss is not None and not _fits(context, targets, output, loss):
        return None
    _check_batch(context, task, len(inputs))
    if loss != "mse" and targets.dtype.kind in "biu":
        targets = targets.reshape(len(targets)).astype(np.int64)
    else:
        targets = targets.reshape(len(targets), -1).astype(np.float32)
    scaled = (inputs.astype(np.float32) - np.float32(task.inputs.subtract)) / np.float32(
        task.inputs.divide
    )
    return TaskPlan(scaled, targets)


def _read(
    context: Context, task: Arrays, key: str, source: TaskArray | TargetArray
) -> NDArray[Any] | None:
    location, file = _file(context, task, key, source)
    if file is None:
        return None

    def read() -> NDArray[Any]:
        array = masks.finite(context.read(location, file, source.array))
        if len(array) < 1:
            raise DataFileError("NB205", "the array holds no samples")
        return array

    return context.attempt(location, read)


def _fits(context: Context, targets: NDArray[Any], output: Population, loss: str) -> bool:
    where: Location = ("task", "targets")
    if loss == "mse":
        width = 1 if targets.ndim == 1 else targets.shape[-1]
        if targets.ndim > 2 or width != output.size:
            what = f"mse compares {output.size} outputs of `{output.layer}`"
            context.problem("NB307", where, f"{what} with targets of shape {targets.shape}")
            return False
        return True
    if targets.size != len(targets) or targets.dtype.kind not in "biu":
        kind = "numbers with a fraction" if targets.dtype.kind == "f" else "several columns"
        what = f"cross_entropy takes one class number a sample; these targets are {kind}"
        context.problem("NB307", where, what, "or `loss: mse`")
        return False
    lowest, highest = int(targets.min()), int(targets.max())
    if lowest < 0 or highest >= output.size:
        what = (
            f"the classes are {lowest} to {highest}, but `{output.layer}` has {output.size} outputs"
        )
        context.problem("NB307", where, what, "classes are counted from 0")
        return False
    return True


def _check_batch(context: Context, task: Arrays, samples: int) -> None:
    train = masks.round_half_up(task.split.train, samples)
    if train < 1:
        context.problem(
            "NB309", ("task", "split", "train"), f"no sample of {samples} is left to train on"
        )
    training = context.parsed.training
    if isinstance(training, Training) and training.batch_size > train >= 1:
        what = f"batch_size is {training.batch_size}, but there are {train} training samples"
        context.problem("NB309", ("training", "batch_size"), what)


def check_training(context: Context) -> None:
    """What the keys of `training` say together."""
    training = context.parsed.training
    if not isinstance(training, Training):
        return
    if training.steps is not None and training.epochs is not None:
        what = "`steps` and `epochs` both say how long"
        context.problem("NB308", ("training", "epochs"), what, "leave one out", key=True)
    optimizer = training.optimizer
    if getattr(optimizer, "nesterov", False) and not getattr(optimizer, "momentum", 0):
        what = "Nesterov's momentum needs a momentum"
        context.problem("NB308", ("training", "optimizer", "nesterov"), what, "momentum: 0.9")
    stop = training.stop_when
    if stop is None:
        return
    where: Location = ("training", "stop_when")
    if stop.at_least is None and stop.at_most is None and stop.patience is None:
        what = "says no bound"
        context.problem("NB102", where, what, "write `at_least`, `at_most` or `patience`")
    if stop.metric == "accuracy" and training.loss == "mse":
        what = "mse has no accuracy"
        context.problem("NB308", (*where, "metric"), what, "`metric: loss`")
    if training.evaluate.every is None:
        what = f"{spell(context.parsed.root, where)} counts evaluations, and there are none"
        context.problem("NB308", where, what, "write `evaluate: {every: 200}`", key=True)
