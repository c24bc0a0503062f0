"""Activation functions: as autograd calls them, and as the kernels do, which write into memory.

A kernel keeps the rates r = f(v) and not v, so each derivative is computed from r.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_aten = torch.ops.aten
# The lookup of an overload takes longer than its call does on a small layer.
_threshold_backward = _aten.threshold_backward.grad_input
_tanh_backward = _aten.tanh_backward.grad_input
_sigmoid_backward = _aten.sigmoid_backward.grad_input
_softplus_out = _aten.softplus.out


class Activation(NamedTuple):
    """An elementwise function r = f(v); calling it gives f(v), which autograd differentiates."""

    name: str
    function: Callable[[Tensor], Tensor]  # f(v) in a new tensor, differentiable at any order
    value: Callable[[Tensor, Tensor], object]  # (v, out): writes f(v) into out, which may be v
    prepare: Callable[[Tensor], Tensor]  # (rates): what `pull` needs of all steps; may be the rates
    # (grad, prepared, out): writes grad * f'(v) into out, which may be grad itself
    pull: Callable[[Tensor, Tensor, Tensor], object]
    n: float | None = None  # the exponent of `power`; None for the others

    def __call__(self, v: Tensor) -> Tensor:
        """f(v)."""
        return self.function(v)

    def __reduce__(self) -> tuple[Any, ...]:  # functions inside functions cannot be pickled
        return activation, (self.name,) if self.n is None else (self.name, self.n)


def activation(name: str, n: float = 2) -> Activation:
    """The activation of that name; `n` > 0 is the exponent of `power`, and unused by the others.

    `linear` v; `relu` max(v, 0); `tanh`; `sigmoid` 1 / (1 + exp(-v)); `softplus` log(1 + exp(v));
    `retanh` tanh(max(v, 0)); `power` max(v, 0) ** n. The derivative at a kink is 0.

    Raises:
        ValueError: an unknown name; an n that is not a number above 0.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}; got {name!r}")
    if name != "power":
        return ACTIVATIONS[name]
    if isinstance(n, bool) or not isinstance(n, (int, float)) or not 0 < n < math.inf:
        raise ValueError(f"n of activation 'power' must be a number above 0; got {n!r}")
    return _power(n)


def _power(n: float) -> Activation:
    def value(v: Tensor, out: Tensor) -> None:
        torch.clamp_min(v, 0, out=out)
        out.pow_(n)

    def slope(rates: Tensor) -> Tensor:
        """n v^(n-1) with v = r^(1/n), where r > 0."""
        slopes = rates.pow((n - 1) / n).mul_(n)
        return slopes if n > 1 else _where_positive(slopes, rates)

    return Activation("power", lambda v: torch.relu(v) ** n, value, slope, _multiply, n)


def _retanh(v: Tensor, out: Tensor) -> None:
    torch.clamp_min(v, 0, out=out)
    out.tanh_()


def _retanh_slope(rates: Tensor) -> Tensor:
    """1 - r^2 where r > 0."""
    return _where_positive(torch.addcmul(rates.new_ones(()), rates, rates, value=-1), rates)


def _where_positive(slopes: Tensor, rates: Tensor) -> Tensor:
    """The slopes, and 0 where the rate is not above 0, in a fifth of the time of `torch.where`."""
    positive: Tensor = _aten.threshold_backward(slopes, rates, 0)
    return positive


def _copy(source: Tensor, out: Tensor) -> None:
    if out is not source:
        out.copy_(source)


def _multiply(grad: Tensor, slope: Tensor, out: Tensor) -> None:
    torch.mul(grad, slope, out=out)


def _rates(rates: Tensor) -> Tensor:
    return rates


ACTIVATIONS: Mapping[str, Activation] = {
    f.name: f
    for f in (
        Activation(
            "linear",
            function=lambda v: v,
            value=_copy,
            prepare=_rates,
            pull=lambda grad, r, out: _copy(grad, out),
        ),
        Activation(
            "relu",
            function=torch.relu,
            value=lambda v, out: torch.clamp_min(v, 0, out=out),
            prepare=_rates,
            pull=lambda grad, r, out: _threshold_backward(grad, r, 0, grad_input=out),
        ),
        Activation(
            "tanh",
            function=torch.tanh,
            value=lambda v, out: torch.tanh(v, out=out),
            prepare=_rates,
            pull=lambda grad, r, out: _tanh_backward(grad, r, grad_input=out),
        ),
        Activation(
            "sigmoid",
            function=torch.sigmoid,
            value=lambda v, out: torch.sigmoid(v, out=out),
            prepare=_rates,
            pull=lambda grad, r, out: _sigmoid_backward(grad, r, grad_input=out),
        ),
        Activation(
            "softplus",
            function=functional.softplus,
            value=lambda v, out: _softplus_out(v, out=out),
            prepare=lambda r: r.neg().expm1_().neg_(),  # sigmoid(v) = 1 - exp(-r)
            pull=_multiply,
        ),
        Activation(
            "retanh",
            function=lambda v: torch.tanh(torch.relu(v)),
            value=_retanh,
            prepare=_retanh_slope,
            pull=_multiply,
        ),
        _power(2),
    )
}
"""Every activation by its name; `power` with the exponent 2."""
