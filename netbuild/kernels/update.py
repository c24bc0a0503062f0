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
    add_product_of,
    alpha_gradient,
    each,
    fresh,
    last_to_first,
    of_units,
    scaled_rows,
    transposed,
    weight_gradient,
)


def forward(x: Inputs, f: Activation, wanted: Wanted) -> Trace:
    """The rates."""
    weight = _with_leak(transposed(x.weight).mul_(of_units(x.alpha)), x.alpha)
    add_product = add_product_of(weight)
    rates = torch.mul(x.drive, of_units(x.alpha), out=fresh(x.drive))
    if x.noise is not None:
        rates += x.noise
    clean = fresh(rates) if x.rate_noise is not None and any(wanted) else None
    r = x.rate
    with torch.inference_mode():  # a lighter dispatch of each call
        for m, s, rate in zip(each(x.rate_noise), each(clean), each(rates), strict=False):
            add_product(rate, r, weight)
            f.value(rate, rate if s is None else s)
            r = rate if m is None else torch.add(rate if s is None else s, m, out=rate)
    return Trace(rates, clean=clean)


def _with_leak(scaled: Tensor, alpha: float | Tensor) -> Tensor:
    """a W + (1-a) I, of a W in place: the leak is a connection of each unit to itself."""
    scaled.diagonal(dim1=-2, dim2=-1).add_(1 - alpha)
    return scaled


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
    a, weight = of_units(x.alpha), _with_leak(scaled_rows(x.weight, x.alpha), x.alpha)
    add_product = add_product_of(weight)
    clean = x.rates if x.clean is None else x.clean
    grad_inside = grad_rates.clone(memory_format=torch.contiguous_format)
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
                add_product(g, p, weight)
            if g_out is not None:
                g_out.copy_(g)
            f.pull(g, slope, g)
            p = g
    assert p is not None
    grad_weight = grad_alpha = None
    if wanted.weight or wanted.alpha:
        grad_weight = weight_gradient(grad_inside, x.rates, x.rate)
    if wanted.alpha:
        assert grad_weight is not None
        grad_alpha = alpha_gradient(x, grad_inside, grad_weight, x.rates, x.rate)
    return Gradients(
        drive=grad_inside * a if wanted.drive else None,
        weight=None if grad_weight is None else scaled_rows(grad_weight, x.alpha),
        alpha=grad_alpha,
        rate=p @ weight if wanted.rate else None,
        noise=grad_inside if wanted.noise else None,
        rate_noise=grad_rate_noise,
    )


UPDATE = Formulation(forward, backward)
