"""The product of many rows of activity with a weight of a few outputs, as a readout has them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

FEW = 16  # outputs; for fewer, `readout` is faster than torch's linear


def readout(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x weight^T + bias, for a few outputs; the memory of the result is (output, ...).

    Products whose long side is that of the rows (time and batch) take half as long as those whose
    long side is in the middle, and a softmax over a few outputs is several times faster where each
    output's numbers lie together.

    Args:
        x: (row, ..., input), whose leading axes can be flattened without a copy for full speed.
        weight: (output, input).
        bias: (output,).
    """
    rows = x.reshape(-1, x.shape[-1])
    output: Tensor = _Readout.apply(rows, weight, bias)  # type: ignore[no-untyped-call]
    return output.view(len(weight), *x.shape[:-1]).movedim(0, -1)


class _Readout(torch.autograd.Function):
    """rows (row, input) -> (output, row)."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return torch.addmm(bias.unsqueeze(1), weight, rows.mT)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """The gradient of the rows is (row, input) in memory, as whatever they were cut from."""
        rows, weight = ctx.saved_tensors
        grad_rows = grad.mT @ weight if ctx.needs_input_grad[0] else None
        return grad_rows, grad @ rows, grad.sum(1)
