"""What the passes of all formulations share: what they read and leave, and sums over time.

Shapes are (time, batch, unit) with weights (post, pre), or with one ensemble axis
(time, ensemble, batch, unit) with weights (ensemble, post, pre); a state is one time step. With a
sparse weight the memory is (time, unit, batch), as its products want it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any, NamedTuple

import torch
from torch import Tensor

from netbuild.kernels.activations import Activation
from netbuild.kernels.products import Weight, along_units, received
from netbuild.kernels.sparse import SparseWeight


class Inputs(NamedTuple):
    """What a recurrence reads; the gradients are in the same order."""

    drive: Tensor  # d (time, ..., batch, unit)
    weight: Weight  # W (..., post, pre)
    alpha: float | Tensor  # a; a tensor is (unit,) or (ensemble, unit)
    rate: Tensor  # r before the first step (..., batch, unit)
    potential: Tensor | None = None  # v before the first step; of `current` alone
    noise: Tensor | None = None  # n (time, ..., batch, unit)
    rate_noise: Tensor | None = None  # m (time, ..., batch, unit)


class Wanted(NamedTuple):
    """Which of the inputs somebody wants the gradient of."""

    drive: bool = False
    weight: bool = False
    alpha: bool = False
    rate: bool = False
    potential: bool = False
    noise: bool = False
    rate_noise: bool = False


class Gradients(NamedTuple):
    """The gradients of the inputs; None where nobody wants it."""

    drive: Tensor | None = None
    weight: Tensor | None = None
    alpha: Tensor | None = None
    rate: Tensor | None = None
    potential: Tensor | None = None
    noise: Tensor | None = None
    rate_noise: Tensor | None = None


class Trace(NamedTuple):
    """What a forward pass leaves: its results, and what else the gradients need."""

    rates: Tensor  # r, rate noise included (time, ..., batch, unit)
    potential: Tensor | None = None  # v after the last step
    clean: Tensor | None = None  # f(...) of all steps, where the rates are something else
    potentials: Tensor | None = None  # v of all steps, for alpha's gradient


class Kept(NamedTuple):
    """What a backward pass reads, of the inputs and of the trace."""

    weight: Weight
    alpha: float | Tensor
    rate: Tensor
    potential: Tensor | None
    drive: Tensor | None  # for alpha's gradient
    rates: Tensor
    clean: Tensor | None
    potentials: Tensor | None


class Formulation(NamedTuple):
    """One update equation."""

    forward: Callable[[Inputs, Activation, Wanted], Trace]
    # The last two: the gradients of the rates, and of the last potential.
    backward: Callable[[Kept, Activation, Wanted, Tensor, Tensor | None], Gradients]


def fresh_steps(x: Inputs) -> Tensor:
    """A tensor like the drive, not yet written, in the memory that the products want."""
    if not isinstance(x.weight, SparseWeight):
        return torch.empty_like(x.drive, memory_format=torch.contiguous_format)
    return torch.empty_like(x.drive.mT, memory_format=torch.contiguous_format).mT


def fresh(like: Tensor) -> Tensor:
    """A tensor of that shape and memory, not yet written."""
    return torch.empty_like(like)


def each(steps: Tensor | None, otherwise: Tensor | None = None) -> Iterable[Any]:
    """The states of a tensor, all views made at once; of none, the same thing for ever."""
    return repeat(otherwise) if steps is None else steps.unbind()


def last_to_first(steps: Tensor | None) -> Iterable[Any]:
    """`each`, backward in time."""
    return repeat(None) if steps is None else reversed(steps.unbind())


def of_units(alpha: float | Tensor) -> Any:
    """Alpha as a factor of states."""
    return along_units(alpha)


def overlap(left: Tensor, right: Tensor, first: Tensor | None = None) -> Tensor:
    """The sum of left * right over time and batch (..., unit).

    With `first`, left[t] meets right[t-1], and right[-1] is `first`.
    """
    if first is None:
        return (left * right).sum((0, -2))
    return overlap(left[1:], right[:-1]) + (left[0] * first).sum(-2)


def alpha_gradient(
    x: Kept, grad_drive: Tensor, grad_weight: Tensor, leaking: Tensor, first: Tensor
) -> Tensor:
    """The sum of grad_drive[t] (W r[t-1] + d[t] - leaking[t-1]) / a over time, batch (..., unit).

    `grad_weight` is the sum of grad_drive[t]^T r[t-1], which has the first term in it.
    """
    assert x.drive is not None
    total = received(x.weight, grad_weight) + overlap(grad_drive, x.drive)
    return (total - overlap(grad_drive, leaking, first)) / x.alpha
