"""The labels of units in results: name, area, sign, and columns of a node table."""

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

COLUMN = "column/"  # in files, stands before the name of a column
OWN = ("name", "area", "sign")  # columns that units have also without a node table
MOST_NEAR = 1000  # different values of a column; hints look for the nearest of so many at most


class Units(NamedTuple):
    """The labels of a layer's units, or of some of them, in order; arrays (unit,)."""

    name: NDArray[np.str_]  # "V1_3", the fourth unit of the area V1; "hidden_17" without areas
    area: NDArray[np.str_]  # "" without areas
    sign: NDArray[np.int8]  # 1 excitatory, -1 inhibitory, 0 neither
    columns: Mapping[str, NDArray[np.str_]] = MappingProxyType({})  # further ones of a node table

    def at(self, order: NDArray[Any]) -> Units:
        """The labels of some units; `order` holds positions, or is (unit,) bool."""
        columns = {name: values[order] for name, values in self.columns.items()}
        return Units(self.name[order], self.area[order], self.sign[order], columns)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Names and arrays for a file: `name`, `area`, `sign`, and `column/<name>`."""
        columns = {f"{COLUMN}{name}": values for name, values in self.columns.items()}
        return {"name": self.name, "area": self.area, "sign": self.sign, **columns}

    def column(self, name: str) -> NDArray[np.str_] | None:
        """(unit,): `name`, `area`, `sign`, or a column of the node table; None where missing."""
        own = {
            "name": self.name,
            "area": self.area if (self.area != "").any() else None,
            "sign": self.sign.astype(np.str_) if self.sign.any() else None,
        }
        return own[name] if name in own else self.columns.get(name)

    def where(self, selection: str) -> NDArray[np.bool_]:
        """(unit,): which units a selection means.

        A selection is a unit's name, an area, `excitatory`, `inhibitory`, `COLUMN=VALUE` or
        `COLUMN=VALUE,VALUE`, or several of these joined by `&`, which must all hold. A column is
        `name`, `area`, `sign` or a column of the node table. Raises NetbuildError (exit 2) for a
        column, a value or a word that no unit has, with the nearest one as a hint, and where no
        unit fits all parts.
        """
        found = self._named(selection)  # a name may contain `&`
        if found is not None:
            return found
        here = np.logical_and.reduce([self._part(part) for part in selection.split("&")])
        if not here.any():
            raise unusable(f"no unit matches all of this: `{selection}`")
        return np.asarray(here)

    def _named(self, word: str) -> NDArray[np.bool_] | None:
        """(unit,): the unit of a name, else the units of an area; None without such units."""
        for values in (self.name, self.area):
            here = values == word
            if word and here.any():
                return np.asarray(here)
        return None

    def _part(self, part: str) -> NDArray[np.bool_]:
        """(unit,): the units that one part of a selection means."""
        found = self._named(part)
        if found is not None:
            return found
        name, equals, value = part.partition("=")
        if equals:
            return self._valued(name.strip(), value.strip())
        here = np.asarray(self.sign == SIGNS.get(part, 2))  # no unit has the sign 2
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
        """(unit,): the units whose column has a value, or one of several values."""
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
    """The error (exit 2) for a column that units do not have; `known` are their columns."""
    hint = near(name, known) or "columns come from the node table of a connectome"
    return unusable(f"these units have no column `{name}`", hint)


def unusable(what: str, hint: str = "") -> NetbuildError:
    """The error (exit 2) where results do not have what the user asks for."""
    return NetbuildError(what, Exit.USAGE, hint)


def units_from(arrays: Mapping[str, NDArray[Any]]) -> Units:
    """The reverse of `Units.arrays`; raises KeyError where an array is missing."""
    columns = {n.removeprefix(COLUMN): a for n, a in arrays.items() if n.startswith(COLUMN)}
    return Units(arrays["name"], arrays["area"], arrays["sign"], columns)


def units_of(units: LayerUnits, plans: Mapping[str, LayerPlan]) -> Units:
    """The labels of units of a plan; `plans` are those of all layers.

    A unit has the same name in all results: the name in its node table, or its number in its area.
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
