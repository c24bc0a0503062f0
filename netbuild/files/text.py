"""Matrices as text (.csv, .tsv, .txt): one row a line, numbers and nothing else.

A number that cannot be read is located by row and column, both counted from 1, and never
repeated: a spec may name a file that its reader must not see.
"""

from __future__ import annotations

import io
import re

import numpy as np
import numpy.typing as npt

from netbuild.errors import DataFileError
from netbuild.files.door import read_whole

SIZE_CAP = 64 << 20  # bytes; as .npy the same matrix is a fraction of that
BOM = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")
PLAIN = bytes(range(32, 127)) + b"\t\r\n"
NUMBER = re.compile(r"[ \t]*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?[ \t]*", re.ASCII)
DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*", re.ASCII)
NOT_FINITE = re.compile(r"\s*[+-]?(nan|inf|infinity)\s*", re.IGNORECASE)


def shape_of(
    file: io.FileIO | io.BytesIO, size: int, array: str | None, name: str, max_bytes: int
) -> tuple[int, ...]:
    """(rows, columns) of the matrix, by counting lines and the first line's separators."""
    lines, separator = lines_of(read_whole(file, size, name), name)
    return len(lines), len(cells_of(lines[0], separator))


def array_from(
    content: bytes | bytearray, array: str | None, name: str, max_bytes: int
) -> npt.NDArray[np.float64]:
    """The matrix, shape (rows, columns), two-dimensional also with a single row or column.

    Columns are separated by commas, semicolons, tabs or blanks, whichever the first row uses.
    Raises DataFileError: NB204 (not a matrix: empty, ragged, a comment), NB205 (a cell that is no
    finite number), NB901 (more than `max_bytes` in memory).
    """
    content = content.removeprefix(BOM)
    lines, separator = lines_of(content, name)
    needed = 8 * len(lines) * len(cells_of(lines[0], separator))
    if needed > max_bytes:
        raise DataFileError("NB901", f"{name} needs {needed:,} bytes; the limit is {max_bytes:,}")
    if content.translate(None, PLAIN) or not all(map(str.strip, lines)):
        raise first_fault(lines, separator, name)  # numpy skips blank lines and unusual white space
    try:
        matrix = np.loadtxt(lines, np.float64, comments=None, delimiter=separator, ndmin=2)
    except ValueError:  # numpy's own message repeats the cell
        raise first_fault(lines, separator, name) from None
    bad = ~np.isfinite(matrix)
    if bad.any():
        row, column = np.argwhere(bad)[0] + 1
        raise not_finite(place(name, row, column))
    return matrix


def refuse_other_encodings(content: bytes | bytearray, name: str) -> None:
    """Raise DataFileError NB204 for text in UTF-16, and for what holds NUL bytes."""
    if content.startswith(UTF16):
        raise DataFileError("NB204", f"{name} is text in UTF-16; UTF-8 is read", "save it as UTF-8")
    if b"\0" in content:
        raise DataFileError("NB204", f"{name} is not text: it holds NUL bytes")


def lines_of(content: bytes | bytearray, name: str) -> tuple[list[str], str | None]:
    """The file's lines without their ends, and the separator of cells (None: runs of blanks)."""
    refuse_other_encodings(content, name)
    text = content.removeprefix(BOM).decode("latin-1").replace("\r\n", "\n").rstrip("\n")
    if not text.strip():
        raise DataFileError("NB204", f"{name} is empty")
    lines = text.split("\n")
    found = (mark for mark in (";", "\t", ",") if mark in lines[0])
    return lines, next(found, None)


def cells_of(line: str, separator: str | None) -> list[str]:
    """The cells of one line, as text."""
    return line.split(separator)


def first_fault(lines: list[str], separator: str | None, name: str) -> DataFileError:
    """The error for the first cell or row that numpy could not read, searched row by row."""
    columns = len(cells_of(lines[0], separator))
    for row, line in enumerate(lines, 1):
        if not line.strip():
            return DataFileError("NB204", f"row {row} of {name} is empty")
        if line.lstrip().startswith("#"):
            hint = "remove it; it may be a row that was commented out by mistake"
            return DataFileError("NB204", f"row {row} of {name} is a comment", hint)
        cells = cells_of(line, separator)
        for column, cell in enumerate(cells, 1):
            if not NUMBER.fullmatch(cell):
                return bad_cell(cells, row, column, name)
        if len(cells) != columns:
            what = f"row {row} of {name} has {len(cells)} columns, the first row has {columns}"
            return DataFileError("NB204", what, "each row of a matrix has as many numbers")
    hint = "columns are separated by commas, semicolons, tabs or blanks, rows by line ends"
    return DataFileError("NB204", f"{name} holds white space of another kind", hint)


def bad_cell(cells: list[str], row: int, column: int, name: str) -> DataFileError:
    """The error for a cell that is no number, with a hint but without its text."""
    cell, where = cells[column - 1], place(name, row, column)
    if not cell.strip():
        hint = "remove the separator at the end of the row" if column == len(cells) else ""
        return DataFileError("NB204", f"{where} is empty", hint)
    if NOT_FINITE.fullmatch(cell):
        return not_finite(where)
    if DECIMAL_COMMA.fullmatch(cell):
        hint = "write decimal points: 0.5"
        return DataFileError("NB205", f"{where} is a number with a decimal comma", hint)
    hint = ""
    if row == 1:
        hint = "if the first row is a header, remove it"
    elif column == 1:
        hint = "if the first column holds names, remove it"
    return DataFileError("NB205", f"{where} is not a number", hint)


def not_finite(where: str) -> DataFileError:
    """The error for a cell that is NaN or infinite, or overflows."""
    return DataFileError("NB205", f"{where} is not a finite number", "write a number in its place")


def place(name: str, row: int, column: int) -> str:
    """A cell's place, counted from 1."""
    return f"row {row}, column {column} of {name}"
