"""The units of a layer as results label them: name, area, sign, and columns of a node table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netbuild.errors import Exit, NetbuildError
from netbuild.language.plan import LayerPlan
from netbuild.language.units import SIGNS
from netbuild.language.units import Units as LayerUnits
from netbuild.wording import did_you_mean, near

COLUMN = "column/"  # before the name of a column, in files
OWN = ("name", "area", "sign")  # columns of a node table that units have by themselves
MOST_NEAR = 1000  # different words of a column, among which the nearest one is searched for a hint


class Units(NamedTuple):
    """The units of a layer, or those of them that a map reads, in order; arrays (unit,)."""

    name: NDArray[np.str_]  # "V1_3", the fourth unit of the area V1; "hidden_17" without areas
    area: NDArray[np.str_]  # "" without areas
    sign: NDArray[np.int8]  # 1 excitatory, -1 inhibitory, 0 neither
    columns: Mapping[str, NDArray[np.str_]] = MappingProxyType({})  # the others of a node table

    def at(self, order: NDArray[Any]) -> Units:
        """Some of the units, in another order; `order` is positions, or (unit,) bool."""
        columns = {name: values[order] for name, values in self.columns.items()}
        return Units(self.name[order], self.area[order], self.sign[order], columns)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Names and arrays for a file: `name`, `area`, `sign`, and `column/<name>`."""
        columns = {f"{COLUMN}{name}": values for name, values in self.columns.items()}
        return {"name": self.name, "area": self.area, "sign": self.sign, **columns}

    def column(self, name: str) -> NDArray[np.str_] | None:
        """(unit,): a column of the node table, or `name`, `area`, `sign`; None without it."""
        if name == "area":
            return self.area if (self.area != "").any() else None
        if name == "sign":
            return self.sign.astype(np.str_) if self.sign.any() else None
        if name == "name":
            return self.name
        return self.columns.get(name)

    def where(self, selection: str) -> NDArray[np.bool_]:
        """(unit,): which units a selection means.

        It is a unit's name, an area, `excitatory`, `inhibitory`, `COLUMN=VALUE` or
        `COLUMN=VALUE,VALUE`, or several of these with `&` between, which must all hold. A column
        is one of the node table, or `name`, `area`, `sign`. Raises NetbuildError (exit 2) for a
        column, a value or a word that no unit has, with the nearest one, and where none has all.
        """
        found = self._called(selection)
        if found is not None:
            return found
        here = np.ones(len(self.name), dtype=bool)
        for part in selection.split("&"):
            here &= self._of(part)
        if not here.any():
            raise unusable(f"no unit matches all of this: `{selection}`")
        return here

    def _called(self, word: str) -> NDArray[np.bool_] | None:
        """(unit,): those of a name, else of an area; None where there is none."""
        for values in (self.name, self.area):
            here = values == word
            if word and here.any():
                return np.asarray(here)
        return None

    def _of(self, part: str) -> NDArray[np.bool_]:
        """(unit,): those that one part of a selection means."""
        found = self._called(part)
        if found is not None:
            return found
        name, equals, value = part.partition("=")
        if equals:
            return self._valued(name.strip(), value.strip())
        here = np.asarray(self.sign == SIGNS.get(part, 2))  # 2: of no unit
        if not here.any():
            words = [*SIGNS] if self.sign.any() else []
            names = [*words, *dict.fromkeys(self.area[self.area != ""].tolist()), *self.name]
            hint = did_you_mean(part, sorted(set(names)))
            every = f"{self.name[0]} .. {self.name[-1]}" if len(names) > 1 else str(self.name[0])
            known = [*words, "an area", *(f"{column}=..." for column in self.columns)]
            hint = hint or f"it can be {', '.join(known)}, or one of {every}"
            raise unusable(f"there is no unit called `{part}`", hint)
        return here

    def _valued(self, name: str, text: str) -> NDArray[np.bool_]:
        """(unit,): those whose column has the value, or one of several."""
        column = self.column(name)
        if column is None:
            own = (word for word in OWN if self.column(word) is not None)
            raise no_column(name, [*self.columns, *own])
        values = [text] if (column == text).any() else [word.strip() for word in text.split(",")]
        here = np.zeros(len(column), dtype=bool)
        for value in values:
            wanted = str(SIGNS.get(value, value)) if name == "sign" else value
            found = column == wanted
            if not found.any():
                known = np.unique(column).tolist()
                hint = near(value, known) if len(known) <= MOST_NEAR else ""
                raise unusable(f"no unit has `{name}={value}`", hint)
            here |= found
        return here


def no_column(name: str, known: Iterable[str]) -> NetbuildError:
    """The error of a column that is none of those that are known."""
    hint = near(name, known) or "columns come from the node table of a connectome"
    return unusable(f"these units have no column `{name}`", hint)


def unusable(what: str, hint: str = "") -> NetbuildError:
    """The error (exit 2) of something asked for that these results do not have."""
    return NetbuildError(what, Exit.USAGE, hint)


def units_from(arrays: Mapping[str, NDArray[Any]]) -> Units:
    """The units that `Units.arrays` gave; raises KeyError where something is missing."""
    columns = {n.removeprefix(COLUMN): a for n, a in arrays.items() if n.startswith(COLUMN)}
    return Units(arrays["name"], arrays["area"], arrays["sign"], columns)


def units_of(units: LayerUnits, plans: Mapping[str, LayerPlan]) -> Units:
    """The units that a map reads or gives; `plans` are all the layers'.

    A unit has the same name wherever it is read: its node table's, or its number in its own area
    of its own layer.
    """
    signs, columns = units.signs, {}
    if units.table is not None:
        names = units.names
        columns = {
            name: values[units.indices].astype(np.str_)
            for name, values in units.table.columns.items()
            if name not in OWN
        }
    else:
        layer = plans[units.layer].gives if units.layer in plans else units
        names = units.numbered(layer)
    return Units(
        names.astype(np.str_),
        units.area.astype(np.str_),
        np.zeros(units.size, np.int8) if signs is None else signs,
        columns,
    )
