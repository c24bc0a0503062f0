"""What the passes of a recurrence take and give, whichever kernel runs them.

A kernel is a forward and a backward pass of one formulation. Derivatives are computed from the
stored values of f without rate noise, and the gradient of the weights is one product over all
time steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from netbuild.kernels.activations import Activation
from netbuild.kernels.products import Weight, sum_over_pre, weight_gradient


class State(NamedTuple):
    """A network between two time steps."""

    rate: Tensor
    """r (..., batch, unit), rate noise included: what the next step reads."""

    potential: Tensor | None = None
    """v (..., batch, unit) of `current`; None for the others, whose state is the rate."""


class Arguments(NamedTuple):
    """Everything that a recurrence reads and may have a gradient, by the letters of the equations.

    In a backward pass `drive` is there for the gradient of alpha alone, and the noise is None.
    """

    drive: Tensor  # d (time, ..., batch, unit)
    weight: Weight  # W (..., post, pre)
    alpha: float | Tensor  # a; a tensor is (..., unit)
    rate: Tensor  # r before the first step (..., batch, unit)
    potential: Tensor | None  # v before the first step, in `current` only
    rate_noise: Tensor | None  # m (time, ..., batch, unit)


class Trace(NamedTuple):
    """The results of a forward pass, and what else its backward pass reads."""

    rates: Tensor  # r (time, ..., batch, unit), rate noise included
    potential: Tensor | None = None  # v after the last step
    values: Tensor | None = None  # f(...) of all steps, where the rates are something else
    potentials: Tensor | None = None  # v of all steps, for the gradient of alpha


Names = frozenset[str]  # of the arguments whose gradients are wanted
Gradients = dict[str, Tensor]  # by these names; others may be among them


class Kernel(NamedTuple):
    """The two passes of one formulation.

    The last two arguments of `backward` are the gradients of the rates and of the last potential.
    """

    forward: Callable[[Arguments, Activation, Names], Trace]
    backward: Callable[[Arguments, Activation, Names, Trace, Tensor, Tensor | None], Gradients]


def of_weight_and_alpha(
    x: Arguments,
    wanted: Names,
    grad_drive: Tensor,
    rates: Tensor,
    leaking: Tensor | None,
    first: Tensor | None,
) -> Gradients:
    """The gradients of the weight and of alpha in `current` and `update`.

    That of alpha is the sum over time and batch of
    grad_drive[t] (W r[t-1] + d[t] - leaking[t-1]) / a, where leaking[-1] is `first`.
    """
    if not wanted & {"weight", "alpha"}:
        return {}
    gradients = {"weight": weight_gradient(x.weight, grad_drive, rates, x.rate)}
    if "alpha" in wanted:
        assert leaking is not None
        assert first is not None
        total = sum_over_pre(x.weight, gradients["weight"]) + sum_of_products(grad_drive, x.drive)
        gradients["alpha"] = (total - sum_of_products(grad_drive, leaking, first)) / x.alpha
    return gradients


def sum_of_products(left: Tensor, right: Tensor, first: Tensor | None = None) -> Tensor:
    """The sum of left * right over time and batch (..., unit).

    With `first`, left[t] is multiplied with right[t-1], and right[-1] is `first`.
    """
    if first is None:
        return (left * right).sum((0, -2))
    return sum_of_products(left[1:], right[:-1]) + (left[0] * first).sum(-2)
