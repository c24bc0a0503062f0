"""A leaky rate network over all time steps, with gradients written by hand.

    current  v[t] = (1-a) v[t-1] + a (W r[t-1] + d[t]) + n[t];  r[t] = f(v[t]) + m[t]
    rate     r[t] = (1-a) r[t-1] + a f(W r[t-1] + d[t] + n[t]) + m[t]
    update   r[t] = f((1-a) r[t-1] + a (W r[t-1] + d[t]) + n[t]) + m[t]

Each formulation is a forward and a backward loop over time, which make two to three calls a step
and write into memory that was allocated before. Derivatives are computed from the stored values
of f without rate noise, and the gradient of the weights is one product over all time steps. The
same loops run a dense weight and a sparse one; only the memory layout of the states differs.

Shapes are (time, batch, unit) with a weight (post, pre), or with one ensemble axis
(time, ensemble, batch, unit) with a weight (ensemble, post, pre). A state is one time step. With
a sparse weight the memory of states is (unit, batch), as its products need it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from netbuild.kernels.activations import Activation
from netbuild.kernels.products import (
    Weight,
    adder,
    along_units,
    back_adder,
    empty_states,
    rates_to_send,
    sum_over_pre,
    weight_gradient,
)
from netbuild.kernels.sparse import Pattern, SparseWeight, check_weight


class State(NamedTuple):
    """A network between two time steps."""

    rate: Tensor
    """r (..., batch, unit), rate noise included: what the next step reads."""

    potential: Tensor | None = None
    """v (..., batch, unit) of `current`; None for the others, whose state is the rate."""


class Arguments(NamedTuple):
    """Everything that a recurrence reads and may have a gradient, by the letters of the equations.

    In a backward pass `drive` is there for the gradient of alpha alone, and the noises are None.
    """

    drive: Tensor  # d (time, ..., batch, unit)
    weight: Weight  # W (..., post, pre)
    alpha: float | Tensor  # a; a tensor is (..., unit)
    rate: Tensor  # r before the first step (..., batch, unit)
    potential: Tensor | None  # v before the first step, in `current` only
    noise: Tensor | None  # n (time, ..., batch, unit)
    rate_noise: Tensor | None  # m (time, ..., batch, unit)


class Trace(NamedTuple):
    """The results of a forward pass, and what else its backward pass reads."""

    rates: Tensor  # r (time, ..., batch, unit), rate noise included
    potential: Tensor | None = None  # v after the last step
    values: Tensor | None = None  # f(...) of all steps, where the rates are something else
    potentials: Tensor | None = None  # v of all steps, for the gradient of alpha


Names = frozenset[str]  # of the arguments whose gradients are wanted
Gradients = dict[str, Tensor]  # by these names; others may be among them
Maybe = Tensor | None


class Kernel(NamedTuple):
    """The two passes of one formulation.

    The last two arguments of `backward` are the gradients of the rates and of the last potential.
    """

    forward: Callable[[Arguments, Activation, Names], Trace]
    backward: Callable[[Arguments, Activation, Names, Trace, Tensor, Maybe], Gradients]


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
        noise: n, added before f as it is, so scaled by the caller; shaped like the drive.
        rate_noise: m, added to the rate as it is. The noisy rate is returned, feeds the next
            step, and in `rate` and `update` is what leaks; shaped like the drive.

    Returns:
        The rates r (time, ..., batch, unit), contiguous, or with a sparse weight in memory that
        is (time, unit, batch); and the state after the last step. A second call that starts from
        this state continues as if both had been one call.

    Every tensor may require a gradient, once: differentiating the gradient again raises a
    RuntimeError. Where no gradient is wanted, only the returned tensors are stored.

    Raises:
        ValueError: an unknown formulation, a number alpha outside (0, 1] (the values of a tensor
            are not checked), shapes, dtypes or devices that do not fit, a potential that is
            missing or has no use.
    """
    if formulation not in FORMULATIONS:
        known = ", ".join(FORMULATIONS)
        raise ValueError(f"formulation must be one of {known}; got {formulation!r}")
    if (initial.potential is None) == (formulation == "current"):
        raise ValueError("initial.potential belongs to formulation 'current', and to it alone")
    x = Arguments(drive, weight, alpha, initial.rate, initial.potential, noise, rate_noise)
    _check(x)
    x = _expanded(x)
    kernel = FORMULATIONS[formulation]  # here, and nowhere else, the kernel is chosen
    rates, potential = _run(kernel, activation, _one_ensemble_axis(x) if drive.dim() > 4 else x)
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


# The passes. All loops run in inference mode, in which torch dispatches each call faster.


def _steps(count: int, *tensors: Tensor | None) -> Any:
    """The states of all tensors, a tuple for each time step, with None for a missing tensor."""
    return zip(*([None] * count if t is None else t.unbind() for t in tensors), strict=True)


def _steps_back(count: int, *tensors: Tensor | None) -> Any:
    """The same, backward in time."""
    return reversed(list(_steps(count, *tensors)))


def _current_forward(x: Arguments, f: Activation, wanted: Names) -> Trace:
    assert x.potential is not None
    a, add_product = along_units(x.alpha), adder(x.weight, x.alpha)
    rates = empty_states(x.weight, x.drive)
    values = torch.empty_like(rates) if x.rate_noise is not None and wanted else None
    potentials = torch.empty_like(rates) if "alpha" in wanted else None
    scratch = torch.empty_like(rates[0])
    v, r = x.potential, rates_to_send(x.weight, x.rate)
    with torch.inference_mode():
        for d, n, m, v_out, s, rate in _steps(
            len(rates), x.drive, x.noise, x.rate_noise, potentials, values, rates
        ):
            v = torch.lerp(v, d, a, out=scratch if v_out is None else v_out)
            if r is not None:
                add_product(v, r)
            if n is not None:
                v.add_(n)
            s = rate if s is None else s
            f.value(v, s)
            r = rate if m is None else torch.add(s, m, out=rate)
    return Trace(rates, v if potentials is None else v.clone(), values, potentials)


def _current_backward(
    x: Arguments, f: Activation, wanted: Names, trace: Trace, grad_rates: Tensor, grad_v: Maybe
) -> Gradients:
    """Backward in time, where g is the gradient of r[t] and q that of d[t].

    g[t] = grad_rates[t] + q[t+1] W;  q[t] = (1-a) q[t+1] + a f'(v[t]) g[t].
    """
    a, add_product = along_units(x.alpha), back_adder(x.weight)
    values = trace.rates if trace.values is None else trace.values
    grad_drive = torch.empty_like(values).copy_(grad_rates)
    gradients = {"drive": grad_drive}
    if "rate_noise" in wanted:
        gradients["rate_noise"] = torch.empty_like(values)
    leaked, q = torch.zeros_like(values[0]), None
    with torch.inference_mode():
        for g, slope, g_out in _steps_back(
            len(values), grad_drive, f.prepare(values), gradients.get("rate_noise")
        ):
            if q is not None:
                add_product(g, q)
            if g_out is not None:
                g_out.copy_(g)
            f.pull(g, slope, g)
            if grad_v is not None:  # the potential of the last step, which comes first here
                g.add_(grad_v)
                grad_v = None
            leaked = q = torch.lerp(leaked, g, a, out=g)
    assert q is not None
    if "rate" in wanted:
        gradients["rate"] = torch.zeros_like(q)
        add_product(gradients["rate"], q)
    if "potential" in wanted:
        gradients["potential"] = q / a * (1 - a)
    if "noise" in wanted:
        gradients["noise"] = grad_drive / a
    return gradients | _of_weight_and_alpha(
        x, wanted, grad_drive, trace.rates, trace.potentials, x.potential
    )


def _rate_forward(x: Arguments, f: Activation, wanted: Names) -> Trace:
    a, add_product = along_units(x.alpha), adder(x.weight)
    rates = empty_states(x.weight, x.drive)
    values = torch.empty_like(rates) if wanted else None
    scratch = torch.empty_like(rates[0])
    r, sent = x.rate, rates_to_send(x.weight, x.rate)
    with torch.inference_mode():
        for d, n, m, s, rate in _steps(len(rates), x.drive, x.noise, x.rate_noise, values, rates):
            s = scratch if s is None else s
            s.copy_(d) if n is None else torch.add(d, n, out=s)
            if sent is not None:
                add_product(s, sent)
            f.value(s, s)
            r = sent = torch.lerp(r, s, a, out=rate)
            if m is not None:
                r.add_(m)
    return Trace(rates, values=values)


def _rate_backward(
    x: Arguments, f: Activation, wanted: Names, trace: Trace, grad_rates: Tensor, grad_v: Maybe
) -> Gradients:
    """Backward in time, where h is a times the gradient of r[t], and q the gradient of d[t].

    h[t] = a grad_rates[t] + (1-a) h[t+1] + a q[t+1] W;  q[t] = f' h[t].
    """
    rates, values = trace.rates, trace.values
    assert values is not None
    a, add_product = along_units(x.alpha), back_adder(x.weight, b=x.alpha)
    grad_drive = torch.empty_like(rates)
    h_all = torch.empty_like(rates) if wanted & {"alpha", "rate_noise"} else None
    scratch = torch.empty_like(rates[0])
    h, q = torch.zeros_like(scratch), None
    with torch.inference_mode():
        for grad_rate, slope, q_out, h_out in _steps_back(
            len(rates), grad_rates, f.prepare(values), grad_drive, h_all
        ):
            h = torch.lerp(h, grad_rate, a, out=scratch if h_out is None else h_out)
            if q is not None:
                add_product(h, q)
            f.pull(h, slope, q_out)
            q = q_out
    assert q is not None
    gradients = {"drive": grad_drive, "noise": grad_drive}
    if "rate" in wanted:
        gradients["rate"] = h * (1 - a)
        add_product(gradients["rate"], q)
        gradients["rate"] /= a
    if "weight" in wanted:
        gradients["weight"] = weight_gradient(x.weight, grad_drive, rates, x.rate)
    if h_all is not None and "alpha" in wanted:  # the sum of h (f(...) - r[t-1]) / a
        total = _sum_of_products(h_all, values) - _sum_of_products(h_all, rates, x.rate)
        gradients["alpha"] = total.div_(x.alpha)
    if h_all is not None and "rate_noise" in wanted:
        gradients["rate_noise"] = h_all / a
    return gradients


def _update_forward(x: Arguments, f: Activation, wanted: Names) -> Trace:
    add_product = adder(x.weight, x.alpha, leak=True)
    rates = torch.mul(x.drive, along_units(x.alpha), out=empty_states(x.weight, x.drive))
    if x.noise is not None:
        rates += x.noise
    values = torch.empty_like(rates) if x.rate_noise is not None and wanted else None
    r = rates_to_send(x.weight, x.rate)
    with torch.inference_mode():
        for m, s, rate in _steps(len(rates), x.rate_noise, values, rates):
            if r is not None:
                add_product(rate, r)
            s = rate if s is None else s
            f.value(rate, s)
            r = rate if m is None else torch.add(s, m, out=rate)
    return Trace(rates, values=values)


def _update_backward(
    x: Arguments, f: Activation, wanted: Names, trace: Trace, grad_rates: Tensor, grad_v: Maybe
) -> Gradients:
    """Backward in time, where g is the gradient of r[t] and p that of the argument of f.

    g[t] = grad_rates[t] + p[t+1] (a W + (1-a) I);  p[t] = f' g[t].
    """
    add_product = back_adder(x.weight, x.alpha, leak=True)
    values = trace.rates if trace.values is None else trace.values
    grad_argument = torch.empty_like(values).copy_(grad_rates)
    gradients = {"noise": grad_argument} if "noise" in wanted else {}
    if "rate_noise" in wanted:
        gradients["rate_noise"] = torch.empty_like(values)
    p = None
    with torch.inference_mode():
        for g, slope, g_out in _steps_back(
            len(values), grad_argument, f.prepare(values), gradients.get("rate_noise")
        ):
            if p is not None:
                add_product(g, p)
            if g_out is not None:
                g_out.copy_(g)
            f.pull(g, slope, g)
            p = g
    assert p is not None
    if "rate" in wanted:
        gradients["rate"] = torch.zeros_like(p)
        add_product(gradients["rate"], p)
    if wanted & {"drive", "weight", "alpha"}:
        a = along_units(x.alpha)
        grad_drive = grad_argument * a if "noise" in wanted else grad_argument.mul_(a)
        gradients["drive"] = grad_drive
        gradients |= _of_weight_and_alpha(x, wanted, grad_drive, trace.rates, trace.rates, x.rate)
    return gradients


def _of_weight_and_alpha(
    x: Arguments,
    wanted: Names,
    grad_drive: Tensor,
    rates: Tensor,
    leaking: Maybe,
    first: Maybe,
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
        total = sum_over_pre(x.weight, gradients["weight"]) + _sum_of_products(grad_drive, x.drive)
        gradients["alpha"] = (total - _sum_of_products(grad_drive, leaking, first)) / x.alpha
    return gradients


def _sum_of_products(left: Tensor, right: Tensor, first: Tensor | None = None) -> Tensor:
    """The sum of left * right over time and batch (..., unit).

    With `first`, left[t] is multiplied with right[t-1], and right[-1] is `first`.
    """
    if first is None:
        return (left * right).sum((0, -2))
    return _sum_of_products(left[1:], right[:-1]) + (left[0] * first).sum(-2)


FORMULATIONS: Mapping[str, Kernel] = {
    "current": Kernel(_current_forward, _current_backward),
    "rate": Kernel(_rate_forward, _rate_backward),
    "update": Kernel(_update_forward, _update_backward),
}


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
    targets = {"alpha": shape[:-1], "rate": drive.shape[1:], "potential": drive.shape[1:]}
    for name, given in x._replace(weight=like)._asdict().items():
        if not isinstance(given, Tensor):
            continue
        if given.dtype != like.dtype or given.device != like.device:
            raise ValueError(
                f"{name} must be {like.dtype} on {like.device}, as the weight; "
                f"got {given.dtype} on {given.device}"
            )
        if name in targets and not _broadcasts(given.shape, targets[name]):
            raise ValueError(
                f"{name} must broadcast to {tuple(targets[name])}; got shape {tuple(given.shape)}"
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
    first, last = {"drive": 1, "noise": 1, "rate_noise": 1}, {"alpha": -2}
    flat = {
        name: each.flatten(first.get(name, 0), last.get(name, -3))
        for name, each in x._asdict().items()
        if isinstance(each, Tensor)
    }
    return x._replace(**flat)
