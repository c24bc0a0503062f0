"""The terms of the loss as pure functions of tensors, with gradients written by hand for speed.

A weight may have any shape, unless a docstring asks for (output_dim, input_dim), where axis 1 is
presynaptic. Rates r are (batch, time, unit) or (batch, unit), with the axes B, T, N.

A mean of rates over batch and time is the mean over the trials of each trial's mean over its own
steps, so that what a trial costs does not depend on how long the others are. Where all trials have
the same length, it is the mean over all values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softsign

LARGE = 2**16  # entries: from here on reading memory takes longer than calling torch

# Norms


def lp(
    weight: Tensor, p: float = 1, squared: bool = False, mean: bool = False, entries: int = 0
) -> Tensor:
    """The entrywise norm (sum_ij |w_ij|^p)^(1/p) of one parameter; 0-d.

    `mean` takes the mean over the entries in place of the sum (p=1: the mean magnitude; p=2: the
    root mean square); `squared` squares the result (p=2: the sum, or mean, of squares). The
    gradient at w = 0 is 0, also for the root. An empty parameter has norm 0. `entries` is the
    number of entries where `weight` holds only some of them, the others being 0.
    """
    count = max(entries or weight.numel(), 1) if mean else 1
    if p == 2 and squared:
        return weight.square().sum() / count
    # On the CPU vector_norm takes longer over a small L1 than the two operations do.
    is_sum = p == 1 or not weight.numel()
    norm: Tensor = weight.abs().sum() if is_sum else torch.linalg.vector_norm(weight, p)
    if count > 1 and p != math.inf:
        norm = norm * count ** (-1 / p)
    return norm.square() if squared else norm


def matrix_norm(weight: Tensor, p: float = 1, squared: bool = False) -> Tensor:
    """The induced norm of a matrix, max |W x|_p / |x|_p, as `torch.linalg.norm` computes it; 0-d.

    p=1 is the largest column sum of magnitudes, p=2 the largest singular value, p=inf the largest
    row sum. A parameter with leading axes counts as that many matrices; one with fewer than two
    axes has its vector norm.
    """
    if weight.dim() < 2 or not weight.numel():
        return lp(weight, p, squared)
    norm: Tensor = torch.linalg.matrix_norm(weight, p)
    return (norm.square() if squared else norm).sum()


# Signs


def dale_hinge(weight: Tensor, signs: Tensor, p: float = 1) -> Tensor:
    """sum_ij relu(-s_ij w_ij)^p: the magnitudes of weights of the wrong sign; 0-d."""
    violation = torch.relu(weight * -signs)
    return (violation if p == 1 else violation**p).sum()


def exc_ratio(weight: Tensor, target: float) -> Tensor:
    """|m(W) + 1 - 2 target|, in [0, 2], with m = `mean_softsign`; 0-d."""
    return (mean_softsign(weight) + (1 - 2 * target)).abs()


def mean_softsign(weight: Tensor) -> Tensor:
    """The mean of w / (1 + |w|) over the entries of `weight` that are not 0; 0-d, in (-1, 1)."""
    return softsign(weight).sum() / weight.count_nonzero().clamp(min=1)


def positive_share(weight: Tensor) -> float:
    """The share of the nonzero entries that are above 0; NaN where all are 0."""
    nonzero = int(weight.count_nonzero())
    return int((weight > 0).sum()) / nonzero if nonzero else math.nan


def dale_l2(weight: Tensor, signs: Tensor, alpha: float = 0.8) -> Tensor:
    """Tr(W^T (alpha W - (1 - alpha) S)) = alpha <W, W> - (1 - alpha) <W, S>.

    The left side (NeuroTorch's DaleLawL2) multiplies matrices, O(n^3); the right side reads every
    entry once. For alpha > 0 it is alpha ||W - c S||^2 and a constant, with
    c = (1 - alpha) / (2 alpha): a weight with a reference sign is pulled to +c or -c, every other
    weight to 0. For alpha = 0 it has no lower bound.

    Args:
        weight: (..., output_dim, input_dim), or a vector.
        signs: the shape of `weight`, or that without its leading axes; entries +1, -1, or 0 for
            no reference sign.
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
        return dale_l2_sum([weight], [signs], alpha)
    w, s = weight.flatten(-2), signs.flatten(-2)
    loss: Tensor = alpha * torch.linalg.vecdot(w, w) - (1 - alpha) * torch.linalg.vecdot(w, s)
    return loss


def dale_l2_sum(weights: Sequence[Tensor], signs: Sequence[Tensor], alpha: float = 0.8) -> Tensor:
    """The sum of `dale_l2` over weights of any shape, at least one; 0-d.

    All weights share one node of the graph: on small layers a node costs more than its arithmetic.

    Args:
        weights: (..., input_dim) each.
        signs: for each weight a tensor of its shape, or (input_dim,) where all rows are alike: one
            sign per presynaptic unit. Such a row stays in the cache, which saves 2 of the 7 passes
            over memory that take up the time.
        alpha: as in `dale_l2`.
    """
    total: Tensor = _DaleL2Sum.apply(alpha, *weights, *signs)  # type: ignore[no-untyped-call]
    return total


def rows_are_alike(signs: Tensor) -> bool:
    """Whether every row is the first one, as with one sign per presynaptic unit."""
    if signs.dim() < 2 or not signs.numel():
        return False
    rows = signs.reshape(-1, signs.shape[-1])
    return bool((rows == rows[0]).all())


class _DaleL2Sum(torch.autograd.Function):
    """(alpha, *weights, *signs) -> the loss of all pairs, its gradient written by hand."""

    @staticmethod
    def forward(ctx: Any, alpha: float, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        ctx.alpha = alpha
        pairs = _pairs(tensors)
        squares = [torch.dot(flat, flat) for flat in (w.flatten() for w, _ in pairs)]
        overlaps = [_inner_product(w, s) for w, s in pairs]
        square, overlap = sum(squares[1:], squares[0]), sum(overlaps[1:], overlaps[0])
        return square.mul_(alpha).sub_(overlap, alpha=1 - alpha)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """grad (of_w W + of_s S) for each pair."""
        pairs = _pairs(ctx.saved_tensors)
        of_w, of_s = 2 * ctx.alpha, ctx.alpha - 1
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


def _inner_product(w: Tensor, s: Tensor) -> Tensor:
    """<W, S>; BLAS needs no memory for the products."""
    if s.shape == w.shape:
        return torch.dot(w.flatten(), s.flatten())
    return torch.mv(w.reshape(-1, len(s)), s).sum()


def _weighted_sum(w: Tensor, s: Tensor, of_w: float, of_s: float) -> Tensor:
    """of_w W + of_s S in one pass over memory, where `add` and `mul_` take two.

    `addr`, beta A + alpha u v^T, is the only operation of torch that scales both its summands. Its
    factors are Python numbers, for which a GPU would have to be waited for.
    """
    if s.shape == w.shape:
        result = torch.addr(s.reshape(1, -1), w.new_ones(1), w.flatten(), beta=of_s, alpha=of_w)
    else:
        rows = w.reshape(-1, len(s))
        result = torch.addr(rows, w.new_ones(len(rows)), s, beta=of_w, alpha=of_s)
    return result.view(w.shape)


# Firing rates. Each takes rates (..., N), and the weight of each step in the mean, (B, T), or None.


def rate_l1(rates: Tensor, step_weights: Tensor | None = None) -> Tensor:
    """mean |r|; 0-d."""
    return _mean(rates.abs(), step_weights)


def rate_l2(rates: Tensor, step_weights: Tensor | None = None) -> Tensor:
    """mean r^2; 0-d."""
    if step_weights is None:
        mean: Tensor = _MeanSquare.apply(rates)  # type: ignore[no-untyped-call]
        return mean
    return _mean(rates.square(), step_weights)


def rate_variance(rates: Tensor, step_weights: Tensor | None = None) -> Tensor:
    """The mean over batch and time of the variance over units, divided by N; 0-d."""
    return _mean(rates.var(-1, correction=0, keepdim=True), step_weights)


def weights_of_steps(steps: Tensor, rates: Tensor) -> Tensor:
    """The weight of each step in the mean over batch and time, (B, T); the sum is 1.

    Every trial that has steps counts alike, and in it every step; padding counts 0.

    Args:
        steps: (batch,) integers: the steps of each trial, none above T.
        rates: (batch, time, unit), whose dtype and device the weights have.

    Raises:
        ValueError: shapes that do not fit each other.
    """
    if rates.ndim != 3 or steps.shape != rates.shape[:1]:
        raise ValueError(
            "steps and rates must be (batch,) and (batch, time, unit); "
            f"got shapes {tuple(steps.shape)} and {tuple(rates.shape)}"
        )
    steps = steps.to(rates.device)
    present = torch.arange(rates.shape[1], device=rates.device) < steps.unsqueeze(1)
    trials = (steps > 0).sum().clamp(min=1)
    return present.to(rates.dtype) / (steps.clamp(min=1) * trials).unsqueeze(1)


def mean_rates(rates: Tensor, step_weights: Tensor | None = None) -> Tensor:
    """The mean of each unit over batch and time, (1, N)."""
    if step_weights is None:
        return rates.flatten(0, -2).mean(0, keepdim=True)
    return (rates * step_weights.unsqueeze(-1)).sum((0, 1)).unsqueeze(0)


class _MeanSquare(torch.autograd.Function):
    """values -> the mean of their squares; one pass over memory each way."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        if values.dim() == 3 and values.stride(0) < values.stride(1):  # of a recurrent layer
            values = values.transpose(0, 1)
        flat = values.flatten()
        return torch.dot(flat, flat) / flat.numel()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        return torch.mul(values, grad * (2 / values.numel()))


def _mean(values: Tensor, step_weights: Tensor | None) -> Tensor:
    """The mean of values (..., N) over all axes; 0-d."""
    return values.mean() if step_weights is None else (values.mean(-1) * step_weights).sum()
