"""What scipy.sparse.save_npz writes: the parts of a sparse matrix as arrays of an .npz.

They are read as plain arrays, without scipy. Format: scipy/sparse/_matrix_io.py.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netbuild.connectomes import dense
from netbuild.connectomes.options import Options, left_out
from netbuild.connectomes.raw import RawEdges
from netbuild.errors import DataFileError
from netbuild.files import npy, npz
from netbuild.files.arrays import MAX_BYTES
from netbuild.wording import show

Array = npt.NDArray[Any]
READ = ("csr", "csc", "coo")
OTHERS = ("bsr", "dia", "dok", "lil")
FORMAT_CAP = 1 << 10  # bytes of the member that names the format; 131 as scipy writes it


def is_sparse(content: bytes) -> bool:
    """Whether the bytes of an .npz hold the parts of a sparse matrix; False if they hold nothing.

    What is wrong with an archive is said by the reader that gets it.
    """
    return {"format.npy", "shape.npy", "data.npy"} <= npz.members_of(content)


def read(path: Path, content: bytes, options: Options) -> RawEdges:
    """The stored entries of a sparse square matrix in CSR, CSC or COO form.

    Raises DataFileError: NB204 (parts that do not belong together), NB207 (another form), NB215 (no
    entries), and what `dense.read` raises.
    """
    name = show(path.name)
    dense.refuse_columns(options, name)
    if options.array is not None:
        what = f"{name} holds one sparse matrix, whose parts are its arrays"
        raise left_out("array", "NB206", what)
    form = form_of(content, name)
    shape = whole(part(content, "shape", name), "shape", name)
    if shape.shape != (2,):
        raise malformed(name, "its shape is not two numbers")
    n = dense.size_of((int(shape[0]), int(shape[1])), options, name)
    values = values_of(content, name)
    if form == "coo":
        rows, columns = (whole(part(content, key, name), key, name) for key in ("row", "col"))
    else:
        starts, minor = (
            whole(part(content, key, name), key, name) for key in ("indptr", "indices")
        )
        major = unpacked(starts, len(minor), n, name)
        rows, columns = (major, minor) if form == "csr" else (minor, major)
    check_entries(rows, columns, values, n, name)
    return dense.of_entries(rows, columns, values, n, options, name)


def form_of(content: bytes, name: str) -> str:
    """csr, csc or coo: the bytes of the member `format`, a single text of three letters."""
    with npz.archive_of(io.BytesIO(content), len(content), name) as archive:
        member = npz.pick(archive, len(content), "format", name, MAX_BYTES)
        if member.file_size > FORMAT_CAP:
            raise malformed(name, "its `format` is too long")
        head = bytes(npz.unpacked(archive, member, FORMAT_CAP, name))
    offset = npy.header_of(head, name).offset
    form = head[offset:].replace(b"\0", b"").decode("ascii", "replace")
    if form in READ:
        return form
    if form in OTHERS:
        hint = "write it as scipy.sparse.save_npz(file, matrix.tocsr())"
        raise DataFileError("NB207", f"{name} holds a sparse matrix in {form} form", hint)
    raise malformed(name, "its `format` is none that scipy writes")


def part(content: bytes, key: str, name: str) -> Array:
    """One of the arrays."""
    return npz.array_from(io.BytesIO(content), len(content), key, name, MAX_BYTES)


def values_of(content: bytes, name: str) -> Array:
    """The entries' values; an empty matrix is told as such, not as an array of a wrong shape."""
    try:
        return part(content, "data", name)
    except DataFileError as error:
        if error.code == "NB201":
            raise DataFileError("NB215", f"the sparse matrix in {name} has no entries") from None
        raise


def whole(array: Array, key: str, name: str) -> Array:
    """`array` itself, of one dimension, of integers that an index can be."""
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise malformed(name, f"its `{key}` is not a list of whole numbers")
    if array.dtype == np.uint64 and array.max() > np.iinfo(np.int64).max:
        raise malformed(name, f"its `{key}` holds numbers that no position can be")
    return array


def unpacked(starts: Array, entries: int, n: int, name: str) -> Array:
    """(entry,): the row (in CSR) or column (in CSC) of each, from where each one's start."""
    if len(starts) != n + 1 or starts[0] != 0 or starts[-1] != entries:
        raise malformed(name, "its `indptr` does not fit its shape and its entries")
    if (starts[1:] < starts[:-1]).any():
        raise malformed(name, "its `indptr` falls")
    return np.repeat(np.arange(n), np.diff(starts))


def check_entries(rows: Array, columns: Array, values: Array, n: int, name: str) -> None:
    """Refuse parts of different lengths and positions outside the matrix."""
    if not (rows.shape == columns.shape == values.shape):
        raise malformed(name, "its indices and values are not equally many")
    for key, positions in (("row", rows), ("column", columns)):
        if len(positions) and not 0 <= positions.min() <= positions.max() < n:
            raise malformed(name, f"it has an entry in a {key} outside its {n:,}")


def malformed(name: str, problem: str) -> DataFileError:
    """The error for a file whose parts do not make a matrix."""
    hint = "write it again with scipy.sparse.save_npz"
    return DataFileError("NB204", f"{name} is not an intact sparse matrix: {problem}", hint)
