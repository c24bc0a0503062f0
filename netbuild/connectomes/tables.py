"""Tables: text with any separator, read by polars, and binary ones; columns by name.

Only the columns that are asked for are parsed, and each as what it is declared to be: no types are
guessed, so that an id never becomes a floating-point number on the way.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from netbuild.connectomes.arrow import BinaryTable, open_binary
from netbuild.connectomes.rows import Columns, Places, objects
from netbuild.connectomes.source import Source
from netbuild.errors import DataFileError
from netbuild.files import npz, text
from netbuild.files.door import TEXT
from netbuild.wording import show

HEADER_CAP = 1 << 20  # bytes of a header line
CELL_CAP = 1 << 17  # characters of a cell, csv's own limit: more are a quote that does not close
SAMPLE = 1 << 16  # bytes that tell what a column of text holds
# Cells that may be read from a file: so many from any file, and so many more for each of its bytes
# on disk. Text that is not compressed never has more, nor do real edge lists, whose two neurons
# alone take more than a byte a row; one row repeated fifty million times compresses to nothing.
FEW_CELLS = 4 << 20
CELLS_PER_BYTE = 2
# What polars raises for text that it cannot parse; its panic is not an Exception.
DAMAGED = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError)
COMMENT = re.compile(r"(#|%|//).*[^#%/\s]")  # a first cell that begins a comment
INTEGER = r"^(0|-?[1-9]\d{0,18})$"  # written as an id is: 007 is a name
WHOLE = r"^[+-]?\d+$"
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


class CellsError(DataFileError):
    """Polars cannot parse text: cells are not of the declared types, or rows are malformed."""


@dataclass(frozen=True, kw_only=True)
class Table(Columns):
    """A table in a file: only the names of its columns have been parsed yet."""

    size: int  # bytes of the file on disk
    rows: int = 0  # that it declares; of text no fewer than there are
    content: bytes = b""  # of text
    separator: str = ","  # of text
    quoted: bool = False  # whether text holds quotes at all
    binary: BinaryTable | None = None

    @property
    def places(self) -> Places:
        """The rows' numbers: text has a header, which is row 1."""
        return Places(2 if self.binary is None else 1)

    def index(self, column: str) -> int:
        """The position of a column; raises DataFileError NB211 where its name stands twice."""
        if self.columns.count(column) > 1:
            what = f"{self.name} has {self.columns.count(column)} columns named {show(column)}"
            raise DataFileError("NB211", what, "rename one of them")
        return self.columns.index(column)

    def read(self, columns: Mapping[str, str], types: Mapping[str, Any]) -> pl.DataFrame:
        """The columns (key -> its name here) as a frame with these keys.

        Text is parsed to `types`, and raises CellsError where it cannot be. Binary columns keep
        the types of the file. Raises DataFileError NB901, before anything is read, where
        these are far more cells than the file's bytes can hold.
        """
        places = {key: self.index(column) for key, column in columns.items()}
        if self.rows * len(set(places.values())) > FEW_CELLS + CELLS_PER_BYTE * self.size:
            what = f"{self.name} has {self.rows:,} rows in {self.size:,} bytes"
            hint = "rows that are all alike? give each pair one row, or save it as .csv"
            raise DataFileError("NB901", what, hint)
        if self.binary is None:
            return self._parse(self.content, places, types)
        stored = list(self.binary.schema)
        frame = self.binary.read(list(dict.fromkeys(stored[place] for place in places.values())))
        return frame.select(pl.col(stored[place]).alias(key) for key, place in places.items())

    def strings(self, columns: Mapping[str, str]) -> pl.DataFrame:
        """The columns as stripped text, with null for what is missing.

        Raises DataFileError NB204 where the table is damaged: of text, with the row at fault.
        """
        with self.fault_located():
            frame = self.read(columns, dict.fromkeys(columns, pl.String))
        frame = pl.DataFrame({key: self.stripped(frame[key]) for key in columns})
        return frame.select(pl.when(pl.col(key) != "").then(pl.col(key)) for key in columns)

    def stripped(self, cells: pl.Series) -> pl.Series:
        """A column as text without blanks around it; missing cells stay missing.

        Raises DataFileError NB901 where that is far more text than the file's bytes can hold: in a
        binary table a long text is stored once, however many rows have it.
        """
        coded = isinstance(cells.dtype, (pl.Categorical, pl.Enum))
        if coded:  # measured before each row gets a copy of its text
            self._judge_text(cells.cat.len_bytes())
        with errors_reported(self.name):
            texts = cells.cast(pl.String)
        if not coded:
            self._judge_text(texts.str.len_bytes())
        return texts.str.strip_chars()

    def _judge_text(self, lengths: pl.Series) -> None:
        limit = max(npz.SMALL, npz.RATIO * self.size)
        if (lengths.sum() or 0) > limit:
            what = f"{self.name} holds more than {limit:,} bytes of text in one column"
            raise DataFileError("NB901", what, "shorten it, or leave it out")

    def sample(self, places: Mapping[str, int]) -> pl.DataFrame:
        """The first rows of some columns of text (key -> position), stripped."""
        header = self.content.find(b"\n", 0, HEADER_CAP) + 1
        content = self.content[: header + SAMPLE]
        if len(content) < len(self.content):
            content = content[: content.rfind(b"\n") + 1]
            if self.quoted and content.count(b'"') % 2:  # cut inside a cell of several lines
                content = content[: content.rfind(b"\n", 0, content.rfind(b'"')) + 1]
        with self.fault_located():
            frame = self._parse(content, places, dict.fromkeys(places, pl.String))
        return frame.select(pl.all().str.strip_chars())

    @contextmanager
    def fault_located(self) -> Iterator[None]:
        """Look for the row at fault where polars cannot read a text; it does not name the row."""
        try:
            yield
        except CellsError as error:
            raise first_fault(self) or error from None

    def _parse(
        self, content: bytes, places: Mapping[str, int], types: Mapping[str, Any]
    ) -> pl.DataFrame:
        """Those columns of text, parsed by polars under names that cannot collide."""
        schema: dict[str, Any] = {f"c{i}": pl.String for i in range(len(self.columns))}
        schema |= {f"c{place}": types[key] for key, place in places.items()}
        with errors_reported(self.name):
            frame = pl.read_csv(
                content,
                has_header=False,
                skip_rows=1,
                schema=schema,
                columns=sorted(set(places.values())),
                separator=self.separator,
                quote_char='"' if self.quoted else None,
                raise_if_empty=False,
            )
        return frame.select(pl.col(f"c{place}").alias(key) for key, place in places.items())


def open_table(source: Source) -> Table:
    """The table in a file: its header is read, its rows counted, and the rest left.

    Raises DataFileError NB204 where it is no table.
    """
    content, name, size = source.content, source.name, source.file.size
    if source.suffix in TEXT:
        columns, separator = header_of(content, name)
        rows, quoted = content.count(b"\n"), b'"' in content
        return Table(
            name,
            columns,
            size=size,
            rows=rows,
            content=content,
            separator=separator,
            quoted=quoted,
        )
    binary = open_binary(content, source.suffix, name)
    columns = tuple(column.strip() for column in binary.schema)
    return Table(name, columns, size=size, rows=binary.rows, binary=binary)


def header_of(content: bytes, name: str) -> tuple[tuple[str, ...], str]:
    """The names of the columns, and the separator: the mark that makes most of them."""
    start = content[:HEADER_CAP]
    text.refuse_other_encodings(start, name)
    try:
        line = start.removeprefix(text.BOM).partition(b"\n")[0].decode().rstrip("\r")
    except UnicodeDecodeError:
        raise DataFileError("NB204", f"row 1 of {name} is not UTF-8", "save it as UTF-8") from None
    try:
        cells = {mark: next(csv.reader([line], delimiter=mark), []) for mark in ",\t;"}
    except csv.Error:
        hint = "rows end in a line feed, and a cell that begins with a quote ends in one"
        what = f"row 1 of {name} cannot be separated into cells"
        raise DataFileError("NB204", what, hint) from None
    separator = max(cells, key=lambda mark: len(cells[mark]))
    if not cells[separator]:
        hint = "remove it: row 1 holds the names of the columns"
        raise DataFileError("NB204", f"row 1 of {name} is empty", hint)
    return tuple(cell.strip() for cell in cells[separator]), separator


def not_a_header(table: Table) -> DataFileError | None:
    """The error for a first row that holds no names of columns: a comment, or one long cell."""
    if table.binary is not None:
        return None
    if COMMENT.match(table.columns[0]):
        hint = "remove it: row 1 holds the names of the columns"
        return DataFileError("NB204", f"row 1 of {table.name} is a comment", hint)
    if len(table.columns) == 1 and len(table.columns[0].split()) > 1:
        what = f"row 1 of {table.name} is a single cell, with blanks in it"
        hint = "separate the columns by commas, semicolons or tabs in place of blanks"
        return DataFileError("NB204", what, hint)
    return None


@contextmanager
def errors_reported(name: str) -> Iterator[None]:
    """Raise CellsError where polars cannot read a table; the body is a call of polars alone.

    Polars' own message is not shown, since it may repeat cells.
    """
    try:
        yield
    except DAMAGED:
        hint = "each row has as many cells as the header; text is UTF-8"
        raise CellsError("NB204", f"{name} is malformed", hint) from None


def first_fault(table: Table) -> DataFileError | None:
    """The error for the first row that is malformed; None where all rows are right."""
    try:
        for _ in records(table):
            pass
    except DataFileError as error:
        return error
    return None


def records(table: Table) -> Iterator[tuple[int, list[str]]]:
    """The number and the cells of each row of a text that is not empty, the header included.

    Only one row is in memory at a time. Raises DataFileError NB204 for a row that is not UTF-8,
    or has not as many cells as the header.
    """
    stream = io.BytesIO(table.content.removeprefix(text.BOM))
    lines = io.TextIOWrapper(stream, "utf-8", errors="surrogateescape", newline="")
    reader = csv.reader(
        lines,
        delimiter=table.separator,
        quoting=csv.QUOTE_MINIMAL if table.quoted else csv.QUOTE_NONE,
        strict=True,
    )
    number = width = 0
    try:
        for number, cells in enumerate(reader, 1):
            width = width or len(cells)
            row, joined = f"row {number:,} of {table.name}", "".join(cells)
            if "\0" in joined or max(map(len, cells), default=0) > CELL_CAP:
                raise inseparable(table, number)
            # A byte that is not UTF-8 was read as half of a surrogate pair.
            if not joined.isascii() and any("\udc80" <= letter <= "\udcff" for letter in joined):
                raise DataFileError("NB204", f"{row} is not UTF-8", "save it as UTF-8")
            if cells and len(cells) != width:
                what = f"{row} has {len(cells):,} cells, the header has {width:,}"
                hint = "each row has as many cells as the header; quote text that holds separators"
                raise DataFileError("NB204", what, hint)
            if cells:
                yield number, cells
    except csv.Error:
        raise inseparable(table, number + 1) from None


def inseparable(table: Table, row: int) -> DataFileError:
    """The error for a row whose quotes do not close."""
    what = f"row {row:,} of {table.name} cannot be separated into cells"
    return DataFileError("NB204", what, "a quote that opens must close, before the next separator")


def text_cells(
    table: Table, columns: Sequence[str], name: str
) -> tuple[list[int], dict[str, npt.NDArray[np.object_]]]:
    """The numbers of the rows that are not empty, and their cells as text, "" being missing.

    Raises DataFileError NB213 where the column `name` holds floating-point numbers.
    """
    keys = {f"column {i}": column for i, column in enumerate(columns)}
    frame = table.strings(keys)
    kept = ~frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
    rows = (np.flatnonzero(kept.to_numpy()) + table.places.first).tolist()
    frame = frame.filter(kept).fill_null("")
    ids = frame[f"column {columns.index(name)}"]
    if table.binary is not None and table.binary.holds_floats(table.index(name)):
        raise float_ids(table, name, table.places.of(0))
    if ids.str.contains(NUMBER).all() and not ids.str.contains(WHOLE).all():
        raise float_ids(table, name, f"row {rows[(~ids.str.contains(WHOLE)).arg_max() or 0]}")
    return rows, {column: objects(frame[key].to_list()) for key, column in keys.items()}


def float_ids(table: Table, column: str, where: str) -> DataFileError:
    """The error for ids that went through floating-point numbers."""
    return DataFileError(
        "NB213",
        f"the column {show(column)} of {table.name} holds floating-point numbers, the first in"
        f" {where}; ids of 17 and more digits are not exact as such",
        "write it again from the source with the ids as integers or as text",
    )
