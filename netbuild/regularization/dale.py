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

LARGE = 2**16  # entries: from here on memory takes longer than the calls


def dale_loss(weight: Tensor, signs: Tensor, alpha: float = 0.8) -> Tensor:
    """alpha <W, W> - (1 - alpha) <W, S> over the last two axes.

    Args:
        weight: (..., output_dim, input_dim), or a vector.
        signs: the shape of `weight`, or that without its leading axes; entries +1, -1, or 0 for
            no opinion.
        alpha: in [0, 1]; 0 is Dale's law alone, 1 the sum of squares alone.

    Returns:
        One loss per matrix, in the shape of the leading axes of `weight`.

    Raises:
        ValueError: the last two axes differ, or signs has more axes.
    """
    if weight.shape[-2:] != signs.shape[-2:] or signs.dim() > weight.dim():
        shapes = f"{tuple(weight.shape)} and {tuple(signs.shape)}"
        raise ValueError(f"weight and signs must have the same last two axes, not {shapes}")
    if weight.dim() <= 2:
        return dale_total([weight], [signs], alpha)
    w, s = weight.flatten(-2), signs.flatten(-2)
    loss: Tensor = alpha * torch.linalg.vecdot(w, w) - (1 - alpha) * torch.linalg.vecdot(w, s)
    return loss


def dale_total(weights: Sequence[Tensor], signs: Sequence[Tensor], alpha: float = 0.8) -> Tensor:
    """The sum of the loss over weights of any shape, at least one; 0-d.

    All of them are one node of the graph: on small layers a node costs more than its arithmetic.

    Args:
        weights: (..., input_dim) each.
        signs: one for each weight, of its shape, or (input_dim,) where all rows are alike: one
            sign per presynaptic unit. That is read from the cache, and saves 2 of 7 passes over
            memory, which is what takes the time.
        alpha: as in `dale_loss`.
    """
    total: Tensor = _DaleTotal.apply(alpha, *weights, *signs)  # type: ignore[no-untyped-call]
    return total


def common_row(signs: Tensor) -> Tensor:
    """A copy of the first row where all rows are alike, as one sign per unit makes them.

    `signs` itself where they are not, or where there are no rows.
    """
    if signs.dim() < 2 or not signs.numel():
        return signs
    rows = signs.reshape(-1, signs.shape[-1])
    return rows[0].clone() if bool((rows == rows[0]).all()) else signs


class _DaleTotal(torch.autograd.Function):
    """(alpha, *weights, *signs) -> the loss of all pairs, its gradient written by hand."""

    @staticmethod
    def forward(ctx: Any, alpha: float, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        ctx.alpha = alpha
        pairs = _pairs(tensors)
        squares = [torch.dot(flat, flat) for flat in (w.flatten() for w, _ in pairs)]
        overlaps = [_overlap(w, s) for w, s in pairs]
        square, overlap = sum(squares[1:], squares[0]), sum(overlaps[1:], overlaps[0])
        return square.mul_(alpha).sub_(overlap, alpha=1 - alpha)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        pairs = _pairs(ctx.saved_tensors)
        of_w, of_s = 2 * ctx.alpha, ctx.alpha - 1  # grad (of_w W + of_s S)
        if torch.is_grad_enabled():  # create_graph=True: the gradient is itself differentiated
            grads = [grad * (of_w * w + of_s * s) for w, s in pairs]
            return None, *grads, *(None for _ in pairs)
        # The larger coefficient is taken out, so that neither alpha = 0 nor 1 divides by zero.
        lead = max(of_w, of_s, key=abs)
        scale = grad * lead
        grads = []
        for w, s in pairs:
            if w.numel() >= LARGE and grad.is_cpu:
                grads.append(_weighted_sum(w, s, of_w * grad.item(), of_s * grad.item()))
            elif lead == of_w:
                grads.append(torch.add(w, s, alpha=of_s / lead).mul_(scale))
            else:
                grads.append(torch.add(s, w, alpha=of_w / lead).mul_(scale))
        return None, *grads, *(None for _ in pairs)


def _pairs(tensors: tuple[Tensor, ...]) -> list[tuple[Tensor, Tensor]]:
    half = len(tensors) // 2
    return list(zip(tensors[:half], tensors[half:], strict=True))


def _overlap(w: Tensor, s: Tensor) -> Tensor:
    """<W, S>; BLAS needs no memory for the products."""
    if s.shape == w.shape:
        return torch.dot(w.flatten(), s.flatten())
    return torch.mv(w.reshape(-1, len(s)), s).sum()


def _weighted_sum(w: Tensor, s: Tensor, of_w: float, of_s: float) -> Tensor:
    """of_w W + of_s S in one pass over memory, where `add` and `mul_` take two.

    `addr`, beta A + alpha u v^T, is the one operation of torch that scales both its summands. It
    takes a microsecond more to call, and numbers, which only the CPU need not wait for.
    """
    if s.shape == w.shape:
        one_row = s.reshape(1, -1)
        result = torch.addr(one_row, w.new_ones(1), w.flatten(), beta=of_s, alpha=of_w)
    else:
        rows = w.reshape(-1, len(s))
        result = torch.addr(rows, w.new_ones(len(rows)), s, beta=of_w, alpha=of_s)
    return result.view(w.shape)
