"""What the passes of all formulations share: what they read and leave, and products with weights.

Shapes are (time, batch, unit) with weights (post, pre), or with one ensemble axis
(time, ensemble, batch, unit) with weights (ensemble, post, pre); a state is one time step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any, NamedTuple

import torch
from torch import Tensor

from netbuild.kernels.activations import Activation


class Inputs(NamedTuple):
    """What a recurrence reads; the gradients are in the same order."""

    drive: Tensor  # d (time, ..., batch, unit)
    weight: Tensor  # W (..., post, pre)
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

    weight: Tensor
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


def fresh(like: Tensor) -> Tensor:
    """A contiguous tensor of that shape, not yet written."""
    return torch.empty_like(like, memory_format=torch.contiguous_format)


def each(steps: Tensor | None, otherwise: Tensor | None = None) -> Iterable[Any]:
    """The states of a tensor, all views made at once; of none, the same thing for ever."""
    return repeat(otherwise) if steps is None else steps.unbind()


def last_to_first(steps: Tensor | None) -> Iterable[Any]:
    """`each`, backward in time."""
    return repeat(None) if steps is None else reversed(steps.unbind())


def of_units(alpha: float | Tensor) -> Any:
    """Alpha as a factor of states."""
    return alpha.unsqueeze(-2) if isinstance(alpha, Tensor) else alpha


def scaled_rows(weight: Tensor, alpha: float | Tensor) -> Tensor:
    """a[post] W[post, pre], a new tensor."""
    return weight * (alpha.unsqueeze(-1) if isinstance(alpha, Tensor) else alpha)


def transposed(weight: Tensor) -> Tensor:
    """A transposed copy: a product reads rows in up to 40 % less time than columns."""
    return weight.mT.clone(memory_format=torch.contiguous_format)


def add_product_of(weight: Tensor) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """(state, left, right): adds left @ right to the state, in place; also for ensembles."""
    return Tensor.addmm_ if weight.dim() == 2 else Tensor.baddbmm_


def weight_gradient(posts: Tensor, pres: Tensor, first: Tensor) -> Tensor:
    """sum over t of posts[t]^T pres[t-1], where pres[-1] is `first`; (..., post, pre)."""
    total = _flat(posts[1:]).mT @ _flat(pres[:-1])
    return add_product_of(total)(total, _flat(posts[:1]).mT, _flat(first.unsqueeze(0)))


def _flat(steps: Tensor) -> Tensor:
    """(time, ..., batch, unit) to (..., time * batch, unit); a view where there is no ensemble."""
    return steps.movedim(0, -3).flatten(-3, -2)


def overlap(left: Tensor, right: Tensor, first: Tensor | None = None) -> Tensor:
    """The sum of left * right over time and batch (..., unit).

    With `first`, left[t] meets right[t-1], and right[-1] is `first`.
    """
    if first is None:
        return (left * right).sum((0, -2))
    return overlap(left[1:], right[:-1]) + (left[0] * first).sum(-2)


def alpha_gradient(
    x: Kept, inside: Tensor, grad_weight: Tensor, leaking: Tensor, first: Tensor
) -> Tensor:
    """The sum over time and batch of inside[t] (W r[t-1] + d[t] - leaking[t-1]) (..., unit).

    `grad_weight` is the sum of inside[t]^T r[t-1], which has the first term in it.
    """
    assert x.drive is not None
    total = (x.weight * grad_weight).sum(-1) + overlap(inside, x.drive)
    return total - overlap(inside, leaking, first)
