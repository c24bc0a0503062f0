"""The connections of a map: pairs in the order of their postsynaptic units, or a whole matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
MOST = 2**31 - 1  # connections, and units: positions are 32-bit
ROUNDS = 100  # in which units that send nothing are removed


@dataclass(frozen=True, eq=False)
class PerConnection:
    """Values (connection,) for the connections of a map, in their order.

    The class distinguishes them from a vector over units.
    """

    values: Any


@dataclass(frozen=True, eq=False)
class Wiring:
    """Pairs of connected units, ordered by postsynaptic and then by presynaptic unit.

    These are the rows and columns of torch's CSR layout of a weight (output_dim, input_dim).
    Values of single connections, such as signs, are arrays (connection,) in this order.
    """

    input_dim: int
    output_dim: int
    # (output_dim + 1,): the connections onto unit j are [starts[j], starts[j + 1])
    starts: npt.NDArray[np.int32]
    sources: npt.NDArray[np.int32]  # (connection,): the presynaptic unit, rising for each j

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def density(self) -> float:
        """The fraction of all pairs that are connected."""
        return len(self) / (self.input_dim * self.output_dim)

    @property
    def targets(self) -> npt.NDArray[np.int32]:
        """(connection,): the postsynaptic unit of each."""
        units = np.arange(self.output_dim, dtype=np.int32)
        return np.repeat(units, np.diff(self.starts))

    def matrix(self, values: Array | None = None) -> Array:
        """A mask (input_dim, output_dim): `values` (connection,), or True, where connected."""
        kind = np.dtype(bool) if values is None else values.dtype
        whole = np.zeros((self.input_dim, self.output_dim), kind)
        whole[self.sources, self.targets] = True if values is None else values
        return whole

    def keep(self, chosen: Bools) -> Wiring:
        """Those connections alone where `chosen`, (connection,), is true."""
        return from_targets(
            self.input_dim, self.output_dim, self.targets[chosen], self.sources[chosen]
        )

    def same_as(self, other: Wiring) -> bool:
        """Whether another wiring of as many units has the same connections."""
        pairs = ((self.starts, other.starts), (self.sources, other.sources))
        return all(np.array_equal(one, two) for one, two in pairs)

    def check(self) -> None:
        """Raise a ValueError where the connections are not those of these units, in their order."""
        starts, sources = self.starts, self.sources
        if starts.shape != (self.output_dim + 1,) or starts[0] != 0 or starts[-1] != len(sources):
            raise ValueError(
                f"starts must be ({self.output_dim + 1},), from 0 to the number of sources"
            )
        if (starts[1:] < starts[:-1]).any():
            raise ValueError("starts must not fall")
        if len(sources) and not 0 <= sources.min() <= sources.max() < self.input_dim:
            raise ValueError(f"sources must lie between 0 and {self.input_dim - 1}")
        rising = sources[1:] > sources[:-1]
        rising[starts[(starts > 0) & (starts < len(sources))] - 1] = True  # another unit's first
        if not rising.all():
            raise ValueError("the sources onto one unit must rise, and be distinct")

    def has_cycle(self) -> bool:
        """Whether some unit leads back to itself, in a map from units to themselves.

        Units that send nothing are removed, with the connections onto them, until none is left
        that sends nothing; what then remains holds a cycle. A long chain, of which each round
        removes a single unit, is left to scipy, which takes a while to import.
        """
        sent = np.bincount(self.sources, minlength=self.input_dim)
        ends, removed = np.flatnonzero(sent == 0), 0
        for _ in range(ROUNDS):
            if not len(ends):
                return removed < self.input_dim
            removed += len(ends)
            onto = np.concatenate([np.arange(*self.starts[end : end + 2]) for end in ends])
            units, counts = np.unique(self.sources[onto], return_counts=True)
            sent[units] -= counts
            ends = units[sent[units] == 0]
        return bool((self.sources == self.targets).any()) or self._strong_parts() < self.input_dim

    def _strong_parts(self) -> int:
        """Into how many groups the units fall, of which each can reach all others of its group."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import connected_components

        parts = np.ones(len(self), np.int8), self.sources, self.starts
        graph = csr_array(parts, shape=(self.output_dim, self.input_dim))
        return int(connected_components(graph, connection="strong", return_labels=False))


def from_targets(input_dim: int, output_dim: int, targets: Array, sources: Array) -> Wiring:
    """The wiring of pairs that are in its order and distinct, (connection,) each."""
    counts = np.bincount(targets, minlength=output_dim)
    starts = np.zeros(output_dim + 1, np.int32)
    np.cumsum(counts, out=starts[1:])
    return Wiring(input_dim, output_dim, starts, np.ascontiguousarray(sources, np.int32))


def from_pairs(
    input_dim: int, output_dim: int, pre: Array, post: Array
) -> tuple[Wiring, npt.NDArray[np.intp]]:
    """The wiring of distinct pairs in any order, and the order that sorts their values alike.

    Args:
        pre, post: (connection,), positions of units, from 0.

    Raises:
        ValueError: a pair twice, a unit that is not there, or too many of either.
    """
    if max(input_dim, output_dim, len(pre)) > MOST:
        raise ValueError(f"at most {MOST:,} units and connections")
    for what, units, size in (("pre", pre, input_dim), ("post", post, output_dim)):
        if len(units) and not 0 <= units.min() <= units.max() < size:
            raise ValueError(f"{what} holds a unit outside 0 to {size - 1}")
    pairs, order = sorted_order(post.astype(np.int64) * input_dim + pre)
    if (pairs[1:] == pairs[:-1]).any():
        raise ValueError("a pair of units is there twice")
    return from_targets(input_dim, output_dim, post[order], pre[order]), order


def sorted_order(keys: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], Array]:
    """Numbers >= 0 rising, and the positions they came from, rising among equal numbers.

    Where they fit, number and position are sorted together as one number: numpy sorts numbers
    several times faster than it finds their order. `keys` is used up.
    """
    bits = max(1, (len(keys) - 1).bit_length())
    if len(keys) and int(keys.max()).bit_length() + bits > 63:
        order = np.argsort(keys, kind="stable")
        return keys[order], order
    keys <<= bits
    keys |= np.arange(len(keys))
    keys.sort()
    order = keys & ((1 << bits) - 1)
    keys >>= bits
    return keys, order


def from_matrix(mask: Array) -> Wiring:
    """The wiring of a mask (input_dim, output_dim) whose connections are true, or > 0."""
    return from_weight(mask.T)


def from_weight(weight: Array) -> Wiring:
    """The wiring of a matrix (output_dim, input_dim) whose connections are true, or > 0."""
    output_dim, input_dim = weight.shape
    starts = np.zeros(output_dim + 1, np.int32)
    np.cumsum(np.count_nonzero(weight > 0, axis=1), out=starts[1:])
    some = max(1, 10**6 // input_dim)  # rows at a time: positions take more memory than the matrix
    rows = (weight[i : i + some] > 0 for i in range(0, output_dim, some))
    sources = [np.nonzero(each)[1].astype(np.int32) for each in rows]
    return Wiring(input_dim, output_dim, starts, np.concatenate(sources))


@dataclass(frozen=True, eq=False)
class Connections:
    """The connections of a map, however they are kept: all pairs, a matrix of them, or a wiring.

    Values of single connections are arrays in the layout of the map's weight: a matrix
    (output_dim, input_dim), or (connection,) where a wiring is kept. No reader needs to know which:
    `of`, `placed` and `whole` lead from one form to another.
    """

    input_dim: int
    output_dim: int
    matrix: Bools | None = None  # (output_dim, input_dim)
    wiring: Wiring | None = None  # without it and without a matrix all pairs are connected

    @property
    def is_sparse(self) -> bool:
        """Whether values are kept for the connections alone."""
        return self.wiring is not None

    @property
    def is_full(self) -> bool:
        """Whether all pairs are connected and no mask says so."""
        return self.wiring is None and self.matrix is None

    @property
    def pairs(self) -> int:
        """How many connections are possible."""
        return self.input_dim * self.output_dim

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the map's weight."""
        return (self.output_dim, self.input_dim) if self.wiring is None else (len(self.wiring),)

    @property
    def count(self) -> int:
        """How many connections there are."""
        if self.wiring is not None:
            return len(self.wiring)
        return self.pairs if self.matrix is None else int(np.count_nonzero(self.matrix))

    @property
    def density(self) -> float:
        """The fraction of all pairs that are connected."""
        return self.count / self.pairs

    @property
    def sends(self) -> Bools:
        """(input_dim,): which presynaptic units have a connection."""
        if self.wiring is not None:
            return np.bincount(self.wiring.sources, minlength=self.input_dim) > 0
        return np.ones(self.input_dim, bool) if self.matrix is None else np.any(self.matrix, axis=0)

    @property
    def receives(self) -> Bools:
        """(output_dim,): which postsynaptic units have a connection."""
        if self.wiring is not None:
            return np.diff(self.wiring.starts) > 0
        return (
            np.ones(self.output_dim, bool) if self.matrix is None else np.any(self.matrix, axis=1)
        )

    def of(self, values: Array) -> Array:
        """The weight's layout, of a matrix (output_dim, input_dim) or of one value (input_dim,)
        for each presynaptic unit; a matrix keeps what it holds for pairs that are not connected."""
        if self.wiring is None:
            return np.broadcast_to(values, self.shape)
        if values.ndim == 1:
            return np.asarray(values[self.wiring.sources])
        return np.asarray(values[self.wiring.targets, self.wiring.sources])

    def placed(self, values: Array) -> Array:
        """The weight's layout, of values (connection,); 0 for pairs that are not connected."""
        if self.wiring is not None:
            return values
        whole = np.zeros(self.shape, values.dtype)
        whole[self.whole()] = values
        return whole

    def whole(self, values: Array | None = None) -> Array:
        """(output_dim, input_dim): values in the weight's layout, or True; 0 where unconnected."""
        kept = np.ones(self.shape, bool) if values is None else values
        if self.wiring is not None:
            return np.ascontiguousarray(self.wiring.matrix(kept).T)
        return self.masked(kept)

    def masked(self, values: Array) -> Array:
        """Values in the weight's layout, 0 for pairs that are not connected."""
        zero = values.dtype.type(0)
        return values if self.matrix is None else np.where(self.matrix, values, zero)

    def listed(self, values: Array) -> Array:
        """(connection,): values in the weight's layout, in the order of the wiring."""
        if self.wiring is not None:
            return values
        return values.reshape(-1) if self.matrix is None else values[self.matrix]

    def between(self, sends: Bools, receives: Bools) -> Bools:
        """In the weight's layout: pairs from presynaptic units (input_dim,) that `sends` chooses
        to postsynaptic units (output_dim,) that `receives` chooses."""
        if self.wiring is None:
            return np.logical_and.outer(receives, sends)
        return np.asarray(sends[self.wiring.sources] & receives[self.wiring.targets])

    def graph(self, chosen: Bools | None = None) -> Wiring:
        """The wiring, of the connections alone where `chosen`, in the weight's layout, is true."""
        if self.wiring is not None:
            return self.wiring if chosen is None else self.wiring.keep(chosen)
        return from_weight(self.whole(chosen))

    def as_sparse(self) -> Connections:
        """The same connections, kept as a wiring."""
        return Connections(self.input_dim, self.output_dim, wiring=self.graph())

    def as_dense(self) -> Connections:
        """The same connections, kept as a matrix, or as all pairs."""
        if self.wiring is None:
            return self
        return Connections(self.input_dim, self.output_dim, matrix=self.whole())
