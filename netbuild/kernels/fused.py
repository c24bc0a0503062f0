"""The passes of a recurrence in torch operations, for every device and for sparse weights.

Each formulation is a forward and a backward loop over time, which make two to three calls a step
and write into memory that was allocated before. The same loops run a dense weight and a sparse
one; only the memory layout of the states differs. With a sparse weight the memory of states is
(unit, batch), as its products need it. All loops run in inference mode, in which torch dispatches
each call faster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from netbuild.kernels.activations import Activation
from netbuild.kernels.passes import (
    Arguments,
    Gradients,
    Kernel,
    Names,
    Trace,
    of_weight_and_alpha,
    sum_of_products,
)
from netbuild.kernels.products import (
    adder,
    along_units,
    back_adder,
    empty_states,
    rates_to_send,
    weight_gradient,
)


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
        for d, m, v_out, s, rate in _steps(
            len(rates), x.drive, x.rate_noise, potentials, values, rates
        ):
            v = torch.lerp(v, d, a, out=scratch if v_out is None else v_out)
            if r is not None:
                add_product(v, r)
            s = rate if s is None else s
            f.value(v, s)
            r = rate if m is None else torch.add(s, m, out=rate)
    return Trace(rates, v if potentials is None else v.clone(), values, potentials)


def _current_backward(
    x: Arguments,
    f: Activation,
    wanted: Names,
    trace: Trace,
    grad_rates: Tensor,
    grad_v: Tensor | None,
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
    return gradients | of_weight_and_alpha(
        x, wanted, grad_drive, trace.rates, trace.potentials, x.potential
    )


def _rate_forward(x: Arguments, f: Activation, wanted: Names) -> Trace:
    a, add_product = along_units(x.alpha), adder(x.weight)
    rates = empty_states(x.weight, x.drive)
    values = torch.empty_like(rates) if wanted else None
    scratch = torch.empty_like(rates[0])
    r, sent = x.rate, rates_to_send(x.weight, x.rate)
    with torch.inference_mode():
        for d, m, s, rate in _steps(len(rates), x.drive, x.rate_noise, values, rates):
            s = scratch if s is None else s
            s.copy_(d)
            if sent is not None:
                add_product(s, sent)
            f.value(s, s)
            r = sent = torch.lerp(r, s, a, out=rate)
            if m is not None:
                r.add_(m)
    return Trace(rates, values=values)


def _rate_backward(
    x: Arguments,
    f: Activation,
    wanted: Names,
    trace: Trace,
    grad_rates: Tensor,
    grad_v: Tensor | None,
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
    gradients = {"drive": grad_drive}
    if "rate" in wanted:
        gradients["rate"] = h * (1 - a)
        add_product(gradients["rate"], q)
        gradients["rate"] /= a
    if "weight" in wanted:
        gradients["weight"] = weight_gradient(x.weight, grad_drive, rates, x.rate)
    if h_all is not None and "alpha" in wanted:  # the sum of h (f(...) - r[t-1]) / a
        total = sum_of_products(h_all, values) - sum_of_products(h_all, rates, x.rate)
        gradients["alpha"] = total.div_(x.alpha)
    if h_all is not None and "rate_noise" in wanted:
        gradients["rate_noise"] = h_all / a
    return gradients


def _update_forward(x: Arguments, f: Activation, wanted: Names) -> Trace:
    add_product = adder(x.weight, x.alpha, leak=True)
    rates = torch.mul(x.drive, along_units(x.alpha), out=empty_states(x.weight, x.drive))
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
    x: Arguments,
    f: Activation,
    wanted: Names,
    trace: Trace,
    grad_rates: Tensor,
    grad_v: Tensor | None,
) -> Gradients:
    """Backward in time, where g is the gradient of r[t] and p that of the argument of f.

    g[t] = grad_rates[t] + p[t+1] (a W + (1-a) I);  p[t] = f' g[t].
    """
    add_product = back_adder(x.weight, x.alpha, leak=True)
    values = trace.rates if trace.values is None else trace.values
    grad_argument = torch.empty_like(values).copy_(grad_rates)
    gradients: Gradients = {}
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
        gradients["drive"] = grad_drive = grad_argument.mul_(along_units(x.alpha))
        gradients |= of_weight_and_alpha(x, wanted, grad_drive, trace.rates, trace.rates, x.rate)
    return gradients


FUSED: Mapping[str, Kernel] = {
    "current": Kernel(_current_forward, _current_backward),
    "rate": Kernel(_rate_forward, _rate_backward),
    "update": Kernel(_update_forward, _update_backward),
}
