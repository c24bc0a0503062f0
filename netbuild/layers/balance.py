"""The balance of excitation and inhibition at the start, as factors on the weights.

I is `input_dim` (presynaptic), O is `output_dim` (postsynaptic).
"""

from __future__ import annotations

import torch
from torch import Tensor

from netbuild.layers.wiring import targets_of

EI_BALANCES = ("none", "row", "global", "nn4n")


def balance_factors(
    weight_OI: Tensor, sign_OI: Tensor, kind: str, starts: Tensor | None = None
) -> Tensor:
    """What to multiply a weight matrix with, so that its E and I sums cancel.

    The side with the larger sum is scaled down to the other: for each postsynaptic unit alone
    (`row`) or over the whole matrix (`global`). Where one of the two sums is zero there is
    nothing to balance, and the factor is 1; but `nn4n` divides the whole matrix by ten, free
    weights with it, as nn4n's LinearLayer does. Free weights (sign 0) are otherwise left alone.

    Args:
        weight_OI: (output_dim, input_dim) effective weights that obey their signs.
        sign_OI: (output_dim, input_dim), 1 excitatory, -1 inhibitory, 0 free.
        kind: `none`, `row`, `global` or `nn4n`.
        starts: given for connections alone, whose weights and signs are then (connection,):
            those onto unit j are [starts[j], starts[j + 1]).

    Returns:
        Factors in (0, 1], of the weight's shape and dtype.
    """
    ones = torch.ones_like(weight_OI)
    if kind == "none":
        return ones
    weight = weight_OI.double()
    excitation = _sums(weight.where(sign_OI > 0, 0.0), kind, starts)
    inhibition = -_sums(weight.where(sign_OI < 0, 0.0), kind, starts)
    smaller = torch.minimum(excitation, inhibition)
    if kind == "nn4n" and not bool(smaller > 0):
        return ones / 10
    factors = torch.where(sign_OI > 0, smaller / excitation, smaller / inhibition)
    return torch.where((sign_OI != 0) & (smaller > 0), factors, 1.0).to(weight_OI.dtype)


def _sums(weight: Tensor, kind: str, starts: Tensor | None) -> Tensor:
    """The sum onto each postsynaptic unit, or over all, where it meets the weights it is of."""
    if starts is None:
        return weight.sum((-1,) if kind == "row" else (-2, -1), keepdim=True)
    if kind != "row":
        return weight.sum()
    rows = targets_of(starts)
    return weight.new_zeros(len(starts) - 1).index_add_(0, rows, weight).index_select(0, rows)
