"""The meaning of masks for a weight matrix, as tensors that one optimizer step can afford.

I is `input_dim` (presynaptic), O is `output_dim` (postsynaptic). Tensors are (O, I), as a weight
is, or (connection,) in sparse storage. Leading axes are separate networks.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Bounds(NamedTuple):
    """The masks as numbers for arithmetic; each is None where the layer lacks the mask."""

    present: Tensor | None  # 1 where there is a connection, 0 where there is none
    plastic: Tensor | None  # the plasticity of a connection, 0 where there is none
    lower: Tensor | None  # 0 or -inf; (1, I) where all rows agree
    upper: Tensor | None  # 0 or inf; as `lower`


def bounds_of(
    sign: Tensor | None, connected: Tensor | None, plasticity: Tensor | None, dtype: torch.dtype
) -> Bounds:
    """The bounds of masks, in the weight's dtype; with `sign` None, signs do not bind.

    Masks (connection,) have bounds of that shape, or (1,) where all signs are alike.
    """
    present = None if connected is None else connected.to(dtype)
    plastic = plasticity if present is None or plasticity is None else plasticity * present
    lower = upper = None
    if sign is not None:
        # Signs are the presynaptic units': with one row of bounds, a clamp reads the weight alone.
        row = sign[..., :1, :] if sign.ndim > 1 else sign[:1]
        one_row = not sign.is_meta and bool((sign == row).all())
        signs = row if one_row else sign
        infinity = torch.full((), torch.inf, dtype=dtype, device=sign.device)
        lower = torch.where(signs > 0, 0.0, -infinity)
        upper = torch.where(signs < 0, 0.0, infinity)
    return Bounds(present, plastic if plastic is None else plastic.clone(), lower, upper)


def keep_where(values: Tensor, mask: Tensor, out: Tensor) -> Tensor:
    """Write `values` where `mask` > 0 and exactly 0.0 elsewhere (also for NaN) into `out`.

    This is the backward pass of a ReLU. On CPUs it runs ten times as fast as `masked_fill_` or
    `torch.where` with a mask of bools, and unlike a product with the mask it stops NaN and Inf.
    """
    torch.ops.aten.threshold_backward.grad_input(values, mask, 0.0, grad_input=out)
    return out


def clamp_(
    weight: Tensor, present: Tensor | None, lower: Tensor | None, upper: Tensor | None
) -> None:
    """Set absent connections and wrong signs of a weight to 0, in place."""
    if present is not None:
        keep_where(weight, present, out=weight)
    if lower is not None:
        torch.clamp(weight, lower, upper, out=weight)


def gain_of(sign: Tensor | None, connected: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """The factor of |w| that makes the effective weight; None where some weight has no sign."""
    if sign is None or sign.is_meta or bool((sign == 0).any()):
        return None
    return sign.to(dtype) if connected is None else sign.to(dtype) * connected


def effective(weight: Tensor, sign: Tensor | None, connected: Tensor | None) -> Tensor:
    """|w| times the sign where there is one, w where there is none, 0 where no connection is."""
    if sign is not None:
        weight = torch.where(sign != 0, weight.abs() * sign, weight)
    return weight if connected is None else weight.where(connected, 0.0)


def scaled(weight: Tensor, scale: Tensor | None, groups: Tensor | None) -> Tensor:
    """The weight times the scale of each connection's group; as it is without groups."""
    if scale is None or groups is None:
        return weight
    return weight * scale.index_select(0, groups.flatten()).view_as(weight)
