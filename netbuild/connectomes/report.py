"""What was read and what was made of it, as plain numbers that can be printed and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from netbuild.connectomes.policies import Counted, pairs_of
from netbuild.connectomes.source import FileRead
from netbuild.wiring import Wiring


@dataclass(frozen=True, eq=False)
class Report:
    """What reading a connectome did; the wiring is counted only when its numbers are used.

    pairs = rows - dropped - merged, and edges = pairs - removed + symmetrized.
    """

    wiring: Wiring
    signs: npt.NDArray[np.int8] | None
    rows: int  # rows, or cells, of the edge file
    counted: Counted
    files: Mapping[str, FileRead]  # "edges", "neurons"
    columns: Mapping[str, Mapping[str, str]]  # "edges", "neurons" -> what for -> column
    policies: Mapping[str, Any]  # the keys that were followed
    dropped: Mapping[str, int] = field(default_factory=dict)  # reason -> rows
    types: Mapping[str, int] = field(default_factory=dict)  # transmitters, or synapses -> rows
    origin: Mapping[str, Any] | None = None  # of a native file: the report of what it was made from

    @property
    def mixed(self) -> int:
        """Connections that merge rows of different kinds of synapse, chemical and electrical.

        Of a native file: what was counted when it was made.
        """
        before = (self.origin or {}).get("mixed", 0)
        return self.counted.mixed or (before if type(before) is int else 0)

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        return self.facts() | {"wiring": statistics(self.wiring, self.signs)}

    def facts(self) -> dict[str, Any]:
        """What is known without counting the wiring, as plain JSON."""
        return {
            "rows": self.rows,
            "dropped": dict(self.dropped),
            "duplicates_merged": self.counted.merged,
            "mixed": self.mixed,
            "symmetrized": self.counted.symmetrized,
            "removed": {
                "self_connections": self.counted.self_connections,
                "min_weight": self.counted.min_weight,
            },
            "types": dict(self.types),
            "files": {key: file.as_dict() for key, file in self.files.items()},
            "columns": {key: dict(columns) for key, columns in self.columns.items()},
            "policies": dict(self.policies),
            "origin": None if self.origin is None else dict(self.origin),
        }


def statistics(wiring: Wiring, signs: npt.NDArray[np.int8] | None) -> dict[str, Any]:
    """n, edges, density, self-connections, reciprocity, degrees, signs, isolated units.

    Reciprocity is the fraction of the connections between two different neurons that have one the
    other way round; None where there are no such connections.
    """
    n, sources, targets = wiring.input_dim, wiring.sources, wiring.targets
    loops = int(np.count_nonzero(sources == targets))
    indegree = np.diff(wiring.starts)
    outdegree = np.bincount(sources, minlength=n)
    return {
        "n": n,
        "edges": len(wiring),
        "density": wiring.density,
        "self_connections": loops,
        "reciprocity": reciprocity(wiring, loops),
        "indegree": degrees(indegree),
        "outdegree": degrees(outdegree),
        "isolated": int(np.count_nonzero((indegree == 0) & (outdegree == 0))),
        "excitatory": None if signs is None else int(np.count_nonzero(signs > 0)),
        "inhibitory": None if signs is None else int(np.count_nonzero(signs < 0)),
        "free": n if signs is None else int(np.count_nonzero(signs == 0)),
    }


def reciprocity(wiring: Wiring, loops: int) -> float | None:
    """The fraction of connections i -> j, i != j, for which j -> i exists."""
    others = len(wiring) - loops
    if not others:
        return None
    sources, targets = wiring.sources, wiring.targets
    low, high = np.minimum(sources, targets), np.maximum(sources, targets)
    pairs = pairs_of(high, low, wiring.input_dim)  # the same for both directions
    pairs.sort()
    return 2 * int(np.count_nonzero(pairs[1:] == pairs[:-1])) / others


def degrees(numbers: npt.NDArray[Any]) -> dict[str, float]:
    """The least, the median, the mean and the largest."""
    return {
        "min": int(numbers.min()),
        "median": float(np.median(numbers)),
        "mean": float(numbers.mean()),
        "max": int(numbers.max()),
    }
