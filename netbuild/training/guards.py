"""What is no longer finite, found before it can reach a weight; and where it came from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from netbuild.layers import Network
from netbuild.tasks import Batch


def total_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """The norm of all gradients together, (); NaN or Inf if one of them holds such."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def are_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether tensors hold no NaN and no Inf.

    Their sum tells, in one fast pass; only where it is not finite, which large values make it too,
    is every value looked at.
    """
    held = list(tensors)
    sums = [values.sum() for values in held]
    if not held or all(values.is_cpu for values in held):
        finite = math.isfinite(sum(each.item() for each in sums))
    else:  # one answer of the GPU
        finite = math.isfinite(torch.stack(sums).sum().item())
    return finite or not any(_is_bad(values) for values in held)


def bad_gradient(network: Network) -> str:
    """The first parameter, by name, whose gradient is not finite; "" if there is none.

    The norm of large and finite gradients may be infinite too.
    """
    gradients = ((name, p.grad) for name, p in network.named_parameters())
    return next((name for name, grad in gradients if grad is not None and _is_bad(grad)), "")


@torch.no_grad()
def first_bad(network: Network, batch: Batch, step: int) -> str:
    """Where what is not finite comes in, in the order of computation, as words; "" if nowhere.

    The step's forward pass is done again, with its own noise.
    """
    for what, values in _in_order(network, batch, step):
        if _is_bad(values):
            return what
    return ""


def _in_order(network: Network, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
    yield "the inputs", batch.inputs
    yield "the targets", batch.targets
    if batch.loss_mask is not None:
        yield "the loss mask", batch.loss_mask
    for name, parameter in network.named_parameters():
        yield f"`{name}`", parameter
    network.set_step(step)
    _, activity = network(batch.inputs, return_activity=True)
    for name, values in activity.items():
        yield f"the activity of `{name}`", values


def _is_bad(values: Tensor) -> bool:
    return values.is_floating_point() and not bool(values.isfinite().all())
