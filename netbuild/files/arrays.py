"""Reading an array from a file that may be hostile: one open, one read, one digest.

Sizes are compared before memory is taken, nothing is ever unpickled, and whatever is wrong comes
out as a DataFileError.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from netbuild.errors import DataFileError
from netbuild.files import npy, text
from netbuild.files.door import (
    ARRAYS,
    FORMATS,
    Format,
    check_format,
    enough_memory,
    opened,
    read_whole,
)
from netbuild.wording import either, show

MAX_BYTES = 1 << 30  # of a file, and of the array in it
NAMED = tuple(suffix for suffix, form in FORMATS.items() if form.named)


@dataclass(frozen=True, eq=False)
class ArrayFile:
    """An array, with the digest and the size of exactly the bytes from which it was read."""

    array: npy.Array
    sha256: str
    size: int  # bytes of the file


def read_shape(
    path: Path, array: str | None = None, *, max_bytes: int = MAX_BYTES
) -> tuple[int, ...]:
    """The shape of the array in `path`; an .npy's or .npz's data stays unread.

    Text is read and counted, not parsed. `array` names a member of an .npz and may be left out
    where there is only one. Raises DataFileError as `read_array` does, except for what only the
    data can tell (NB205, a wrong checksum, ragged rows).
    """
    with _opened(path, array, max_bytes) as (form, file, size):
        shape: tuple[int, ...] = _reader(form).shape_of(
            file, size, array, show(path.name), max_bytes
        )
        return shape


def read_array(path: Path, array: str | None = None, *, max_bytes: int = MAX_BYTES) -> ArrayFile:
    """The array in `path`, of one of the formats `ARRAYS`: C order, native, writable, ours.

    Its dtype is the file's (bool, integer or float of at most 64 bits); text gives float64 of two
    dimensions. Raises DataFileError: NB202 (cannot be read), NB203 (a link, or not a regular
    file), NB204 (malformed), NB205 (a cell of text that is no finite number), NB206 (no such
    array), NB207 (refused dtype), NB201 (no elements), NB901 (over `max_bytes`).
    """
    name = show(path.name)
    with _opened(path, array, max_bytes) as (form, file, size):
        if form.magic:  # what a header declares is judged before the rest is read
            _reader(form).shape_of(file, size, array, name, max_bytes)
        content = read_whole(file, size, name)
        matrix = _reader(form).array_from(content, array, name, max_bytes)
        return ArrayFile(matrix, hashlib.sha256(content).hexdigest(), size)


def _reader(form: Format) -> Any:
    """The module that has `shape_of` and `array_from` for a format."""
    return import_module(f"netbuild.files.{form.array}")


@contextmanager
def _opened(
    path: Path, array: str | None, max_bytes: int
) -> Iterator[tuple[Format, io.FileIO, int]]:
    """The format, the file and its size, once its extension and first bytes are accepted."""
    suffix, name = path.suffix.lower(), show(path.name)
    is_text = suffix in FORMATS and not FORMATS[suffix].magic
    # The header of an array comes on top of its data.
    limit = min(max_bytes, text.SIZE_CAP) if is_text else max_bytes + npy.HEAD
    hint = "save it as .npy" if is_text else ""
    with enough_memory(path), opened(path, limit, hint) as (file, size):
        form = check_format(suffix, file.read(npy.HEAD), name, ARRAYS)
        if array is not None and not form.named:
            what = f"only an {either(NAMED)} has named arrays; {name} holds one"
            raise DataFileError("NB206", what, "leave `array` out")
        yield form, file, size
