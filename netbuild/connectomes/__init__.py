"""Connectomes from files: edge lists, node tables, matrices; names, counts, signs; never torch.

- options: the policies, under the spec's names
- connectome: from files to wiring, counts and signs; nodes: node tables; report: what was done
- files, tables, edges: one open and one digest; polars; edge lists; faults: what is wrong there
- known: columns that are recognised
- probe, trial: another process reads a binary table first
- adjacency, dense, sparse_npz, matlab, graphml: matrices and graphs
- raw, matching, policies, signs: from rows to one connection for each pair
- native: what reading came to, in a form that loads at once
- controls: null models

Polars and scipy are imported when a file of theirs is read, and not before.
"""

from netbuild.connectomes.connectome import Connectome, read_connectome, write_native
from netbuild.connectomes.controls import control
from netbuild.connectomes.nodes import NodeTable, read_nodes
from netbuild.connectomes.options import OptionError, Options
from netbuild.connectomes.report import Report

__all__ = [
    "Connectome",
    "NodeTable",
    "OptionError",
    "Options",
    "Report",
    "control",
    "read_connectome",
    "read_nodes",
    "write_native",
]
