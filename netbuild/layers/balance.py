"""The balance of excitation and inhibition at the start, as factors on the weights.

I is `input_dim` (presynaptic), O is `output_dim` (postsynaptic).
"""

from __future__ import annotations

import torch
from torch import Tensor

EI_BALANCES = ("none", "row", "global", "nn4n")


def balance_factors(weight_OI: Tensor, sign_OI: Tensor, kind: str) -> Tensor:
    """What to multiply a weight matrix with, so that its E and I sums cancel.

    The side with the larger sum is scaled down to the other: for each postsynaptic unit alone
    (`row`) or over the whole matrix (`global`). Where one of the two sums is zero there is
    nothing to balance, and the factor is 1; but `nn4n` divides the whole matrix by ten, free
    weights with it, as nn4n's LinearLayer does. Free weights (sign 0) are otherwise left alone.

    Args:
        weight_OI: (output_dim, input_dim) effective weights that obey their signs.
        sign_OI: (output_dim, input_dim), 1 excitatory, -1 inhibitory, 0 free.
        kind: `none`, `row`, `global` or `nn4n`.

    Returns:
        (output_dim, input_dim) factors in (0, 1], in the weight's dtype.
    """
    ones = torch.ones_like(weight_OI)
    if kind == "none":
        return ones
    axes = (-1,) if kind == "row" else (-2, -1)
    weight = weight_OI.double()
    excitation = weight.where(sign_OI > 0, 0.0).sum(axes, keepdim=True)
    inhibition = -weight.where(sign_OI < 0, 0.0).sum(axes, keepdim=True)
    smaller = torch.minimum(excitation, inhibition)
    if kind == "nn4n" and not bool(smaller > 0):
        return ones / 10
    factors = torch.where(sign_OI > 0, smaller / excitation, smaller / inhibition)
    return torch.where((sign_OI != 0) & (smaller > 0), factors, 1.0).to(weight_OI.dtype)
