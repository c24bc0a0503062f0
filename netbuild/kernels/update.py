"""`update`: r[t] = f((1-a) r[t-1] + a (W r[t-1] + d[t]) + n[t]) + m[t]."""

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
    """The rates."""
    add_product = adder(x.weight, x.alpha, leak=True)
    rates = torch.mul(x.drive, of_units(x.alpha), out=fresh_steps(x))
    if x.noise is not None:
        rates += x.noise
    clean = fresh(rates) if x.rate_noise is not None and any(wanted) else None
    r = sent(x.weight, x.rate)
    with torch.inference_mode():  # a lighter dispatch of each call
        for m, s, rate in zip(each(x.rate_noise), each(clean), each(rates), strict=False):
            if r is not None:
                add_product(rate, r)
            f.value(rate, rate if s is None else s)
            r = rate if m is None else torch.add(rate if s is None else s, m, out=rate)
    return Trace(rates, clean=clean)


def backward(
    x: Kept,
    f: Activation,
    wanted: Wanted,
    grad_rates: Tensor,
    grad_potential: Tensor | None,
) -> Gradients:
    """Backward in time: g is the gradient of r[t], p that of what f is taken of.

    g[t] = grad_rates[t] + p[t+1] (a W + (1-a) I);  p[t] = f' g[t].
    """
    a, add_product = of_units(x.alpha), back_adder(x.weight, x.alpha, leak=True)
    clean = x.rates if x.clean is None else x.clean
    grad_inside = fresh(clean).copy_(grad_rates)
    grad_rate_noise = fresh(clean) if wanted.rate_noise else None
    p = None
    with torch.inference_mode():
        for g, slope, g_out in zip(
            last_to_first(grad_inside),
            last_to_first(f.prepare(clean)),
            last_to_first(grad_rate_noise),
            strict=False,
        ):
            if p is not None:
                add_product(g, p)
            if g_out is not None:
                g_out.copy_(g)
            f.pull(g, slope, g)
            p = g
    assert p is not None
    grad_rate = grad_drive = grad_weight = grad_alpha = None
    if wanted.rate:
        grad_rate = torch.zeros_like(p)
        add_product(grad_rate, p)
    if wanted.drive or wanted.weight or wanted.alpha:
        grad_drive = grad_inside * a if wanted.noise else grad_inside.mul_(a)
    if wanted.weight or wanted.alpha:
        assert grad_drive is not None
        grad_weight = weight_gradient(x.weight, grad_drive, x.rates, x.rate)
    if wanted.alpha:
        assert grad_drive is not None
        assert grad_weight is not None
        grad_alpha = alpha_gradient(x, grad_drive, grad_weight, x.rates, x.rate)
    return Gradients(
        drive=grad_drive,
        weight=grad_weight,
        alpha=grad_alpha,
        rate=grad_rate,
        noise=grad_inside if wanted.noise else None,
        rate_noise=grad_rate_noise,
    )


UPDATE = Formulation(forward, backward)
