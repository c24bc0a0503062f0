"""Square matrices: without names (.npy, .npz), sparse (scipy's .npz), and labelled text.

A labelled text has the names of neurons in its first row and its first column. The parts of a
sparse matrix are read as plain arrays, without scipy, whose own reader trusts their indices; their
format is that of scipy/sparse/_matrix_io.py.
"""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from netbuild.connectomes.rows import MOST_NEURONS, Array, Rows, Words, objects, refuse_keys
from netbuild.connectomes.source import Source
from netbuild.errors import DataFileError
from netbuild.files import npy, npz, text
from netbuild.files.arrays import MAX_BYTES
from netbuild.wording import show

if TYPE_CHECKING:
    from netbuild.connectomes.tables import Table

COLUMNS = ("pre", "post", "weight", "transmitter", "where")  # keys that are about tables
EMPTY = frozenset(("", "0"))  # cells without a connection, as most are; others are parsed
READ = ("csr", "csc", "coo")
OTHERS = ("bsr", "dia", "dok", "lil")
FORMAT_CAP = 1 << 10  # bytes of the member that names the format; 131 as scipy writes it


def read(source: Source, words: Words) -> Rows:
    """The entries of a square matrix in an .npy or .npz; of a dense one those other than 0.

    Raises DataFileError: NB204, NB207, NB901 as `files.read_array` does; NB201 (not square), NB206
    (no such array), NB211 (keys about columns), NB306 (`rows` is missing).
    """
    name, content = source.name, source.content
    refuse_columns(words, name)
    if source.suffix == ".npz" and is_sparse(content):
        return read_sparse(source, words)
    if source.suffix == ".npy":
        refuse_array(words, name)
        matrix = npy.array_from(content, None, name, MAX_BYTES)
    else:
        matrix = npz.array_from(content, words.edges.array, name, MAX_BYTES)
    return of_matrix(matrix, words, name)


def refuse_columns(words: Words, name: str) -> None:
    """Refuse keys that name columns: a matrix has none."""
    what = f"{name} is a matrix, and `KEY` is about the columns of an edge list"
    refuse_keys(words, COLUMNS, "NB211", what)


def refuse_array(words: Words, name: str) -> None:
    """Refuse `array` for a file that holds one matrix."""
    what = f"only an .npz or .mat has named arrays; {name} holds one"
    refuse_keys(words, ("array",), "NB206", what)


def of_matrix(matrix: Array, words: Words, name: str) -> Rows:
    """The entries other than 0 of a matrix (row, column) of numbers."""
    n = size_of(matrix.shape, words, name)
    rows, columns = np.nonzero(matrix)
    return of_entries(rows, columns, matrix[rows, columns], n, words)


def size_of(shape: tuple[int, ...], words: Words, name: str) -> int:
    """How many units a square matrix is for, once it is known which way round it lies."""
    if len(shape) != 2 or shape[0] != shape[1]:
        sizes = " x ".join(f"{length:,}" for length in shape)
        hint = "a connectome's matrix is square, with a row and a column for each neuron"
        if len(shape) == 3:
            hint = "a connectome is one matrix: save that of one subject, or their mean"
        raise DataFileError("NB201", f"the array in {name} is {sizes}", hint)
    if shape[0] > MOST_NEURONS:
        what = f"the array in {name} is of {shape[0]:,} neurons"
        raise DataFileError("NB901", what, f"at most {MOST_NEURONS:,} are read")
    if words.edges.rows is None:
        raise DataFileError(
            "NB306",
            f"a square matrix without names, {shape[0]:,} by {shape[0]:,}, in {name}: are its rows"
            " presynaptic?",
            "say `rows: pre` where entry [i, j] is the connection from i to j, `rows: post` for"
            " torch's layout",
        )
    return shape[0]


def of_entries(
    rows: Array, columns: Array, values: Array, n: int, words: Words, names: Array | None = None
) -> Rows:
    """The entries of a square matrix, (entry,) each: positions from 0, and what stands there."""
    transposed = words.edges.rows == "post"
    pre, post = (columns, rows) if transposed else (rows, columns)
    return Rows(
        pre=pre.astype(np.int64, copy=False),
        post=post.astype(np.int64, copy=False),
        weight=values.astype(np.float64, copy=False),
        n=n,
        names=names,
        read=len(values),
        transposed=transposed,
    )


def looks_labelled(header_cells: Sequence[str]) -> bool:
    """Whether a first row may be that of a matrix with names.

    Its corner is empty, or text with distinct names beside it, which may be numbers. The header of
    an edge list looks so too: ask first whether its columns are recognised.
    """
    corner, *names = (cell.strip() for cell in header_cells)
    if not corner:
        return any(names)  # `check_labels` reports a name that is missing or a duplicate
    distinct = all(names) and len(set(names)) == len(names)
    return bool(names) and distinct and not text.NUMBER.fullmatch(corner)


def read_labelled(table: Table, words: Words) -> Rows:
    """The entries of a labelled text; [i, j] is i -> j unless `rows: post` says j -> i.

    The sets of names may differ, so that the matrix is rectangular: the neurons are those of the
    rows, and then those of the columns that no row has.

    Raises DataFileError: NB204 (not such a table: empty, ragged, a name that is missing or there
    twice), NB205 (a cell that is no number), NB206 (`array`), NB211 (keys about columns).
    """
    from netbuild.connectomes.tables import records  # loads polars

    name = table.name
    refuse_columns(words, name)
    refuse_array(words, name)
    if (size := len(table.content)) > text.SIZE_CAP:
        what = f"{name} has {size:,} bytes; the limit of a matrix is {text.SIZE_CAP:,}"
        raise DataFileError("NB901", what, "save it as an edge list, or as .npz")
    below = records(table)
    _, header = next(below)
    columns, rows = [cell.strip() for cell in header[1:]], list[str]()
    check_labels(columns, "column", name)
    places, targets, weight = array("q"), array("q"), array("d")  # of an entry, 24 bytes in all
    for number, cells in below:
        if number > len(rows) + 2:
            raise DataFileError("NB204", f"row {len(rows) + 2:,} of {name} is empty", "remove it")
        for column, value in entries_of(cells, number, name):
            places.append(len(rows))
            targets.append(column)
            weight.append(value)
        rows.append(cells[0].strip())
    check_labels(rows, "row", name)
    if not rows or not columns:
        hint = "its first row and its first column hold names, the others numbers"
        raise DataFileError("NB204", f"{name} has no {'columns' if rows else 'rows'}", hint)
    units = {unit: position for position, unit in enumerate(dict.fromkeys(chain(rows, columns)))}
    starts, ends = (np.array([units[each] for each in axis]) for axis in (rows, columns))
    start, end = starts[np.array(places)], ends[np.array(targets)]
    return of_entries(start, end, np.array(weight), len(units), words, objects(units))


def entries_of(cells: list[str], number: int, name: str) -> Iterator[tuple[int, float]]:
    """(column from 0, value) of the connections in one row; `number` counts the header as 1."""
    for column, cell in enumerate(cells):
        if cell in EMPTY or column == 0 or not (cell := cell.strip()):
            continue
        if not text.NUMBER.fullmatch(cell):
            error = text.bad_cell(cells, number, column + 1, name)
            error.hint = error.hint or "cells are numbers, and empty or 0 for no connection"
            raise error
        if value := float(cell):
            yield column - 1, value


def check_labels(names: Sequence[str], axis: str, name: str) -> None:
    """Refuse a name that is empty or there twice; the first one stands at place 2."""
    seen: dict[str, int] = {}
    for place, label in enumerate(names, 2):
        if not label:
            what = f"{axis} {place:,} of {name} has no name"
            raise DataFileError("NB204", what, f"remove the {axis}, or write a name for it")
        if (before := seen.setdefault(label, place)) != place:
            what = f"{axis} {place:,} of {name} has the name of {axis} {before:,}, {show(label)}"
            raise DataFileError("NB204", what, f"each neuron has one {axis}")


def is_sparse(content: bytes) -> bool:
    """Whether the bytes of an .npz hold the parts of a sparse matrix; False if they hold nothing.

    A damaged archive is reported by its reader.
    """
    return {"format.npy", "shape.npy", "data.npy"} <= npz.members_of(content)


def read_sparse(source: Source, words: Words) -> Rows:
    """The stored entries of a sparse square matrix in CSR, CSC or COO form.

    Raises DataFileError: NB204 (parts that do not belong together), NB207 (another form), NB215 (no
    entries), and what `read` raises.
    """
    name, content = source.name, source.content
    what = f"{name} holds one sparse matrix, whose parts are its arrays"
    refuse_keys(words, ("array",), "NB206", what)
    form, shape = form_of(content, name), positions(content, "shape", name)
    if shape.shape != (2,):
        raise not_sparse(name, "its shape is not two numbers")
    n = size_of((int(shape[0]), int(shape[1])), words, name)
    values = values_of(content, name)
    if form == "coo":
        rows, columns = (positions(content, key, name) for key in ("row", "col"))
    else:
        starts, minor = (positions(content, key, name) for key in ("indptr", "indices"))
        major = expanded(starts, len(minor), n, name)
        rows, columns = (major, minor) if form == "csr" else (minor, major)
    check_entries(rows, columns, values, n, name)
    return of_entries(rows, columns, values, n, words)


def form_of(content: bytes, name: str) -> str:
    """csr, csc or coo: the bytes of the member `format`, a single text of three letters."""
    with npz.archive_of(io.BytesIO(content), len(content), name) as archive:
        member = npz.pick(archive, len(content), "format", name, MAX_BYTES)
        if member.file_size > FORMAT_CAP:
            raise not_sparse(name, "its `format` is too long")
        head = bytes(npz.unpacked(archive, member, FORMAT_CAP, name))
    offset = npy.header_of(head, name).offset
    form = head[offset:].replace(b"\0", b"").decode("ascii", "replace")
    if form in READ:
        return form
    if form in OTHERS:
        hint = "write it as scipy.sparse.save_npz(file, matrix.tocsr())"
        raise DataFileError("NB207", f"{name} holds a sparse matrix in {form} form", hint)
    raise not_sparse(name, "its `format` is not one that scipy writes")


def values_of(content: bytes, name: str) -> Array:
    """The entries' values; NB215 where there are none."""
    try:
        return npz.array_from(content, "data", name, MAX_BYTES)
    except DataFileError as error:
        if error.code == "NB201":
            raise DataFileError("NB215", f"the sparse matrix in {name} has no entries") from None
        raise


def positions(content: bytes, key: str, name: str) -> Array:
    """One of the arrays, of one dimension, of integers that an index can be."""
    array = npz.array_from(content, key, name, MAX_BYTES)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise not_sparse(name, f"its `{key}` is not a list of whole numbers")
    if array.dtype == np.uint64 and array.max() > np.iinfo(np.int64).max:
        raise not_sparse(name, f"its `{key}` holds numbers that no position can be")
    return array


def expanded(starts: Array, entries: int, n: int, name: str) -> Array:
    """(entry,): the row (in CSR) or column (in CSC) of each, from where each one's start."""
    if len(starts) != n + 1 or starts[0] != 0 or starts[-1] != entries:
        raise not_sparse(name, "its `indptr` does not fit its shape and its entries")
    if (starts[1:] < starts[:-1]).any():
        raise not_sparse(name, "its `indptr` falls")
    return np.repeat(np.arange(n), np.diff(starts))


def check_entries(rows: Array, columns: Array, values: Array, n: int, name: str) -> None:
    """Refuse parts of different lengths and positions outside the matrix."""
    if not (rows.shape == columns.shape == values.shape):
        raise not_sparse(name, "its indices and values are not equally many")
    for key, positions in (("row", rows), ("column", columns)):
        if len(positions) and not 0 <= positions.min() <= positions.max() < n:
            raise not_sparse(name, f"it has an entry in a {key} outside its {n:,}")


def not_sparse(name: str, problem: str) -> DataFileError:
    """The error for a file that does not hold an intact sparse matrix."""
    hint = "write it again with scipy.sparse.save_npz"
    return DataFileError("NB204", f"{name} is not an intact sparse matrix: {problem}", hint)
