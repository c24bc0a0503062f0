"""The .npy format: a header of one line, then the array's bytes.

The header is matched against the few forms that a numeric array can have and never handed to a
Python parser, so no header can run, recurse or allocate. Format: numpy/lib/format.py, NEP 1.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from netbuild.errors import DataFileError

Array = npt.NDArray[Any]

MAGIC = b"\x93NUMPY"
HEADER_CAP = 10_000  # bytes, as in numpy; a numeric header takes about 120
HEAD = HEADER_CAP + 12  # bytes from the start of a file in which an accepted header ends
REFUSED = {"c": "complex", "S": "string", "a": "string", "U": "string", "V": "structured"}
REFUSED |= {"M": "datetime", "m": "timedelta"}

# One entry of the header's dictionary; the values are kept apart by the names of the groups.
ENTRY = re.compile(
    r"""[ \t\r\n\f]*(['"])(?P<key>\w+)\1[ \t\r\n\f]*:[ \t\r\n\f]*
    (?: (['"])(?P<descr>[^'"\\]*)\3
      | (?P<fields>\[)
      | (?P<order>True|False)
      | \((?P<shape>[\d \t\r\n\f,L]*)\)
    )[ \t\r\n\f]*(?P<end>,?)[ \t\r\n\f]*""",
    re.VERBOSE | re.ASCII,
)
DESCR = re.compile(
    r"[<>=|]?(?P<kind>[biuf?OcSaUVMm])(?P<size>\d{0,9})(?P<unit>\[[\w/]{1,20}\])?", re.ASCII
)
LENGTH = re.compile(r"(0|[1-9]\d{0,18})L?", re.ASCII)  # the L was written by Python 2


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
    text, offset = header_text(head, name)
    values = entries(text, name)
    layout = Layout(
        shape=shape_from(values["shape"], name),
        dtype=dtype_from(values["descr"], name),
        fortran_order=values["fortran_order"] == "True",
        offset=offset,
    )
    if layout.nbytes > max_bytes:
        raise DataFileError(
            "NB901", f"{name} declares {layout.nbytes:,} bytes; the limit is {max_bytes:,}"
        )
    if 0 in layout.shape or layout.shape == ():
        what = "is a single number" if layout.shape == () else "is empty"
        hint = "save one value for each unit or connection"
        raise DataFileError("NB201", f"{name} {what}: its shape is {layout.shape}", hint)
    if (found := size - offset) != layout.nbytes:
        problem = "is truncated" if found < layout.nbytes else "has bytes after its data"
        raise DataFileError(
            "NB204",
            f"{name} {problem}: its header declares {layout.nbytes:,} bytes of data, "
            f"the file holds {found:,}",
            "write it again with numpy.save",
        )
    return layout


def array_from(layout: Layout, content: bytearray, name: str) -> Array:
    """The array: C order, native byte order, writable; on `content`'s memory where that fits.

    Raises DataFileError NB205 for a bool that is neither 0 nor 1: numpy would miscount it.
    """
    flat = np.frombuffer(content, layout.dtype, math.prod(layout.shape), layout.offset)
    if flat.dtype == np.bool_ and flat.view(np.uint8).max() > 1:
        raise DataFileError("NB205", f"{name} holds bool values other than 0 and 1")
    array = flat.reshape(layout.shape, order="F" if layout.fortran_order else "C")
    native = layout.dtype.newbyteorder("=")
    return np.require(array, native, ["C_CONTIGUOUS", "ALIGNED", "WRITEABLE"])


def header_text(head: bytes, name: str) -> tuple[str, int]:
    """The header's text and the offset of the data; nothing is read that was not capped first."""
    if not head.startswith(MAGIC):
        raise malformed(name, "its first bytes are not those of one")
    if len(head) < 12:
        raise malformed(name, "it ends before its header does")
    version = (head[6], head[7])
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise malformed(name, f"its format version {version[0]}.{version[1]} is unknown")
    width = 2 if version == (1, 0) else 4
    (length,) = struct.unpack_from("<H" if width == 2 else "<I", head, 8)
    offset = 8 + width + length
    if length > HEADER_CAP:
        problem = f"its header of {length:,} bytes is longer than {HEADER_CAP:,}"
        raise malformed(name, problem)
    if offset > len(head):
        raise malformed(name, "it ends before its header does")
    return head[8 + width : offset].decode("latin-1"), offset


def entries(text: str, name: str) -> dict[str, str]:
    """The three values of the header `{'descr': ..., 'fortran_order': ..., 'shape': ...}`."""
    body = text.strip(" \t\r\n\f")  # what a Python parser takes for white space, and no more
    if not (body.startswith("{") and body.endswith("}")):
        raise malformed(name, "its header is not that of an array")
    wanted = {"descr": "descr", "fortran_order": "order", "shape": "shape"}
    values: dict[str, str] = {}
    position = 1
    while position < len(body) - 1:
        entry = ENTRY.match(body, position, len(body) - 1)
        if entry is None or entry["key"] not in wanted or entry["key"] in values:
            raise malformed(name, "its header is not that of an array", position)
        if entry["key"] == "descr" and entry["fields"]:
            raise refused_dtype(name, "structured")
        value = entry[wanted[entry["key"]]]
        if value is None or not (entry["end"] or entry.end() == len(body) - 1):
            raise malformed(name, f"its header's {entry['key']} is not valid", position)
        values[entry["key"]] = value
        position = entry.end()
    if missing := sorted(wanted.keys() - values.keys()):
        raise malformed(name, f"its header lacks {', '.join(missing)}")
    return values


def shape_from(text: str, name: str) -> tuple[int, ...]:
    """`"3, 4"` as (3, 4); one length without a comma is a number, not a tuple."""
    parts = [part.strip() for part in text.split(",")]
    if parts[-1] == "":
        parts.pop()
    elif len(parts) == 1:
        raise malformed(name, "its header's shape is not a tuple")
    if len(parts) > 32 or not all(LENGTH.fullmatch(part) for part in parts):
        raise malformed(name, "its header's shape is not valid")
    return tuple(int(part.removesuffix("L")) for part in parts)


def dtype_from(descr: str, name: str) -> np.dtype[Any]:
    """The dtype that `descr` names ("<f8"): bool, or an integer or float of at most 64 bits."""
    match = DESCR.fullmatch(descr)
    if match is None:
        raise malformed(name, "its dtype is unknown")
    if match["kind"] == "O":
        raise DataFileError(
            "NB204",
            f"{name} holds pickled Python objects; pickles are never read",
            "save numbers: numpy.save(file, array.astype(float), allow_pickle=False)",
        )
    if match["kind"] in REFUSED:
        raise refused_dtype(name, REFUSED[match["kind"]])
    try:
        dtype = np.dtype(descr)
    except TypeError:
        raise malformed(name, "its dtype is unknown") from None
    if dtype.itemsize > 8:  # a long double, which is another format on every machine
        raise refused_dtype(name, f"{8 * dtype.itemsize}-bit float")
    return dtype


def refused_dtype(name: str, kind: str) -> DataFileError:
    """The error for a dtype that is no plain number."""
    return DataFileError(
        "NB207",
        f"{name} holds {kind} values; bool, integers and floats of at most 64 bits are read",
        "convert it, e.g. numpy.save(file, array.astype(numpy.float64))",
    )


def malformed(name: str, problem: str, position: int | None = None) -> DataFileError:
    """The error for a file that is not an intact .npy."""
    at = "" if position is None else f" (at character {position + 1} of the header)"
    return DataFileError(
        "NB204", f"{name} is not an intact .npy: {problem}{at}", "write it again with numpy.save"
    )
