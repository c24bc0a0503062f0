"""The .npy format: a header of one line, which numpy parses, then the array's bytes.

The header is capped before numpy sees it, and numpy evaluates literals only, so that no header can
run or allocate. What it declares is compared with the file before memory is taken. Format:
numpy/lib/format.py, NEP 1.
"""

from __future__ import annotations

import io
import math
import tokenize
import warnings
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from netbuild.errors import DataFileError

Array = npt.NDArray[Any]

MAGIC = b"\x93NUMPY"
HEADER_CAP = 10_000  # bytes, numpy's own cap; a numeric header takes about 120
HEAD = HEADER_CAP + 12  # bytes from the start of a file in which an accepted header ends
MAX_DIMENSIONS = 32
KINDS = {"c": "complex", "S": "string", "U": "string", "M": "datetime", "m": "timedelta"}
# What numpy raises for headers that are not those of an array.
DAMAGED = (
    *(ValueError, TypeError, KeyError, IndexError, SyntaxError, OverflowError),
    *(tokenize.TokenError, RecursionError, MemoryError),
)


@dataclass(frozen=True)
class Layout:
    """Where and how an array lies in its file."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]  # with the file's byte order
    fortran_order: bool
    offset: int  # bytes before the first element

    @property
    def nbytes(self) -> int:
        """The bytes of the elements; a Python int, so that no shape can overflow it."""
        return math.prod(self.shape) * self.dtype.itemsize


def layout_of(head: bytes, size: int, name: str, max_bytes: int) -> Layout:
    """The layout of an .npy of `size` bytes in all, of which `head` is the first `HEAD`.

    Raises DataFileError: NB204 (not an intact .npy, or pickled objects), NB207 (a dtype that is
    no plain number), NB201 (0-d or empty), NB901 (more than `max_bytes`).
    """
    layout = header_of(head, name)
    check_dtype(layout.dtype, name)
    if layout.nbytes > max_bytes:
        what = f"{name} declares {layout.nbytes:,} bytes; the limit is {max_bytes:,}"
        raise DataFileError("NB901", what)
    if 0 in layout.shape or layout.shape == ():
        what = "is a single number" if layout.shape == () else "is empty"
        hint = "save one value for each unit or connection"
        raise DataFileError("NB201", f"{name} {what}: its shape is {layout.shape}", hint)
    if (found := size - layout.offset) != layout.nbytes:
        problem = "is truncated" if found < layout.nbytes else "has bytes after its data"
        raise DataFileError(
            "NB204",
            f"{name} {problem}: its header declares {layout.nbytes:,} bytes of data, "
            f"the file holds {found:,}",
            "write it again with numpy.save",
        )
    return layout


def shape_of(
    file: BinaryIO, size: int, array: str | None, name: str, max_bytes: int
) -> tuple[int, ...]:
    """The shape of an .npy of `size` bytes; its data stays unread. Raises as `layout_of` does."""
    file.seek(0)
    return layout_of(file.read(HEAD), size, name, max_bytes).shape


def array_from(
    content: bytes | bytearray | memoryview, array: str | None, name: str, max_bytes: int
) -> Array:
    """The array: C order, native byte order, writable; on `content`'s memory where that fits.

    Raises what `layout_of` raises, and DataFileError NB205 for a bool that is neither 0 nor 1:
    numpy would miscount it.
    """
    layout = layout_of(bytes(content[:HEAD]), len(content), name, max_bytes)
    flat = np.frombuffer(content, layout.dtype, math.prod(layout.shape), layout.offset)
    if flat.dtype == np.bool_ and flat.view(np.uint8).max() > 1:
        raise DataFileError("NB205", f"{name} holds bool values other than 0 and 1")
    matrix = flat.reshape(layout.shape, order="F" if layout.fortran_order else "C")
    native = layout.dtype.newbyteorder("=")
    return np.require(matrix, native, ["C_CONTIGUOUS", "ALIGNED", "WRITEABLE"])


def header_of(head: bytes, name: str) -> Layout:
    """What a header declares, of whatever dtype; raises DataFileError NB204."""
    version = tuple(head[len(MAGIC) : len(MAGIC) + 2])
    if not head.startswith(MAGIC) or len(version) < 2:
        raise malformed(name, "its first bytes are not those of one")
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise malformed(name, f"its format version {version[0]}.{version[1]} is unknown")
    length = int.from_bytes(head[8 : 10 if version == (1, 0) else 12], "little")
    if length > HEADER_CAP:
        problem = f"its header of {length:,} bytes is longer than {HEADER_CAP:,}"
        raise malformed(name, problem)
    # Version 3 differs from 2 in the encoding of names of fields, which no plain number has.
    form: Any = np.lib.format
    read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
    stream = io.BytesIO(head)
    stream.seek(len(MAGIC) + 2)
    try:
        with warnings.catch_warnings():  # numpy warns of headers that Python 2 wrote
            warnings.simplefilter("ignore")
            shape, fortran_order, dtype = read(stream, HEADER_CAP)
    except DAMAGED:
        raise malformed(name, "its header is not that of an array") from None
    lengths = all(type(length) is int and length >= 0 for length in shape)
    if not lengths or len(shape) > MAX_DIMENSIONS:
        raise malformed(name, "its header's shape is not valid")
    return Layout(shape, dtype, fortran_order, stream.tell())


def check_dtype(dtype: np.dtype[Any], name: str) -> None:
    """Refuse whatever is not bool, nor an integer or float of at most 64 bits: NB204, NB207."""
    if dtype.hasobject:
        what = f"{name} holds pickled Python objects; pickles are never read"
        hint = "save numbers: numpy.save(file, array.astype(float), allow_pickle=False)"
        raise DataFileError("NB204", what, hint)
    kind = KINDS.get(dtype.kind, "structured")
    if dtype.kind in "biuf":
        if dtype.itemsize <= 8:
            return
        kind = f"{8 * dtype.itemsize}-bit float"  # a long double differs between machines
    what = f"{name} holds {kind} values; bool, integers and floats of at most 64 bits are read"
    hint = "convert it, e.g. numpy.save(file, array.astype(numpy.float64))"
    raise DataFileError("NB207", what, hint)


def malformed(name: str, problem: str) -> DataFileError:
    """The error for a file that is not an intact .npy."""
    hint = "write it again with numpy.save"
    return DataFileError("NB204", f"{name} is not an intact .npy: {problem}", hint)
