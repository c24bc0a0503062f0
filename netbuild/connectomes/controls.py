"""Null models of a wiring: what is left of a result when part of a connectome is left to chance.

All are pure functions of a generator that the caller seeds; nothing given is changed. Rewiring
moves connections and leaves the signs of the units; shuffling leaves the connections.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from netbuild.wiring import Wiring, from_pairs, from_targets, sorted_order

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

SWAPS = 10  # that each connection takes part in, on average
MOST_ROUNDS = 200  # where few swaps are possible
LAZY = 1 / 8  # of the possible swaps are left out, else tiny graphs would swap to and fro


def control(
    wiring: Wiring,
    values: Array,
    signs: Array | None,
    *,
    rewire: Literal["degree_preserving", "er"] | None = None,
    shuffle: Literal["signs", "weights"] | None = None,
    rng: np.random.Generator,
) -> tuple[Wiring, Array, Array | None]:
    """A wiring, its values and its signs after rewiring and then shuffling.

    `rewire: degree_preserving` swaps the targets of pairs of connections: every unit keeps its
    in- and out-degree exactly. A value stays with the presynaptic end of its connection, so that
    what a unit sends in sum is kept too. Self-connections stay where they are, and none is made.

    `rewire: er` draws as many connections uniformly among all pairs of different units (among all
    pairs where the wiring has self-connections) and permutes the values onto them.

    `shuffle: signs` permutes the signs among all units: as many are +1, -1 and 0 as before.
    `shuffle: weights` permutes the values among the connections.

    Args:
        values: (connection,), in the wiring's order.
        signs: (input_dim,), those of the presynaptic units.

    Raises:
        ValueError: arrays of other shapes, unknown words, or no signs to shuffle.
    """
    if values.shape != (len(wiring),):
        raise ValueError(f"values is ({len(wiring)},), one a connection, got {values.shape}")
    if signs is not None and signs.shape != (wiring.input_dim,):
        raise ValueError(f"signs is ({wiring.input_dim},), one a unit, got {signs.shape}")
    if rewire == "degree_preserving":
        wiring, values = degree_preserving(wiring, values, rng)
    elif rewire == "er":
        wiring, values = er(wiring, rng), rng.permutation(values)
    elif rewire is not None:
        raise ValueError(f"rewire is degree_preserving or er, got {rewire!r}")
    if shuffle == "signs":
        if signs is None:
            raise ValueError("there are no signs to shuffle")
        signs = rng.permutation(signs)
    elif shuffle == "weights":
        values = rng.permutation(values)
    elif shuffle is not None:
        raise ValueError(f"shuffle is signs or weights, got {shuffle!r}")
    return wiring, values, signs


def degree_preserving(
    wiring: Wiring, values: Array, rng: np.random.Generator
) -> tuple[Wiring, Array]:
    """Swaps of targets (Maslov & Sneppen, Science 296, 910, 2002), many at once; see `control`.

    Each round pairs all connections at random; the pair a -> b, c -> d may become a -> d, c -> b.
    The number of rounds follows from how many swaps the first finds possible, so that each
    connection takes part in about `SWAPS`; where few are possible (dense or tiny wirings), in
    fewer. Every wiring that swaps reach is equally likely in the long run; the few that they do
    not reach differ by the direction of circles of three units (Roberts & Coolen, Phys. Rev. E
    85, 046103, 2012).
    """
    pre, post = wiring.sources, wiring.targets
    square = wiring.input_dim == wiring.output_dim
    loose = np.flatnonzero(pre != post) if square else np.arange(len(pre))
    if len(loose) >= 2:
        post[loose] = swapped(pre[loose], post[loose], wiring.input_dim, square, rng)
    rewired, order = from_pairs(wiring.input_dim, wiring.output_dim, pre, post)
    return rewired, values[order]


def swapped(
    pre: Array, post: Array, input_dim: int, square: bool, rng: np.random.Generator
) -> Array:
    """The targets (connection,) after all rounds; `square` forbids self-connections."""
    post = post.copy()
    rounds, done = 1, 0
    while done < rounds:
        order = rng.permutation(len(pre))
        one, two = halves(order)
        possible = possible_swaps(pre, post, order, input_dim, square)
        if done == 0:
            rate = max(possible.mean() * (1 - LAZY), SWAPS / MOST_ROUNDS)
            rounds = math.ceil(SWAPS / rate)
        chosen = possible & (rng.random(len(one)) >= LAZY)
        one, two = one[chosen], two[chosen]
        post[one], post[two] = post[two], post[one]
        done += 1
    return post


def halves(order: Array) -> tuple[Array, Array]:
    """Which connections are paired, (pair,) each; of an odd number the last has no partner."""
    pairs = len(order) // 2
    return order[:pairs], order[pairs : 2 * pairs]


def possible_swaps(pre: Array, post: Array, order: Array, input_dim: int, square: bool) -> Bools:
    """(pair,): which pairs of an order of the connections may swap their targets."""
    one, two = halves(order)
    left = order[2 * len(one) :]
    a, b, c, d = pre[one], post[one], pre[two], post[two]
    keys = np.empty((4, len(one)), np.int64)
    for row, (start, end) in zip(keys, ((a, b), (c, d), (a, d), (c, b)), strict=True):
        np.multiply(end, input_dim, out=row, dtype=np.int64)
        row += start
    possible = ~clashing(keys, post[left].astype(np.int64) * input_dim + pre[left])
    return possible & (a != d) & (c != b) if square else possible


def clashing(keys: Array, others: Array) -> Bools:
    """Which pairs hold a connection, old or new, that also stands elsewhere.

    A pair's four connections are the same before and after its swap. So a rule that looks at
    nothing else allows a round of swaps exactly where it allows the way back, and no wiring is
    favoured; to let the first of two rivals through would favour some.

    Args:
        keys: (4, pair), non-negative: the two connections that are and the two that would be.
        others: connections that take no part, which none may meet.
    """
    pairs = keys.shape[1]
    flat, order = sorted_order(np.append(keys, others))
    twice = np.flatnonzero(flat[1:] == flat[:-1])
    first, second = (
        np.where(at < keys.size, at % pairs, pairs) for at in (order[twice], order[twice + 1])
    )
    clash = np.zeros(pairs + 1, np.bool_)
    clash[first] = clash[second] = True
    return clash[:pairs]


def er(wiring: Wiring, rng: np.random.Generator) -> Wiring:
    """As many connections, uniformly among all pairs (Erdos & Renyi's G(n, M)); see `control`."""
    rows, columns = wiring.output_dim, wiring.input_dim
    hollow = rows == columns and not (wiring.sources == wiring.targets).any()
    if hollow:  # without the diagonal, unit j can be reached from input_dim - 1 others
        columns -= 1
    places = distinct(rows * columns, len(wiring), rng)
    targets, sources = np.divmod(places, columns) if len(places) else (places, places)
    if hollow:
        sources += sources >= targets
    return from_targets(wiring.input_dim, wiring.output_dim, targets, sources)


def distinct(possible: int, wanted: int, rng: np.random.Generator) -> Array:
    """`wanted` different numbers below `possible`, rising, every set of them equally likely.

    The memory grows with `wanted`: numpy's own choice may take an array of all numbers.
    """
    if 2 * wanted > possible:  # the gaps are fewer; as many places are wanted as an array has
        kept = np.ones(possible, np.bool_)
        kept[distinct(possible, possible - wanted, rng)] = False
        return np.flatnonzero(kept)
    found = np.empty(0, np.int64)
    while len(found) < wanted:
        more = rng.integers(possible, size=wanted - len(found) + wanted // 8 + 16)
        found = np.unique(np.append(found, more))
    dropped = rng.choice(len(found), len(found) - wanted, replace=False, shuffle=False)
    return np.delete(found, dropped)
