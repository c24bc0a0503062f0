"""The units of a layer, or some of them: their areas, their signs and their node table.

Units that stand together and are alike are kept as one run, so that a layer may declare more units
than any machine holds and be refused for it before anything is allocated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from netbuild.files.cells import Value, plain, written
from netbuild.language.context import Here
from netbuild.splits import round_half_up
from netbuild.wording import show

if TYPE_CHECKING:  # which reads files that few specs name
    from netbuild.connectomes import NodeTable

INPUT = "input"  # the name of the network's input, which layers read as they read a layer
SIGNS = {"excitatory": 1, "inhibitory": -1}  # parts of a layer or an area, and values of `sign`
LAYER = "layer"  # the key of a selection that names the layer of the units
MOST_AREAS = 1000  # of a node table; a column of more distinct words names no areas
MOST_VALUES = 1000  # of a column in which the nearest word is looked for

Words: TypeAlias = NDArray[np.object_]  # (unit,), text
Columns: TypeAlias = dict[str, Value | list[Value]]  # of a node table, and the wanted values
Indices: TypeAlias = NDArray[np.intp]

# Units [start, stop) of a layer with one area ("": none) and one sign (1, -1 or 0); `signed` is
# false where the sign is not known.
RUN = np.dtype(
    [
        *(("start", np.int64), ("stop", np.int64)),
        *(("sign", np.int8), ("signed", np.bool_), ("area", np.object_)),
    ]
)


@dataclass(frozen=True, eq=False)
class Units:
    """Units of one layer, in order; `layer` is its name, or "input"."""

    layer: str
    runs: NDArray[np.void]  # (run,) of RUN, rising
    whole: bool = True  # all units of the layer
    table: NodeTable | None = None  # of all units of the layer
    passed: Units | None = None  # the units of another layer that this layer passes on

    @property
    def size(self) -> int:
        """How many units."""
        return int((self.runs["stop"] - self.runs["start"]).sum())

    @property
    def lengths(self) -> Indices:
        """(run,): how many units each run has."""
        return np.asarray(self.runs["stop"] - self.runs["start"])

    @property
    def indices(self) -> Indices:
        """(unit,): the position of each unit in its layer."""
        before = np.cumsum(self.lengths) - self.lengths
        starts = np.repeat(self.runs["start"] - before, self.lengths)
        return np.asarray(starts + np.arange(self.size))

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The units as few [start, stop) of the layer, in order."""
        start, stop = self.runs["start"], self.runs["stop"]
        gaps = start[1:] != stop[:-1]
        first = start[np.concatenate(([True], gaps))] if len(start) else start
        last = stop[np.concatenate((gaps, [True]))] if len(stop) else stop
        return tuple(zip(first.tolist(), last.tolist(), strict=True))

    @property
    def signed(self) -> bool:
        """Whether the sign of any of them is known."""
        return bool(self.runs["signed"].any())

    @property
    def signs(self) -> NDArray[np.int8] | None:
        """(unit,): 1 excitatory, -1 inhibitory, 0 neither; None where no sign is known."""
        return np.repeat(self.runs["sign"], self.lengths) if self.signed else None

    @property
    def area(self) -> Words:
        """(unit,): the area of each, "" where it has none."""
        return np.repeat(self.runs["area"], self.lengths)

    @property
    def areas(self) -> tuple[str, ...]:
        """The names of the areas, in order; none where a table has too many for that."""
        found = tuple(dict.fromkeys(area for area in self.runs["area"].tolist() if area))
        return found if self.table is None or len(found) <= MOST_AREAS else ()

    @property
    def names(self) -> Words:
        """(unit,): as the node table has them."""
        assert self.table is not None
        return self.table.names[self.indices]

    def numbered(self, layer: Units) -> Words:
        """(unit,): `V1_3` or `hidden_17`, where `layer` are all the units of their layer."""
        first: dict[str, int] = {}
        for start, area in layer.runs[["start", "area"]].tolist():
            first.setdefault(area, start)
        named = (
            f"{area or self.layer}_{unit - first[area]}"
            for area, unit in zip(self.area.tolist(), self.indices.tolist(), strict=True)
        )
        return np.array(list(named), dtype=np.object_)

    def column(self, key: str) -> Words | None:
        """(unit,): what the node table says under a column, as text; None without the column.

        `name` and `sign` are columns too. Signs are those that the units have, which a null model
        may have changed.
        """
        if self.table is None:
            return None
        if key == "name":
            return self.names.astype(str).astype(object)
        if key == "sign":
            return None if self.signs is None else self.signs.astype(str).astype(object)
        column = self.table.columns.get(key)
        return None if column is None else column[self.indices]

    @property
    def origin(self) -> tuple[str, Indices]:
        """The layer that these units come from, behind any that passes them on, and which."""
        if self.passed is None:
            return self.layer, self.indices
        layer, indices = self.passed.origin
        return layer, indices[self.indices]

    def _some(self, runs: NDArray[np.void]) -> Units:
        return Units(self.layer, runs, False, self.table, self.passed)

    def part(self, *, area: str | None = None, sign: int | None = None) -> Units:
        """The units of one area, of one sign, or both; it may be none."""
        runs = self.runs
        if area is not None:
            runs = runs[runs["area"] == area]
        if sign is not None:
            runs = runs[runs["signed"] & (runs["sign"] == sign)]
        return self._some(runs)

    def chosen(self, here: NDArray[np.bool_]) -> Units:
        """Those of the units alone where `here`, (unit,), is true."""
        run = np.repeat(np.arange(len(self.runs)), self.lengths)[here]
        return self._some(_joined(self.indices[here], self.runs[run]))

    def at(self, larger: Units) -> Indices:
        """(unit,): the positions of these units among those of a larger selection."""
        return np.searchsorted(larger.indices, self.indices)

    def passed_on(self, layer: str) -> Units:
        """The same units as those of a layer that passes them on, counted from 0."""
        runs = self.runs.copy()
        runs["stop"] = np.cumsum(self.lengths)
        runs["start"] = runs["stop"] - self.lengths
        table = self.table
        if table is not None:
            columns = {name: column[self.indices] for name, column in table.columns.items()}
            table = replace(table, names=self.names, columns=columns, signs=self.signs)
        return Units(layer, runs, table=table, passed=self)


def _joined(indices: Indices, each: NDArray[np.void]) -> NDArray[np.void]:
    """The runs of units: neighbours of one area and sign stand in one. `each` (unit,) of RUN."""
    same = (indices[1:] == indices[:-1] + 1) & (each["area"][1:] == each["area"][:-1])
    same &= each["sign"][1:] == each["sign"][:-1]
    first = np.flatnonzero(np.concatenate(([True], ~same))) if len(indices) else indices
    runs = each[first]
    runs["start"] = indices[first]
    runs["stop"] = indices[np.append(first[1:], len(indices)) - 1] + 1
    return runs


def units_of_areas(layer: str, areas: Iterable[tuple[str, int, float | None]]) -> Units:
    """A layer's units, from (area, size, excitatory fraction) of each of its areas.

    The first round-half-up(excitatory x size) units of each are excitatory, the rest inhibitory.
    """
    runs: list[tuple[Any, ...]] = []
    start = 0
    for area, size, fraction in areas:
        middle = start + (size if fraction is None else round_half_up(fraction, size))
        signed = fraction is not None
        runs += [(start, middle, int(signed), signed, area), (middle, start + size, -1, True, area)]
        start += size
    return Units(layer, np.array([run for run in runs if run[1] > run[0]], RUN))


def units_of_table(layer: str, table: NodeTable) -> Units:
    """All units of a layer, from its node table."""
    each = np.zeros(len(table.names), RUN)
    each["area"] = table.columns.get("area", "")
    each["signed"] = table.signs is not None
    each["sign"] = 0 if table.signs is None else table.signs
    return Units(layer, _joined(np.arange(len(each)), each), table=table)


def units_of_input(width: int, channels: Mapping[str, Sequence[int]]) -> Units:
    """A network's input; `channels` are the inputs that have a name."""
    if not channels:
        return units_of_areas(INPUT, [("", width, None)])
    names = {unit: name for name, units in channels.items() for unit in units}
    return units_of_areas(INPUT, [(names.get(unit, ""), 1, None) for unit in range(width)])


# Selections of units, as a spec may write them

WORD = r"^[A-Za-z][A-Za-z0-9_]*(\.(excitatory|inhibitory))?$"
MOST = 1000  # values of a column
EXACT = 2**53  # from here on a float may represent several whole numbers


def is_columns(value: Any) -> bool:
    """Whether a value is `{kind: sensory}`: columns, each with its value or a list of such."""
    if not isinstance(value, dict) or not value:
        return False
    cells = [each if isinstance(each, list) else [each] for each in value.values()]
    return all(isinstance(key, str) for key in value) and all(
        0 < len(some) <= MOST and all(map(_is_cell, some)) for some in cells
    )


def _is_cell(value: Any) -> bool:
    """Whether a value is text or a number, which a cell can be compared with."""
    return type(value) in (str, int) or (type(value) is float and abs(value) < EXACT)


def _selection(value: Any) -> Any:
    if isinstance(value, str) or is_columns(value):
        return value
    raise PydanticCustomError("selection", "no selection")


def _columns(value: Any) -> Any:
    if is_columns(value):
        return value
    raise PydanticCustomError("selection_columns", "no columns")


_VALUE = {"type": ["string", "number"]}
COLUMNS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"anyOf": [_VALUE, {"type": "array", "items": _VALUE, "minItems": 1}]},
}
# Its form is checked against the layers, which allows better hints than a pattern.
Selection = Annotated[
    str | Columns,
    PlainValidator(_selection, json_schema_input_type=Any),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": WORD}, COLUMNS_SCHEMA]}),
]
ByColumns = Annotated[
    Columns,
    PlainValidator(_columns, json_schema_input_type=Any),
    WithJsonSchema(COLUMNS_SCHEMA),
]


# Selections of units, among those of a layer


def spelled(selection: str | Columns) -> str:
    """A selection in one word, as names of random streams have it: `kind=sensory,inter`."""
    if isinstance(selection, str):
        return selection
    return "&".join(
        f"{key}={','.join(map(written, value)) if isinstance(value, list) else written(value)}"
        for key, value in sorted(selection.items())
    )


def select(here: Here, whole: Units, wanted: str | Columns, verb: str = "reads") -> Units | None:
    """The units that a selection means among those of one layer; None with a problem noted.

    A selection is the name of the layer or of an area, each perhaps with `.excitatory` or
    `.inhibitory`, or columns of the node table with their values. `verb` says what the map, or the
    regularizer, does to the units.
    """
    if not isinstance(wanted, str):
        if wanted.get(LAYER, whole.layer) != whole.layer:
            what = f"this map {verb} `{whole.layer}`"
            here[LAYER].problem("NB302", what, f"remove `{LAYER}`", key=True)
            return None
        return _of_columns(here, whole, wanted)
    name = wanted.partition(".")[0]
    known = [whole.layer, *whole.areas]
    if name not in known:
        what = f"`{show(name)}` is not an area of `{whole.layer}`"
        if whole.layer == INPUT:
            what = f"no channel of the input is named `{show(name)}`"
        if name in (*here.context.layer_names, INPUT):
            what = f"this map {verb} `{whole.layer}`, not `{name}`"
        hint = f"write `{whole.layer}.{name}`" if name in SIGNS and whole.signed else ""
        here.problem("NB302", what, hint or here.context.near(name, known))
        return None
    return part_of(here, whole, wanted)


def chosen_of(
    here: Here, whole: Units, wanted: str | Columns | None, verb: str
) -> NDArray[np.bool_] | None:
    """(unit,): which units a selection means, as in `select`; without a selection, all."""
    chosen = whole if wanted is None else select(here, whole, wanted, verb)
    return None if chosen is None else np.isin(whole.indices, chosen.indices)


def part_of(here: Here, whole: Units | None, text: str) -> Units | None:
    """The units of `hidden`, `V1` or `V1.excitatory`, among `whole`, which has the first word.

    None with a problem noted. Where `whole` is None, its own problem is noted already, and only the
    second word is checked.
    """
    name, dot, part = text.partition(".")
    if dot and part not in SIGNS:
        hint = here.context.near(text, [f"{name}.{sign}" for sign in SIGNS])
        if whole is not None and part.partition(".")[0] in whole.areas:
            hint = f"an area is named alone: write `{part}`"
        here.problem("NB302", f"`{show(text)}` names no units", hint)
        return None
    if dot and INPUT in (name, whole.layer if whole else ""):
        here.problem("NB302", "a network's inputs have no signs", f"read `{name}`")
        return None
    if whole is None:
        return None
    chosen = whole if name == whole.layer else whole.part(area=name)
    if not dot:
        return chosen
    if not chosen.signed:
        hint = f"give `{name}` a key `excitatory`, e.g. `excitatory: 0.8`"
        if whole.table is not None:
            hint = "give its node table a column of signs"
        here.problem("NB302", f"the units of `{name}` have no signs", hint)
        return None
    signed = chosen.part(sign=SIGNS[part])
    if not signed.size:
        what, count = f"`{name}` has no {part} units", chosen.size
        here.problem("NB302", what, f"its {count} units are all of the other sign")
        return None
    return signed


def _of_columns(here: Here, whole: Units, wanted: Columns) -> Units | None:
    """The units whose columns have the wanted values."""
    asked = {key: value for key, value in wanted.items() if key != LAYER}
    if not asked:
        return whole
    if whole.table is None:
        what = f"the units of `{whole.layer}` have no node table to select by"
        hint = "name them: `V1`, `hidden.excitatory`; a table comes with `connectome`"
        here.problem("NB302", what, hint)
        return None
    kept = np.ones(whole.size, dtype=bool)
    for key, value in asked.items():
        values = value if isinstance(value, list) else [value]
        found = _where(here[key], whole, key, values)
        if found is None:
            return None
        kept &= found
    if not kept.any():
        what = f"no unit of `{whole.layer}` matches all of this: {show(spelled(asked))}"
        here.problem("NB302", what)
        return None
    return whole.chosen(kept)


def _where(here: Here, whole: Units, key: str, values: list[Value]) -> NDArray[np.bool_] | None:
    """(unit,): whether a column has one of the values; each of them must be there.

    A number fits the cells of its value, text those of the same text alone; names are text.
    """
    column = whole.column(key)
    if column is None:
        assert whole.table is not None
        known = [*whole.table.columns, "name", *(["sign"] if whole.signed else [])]
        what = f"the node table of `{whole.layer}` has no column `{show(key)}`"
        here.problem("NB302", what, here.context.near(key, known), key=True)
        return None
    has_one = np.zeros(whole.size, dtype=bool)
    numbers = column
    if key != "name" and not all(isinstance(value, str) for value in values):
        numbers = np.array([plain(cell) for cell in column.tolist()], object)
    for value in values:
        text = str(SIGNS.get(str(value), value)) if key == "sign" else str(value)
        by_value = key != "name" and not isinstance(value, str)
        found = numbers == written(value) if by_value else column == text
        if not found.any():
            known = list(dict.fromkeys(column.tolist()))
            hint = here.context.near(text, known) if len(known) <= MOST_VALUES else ""
            what = f"no unit of `{whole.layer}` has `{show(key)}: {show(str(value))}`"
            here.problem("NB302", what, hint)
            return None
        has_one |= found
    return has_one
