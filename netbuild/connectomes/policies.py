"""What is made of the rows: one connection for each pair, by policies that are counted.

A pair is one whole number, `post << bits | pre`, so that sorting puts pairs into a wiring's order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netbuild.connectomes.rows import Array, Words
from netbuild.wiring import Wiring, from_targets, sorted_order

Pairs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Counted:
    """What the policies did."""

    merged: int = 0  # rows that went into the connection of an earlier one
    mixed: int = 0  # connections that were made of rows of different kinds
    symmetrized: int = 0  # connections added the other way round
    self_connections: int = 0  # removed
    min_weight: int = 0  # removed


class TwiceError(ValueError):
    """A pair that stands in two rows, where that is an error."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"rows {first} and {second} are of one pair")
        self.first, self.second = first, second


def bits_of(n: int) -> int:
    """How many bits a unit's position takes."""
    return max(1, (n - 1).bit_length())


def pairs_of(pre: Array, post: Array, n: int) -> Pairs:
    """(row,): each pair as one number."""
    pairs = post.astype(np.int64)
    pairs <<= bits_of(n)
    pairs |= pre
    return pairs


def ends_of(pairs: Pairs, n: int) -> tuple[Pairs, Pairs]:
    """The presynaptic and the postsynaptic unit of each pair."""
    bits = bits_of(n)
    return pairs & ((1 << bits) - 1), pairs >> bits


def applied(
    pairs: Pairs,
    weights: npt.NDArray[np.float64] | None,
    n: int,
    words: Words,
    kinds: Array | None = None,
) -> tuple[Wiring, npt.NDArray[np.float32], Counted]:
    """The wiring (n, n) and the counts (connection,) of rows in any order; `pairs` is used up.

    `kinds` (row,) are numbers; pairs with several of them are counted as mixed.
    Raises TwiceError under `duplicates: error`.
    """
    rows = len(pairs)
    pairs, values, mixed = merged(pairs, weights, words.duplicates, kinds)
    distinct = len(pairs)
    loops = added = few = 0
    if not words.self_connections:
        pre, post = ends_of(pairs, n)
        pairs, values, loops = kept(pairs, values, pre != post)
    if words.symmetrize != "none":
        before = len(pairs)
        pairs, values = symmetrized(pairs, values, n, words.symmetrize)
        added = len(pairs) - before
    if words.min_weight is not None:
        pairs, values, few = kept(pairs, values, values >= words.min_weight)
    counted = Counted(rows - distinct, mixed, added, loops, few)
    pre, post = ends_of(pairs, n)
    return from_targets(n, n, post, pre), values.astype(np.float32), counted


def merged(
    pairs: Pairs,
    weights: npt.NDArray[np.float64] | None,
    how: str,
    kinds: Array | None = None,
) -> tuple[Pairs, npt.NDArray[np.float64], int]:
    """The distinct pairs, rising; the sum or the largest of the weights; how many mix kinds.

    Rows of one pair are added in their order, so that sums are the same on every machine.
    """
    order = None
    if weights is not None or how == "error" or kinds is not None:
        pairs, order = sorted_order(pairs)
    else:
        pairs.sort()
    first = np.empty(len(pairs), np.bool_)
    first[:1] = True
    np.not_equal(pairs[1:], pairs[:-1], out=first[1:])
    repeated = not first.all()
    if how == "error" and repeated:
        assert order is not None
        second = np.flatnonzero(~first)
        earliest = second[np.argmin(order[second])]
        raise TwiceError(int(order[earliest - 1]), int(order[earliest]))
    values = np.ones(len(pairs)) if weights is None or order is None else weights[order]
    if not repeated:
        return pairs, values, 0
    starts = np.flatnonzero(first)
    mixed = 0
    if kinds is not None and order is not None:
        kinds = kinds[order]
        other = ~first[1:] & (kinds[1:] != kinds[:-1])
        # The rows of a pair are adjacent, so that `searchsorted` gives the pair's number.
        mixed = len(np.unique(np.searchsorted(starts, np.flatnonzero(other) + 1, "right")))
    reduce = np.add if how == "sum" else np.maximum
    return pairs[starts], reduce.reduceat(values, starts), mixed


def kept(
    pairs: Pairs, values: npt.NDArray[np.float64], chosen: npt.NDArray[np.bool_]
) -> tuple[Pairs, npt.NDArray[np.float64], int]:
    """The chosen pairs with their values, and how many others there were."""
    others = len(pairs) - int(np.count_nonzero(chosen))
    return (pairs[chosen], values[chosen], others) if others else (pairs, values, 0)


def symmetrized(
    pairs: Pairs, values: npt.NDArray[np.float64], n: int, how: str
) -> tuple[Pairs, npt.NDArray[np.float64]]:
    """Both directions of every pair, with the sum or the larger of their two counts.

    A neuron's connection with itself has one direction, and stays as it is.
    """
    pre, post = ends_of(pairs, n)
    others = pre != post
    back = pairs_of(post[others], pre[others], n)
    both = np.concatenate([values, values[others]])
    pairs, values, _ = merged(np.concatenate([pairs, back]), both, how)
    return pairs, values
