"""What a network chose in each trial: its largest output at the end of the decision."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netbuild.tasks.task import Batch


def choices(outputs: Tensor, batch: Batch) -> NDArray[np.int64] | None:
    """The number of the largest output in the last step of each trial's decision, (trial,).

    `outputs` is (trial, time, output). None where the batch does not say when a trial is to be
    answered: it is not of whole trials, or its answers are values.
    """
    trials = batch.trials or {}
    if "answer_end" not in trials:
        return None
    ends = torch.as_tensor(np.asarray(trials["answer_end"])).to(outputs.device)
    at = (ends - 1).clamp(min=0)
    last = outputs[torch.arange(len(outputs), device=outputs.device), at]
    return last.argmax(-1).cpu().numpy()


def correct(outputs: Tensor, batch: Batch) -> NDArray[np.float64] | None:
    """Whether each trial's choice is right, 1 or 0; NaN where no output is the right one.

    The mean over trials, NaN left out, is the accuracy.
    """
    chosen = choices(outputs, batch)
    if chosen is None or batch.trials is None:
        return None
    answers = right_choices(batch.trials["answer"])
    return np.where(np.isnan(answers), np.nan, chosen == answers)


def right_choices(answers: Any) -> NDArray[np.float64]:
    """The right choice of each trial as a float, NaN where no choice is right.

    Tasks write -1, or another negative number, where no choice is right; that is no choice of
    its own.
    """
    values = np.asarray(answers, dtype=np.float64)
    return np.where(values < 0, np.nan, values)
