"""Weights that are stored for their connections alone: the pattern, and the products with them.

A weight (post, pre) is its values (connection,), ordered by post and then by pre, and a pattern
that says where they stand (CSR, 32-bit). The transposed pattern is kept beside it, so that the
gradient of what a product reads is a product of the same kind. Matrices are (unit, column) and
contiguous here, so that each connection reads one row of a few adjacent numbers.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from netbuild.kernels.plain import autocast

MOST = 2**31 - 1  # units, and connections: positions are 32-bit
# Columns of one sampled product: the fastest by measurement (16 take 1.6 times as long a column,
# 320 about 1.4 times), and its two factors need no more memory than this many states.
WIDTH = 96
PIECE = 1 << 19  # values from which a further thread is worth the 0.1 ms to start it
ALONE = 32  # with this many columns or more, contiguous factors are not copied beside others


@dataclass(frozen=True, eq=False)
class Pattern:
    """Where the connections of a weight (post, pre) stand, and of its transpose; all int32.

    Made by `pattern`; or, from its five tensors moved to another device, by hand.
    """

    rows: Tensor  # (post + 1,): the connections onto unit j are [rows[j], rows[j + 1])
    columns: Tensor  # (connection,): the presynaptic unit of each
    back_rows: Tensor  # (pre + 1,): `rows` of the transpose
    back_columns: Tensor  # (connection,): `columns` of the transpose, the postsynaptic units
    order: Tensor  # (connection,): the values of the transpose are `values[order]`

    @property
    def shape(self) -> tuple[int, int]:
        """(output_dim, input_dim)."""
        return len(self.rows) - 1, len(self.back_rows) - 1

    def __len__(self) -> int:
        return len(self.columns)

    def to(self, device: torch.device | str) -> Pattern:
        """The same pattern on another device."""
        return Pattern(*(tensor.to(device) for tensor in vars(self).values()))


class SparseWeight(NamedTuple):
    """A weight (output_dim, input_dim) as its values (connection,) and where they stand."""

    values: Tensor
    pattern: Pattern


def pattern(rows: Tensor, columns: Tensor, input_dim: int) -> Pattern:
    """The pattern with these rows (output_dim + 1,) and columns (connection,), in CSR's order.

    Takes a second for 15 million connections, and about 30 bytes for each of them.

    Raises:
        ValueError: rows that do not start at 0, decrease, or do not end at the number of columns;
            a column outside [0, input_dim); more than 2^31 - 1 units or connections.
    """
    if rows.dim() != 1 or columns.dim() != 1 or len(rows) == 0:
        raise ValueError(
            "rows and columns must be (output_dim + 1,) and (connection,); "
            f"got shapes {tuple(rows.shape)} and {tuple(columns.shape)}"
        )
    if max(len(rows) - 1, len(columns), input_dim) > MOST:
        raise ValueError(f"at most {MOST:,} units and connections")
    counts = rows.diff()
    if rows[0] != 0 or rows[-1] != len(columns) or bool((counts < 0).any()):
        raise ValueError(f"rows must rise from 0 to the number of columns, {len(columns)}")
    if len(columns) and not 0 <= int(columns.min()) <= int(columns.max()) < input_dim:
        raise ValueError(f"columns must be in 0 to {input_dim - 1}")
    rows, columns = rows.int().contiguous(), columns.int().contiguous()
    order = torch.argsort(columns, stable=True).int()
    posts = torch.arange(len(rows) - 1, dtype=torch.int32, device=rows.device)
    back_columns = posts.repeat_interleave(counts).index_select(0, order)
    back_rows = rows.new_zeros(input_dim + 1)
    back_rows[1:] = torch.bincount(columns, minlength=input_dim).cumsum(0)
    return Pattern(rows, columns, back_rows, back_columns, order)


def matrix(weight: SparseWeight) -> Tensor:
    """W (output_dim, input_dim) as torch's sparse tensor, on the memory of the values."""
    where = weight.pattern
    return _csr(where.rows, where.columns, weight.values, where.shape)


def back_matrix(weight: SparseWeight) -> Tensor:
    """W^T (input_dim, output_dim), with a copy of the values."""
    where = weight.pattern
    values = arranged(weight.values.detach(), where.order)
    return _csr(where.back_rows, where.back_columns, values, where.shape[::-1])


def arranged(values: Tensor, order: Tensor) -> Tensor:
    """values[order] (connection,), on all threads, where torch's own selection uses one."""
    threads = min(torch.get_num_threads(), len(order) // PIECE)
    if not values.is_cpu or threads < 2:
        return values.index_select(0, order)
    result = values.new_empty(len(order))
    inference = torch.is_inference_mode_enabled()  # each thread has its own mode

    def select(part: Tensor, out: Tensor) -> None:
        with torch.inference_mode(inference):
            torch.index_select(values, 0, part, out=out)

    with ThreadPoolExecutor(threads) as pool:  # torch releases the interpreter lock meanwhile
        list(pool.map(select, order.chunk(threads), result.chunk(threads)))
    return result


def _csr(rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    return torch.sparse_csr_tensor(rows, columns, values.detach(), shape, check_invariants=False)


def _silence_the_beta_warning() -> None:
    """Make the process's first CSR tensor, which is the only one that torch warns about.

    This is done once, at import, and not around each product: `catch_warnings` is not
    thread-safe, and makes Python forget which warnings it has shown already.
    """
    index = torch.zeros(1, dtype=torch.int32, device="cpu")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        _csr(index, index[:0], torch.zeros(0, device="cpu"), (0, 0))


_silence_the_beta_warning()


def add_product(out: Tensor, left: Tensor, right: Tensor, factor: float = 1.0) -> None:
    """Add factor * left @ right to `out` (row, column), in place; left is sparse.

    Fast where `out` and `right` are contiguous.
    """
    if not out.is_meta:
        out.addmm_(left, right, alpha=factor)


def sampled_product(weight: SparseWeight, pairs: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """The sum over pairs of post @ pre^T, computed at the connections only (connection,).

    Args:
        weight: the one with these connections; its values are not read.
        pairs: post (output_dim, column) and pre (input_dim, column), in any layout.
    """
    where, values = weight.pattern, torch.zeros_like(weight.values)
    (posts, pres), groups = where.shape, list(_groups(pairs))
    if values.is_meta or not groups or len(where) == 0:
        return values
    total = matrix(SparseWeight(values, where))
    widest = max(_width(group) for group in groups)
    left, right = values.new_empty(posts * widest), values.new_empty(pres * widest)
    for group in groups:
        factors = (
            _side_by_side([post for post, _ in group], left),
            _side_by_side([pre for _, pre in group], right).mT,
        )
        torch.sparse.sampled_addmm(total, *factors, out=total)
    return values


def _groups(pairs: Iterable[tuple[Tensor, Tensor]]) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """The pairs, cut to at most WIDTH columns, in groups of at most WIDTH columns together.

    A pair that needs no copy is a group by itself.
    """
    group: list[tuple[Tensor, Tensor]] = []
    for post, pre in pairs:
        for piece in zip(torch.split(post, WIDTH, 1), torch.split(pre, WIDTH, 1), strict=True):
            if piece[0].shape[1] >= ALONE and all(side.is_contiguous() for side in piece):
                yield [piece]
                continue
            if group and _width([*group, piece]) > WIDTH:
                yield group
                group = []
            group.append(piece)
    if group:
        yield group


def _width(group: list[tuple[Tensor, Tensor]]) -> int:
    return sum(post.shape[1] for post, _ in group)


def _side_by_side(pieces: list[Tensor], memory: Tensor) -> Tensor:
    """All pieces as one contiguous (unit, column); a single piece that is one already stays."""
    if len(pieces) == 1 and pieces[0].is_contiguous():
        return pieces[0]
    units, widths = len(pieces[0]), [piece.shape[1] for piece in pieces]
    whole = memory[: units * sum(widths)].view(units, sum(widths))
    for target, piece in zip(torch.split(whole, widths, 1), pieces, strict=True):
        target.copy_(piece)
    return whole


def sum_onto(where: Pattern, values: Tensor) -> Tensor:
    """The sum of values (connection,) over the connections onto each unit (output_dim,)."""
    sums = values.new_zeros(where.shape[0], 1)
    ones = values.new_ones(where.shape[1], 1)
    add_product(sums, matrix(SparseWeight(values, where)), ones)
    return sums.squeeze(1)


def sparse_linear(x: Tensor, values: Tensor, where: Pattern, bias: Tensor | None = None) -> Tensor:
    """x W^T + bias, where W is `values` on the pattern; differentiable once.

    Under autocast the product is made in the precision of the values.

    Args:
        x: (..., input_dim); fastest where its memory is (input_dim, ...).
        values: (connection,), float32 or float64.
        where: the pattern, on the same device.
        bias: (output_dim,), or None for none.

    Returns:
        (..., output_dim); its memory is (output_dim, ...).

    Raises:
        ValueError: shapes, dtypes or devices that do not fit.
    """
    check_weight(SparseWeight(values, where))
    if autocast(values.device):
        with torch.autocast(values.device.type, enabled=False):
            bias = None if bias is None else bias.to(values.dtype)
            return sparse_linear(x.to(values.dtype), values, where, bias)
    outputs, inputs = where.shape
    if x.shape[-1:] != (inputs,):
        raise ValueError(f"x must be (..., {inputs}); got shape {tuple(x.shape)}")
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"bias must be ({outputs},); got shape {tuple(bias.shape)}")
    for name, given in (("x", x), ("bias", bias)):
        if given is not None and (given.dtype, given.device) != (values.dtype, values.device):
            raise ValueError(
                f"{name} must be {values.dtype} on {values.device}, as the values; "
                f"got {given.dtype} on {given.device}"
            )
    output: Tensor = _SparseLinear.apply(x, values, where, bias)  # type: ignore[no-untyped-call]
    return output


def check_weight(weight: SparseWeight) -> None:
    """Raise a ValueError where values and pattern do not fit, or torch has no such products."""
    values, where = weight
    if values.shape != (len(where),):
        raise ValueError(
            f"values must be ({len(where)},), one for each connection; "
            f"got shape {tuple(values.shape)}"
        )
    if values.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"values must be float32 or float64; got {values.dtype}")
    if values.device != where.columns.device:
        raise ValueError(
            f"values and pattern must be on one device; "
            f"got {values.device} and {where.columns.device}"
        )


class _SparseLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, where: Pattern, bias: Tensor | None) -> Tensor:
        ctx.where = where
        columns = _columns(x)
        ctx.save_for_backward(columns, values)
        if bias is None:
            output = columns.new_zeros(where.shape[0], columns.shape[1])
        else:
            output = bias.unsqueeze(1).repeat(1, columns.shape[1])
        add_product(output, matrix(SparseWeight(values, where)), columns)
        return output.view(where.shape[0], *x.shape[:-1]).movedim(0, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        columns, values = ctx.saved_tensors
        where, wanted = ctx.where, ctx.needs_input_grad
        grad_columns = _columns(grad)
        grad_x = grad_values = None
        if wanted[0]:
            grad_x = torch.zeros_like(columns)
            add_product(grad_x, back_matrix(SparseWeight(values, where)), grad_columns)
            grad_x = grad_x.view(where.shape[1], *grad.shape[:-1]).movedim(0, -1)
        if wanted[1]:
            grad_values = sampled_product(SparseWeight(values, where), [(grad_columns, columns)])
        return grad_x, grad_values, None, grad_columns.sum(1) if wanted[3] else None


def _columns(x: Tensor) -> Tensor:
    """(..., unit) as (unit, column), contiguous."""
    return x.movedim(-1, 0).reshape(x.shape[-1], math.prod(x.shape[:-1])).contiguous()
