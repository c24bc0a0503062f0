"""Connectomes from files: edge lists, node tables, matrices; names, counts, signs; never torch.

- connectome: from files to wiring, counts and signs; report: what was done on the way
- source: the bytes of a file; tables, arrow: text by polars, binary tables by pyarrow
- edges, matrices, matlab, graphml: the formats, all of which give `rows`
- nodes: node tables and signs; policies: from rows to one connection for each pair
- native: a connectome as it was read, in a form that loads at once
- controls: null models

Polars, pyarrow and scipy are imported when a file of theirs is read, and not before.
"""

from netbuild.connectomes.connectome import Connectome, read_connectome, write_native
from netbuild.connectomes.controls import control
from netbuild.connectomes.nodes import NodeTable, read_nodes
from netbuild.connectomes.report import Report

__all__ = [
    "Connectome",
    "NodeTable",
    "Report",
    "control",
    "read_connectome",
    "read_nodes",
    "write_native",
]
