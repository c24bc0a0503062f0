"""A leaky rate network over all time steps, with gradients written by hand.

    current  v[t] = (1-a) v[t-1] + a (W r[t-1] + d[t]);  r[t] = f(v[t]) + m[t]
    rate     r[t] = (1-a) r[t-1] + a f(W r[t-1] + d[t]) + m[t]
    update   r[t] = f((1-a) r[t-1] + a (W r[t-1] + d[t])) + m[t]

Two kernels run these equations: `compiled` (loops in machine code, for dense weights on the CPU)
and `fused` (torch operations, for everything). Noise before f is part of the drive.

Shapes are (time, batch, unit) with a weight (post, pre), or with one ensemble axis
(time, ensemble, batch, unit) with a weight (ensemble, post, pre). A state is one time step.
The input map, with which d begins, belongs to the same step of autograd: a small network would
otherwise spend more time between its products than on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from netbuild.kernels import compiled, input_map
from netbuild.kernels.activations import Activation
from netbuild.kernels.compiled import COMPILED
from netbuild.kernels.fused import FUSED
from netbuild.kernels.input_map import InputMap
from netbuild.kernels.passes import Arguments, Kernel, State, Trace
from netbuild.kernels.products import Weight
from netbuild.kernels.sparse import Pattern, SparseWeight, check_weight

FORMULATIONS = tuple(FUSED)
KERNELS: Mapping[str, Mapping[str, Kernel]] = {"compiled": COMPILED, "fused": FUSED}
NAMES = Arguments._fields
NO_INPUTS = (None,) * len(InputMap._fields)
COUNT = len(NAMES)
PARTS = slice(COUNT), slice(COUNT, None)  # of the tensors given to autograd


def recurrence(
    drive: Tensor | None,
    weight: Tensor | SparseWeight,
    alpha: float | Tensor,
    initial: State,
    *,
    formulation: str,
    activation: Activation,
    inputs: InputMap | None = None,
    rate_noise: Tensor | None = None,
    kernel: str = "fused",
) -> tuple[Tensor, State]:
    """Run a leaky rate network over all time steps.

    Args:
        drive: d, the input from outside at each step, biases included
            (time, ..., batch, unit). It enters in the same step. `...` are ensemble axes, or none.
            With `inputs` it is a part of d, or None.
        weight: W (..., unit, unit), axis -1 is presynaptic; or a `SparseWeight` (unit, unit),
            without ensemble axes: the gradient is of its values.
        alpha: a, in (0, 1], dt / tau: a number, or a tensor (), (unit,) or (..., unit).
        initial: the state before the first step; its tensors broadcast to (..., batch, unit).
            `current` needs both of them. Zero potential and zero rate are a network at rest;
            for a given potential v let the rate be f(v), computed by the caller, where autograd
            records it.
        formulation: `current`, `rate` or `update`; the equations stand above.
        activation: f, by `kernels.activation`.
        inputs: the input map whose W u + b is a part of d, without ensemble axes.
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
    if drive is None and inputs is None:
        raise ValueError("a recurrence needs a drive, or `inputs`, or both")
    part = cast(Tensor, drive)  # None until `inputs` have been multiplied
    x = Arguments(part, weight, alpha, initial.rate, initial.potential, rate_noise)
    shape = _checked_drive(x, inputs)
    _check(x, shape)
    x = _expanded(x, shape)
    if kernel == "compiled" and (len(shape) > 3 or not compiled.runs(weight)):
        why = compiled.why_not(weight) or "there are ensemble axes"
        raise ValueError(f"the compiled kernel cannot run: {why}")
    passes = KERNELS[kernel][formulation]
    flat = _one_ensemble_axis(x) if len(shape) > 4 else x
    rates, potential = _run(passes, activation, flat, inputs)
    if len(shape) > 4:
        rates = rates.view(shape)
        potential = None if potential is None else potential.view(shape[1:])
    return rates, State(rates[-1], potential)


def _run(
    kernel: Kernel, f: Activation, x: Arguments, inputs: InputMap | None
) -> tuple[Tensor, Tensor | None]:
    """The rates of all steps and the last potential."""
    values, pattern = x.weight if isinstance(x.weight, SparseWeight) else (x.weight, None)
    given = (*x._replace(weight=values), *(inputs or NO_INPUTS))
    if torch.is_grad_enabled() and any(
        isinstance(each, Tensor) and each.requires_grad for each in given
    ):
        return _Recurrence.apply(kernel, f, pattern, *given)  # type: ignore[no-any-return, no-untyped-call]
    if inputs is not None:
        x = x._replace(drive=input_map.drive(inputs, x.drive))
    trace = kernel.forward(x, f, frozenset())
    return trace.rates, trace.potential


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, kernel: Kernel, f: Activation, pattern: Pattern | None, *given: Any
    ) -> tuple[Tensor, Tensor | None]:
        x = _with_pattern(Arguments(*given[:COUNT]), pattern)
        of_arguments, of_inputs = (ctx.needs_input_grad[3:][part] for part in PARTS)
        wanted = {name for name, needs in zip(NAMES, of_arguments, strict=True) if needs}
        inputs = given[COUNT:]
        if inputs[0] is None:
            inputs, of_inputs = (), ()
        else:
            x = x._replace(drive=input_map.drive(InputMap(*inputs), x.drive))
            wanted |= {"drive"} if any(of_inputs) else set()
        trace = kernel.forward(x, f, frozenset(wanted))
        ctx.kernel, ctx.activation, ctx.pattern = kernel, f, pattern
        ctx.wanted, ctx.of_inputs = frozenset(wanted), of_inputs
        ctx.alpha = None if isinstance(x.alpha, Tensor) else x.alpha  # only tensors are saved below
        read = {"weight", "alpha", "rate", "potential", *(("drive",) if "alpha" in wanted else ())}
        weight = given[NAMES.index("weight")]
        named = zip(NAMES, x._replace(weight=weight), strict=True)
        saved = (t if name in read and isinstance(t, Tensor) else None for name, t in named)
        ctx.save_for_backward(*saved, *trace, *inputs)
        ctx.set_materialize_grads(False)
        return trace.rates, trace.potential

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_rates: Tensor | None, grad_potential: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors  # read once: activation checkpointing allows no second time
        x = _with_pattern(Arguments(*saved[:COUNT]), ctx.pattern)
        if ctx.alpha is not None:
            x = x._replace(alpha=ctx.alpha)
        trace = Trace(*saved[COUNT : COUNT + len(Trace._fields)])
        if grad_rates is None:
            grad_rates = trace.rates.new_zeros(()).expand(trace.rates.shape)
        found = ctx.kernel.backward(
            x, ctx.activation, ctx.wanted, trace, grad_rates, grad_potential
        )
        needed = zip(NAMES, ctx.needs_input_grad[3:], strict=False)
        of_arguments = [found[name] if needs else None for name, needs in needed]
        of_inputs: tuple[Tensor | None, ...] = NO_INPUTS
        if any(ctx.of_inputs):
            inputs = InputMap(*saved[-len(NO_INPUTS) :])
            of_inputs = input_map.gradients(inputs, found["drive"], ctx.of_inputs)
        return None, None, None, *of_arguments, *of_inputs


def _with_pattern(x: Arguments, pattern: Pattern | None) -> Arguments:
    """The same, with the sparse weight that the values and their pattern make."""
    if pattern is None:
        return x
    assert isinstance(x.weight, Tensor)
    return x._replace(weight=SparseWeight(x.weight, pattern))


# The arguments: checked, and brought to the shapes that the passes take.


def _checked_drive(x: Arguments, inputs: InputMap | None) -> torch.Size:
    """The shape of d, (time, ..., batch, unit); ValueError where the weight has another size."""
    shape, like = _checked_shape(x.weight), _values(x.weight)
    if inputs is not None:
        input_map.check(inputs, like)
    given = x.drive.shape if inputs is None else (*inputs.input.shape[:2], len(inputs.bias))
    ensemble, units = shape[:-2], shape[-1]
    fits = len(given) == len(shape) + 1 and given[1:-2] == ensemble
    if not fits or given[-1] != units or given[0] == 0:
        axes = ", ".join(["time >= 1", *map(str, ensemble), "batch", str(units)])
        raise ValueError(f"drive must be ({axes}); got shape {tuple(given)}")
    return torch.Size(given)


def _check(x: Arguments, shape: torch.Size) -> None:
    """Refuse shapes, dtypes and devices that do not fit the weight or the drive's shape."""
    like = _values(x.weight)
    if not isinstance(x.alpha, Tensor) and not 0 < x.alpha <= 1:
        raise ValueError(f"alpha must be in (0, 1]; got {x.alpha!r}")
    state = shape[1:]
    for name, given, broadcasts_to in (
        ("drive", x.drive, None),
        ("alpha", x.alpha, (*shape[1:-2], shape[-1])),
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
        if broadcasts_to is None and given.shape != shape:
            like_what = "the whole drive" if name == "drive" else "the drive"
            raise ValueError(
                f"{name} must be shaped like {like_what}, {tuple(shape)}; "
                f"got shape {tuple(given.shape)}"
            )


def _values(weight: Weight) -> Tensor:
    return weight.values if isinstance(weight, SparseWeight) else weight


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


def _broadcasts(shape: Sequence[int], to: Sequence[int]) -> bool:
    return len(shape) <= len(to) and all(
        size in (1, wanted) for size, wanted in zip(reversed(shape), reversed(to), strict=False)
    )


def _expanded(x: Arguments, shape: torch.Size) -> Arguments:
    """The same with states (..., batch, unit) and alpha, where it is a tensor, (..., unit)."""
    state, dense = shape[1:], not isinstance(x.weight, SparseWeight)

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
