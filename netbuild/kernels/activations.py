"""Activation functions for kernels: the value, and the derivative from the value, both by out=.

A kernel keeps the rates r = f(v) and not v, so each derivative is written in r.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Activation(NamedTuple):
    """An elementwise function r = f(v) and its derivative, as three writers of tensors."""

    value: Callable[[Tensor, Tensor], object]
    """(v, out): writes f(v) into out, which may be v itself."""

    prepare: Callable[[Tensor], Tensor]
    """(rates): what `pull` takes of them, for all time steps in one pass; maybe the rates."""

    pull: Callable[[Tensor, Tensor, Tensor], object]
    """(grad, prepared, out): writes grad * f'(v) into out, which may be grad itself."""


def activation(name: str, n: float = 2) -> Activation:
    """The activation of that name; `n` > 0 is the exponent of `power`, and unused by the others.

    `linear` v; `relu` max(v, 0); `tanh`; `sigmoid` 1 / (1 + exp(-v)); `softplus` log(1 + exp(v));
    `retanh` tanh(max(v, 0)); `power` max(v, 0) ** n. The derivative at a kink is 0.

    Raises:
        ValueError: an unknown name; an n that is not a number above 0.
    """
    if name == "power":
        if not 0 < n < math.inf:
            raise ValueError(f"n of activation 'power' must be a number above 0; got {n!r}")
        # Partial functions, unlike closures, can be copied and pickled with the layer.
        return Activation(partial(_power, n=n), partial(_power_slope, n=n), _multiply)
    if name not in _FIXED:
        raise ValueError(f"activation must be one of {', '.join(NAMES)}; got {name!r}")
    return _FIXED[name]


def _itself(rates: Tensor) -> Tensor:
    return rates


def _multiply(grad: Tensor, slope: Tensor, out: Tensor) -> None:
    torch.mul(grad, slope, out=out)


def _copy(source: Tensor, out: Tensor) -> None:
    if out is not source:
        out.copy_(source)


def _linear_pull(grad: Tensor, rate: Tensor, out: Tensor) -> None:
    _copy(grad, out)


def _relu(v: Tensor, out: Tensor) -> None:
    torch.clamp_min(v, 0, out=out)


def _relu_pull(
    grad: Tensor,
    rate: Tensor,
    out: Tensor,
    threshold_backward: Any = torch.ops.aten.threshold_backward.grad_input,  # found once
) -> None:
    threshold_backward(grad, rate, 0, grad_input=out)


def _tanh(v: Tensor, out: Tensor) -> None:
    torch.tanh(v, out=out)


def _tanh_pull(grad: Tensor, rate: Tensor, out: Tensor) -> None:
    torch.ops.aten.tanh_backward.grad_input(grad, rate, grad_input=out)


def _sigmoid(v: Tensor, out: Tensor) -> None:
    torch.sigmoid(v, out=out)


def _sigmoid_pull(grad: Tensor, rate: Tensor, out: Tensor) -> None:
    torch.ops.aten.sigmoid_backward.grad_input(grad, rate, grad_input=out)


def _softplus(v: Tensor, out: Tensor) -> None:
    torch.ops.aten.softplus.out(v, out=out)


def _softplus_slope(rates: Tensor) -> Tensor:
    """sigmoid(v) = 1 - exp(-r)."""
    return rates.neg().expm1_().neg_()


def _retanh(v: Tensor, out: Tensor) -> None:
    torch.clamp_min(v, 0, out=out)
    out.tanh_()


def _retanh_slope(rates: Tensor) -> Tensor:
    """1 - r^2 where r > 0."""
    return _where_positive(torch.addcmul(rates.new_ones(()), rates, rates, value=-1), rates)


def _where_positive(slopes: Tensor, rates: Tensor) -> Tensor:
    """The slopes, 0 where the rate is not above 0; a fifth of what `torch.where` takes."""
    slopes_above_0: Tensor = torch.ops.aten.threshold_backward(slopes, rates, 0)
    return slopes_above_0


def _power(v: Tensor, out: Tensor, n: float) -> None:
    torch.clamp_min(v, 0, out=out)
    out.pow_(n)


def _power_slope(rates: Tensor, n: float) -> Tensor:
    """n v^(n-1) with v = r^(1/n), where r > 0."""
    slopes = rates.pow((n - 1) / n).mul_(n)
    return slopes if n > 1 else _where_positive(slopes, rates)


_FIXED: Mapping[str, Activation] = {
    "linear": Activation(_copy, _itself, _linear_pull),
    "relu": Activation(_relu, _itself, _relu_pull),
    "tanh": Activation(_tanh, _itself, _tanh_pull),
    "sigmoid": Activation(_sigmoid, _itself, _sigmoid_pull),
    "softplus": Activation(_softplus, _softplus_slope, _multiply),
    "retanh": Activation(_retanh, _retanh_slope, _multiply),
}
NAMES = (*_FIXED, "power")
