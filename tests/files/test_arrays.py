"""Array files: what is whole is read exactly, what is not is refused by one kind of error.

The bad files are made here, byte by byte; where they hold text it contains SECRET, which no
message may repeat.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import socket
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from netbuild.errors import DataFileError, Exit
from netbuild.files import arrays as readers
from netbuild.files import door, npy, npz, text
from netbuild.files.arrays import read_array, read_shape

SECRET = "k3yB0ard"
MATRIX = np.arange(12.0).reshape(3, 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the whole module: hypothesis writes many files into it."""
    return tmp_path_factory.mktemp("arrays")


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


# --- What is whole is read exactly

dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
)
arrays = hnp.arrays(dtypes, hnp.array_shapes(max_dims=4, max_side=5))


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


@given(arrays, st.sampled_from("CF"), st.sampled_from([None, (1, 0), (2, 0), (3, 0)]))
def test_npy_round_trip(folder: Path, array: np.ndarray, order: Any, version: Any) -> None:
    path = folder / "a.npy"
    content = npy_of(np.asarray(array, order=order), version)
    path.write_bytes(content)
    read = read_array(path)
    assert_same(read.array, array)
    assert read.sha256 == hashlib.sha256(content).hexdigest()
    assert read.size == len(content)
    assert read_shape(path) == read.array.shape


names = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\"), max_size=8
)


@given(st.dictionaries(names, arrays, min_size=1, max_size=3), st.booleans())
def test_npz_round_trip(folder: Path, members: dict[str, np.ndarray], compressed: bool) -> None:
    path = folder / "a.npz"
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    stored = {name: array for name, array in members.items() if name != ".."}
    content = npz_of(*((f"{n}.npy", npy_of(a)) for n, a in stored.items()), method=method)
    path.write_bytes(content)
    for name, array in stored.items():
        read = read_array(path, name)
        assert_same(read.array, array)
        assert read.sha256 == hashlib.sha256(content).hexdigest()
        assert read_shape(path, name) == read.array.shape


def test_what_numpy_writes_is_read(folder: Path) -> None:
    np.save(folder / "n.npy", MATRIX)
    np.savez(folder / "n.npz", x=MATRIX, y=MATRIX[0])
    np.savez_compressed(folder / "one.npz", np.zeros((2000, 2000)))  # of ratio 1000, but small
    np.savetxt(folder / "n.txt", MATRIX)
    np.savetxt(folder / "n.csv", MATRIX, delimiter=",", fmt="%d")
    assert_same(read_array(folder / "n.npy").array, MATRIX)
    assert_same(read_array(folder / "n.npz", "y").array, MATRIX[0])
    assert_same(read_array(folder / "one.npz").array, np.zeros((2000, 2000)))
    assert_same(read_array(folder / "n.txt").array, MATRIX)
    assert_same(read_array(folder / "n.csv").array, MATRIX)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}",
        '{"shape":(1,),"descr":"<f8","fortran_order":True}',
        "{ 'shape' : ( 1 , ) , 'fortran_order' : False , 'descr' : 'f8' }   \n",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1L,), }",
    ],
)
def test_headers_of_other_writers(folder: Path, header: str) -> None:
    path = folder / "h.npy"
    path.write_bytes(npy_with(header, struct.pack("<d", 2.5)))
    assert read_array(path).array.tolist() == [2.5]


doubles = st.floats(allow_nan=False, allow_infinity=False)
matrices = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5), elements=doubles
)


@given(
    matrices,
    st.sampled_from([("csv", ","), ("csv", ";"), ("tsv", "\t"), ("txt", " "), ("txt", ", ")]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff"]),
    st.booleans(),
)
def test_text_round_trip(
    folder: Path, matrix: np.ndarray, form: tuple[str, str], end: str, bom: str, final: bool
) -> None:
    extension, separator = form
    rows = [separator.join(map(repr, row)) for row in matrix.tolist()]
    path = folder / f"m.{extension}"
    path.write_bytes((bom + end.join(rows) + end * final).encode())
    assert_same(read_array(path).array, matrix)
    assert read_shape(path) == matrix.shape


cells = st.text("0123456789+-.,eEnaif_x# \t\"'\r\x0b\x1f\xa0", max_size=6) | doubles.map(repr)


@given(cells)
@example("1_0")
@example("0x1p3")
@example("1e999")
@example("\xa01")
def test_a_cell_is_a_number_by_the_grammar_or_refused(folder: Path, cell: str) -> None:
    path = folder / "cell.csv"
    path.write_bytes(f"1;{cell};0\n".encode())
    is_number = bool(text.NUMBER.fullmatch(cell)) and np.isfinite(float(cell))
    try:
        array = read_array(path).array
    except DataFileError:
        assert not is_number
    else:
        assert is_number
        assert array.tolist() == [[1.0, float(cell), 0.0]]


def test_upper_case_extensions(folder: Path) -> None:
    (folder / "M.NPY").write_bytes(npy_of(MATRIX))
    assert_same(read_array(folder / "M.NPY").array, MATRIX)


def test_the_array_is_ours(folder: Path) -> None:
    path = folder / "ours.npy"
    path.write_bytes(npy_of(MATRIX))
    read_array(path).array[:] = -1
    assert_same(read_array(path).array, MATRIX)


# --- What is not whole is refused


def edited(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new)


def zip_with(offset: int, value: int) -> bytes:
    """GOOD_NPZ with one field of its local header, and the same of its central one, changed."""
    data = bytearray(GOOD_NPZ)
    central = data.index(b"PK\x01\x02")
    for at in (offset, central + offset + 2):
        struct.pack_into("<H", data, at, value)
    return bytes(data)


def bomb() -> bytes:
    """70 MB of zeros in 70 kB."""
    return npz_of(("m.npy", npy_of(np.zeros(70 << 20, np.uint8))))


def lying(size: int, member: bytes | None = None) -> bytes:
    """A small array whose archive declares `size` bytes for it."""
    member = member or npy_of(MATRIX)
    content = npz_of(("m.npy", member))
    return edited(content, struct.pack("<L", len(member)), struct.pack("<L", size))


def many_members() -> bytes:
    return npz_of(*((f"{i:060}.npy", b"") for i in range(12_000)), method=zipfile.ZIP_STORED)


GOOD_NPY = npy_of(MATRIX)
GOOD_NPZ = npz_of(("m.npy", GOOD_NPY))
STORED = npz_of(("m.npy", GOOD_NPY), method=zipfile.ZIP_STORED)
HALF = GOOD_NPY[: -MATRIX.nbytes // 2]
OBJECTS = np.array([SECRET, None], dtype=object)


def header(descr: str = "'<f8'", order: str = "False", shape: str = "(1,)") -> bytes:
    return npy_with(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n")


# (file name, content, code); a member's name follows the file's: "a.npz:x"
BAD: dict[str, tuple[str, bytes | Callable[[], bytes], str]] = {
    # extension and first bytes
    "npy with another extension": ("a.csv", GOOD_NPY, "NB204"),
    "npz with another extension": ("a.npy", GOOD_NPZ, "NB204"),
    "text with another extension": ("a.npy", SECRET.encode(), "NB204"),
    "text as npz": ("a.npz", b"1,2\n", "NB204"),
    "pickle": ("a.pkl", pickle.dumps(SECRET), "NB204"),
    "pickle called npy": ("a.npy", pickle.dumps(SECRET), "NB204"),
    "pickle called csv": ("a.csv", pickle.dumps(SECRET), "NB204"),
    "old pickle called npy": ("a.npy", pickle.dumps(SECRET, 0), "NB204"),
    "old pickle called txt": ("a.txt", pickle.dumps(SECRET, 0), "NB205"),
    "HDF5": ("a.h5", b"\x89HDF\r\n\x1a\n", "NB204"),
    "HDF5 called npy": ("a.npy", b"\x89HDF\r\n\x1a\n", "NB204"),
    "gzip": ("a.npy.gz", b"\x1f\x8b\x08", "NB204"),
    "gzip called csv": ("a.csv", b"\x1f\x8b\x08", "NB204"),
    "no extension": ("a", GOOD_NPY, "NB204"),
    # npy
    "object dtype": ("a.npy", lambda: npy_of(OBJECTS), "NB204"),
    "object dtype without data": ("a.npy", header("'|O'"), "NB204"),
    "structured dtype": ("a.npy", npy_of(np.zeros(2, "i4,f8")), "NB207"),
    "void dtype": ("a.npy", npy_of(np.zeros(2, "V8")), "NB207"),
    "bytes dtype": ("a.npy", npy_of(np.array([SECRET.encode()])), "NB207"),
    "string dtype": ("a.npy", npy_of(np.array([SECRET])), "NB207"),
    "datetime dtype": ("a.npy", npy_of(np.zeros(2, "M8[ns]")), "NB207"),
    "timedelta dtype": ("a.npy", npy_of(np.zeros(2, "m8[25us]")), "NB207"),
    "complex dtype": ("a.npy", npy_of(np.zeros(2, complex)), "NB207"),
    "long double": ("a.npy", npy_of(np.zeros(2, np.longdouble)), "NB207"),
    "unknown dtype": ("a.npy", header(f"'{SECRET}'"), "NB204"),
    "dtype of no size": ("a.npy", header("'<f3'"), "NB204"),
    "dtype of two fields": ("a.npy", header("'f4,f4'"), "NB207"),
    "nested dtype": ("a.npy", header("('<f4', (2,))"), "NB207"),
    "bool that is 2": ("a.npy", npy_of(np.ones(3, bool))[:-1] + b"\2", "NB205"),
    "truncated data": ("a.npy", GOOD_NPY[:-1], "NB204"),
    "truncated header": ("a.npy", GOOD_NPY[:50], "NB204"),
    "magic alone": ("a.npy", GOOD_NPY[:6], "NB204"),
    "magic and version alone": ("a.npy", GOOD_NPY[:8], "NB204"),
    "trailing bytes": ("a.npy", GOOD_NPY + b"\0", "NB204"),
    "two arrays in one file": ("a.npy", GOOD_NPY + GOOD_NPY, "NB204"),
    "terabytes": ("a.npy", header(shape="(1000000, 1000000)"), "NB901"),
    "overflowing shape": ("a.npy", header(shape=f"({2**62}, {2**62}, 16)"), "NB901"),
    "overflow to zero": ("a.npy", header(shape=f"({2**63}, 2)"), "NB901"),
    "endless shape": ("a.npy", header(shape=f"({'9' * 5000},)"), "NB204"),
    "many dimensions": ("a.npy", header(shape=f"({'1,' * 4000})"), "NB204"),
    "negative shape": ("a.npy", header(shape="(-1,)"), "NB204"),
    "two negative lengths": ("a.npy", header(shape="(-1, -1)"), "NB204"),
    "bool shape": ("a.npy", header(shape="(True,)"), "NB204"),
    "float shape": ("a.npy", header(shape="(1.0,)"), "NB204"),
    "list shape": ("a.npy", header(shape="[1]"), "NB204"),
    "number shape": ("a.npy", header(shape="1"), "NB204"),
    "number in brackets": ("a.npy", header(shape="(1)"), "NB204"),
    "number order": ("a.npy", header(order="0"), "NB204"),
    "text order": ("a.npy", header(order="'True'"), "NB204"),
    "swapped values": ("a.npy", header("(1,)", "False", "'<f8'"), "NB204"),
    "header of 4 GiB": ("a.npy", b"\x93NUMPY\2\0\xff\xff\xff\xff" + b" " * 60, "NB204"),
    "header of 20 kB": ("a.npy", npy_with(HEADER + " " * 20_000, version=2), "NB204"),
    "header of brackets": ("a.npy", npy_with("(" * 9000), "NB204"),
    "header of minus signs": ("a.npy", npy_with("-" * 9000 + "1"), "NB204"),
    "header of quotes": ("a.npy", npy_with("{" + "'" * 9000), "NB204"),
    "header of blanks": ("a.npy", npy_with("{" + " " * 9000 + "}"), "NB204"),
    "header is code": ("a.npy", npy_with(f"__import__('os').system('{SECRET}')"), "NB204"),
    "header holds code": ("a.npy", header(shape="(__import__('os').getpid(),)"), "NB204"),
    "header is binary": ("a.npy", npy_with("\0\xff" * 40), "NB204"),
    "header lacks a key": ("a.npy", npy_with("{'descr': '<f8', 'shape': (1,)}"), "NB204"),
    "header has a key more": ("a.npy", npy_with(f"{{'{SECRET}': (1,)," + HEADER[1:]), "NB204"),
    "header has no commas": ("a.npy", npy_with(HEADER.replace(",", " ")), "NB204"),
    "empty header": ("a.npy", npy_with(""), "NB204"),
    "empty dictionary": ("a.npy", npy_with("{}"), "NB204"),
    "version 9": ("a.npy", edited(GOOD_NPY, b"NUMPY\1\0", b"NUMPY\x09\0"), "NB204"),
    "version 1.1": ("a.npy", edited(GOOD_NPY, b"NUMPY\1\0", b"NUMPY\1\1"), "NB204"),
    "no bytes": ("a.npy", b"", "NB204"),
    "no dimensions": ("a.npy", npy_of(1.0), "NB201"),
    "no elements": ("a.npy", npy_of(np.zeros((0, 5))), "NB201"),
    "no elements, many rows": ("a.npy", header(shape=f"({10**18}, 0)"), "NB201"),
    "a member of an npy": ("a.npy:x", GOOD_NPY, "NB206"),
    # npz
    "bomb": ("a.npz", bomb, "NB901"),
    "4 GiB declared": ("a.npz", lambda: lying(0xFFFFFFFE), "NB901"),
    "1 MiB declared": ("a.npz", lambda: lying(1 << 20), "NB204"),
    "data for half of the shape": ("a.npz", lambda: lying(len(GOOD_NPY), HALF), "NB204"),
    "directory out of reach": ("a.npz", GOOD_NPZ[:-6] + b"\xff\xff\0\0\0\0", "NB204"),
    "members out of reach": ("a.npz", GOOD_NPZ[:-6] + b"\xff\0\0\0\0\0", "NB204"),
    "too little declared": ("a.npz", lambda: lying(100), "NB204"),
    "many members": ("a.npz", many_members, "NB901"),
    "truncated archive": ("a.npz", GOOD_NPZ[:-30], "NB204"),
    "archive cut in the data": ("a.npz", GOOD_NPZ[:60], "NB204"),
    "signature alone": ("a.npz", GOOD_NPZ[:4], "NB204"),
    "no zip bytes": ("a.npz", b"", "NB204"),
    "bytes after the archive": ("a.npz", GOOD_NPZ + b"\0" * 30, "NB204"),
    "wrong checksum": ("a.npz", STORED[:170] + b"\x7f" + STORED[171:], "NB204"),
    "broken deflate": ("a.npz", GOOD_NPZ[:40] + b"\xff" * 40 + GOOD_NPZ[80:], "NB204"),
    "encrypted": ("a.npz", zip_with(6, 1), "NB204"),
    "unknown method": ("a.npz", zip_with(8, 99), "NB204"),
    "lzma": ("a.npz", npz_of(("m.npy", GOOD_NPY), method=zipfile.ZIP_LZMA), "NB204"),
    "bzip2": ("a.npz", npz_of(("m.npy", GOOD_NPY), method=zipfile.ZIP_BZIP2), "NB204"),
    "same name twice": ("a.npz", npz_of(("m.npy", GOOD_NPY), ("m.npy", GOOD_NPY)), "NB204"),
    "climbing name": ("a.npz", npz_of(("../m.npy", GOOD_NPY)), "NB204"),
    "climbing name inside": ("a.npz", npz_of(("x/../../m.npy", GOOD_NPY)), "NB204"),
    "absolute name": ("a.npz", npz_of(("/m.npy", GOOD_NPY)), "NB204"),
    "no members": ("a.npz", npz_of(), "NB206"),
    "no arrays": ("a.npz", npz_of(("x.txt", SECRET.encode())), "NB206"),
    "many arrays, none named": ("a.npz", npz_of(("x.npy", GOOD_NPY), ("y.npy", b"")), "NB206"),
    "no such array": ("a.npz:x", GOOD_NPZ, "NB206"),
    "its file name": ("a.npz:m.npy", GOOD_NPZ, "NB206"),
    "a member that is no npy": ("a.npz", npz_of(("m.npy", SECRET.encode())), "NB204"),
    "an empty member": ("a.npz", npz_of(("m.npy", b"")), "NB204"),
    "a pickle in an npz": ("a.npz", lambda: npz_of(("m.npy", npy_of(OBJECTS))), "NB204"),
    "strings in an npz": ("a.npz", npz_of(("m.npy", npy_of(np.array([SECRET])))), "NB207"),
    "truncated npy in an npz": ("a.npz", npz_of(("m.npy", GOOD_NPY[:-1])), "NB204"),
    "terabytes in an npz": ("a.npz", npz_of(("m.npy", header(shape="(999999, 999999)"))), "NB901"),
    # text
    "no text": ("a.csv", b"", "NB204"),
    "blank lines": ("a.csv", b"\n \r\n\n", "NB204"),
    "a mark alone": ("a.csv", "\ufeff".encode(), "NB204"),
    "ragged, short": ("a.csv", b"1,0\n1\n", "NB204"),
    "ragged, long": ("a.csv", b"1,0\n1,0,1\n", "NB204"),
    "blank line inside": ("a.csv", b"1,0\n\n1,0\n", "NB204"),
    "blank line first": ("a.csv", b"\n1,0\n", "NB204"),
    "header row": ("a.csv", f"x,{SECRET}\n1,0\n".encode(), "NB205"),
    "quoted header row": ("a.csv", f'"x","{SECRET}"\n1,0\n'.encode(), "NB205"),
    "row names": ("a.csv", f"1,0\n{SECRET},0\n".encode(), "NB205"),
    "text cell": ("a.csv", f"1,0\n1,{SECRET}\n".encode(), "NB205"),
    "text file": ("a.txt", f"root:{SECRET}:0:0\n".encode(), "NB205"),
    "text cell in latin-1": ("a.csv", b"1,\xe9\n", "NB205"),
    "text cell to escape": ("a.csv", f"1,\x1b[2J{SECRET}\n".encode(), "NB205"),
    "nan": ("a.csv", b"1,0\n1,nan\n", "NB205"),
    "nan before text": ("a.csv", f"1,nan\n1,{SECRET}\n".encode(), "NB205"),
    "NA": ("a.csv", b"1,0\n1,NA\n", "NB205"),
    "inf": ("a.csv", b"1,-inf\n", "NB205"),
    "1e999": ("a.csv", b"1,1e999\n", "NB205"),
    "trailing comma": ("a.csv", b"1,0,\n1,0,\n", "NB204"),
    "empty cell": ("a.csv", b"1,,0\n", "NB204"),
    "comment": ("a.csv", f"1,0\n# {SECRET}\n1,0\n".encode(), "NB204"),
    "comment after a row": ("a.csv", f"1,0\n1,0 # {SECRET}\n".encode(), "NB205"),
    "decimal commas": ("a.csv", b"0,5;1,0\n0,5;1,0\n", "NB205"),
    "decimal commas and tabs": ("a.tsv", b"0,5\t1,0\n", "NB205"),
    "complex cell": ("a.csv", b"1j,0\n", "NB205"),
    "hexadecimal": ("a.csv", b"0x10,0\n", "NB205"),
    "digits of another script": ("a.csv", "١,0\n".encode(), "NB205"),
    "UTF-16": ("a.csv", "1,0\n".encode("utf-16"), "NB204"),
    "UTF-16 without a mark": ("a.csv", "1,0\n".encode("utf-16-le"), "NB204"),
    "NUL": ("a.csv", b"1,0\n\0\0\0", "NB204"),
    "old line ends": ("a.csv", b"1,0\r1,0\r", "NB205"),
    "old line ends and blanks": ("a.txt", b"1 0\r1 0\n", "NB204"),
    "form feeds": ("a.txt", b"1\x0c0\n", "NB204"),
    "half a million columns": ("a.csv", b"1," * 500_000 + b"x", "NB205"),
    "a member of a csv": ("a.csv:x", b"1,0\n", "NB206"),
}
TOLD_BY_DATA_ALONE = {"bool that is 2", "wrong checksum", "data for half of the shape"}


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


@pytest.mark.parametrize("case", BAD)
def test_bad_files(case: str, folder: Path) -> None:
    name, content, code = BAD[case]
    name, _, array = name.partition(":")
    path = folder / name
    path.write_bytes(content() if callable(content) else content)
    assert refusal(read_array, path, array or None).code == code
    if case not in TOLD_BY_DATA_ALONE and path.suffix not in (".csv", ".tsv", ".txt"):
        assert refusal(read_shape, path, array or None).code == code


@pytest.mark.parametrize(
    ("content", "where", "hint"),
    [
        ("1,0\n1,x\n", "row 2, column 2 of m.csv", ""),
        ("x,y\n1,0\n", "row 1, column 1 of m.csv", "header"),
        ("1,0\nx,0\n", "row 2, column 1 of m.csv", "names"),
        ("1,0\n1,0,\n", "row 2, column 3 of m.csv is empty", "separator at the end"),
        ("1,0\n1,inf\n", "row 2, column 2 of m.csv is not a finite number", ""),
        ("1,0\n1,1e999\n", "row 2, column 2 of m.csv is not a finite number", ""),
        ("1;0\n1;0,5\n", "row 2, column 2 of m.csv is a number with a decimal comma", "0.5"),
        ("1,0\n1\n", "row 2 of m.csv has 1 columns, the first row has 2", ""),
        ("1,0\n\n1,0\n", "row 2 of m.csv is empty", ""),
        ("1,0\n #x\n", "row 2 of m.csv is a comment", "remove it"),
    ],
)
def test_text_faults_are_located(folder: Path, content: str, where: str, hint: str) -> None:
    (folder / "m.csv").write_text(content)
    error = refusal(read_array, folder / "m.csv")
    assert error.what.startswith(where)
    assert hint in error.hint


def test_messages(folder: Path) -> None:
    """The wording of the errors that users will meet most."""
    (folder / "m.npy").write_bytes(GOOD_NPY[:-1])
    assert refusal(read_array, folder / "m.npy").what == (
        "m.npy is truncated: its header declares 96 bytes of data, the file holds 95"
    )
    (folder / "m.npy").write_bytes(edited(GOOD_NPY, b"NUMPY\1\0", b"NUMPY\x09\0"))
    error = refusal(read_array, folder / "m.npy")
    assert error.what == "m.npy is not an intact .npy: its format version 9.0 is unknown"
    (folder / "m.npy").write_bytes(npy_with(" " * 20_000, version=2))
    error = refusal(read_array, folder / "m.npy")
    assert error.what.endswith("its header of 20,000 bytes is longer than 10,000")
    (folder / "m.npz").write_bytes(npz_of(("x.npy", GOOD_NPY), ("y.npy", GOOD_NPY)))
    error = refusal(read_array, folder / "m.npz")
    assert (error.what, error.hint) == (
        "m.npz holds 2 arrays: x, y",
        "say which one: `array: NAME`",
    )
    error = refusal(lambda path, _: read_array(path, "z"), folder / "m.npz")
    assert error.what == "m.npz holds no array z"
    (folder / "m.npz").write_bytes(npz_of(*((f"{i}.npy", b"") for i in range(12))))
    assert refusal(read_array, folder / "m.npz").what.endswith("7, 8, 9 and 2 more")
    (folder / "m.csv").write_bytes(GOOD_NPY)
    assert refusal(read_array, folder / "m.csv").hint == "give it the extension of what it holds"
    (folder / "m.mat").write_bytes(b"MATLAB 5.0")
    assert refusal(read_array, folder / "m.mat").hint == "accepted are .npy, .npz, .csv, .tsv, .txt"


def test_not_regular_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.npy")
        assert refusal(read_array, tmp_path / "s.npy").code == "NB203"
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "folder.npy").mkdir()
    (tmp_path / "target.npy").write_bytes(GOOD_NPY)
    (tmp_path / "link.npy").symlink_to("target.npy")
    for name in ("pipe.npy", "folder.npy", "link.npy"):
        for read in (read_array, read_shape):
            assert refusal(read, tmp_path / name).code == "NB203"
    assert refusal(read_array, Path("/dev/zero")).code == "NB203"
    assert refusal(read_array, tmp_path / "missing.npy").code == "NB202"
    assert refusal(read_array, tmp_path / "target.npy" / "m.npy").code == "NB202"


def test_unreadable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the refusal is played."""

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    (folder / "m.npy").write_bytes(GOOD_NPY)
    monkeypatch.setattr(os, "open", refuse)
    error = refusal(read_array, folder / "m.npy")
    assert (error.code, error.what) == ("NB202", "m.npy cannot be read (Permission denied)")


def test_a_failing_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    (folder / "m.npy").write_bytes(GOOD_NPY)
    monkeypatch.setattr(readers, "read_rest", fail)
    error = refusal(read_array, folder / "m.npy")
    assert (error.code, error.what) == ("NB202", "m.npy cannot be read (Input/output error)")


def test_too_little_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    for module, name, content in (
        (npy, "m.npy", GOOD_NPY),
        (npz, "m.npz", GOOD_NPZ),
        (text, "m.csv", b"1,0\n"),
    ):
        (folder / name).write_bytes(content)
        with monkeypatch.context() as patch:
            patch.setattr(module, "array_from", fail)
            assert refusal(read_array, folder / name).code == "NB901"


def test_a_file_that_changes_while_it_is_read(folder: Path) -> None:
    path = folder / "m.npy"
    path.write_bytes(GOOD_NPY)
    for size in (len(GOOD_NPY) - 1, len(GOOD_NPY) + 1):
        with io.FileIO(path) as file, pytest.raises(DataFileError, match="changed"):
            door.read_rest(file.read(40), file, size, "m.npy")


def test_size_is_judged_before_memory_is_taken(folder: Path) -> None:
    """A file of 1 GB (of holes), whatever it says it is, and headers that declare more."""
    for name in ("big.csv", "big.npy", "big.npz", "big.pkl"):
        path = folder / name
        path.write_bytes({"npy": header(), "npz": GOOD_NPZ}.get(name[4:], b"1,0\n"))
        os.truncate(path, 10**9)
        with peak_below(4 << 20):
            for read in (read_array, read_shape):
                assert refusal(read, path).code == ("NB901" if name == "big.csv" else "NB204")
        path.unlink()


@pytest.mark.parametrize("case", ["header of 4 GiB", "terabytes", "bomb", "4 GiB declared"])
def test_bombs_take_no_memory(case: str, folder: Path) -> None:
    name, content, _ = BAD[case]
    (folder / name).write_bytes(content() if callable(content) else content)
    with peak_below(4 << 20):
        for read in (read_array, read_shape):
            refusal(read, folder / name)


def test_max_bytes(folder: Path) -> None:
    row = b"1," * 11 + b"1"
    for name, content, limit in (
        ("m.npy", GOOD_NPY, 96),
        ("m.npz", GOOD_NPZ, len(GOOD_NPY)),
        ("m.csv", row, 96),
    ):
        path = folder / name
        path.write_bytes(content)
        assert read_array(path, max_bytes=limit).array.size == 12
        with pytest.raises(DataFileError, match="the limit is") as caught:
            read_array(path, max_bytes=limit - 1)
        assert caught.value.code == "NB901"


def test_a_header_costs_no_data(folder: Path) -> None:
    path = folder / "large.npy"
    path.write_bytes(header(shape="(10000, 10000)"))
    os.truncate(path, path.stat().st_size - 8 + 8 * 10**8)
    with peak_below(1 << 20):
        assert read_shape(path) == (10_000, 10_000)
    path.unlink()


@pytest.mark.parametrize("error", [KeyError, AttributeError, TypeError, ValueError, EOFError])
@pytest.mark.parametrize(
    ("name", "content", "module", "function"),
    [
        ("m.npy", npy_of(MATRIX), npy, "check_dtype"),
        ("m.npz", npz_of(("m.npy", npy_of(MATRIX))), npz, "judge_names"),
        ("m.csv", b"1,2\n3,4\n", text, "cells_of"),
    ],
)
def test_a_bug_of_our_own_is_not_told_as_a_damaged_file(
    name: str,
    content: bytes,
    module: Any,
    function: str,
    error: type[Exception],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = folder / name
    path.write_bytes(content)

    def broken(*_: object) -> None:
        raise error("planted")

    assert read_array(path)
    monkeypatch.setattr(module, function, broken)
    for reader in (read_array, read_shape):
        with pytest.raises(error, match="planted"):
            reader(path)


# --- The house


def test_words_do_not_wait_for_maths() -> None:
    heavy = ("torch", "polars", "scipy", "matplotlib")
    program = f"import netbuild.files.arrays, sys; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert found.stdout.strip() == b"[]"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive_in_memory_gives_the_same_array(save: Any) -> None:
    file = io.BytesIO()
    save(file, m=np.arange(6), n=np.zeros(2))
    content = file.getvalue()
    array = npz.array_in(content, "m", "a.npz", 1000)
    assert array.tolist() == list(range(6))
    assert array.flags.writeable
    start = content.index(b"m.npy") + len(b"m.npy")
    for at in (0, 28, start + 40):  # its signature, the length of a field, its content
        broken = bytearray(content)
        broken[at] ^= 0x55
        with pytest.raises(DataFileError, match="not an intact") as caught:
            npz.array_in(bytes(broken), "m", "a.npz", 1000)
        assert caught.value.code == "NB204"
