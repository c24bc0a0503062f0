"""The task's loss, and the metric that says how good an answer is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from netbuild.tasks import Batch, correct


def task_loss(kind: str, output: Tensor, batch: Batch) -> Tensor:
    """The mean loss of a batch, without regularizers; a loss mask weighs its steps.

    `output` is (batch, output) or (batch, time, output). `cross_entropy` takes class numbers of
    the shape without the last axis, `mse` values of the same shape.
    """
    if kind == "cross_entropy":
        flat = output.flatten(0, -2)
        each = "mean" if batch.loss_mask is None else "none"
        loss = functional.cross_entropy(flat, batch.targets.reshape(-1), reduction=each)
        if batch.loss_mask is None:
            return loss
    else:
        difference = (output - batch.targets.reshape(output.shape)).square()
        if batch.loss_mask is None:
            return difference.mean()
        loss = difference.mean(-1).flatten()
    mask = batch.loss_mask.reshape(-1).to(loss.dtype)
    return (loss * mask).sum() / mask.sum().clamp(min=torch.finfo(mask.dtype).tiny)


def accuracy(output: Tensor, batch: Batch) -> float:
    """The fraction of right answers.

    Of trials with a decision, those whose choice in it is right (NaN if none can be); else of
    samples, or of the steps that the loss mask counts, those with the right class.
    """
    right = correct(output, batch)
    if right is not None:
        return _mean(right)
    same = output.argmax(-1) == batch.targets
    if batch.loss_mask is None:
        return int(same.sum()) / same.numel()
    counted = batch.loss_mask > 0
    return int((same & counted).sum()) / max(int(counted.sum()), 1)


def accuracies(output: Tensor, batch: Batch) -> dict[str, float]:
    """The accuracy in each environment, where there are several; else nothing."""
    right = correct(output, batch)
    names = np.asarray((batch.trials or {}).get("environment", ()))
    kinds = np.unique(names)
    if right is None or len(kinds) < 2:
        return {}
    return {str(kind): _mean(right[names == kind]) for kind in kinds}


def _mean(right: NDArray[np.float64]) -> float:
    """The mean of what is not NaN; NaN of nothing."""
    known = right[~np.isnan(right)]
    return float(known.mean()) if len(known) else math.nan


@torch.no_grad()
def answers(network: torch.nn.Module, inputs: Tensor, size: int = 1024) -> Tensor:
    """A network's answers in evaluation mode, `size` samples at a time: (sample, ..., output)."""
    training = network.training
    network.eval()
    try:
        return torch.cat([network(part) for part in torch.split(inputs, size)])
    finally:
        network.train(training)


def score(outputs: Tensor, batch: Batch, kind: str) -> dict[str, Any]:
    """Loss, and accuracy where there are right answers, over all and in each environment."""
    found: dict[str, Any] = {"loss": float(task_loss(kind, outputs, batch))}
    if has_accuracy(kind, batch):
        found["accuracy"] = accuracy(outputs, batch)
        if each := accuracies(outputs, batch):
            found["environments"] = each
    return found


def has_accuracy(kind: str, batch: Batch) -> bool:
    """Whether a batch has right answers: classes, or trials with a decision."""
    return kind == "cross_entropy" or "answer_end" in (batch.trials or {})
