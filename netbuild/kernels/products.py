"""Products of states with a weight, dense or sparse, and sums of such products over time.

The products of a loop over time are M source and M^T source, with M = a W b + (1-a) I of a weight
W (post, pre), a factor a of the postsynaptic and a factor b of the presynaptic units. The last
term is the leak as a connection of each unit to itself, and is added on request. States are
(batch, unit), or (ensemble, batch, unit) with a dense weight (ensemble, post, pre).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from netbuild.kernels import sparse
from netbuild.kernels.sparse import SparseWeight

Weight = Tensor | SparseWeight
Factor = float | Tensor | None  # a tensor is (unit,), or (ensemble, unit)
Adder = Callable[[Tensor, Tensor], object]
"""(state, source): adds the product with the source to the state, in place."""


def adder(weight: Weight, a: Factor = None, leak: bool = False) -> Adder:
    """Adds M source, what the postsynaptic units receive."""
    if isinstance(weight, SparseWeight):
        return _sparse_adder(sparse.matrix(weight), None, a, a if leak else None)
    # A transposed copy: a product reads rows in up to 40 % less time than columns.
    matrix = weight.mT.clone(memory_format=torch.contiguous_format)
    return _dense_adder(matrix if a is None else matrix.mul_(along_units(a)), a if leak else None)


def back_adder(weight: Weight, a: Factor = None, b: Factor = None, leak: bool = False) -> Adder:
    """Adds M^T source: from gradients of what units received, those of what units sent."""
    if isinstance(weight, SparseWeight):
        return _sparse_adder(sparse.back_matrix(weight), a, b, a if leak else None)
    matrix = weight
    if a is not None:
        matrix = matrix * (a.unsqueeze(-1) if isinstance(a, Tensor) else a)
    if b is not None:
        matrix = matrix * along_units(b)
    return _dense_adder(matrix.contiguous(), a if leak else None)


def along_units(factor: float | Tensor) -> Any:
    """A factor of units as a factor of states, or of a matrix's last axis."""
    return factor.unsqueeze(-2) if isinstance(factor, Tensor) else factor


def _dense_adder(matrix: Tensor, leak: Factor) -> Adder:
    if leak is not None:
        matrix.diagonal(dim1=-2, dim2=-1).add_(1 - leak)
    if matrix.dim() == 2:
        return lambda state, source: state.addmm_(source, matrix)
    return lambda state, source: state.baddbmm_(source, matrix)


def _sparse_adder(matrix: Tensor, before: Factor, after: Factor, leak: Factor) -> Adder:
    """after (A (before source)) + (1 - leak) source; numbers go into the product itself."""
    number = 1.0
    for factor in (before, after):
        if factor is not None and not isinstance(factor, Tensor):
            number *= factor
    scale = before if isinstance(before, Tensor) else None
    rescale = after if isinstance(after, Tensor) else None

    def add(state: Tensor, source: Tensor) -> None:
        if leak is not None:
            kept = 1 - leak
            if isinstance(kept, Tensor):
                state.addcmul_(source, kept)
            else:
                state.add_(source, alpha=kept)
        if scale is not None:
            source = source * scale
        if rescale is None:
            sparse.add_product(state.mT, matrix, source.mT, number)
            return
        product = torch.zeros_like(state)
        sparse.add_product(product.mT, matrix, source.mT, number)
        state.addcmul_(product, rescale)

    return add


def empty_states(weight: Weight, like: Tensor) -> Tensor:
    """Uninitialized states shaped `like`, in the memory layout that the weight's products need."""
    if isinstance(weight, SparseWeight):
        return torch.empty_like(like.mT, memory_format=torch.contiguous_format).mT
    return torch.empty_like(like, memory_format=torch.contiguous_format)


def rates_to_send(weight: Weight, rates: Tensor) -> Tensor | None:
    """The rates before the first step; None where they are 0, the weight is sparse, on the CPU.

    A sparse product is the costly part of a step, and is worth the check. A GPU would have to be
    waited for.
    """
    at_rest = isinstance(weight, SparseWeight) and rates.is_cpu and not rates.any()
    return None if at_rest else rates


def weight_gradient(weight: Weight, posts: Tensor, pres: Tensor, first: Tensor) -> Tensor:
    """The sum over t of posts[t]^T pres[t-1], where pres[-1] is `first`, as the weight is stored.

    Args:
        weight: the weight that the gradient is for.
        posts, pres: (time, ..., batch, unit).
        first: (..., batch, unit).
    """
    if isinstance(weight, SparseWeight):
        pairs = [(post.mT, pre.mT) for post, pre in zip(posts[1:], pres[:-1], strict=True)]
        if (rates := rates_to_send(weight, first)) is not None:
            pairs.append((posts[0].mT, rates.mT))
        return sparse.sampled_product(weight, pairs)
    total = _flat(posts[1:]).mT @ _flat(pres[:-1])
    add = torch.addmm if total.dim() == 2 else torch.baddbmm
    return add(total, posts[0].mT, first, out=total)


def _flat(steps: Tensor) -> Tensor:
    """(time, ..., batch, unit) to (..., time * batch, unit); a view where there is no ensemble."""
    return steps.flatten(0, 1) if steps.dim() == 3 else steps.movedim(0, -3).flatten(-3, -2)


def sum_over_pre(weight: Weight, gradient: Tensor) -> Tensor:
    """The sum of weight * gradient over the presynaptic units (..., post)."""
    if isinstance(weight, SparseWeight):
        return sparse.sum_onto(weight.pattern, weight.values * gradient)
    return (weight * gradient).sum(-1)
