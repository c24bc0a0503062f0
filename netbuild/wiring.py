"""A map's connections as pairs, never as a matrix: what sparse storage is built from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
MOST = 2**31 - 1  # connections, and units: positions are 32-bit


@dataclass(frozen=True, eq=False)
class Wiring:
    """Which connections exist, ordered by postsynaptic and then by presynaptic unit.

    These are the rows and columns of torch's CSR layout of a weight (output_dim, input_dim).
    Whatever is said of single connections (values, signs, plasticity) is an array
    (connection,) in this order.
    """

    input_dim: int
    output_dim: int
    starts: npt.NDArray[
        np.int32
    ]  # (output_dim + 1,): those onto unit j are [starts[j], starts[j+1])
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

    def of(self, matrix: Array) -> Array:
        """(connection,): the entries of a mask (input_dim, output_dim) at the connections."""
        return matrix[self.sources, self.targets]

    def matrix(self, values: Array | None = None) -> Array:
        """A mask (input_dim, output_dim): `values` (connection,), or True, where connected."""
        kind = np.dtype(bool) if values is None else values.dtype
        whole = np.zeros((self.input_dim, self.output_dim), kind)
        whole[self.sources, self.targets] = True if values is None else values
        return whole

    def keep(self, chosen: npt.NDArray[np.bool_]) -> Wiring:
        """Those connections alone where `chosen`, (connection,), is true."""
        return from_targets(
            self.input_dim, self.output_dim, self.targets[chosen], self.sources[chosen]
        )


def from_targets(input_dim: int, output_dim: int, targets: Array, sources: Array) -> Wiring:
    """The wiring of pairs that are in its order and distinct, (connection,) each."""
    counts = np.bincount(targets, minlength=output_dim)
    starts = np.zeros(output_dim + 1, np.int32)
    np.cumsum(counts, out=starts[1:])
    return Wiring(input_dim, output_dim, starts, np.ascontiguousarray(sources, np.int32))


def from_pairs(
    input_dim: int, output_dim: int, pre: Array, post: Array
) -> tuple[Wiring, npt.NDArray[np.intp]]:
    """The wiring of distinct pairs in any order, and the order that puts their values into its own.

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
    pairs = post.astype(np.int64) * input_dim + pre
    order = np.argsort(pairs, kind="stable")
    pairs = pairs[order]
    if (pairs[1:] == pairs[:-1]).any():
        raise ValueError("a pair of units is there twice")
    return from_targets(input_dim, output_dim, post[order], pre[order]), order


def from_matrix(mask: Array) -> Wiring:
    """The wiring of a mask (input_dim, output_dim) whose connections are true, or > 0."""
    input_dim, output_dim = mask.shape
    targets, sources = np.nonzero(mask.T > 0)
    return from_targets(input_dim, output_dim, targets, sources)
