"""The test trials as a table with a row for each trial: its variables and the network's answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from netbuild.tasks import Batch, choices, correct

Array = NDArray[Any]


def trial_columns(outputs: Tensor, batch: Batch, loss: str) -> dict[str, Array]:
    """The columns (trial,) of a table: the trials' own variables, then the network's answers.

    The answers are `choice` and `correct` (1 or 0, NaN where no choice is right) for trials with a
    decision and for classes without time, otherwise the `loss`. A variable with several values a
    trial becomes as many columns, `name_0` and so on. A variable with the name of an answer's
    column becomes `given_<name>`.

    Args:
        outputs: (trial, output) or (trial, time, output).
        loss: `cross_entropy` or `mse`.
    """
    own = _answers(outputs, batch, loss)
    columns: dict[str, Array] = {}
    for name, values in (batch.trials or {}).items():
        for column, array in _flat(name, plain(values)).items():
            while column in own or column in columns:
                column = f"given_{column}"
            columns[column] = array
    return columns | own


def trial_frame(columns: dict[str, Array]) -> Any:
    """Columns as a polars DataFrame, in which `correct` is true, false or null."""
    import polars  # the import takes a tenth of a second, and only tables need it

    frame = polars.DataFrame(columns)
    if "correct" in columns:
        right = polars.col("correct")
        frame = frame.with_columns(right.fill_nan(None).cast(polars.Boolean))
    return frame


def _answers(outputs: Tensor, batch: Batch, loss: str) -> dict[str, Array]:
    targets = batch.targets.cpu()
    chosen, right = choices(outputs, batch), correct(outputs, batch)
    if chosen is not None and right is not None:
        return {"choice": chosen, "correct": right.astype(np.float64)}
    if loss == "cross_entropy" and outputs.dim() == 2:
        choice = outputs.argmax(-1)
        return {
            "target": targets.numpy(),
            "choice": choice.numpy(),
            "correct": (choice == targets).double().numpy(),
        }
    if loss == "cross_entropy":
        flat, wanted = outputs.flatten(0, -2), targets.reshape(-1)
        errors = functional.cross_entropy(flat, wanted, reduction="none").reshape(targets.shape)
    else:
        errors = (outputs - targets.reshape(outputs.shape)).square().mean(-1)
    errors = errors.reshape(len(outputs), -1)
    if batch.loss_mask is None:
        return {"loss": errors.mean(-1).numpy()}
    weight = batch.loss_mask.cpu().to(errors.dtype)
    return {"loss": ((errors * weight).sum(-1) / weight.sum(-1)).numpy()}


def _flat(name: str, values: Array) -> dict[str, Array]:
    """A variable as columns with one value for each trial."""
    if values.ndim == 1:
        return {name: values}
    parts = values.reshape(len(values), -1).T
    return {f"{name}_{i}": part for i, part in enumerate(parts)}


def plain(values: Any) -> Array:
    """Values as an array of numbers or of text, without Python objects.

    None becomes NaN among numbers, and "" among text.
    """
    array = np.asarray(values)
    if array.dtype.kind in "biufcU":
        return array
    missing = np.array([value is None for value in array.flat], bool).reshape(array.shape)
    if all(isinstance(value, (int, float, np.number)) for value in array[~missing]):
        return np.where(missing, np.nan, array).astype(np.float64)
    return np.where(missing, "", array).astype(np.str_)
