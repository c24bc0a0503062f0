"""What is wrong with a table of text, found again slowly: row by row, once a fast reader failed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from netbuild.errors import DataFileError
from netbuild.files import text

CELL = 1 << 17  # characters, csv's own limit: more are a quote that does not close


def first_fault(
    content: bytes, separator: str, quoted: bool, width: int, name: str
) -> DataFileError | None:
    """The error NB204 for the first row that is not UTF-8, or not `width` cells; None: all are.

    Empty rows are no fault. Only one row is in memory at a time.
    """
    stream = io.BytesIO(content.removeprefix(text.BOM) if content[:3] == text.BOM else content)
    lines = io.TextIOWrapper(stream, "utf-8", errors="surrogateescape", newline="")
    records = csv.reader(
        lines,
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    number = 0
    try:
        for number, cells in enumerate(records, 1):
            if any(len(cell) > CELL for cell in cells) or "\0" in "".join(cells):
                break
            if not is_utf8(cells):
                what = f"row {number:,} of {name} is not UTF-8"
                return DataFileError("NB204", what, "save it as UTF-8")
            if cells and len(cells) != width:
                what = (
                    f"row {number:,} of {name} has {len(cells):,} cells, the header has {width:,}"
                )
                hint = "each row has as many cells as the header; quote text that holds separators"
                return DataFileError("NB204", what, hint)
        else:
            return None
    except csv.Error:
        number += 1
    what = f"row {number:,} of {name} cannot be parted into cells"
    hint = "a quote that opens must close, before the next separator"
    return DataFileError("NB204", what, hint)


def is_utf8(cells: Sequence[str]) -> bool:
    """Whether no byte of these cells had to be escaped."""
    joined = "".join(cells)
    if joined.isascii():
        return True
    try:
        joined.encode()
    except UnicodeEncodeError:
        return False
    return True
