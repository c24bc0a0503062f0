"""How a map's connections are kept: as a matrix, or as a wiring with values for these alone."""

from __future__ import annotations

from typing import Any

from netbuild.language import weights
from netbuild.wiring import Connections

# Where sparse products beat dense ones, forward and backward, as benchmarks/sparse.py measures it.
LEAST_PAIRS = 500 * 500
MOST_DENSITY = 0.1
# Above this many pairs of units a sparse map is never made as a matrix first.
LARGE = 10**8
# Inits that need the whole matrix: each value depends on all others, or on where it stands.
WHOLE = (weights.Orthogonal, weights.Identity)


def wants_sparse(section: Any, pairs: int, connections: int) -> bool:
    """Whether a map of so many pairs of units and connections keeps values for the connections."""
    if section.storage != "auto":
        return bool(section.storage == "sparse")
    if isinstance(section.weight, WHOLE) or pairs < LEAST_PAIRS:
        return False
    return connections <= MOST_DENSITY * pairs


def stored(section: Any, made: Connections) -> Connections:
    """Connections in the form of their map's `storage`, converted if necessary."""
    sparse = wants_sparse(section, made.pairs, made.count)
    return made.as_dense() if not sparse else made if made.is_sparse else made.as_sparse()
