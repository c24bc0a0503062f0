"""Standard normal numbers as machine code, four to a counter; numba compiles it on first use.

Counters become random words by Philox4x32-7 (Salmon et al. 2011), and two words become two numbers
by the formula of Box and Muller, whose logarithm and sine are polynomials that the compiler can
compute for eight numbers at once. Nothing here is contracted or reordered, so that `noise` computes
the same bits in numpy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

BLOCK = 128  # counters at a time
ROUNDS = 7  # the least that pass all tests of randomness (BigCrush), by its authors
M0, M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
W0, W1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
LOW, HALFWAY = np.uint64(0xFFFFFFFF), np.uint64(32)

ONE, HALF, TWO = np.float32(1), np.float32(0.5), np.float32(2)
ROOT2, LOG2, SCALE = np.float32(math.sqrt(2)), np.float32(math.log(2)), np.float32(2.0**-32)
# log(1 + x) = x - x^2 / 2 + x^3 P(x) between sqrt(1/2) and sqrt(2); Cephes (logf, Moshier 1989).
L0, L1, L2 = np.float32(7.0376836292e-2), np.float32(-1.1514610310e-1), np.float32(1.1676998740e-1)
L3, L4, L5 = np.float32(-1.2420140846e-1), np.float32(1.4249322787e-1), np.float32(-1.6668057665e-1)
L6, L7, L8 = np.float32(2.0000714765e-1), np.float32(-2.4999993993e-1), np.float32(3.3333331174e-1)
# The series of sin(pi t) and cos(pi t) in t^2, for t between -1/2 and 1/2.
S0, S1, S2, S3, S4, S5 = (
    np.float32((-1) ** k * math.pi ** (2 * k + 1) / math.factorial(2 * k + 1)) for k in range(6)
)
C1, C2, C3, C4, C5, C6 = (
    np.float32((-1) ** k * math.pi ** (2 * k) / math.factorial(2 * k)) for k in range(1, 7)
)
SIGN_BITS, EXPONENT = np.int32(0x3F800000), np.int32(23)
MANTISSA, BIAS = np.int32(0x7FFFFF), np.int32(127 + 24)
EIGHT, UNIT = np.uint32(8), np.int32(1)

compiled: Any = njit(cache=True, nogil=True, error_model="numpy")
inlined: Any = njit(inline="always", nogil=True, error_model="numpy")


@inlined
def philox(first: Any, key0: Any, key1: Any, words: Any) -> None:
    """The words (4, BLOCK) uint32 of the counters from `first` on, under a key of two words."""
    for i in range(BLOCK):
        x0, x1, x2, x3 = np.uint32(first + np.uint32(i)), np.uint32(0), np.uint32(0), np.uint32(0)
        k0, k1 = key0, key1
        for _ in range(ROUNDS):
            p0, p1 = M0 * np.uint64(x0), M1 * np.uint64(x2)
            x0, x2 = np.uint32(p1 >> HALFWAY) ^ x1 ^ k0, np.uint32(p0 >> HALFWAY) ^ x3 ^ k1
            x1, x3 = np.uint32(p1 & LOW), np.uint32(p0 & LOW)
            k0, k1 = np.uint32(k0 + W0), np.uint32(k1 + W1)
        words[0, i], words[1, i], words[2, i], words[3, i] = x0, x1, x2, x3


@inlined
def box_muller(radii: Any, angles: Any, a: Any, a_bits: Any, b: Any) -> None:
    """Two normal numbers a and b, (BLOCK,) float32, of two words; `a_bits` int32 is a's memory."""
    for i in range(BLOCK):
        a[i] = np.float32(np.int32(radii[i] >> EIGHT) + UNIT)  # u = a / 2^24 in (0, 1]
    for i in range(BLOCK):
        b[i] = np.float32((a_bits[i] >> EXPONENT) - BIAS)  # u = 2^b m with m in [1, 2)
        a_bits[i] = (a_bits[i] & MANTISSA) | SIGN_BITS
    for i in range(BLOCK):
        m, n = a[i], b[i]
        is_big = m > ROOT2
        m, n = m * HALF if is_big else m, n + ONE if is_big else n
        x = m - ONE
        z = x * x
        p = (((((((L0 * x + L1) * x + L2) * x + L3) * x + L4) * x + L5) * x + L6) * x + L7) * x + L8
        radius = np.sqrt(-TWO * (x + (p * x * z - HALF * z) + n * LOG2))
        t = np.float32(np.int32(angles[i])) * SCALE
        q = t * t
        sine = (((((S5 * q + S4) * q + S3) * q + S2) * q + S1) * q + S0) * t
        cosine = (((((C6 * q + C5) * q + C4) * q + C3) * q + C2) * q + C1) * q + ONE
        a[i] = radius * (TWO * sine * cosine)
        b[i] = radius * (ONE - TWO * sine * sine)


@compiled
def normal(key0: Any, key1: Any, words: Any, values: Any, bits: Any, out: Any) -> None:
    """Fill `out` (n,) float32 with the numbers of a key, which is two words.

    `words` and `values` are (4, BLOCK), and `bits` is the memory of the values.
    """
    at = 0
    for block in range((len(out) + 4 * BLOCK - 1) // (4 * BLOCK)):
        philox(np.uint32(block * BLOCK), np.uint32(key0), np.uint32(key1), words)
        box_muller(words[0], words[2], values[0], bits[0], values[2])
        box_muller(words[1], words[3], values[1], bits[1], values[3])
        for row in range(4):
            count = min(BLOCK, max(0, len(out) - at))
            out[at : at + count] = values[row, :count]
            at += count
