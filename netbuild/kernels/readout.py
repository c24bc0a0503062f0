"""The product of many rows of activity with a weight of a few outputs, as a readout has them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

FEW = 16  # outputs; for fewer, `readout` is faster than torch's linear


def readout(x: Tensor, weight: Tensor, bias: Tensor, units: slice = slice(None)) -> Tensor:
    """x[..., units] weight^T + bias, for a few outputs; the memory of the result is (output, ...).

    Products whose long side is that of the rows (time and batch) take half as long as those whose
    long side is in the middle, and a softmax over a few outputs is several times faster where each
    output's numbers lie together. The units are not cut from x, nor their gradient copied into one
    of x's size.

    Args:
        x: (..., unit); fastest where its memory is contiguous.
        weight: (output, input), where the inputs are the selected units.
        bias: (output,).
        units: which of the units are read.
    """
    rows = x.reshape(-1, x.shape[-1])
    output: Tensor = _Readout.apply(rows, weight, bias, units)  # type: ignore[no-untyped-call]
    return output.view(len(weight), *x.shape[:-1]).movedim(0, -1)


class _Readout(torch.autograd.Function):
    """rows (row, unit) -> (output, row). The gradient can be differentiated again."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, units: slice) -> Tensor:
        ctx.save_for_backward(rows, weight)
        ctx.units = units
        return torch.addmm(bias.unsqueeze(1), weight, rows[:, units].mT)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight = ctx.saved_tensors
        grad_rows = None
        if ctx.needs_input_grad[0]:
            # As a product with zeros for the other units, it has the size of the rows at once.
            whole = weight.new_zeros(len(weight), rows.shape[1])
            whole = torch.slice_scatter(whole, weight, 1, *ctx.units.indices(rows.shape[1]))
            grad_rows = grad.mT @ whole
        return grad_rows, grad @ rows[:, ctx.units], grad.sum(1), None
