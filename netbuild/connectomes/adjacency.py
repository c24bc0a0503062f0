"""Matrices with names, as text: the first row and the first column hold the names of neurons."""

from __future__ import annotations

import csv
import io
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from netbuild.connectomes.dense import not_a_weight, refuse_columns
from netbuild.connectomes.options import Options, left_out
from netbuild.connectomes.raw import RawEdges
from netbuild.errors import DataFileError
from netbuild.files import text
from netbuild.wording import show

EMPTY = frozenset(("", "0"))  # cells without a connection, as most are; others are parsed


def looks_labelled(header_cells: Sequence[str]) -> bool:
    """Whether a first row may be that of a matrix with names.

    Its corner is empty, or text with distinct names beside it, which may be numbers. The header of
    an edge list looks so too: ask first whether its columns are recognised.
    """
    corner, *names = (cell.strip() for cell in header_cells)
    if not corner:
        return any(names)  # one that is missing or there twice is told by its place
    distinct = all(names) and len(set(names)) == len(names)
    return bool(names) and distinct and not text.NUMBER.fullmatch(corner)


def read(path: Path, content: bytes, options: Options) -> RawEdges:
    """The entries other than 0 and empty; [i, j] is i -> j unless `rows: post` says j -> i.

    The sets of names may differ, so that the matrix is rectangular: the neurons are those of the
    rows, and then those of the columns that no row has.

    Raises DataFileError: NB204 (not such a table: empty, ragged, a name that is missing or there
    twice), NB205 (a cell that is no number, negative or not finite), NB206 (`array`), NB211
    (options for columns).
    """
    name = show(path.name)
    refuse_columns(options, name)
    if options.array is not None:
        what = f"only an .npz or .mat has named arrays; {name} holds one"
        raise left_out("array", "NB206", what)
    records = records_of(content, name)
    header = next(records, [])
    columns = labels([cell.strip() for cell in header[1:]], "column", name)
    rows: list[str] = []
    places, targets, weight = array("q"), array("q"), array("d")  # of an entry, 24 bytes in all
    for number, cells in enumerate(records, 2):
        if len(cells) != len(header):
            raise ragged(cells, number, len(header), name)
        rows.append(cells[0].strip())
        for column, value in entries_of(cells, number, name):
            places.append(number - 2)
            targets.append(column)
            weight.append(value)
    labels(rows, "row", name)
    if not rows or not columns:
        hint = "its first row and its first column hold names, the others numbers"
        raise DataFileError("NB204", f"{name} has no {'columns' if rows else 'rows'}", hint)
    units = {unit: position for position, unit in enumerate(dict.fromkeys(chain(rows, columns)))}
    starts, ends = (np.array([units[each] for each in axis]) for axis in (rows, columns))
    start, end = starts[np.array(places)], ends[np.array(targets)]
    pre, post = (start, end) if options.rows != "post" else (end, start)
    return RawEdges(
        pre=pre,
        post=post,
        weight=np.array(weight),
        names=np.array(list(units), object),
        numbered=True,
        n=len(units),
        rows=len(weight),
    )


def records_of(content: bytes, name: str) -> Iterator[list[str]]:
    """The rows as lists of cells; blank lines at the end are left out."""
    if content.startswith(text.UTF16):
        hint = "save it as UTF-8"
        raise DataFileError("NB204", f"{name} is text in UTF-16; UTF-8 is read", hint)
    if b"\0" in content:
        raise DataFileError("NB204", f"{name} is not text: it holds NUL bytes")
    if len(content) > text.SIZE_CAP:
        what = f"{name} has {len(content):,} bytes; the limit of a matrix is {text.SIZE_CAP:,}"
        raise DataFileError("NB901", what, "save it as an edge list, or as .npz")
    try:
        lines = io.StringIO(content.removeprefix(text.BOM).decode().rstrip("\r\n"), newline=None)
    except UnicodeDecodeError:
        raise DataFileError("NB204", f"{name} is not text in UTF-8", "save it as UTF-8") from None
    first = lines.readline()
    lines.seek(0)
    if not first:
        raise DataFileError("NB204", f"{name} is empty")
    separator = next((mark for mark in "\t;," if mark in first), ",")
    number = 0
    records = csv.reader(lines, delimiter=separator, strict=True)
    try:
        for number, cells in enumerate(records, 1):  # noqa: B007 - told in the error
            yield cells
    except csv.Error:
        hint = "a quote that opens must close, before the next separator"
        what = f"row {number + 1:,} of {name} cannot be parted into cells"
        raise DataFileError("NB204", what, hint) from None


def entries_of(cells: list[str], number: int, name: str) -> Iterable[tuple[int, float]]:
    """(column from 0, value) of the connections in one row; `number` counts the header as 1."""
    for column, cell in enumerate(cells):
        if cell in EMPTY or column == 0:
            continue
        if not (cell := cell.strip()):
            continue
        where = text.place(name, number, column + 1)
        if text.NOT_FINITE.fullmatch(cell):
            raise not_a_weight(math.nan, where)
        if text.DECIMAL_COMMA.fullmatch(cell):
            hint = "write decimal points: 0.5"
            raise DataFileError("NB205", f"{where} is a number with a decimal comma", hint)
        if not text.NUMBER.fullmatch(cell):
            hint = "cells are numbers, and empty or 0 where there is no connection"
            raise DataFileError("NB205", f"{where} is not a number", hint)
        value = float(cell)
        if not 0 <= value < math.inf:
            raise not_a_weight(value, where)
        if value:
            yield column - 1, value


def labels(names: list[str], axis: str, name: str) -> list[str]:
    """`names` themselves, of which none is empty or there twice; they start at place 2."""
    seen: dict[str, int] = {}
    for place, label in enumerate(names, 2):
        if not label:
            what = f"{axis} {place:,} of {name} has no name"
            raise DataFileError("NB204", what, f"remove the {axis}, or write a name for it")
        if (before := seen.setdefault(label, place)) != place:
            what = f"{axis} {place:,} of {name} has the name of {axis} {before:,}, {show(label)}"
            raise DataFileError("NB204", what, f"each neuron has one {axis}")
    return names


def ragged(cells: list[str], number: int, wanted: int, name: str) -> DataFileError:
    """The error for a row that is shorter or longer than the header."""
    if not cells:
        return DataFileError("NB204", f"row {number:,} of {name} is empty", "remove it")
    what = f"row {number:,} of {name} has {len(cells):,} cells, the header has {wanted:,}"
    return DataFileError("NB204", what, "each row has a name and a cell for each column")
