"""What is said of single connections: which there are, in which order, and a value for each.

I is `input_dim` (presynaptic), O is `output_dim` (postsynaptic). Connections are ordered by their
postsynaptic and then by their presynaptic unit, as the rows of a weight (O, I) are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netbuild.layers.given import array, shaped


@dataclass(frozen=True, eq=False)
class PerConnection:
    """Values (connection,) for the connections of a layer, in their order.

    The name tells them from a vector over units.
    """

    values: Any


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
    if hasattr(given, "starts"):
        shape = (given.input_dim, given.output_dim)
        starts, sources = np.array(given.starts, np.int32), np.array(given.sources, np.int32)
    elif hasattr(given, "tocsc"):
        given = given.tocsc(copy=True)
        given.sum_duplicates()
        if not np.isfinite(given.data).all():
            raise ValueError("sparsity_mask holds NaN or Inf")
        given.data = given.data > 0
        given.eliminate_zeros()
        shape = given.shape
        starts, sources = given.indptr.astype(np.int32), given.indices.astype(np.int32)
    else:
        mask = shaped("sparsity_mask", given, input_dim=input_dim, output_dim=output_dim)
        shape = (input_dim, output_dim)
        targets, columns = np.nonzero(mask.numpy().T > 0)
        starts = np.zeros(output_dim + 1, np.int32)
        np.cumsum(np.bincount(targets, minlength=output_dim), out=starts[1:])
        sources = columns.astype(np.int32)
    if tuple(shape) != (input_dim, output_dim):
        expected = f"(input_dim={input_dim}, output_dim={output_dim})"
        raise ValueError(f"sparsity_mask is {tuple(shape)}; expected {expected}")
    _check(starts, sources, input_dim, output_dim)
    return torch.from_numpy(starts), torch.from_numpy(sources)


def is_array(given: Any) -> bool:
    """Whether a sparsity mask is an array, and neither a wiring nor of scipy.sparse."""
    return not hasattr(given, "starts") and not hasattr(given, "tocsc")


def targets_of(starts: Tensor, count: int | None = None) -> Tensor:
    """(connection,) int32: the postsynaptic unit of each; `count` of them, where that is known."""
    units = torch.arange(len(starts) - 1, dtype=torch.int32, device=starts.device)
    return units.repeat_interleave(starts.diff(), output_size=count)


def per_connection(what: str, given: PerConnection, count: int) -> Tensor:
    """The values (connection,) in float64, if there are as many as connections."""
    values = array(what, given.values)
    if values.shape != (count,):
        raise ValueError(f"{what} is {tuple(values.shape)} per connection; expected ({count},)")
    return values


def _check(starts: Any, sources: Any, input_dim: int, output_dim: int) -> None:
    lengths = np.diff(starts)
    if starts.shape != (output_dim + 1,) or starts[0] or starts[-1] != len(sources):
        raise ValueError(f"starts must be ({output_dim + 1},), from 0 to the number of sources")
    if (lengths < 0).any():
        raise ValueError("starts must not fall")
    if len(sources) and not 0 <= sources.min() <= sources.max() < input_dim:
        raise ValueError(f"sources must lie between 0 and {input_dim - 1}")
    rising = np.diff(sources) > 0
    first = starts[1:-1]
    rising[first[(first > 0) & (first < len(sources))] - 1] = True  # another postsynaptic unit
    if not rising.all():
        raise ValueError("the sources onto one unit must rise, and be distinct")
