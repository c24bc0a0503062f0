"""Edge lists: one row a connection, from text, Parquet or Feather.

Ids stay whole numbers from the file to the last look-up: an id of 18 digits is not exact as a
floating-point number, and two neurons would become one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from netbuild.connectomes import tables
from netbuild.connectomes.files import Source
from netbuild.connectomes.known import KINDS, TRANSMITTERS, WEIGHTS, settle
from netbuild.connectomes.options import OptionError, Options, spelled
from netbuild.connectomes.raw import RawEdges
from netbuild.connectomes.tables import (
    INTEGER,
    NUMBER,
    WHOLE,
    CellsError,
    Table,
    as_objects,
    float_ids,
    stripped,
)
from netbuild.errors import DataFileError
from netbuild.files.cells import Value, meant
from netbuild.wording import show

ENDS = (
    ("pre", "post"),
    ("source", "target"),
    ("pre_root_id", "post_root_id"),
    ("pre_pt_root_id", "post_pt_root_id"),
    ("bodyid_pre", "bodyid_post"),
)
COUNT = r"^[+-]?\d{1,18}$"
Labels = tuple[npt.NDArray[np.int32], npt.NDArray[np.object_]]  # positions, in words
SHOWN_VALUES = 5  # values of a column, in a message


def ends_of(table: Table, options: Options) -> tuple[str, str] | None:
    """The columns of the two neurons, given or recognised; None where they are not recognised.

    Raises DataFileError NB211 where a given one is missing, or two pairs are recognised.
    """
    pairs = {
        (pre, post): tuple(filter(None, (tables.first_known(table, [end]) for end in (pre, post))))
        for pre, post in ENDS
    }
    known = [(found[0], found[1]) for found in pairs.values() if len(found) == 2]
    if options.pre is not None and options.post is not None:
        return tables.given(table, "pre", options.pre), tables.given(table, "post", options.post)
    if options.pre is not None or options.post is not None:
        raise OptionError(
            "post" if options.pre is None else "pre",
            "NB211",
            f"of the two columns of neurons of {table.name} only one is given",
            f"say both, {spelled('pre', 'post')}; its columns are {tables.listed(table)}",
        )
    if len(known) > 1:
        (first, _), (second, _) = known[:2]
        raise DataFileError(
            "NB211",
            f"{table.name} has two pairs of columns for neurons, {first} and {second} among them",
            f"say which are meant: {spelled('pre', 'post')}",
        )
    return known[0] if known else None


def read(source: Source, table: Table, ends: tuple[str, str], options: Options) -> RawEdges:
    """The rows that `where` keeps, with the neurons as positions in their sorted names.

    Raises DataFileError: NB204 (malformed), NB205 (a weight that is missing or no number), NB211
    (columns), NB212 (a neuron without a name), NB213 (ids as floating-point numbers), NB215 (no
    rows).
    """
    columns = {"pre": ends[0], "post": ends[1]}
    for key, given, known in (
        ("weight", options.weight, WEIGHTS),
        ("type", options.type, TRANSMITTERS),
    ):
        column = tables.given(table, key, given) if given else tables.first_known(table, known)
        if column is not None:
            columns[key] = column
    filters = {
        f"where {i}": tables.given(table, "where", column) for i, column in enumerate(options.where)
    }
    if (of_synapses := tables.first_known(table, KINDS)) is not None:
        columns["kind"] = of_synapses
    frame = parsed(table, columns | filters)
    rows = frame.height
    frame, dropped, places = chosen(table, frame, options.kept(), filters)
    if not frame.height:
        raise DataFileError("NB215", f"{table.name} has no rows", "it holds a header alone")
    names, pre, post = coded(table, frame, columns, places)
    weight = None
    if "weight" in columns:
        weight = weights(table, frame["weight"], columns["weight"], places)
    labels: dict[str, Labels] = {}
    for key in ("type", "kind"):
        if key in columns:
            labels[key] = labelled(stripped(frame[key], table.name, table.size).fill_null(""))
    settle(columns, labels["kind"][1] if "kind" in labels else (), options)
    none = None, None
    transmitter, transmitters = labels["type"] if "type" in columns else none
    kind, kinds = labels["kind"] if "kind" in columns else none
    return RawEdges(
        *(pre, post, weight, transmitter, transmitters, names, kind, kinds),
        numbered=True,
        n=len(names),
        rows=rows,
        dropped=dropped,
        columns=columns,
        first_row=table.first_row,
        places=places,
    )


def parsed(table: Table, columns: Mapping[str, str]) -> pl.DataFrame:
    """The columns: numbers where all of a column's cells are, else as stripped text."""
    if table.schema is not None:
        return table.read(columns, {})
    sample = table.sample({key: table.index(column) for key, column in columns.items()})
    types: dict[str, Any] = dict.fromkeys(columns, pl.String)
    if all(holds_only(sample[end], INTEGER) for end in ("pre", "post")):
        types |= {"pre": pl.Int64, "post": pl.Int64}
    if "weight" in columns:
        types["weight"] = pl.Int64 if holds_only(sample["weight"], COUNT) else pl.Float64
    try:
        return table.read(columns, types)
    except CellsError:
        pass  # a cell is not what the first ones were; as text it can be found, and named
    return table.strings(columns)


def holds_only(column: pl.Series, pattern: str) -> bool:
    """Whether every cell that is not missing has this form."""
    return bool(column.drop_nulls().str.contains(pattern).all())


def chosen(
    table: Table,
    frame: pl.DataFrame,
    where: Mapping[str, tuple[Value, ...]],
    filters: Mapping[str, str],
) -> tuple[pl.DataFrame, dict[str, int], npt.NDArray[np.int64] | None]:
    """The rows that `where` keeps and that are not empty; why others are gone; their numbers."""
    dropped: dict[str, int] = {}
    keep = None
    needed = [column for column in frame.columns if column not in filters]
    if all(frame[column].null_count() for column in needed):
        empty = frame.select(pl.all_horizontal(pl.col(needed).is_null())).to_series()
        if empty.any():
            dropped["empty rows"] = int(empty.sum())
            keep = ~empty
    for (key, column), (wish, wanted) in zip(filters.items(), where.items(), strict=True):
        texts = stripped(frame[key], table.name, table.size).fill_null("")
        words = all(isinstance(value, str) for value in wanted)
        matches = texts.is_in(list(meant(() if words else texts.unique(), wanted)))
        value = " or ".join(show(str(each)) for each in wanted)
        kept = matches if keep is None else matches & keep
        if not kept.any():
            counts = texts.value_counts(sort=True).head(SHOWN_VALUES)
            values = ", ".join(show(each) for each in counts.to_series() if each)
            what = f"no row of {table.name} has {value} in the column {show(column)}"
            hint = f"`where` keeps none; most rows have {values}"
            raise OptionError("where", "NB215", what, hint, column=wish)
        before = frame.height if keep is None else int(keep.sum())
        dropped[f"{column} is not {value}"] = before - int(kept.sum())
        keep = kept
    if keep is None:
        return frame, dropped, None
    places = np.flatnonzero(keep.to_numpy()) + table.first_row
    return frame.filter(keep), {key: n for key, n in dropped.items() if n}, places


def coded(
    table: Table,
    frame: pl.DataFrame,
    columns: Mapping[str, str],
    places: npt.NDArray[np.int64] | None,
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The distinct neurons in order (as int64, or as text), and both ends as positions in them."""
    ends = [whole_or_text(table, frame[end], columns[end], places) for end in ("pre", "post")]
    if len({end.dtype for end in ends}) > 1:
        ends = [end.cast(pl.String) for end in ends]
    distinct = pl.concat([end.unique() for end in ends]).unique().sort()
    positions = pl.DataFrame({"name": distinct}).with_row_index("at").cast({"at": pl.Int32})
    codes = [
        pl.DataFrame({"name": end})
        .join(positions, on="name", how="left", maintain_order="left")["at"]
        .to_numpy()
        for end in ends
    ]
    names = distinct.to_numpy() if distinct.dtype == pl.Int64 else as_objects(distinct)
    return names, codes[0], codes[1]


def whole_or_text(
    table: Table, ids: pl.Series, column: str, places: npt.NDArray[np.int64] | None
) -> pl.Series:
    """A column of neurons as Int64 if they all are whole numbers, else as stripped text."""
    if ids.dtype.is_float() or ids.dtype.is_decimal():
        raise float_ids(table, column, place(table, places, 0))
    if not (ids.dtype.is_integer() or ids.dtype in (pl.String, pl.Categorical, pl.Enum)):
        what = f"the column {show(column)} of {table.name} holds {ids.dtype}"
        raise DataFileError("NB211", what, "neurons are names or whole numbers")
    missing = ids.is_null()
    if not ids.dtype.is_integer():
        ids = stripped(ids, table.name, table.size)
        missing = ids.is_null() | (ids == "")
    if missing.any():
        where = place(table, places, int(missing.arg_max() or 0))
        what = f"{where} of {table.name} has no neuron in the column {show(column)}"
        raise DataFileError("NB212", what, "each row names two neurons")
    if ids.dtype.is_integer():
        return checked_ids(ids, table, column)
    numbers = ids.str.contains(NUMBER)
    if not numbers.all():
        return ids
    floats = ~ids.str.contains(WHOLE)
    if floats.any():
        raise float_ids(table, column, place(table, places, int(floats.arg_max() or 0)))
    if not ids.str.contains(INTEGER).all():  # 007 is not 7
        return ids
    whole = ids.cast(pl.Int64, strict=False)
    return ids if whole.null_count() else whole


def checked_ids(ids: pl.Series, table: Table, column: str) -> pl.Series:
    """Whole numbers as Int64; of 2**63 and more no id is known."""
    try:
        return ids.cast(pl.Int64)
    except pl.exceptions.PolarsError:
        what = f"the column {show(column)} of {table.name} holds ids of 2**63 or more"
        raise DataFileError("NB213", what, "save the column as text") from None


def weights(
    table: Table, cells: pl.Series, column: str, places: npt.NDArray[np.int64] | None
) -> npt.NDArray[np.float64]:
    """(row,): the weights; their range is judged later, for every format alike."""
    if cells.dtype.is_nested() or cells.dtype.is_temporal() or cells.dtype == pl.Boolean:
        what = f"the column {show(column)} of {table.name} holds {cells.dtype}"
        raise DataFileError("NB211", what, "weights are numbers")
    values = cells
    if not cells.dtype.is_numeric():
        values = stripped(cells, table.name, table.size).cast(pl.Float64, strict=False)
    missing = values.is_null()
    if missing.any():
        row = int(missing.arg_max() or 0)
        empty = cells[row] is None or not str(cells[row]).strip()
        problem = "has no weight" if empty else "has a weight that is not a number"
        what = f"{place(table, places, row)} of {table.name} {problem}"
        hint = f"the column {show(column)} holds numbers, with decimal points"
        raise DataFileError("NB205", what, hint)
    return values.cast(pl.Float64).to_numpy()


def labelled(words: pl.Series) -> Labels:
    """A column of few distinct words, as positions in them."""
    distinct = words.unique().sort()
    positions = pl.DataFrame({"word": distinct}).with_row_index("at").cast({"at": pl.Int32})
    joined = pl.DataFrame({"word": words}).join(
        positions, on="word", how="left", maintain_order="left"
    )
    return joined["at"].to_numpy(), as_objects(distinct)


def place(table: Table, places: npt.NDArray[np.int64] | None, row: int) -> str:
    """A row's number in words."""
    return f"row {row + table.first_row if places is None else int(places[row])}"
