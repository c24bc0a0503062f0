"""The Dale-law term and its gradient in one pass over a large weight, as machine code of numba.

Each row has sums of its own, which are added afterwards, so that the bits of a result do not depend
on how the rows are split over threads.
"""

from __future__ import annotations

from typing import Any

from numba import njit

# A sum over a row may be taken in any order, so that it takes as long as reading the row.
compiled: Any = njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})


@compiled
def by_unit(
    w: Any, s: Any, of_w: Any, of_s: Any, gradient: Any, squares: Any, products: Any
) -> None:
    """gradient = of_w W + of_s s, and the sums of w^2 and w s of each row.

    W and the gradient are (row, unit), the sign s is (unit,), and the sums are (row,).
    """
    for i in range(len(w)):
        square = product = w[i, 0] * 0
        for j in range(w.shape[1]):
            value = w[i, j]
            square += value * value
            product += value * s[j]
            gradient[i, j] = of_w * value + of_s * s[j]
        squares[i], products[i] = square, product


@compiled
def by_weight(
    w: Any, s: Any, of_w: Any, of_s: Any, gradient: Any, squares: Any, products: Any
) -> None:
    """As `by_unit`, with a sign for each weight, (row, unit)."""
    for i in range(len(w)):
        square = product = w[i, 0] * 0
        for j in range(w.shape[1]):
            value, sign = w[i, j], s[i, j]
            square += value * value
            product += value * sign
            gradient[i, j] = of_w * value + of_s * sign
        squares[i], products[i] = square, product
