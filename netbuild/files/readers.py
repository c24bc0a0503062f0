"""Reading an array from a file that may be hostile: one open, one read, one digest.

The extension and the first bytes must agree on the format. Sizes are compared before memory is
taken, nothing is ever unpickled, and whatever is wrong comes out as a DataFileError.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from netbuild.errors import DataFileError
from netbuild.files import npy, npz, text
from netbuild.files.locate import kind_of_file, shown

MAX_BYTES = 1 << 30  # of a file, and of the array in it
FORMATS = {".npy": "npy", ".npz": "npz", ".csv": "text", ".tsv": "text", ".txt": "text"}
# Not on every system; where they are missing, `locate` has still looked at the file before.
OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO put there a moment ago cannot make us wait
)
SIGNATURES = {
    npy.MAGIC: "npy",
    npz.MAGIC: "npz",
    npz.EMPTY: "npz",
    b"\x89HDF": "HDF5",
    b"\x1f\x8b": "gzip",
    b"MATLAB ": "MATLAB",
}
PICKLES = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


@dataclass(frozen=True)
class Header:
    """What a file declares about its array; `dtype` has this machine's byte order."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    arrays: tuple[str, ...]  # every array of an .npz; empty for the other formats


@dataclass(frozen=True, eq=False)
class ArrayFile:
    """An array, with the digest and the size of exactly the bytes from which it was read."""

    array: npy.Array
    sha256: str
    size: int  # bytes of the file


def read_header(path: Path, array: str | None = None, *, max_bytes: int = MAX_BYTES) -> Header:
    """Shape and dtype of the array in `path`; an .npy's or .npz's data stays unread.

    Text is read and counted, not parsed: its dtype is float64. `array` names a member of an .npz
    and may be left out where there is only one. Raises DataFileError as `read_array` does, except
    for what only the data can tell (NB205, a wrong checksum, ragged rows).
    """
    with enough_memory(path), opened(path, max_bytes) as (file, size):
        name = shown(path.name)
        head = file.read(npy.HEAD)
        form = format_of(path, head, array)
        if form == "text":
            content = read_rest(head, file, size, name)
            return Header(text.shape_of(content, name), np.dtype(np.float64), ())
        if form == "npz":
            layout, arrays = npz.layout_of(file, size, array, name, max_bytes)
        else:
            layout, arrays = npy.layout_of(head, size, name, max_bytes), ()
        return Header(layout.shape, layout.dtype.newbyteorder("="), arrays)


def read_array(path: Path, array: str | None = None, *, max_bytes: int = MAX_BYTES) -> ArrayFile:
    """The array in `path` (.npy, .npz, .csv, .tsv, .txt): C order, native, writable, ours.

    Its dtype is the file's (bool, integer or float of at most 64 bits); text gives float64 of two
    dimensions. Raises DataFileError: NB202 (cannot be read), NB203 (a link, or not a regular
    file), NB204 (malformed), NB205 (a cell of text that is no finite number), NB206 (no such
    array), NB207 (refused dtype), NB201 (no elements), NB901 (over `max_bytes`).
    """
    with enough_memory(path), opened(path, max_bytes) as (file, size):
        name = shown(path.name)
        head = file.read(npy.HEAD)
        form = format_of(path, head, array)
        # What an .npy or .npz declares is judged before the rest of it is read.
        layout = None
        if form == "npy":
            layout = npy.layout_of(head, size, name, max_bytes)
        elif form == "npz":
            npz.layout_of(file, size, array, name, max_bytes)
        file.seek(len(head))
        content = read_rest(head, file, size, name)
        digest = hashlib.sha256(content).hexdigest()
        matrix: npy.Array
        if layout is not None:
            matrix = npy.array_from(layout, content, name)
        elif form == "npz":
            matrix = npz.array_from(io.BytesIO(content), size, array, name, max_bytes)
        else:
            matrix = text.array_from(content, name, max_bytes)
        return ArrayFile(matrix, digest, size)


@contextmanager
def enough_memory(path: Path) -> Iterator[None]:
    """Raise DataFileError NB901 where the machine's memory does not suffice to read a file.

    No other exception is translated here: a parser's errors are translated where it is called,
    each by a closed list of types, so that a mistake in netbuild is never told as a damaged file.
    """
    try:
        yield
    except MemoryError:
        what = f"there is not enough memory to read {shown(path.name)}"
        raise DataFileError("NB901", what) from None


@contextmanager
def opened(
    path: Path, max_bytes: int, text_bytes: int = text.SIZE_CAP
) -> Iterator[tuple[io.FileIO, int]]:
    """The open file and its size in bytes, once it has shown to be a regular file of fair size.

    `text_bytes` is the limit for text: matrices are small, edge lists are not. Raises
    DataFileError: NB202 (the system cannot open it, or cannot read on), NB203, NB901.
    """
    try:
        descriptor = os.open(path, OPEN_FLAGS)
    except OSError as error:
        raise unreadable(shown(path.name), error) from None
    try:
        status = os.fstat(descriptor)
        judge(status, path, max_bytes, text_bytes)
        yield io.FileIO(descriptor, closefd=False), status.st_size
    except OSError as error:
        raise unreadable(shown(path.name), error) from None
    finally:
        os.close(descriptor)


def judge(status: os.stat_result, path: Path, max_bytes: int, text_bytes: int) -> None:
    """Refuse what is not a regular file (NB203), and one that is too large (NB901)."""
    name = shown(path.name)
    if not stat.S_ISREG(status.st_mode):
        raise DataFileError("NB203", f"{name} is {kind_of_file(status.st_mode)}, not a file")
    is_text = FORMATS.get(path.suffix.lower()) == "text"
    limit = min(max_bytes, text_bytes) if is_text else max_bytes
    if status.st_size > limit + npy.HEAD:  # a header comes on top of the data
        what = f"{name} has {status.st_size:,} bytes; the limit is {limit:,}"
        raise DataFileError(
            "NB901", what, "save it as .npy" if is_text and limit <= text.SIZE_CAP else ""
        )


def read_rest(head: bytes, file: io.FileIO, size: int, name: str) -> bytearray:
    """All `size` bytes, of which `head` was read before, and proof that there are no more."""
    filled = min(len(head), size)
    content = bytearray(size)
    content[:filled] = head[:filled]
    view = memoryview(content)
    while filled < size and (count := file.readinto(view[filled:])):
        filled += count
    if filled < size or file.read(1):
        raise DataFileError("NB204", f"{name} changed while it was being read")
    return content


def format_of(path: Path, head: bytes, array: str | None) -> str:
    """What extension and first bytes agree on: npy, npz or text; raises NB204 or NB206."""
    name = shown(path.name)
    form = FORMATS.get(path.suffix.lower())
    found = next((kind for magic, kind in SIGNATURES.items() if head.startswith(magic)), "text")
    if head.startswith(PICKLES):
        hint = "save the array itself: numpy.save(file, array, allow_pickle=False)"
        raise DataFileError("NB204", f"{name} is a pickle; pickles are never read", hint)
    if form is None:
        hint = f"accepted are {', '.join(FORMATS)}"
        raise DataFileError("NB204", f"the extension of {name} is not one that is read", hint)
    if not head:
        raise DataFileError("NB204", f"{name} is empty", "save the array again")
    if found != form:
        first_bytes = f"are not those of {form}" if found == "text" else f"are those of {found}"
        what = f"{name} is not what its extension says: its first bytes {first_bytes}"
        hint = f"rename it to .{found}" if found in ("npy", "npz") else "save it as .npy"
        raise DataFileError("NB204", what, hint)
    if array is not None and form != "npz":
        hint = "leave `array` out"
        raise DataFileError("NB206", f"only an .npz has named arrays; {name} holds one", hint)
    return form


def unreadable(name: str, error: OSError) -> DataFileError:
    """The error where the system refuses to open or read the file."""
    if error.errno == errno.ELOOP:
        return DataFileError("NB203", f"{name} is a symbolic link; give the file it points to")
    if error.errno == errno.ENXIO:
        return DataFileError("NB203", f"{name} is a socket or a device, not a file")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return DataFileError("NB202", f"there is no file {name}")
    return DataFileError("NB202", f"{name} cannot be read ({error.strerror})")
