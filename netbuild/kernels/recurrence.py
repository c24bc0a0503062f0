"""A leaky rate network over all time steps, with gradients written by hand.

    current  v[t] = (1-a) v[t-1] + a (W r[t-1] + d[t]) + n[t];  r[t] = f(v[t]) + m[t]
    rate     r[t] = (1-a) r[t-1] + a f(W r[t-1] + d[t] + n[t]) + m[t]
    update   r[t] = f((1-a) r[t-1] + a (W r[t-1] + d[t]) + n[t]) + m[t]

The loops do two to three calls a step into memory that is there already; derivatives come from the
stored noiseless values of f, and the gradient of the weights is one product over all time steps.
The same code runs a dense weight and one that has values on its connections only; the memory of
the states differs, as the products want it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from netbuild.kernels.activations import Activation
from netbuild.kernels.current import CURRENT
from netbuild.kernels.parts import Formulation, Inputs, Kept, Wanted
from netbuild.kernels.products import Weight
from netbuild.kernels.rate import RATE
from netbuild.kernels.sparse import Pattern, SparseWeight, check_weight
from netbuild.kernels.update import UPDATE

FORMULATIONS: Mapping[str, Formulation] = {"current": CURRENT, "rate": RATE, "update": UPDATE}


Some = TypeVar("Some", Inputs, Kept)


class State(NamedTuple):
    """A network between two time steps."""

    rate: Tensor
    """r (..., batch, unit), rate noise included: what the next step reads."""

    potential: Tensor | None = None
    """v (..., batch, unit) of `current`; None for the others, whose state is the rate."""


def recurrence(
    drive: Tensor,
    weight: Tensor | SparseWeight,
    alpha: float | Tensor,
    initial: State,
    *,
    formulation: str,
    activation: Activation,
    noise: Tensor | None = None,
    rate_noise: Tensor | None = None,
) -> tuple[Tensor, State]:
    """Run a leaky rate network over all time steps.

    Args:
        drive: d, what comes from outside at each step, biases included
            (time, ..., batch, unit). It enters in the same step. `...` are ensemble axes, or none.
        weight: W (..., unit, unit), axis -1 is presynaptic; or a `SparseWeight` (unit, unit),
            without ensemble axes: the gradient is of its values.
        alpha: a, in (0, 1], dt / tau: a number, or a tensor (), (unit,) or (..., unit).
        initial: the state before the first step; its tensors broadcast to (..., batch, unit).
            `current` needs both of them. Zero potential and zero rate are a network at rest;
            for a given potential v let the rate be f(v), taken outside, where autograd sees it.
        formulation: `current`, `rate` or `update`; the equations stand above.
        activation: f, by `kernels.activation`.
        noise: n, added before f as it is, so scaled by the caller; shaped like the drive.
        rate_noise: m, added to the rate as it is. The noisy rate is returned, feeds the next
            step, and in `rate` and `update` is what leaks; shaped like the drive.

    Returns:
        The rates r (time, ..., batch, unit), contiguous, or with a sparse weight in memory that
        is (time, unit, batch); and the state after the last step, from which another call goes
        on as if there had been one.

    Every tensor may require a gradient, once: differentiating the gradient again raises a
    RuntimeError. Without a gradient to come, nothing is stored but what is returned.

    Raises:
        ValueError: an unknown formulation, a number alpha outside (0, 1] (a tensor's values are
            not looked at), shapes, dtypes or devices that do not fit, a potential that is
            missing or has no use.
    """
    if formulation not in FORMULATIONS:
        known = ", ".join(FORMULATIONS)
        raise ValueError(f"formulation must be one of {known}; got {formulation!r}")
    if (initial.potential is None) == (formulation == "current"):
        raise ValueError("initial.potential belongs to formulation 'current', and to it alone")
    inputs = Inputs(drive, weight, alpha, initial.rate, initial.potential, noise, rate_noise)
    _check(inputs)
    inputs = _expanded(inputs)
    if drive.dim() > 4:
        inputs = _one_ensemble_axis(inputs)
    rates, potential = _run(inputs, FORMULATIONS[formulation], activation)
    if drive.dim() > 4:
        rates = rates.view(drive.shape)
        potential = None if potential is None else potential.view(drive.shape[1:])
    return rates, State(rates[-1], potential)


def _expanded(x: Inputs) -> Inputs:
    """The same with states (..., batch, unit) and alpha, where it is a tensor, (..., unit)."""
    state, dense = x.drive.shape[1:], not isinstance(x.weight, SparseWeight)

    def wide(given: Tensor) -> Tensor:
        whole = given.expand(state)
        return whole if dense else whole.mT.contiguous().mT

    alpha = x.alpha
    if isinstance(alpha, Tensor):
        alpha = alpha.expand(*state[:-2], state[-1]).contiguous()
    potential = None if x.potential is None else wide(x.potential)
    return x._replace(alpha=alpha, rate=wide(x.rate), potential=potential)


def _run(
    x: Inputs, formulation: Formulation, activation: Activation
) -> tuple[Tensor, Tensor | None]:
    values, where = _values(x.weight)
    given = x._replace(weight=values)
    if torch.is_grad_enabled() and any(
        isinstance(each, Tensor) and each.requires_grad for each in given
    ):
        return _Recurrence.apply(formulation, activation, where, *given)  # type: ignore[no-any-return, no-untyped-call]
    trace = formulation.forward(x, activation, Wanted())
    return trace.rates, trace.potential


def _values(weight: Weight) -> tuple[Tensor, Pattern | None]:
    """A weight as what has a gradient, and what has none."""
    return weight if isinstance(weight, SparseWeight) else (weight, None)


def _with_pattern(x: Some, where: Pattern | None) -> Some:
    """The same, where its weight is the values on a pattern, with both together."""
    if where is None:
        return x
    assert isinstance(x.weight, Tensor)
    return x._replace(weight=SparseWeight(x.weight, where))


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        formulation: Formulation,
        activation: Activation,
        where: Pattern | None,
        *given: Any,
    ) -> tuple[Tensor, Tensor | None]:
        wanted = Wanted(*ctx.needs_input_grad[3:])
        x = _with_pattern(Inputs(*given), where)
        trace = formulation.forward(x, activation, wanted)
        ctx.formulation, ctx.activation, ctx.where = formulation, activation, where
        ctx.wanted = wanted
        kept = Kept(
            weight=_values(x.weight)[0],
            alpha=x.alpha,
            rate=x.rate,
            potential=x.potential,
            drive=x.drive if wanted.alpha else None,
            rates=trace.rates,
            clean=trace.clean,
            potentials=trace.potentials,
        )
        ctx.alpha = None if isinstance(x.alpha, Tensor) else x.alpha  # a number is not saved below
        ctx.save_for_backward(*(each if isinstance(each, Tensor) else None for each in kept))
        ctx.set_materialize_grads(False)
        return trace.rates, trace.potential

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_rates: Tensor | None, grad_potential: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        kept = _with_pattern(Kept(*ctx.saved_tensors), ctx.where)
        if ctx.alpha is not None:
            kept = kept._replace(alpha=ctx.alpha)
        if grad_rates is None:
            grad_rates = kept.rates.new_zeros(()).expand(kept.rates.shape)
        gradients = ctx.formulation.backward(
            kept, ctx.activation, ctx.wanted, grad_rates, grad_potential
        )
        return None, None, None, *gradients


def _one_ensemble_axis(x: Inputs) -> Inputs:
    """The same with all ensemble axes in one."""

    def flat(steps: Tensor | None) -> Any:
        return None if steps is None else steps.flatten(1, -3)

    assert isinstance(x.weight, Tensor)
    return Inputs(
        drive=flat(x.drive),
        weight=x.weight.flatten(0, -3),
        alpha=x.alpha.flatten(0, -2) if isinstance(x.alpha, Tensor) else x.alpha,
        rate=x.rate.flatten(0, -3),
        potential=None if x.potential is None else x.potential.flatten(0, -3),
        noise=flat(x.noise),
        rate_noise=flat(x.rate_noise),
    )


def _check(x: Inputs) -> None:
    """Shapes, dtypes and devices fit together."""
    drive, weight = x.drive, x.weight
    shape = _checked_shape(weight)
    values, _ = _values(weight)
    ensemble, units = shape[:-2], shape[-1]
    fits = drive.dim() == len(shape) + 1 and drive.shape[1:-2] == ensemble
    if not fits or drive.shape[-1] != units or drive.shape[0] == 0:
        axes = ", ".join(["time >= 1", *map(str, ensemble), "batch", str(units)])
        raise ValueError(f"drive must be ({axes}); got shape {tuple(drive.shape)}")
    if not isinstance(x.alpha, Tensor) and not 0 < x.alpha <= 1:
        raise ValueError(f"alpha must be in (0, 1]; got {x.alpha!r}")
    wide = {"alpha": shape[:-1], "rate": drive.shape[1:], "potential": drive.shape[1:]}
    for name, given in zip(Inputs._fields, x, strict=True):
        if name == "weight" or not isinstance(given, Tensor):
            continue
        if given.dtype != values.dtype or given.device != values.device:
            raise ValueError(
                f"{name} must be {values.dtype} on {values.device}, as the weight; "
                f"got {given.dtype} on {given.device}"
            )
        if name in wide and not _broadcasts(given.shape, wide[name]):
            raise ValueError(
                f"{name} must broadcast to {tuple(wide[name])}; got shape {tuple(given.shape)}"
            )
        if name in ("noise", "rate_noise") and given.shape != drive.shape:
            raise ValueError(
                f"{name} must be shaped like the drive, {tuple(drive.shape)}; "
                f"got shape {tuple(given.shape)}"
            )


def _checked_shape(weight: Weight) -> torch.Size:
    """(..., unit, unit)."""
    if isinstance(weight, SparseWeight):
        check_weight(weight)
        shape = torch.Size(weight.pattern.shape)
        if shape[0] != shape[1]:
            raise ValueError(f"the pattern must be (unit, unit); got shape {tuple(shape)}")
        return shape
    if weight.dim() < 2 or weight.shape[-1] != weight.shape[-2]:
        raise ValueError(f"weight must be (..., unit, unit); got shape {tuple(weight.shape)}")
    if not weight.dtype.is_floating_point:
        raise ValueError(f"weight must be floating-point; got {weight.dtype}")
    return weight.shape


def _broadcasts(shape: torch.Size, to: torch.Size) -> bool:
    return len(shape) <= len(to) and all(
        size in (1, wanted) for size, wanted in zip(reversed(shape), reversed(to), strict=False)
    )
