"""The Dale-law term of a large weight with its gradient, in one pass over memory.

torch reads the weight for each of its two sums and once more for the gradient, and of such a weight
nothing but reading and writing it takes time. numba is imported when a weight is large.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from netbuild.kernels import machine

LARGE = 2**19  # entries: below, the weight stays in the cache between two readings
DTYPES = (torch.float32, torch.float64)


class Sums(NamedTuple):
    """What one pass over a weight finds."""

    square: Tensor  # (): the sum of w^2
    overlap: Tensor  # (): the sum of w s
    gradient: Tensor  # of_w W + of_s S, of the weight's shape


def is_large(w: Tensor) -> bool:
    """Whether `sums` is the quickest way to the term of this weight on this machine."""
    return w.numel() >= LARGE and w.is_cpu and w.dtype in DTYPES and w.dim() >= 2 and _usable()


def sums(w: Tensor, s: Tensor, of_w: float, of_s: float) -> Sums:
    """Both sums and the gradient of a weight (..., unit); bits do not depend on the threads.

    The signs s have the weight's shape, or are (unit,) where all its rows have the same.
    """
    from netbuild.regularization import loops

    w, s = w.detach(), s.detach().contiguous()
    rows = w.reshape(-1, w.shape[-1]).contiguous().numpy()
    run = loops.by_unit if s.dim() == 1 else loops.by_weight
    signs = s.numpy() if s.dim() == 1 else s.view(rows.shape).numpy()
    gradient = torch.empty(w.shape, dtype=w.dtype)
    out = gradient.view(rows.shape).numpy()
    kind, count = rows.dtype.type, len(rows)
    squares, overlaps = torch.empty(2, count, dtype=w.dtype)
    square, overlap = squares.numpy(), overlaps.numpy()

    def part(low: int, high: int) -> None:
        own = slice(low, high)
        each = signs if signs.ndim == 1 else signs[own]
        run(rows[own], each, kind(of_w), kind(of_s), out[own], square[own], overlap[own])

    threads = min(torch.get_num_threads(), count)
    machine.in_parts(part, [count * k // threads for k in range(threads + 1)])
    return Sums(squares.sum(), overlaps.sum(), gradient)


@cache
def _usable() -> bool:
    why = machine.failure("the Dale-law term", _run_once)
    if why:
        machine.tell(why, "large Dale-law terms take longer")
    return not why


def _run_once() -> None:
    from netbuild.regularization import loops

    for dtype in DTYPES:
        one = torch.ones(1, 1, dtype=dtype).numpy()
        for run, signs in ((loops.by_unit, one[0]), (loops.by_weight, one)):
            run(one, signs, one[0, 0], one[0, 0], one.copy(), one[0].copy(), one[0].copy())
