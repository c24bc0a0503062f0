"""Tables as polars reads them: text with any separator, Parquet, Feather; columns by name.

Only the columns that are asked for are parsed, and each as what it is said to be: polars guesses
no types here, so that an id never becomes a floating-point number on the way.

Text is safe to read whoever wrote it. Of a binary table polars trusts the lengths inside, so that
one that was tampered with there can end the process: another process reads it first (`probe`).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from netbuild.connectomes import faults
from netbuild.connectomes.files import TEXT, Source
from netbuild.connectomes.options import OptionError
from netbuild.connectomes.probe import Probe
from netbuild.errors import DataFileError
from netbuild.files import npz, text
from netbuild.wording import did_you_mean, show

HEADER_CAP = 1 << 20  # bytes of a header line
SAMPLE = 1 << 16  # bytes that tell what a column of text holds
# Cells that may be read from a file: so many from any file, and so many more for each of its bytes
# on disk. Text that is not compressed never has more, nor do real edge lists, whose two neurons
# alone take more than a byte a row; one row repeated fifty million times compresses to nothing.
FEW_CELLS = 4 << 20
CELLS_PER_BYTE = 2
LISTED = 10  # columns in a message
# What polars raises for tables that are damaged; a panic is no ordinary exception.
DAMAGED = (
    *(pl.exceptions.PolarsError, pl.exceptions.PanicException),
    *(OSError, ValueError),
)
COMMENT = re.compile(r"(#|%|//).*[^#%/\s]")  # a first cell that is none
INTEGER = r"^(0|-?[1-9]\d{0,18})$"  # written as an id is: 007 is a name
WHOLE = r"^[+-]?\d+$"
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


class CellsError(DataFileError):
    """Polars cannot read a table: cells are not of the types it was told, or it is damaged."""


@dataclass(frozen=True)
class Table:
    """A table of which only the names of the columns are known yet; nothing else is parsed."""

    name: str  # the file's, fit for a message
    content: bytes
    suffix: str
    columns: tuple[str, ...]  # stripped
    size: int  # bytes of the file on disk
    rows: int  # that it declares; of text no fewer than there are
    separator: str = ","  # of text
    quoted: bool = False  # whether text holds quotes at all
    schema: Mapping[str, Any] | None = None  # dtypes of a binary file, by its own column names
    probe: Probe | None = None  # reads a binary file's columns before this process does

    @property
    def first_row(self) -> int:
        """The number of the first row of data: text has a header, which is row 1."""
        return 2 if self.schema is None else 1

    def index(self, column: str) -> int:
        """The position of a column; raises DataFileError NB211 where its name stands twice."""
        if self.columns.count(column) > 1:
            what = f"{self.name} has {self.columns.count(column)} columns named {show(column)}"
            raise DataFileError("NB211", what, "rename one of them")
        return self.columns.index(column)

    def read(self, columns: Mapping[str, str], types: Mapping[str, Any]) -> pl.DataFrame:
        """The columns (key -> its name here) as a frame with these keys.

        Text is parsed as `types` say, and raises CellsError where it cannot be. Binary columns
        come with types of their own. Raises DataFileError NB901, before anything is read, where
        these are far more cells than the file's bytes can hold.
        """
        self._judge(len(columns))
        places = {key: self.index(column) for key, column in columns.items()}
        if self.schema is None:
            return self._parse(self.content, places, types)
        stored = list(self.schema)
        reader: Callable[..., pl.DataFrame] = (
            pl.read_parquet if self.suffix == ".parquet" else pl.read_ipc
        )
        wanted = dict.fromkeys(stored[place] for place in places.values())
        if self.probe is not None:
            self.probe.columns(list(wanted))
        with damage_told(self.name):
            frame = reader(io.BytesIO(self.content), columns=list(wanted))
        return frame.select(pl.col(stored[place]).alias(key) for key, place in places.items())

    def strings(self, columns: Mapping[str, str]) -> pl.DataFrame:
        """The columns as stripped text, with null for what is missing.

        Raises DataFileError NB204 where the table is damaged: of text, with the row at fault.
        """
        with self.fault_located():
            frame = self.read(columns, dict.fromkeys(columns, pl.String))
        for key in columns:
            if frame[key].dtype.is_nested():
                what = f"the column {show(columns[key])} of {self.name} holds lists or records"
                raise DataFileError("NB211", what, "a column holds one value a row")
        frame = pl.DataFrame({key: stripped(frame[key], self.name, self.size) for key in columns})
        return frame.select(pl.when(pl.col(key) != "").then(pl.col(key)) for key in columns)

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

    def _judge(self, columns: int) -> None:
        """Refuse to read many cells from a small file: it is compressed beyond what is honest."""
        if self.rows * columns > FEW_CELLS + CELLS_PER_BYTE * self.size:
            what = f"{self.name} has {self.rows:,} rows in {self.size:,} bytes"
            hint = "rows that are all alike? give each pair one row, or save it as .csv"
            raise DataFileError("NB901", what, hint)

    @contextmanager
    def fault_located(self) -> Iterator[None]:
        """Look for the row at fault where polars cannot read a text; it does not name the row."""
        try:
            yield
        except CellsError as error:
            if self.schema is not None:
                raise
            found = faults.first_fault(
                self.content, self.separator, self.quoted, len(self.columns), self.name
            )
            raise found or error from None

    def _parse(
        self, content: bytes, places: Mapping[str, int], types: Mapping[str, Any]
    ) -> pl.DataFrame:
        """Those columns of text, parsed by polars under names that cannot collide."""
        schema: dict[str, Any] = {f"c{i}": pl.String for i in range(len(self.columns))}
        schema |= {f"c{place}": types[key] for key, place in places.items()}
        with damage_told(self.name):
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
    if source.suffix in TEXT:
        columns, separator = header_of(source.content, source.name)
        return Table(
            name=source.name,
            content=source.content,
            suffix=source.suffix,
            columns=columns,
            size=source.size,
            rows=source.content.count(b"\n"),
            separator=separator,
            quoted=b'"' in source.content,
        )
    if source.probe is not None:
        source.probe.table()
    scan = pl.scan_parquet if source.suffix == ".parquet" else pl.scan_ipc
    with damage_told(source.name):
        lazy = scan(io.BytesIO(source.content))
        schema = dict(lazy.collect_schema())
        rows = lazy.select(pl.len()).collect().item()
    return Table(
        name=source.name,
        content=source.content,
        suffix=source.suffix,
        columns=tuple(column.strip() for column in schema),
        size=source.size,
        rows=rows,
        schema=schema,
        probe=source.probe,
    )


def header_of(content: bytes, name: str) -> tuple[tuple[str, ...], str]:
    """The names of the columns, and what parts them: the mark that makes most of them."""
    line = first_line(content, name)
    try:
        cells = {mark: next(csv.reader([line], delimiter=mark), []) for mark in ",\t;"}
    except csv.Error:
        hint = "rows end in a line feed, and a cell that begins with a quote ends in one"
        raise DataFileError("NB204", f"row 1 of {name} cannot be parted into cells", hint) from None
    separator = max(cells, key=lambda mark: len(cells[mark]))
    if not cells[separator]:
        hint = "remove it: row 1 holds the names of the columns"
        raise DataFileError("NB204", f"row 1 of {name} is empty", hint)
    return tuple(cell.strip() for cell in cells[separator]), separator


def first_line(content: bytes, name: str) -> str:
    """The first line of text; raises NB204 where the file is no text, or none in UTF-8."""
    if content.startswith(text.UTF16):
        raise DataFileError("NB204", f"{name} is text in UTF-16; UTF-8 is read", "save it as UTF-8")
    start = content[:HEADER_CAP].removeprefix(text.BOM)
    if b"\0" in start:
        raise DataFileError("NB204", f"{name} is not text: it holds NUL bytes")
    try:
        line = start.partition(b"\n")[0].decode()
    except UnicodeDecodeError:
        raise DataFileError("NB204", f"row 1 of {name} is not UTF-8", "save it as UTF-8") from None
    return line.rstrip("\r")


def not_a_header(table: Table) -> DataFileError | None:
    """The error for a first row that holds no names of columns: a comment, or one long cell."""
    if table.schema is not None:
        return None
    if COMMENT.match(table.columns[0]):
        hint = "remove it: row 1 holds the names of the columns"
        return DataFileError("NB204", f"row 1 of {table.name} is a comment", hint)
    if len(table.columns) == 1 and len(table.columns[0].split()) > 1:
        what = f"row 1 of {table.name} is a single cell, with blanks in it"
        hint = "columns are parted by commas, semicolons or tabs: write one of these for the blanks"
        return DataFileError("NB204", what, hint)
    return None


@contextmanager
def damage_told(name: str) -> Iterator[None]:
    """Raise CellsError where polars cannot read a table; the body is a call of polars alone.

    Polars' own message is not shown, since it may repeat cells.
    """
    try:
        yield
    except DAMAGED:
        hint = "each row has as many cells as the header; text is UTF-8"
        raise CellsError("NB204", f"{name} is malformed", hint) from None


def stripped(cells: pl.Series, name: str, size: int) -> pl.Series:
    """A column as text without blanks around it; missing cells stay missing.

    Raises DataFileError NB901 where that is more text than a file of `size` bytes may hold: in a
    binary table a long text is stored once, however many rows have it.
    """
    coded = isinstance(cells.dtype, (pl.Categorical, pl.Enum))
    if coded:  # measured before each row gets a copy of its text
        judge_text(cells.cat.len_bytes(), name, size)
    with damage_told(name):
        texts = cells.cast(pl.String)
    if not coded:
        judge_text(texts.str.len_bytes(), name, size)
    return texts.str.strip_chars()


def judge_text(lengths: pl.Series, name: str, size: int) -> None:
    """Refuse a column whose cells have far more bytes of text than a file of `size` can hold."""
    limit = max(npz.SMALL, npz.RATIO * size)
    if (lengths.sum() or 0) > limit:
        what = f"{name} holds more than {limit:,} bytes of text in one column"
        raise DataFileError("NB901", what, "shorten it, or leave it out")


def find(table: Table, wanted: str) -> str | None:
    """The column of this name, else the only one that differs in small and capital letters."""
    if wanted in table.columns:
        return wanted
    alike = [column for column in table.columns if column.casefold() == wanted.casefold()]
    return alike[0] if len(alike) == 1 else None


def given(table: Table, option: str, column: str) -> str:
    """The column that an option names; raises DataFileError NB211 where it is not there."""
    found = find(table, column)
    if found is None:
        what = f"{table.name} has no column {show(column)}"
        hint = f"{did_you_mean(column, table.columns)} its columns are {listed(table)}".lstrip()
        raise OptionError(option, "NB211", what, hint, column=column)
    return found


def first_known(table: Table, known: Sequence[str]) -> str | None:
    """The column with the first of these names, whatever its letters' size."""
    by_name = {column.casefold(): column for column in reversed(table.columns)}
    return next((by_name[name] for name in known if name in by_name), None)


def listed(table: Table) -> str:
    """The names of the columns, of which there may be many, for a message."""
    names = ", ".join(show(column) for column in table.columns[:LISTED])
    more = len(table.columns) - LISTED
    return f"{names} and {more} more" if more > 0 else names


def text_cells(
    table: Table, columns: Sequence[str], name: str
) -> tuple[list[int], dict[str, npt.NDArray[np.object_]]]:
    """The numbers of the rows that are not empty, and their cells as text, "" being missing.

    Raises DataFileError NB213 where the column `name` holds floating-point numbers.
    """
    keys = {f"column {i}": column for i, column in enumerate(columns)}
    frame = table.strings(keys)
    kept = ~frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
    rows = (np.flatnonzero(kept.to_numpy()) + table.first_row).tolist()
    frame = frame.filter(kept).fill_null("")
    ids = frame[f"column {columns.index(name)}"]
    kind = None if table.schema is None else list(table.schema.values())[table.index(name)]
    if kind is not None and (kind.is_float() or kind.is_decimal()):
        raise float_ids(table, name, f"row {table.first_row}")
    if ids.str.contains(NUMBER).all() and not ids.str.contains(WHOLE).all():
        raise float_ids(table, name, f"row {rows[(~ids.str.contains(WHOLE)).arg_max() or 0]}")
    return rows, {column: as_objects(frame[key]) for key, column in keys.items()}


def float_ids(table: Table, column: str, where: str) -> DataFileError:
    """The error for ids that went through floating-point numbers."""
    return DataFileError(
        "NB213",
        f"the column {show(column)} of {table.name} holds floating-point numbers, the first in"
        f" {where}; ids of 17 and more digits are not exact as such",
        "write it again from the source with the ids as integers or as text",
    )


def as_objects(words: pl.Series) -> npt.NDArray[np.object_]:
    """An object array of Python text: no longer than needed, however long one of them is."""
    array = np.empty(len(words), object)
    array[:] = words.to_list()
    return array
