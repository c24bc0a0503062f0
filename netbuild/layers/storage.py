"""How a map keeps its weights: every entry of its matrix, or those of its connections alone.

I is `input_dim` (presynaptic), O is `output_dim` (postsynaptic). Connections are ordered by their
postsynaptic and then by their presynaptic unit, as the rows of a weight (O, I) are read. "As it is
stored" means (O, I) in dense storage, and (connection,) in sparse storage.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from netbuild.kernels import (
    FEW,
    Pattern,
    SparseWeight,
    autocast,
    pattern,
    readout,
    sparse_linear,
    traced,
)
from netbuild.layers.arguments import array, one_of, shaped
from netbuild.layers.initial import draw
from netbuild.wiring import PerConnection, Wiring

ALL = slice(None)


class Dense(NamedTuple):
    """Storage of all entries, (O, I)."""

    output_dim: int
    input_dim: int
    connected: Tensor | None = None  # (O, I) bool; None: everything is connected

    def of_matrix(self, matrix: Tensor) -> Tensor:
        """A matrix (O, I) as it is stored."""
        return matrix.contiguous()

    def of_inputs(self, values: Tensor) -> Tensor:
        """One value for each presynaptic unit (I,), as it is stored."""
        return values.expand(self.output_dim, -1).contiguous()

    def of_connections(self, what: str, given: PerConnection) -> Tensor:
        """One value for each connection, as it is stored: elsewhere 0."""
        if self.connected is None:
            raise ValueError(f"{what} is per connection, but there is no sparsity_mask")
        values = _listed(what, given, int(self.connected.sum()))
        whole = torch.zeros(self.connected.shape, dtype=values.dtype)
        return whole.masked_scatter_(self.connected.cpu(), values)

    def draw(self, scheme: str, generator: torch.Generator | None, arguments: Any) -> Tensor:
        """Initial values from a scheme, as they are stored."""
        return draw(scheme, self[:2], self.input_dim, generator, **arguments)

    def sums(self, values: Tensor, by_row: bool) -> Tensor:
        """The sum of stored values onto each postsynaptic unit, or of all, in a shape that
        broadcasts with them; leading axes are separate networks."""
        return values.sum(-1 if by_row else (-2, -1), keepdim=True)

    def received(self) -> Tensor | None:
        """(O,): how many connections each unit has; None where everything is connected."""
        return None if self.connected is None else self.connected.sum(-1)

    def matrix(self, values: Tensor) -> Tensor | Any:
        """Stored values as a matrix (O, I), for readers of matrices."""
        return values

    def mask(self, values: Tensor) -> Tensor | Any:
        """Stored values as a mask (I, O), in the orientation in which masks are given."""
        return values.T

    def factor(self, weight: Tensor) -> Tensor | SparseWeight:
        """The weight as the kernels multiply with it."""
        return weight

    @staticmethod
    def linear(x: Tensor, weight: Tensor, bias: Tensor, units: slice = ALL) -> Tensor:
        """x Wᵀ + b, (..., I) to (..., O), where the inputs are these `units` of x."""
        if x.ndim == 3 and x.stride(0) < x.stride(1):
            # (batch, time, unit) of a recurrent layer, whose memory is time-major: no copy of it.
            return Dense.linear(x.transpose(0, 1), weight, bias, units).transpose(0, 1)
        if x.ndim == 3 and len(weight) < FEW and not (traced() or autocast(x.device)):
            return readout(x, weight, bias, units)
        return functional.linear(x if units == ALL else x[..., units], weight, bias)

    def connections(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(connection,): presynaptic units, postsynaptic units and stored values."""
        there = values.new_ones(()) if self.connected is None else self.connected
        post, pre = there.expand(self.output_dim, self.input_dim).nonzero(as_tuple=True)
        return pre.int(), post.int(), values[post, pre]


@dataclass(frozen=True, eq=False)
class Sparse:
    """Storage of the connections alone, (connection,)."""

    output_dim: int
    input_dim: int
    starts: Tensor  # (O + 1,) int32: the connections onto unit j are [starts[j], starts[j + 1])
    sources: Tensor  # (connection,) int32

    @cached_property
    def pattern(self) -> Pattern:
        """Where the connections stand, for the kernels."""
        return pattern(self.starts, self.sources, self.input_dim)

    @property
    def targets(self) -> Tensor:
        """(connection,) int32: the postsynaptic unit of each."""
        units = torch.arange(self.output_dim, dtype=torch.int32, device=self.starts.device)
        return units.repeat_interleave(self.starts.diff(), output_size=len(self.sources))

    def of_matrix(self, matrix: Tensor) -> Tensor:
        """The entries of a matrix (O, I) at the connections."""
        return matrix[self.targets.cpu(), self.sources.cpu()]

    def of_inputs(self, values: Tensor) -> Tensor:
        """(I,) to the value of each connection's presynaptic unit."""
        return values[self.sources.cpu()]

    def of_connections(self, what: str, given: PerConnection) -> Tensor:
        """One value for each connection."""
        return _listed(what, given, len(self.sources))

    def draw(self, scheme: str, generator: torch.Generator | None, arguments: Any) -> Tensor:
        """Initial values from a scheme; none is drawn for absent connections."""
        shape = (len(self.sources),)
        values = draw(scheme, shape, self.input_dim, generator, self.output_dim, **arguments)
        if scheme == "identity":  # its gain stands on the diagonal alone
            values = values.where(self.sources == self.targets, 0.0)
        return values

    def sums(self, values: Tensor, by_row: bool) -> Tensor:
        """The sum of stored values onto the postsynaptic unit of each connection, or of all."""
        if not by_row:
            return values.sum()
        rows = self.targets
        return values.new_zeros(self.output_dim).index_add_(0, rows, values).index_select(0, rows)

    def received(self) -> Tensor:
        """(O,): how many connections each unit has."""
        return self.starts.diff()

    def matrix(self, values: Tensor) -> Any:
        """A scipy.sparse CSR array (O, I); the pattern's memory is the layer's own."""
        from scipy.sparse import csr_array

        parts = tuple(part.cpu().numpy() for part in (values, self.sources, self.starts))
        return csr_array(parts, shape=(self.output_dim, self.input_dim))

    def mask(self, values: Tensor) -> Any:
        """A scipy.sparse CSC array (I, O), a copy."""
        return self.matrix(values).T.copy()

    def factor(self, weight: Tensor) -> Tensor | SparseWeight:
        """The weight with its pattern; while torch compiles or transforms a dense matrix, made by
        operations that torch can see."""
        return self.whole(weight) if traced() else SparseWeight(weight, self.pattern)

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor, units: slice = ALL) -> Tensor:
        """x Wᵀ + b, where the inputs are these `units` of x; its memory is (O, ...)."""
        x = x if units == ALL else x[..., units]
        if traced():
            return functional.linear(x, self.whole(weight), bias)
        return sparse_linear(x, weight, self.pattern, bias)

    def connections(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(connection,): presynaptic units, postsynaptic units and stored values."""
        return self.sources, self.targets, values

    def whole(self, values: Tensor) -> Tensor:
        """A matrix (O, I) of stored values, 0 elsewhere."""
        places = self.targets.long(), self.sources.long()
        return values.new_zeros(self.output_dim, self.input_dim).index_put(places, values)


Storage = Dense | Sparse


def storage_of(kind: str, input_dim: int, output_dim: int, sparsity_mask: Any) -> Storage:
    """The storage of a map with this sparsity mask: `dense` or `sparse`; see `connections_of`."""
    one_of("storage", kind, ("dense", "sparse"))
    if sparsity_mask is None:
        if kind == "sparse":
            raise ValueError("sparse storage needs a sparsity_mask")
        return Dense(output_dim, input_dim)
    if kind == "dense" and not _is_pairs(sparsity_mask):
        mask = shaped("sparsity_mask", sparsity_mask, input_dim=input_dim, output_dim=output_dim)
        return Dense(output_dim, input_dim, mask.T.contiguous() > 0)
    sparse = Sparse(output_dim, input_dim, *connections_of(sparsity_mask, input_dim, output_dim))
    if kind == "sparse":
        return sparse
    connected = sparse.whole(torch.ones(len(sparse.sources), dtype=torch.bool))
    return Dense(output_dim, input_dim, connected)


def connections_of(given: Any, input_dim: int, output_dim: int) -> tuple[Tensor, Tensor]:
    """The connections that a sparsity mask names, as the rows and columns of a CSR matrix (O, I).

    Args:
        given: an array (I, O), > 0 for a connection; a scipy.sparse array (I, O) of such; or a
            wiring: any object with `input_dim`, `output_dim`, `starts` (O + 1,) and `sources`
            (connection,), where those onto unit j are sources[starts[j] : starts[j + 1]], rising.

    Returns:
        `starts` and `sources`, int32 copies.

    Raises:
        ValueError: another shape, or a wiring that is out of order.
    """
    if not _is_pairs(given):
        from scipy.sparse import csc_array

        sizes = {"input_dim": input_dim, "output_dim": output_dim}
        given = csc_array(shaped("sparsity_mask", given, **sizes).numpy())
    if hasattr(given, "starts"):
        shape = (given.input_dim, given.output_dim)
        starts, sources = np.array(given.starts, np.int32), np.array(given.sources, np.int32)
    else:
        given = given.tocsc(copy=True)
        given.sum_duplicates()
        if not np.isfinite(given.data).all():
            raise ValueError("sparsity_mask holds NaN or Inf")
        given.data = given.data > 0
        given.eliminate_zeros()
        shape = given.shape
        starts, sources = given.indptr.astype(np.int32), given.indices.astype(np.int32)
    if tuple(shape) != (input_dim, output_dim):
        expected = f"(input_dim={input_dim}, output_dim={output_dim})"
        raise ValueError(f"sparsity_mask is {tuple(shape)}; expected {expected}")
    Wiring(input_dim, output_dim, starts, sources).check()
    return torch.from_numpy(starts), torch.from_numpy(sources)


def _is_pairs(given: Any) -> bool:
    """Whether a sparsity mask is a wiring or a scipy.sparse array, and no whole matrix."""
    return hasattr(given, "starts") or hasattr(given, "tocsc")


def _listed(what: str, given: PerConnection, count: int) -> Tensor:
    """The values (connection,) in float64, if there are as many as connections."""
    values = array(what, given.values)
    if values.shape != (count,):
        raise ValueError(f"{what} is {tuple(values.shape)} per connection; expected ({count},)")
    return values
