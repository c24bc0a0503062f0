"""The one way in which a share of a number of things becomes a whole number of them."""

from __future__ import annotations

import math
from fractions import Fraction


def round_half_up(fraction: float, n: int) -> int:
    """`fraction` (0 to 1) of `n`, to the nearest whole number, halves up, exactly as it is written.

    The decimal that prints is meant, not the binary float: 0.29 of 100 is 29, 0.7 of 5 is 4.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"a fraction is from 0 to 1, got {fraction}")
    if n < 0:
        raise ValueError(f"n is at least 0, got {n}")
    return math.floor(Fraction(str(fraction)) * n + Fraction(1, 2))
