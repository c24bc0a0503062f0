"""Numbers that are not finite: found before they reach a weight, and traced to their origin."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from netbuild.errors import Exit, NetbuildError
from netbuild.layers import Network
from netbuild.tasks import Batch


def diverged(what: str, *, at_start: bool = False) -> NetbuildError:
    """The error (exit 8) of a training whose numbers are no longer finite."""
    hint = "a smaller `lr`, or `clip_grad_norm`, may help"
    if at_start:  # no step has been taken, so the learning rate is not the cause
        hint = (
            "the initial network explodes; `recurrent: {ei_balance: row}` or `{spectral_radius: 1}`"
            " may help, or smaller weights"
        )
    return NetbuildError(what, Exit.DIVERGED, hint)


def total_norm(parameters: Iterable[nn.Parameter], order: float = 2.0) -> Tensor:
    """The norm of all gradients together, (); NaN or Inf if one of them holds NaN or Inf.

    With the order Inf, the largest magnitude, nothing else makes it infinite.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients or not all(gradient.is_cpu for gradient in gradients):
        return torch.nn.utils.get_total_norm(gradients, order)
    # The same numbers: on the CPU torch's function only takes these norms with more calls.
    norms = torch.stack([torch.linalg.vector_norm(gradient, order) for gradient in gradients])
    norm: Tensor = torch.linalg.vector_norm(norms, order)
    return norm


def clip(parameters: Iterable[nn.Parameter], largest: float, norm: Tensor) -> None:
    """Scale all gradients so that their norm, which is `norm` now, is at most `largest`.

    These are the numbers of `torch.nn.utils.clip_grads_with_norm_`. A CPU is not kept busy with a
    factor of 1.
    """
    parameters = list(parameters)
    if not norm.is_cpu:
        torch.nn.utils.clip_grads_with_norm_(parameters, largest, norm)
        return
    factor = (largest / (norm + 1e-6)).clamp(max=1.0).item()
    if factor != 1.0:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(factor)


def are_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether tensors hold no NaN and no Inf.

    The tensors are summed in one fast pass. A sum that is not finite may also come from large
    values, so every value is looked at then.
    """
    values = list(tensors)
    sums = [tensor.sum() for tensor in values]
    if not values or all(tensor.is_cpu for tensor in values):
        finite = math.isfinite(sum(each.item() for each in sums))
    else:  # wait for the GPU once
        finite = math.isfinite(torch.stack(sums).sum().item())
    return finite or not any(_is_bad(tensor) for tensor in values)


def bad_gradient(network: Network) -> str:
    """The first parameter whose gradient is not finite; "" if there is none.

    There may be none although the norm is infinite, since the squares of large values overflow.
    """
    gradients = ((name, p.grad) for name, p in network.named_parameters())
    return next((name for name, grad in gradients if grad is not None and _is_bad(grad)), "")


@torch.no_grad()
def first_bad(network: Network, batch: Batch, step: int) -> str:
    """The first place, in the order of computation, with a number that is not finite, or "".

    The forward pass of the step is computed again, with the same noise.
    """
    found = (what for what, values in _in_order(network, batch, step) if _is_bad(values))
    return next(found, "")


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
