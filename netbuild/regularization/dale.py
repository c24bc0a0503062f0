"""The Dale's-law loss as plain functions of tensors, with its gradient written by hand.

With W the weights and S their wanted signs, both (output_dim, input_dim):

    Tr(W^T (alpha W - (1 - alpha) S)) = alpha <W, W> - (1 - alpha) <W, S>

The left side (NeuroTorch's DaleLawL2) multiplies matrices, O(n^3); the right side reads every
entry. For alpha > 0 it is alpha ||W - c S||^2 and a constant, with c = (1 - alpha) / (2 alpha):
a weight with an opinion is pulled to +c or -c, every other one to 0. For alpha = 0 it has no
lower bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def dale_loss(weight: Tensor, signs: Tensor, alpha: float = 0.8) -> Tensor:
    """alpha <W, W> - (1 - alpha) <W, S> over the last two axes.

    Args:
        weight: (..., output_dim, input_dim), or a vector.
        signs: the shape of `weight`, or that without its leading axes; entries +1, -1, or 0 for
            no opinion.
        alpha: in [0, 1]; 0 is Dale's law alone, 1 the sum of squares alone.

    Returns:
        One loss per matrix: the leading axes of `weight`. It can be differentiated once.
    """
    if weight.shape[-2:] != signs.shape[-2:] or signs.dim() > weight.dim():
        shapes = f"{tuple(weight.shape)} and {tuple(signs.shape)}"
        raise ValueError(f"weight and signs must have the same last two axes, not {shapes}")
    pair = (weight, signs)
    result: Tensor = _DaleLoss.apply(alpha, weight.dim() > 1, *pair)  # type: ignore[no-untyped-call]
    return result


def dale_total(weights: Sequence[Tensor], signs: Sequence[Tensor], alpha: float = 0.8) -> Tensor:
    """The sum of the loss over pairs of weights and signs of equal, arbitrary shape; 0-d.

    One node of the graph for all of them (at least one pair): on small layers the node costs
    more than its arithmetic.
    """
    result: Tensor = _DaleLoss.apply(alpha, False, *weights, *signs)  # type: ignore[no-untyped-call]
    return result


class _DaleLoss(torch.autograd.Function):
    """(alpha, per_matrix, *weights, *signs) -> the loss, summed over the pairs."""

    @staticmethod
    def forward(ctx: Any, alpha: float, per_matrix: bool, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        ctx.alpha, ctx.per_matrix = alpha, per_matrix
        flat = [tensor.flatten(-2 if per_matrix else 0) for tensor in tensors]
        weights, signs = flat[: len(flat) // 2], flat[len(flat) // 2 :]
        square, overlap = _inner(weights[0], weights[0]), _inner(weights[0], signs[0])
        for w, s in zip(weights[1:], signs[1:], strict=True):
            square += _inner(w, w)
            overlap += _inner(w, s)
        return square.mul_(alpha).sub_(overlap, alpha=1 - alpha)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tensors, alpha = ctx.saved_tensors, ctx.alpha
        weights, signs = tensors[: len(tensors) // 2], tensors[len(tensors) // 2 :]
        if ctx.per_matrix:
            grad = grad[..., None, None]
        # grad (2 alpha W - (1 - alpha) S) in one pass over W and S, and one in place over the
        # result. The larger coefficient is taken out, so neither alpha = 0 nor 1 divides by zero.
        if 2 * alpha > 1 - alpha:
            scale, ratio = grad * (2 * alpha), (1 - alpha) / (2 * alpha)
            first, second = weights, signs
        else:
            scale, ratio = grad * (alpha - 1), 2 * alpha / (1 - alpha)
            first, second = signs, weights
        pairs = zip(first, second, strict=True)
        grads = [torch.sub(a, b, alpha=ratio).mul_(scale) for a, b in pairs]
        return None, None, *grads, *(None for _ in signs)


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """<a, b> over the last axis; BLAS accumulates without a product in memory."""
    return torch.dot(a, b) if a.dim() == b.dim() == 1 else torch.linalg.vecdot(a, b)
