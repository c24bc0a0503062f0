"""The task's loss, and the metric that says how good an answer is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from netbuild.tasks import Batch


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
    return (loss * mask).sum() / mask.sum()


def accuracy(output: Tensor, batch: Batch) -> float:
    """The fraction of samples, or of steps that the loss mask counts, with the right class."""
    right = output.argmax(-1) == batch.targets
    if batch.loss_mask is None:
        return int(right.sum()) / right.numel()
    counted = batch.loss_mask > 0
    return int((right & counted).sum()) / max(int(counted.sum()), 1)


@torch.no_grad()
def answers(network: torch.nn.Module, inputs: Tensor, size: int = 1024) -> Tensor:
    """A network's answers in evaluation mode, `size` samples at a time: (sample, ..., output)."""
    training = network.training
    network.eval()
    try:
        return torch.cat([network(part) for part in torch.split(inputs, size)])
    finally:
        network.train(training)


def score(outputs: Tensor, batch: Batch, kind: str) -> dict[str, float]:
    """Loss, and accuracy for classes, of the answers to a batch."""
    found = {"loss": float(task_loss(kind, outputs, batch))}
    if kind == "cross_entropy":
        found["accuracy"] = accuracy(outputs, batch)
    return found
