"""Matrices without names: .npy and .npz files, and what every square matrix goes through."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netbuild.connectomes.options import MOST_NEURONS, Options, left_out, said
from netbuild.connectomes.raw import RawEdges
from netbuild.errors import DataFileError
from netbuild.files import npy, npz
from netbuild.files.arrays import MAX_BYTES
from netbuild.wording import show

Array = npt.NDArray[Any]
COLUMNS = ("pre", "post", "weight", "type", "where")  # options that only tables have a use for
ZERO = "weight 0"  # why an entry that is stored is no connection


def read(path: Path, content: bytes, options: Options) -> RawEdges:
    """The entries other than 0 of a square matrix in an .npy or, under `array`, an .npz.

    Raises DataFileError: NB204, NB207, NB901 as `masks.read_array` does; NB201 (not square),
    NB205 (an entry that is negative, NaN or infinite), NB206 (no such array), NB211 (options for
    columns), NB306 (`rows` is not written).
    """
    name = show(path.name)
    refuse_columns(options, name)
    if content.startswith(npy.MAGIC):
        if options.array is not None:
            what = f"only an .npz or .mat has named arrays; {name} holds one"
            raise left_out("array", "NB206", what)
        layout = npy.layout_of(content[: npy.HEAD], len(content), name, MAX_BYTES)
        matrix = npy.array_from(layout, bytearray(content), name)
    else:
        file = io.BytesIO(content)
        matrix = npz.array_from(file, len(content), options.array, name, MAX_BYTES)
    return of_matrix(matrix, options, name)


def refuse_columns(options: Options, name: str) -> None:
    """A matrix has no columns to choose: options that name some were meant for another file."""
    for key in COLUMNS:
        if getattr(options, key):
            what = f"{name} is a matrix, and `{said(key)}` is about the columns of an edge list"
            raise left_out(key, "NB211", what)


def of_matrix(matrix: Array, options: Options, name: str) -> RawEdges:
    """The entries other than 0 of a matrix (row, column) of numbers."""
    n = size_of(matrix.shape, options, name)
    rows, columns = np.nonzero(matrix)
    return of_entries(rows, columns, matrix[rows, columns], n, options, name)


def size_of(shape: tuple[int, ...], options: Options, name: str) -> int:
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
    if options.rows is None:
        raise DataFileError(
            "NB306",
            f"a square matrix without names, {shape[0]:,} by {shape[0]:,}, in {name}: are its rows"
            " presynaptic?",
            "say `rows: pre` where entry [i, j] is the connection from i to j, `rows: post` for"
            " torch's layout",
        )
    return shape[0]


def of_entries(
    rows: Array, columns: Array, values: Array, n: int, options: Options, name: str
) -> RawEdges:
    """The entries of a square matrix, (entry,) each: positions from 0, and what stands there."""
    weight = values.astype(np.float64)
    bad = ~((weight >= 0) & (weight < np.inf))
    if bad.any():
        first = int(np.argmax(bad))
        where = f"row {rows[first] + 1:,}, column {columns[first] + 1:,} of {name}"
        raise not_a_weight(float(weight[first]), where)
    stored = len(weight)
    if not weight.all():
        kept = weight != 0
        rows, columns, weight = rows[kept], columns[kept], weight[kept]
    pre, post = (rows, columns) if options.rows != "post" else (columns, rows)
    return RawEdges(
        pre=pre.astype(np.int64),
        post=post.astype(np.int64),
        weight=weight,
        numbered=True,
        n=n,
        rows=stored,
        dropped={ZERO: stored - len(weight)} if stored > len(weight) else {},
    )


def not_a_weight(weight: float, where: str) -> DataFileError:
    """The error for a weight that is negative or not finite."""
    if weight < 0 and weight > -np.inf:
        hint = "counts have no sign; those of units are in `neurons: {file: FILE, sign: COLUMN}`"
        return DataFileError("NB205", f"{where} is negative", hint)
    hint = "write a number in its place, or 0 for no connection"
    return DataFileError("NB205", f"{where} is not a finite number", hint)
