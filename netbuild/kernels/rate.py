"""`rate`: r[t] = (1-a) r[t-1] + a f(W r[t-1] + d[t] + n[t]) + m[t]."""

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
    each,
    fresh,
    fresh_steps,
    last_to_first,
    of_units,
    overlap,
)
from netbuild.kernels.products import adder, back_adder, sent, weight_gradient


def forward(x: Inputs, f: Activation, wanted: Wanted) -> Trace:
    """The rates; `clean` are the values of f alone."""
    a, add_product = of_units(x.alpha), adder(x.weight)
    rates = fresh_steps(x)
    clean = fresh(rates) if any(wanted) else None
    scratch = fresh(rates[0])
    r, r_sent = x.rate, sent(x.weight, x.rate)
    with torch.inference_mode():  # a lighter dispatch of each call
        for d, n, m, s, rate in zip(
            each(x.drive),
            each(x.noise),
            each(x.rate_noise),
            each(clean, otherwise=scratch),
            each(rates),
            strict=False,
        ):
            s.copy_(d) if n is None else torch.add(d, n, out=s)
            if r_sent is not None:
                add_product(s, r_sent)
            f.value(s, s)
            r = r_sent = torch.lerp(r, s, a, out=rate)
            if m is not None:
                r.add_(m)
    return Trace(rates, clean=clean)


def backward(
    x: Kept,
    f: Activation,
    wanted: Wanted,
    grad_rates: Tensor,
    grad_potential: Tensor | None,
) -> Gradients:
    """Backward in time: h is a times the gradient of r[t], q the gradient of d[t].

    h[t] = a grad_rates[t] + (1-a) h[t+1] + a q[t+1] W;  q[t] = f' h[t].
    """
    assert x.clean is not None
    a, add_product = of_units(x.alpha), back_adder(x.weight, b=x.alpha)
    grad_drive = fresh(x.rates)
    h_all = fresh(x.rates) if wanted.alpha or wanted.rate_noise else None
    scratch = fresh(x.rates[0])
    h, q = torch.zeros_like(scratch), None
    with torch.inference_mode():
        for from_outside, slope, q_out, h_out in zip(
            last_to_first(grad_rates),
            last_to_first(f.prepare(x.clean)),
            last_to_first(grad_drive),
            last_to_first(h_all),
            strict=False,
        ):
            h = torch.lerp(h, from_outside, a, out=scratch if h_out is None else h_out)
            if q is not None:
                add_product(h, q)
            f.pull(h, slope, q_out)
            q = q_out
    assert q is not None
    grad_rate = None
    if wanted.rate:
        grad_rate = h * (1 - a)
        add_product(grad_rate, q)
        grad_rate /= a
    grad_alpha = None
    if wanted.alpha:  # sum of h (f(...) - r[t-1]) / a
        assert h_all is not None
        grad_alpha = overlap(h_all, x.clean) - overlap(h_all, x.rates, first=x.rate)
        grad_alpha /= x.alpha
    return Gradients(
        drive=grad_drive,
        weight=weight_gradient(x.weight, grad_drive, x.rates, x.rate) if wanted.weight else None,
        alpha=grad_alpha,
        rate=grad_rate,
        noise=grad_drive if wanted.noise else None,
        rate_noise=h_all / a if wanted.rate_noise and h_all is not None else None,
    )


RATE = Formulation(forward, backward)
