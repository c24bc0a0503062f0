"""Standard normal numbers, a function of a seed alone; several times as fast as torch's on the CPU.

`noise_loops` says how they are made. Where numba cannot run, numpy computes the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netbuild.kernels import machine
from netbuild.kernels.plain import transformed

MOST = 1 << 34  # numbers of one seed: 32-bit counters, four numbers each


def draws(like: Tensor) -> bool:
    """Whether `normal` is for tensors of this kind: float32 on the CPU, not in `torch.func`."""
    if transformed():
        return False
    is_plain = type(like) is Tensor or torch.compiler.is_compiling()  # which reads a fake tensor
    return is_plain and like.is_cpu and like.dtype == torch.float32


def normal(shape: Sequence[int], seed: int) -> Tensor:
    """N(0, 1), float32 on the CPU; the n-th number depends on the seed, in [0, 2^63), and n alone.

    The numbers are those of Box and Muller's formula to 2e-6, from -5.8 to 5.8.
    """
    if torch.compiler.is_compiling():  # which would trace the loops
        drawn: Tensor = torch.compiler.disable(_normal)(shape, seed)  # type: ignore[no-untyped-call]
        return drawn
    return _normal(shape, seed)


def _normal(shape: Sequence[int], seed: int) -> Tensor:
    out = torch.empty(torch.Size(shape))
    if out.numel() > MOST:
        raise ValueError(f"at most {MOST:,} numbers of one seed")
    key = seed & 0xFFFFFFFF, seed >> 32
    fill = _by_loops if _usable() else _by_numpy
    fill(key, out.view(-1).numpy())
    return out


def _by_loops(key: tuple[int, int], out: NDArray[Any]) -> None:
    from netbuild.kernels import noise_loops as loops

    words = np.empty((4, loops.BLOCK), np.uint32)
    values = np.empty((4, loops.BLOCK), np.float32)
    loops.normal(*key, words, values, values.view(np.int32), out)


@cache
def _usable() -> bool:
    why = machine.failure("the noise", lambda: _by_loops((0, 0), np.empty(1, np.float32)))
    if why:
        machine.tell(why, "numpy draws the noise, more slowly")
    return not why


# The same bits by numpy: each line is one of `noise_loops`, for all blocks at once.

BLOCK = 128


def _by_numpy(key: tuple[int, int], out: NDArray[Any]) -> None:
    blocks = -(-len(out) // (4 * BLOCK))
    x0, x1, x2, x3 = philox(key, np.arange(blocks * BLOCK, dtype=np.uint32))
    values = np.empty((blocks, 4, BLOCK), np.float32)
    for row, (radii, angles) in enumerate(((x0, x2), (x1, x3))):
        a, b = _box_muller(radii, angles)
        values[:, row], values[:, row + 2] = a.reshape(-1, BLOCK), b.reshape(-1, BLOCK)
    out[:] = values.reshape(-1)[: len(out)]


def philox(key: tuple[int, int], counters: NDArray[Any]) -> list[NDArray[Any]]:
    """The four words, (n,) uint32 each, of counters (n,) uint32: Philox4x32-7."""
    zeros = np.zeros_like(counters)
    x0, x1, x2, x3 = counters, zeros, zeros, zeros
    k0, k1 = key
    for _ in range(7):
        p0, p1 = x0 * np.uint64(0xD2511F53), x2 * np.uint64(0xCD9E8D57)
        high0, high1 = ((p >> np.uint64(32)).astype(np.uint32) for p in (p0, p1))
        x0, x2 = high1 ^ x1 ^ np.uint32(k0), high0 ^ x3 ^ np.uint32(k1)
        x1, x3 = p1.astype(np.uint32), p0.astype(np.uint32)
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return [x0, x1, x2, x3]


LOGARITHM = (
    *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1),
    *(-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)
SINE = [(-1) ** k * math.pi ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(6)]
COSINE = [(-1) ** k * math.pi ** (2 * k) / math.factorial(2 * k) for k in range(7)]


def _box_muller(radii: NDArray[Any], angles: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    one, half, two = np.float32(1), np.float32(0.5), np.float32(2)
    whole = (radii >> np.uint32(8)).astype(np.int32) + np.int32(1)
    bits = whole.astype(np.float32).view(np.int32)
    n = ((bits >> 23) - np.int32(127 + 24)).astype(np.float32)
    m = ((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)).view(np.float32)
    is_big = m > np.float32(math.sqrt(2))
    m, n = np.where(is_big, m * half, m), np.where(is_big, n + one, n)
    x = m - one
    z = x * x
    p = _polynomial(LOGARITHM, x)
    radius = np.sqrt(-two * (x + (p * x * z - half * z) + n * np.float32(math.log(2))))
    t = angles.view(np.int32).astype(np.float32) * np.float32(2.0**-32)
    q = t * t
    sine, cosine = _polynomial(SINE[::-1], q) * t, _polynomial(COSINE[::-1], q)
    return radius * (two * sine * cosine), radius * (one - two * sine * sine)


def _polynomial(coefficients: Sequence[float], x: NDArray[Any]) -> NDArray[Any]:
    """The value at x, by Horner's rule; the coefficient of the highest power comes first."""
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + np.float32(coefficient)
    return value
