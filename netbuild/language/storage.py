"""How a map is kept: as a whole matrix, or as values of its connections alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from netbuild.language import weights
from netbuild.language.maps import Map
from netbuild.language.plan import MapPlan, Matrix
from netbuild.wiring import Wiring, from_matrix

# Where sparse products beat dense ones, forward and backward, as benchmarks/sparse.py measures it.
LEAST_PAIRS = 500 * 500
MOST_DENSITY = 0.1
# Inits that mean a whole matrix: of which a value depends on all others, or that are its diagonal.
WHOLE = (weights.Orthogonal, weights.Identity)


def wants_sparse(words: Map, pairs: int, connections: int) -> bool:
    """Whether a map of so many pairs of units and connections keeps these alone."""
    if words.storage != "auto":
        return words.storage == "sparse"
    if isinstance(words.weight, WHOLE) or pairs < LEAST_PAIRS:
        return False
    return connections <= MOST_DENSITY * pairs


def stored(words: Map, plan: MapPlan) -> MapPlan:
    """A plan as its map's `storage` wants it, whichever way its arrays were made."""
    pairs = plan.input_dim * plan.output_dim
    if plan.wiring is None:
        count = pairs if plan.connected is None else int(np.count_nonzero(plan.connected))
        return _as_sparse(plan) if wants_sparse(words, pairs, count) else plan
    return plan if wants_sparse(words, pairs, len(plan.wiring)) else as_dense(plan)


def _as_sparse(plan: MapPlan) -> MapPlan:
    everything = np.ones((plan.input_dim, plan.output_dim), dtype=bool)
    wiring = from_matrix(everything if plan.connected is None else plan.connected)
    return replace(
        plan,
        wiring=wiring,
        connected=None,
        plasticity=_gathered(wiring, plan.plasticity),
        weight=None if plan.weight is None else _gathered(wiring, plan.weight.T),
    )


def as_dense(plan: MapPlan) -> MapPlan:
    """A plan with a wiring as one with matrices, in which values of connections have a place."""
    wiring = plan.wiring
    assert wiring is not None
    weight, groups = plan.weight, plan.groups
    if weight is not None and weight.ndim == 1:
        weight = np.ascontiguousarray(wiring.matrix(weight).T)
    return replace(
        plan,
        wiring=None,
        connected=wiring.matrix(),
        plasticity=_spread(wiring, plan.plasticity),
        weight=weight,
        groups=_spread(wiring, groups),
    )


def _gathered(wiring: Wiring, matrix: Matrix | None) -> Matrix | None:
    """(connection,) from (input_dim, output_dim)."""
    return matrix if matrix is None or matrix.ndim == 1 else wiring.of(matrix)


def _spread(wiring: Wiring, values: Matrix | None) -> Matrix | None:
    """(input_dim, output_dim) from (connection,)."""
    return values if values is None or values.ndim == 2 else wiring.matrix(values)
