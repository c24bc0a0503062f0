"""Whether a wiring leads from some unit back to itself."""

from __future__ import annotations

import numpy as np

from netbuild.wiring import Wiring


def has_cycle(wiring: Wiring) -> bool:
    """Whether there is a cycle: a self-connection, or a strongly connected component of several.

    `wiring` is of a map from units to themselves.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    if (wiring.sources == wiring.targets).any():
        return True
    n = wiring.output_dim
    ones = np.ones(len(wiring), dtype=np.int8)
    graph = csr_array((ones, wiring.sources, wiring.starts), shape=(n, n))
    count, _ = connected_components(graph, directed=True, connection="strong")
    return bool(count < n)
