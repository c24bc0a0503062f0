"""The input map in front of a recurrence, W u + b, and its gradients as plain products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

FEW = 128  # inputs, up to which the bias counts as the weight of one more input, which is 1


class InputMap(NamedTuple):
    """What W u + b is computed from."""

    input: Tensor  # u (time, batch, input)
    weight: Tensor  # W (unit, input)
    bias: Tensor  # b (unit,)


def check(x: InputMap, like: Tensor) -> None:
    """Raise ValueError where shapes do not fit, or dtypes or devices are not those of `like`."""
    shapes = [tuple(each.shape) for each in x]
    units = len(x.bias) if x.bias.dim() else 0
    if x.input.dim() != 3 or shapes[1:] != [(units, x.input.shape[-1]), (units,)]:
        what = "input, weight and bias must be (time, batch, input), (unit, input) and (unit,)"
        raise ValueError(f"{what}; got shapes {', '.join(map(str, shapes))}")
    for name, each in x._asdict().items():
        if each.dtype != like.dtype or each.device != like.device:
            raise ValueError(
                f"{name} must be {like.dtype} on {like.device}, as the recurrent weight; "
                f"got {each.dtype} on {each.device}"
            )


def drive(x: InputMap, more: Tensor | None) -> Tensor:
    """W u + b + more, (time, batch, unit), contiguous; `more` has this shape."""
    product = torch.addmm(x.bias, x.input.flatten(0, 1), x.weight.mT)
    product = product.view(*x.input.shape[:2], len(x.bias))
    return product if more is None else product.add_(more)


def gradients(
    x: InputMap, grad: Tensor, wanted: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The wanted gradients of input, weight and bias; `grad` (time, batch, unit) is the drive's.

    The large side, `grad`, is read by one product, in which it is the right factor: torch takes
    several times as long where it is the left one, transposed, and the other factor is narrow.
    """
    of_input = grad @ x.weight if wanted[0] else None
    if not any(wanted[1:]):
        return of_input, None, None
    rows, grads = x.input.flatten(0, 1), grad.flatten(0, 1)
    if x.input.shape[-1] > FEW:
        return of_input, (rows.mT @ grads).mT, grads.sum(0)
    rows = torch.cat((rows, rows.new_ones(len(rows), 1)), 1)
    sums = rows.mT @ grads  # (input + 1, unit)
    return of_input, sums[:-1].mT, sums[-1]
