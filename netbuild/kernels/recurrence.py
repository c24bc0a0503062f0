"""A leaky rate network over all time steps, with gradients written by hand.

    current  v[t] = (1-a) v[t-1] + a (W r[t-1] + d[t]);  r[t] = f(v[t]) + m[t]
    rate     r[t] = (1-a) r[t-1] + a f(W r[t-1] + d[t]) + m[t]
    update   r[t] = f((1-a) r[t-1] + a (W r[t-1] + d[t])) + m[t]

Two kernels run these equations: `compiled` (loops in machine code, for dense weights on the CPU)
and `fused` (torch operations, for everything). Noise before f is part of the drive.

Shapes are (time, batch, unit) with a weight (post, pre), or with one ensemble axis
(time, ensemble, batch, unit) with a weight (ensemble, post, pre). A state is one time step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from netbuild.kernels import compiled
from netbuild.kernels.activations import Activation
from netbuild.kernels.compiled import COMPILED
from netbuild.kernels.fused import FUSED
from netbuild.kernels.passes import Arguments, Kernel, State, Trace
from netbuild.kernels.products import Weight
from netbuild.kernels.sparse import Pattern, SparseWeight, check_weight

FORMULATIONS = tuple(FUSED)
KERNELS: Mapping[str, Mapping[str, Kernel]] = {"compiled": COMPILED, "fused": FUSED}


def recurrence(
    drive: Tensor,
    weight: Tensor | SparseWeight,
    alpha: float | Tensor,
    initial: State,
    *,
    formulation: str,
    activation: Activation,
    rate_noise: Tensor | None = None,
    kernel: str = "fused",
) -> tuple[Tensor, State]:
    """Run a leaky rate network over all time steps.

    Args:
        drive: d, the input from outside at each step, biases included
            (time, ..., batch, unit). It enters in the same step. `...` are ensemble axes, or none.
        weight: W (..., unit, unit), axis -1 is presynaptic; or a `SparseWeight` (unit, unit),
            without ensemble axes: the gradient is of its values.
        alpha: a, in (0, 1], dt / tau: a number, or a tensor (), (unit,) or (..., unit).
        initial: the state before the first step; its tensors broadcast to (..., batch, unit).
            `current` needs both of them. Zero potential and zero rate are a network at rest;
            for a given potential v let the rate be f(v), computed by the caller, where autograd
            records it.
        formulation: `current`, `rate` or `update`; the equations stand above.
        activation: f, by `kernels.activation`.
        rate_noise: m, added to the rate as it is. The noisy rate is returned, feeds the next
            step, and in `rate` and `update` is what leaks; shaped like the drive.
        kernel: `fused`, or `compiled`, which needs a dense weight on the CPU in float32 or
            float64, no ensemble axes, and numba.

    Returns:
        The rates r (time, ..., batch, unit), contiguous, or with a sparse weight in memory that
        is (time, unit, batch); and the state after the last step. A second call that starts from
        this state continues as if both had been one call.

    Every tensor may require a gradient, once: differentiating the gradient again raises a
    RuntimeError. Where no gradient is wanted, only the returned tensors are stored.

    Raises:
        ValueError: an unknown formulation, a number alpha outside (0, 1] (the values of a tensor
            are not checked), shapes, dtypes or devices that do not fit, a potential that is
            missing or has no use, `compiled` where it cannot run.
    """
    if formulation not in FORMULATIONS:
        known = ", ".join(FORMULATIONS)
        raise ValueError(f"formulation must be one of {known}; got {formulation!r}")
    if (initial.potential is None) == (formulation == "current"):
        raise ValueError("initial.potential belongs to formulation 'current', and to it alone")
    x = Arguments(drive, weight, alpha, initial.rate, initial.potential, rate_noise)
    _check(x)
    x = _expanded(x)
    if kernel == "compiled" and (drive.dim() > 3 or not compiled.runs(weight)):
        why = compiled.why_not(weight) or "there are ensemble axes"
        raise ValueError(f"the compiled kernel cannot run: {why}")
    passes = KERNELS[kernel][formulation]
    rates, potential = _run(passes, activation, _one_ensemble_axis(x) if drive.dim() > 4 else x)
    if drive.dim() > 4:
        rates = rates.view(drive.shape)
        potential = None if potential is None else potential.view(drive.shape[1:])
    return rates, State(rates[-1], potential)


def _run(kernel: Kernel, f: Activation, x: Arguments) -> tuple[Tensor, Tensor | None]:
    """The rates of all steps and the last potential."""
    values, pattern = x.weight if isinstance(x.weight, SparseWeight) else (x.weight, None)
    given = x._replace(weight=values)
    if torch.is_grad_enabled() and any(
        isinstance(each, Tensor) and each.requires_grad for each in given
    ):
        return _Recurrence.apply(kernel, f, pattern, *given)  # type: ignore[no-any-return, no-untyped-call]
    trace = kernel.forward(x, f, frozenset())
    return trace.rates, trace.potential


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, kernel: Kernel, f: Activation, pattern: Pattern | None, *given: Any
    ) -> tuple[Tensor, Tensor | None]:
        x = _with_pattern(Arguments(*given), pattern)
        needed = zip(Arguments._fields, ctx.needs_input_grad[3:], strict=True)
        wanted = frozenset(name for name, needs in needed if needs)
        trace = kernel.forward(x, f, wanted)
        ctx.kernel, ctx.activation, ctx.pattern, ctx.wanted = kernel, f, pattern, wanted
        ctx.alpha = None if isinstance(x.alpha, Tensor) else x.alpha  # only tensors are saved below
        read = {"weight", "alpha", "rate", "potential", *(("drive",) if "alpha" in wanted else ())}
        named = zip(Arguments._fields, given, strict=True)
        saved = (t if name in read and isinstance(t, Tensor) else None for name, t in named)
        ctx.save_for_backward(*saved, *trace)
        ctx.set_materialize_grads(False)
        return trace.rates, trace.potential

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_rates: Tensor | None, grad_potential: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        count = len(Arguments._fields)
        saved = ctx.saved_tensors  # read once: activation checkpointing allows no second time
        x = _with_pattern(Arguments(*saved[:count]), ctx.pattern)
        if ctx.alpha is not None:
            x = x._replace(alpha=ctx.alpha)
        trace = Trace(*saved[count:])
        if grad_rates is None:
            grad_rates = trace.rates.new_zeros(()).expand(trace.rates.shape)
        gradients = ctx.kernel.backward(
            x, ctx.activation, ctx.wanted, trace, grad_rates, grad_potential
        )
        found = (gradients[n] if n in ctx.wanted else None for n in Arguments._fields)
        return None, None, None, *found


def _with_pattern(x: Arguments, pattern: Pattern | None) -> Arguments:
    """The same, with the sparse weight that the values and their pattern make."""
    if pattern is None:
        return x
    assert isinstance(x.weight, Tensor)
    return x._replace(weight=SparseWeight(x.weight, pattern))


# The arguments: checked, and brought to the shapes that the passes take.


def _check(x: Arguments) -> None:
    """Refuse shapes, dtypes and devices that do not fit the weight or the drive."""
    drive, shape = x.drive, _checked_shape(x.weight)
    like = x.weight.values if isinstance(x.weight, SparseWeight) else x.weight
    ensemble, units = shape[:-2], shape[-1]
    fits = drive.dim() == len(shape) + 1 and drive.shape[1:-2] == ensemble
    if not fits or drive.shape[-1] != units or drive.shape[0] == 0:
        axes = ", ".join(["time >= 1", *map(str, ensemble), "batch", str(units)])
        raise ValueError(f"drive must be ({axes}); got shape {tuple(drive.shape)}")
    if not isinstance(x.alpha, Tensor) and not 0 < x.alpha <= 1:
        raise ValueError(f"alpha must be in (0, 1]; got {x.alpha!r}")
    state = drive.shape[1:]
    for name, given, broadcasts_to in (
        ("drive", drive, None),
        ("alpha", x.alpha, shape[:-1]),
        ("rate", x.rate, state),
        ("potential", x.potential, state),
        ("rate_noise", x.rate_noise, None),
    ):
        if not isinstance(given, Tensor):
            continue
        if given.dtype != like.dtype or given.device != like.device:
            raise ValueError(
                f"{name} must be {like.dtype} on {like.device}, as the weight; "
                f"got {given.dtype} on {given.device}"
            )
        if broadcasts_to is not None and not _broadcasts(given.shape, broadcasts_to):
            raise ValueError(
                f"{name} must broadcast to {tuple(broadcasts_to)}; got shape {tuple(given.shape)}"
            )
        if name == "rate_noise" and given.shape != drive.shape:
            raise ValueError(
                f"rate_noise must be shaped like the drive, {tuple(drive.shape)}; "
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


def _expanded(x: Arguments) -> Arguments:
    """The same with states (..., batch, unit) and alpha, where it is a tensor, (..., unit)."""
    state, dense = x.drive.shape[1:], not isinstance(x.weight, SparseWeight)

    def expand(given: Tensor) -> Tensor:
        expanded = given.expand(state)
        return expanded if dense else expanded.mT.contiguous().mT

    alpha = x.alpha
    if isinstance(alpha, Tensor):
        alpha = alpha.expand(*state[:-2], state[-1]).contiguous()
    potential = None if x.potential is None else expand(x.potential)
    return x._replace(alpha=alpha, rate=expand(x.rate), potential=potential)


def _one_ensemble_axis(x: Arguments) -> Arguments:
    """The same with all ensemble axes in one."""
    first, last = {"drive": 1, "rate_noise": 1}, {"alpha": -2}
    flat = {
        name: each.flatten(first.get(name, 0), last.get(name, -3))
        for name, each in x._asdict().items()
        if isinstance(each, Tensor)
    }
    return x._replace(**flat)
