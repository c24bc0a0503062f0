"""The arrays of a safetensors file, read by the format's own library.

The format: 8 bytes of the header's length, little-endian; the header, a JSON object {name: {dtype,
shape, data_offsets}} with an entry `__metadata__` of texts; the data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from netbuild.errors import DataFileError
from netbuild.files.door import enough_memory, opened
from netbuild.wording import show

MAX_BYTES = 1 << 36  # of a file
MAX_HEADER = 1 << 26  # bytes; a file of at most this size is read whatever its header says


@dataclass(frozen=True)
class TensorsFile:
    """The arrays of a file by name, read-only, its metadata, and its digest."""

    arrays: Mapping[str, NDArray[Any]]
    metadata: Mapping[str, str]
    sha256: str
    size: int  # bytes of the file


def read_tensors(path: Path) -> TensorsFile:
    """Every array in a safetensors file.

    Raises DataFileError: NB202 or NB203 where it cannot be opened, NB204 where it is malformed,
    NB901 where it is longer than its header says.
    """
    import safetensors.numpy

    name = show(path.name)
    with enough_memory(path), opened(path, MAX_BYTES) as (file, size):
        header, end = _header(file.read)
        if size > max(end, MAX_HEADER):
            what = f"{name} has {size:,} bytes, and by its header at most {end:,}"
            raise DataFileError("NB901", what)
        file.seek(0)
        content = file.read()
        try:
            arrays = safetensors.numpy.load(content)
        except (safetensors.SafetensorError, ValueError, LookupError, TypeError, AttributeError):
            raise DataFileError("NB204", f"{name} is not a safetensors file") from None
    metadata = header.get("__metadata__") or {}
    return TensorsFile(arrays, metadata, hashlib.sha256(content).hexdigest(), len(content))


def end_of_tensors(read: Callable[[int], bytes]) -> int:
    """Where a safetensors file ends by its own header, in bytes.

    `read` gives the next bytes of the file, from its first one on. The library reports what is
    wrong with a header; here a wrong header only must not hide how large a file is, so that such
    a file counts as one that is nothing but a header.
    """
    return _header(read)[1]


def _header(read: Callable[[int], bytes]) -> tuple[dict[str, Any], int]:
    """The header, and where the file ends by it; {} and `MAX_HEADER` where it cannot be read."""
    start = 8 + int.from_bytes(read(8), "little")
    if start > MAX_HEADER:
        return {}, MAX_HEADER
    try:
        header = json.loads(read(start - 8))
        tensors = [about for name, about in header.items() if name != "__metadata__"]
        return header, start + max([0, *(int(about["data_offsets"][1]) for about in tensors)])
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}, MAX_HEADER
