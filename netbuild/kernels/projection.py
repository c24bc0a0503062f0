"""A linear map of few inputs to many units over many rows, forward and backward.

The bias is the weight of one more input that is always 1. So no pass over the large side, the
output or its gradient, is left but one product each way, and that reads it row by row.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def projection(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x weight^T + bias, contiguous, as torch's linear; its gradient cannot be differentiated.

    Args:
        x: the inputs (..., input).
        weight: (unit, input).
        bias: (unit,).

    Raises:
        ValueError: shapes that do not fit.
    """
    if weight.dim() != 2 or bias.shape != weight.shape[:1] or x.shape[-1:] != weight.shape[1:]:
        raise ValueError(
            "x, weight and bias must be (..., input), (unit, input) and (unit,); "
            f"got shapes {tuple(x.shape)}, {tuple(weight.shape)} and {tuple(bias.shape)}"
        )
    output: Tensor = _Projection.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return output


class _Projection(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        rows = torch.cat((rows, rows.new_ones(len(rows), 1)), 1)
        ctx.save_for_backward(rows, weight)
        output = rows @ torch.cat((weight.mT, bias.unsqueeze(0)))
        return output.view(*x.shape[:-1], len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        rows, weight = ctx.saved_tensors
        over_rows = rows.mT @ grad.reshape(-1, grad.shape[-1])  # (input + 1, unit)
        grad_x = grad @ weight if ctx.needs_input_grad[0] else None
        return grad_x, over_rows[:-1].mT, over_rows[-1]
