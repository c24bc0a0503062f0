"""Edge lists: one row a connection, from text, Parquet or Feather.

Ids stay whole numbers from the file to the last look-up: an id of 18 digits is not exact as a
floating-point number, and two neurons would become one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from netbuild.connectomes.rows import (
    KINDS,
    TRANSMITTERS,
    WEIGHTS,
    Columns,
    Labels,
    Places,
    Rows,
    Words,
    kept_values,
    objects,
    settled,
    spelled,
)
from netbuild.connectomes.tables import INTEGER, NUMBER, WHOLE, CellsError, Table, float_ids
from netbuild.errors import DataFileError
from netbuild.files.cells import equal_cells
from netbuild.wording import show

ENDS = (
    ("pre", "post"),
    ("source", "target"),
    ("pre_root_id", "post_root_id"),
    ("pre_pt_root_id", "post_pt_root_id"),
    ("bodyid_pre", "bodyid_post"),
)
COUNT = r"^[+-]?\d{1,18}$"
SHOWN_VALUES = 5  # values of a column, in a message


def ends_of(table: Table, words: Words) -> tuple[str, str] | None:
    """The columns of the two neurons, given or recognised; None where they are not recognised.

    Raises DataFileError NB211 where a given one is missing, or two pairs are recognised.
    """
    given = {key: getattr(words.edges, key) for key in ("pre", "post")}
    if all(given.values()):
        pre, post = (table.given(column, ("edges", key)) for key, column in given.items())
        return pre, post
    if any(given.values()):
        raise DataFileError(
            "NB211",
            f"of the two columns of neurons of {table.name} only one is given",
            f"say both, {spelled('edges', 'pre', 'post')}; its columns are {table.listed()}",
            key=("edges", "pre" if given["pre"] else "post"),
        )
    pairs = [(table.first_known([pre]), table.first_known([post])) for pre, post in ENDS]
    known = [(pre, post) for pre, post in pairs if pre is not None and post is not None]
    if len(known) > 1:
        (first, _), (second, _) = known[:2]
        raise DataFileError(
            "NB211",
            f"{table.name} has two pairs of columns for neurons, {first} and {second} among them",
            f"say which pair it is: {spelled('edges', 'pre', 'post')}",
        )
    return known[0] if known else None


def read(table: Table, ends: tuple[str, str], words: Words) -> Rows:
    """The rows that `where` keeps, with the neurons as positions in their sorted names.

    Raises DataFileError: NB204 (malformed), NB205 (a weight that is missing or no number), NB211
    (columns), NB212 (a neuron without a name), NB213 (ids as floating-point numbers), NB215 (no
    rows).
    """
    columns = {"pre": ends[0], "post": ends[1]} | uses_of(table, words)
    whole = parsed(table, columns | filters_of(table, words))
    frame, dropped, places = chosen(table, whole, words, table.places)
    if not frame.height:
        raise DataFileError("NB215", f"{table.name} has no rows", "it holds a header alone")
    names, pre, post = coded(table, frame, columns, places)
    return Rows(
        pre=pre,
        post=post,
        n=len(names),
        names=names,
        read=whole.height,
        dropped=dropped,
        places=places,
        **values_of(table, frame, columns, places, words),
    )


def uses_of(table: Columns, words: Words) -> dict[str, str]:
    """The columns of weights, neurotransmitters and kinds of synapse, as far as there are some."""
    columns = {}
    for key, known in (("weight", WEIGHTS), ("transmitter", TRANSMITTERS), ("kind", KINDS)):
        given = getattr(words.edges, key, None)  # a spec does not name the column of kinds
        column = table.given(given, ("edges", key)) if given else table.first_known(known)
        if column is not None:
            columns[key] = column
    return columns


def filters_of(table: Columns, words: Words) -> dict[str, str]:
    """The columns that `where` is about, under keys that no use of a column has."""
    where = enumerate(kept_values(words))
    return {f"where {i}": table.given(column, ("where", column)) for i, column in where}


def values_of(
    table: Table, frame: pl.DataFrame, columns: Mapping[str, str], places: Places, words: Words
) -> dict[str, Any]:
    """The fields of `Rows` about weights, neurotransmitters and kinds of synapse."""
    weight = None
    if "weight" in columns:
        weight = weights(table, frame["weight"], columns["weight"], places)
    labels = {
        key: labelled(table.stripped(frame[key]).fill_null(""))
        for key in ("transmitter", "kind")
        if key in columns
    }
    columns = settled(columns, labels["kind"].words if "kind" in labels else (), words)
    found = {key: labels.get(key) if key in columns else None for key in ("transmitter", "kind")}
    return {"weight": weight, "columns": columns} | found


def parsed(table: Table, columns: Mapping[str, str]) -> pl.DataFrame:
    """The columns: numbers where all of a column's cells are, else as stripped text."""
    if table.binary is not None:
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
    table: Table, frame: pl.DataFrame, words: Words, places: Places
) -> tuple[pl.DataFrame, dict[str, int], Places]:
    """The rows that `where` keeps and that are not empty; how many others there are, by reason; and
    the places of the kept rows."""
    dropped: dict[str, int] = {}
    keep = None
    filters, where = filters_of(table, words), kept_values(words)
    needed = [column for column in frame.columns if column not in filters]
    if all(frame[column].null_count() for column in needed):
        empty = frame.select(pl.all_horizontal(pl.col(needed).is_null())).to_series()
        if empty.any():
            dropped["empty rows"] = int(empty.sum())
            keep = ~empty
    for (key, column), (given, wanted) in zip(filters.items(), where.items(), strict=True):
        texts = table.stripped(frame[key]).fill_null("")
        as_text = all(isinstance(value, str) for value in wanted)
        matches = texts.is_in(list(equal_cells(() if as_text else texts.unique(), wanted)))
        value = " or ".join(show(str(each)) for each in wanted)
        kept = matches if keep is None else matches & keep
        if not kept.any():
            counts = texts.value_counts(sort=True).head(SHOWN_VALUES)
            values = ", ".join(show(each) for each in counts.to_series() if each)
            what = (
                f"no {places.word} of {table.name} has {value} in the {table.noun} {show(column)}"
            )
            most = f"; most {places.word}s have {values}" if values else ""
            raise DataFileError("NB215", what, f"`where` keeps none{most}", key=("where", given))
        before = frame.height if keep is None else int(keep.sum())
        dropped[f"{column} is not {value}"] = before - int(kept.sum())
        keep = kept
    if keep is None:
        return frame, dropped, places
    numbers = places.numbers(frame.height)[keep.to_numpy()]
    dropped = {reason: rows for reason, rows in dropped.items() if rows}
    return frame.filter(keep), dropped, replace(places, kept=numbers)


def coded(
    table: Table,
    frame: pl.DataFrame,
    columns: Mapping[str, str],
    places: Places,
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The distinct neurons in order (as int64, or as text), and both ends as positions in them."""
    ends = [whole_or_text(table, frame[end], columns[end], places) for end in ("pre", "post")]
    if len({end.dtype for end in ends}) > 1:
        ends = [end.cast(pl.String) for end in ends]
    distinct = pl.concat([end.unique() for end in ends]).unique().sort()
    names = distinct.to_numpy() if distinct.dtype == pl.Int64 else objects(distinct.to_list())
    return names, positions_in(distinct, ends[0]), positions_in(distinct, ends[1])


def whole_or_text(table: Table, ids: pl.Series, column: str, places: Places) -> pl.Series:
    """A column of neurons as Int64 if they all are whole numbers, else as stripped text."""
    if ids.dtype.is_float() or ids.dtype.is_decimal():
        raise float_ids(table, column, places.of(0))
    if not (ids.dtype.is_integer() or ids.dtype in (pl.String, pl.Categorical, pl.Enum)):
        what = f"the column {show(column)} of {table.name} holds {show(str(ids.dtype))}"
        raise DataFileError("NB211", what, "neurons are names or whole numbers")
    missing = ids.is_null()
    if not ids.dtype.is_integer():
        ids = table.stripped(ids)
        missing = ids.is_null() | (ids == "")
    if missing.any():
        where = places.of(int(missing.arg_max() or 0))
        what = f"{where} of {table.name} has no neuron in the column {show(column)}"
        raise DataFileError("NB212", what, "each row names two neurons")
    if ids.dtype.is_integer():
        whole = ids.cast(pl.Int64, strict=False)
        if whole.null_count():
            what = f"the column {show(column)} of {table.name} holds ids of 2**63 or more"
            raise DataFileError("NB213", what, "save the column as text")
        return whole
    numbers = ids.str.contains(NUMBER)
    if not numbers.all():
        return ids
    floats = ~ids.str.contains(WHOLE)
    if floats.any():
        raise float_ids(table, column, places.of(int(floats.arg_max() or 0)))
    if not ids.str.contains(INTEGER).all():  # 007 is not 7
        return ids
    whole = ids.cast(pl.Int64, strict=False)
    return ids if whole.null_count() else whole


def weights(table: Table, cells: pl.Series, column: str, places: Places) -> npt.NDArray[np.float64]:
    """(row,): the weights; their range is judged later, for every format alike."""
    if cells.dtype.is_temporal() or cells.dtype == pl.Boolean:
        what = f"the column {show(column)} of {table.name} holds {show(str(cells.dtype))}"
        raise DataFileError("NB211", what, "weights are numbers")
    values = cells
    if not cells.dtype.is_numeric():
        values = table.stripped(cells).cast(pl.Float64, strict=False)
    missing = values.is_null()
    if missing.any():
        row = int(missing.arg_max() or 0)
        empty = cells[row] is None or not str(cells[row]).strip()
        problem = "has no weight" if empty else "has a weight that is not a number"
        what = f"{places.of(row)} of {table.name} {problem}"
        hint = f"the {table.noun} {show(column)} holds numbers, with decimal points"
        raise DataFileError("NB205", what, hint)
    return values.cast(pl.Float64).to_numpy()


def labelled(words: pl.Series) -> Labels:
    """A column of few distinct words, as positions in them."""
    distinct = words.unique().sort()
    return Labels(positions_in(distinct, words), objects(distinct.to_list()))


def positions_in(distinct: pl.Series, cells: pl.Series) -> npt.NDArray[np.int32]:
    """(row,): where each cell is among the distinct ones."""
    at = pl.DataFrame({"cell": distinct}).with_row_index("at").cast({"at": pl.Int32})
    rows = pl.DataFrame({"cell": cells})
    return rows.join(at, on="cell", how="left", maintain_order="left")["at"].to_numpy()
