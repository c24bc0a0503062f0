"""The passes of a recurrence as compiled loops: dense weights on the CPU, without ensembles.

The rows of a batch are split over as many threads as torch uses. The bits of a result do not
depend on their number, except those of the gradient of the weight, which is torch's product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netbuild.kernels import machine
from netbuild.kernels.activations import Activation, activation
from netbuild.kernels.passes import (
    Arguments,
    Gradients,
    Kernel,
    Names,
    Trace,
    of_weight_and_alpha,
    sum_of_products,
)
from netbuild.kernels.products import Weight, weight_gradient
from netbuild.kernels.sparse import SparseWeight

Array = NDArray[Any]

DTYPES = (torch.float32, torch.float64)
GIVES_SLOPES = ("softplus", "power")  # whose slopes torch computes, for all steps at once
PIECE = 1 << 22  # multiplications of a pass from which a further thread is worth its start


def runs(weight: Weight) -> bool:
    """Whether compiled loops multiply with this weight on this machine.

    A machine on which they cannot run is told once.
    """
    if type(weight) is not Tensor and type(weight) is not nn.Parameter:  # subclasses may have no
        return False  # memory, as those that torch traces with
    return weight.is_cpu and weight.dtype in DTYPES and _usable(weight.dtype)


def why_not(weight: Weight) -> str:
    """Why no compiled loops multiply with this weight on this machine; empty where they do."""
    if isinstance(weight, SparseWeight):
        return "the weight is stored sparse"
    if not weight.is_cpu:
        return f"the weight is on {weight.device}"
    if weight.dtype not in DTYPES:
        return f"the weight is {weight.dtype}"
    return _failure(weight.dtype)


@cache
def _usable(dtype: torch.dtype) -> bool:
    if why := _failure(dtype):
        machine.tell(why, "the fused kernel computes the recurrence, more slowly")
    return not why


@cache
def _failure(dtype: torch.dtype) -> str:
    """Why this machine cannot run loops of this dtype; empty where it can."""
    return machine.failure("the recurrence", partial(_run_once, dtype))


def _run_once(dtype: torch.dtype) -> None:
    one = torch.ones(1, 1, 1, dtype=dtype)
    f = activation("relu")
    x = Arguments(one, one[0], 0.5, one[0], one[0], None)
    trace = _forward("current", x, f, frozenset())
    _backward("current", x, f, frozenset(), trace, one, None)


def _forward(formulation: str, x: Arguments, f: Activation, wanted: Names) -> Trace:
    from netbuild.kernels import loops

    drive = _array(x.drive, 3, x)
    current, noisy = formulation == "current", x.rate_noise is not None
    rates = torch.empty(drive.shape, dtype=x.drive.dtype)
    values = torch.empty_like(rates) if wanted and (noisy or formulation == "rate") else None
    potentials = torch.empty_like(rates) if current and "alpha" in wanted else None
    last = torch.empty_like(rates[0]) if current else None
    run = partial(
        loops.forward,
        loops.FORMULATIONS[formulation],
        loops.FUNCTIONS[f.name],
        drive.dtype.type(f.n or 0),
        drive,
        _panels(x, transposed=True),
        _alpha(x),
        _array(x.rate, 2, x),
        _array(x.potential, 2, x),
        _array(x.rate_noise, 3, x),
        rates.numpy(),
        _array(values, 3, x),
        _array(potentials, 3, x),
        _array(last, 2, x),
    )
    _run_rows(run, drive.shape)
    return Trace(rates, last, values, potentials)


def _backward(
    formulation: str,
    x: Arguments,
    f: Activation,
    wanted: Names,
    trace: Trace,
    grad_rates: Tensor,
    grad_last: Tensor | None,
) -> Gradients:
    from netbuild.kernels import loops

    current, rates = formulation == "current", trace.rates
    values = rates if trace.values is None else trace.values
    slopes = f.name in GIVES_SLOPES
    total = wanted & ({"rate_noise"} if formulation != "rate" else {"rate_noise", "alpha"})
    gradients: Gradients = {"drive": torch.empty_like(rates), "rate": torch.empty_like(rates[0])}
    if current:
        gradients["potential"] = torch.empty_like(rates[0])
    if total:
        gradients["rate_noise"] = torch.empty_like(rates)
    run = partial(
        loops.backward,
        loops.FORMULATIONS[formulation],
        loops.GIVEN if slopes else loops.FUNCTIONS[f.name],
        _array(grad_rates, 3, x),
        _array(f.prepare(values) if slopes else values, 3, x),
        _panels(x),
        _alpha(x),
        _array(grad_last, 2, x),
        gradients["drive"].numpy(),
        _array(gradients.get("rate_noise"), 3, x),
        gradients["rate"].numpy(),
        _array(gradients.get("potential"), 2, x),
    )
    _run_rows(run, rates.shape)
    return gradients | _of_weight_and_alpha(formulation, x, wanted, trace, gradients)


def _of_weight_and_alpha(
    formulation: str, x: Arguments, wanted: Names, trace: Trace, gradients: Gradients
) -> Gradients:
    grad_drive, rates = gradients["drive"], trace.rates
    if formulation == "current":
        leaking, first = trace.potentials, x.potential
        return of_weight_and_alpha(x, wanted, grad_drive, rates, leaking, first)
    if formulation == "update":
        return of_weight_and_alpha(x, wanted, grad_drive, rates, rates, x.rate)
    found: Gradients = {}
    if "weight" in wanted:
        found["weight"] = weight_gradient(x.weight, grad_drive, rates, x.rate)
    if "alpha" in wanted:  # the sum over time and batch of g[t] (f(...) - r[t-1])
        assert trace.values is not None
        grad_total = gradients["rate_noise"]
        leaked = sum_of_products(grad_total, rates, x.rate)
        found["alpha"] = sum_of_products(grad_total, trace.values) - leaked
    return found


# The memory of tensors. numpy's calls take a fraction of the time of torch's, of which a pass over
# a small network would otherwise consist. What torch multiplies later is memory of torch, whose
# alignment, and so whose bits in a product, are always the same.


def _array(tensor: Tensor | None, dimensions: int, x: Arguments) -> Array:
    """The contiguous memory of a tensor; an array without elements for None."""
    if tensor is None:
        return _nothing(dimensions, x.rate.dtype)
    return np.ascontiguousarray(tensor.detach().numpy())


@cache
def _nothing(dimensions: int, dtype: torch.dtype) -> Array:
    return torch.empty((0,) * dimensions, dtype=dtype).numpy()


def _panels(x: Arguments, transposed: bool = False) -> Array:
    """The weight (post, pre), or its transpose, as loops read it."""
    from netbuild.kernels.loops import fill_panels

    assert isinstance(x.weight, Tensor)
    width = _width(len(x.weight))
    panels = torch.empty(width * width, dtype=x.weight.dtype).numpy()  # in torch's alignment
    fill_panels(_array(x.weight, 2, x), transposed, width, panels)
    return panels


def _alpha(x: Arguments) -> Array:
    """Alpha (width,); its values beyond the units count for nothing."""
    dtype, units = x.rate.dtype, x.rate.shape[-1]
    if not isinstance(x.alpha, Tensor):
        return _same_alpha(x.alpha, _width(units), dtype)
    alpha = np.ones(_width(units), _nothing(1, dtype).dtype)
    alpha[:units] = x.alpha.detach().numpy()
    return alpha


@cache
def _same_alpha(alpha: float, width: int, dtype: torch.dtype) -> Array:
    return torch.full((width,), alpha, dtype=dtype).numpy()


def _width(units: int) -> int:
    from netbuild.kernels.loops import LANES

    return -(-units // LANES) * LANES


def _run_rows(run: Callable[[int, int], None], shape: tuple[int, ...]) -> None:
    """Call run(low, high) for ranges of the rows, each on a thread."""
    from netbuild.kernels.loops import TILE

    steps, batch, units = shape
    tiles = -(-batch // TILE)
    threads = min(
        torch.get_num_threads(), max(1, tiles), 1 + steps * batch * units * units // PIECE
    )
    bounds = [TILE * (tiles * k // threads) for k in range(threads)]
    machine.in_parts(run, [*bounds, batch])


COMPILED: Mapping[str, Kernel] = {
    name: Kernel(partial(_forward, name), partial(_backward, name))
    for name in ("current", "rate", "update")
}
