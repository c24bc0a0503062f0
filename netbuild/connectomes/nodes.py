"""Node tables: one row a neuron, with its name, its sign, and whatever else is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from netbuild.connectomes import signs
from netbuild.connectomes.files import TABLES, Source
from netbuild.connectomes.options import MOST_NEURONS, OptionError, Options, spelled
from netbuild.errors import DataFileError
from netbuild.files.door import enough_memory
from netbuild.wording import show

if TYPE_CHECKING:
    from netbuild.connectomes.tables import Table

Names = npt.NDArray[np.object_]

NAMES = ("root_id", "bodyid", "name", "id", "neuron", "cell")  # the surest first
SIGNS = ("sign",)
TRANSMITTERS = ("nt_type", "neurotransmitter", "nt", "top_nt")
MAX_BYTES = 1 << 30
MOST_COLUMNS = 1000


@dataclass(frozen=True, eq=False)
class NodeTable:
    """The neurons of a connectome in order: unit i of the network is row i."""

    names: Names  # (unit,): stripped text, distinct
    columns: Mapping[str, Names]  # the other columns, (unit,) each: stripped text, "" is missing
    signs: npt.NDArray[np.int8] | None = None  # (unit,): +1, -1, 0 free; None: nothing says them
    sha256: str = ""  # of the file; none where the neurons come from the edges
    size: int = 0  # bytes
    path: Path | None = None
    used: Mapping[str, str] = field(default_factory=dict)  # "name", "sign" -> the column

    def __len__(self) -> int:
        return len(self.names)


def read_nodes(path: Path, options: Options | None = None) -> NodeTable:
    """The node table in a file: .csv, .tsv, .txt (also .gz), .parquet, .feather or .arrow.

    `options.name` and `options.sign` say the columns; left out they are recognised. Raises
    DataFileError: NB202 to NB204 and NB901 (the file), NB211 (columns), NB212 (a name that is
    missing or there twice), NB213 (ids as floating-point numbers), NB214 (a sign that is none).
    """
    options = options or Options()
    with enough_memory(path), Source(path, TABLES, MAX_BYTES) as source:
        from netbuild.connectomes import tables  # polars, while the other process starts

        table = tables.open_table(source)
        if len(table.columns) > MOST_COLUMNS:
            what = f"{table.name} has {len(table.columns):,} columns"
            raise DataFileError("NB901", what, f"at most {MOST_COLUMNS:,} are read")
        column = name_column(table, options)
        if table.schema is not None and table.rows > MOST_NEURONS:
            raise too_many(table.name, table.rows)
        rows, texts = tables.text_cells(table, [each for each in table.columns if each], column)
        if len(rows) > MOST_NEURONS:
            raise too_many(table.name, len(rows))
        names = texts.pop(column)
        check_names(names, rows, table.name, column)
        used = {"name": column}
        values, sign = sign_of(texts, options, table.name, rows)
        if sign is not None:
            used["sign"] = sign
        return NodeTable(names, texts, values, source.sha256, source.size, path, used)


def too_many(name: str, rows: int) -> DataFileError:
    """The error for more neurons than are read."""
    what = f"{name} has {rows:,} rows"
    return DataFileError("NB901", what, f"at most {MOST_NEURONS:,} neurons are read")


def name_column(table: Table, options: Options) -> str:
    """The column of names, given or recognised; raises DataFileError NB211."""
    from netbuild.connectomes import tables

    if options.name is not None:
        return tables.given(table, "name", options.name)
    column = tables.first_known(table, NAMES)
    if column is None:
        if (error := tables.not_a_header(table)) is not None:
            raise error
        what = f"{table.name} has no column of names that is recognised"
        hint = f"say which it is: {spelled('name')}; its columns are {tables.listed(table)}"
        raise DataFileError("NB211", what, hint)
    return column


def check_names(names: Names, rows: list[int], file: str, column: str) -> None:
    """Refuse a table without neurons, a name that is missing, and one that is there twice."""
    if not len(names):
        raise DataFileError("NB215", f"{file} has no rows", "it holds a header alone")
    seen: dict[str, int] = {}
    for name, row in zip(names, rows, strict=True):
        if not name:
            what = f"row {row} of {file} has no name in the column {show(column)}"
            raise DataFileError("NB212", what, "each row is one neuron, and has a name")
        if (before := seen.setdefault(name, row)) != row:
            what = f"row {row} of {file} has the name of row {before}, {show(name)}"
            hint = f"each neuron has one row; {spelled('name')} chooses another column"
            raise DataFileError("NB212", what, hint)


def sign_of(
    columns: Mapping[str, Names], options: Options, file: str, rows: list[int] | None
) -> tuple[npt.NDArray[np.int8] | None, str | None]:
    """The units' signs and the column that says them, or None and None where none does.

    A column of neurotransmitters says nothing until `options.signs` say what they mean.
    """
    by_name = {column.casefold(): column for column in columns}
    if options.sign is not None:
        column = options.sign if options.sign in columns else by_name.get(options.sign.casefold())
        if column is None:
            what = f"{file} has no column {show(options.sign)}"
            hint = f"its columns are {', '.join(show(each) for each in list(columns)[:10])}"
            raise OptionError("sign", "NB211", what, hint)
    else:
        known = SIGNS + (TRANSMITTERS if options.signs else ())
        column = next((by_name[each] for each in known if each in by_name), None)
        if column is None:
            return None, None
    cells = columns[column].tolist()
    return signs.of_cells(cells, options, file, column, rows), column


def from_names(names: Names) -> NodeTable:
    """The neurons that the edges name themselves, as nothing else says who there is."""
    return NodeTable(names, {})
