"""Connections as a file lists them, before names are matched and policies applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from netbuild.wording import show

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class RawEdges:
    """The rows or cells of one file that say that a connection exists; duplicates are kept.

    Units are told apart by whole numbers (int64 ids), by names (str or object arrays of stripped
    text), or (`numbered`) by their positions: in `names` where there are any, else in a matrix of
    `n` units without labels.
    """

    pre: Array  # (row,): int64, or names
    post: Array  # (row,): of the same kind
    weight: npt.NDArray[np.float64] | None  # (row,), None: every row counts 1
    type: Array | None = None  # (row,): neurotransmitters, stripped text; "" is unknown
    types: Array | None = None  # the distinct ones, where `type` holds positions in them
    names: Array | None = None  # (unit,): all units in order, where the format lists them
    kind: Array | None = None  # (row,): positions in `kinds`, which are of synapses
    kinds: Array | None = None  # (kind,): chemical, electrical ...; "" is unknown
    numbered: bool = False  # pre and post are positions
    n: int = 0  # the number of units, where `numbered`
    rows: int = 0  # rows of a table, or cells of a matrix, that were read
    dropped: Mapping[str, int] = field(default_factory=dict)  # reason -> rows, in plain words
    columns: Mapping[str, str] = field(default_factory=dict)  # "pre" -> the column that was used
    first_row: int | None = None  # the number of row 0 in its file; None: a matrix
    places: Array | None = None  # (row,): the numbers themselves, where some rows were left out

    def place(self, row: int) -> str:
        """Where a row stands, in words: `row 12`; a matrix's cells go by their units."""
        if self.places is not None:
            return f"row {int(self.places[row])}"
        if self.first_row is not None:
            return f"row {row + self.first_row}"
        units = self.names if self.numbered and self.names is not None else None
        pre, post = self.pre[row], self.post[row]
        if units is not None:
            pre, post = units[pre], units[post]
        elif self.numbered:
            pre, post = f"unit {pre}", f"unit {post}"
        return f"the connection from {show(str(pre))} to {show(str(post))}"
