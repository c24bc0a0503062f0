"""Array files byte by byte, right and wrong, and what must hold of every refusal.

Where a wrong file holds text it contains SECRET, which no message may repeat.
"""

from __future__ import annotations

import io
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from netbuild.errors import DataFileError, Exit
from netbuild.files.arrays import read_array, read_shape

SECRET = "k3yB0ard"
MATRIX = np.arange(12.0).reshape(3, 4)
Bad = dict[str, tuple[str, bytes | Callable[[], bytes], str]]  # "FILE:MEMBER", content, code

dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
)
arrays = hnp.arrays(dtypes, hnp.array_shapes(max_dims=4, max_side=5))


def npy_of(array: Any, version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), version)
    return file.getvalue()


def npy_with(header: str, data: bytes = b"\0" * 8, version: int = 1) -> bytes:
    """An .npy with any header; the right one for `data` is HEADER."""
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode() + data


HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n"


def npz_of(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def header(descr: str = "'<f8'", order: str = "False", shape: str = "(1,)") -> bytes:
    return npy_with(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n")


def edited(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new)


GOOD_NPY = npy_of(MATRIX)
GOOD_NPZ = npz_of(("m.npy", GOOD_NPY))
OBJECTS = np.array([SECRET, None], dtype=object)


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    """Same shape, kind and bits; in C order, native, writable and nobody else's."""
    native = expected.astype(expected.dtype.newbyteorder("="), order="C")
    assert found.dtype == native.dtype
    assert found.dtype.isnative
    assert found.shape == native.shape
    assert found.tobytes() == native.tobytes()
    assert found.flags.c_contiguous
    assert found.flags.writeable
    assert found.flags.aligned


def refusal(read: Callable[..., Any], path: Path, array: str | None = None) -> DataFileError:
    """The error of `read`, which is fit to be shown to anybody."""
    with pytest.raises(DataFileError) as caught:
        read(path, array)
    error = caught.value
    assert error.exit_code is (Exit.RESOURCES if error.code == "NB901" else Exit.DATA)
    message = f"{error.what} {error.hint}"
    assert path.name in message
    assert SECRET not in message
    assert message.isprintable()
    assert len(message) < 400
    return error


@contextmanager
def peak_below(limit: int) -> Iterator[None]:
    """Fails if more than `limit` bytes of memory were in use at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def check_bad(entry: tuple[str, bytes | Callable[[], bytes], str], folder: Path) -> None:
    """A wrong file is refused when it is read."""
    name, content, code = entry
    name, _, array = name.partition(":")
    (folder / name).write_bytes(content() if callable(content) else content)
    assert refusal(read_array, folder / name, array or None).code == code


def check_bad_shape(entry: tuple[str, bytes | Callable[[], bytes], str], folder: Path) -> None:
    """A wrong file is refused when its shape alone is read, too."""
    name, _, code = entry
    name, _, array = name.partition(":")
    assert refusal(read_shape, folder / name, array or None).code == code
