"""Populations whose units have names: what a node table says of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from netbuild.language.population import Population

MOST_AREAS = 1000  # of a node table; a column of more distinct words names no areas
Words: TypeAlias = NDArray[np.object_]  # (unit,), text


class Table(Protocol):
    """What a node table says of the units of a layer, in order."""

    @property
    def names(self) -> Words:
        """(unit,): distinct."""

    @property
    def columns(self) -> Mapping[str, Words]:
        """Each (unit,), as text."""

    @property
    def signs(self) -> NDArray[np.int8] | None:
        """(unit,): 1, -1 or 0; None where nothing is known of any."""


@dataclass(frozen=True, eq=False)
class Named(Population):
    """Units that a node table names; `chosen` are positions in it, which are those in the layer."""

    table: Table = field(kw_only=True)
    chosen: NDArray[np.intp] = field(kw_only=True)

    @property
    def size(self) -> int:
        """How many units."""
        return len(self.chosen)

    @property
    def signed(self) -> bool:
        """Whether the table has signs."""
        return self.table.signs is not None

    @property
    def signs(self) -> NDArray[np.int8] | None:
        """(unit,): 1 excitatory, -1 inhibitory, 0 neither; None where the table has no signs."""
        return None if self.table.signs is None else self.table.signs[self.chosen]

    @property
    def names(self) -> Words:
        """(unit,): as the table has them."""
        return self.table.names[self.chosen]

    def column(self, key: str) -> Words | None:
        """(unit,): what the table says under a column, `name` or `sign` as text; None: nothing.

        Signs are those that the units have, which a null model may have changed.
        """
        if key == "name":
            return self.names.astype(str).astype(object)
        if key == "sign":
            return None if self.signs is None else self.signs.astype(str).astype(object)
        column = self.table.columns.get(key)
        return None if column is None else column[self.chosen]

    @property
    def area(self) -> Words | None:
        """(unit,): the area of each, "" where it has none; None where the table has no areas."""
        column = self.table.columns.get("area")
        return None if column is None else column[self.chosen]

    @property
    def areas(self) -> tuple[str, ...]:
        """The names of the areas, in order; none where there are too many for that."""
        if self.area is None:
            return ()
        found = tuple(dict.fromkeys(area for area in self.area.tolist() if area))
        return found if len(found) <= MOST_AREAS else ()

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The units as few [start, stop) of the layer, in order."""
        if not len(self.chosen):
            return ()
        breaks = np.flatnonzero(np.diff(self.chosen) != 1) + 1
        first = self.chosen[np.concatenate(([0], breaks))]
        last = self.chosen[np.concatenate((breaks, [len(self.chosen)])) - 1] + 1
        return tuple(zip(first.tolist(), last.tolist(), strict=True))

    @property
    def indices(self) -> NDArray[np.intp]:
        """(unit,): the position of each unit in its layer."""
        return self.chosen

    def among(self, here: NDArray[np.bool_]) -> Named:
        """Those of the units alone where `here`, (unit,), is true."""
        return replace(self, whole=False, chosen=self.chosen[here])

    def part(self, *, area: str | None = None, sign: int | None = None) -> Named:
        """The units of one area, of one sign, or both; it may be none."""
        here = np.ones(self.size, dtype=bool)
        if area is not None:
            here &= False if self.area is None else self.area == area
        if sign is not None:
            here &= False if self.signs is None else self.signs == sign
        return self.among(here)

    def passed_on(self, layer: str) -> Named:
        """The same units as those of a layer that passes them on, counted from 0."""
        table = Rows(self.table, self.chosen)
        return Named(layer, (), table=table, chosen=np.arange(self.size))


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a node table, as a table."""

    whole: Table
    rows: NDArray[np.intp]

    @property
    def names(self) -> Words:
        """(unit,)."""
        return self.whole.names[self.rows]

    @property
    def columns(self) -> Mapping[str, Words]:
        """Each (unit,)."""
        return {name: column[self.rows] for name, column in self.whole.columns.items()}

    @property
    def signs(self) -> NDArray[np.int8] | None:
        """(unit,), or None."""
        return None if self.whole.signs is None else self.whole.signs[self.rows]


def named(layer: str, table: Table) -> Named:
    """All units of a layer, from its node table."""
    return Named(layer, (), table=table, chosen=np.arange(len(table.names)))
