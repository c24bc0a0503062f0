"""`current`: v[t] = (1-a) v[t-1] + a (W r[t-1] + d[t]) + n[t];  r[t] = f(v[t]) + m[t]."""

from __future__ import annotations

import torch
from torch import Tensor

from netbuild.kernels.activations import Activation
from netbuild.kernels.parts import (
    Formulation,
    Gradients,
    Inputs,
    Kept,
    Trace,
    Wanted,
    alpha_gradient,
    each,
    fresh,
    fresh_steps,
    last_to_first,
    of_units,
)
from netbuild.kernels.products import adder, back_adder, sent, weight_gradient


def forward(x: Inputs, f: Activation, wanted: Wanted) -> Trace:
    """The rates and the last potential."""
    assert x.potential is not None
    a, add_product = of_units(x.alpha), adder(x.weight, x.alpha)
    rates = fresh_steps(x)
    clean = fresh(rates) if x.rate_noise is not None and any(wanted) else None
    potentials = fresh(rates) if wanted.alpha else None
    scratch = fresh(rates[0])
    v, r = x.potential, sent(x.weight, x.rate)
    with torch.inference_mode():  # a lighter dispatch of each call
        for d, n, m, potential, s, rate in zip(
            each(x.drive),
            each(x.noise),
            each(x.rate_noise),
            each(potentials, otherwise=scratch),
            each(rates if clean is None else clean),
            each(rates),
            strict=False,
        ):
            v = torch.lerp(v, d, a, out=potential)
            if r is not None:
                add_product(v, r)
            if n is not None:
                v.add_(n)
            f.value(v, s)
            r = rate if m is None else torch.add(s, m, out=rate)
    return Trace(rates, v.clone() if wanted.alpha else v, clean, potentials)


def backward(
    x: Kept,
    f: Activation,
    wanted: Wanted,
    grad_rates: Tensor,
    grad_potential: Tensor | None,
) -> Gradients:
    """Backward in time: g is the gradient of r[t], q that of d[t].

    g[t] = grad_rates[t] + q[t+1] W;  q[t] = (1-a) q[t+1] + a f'(v[t]) g[t].
    """
    a, add_product = of_units(x.alpha), back_adder(x.weight)
    clean = x.rates if x.clean is None else x.clean
    grad_drive = fresh(clean).copy_(grad_rates)
    grad_rate_noise = fresh(clean) if wanted.rate_noise else None
    rest, q = torch.zeros_like(clean[0]), None
    with torch.inference_mode():
        for g, slope, g_out in zip(
            last_to_first(grad_drive),
            last_to_first(f.prepare(clean)),
            last_to_first(grad_rate_noise),
            strict=False,
        ):
            if q is not None:
                add_product(g, q)
            if g_out is not None:
                g_out.copy_(g)
            f.pull(g, slope, g)
            if grad_potential is not None:
                g.add_(grad_potential)
                grad_potential = None
            rest = q = torch.lerp(rest, g, a, out=g)
    assert q is not None
    grad_rate = None
    if wanted.rate:
        grad_rate = torch.zeros_like(q)
        add_product(grad_rate, q)
    grad_weight = grad_alpha = None
    if wanted.weight or wanted.alpha:
        grad_weight = weight_gradient(x.weight, grad_drive, x.rates, x.rate)
    if wanted.alpha:
        assert grad_weight is not None
        assert x.potentials is not None
        assert x.potential is not None
        grad_alpha = alpha_gradient(x, grad_drive, grad_weight, x.potentials, x.potential)
    return Gradients(
        drive=grad_drive,
        weight=grad_weight,
        alpha=grad_alpha,
        rate=grad_rate,
        potential=q / a * (1 - a) if wanted.potential else None,
        noise=grad_drive / a if wanted.noise else None,
        rate_noise=grad_rate_noise,
    )


CURRENT = Formulation(forward, backward)
