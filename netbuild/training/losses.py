"""The loss of the task, and the accuracy of answers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from netbuild.errors import Exit, NetbuildError
from netbuild.layers import evaluating
from netbuild.tasks import Batch, correct


def task_loss(kind: str, output: Tensor, batch: Batch) -> Tensor:
    """The mean loss of a batch, without regularizers; a loss mask weighs its steps.

    The loss is 0, without a gradient, where no step of the batch counts. `output` is
    (batch, output) or (batch, time, output). The targets of `cross_entropy` are class numbers, in
    the shape without the last axis; those of `mse` have the same shape, whose last axis may be left
    out if it is 1. The mask is (batch, time). Raises ValueError for other shapes.
    """
    check_targets(kind, output, batch)
    if kind == "cross_entropy":
        flat, targets, mask = _by_class(output, batch)
        each = "mean" if mask is None else "none"
        try:
            loss = functional.cross_entropy(flat, targets, reduction=each)
        except IndexError:  # raised on the CPU only: a GPU is told by `check_classes` before
            check_classes(targets, flat.shape[1])
            raise
        if mask is None:
            return loss
    else:
        difference = (output - batch.targets.reshape(output.shape)).square()
        if batch.loss_mask is None:
            return difference.mean()
        loss, mask = difference.mean(-1).flatten(), batch.loss_mask.reshape(-1)
    mask = mask.to(loss.dtype)
    whole = mask.sum()
    return (loss * mask).sum() / torch.where(whole > 0, whole, 1.0)


def _by_class(output: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
    """Scores (1, class, step) or (step, class), with targets and loss mask in that order of steps.

    The first is of outputs whose memory is (output, time, batch) or (output, batch, time), as
    `kernels.readout` leaves it, of which a softmax of a few classes is several times faster.
    """
    targets, mask = batch.targets, batch.loss_mask
    if output.ndim == 3 and output.stride(-1) > 1:
        scores = output.movedim(-1, 0)
        if not scores.is_contiguous():
            scores, targets = scores.mT, targets.mT
            mask = None if mask is None else mask.mT
        flat = scores.reshape(1, len(scores), -1)
        return flat, targets.reshape(1, -1), None if mask is None else mask.reshape(1, -1)
    flat = output.flatten(0, -2)
    return flat, targets.reshape(-1), None if mask is None else mask.reshape(-1)


def check_targets(kind: str, output: Tensor, batch: Batch) -> None:
    """Raise ValueError, with what is expected, where targets or loss mask do not fit the output."""
    each, targets, mask = tuple(output.shape[:-1]), batch.targets, batch.loss_mask
    axes = "(batch, time" if len(each) == 2 else "(batch"
    if kind == "cross_entropy":
        whole = targets.dtype in (torch.int64, torch.uint8)
        if tuple(targets.shape) != each or not whole:
            what = f"the targets of cross_entropy are class numbers {axes}) = {each} torch.int64"
            raise ValueError(f"{what}, not {tuple(targets.shape)} {targets.dtype}")
    elif targets.shape != output.shape and (tuple(targets.shape), 1) != (each, output.shape[-1]):
        what = f"the targets of mse are values {axes}, output) = {tuple(output.shape)}"
        raise ValueError(f"{what}, as the network's output, not {tuple(targets.shape)}")
    if mask is not None and tuple(mask.shape) != each:
        raise ValueError(f"the loss mask is {axes}) = {each}, not {tuple(mask.shape)}")


class ClassError(NetbuildError, ValueError):
    """A class number without an output (exit 4)."""


def check_classes(targets: Tensor, outputs: int) -> None:
    """Raise ClassError for a class number without an output; reads the numbers.

    On a GPU a number out of range would end the process's use of it (a device assertion), so class
    numbers are checked before they get there.
    """
    if not targets.numel() or targets.is_floating_point():
        return
    lowest, highest = (int(each) for each in targets.aminmax())
    if lowest < 0 or highest >= outputs:
        what = f"targets are classes 0 to {outputs - 1}, one for each output"
        hint = f"the last layer's `output_dim` would be {highest + 1}"
        if lowest < 0:
            hint = "classes are counted from 0; a step that does not count has a loss mask of 0"
        raise ClassError(f"{what}, not {lowest} to {highest}", Exit.DATA, hint)


def accuracy(output: Tensor, batch: Batch) -> float:
    """The fraction of right answers; NaN where no answer can be right.

    In trials with a decision, the choice counts; otherwise the class of each sample, or of each
    step that the loss mask counts.
    """
    right = correct(output, batch)
    if right is not None:
        return _mean(right)
    same = output.argmax(-1) == batch.targets
    if batch.loss_mask is None:
        return int(same.sum()) / same.numel()
    counted = batch.loss_mask > 0
    count = int(counted.sum())
    return int((same & counted).sum()) / count if count else math.nan


def accuracies(output: Tensor, batch: Batch) -> dict[str, float]:
    """The accuracy in each environment; {} unless there are several."""
    right = correct(output, batch)
    names = np.asarray((batch.trials or {}).get("environment", ()))
    kinds = np.unique(names)
    if right is None or len(kinds) < 2:
        return {}
    return {str(kind): _mean(right[names == kind]) for kind in kinds}


def _mean(right: NDArray[np.float64]) -> float:
    """The mean of the numbers that are not NaN; NaN without any."""
    known = right[~np.isnan(right)]
    return float(known.mean()) if len(known) else math.nan


def answers(
    network: torch.nn.Module, inputs: Tensor, size: int = 1024, *, noise: str | None = None
) -> Tensor:
    """A network's answers in evaluation mode, `size` samples at a time: (sample, ..., output).

    With `noise`, the noise of recurrent layers stays on. It is drawn from the stream of this name,
    so that the same samples get the same noise each time; another number of samples gets other
    noise.
    """
    found = []
    for number, part in enumerate(torch.split(inputs, size)):
        with evaluating(network, noise=None if noise is None else f"{noise}/{number}"):
            found.append(network(part))
    return torch.cat(found)


def score(outputs: Tensor, batch: Batch, kind: str) -> dict[str, Any]:
    """The loss, and the accuracy where there are right answers, in all trials and by environment.

    The loss is None where no step of the batch counts, which is not the same as a loss of 0.
    """
    counts = batch.loss_mask is None or bool((batch.loss_mask > 0).any())
    loss = float(task_loss(kind, outputs, batch)) if counts else None
    found: dict[str, Any] = {"loss": loss}
    if has_accuracy(kind, batch):
        found["accuracy"] = accuracy(outputs, batch)
        if each := accuracies(outputs, batch):
            found["environments"] = each
    return found


def has_accuracy(kind: str, batch: Batch) -> bool:
    """Whether a batch has right answers: classes, or trials with a decision."""
    return kind == "cross_entropy" or "answer_end" in (batch.trials or {})
