"""The arrays of a safetensors file, read without the library: a header of JSON, then their bytes.

The format: 8 bytes of the header's length, little-endian; the header, {name: {dtype, shape,
data_offsets}} and `__metadata__`; the data, little-endian, to which the offsets refer.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from netbuild.errors import DataFileError
from netbuild.files.locate import shown

MAX_BYTES = 1 << 36  # of a file
MAX_HEADER = FAIR = 1 << 26  # bytes; a file of so many is read whatever its header says
MAX_DIMENSIONS = 32
NOTES = "__metadata__"  # what the file says of itself, in the header
_DTYPES = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "I16": np.int16,
    "I32": np.int32,
    "I64": np.int64,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
}


@dataclass(frozen=True)
class TensorsFile:
    """The arrays of a file by name, read-only, what it says of itself, and its digest."""

    arrays: Mapping[str, NDArray[Any]]
    metadata: Mapping[str, str]
    sha256: str
    size: int  # bytes of the file


def read_tensors(path: Path) -> TensorsFile:
    """Every array in a safetensors file; raises DataFileError: NB202, or NB204 where malformed."""
    name = shown(path.name)
    try:
        with open(path, "rb", opener=_nonblocking) as file:
            size, most = os.fstat(file.fileno()).st_size, min(MAX_BYTES, end_of_tensors(file.read))
            if size > max(most, FAIR):  # else the parser says what is wrong
                what = f"{name} has {size:,} bytes, and by its header at most {most:,}"
                raise DataFileError("NB901", what)
            file.seek(0)
            content = file.read()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataFileError("NB202", f"{name} cannot be read ({reason})") from None
    except MemoryError:
        raise DataFileError("NB901", f"there is not enough memory to read {name}") from None
    damaged = DataFileError("NB204", f"{name} is not a safetensors file")
    header, start = _header(content)
    if header is None:
        raise damaged
    arrays = {key: _array(content, start, about) for key, about in header.items() if key != NOTES}
    found = {key: array for key, array in arrays.items() if array is not None}
    notes = header.get(NOTES, {})
    if len(found) < len(arrays) or not _are_texts(notes):
        raise damaged
    return TensorsFile(found, notes, hashlib.sha256(content).hexdigest(), len(content))


def _nonblocking(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def end_of_tensors(read: Callable[[int], bytes]) -> int:
    """Where a safetensors file ends by its own header, in bytes.

    `read` gives the next bytes of the file, from its first one on. What is wrong with a header is
    told by the parser; here it only must not hide how large a file is, so the file counts as one
    that is nothing but a header.
    """
    start = 8 + int.from_bytes(read(8), "little")
    if start > MAX_HEADER:
        return MAX_HEADER
    try:
        header = json.loads(read(start - 8))
        tensors = [about for name, about in header.items() if name != "__metadata__"]
        return start + max([0, *(int(about["data_offsets"][1]) for about in tensors)])
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return MAX_HEADER


def _header(content: bytes) -> tuple[dict[str, Any] | None, int]:
    """The header, None where the bytes are not of the format, and where the data begins."""
    start = 8 + int.from_bytes(content[:8], "little")
    if not 8 < start <= min(len(content), MAX_HEADER):
        return None, start
    try:
        header = json.loads(content[8:start])
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or nested too deep
        return None, start
    return header if isinstance(header, dict) else None, start


def _array(content: bytes, start: int, about: Any) -> NDArray[Any] | None:
    """The array that one entry of the header describes; None where it describes none."""
    if not isinstance(about, dict) or not isinstance(about.get("dtype"), str):
        return None
    kind, shape, offsets = (about.get(key) for key in ("dtype", "shape", "data_offsets"))
    if kind not in _DTYPES or not _are_lengths(shape) or not _are_lengths(offsets):
        return None
    if len(offsets) != 2 or len(shape) > MAX_DIMENSIONS:
        return None
    dtype, count = np.dtype(_DTYPES[kind]).newbyteorder("<"), math.prod(shape)
    first, last = offsets
    if last - first != count * dtype.itemsize or start + last > len(content):
        return None
    if math.prod(length for length in shape if length) > MAX_BYTES:  # beyond numpy if one is 0
        return None
    return np.frombuffer(content, dtype, count, start + first).reshape(shape)


def _are_lengths(numbers: Any) -> TypeGuard[list[int]]:
    return isinstance(numbers, list) and all(type(n) is int and n >= 0 for n in numbers)


def _are_texts(notes: Any) -> TypeGuard[dict[str, str]]:
    return isinstance(notes, dict) and all(isinstance(text, str) for text in notes.values())
