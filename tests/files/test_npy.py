"""The .npy format: whole files are read exactly, and wrong headers refused."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_files import (
    GOOD_NPY,
    HEADER,
    OBJECTS,
    SECRET,
    Bad,
    arrays,
    assert_same,
    check_bad,
    check_bad_shape,
    edited,
    header,
    npy_of,
    npy_with,
    peak_below,
)
from hypothesis import given
from hypothesis import strategies as st

from netbuild.files.arrays import read_array, read_shape


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


BAD: Bad = {
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
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files(case: str, tmp_path: Path) -> None:
    check_bad(BAD[case], tmp_path)
    if case != "bool that is 2":  # only the data show it
        check_bad_shape(BAD[case], tmp_path)


def test_a_header_costs_no_data(folder: Path) -> None:
    path = folder / "large.npy"
    path.write_bytes(header(shape="(10000, 10000)"))
    os.truncate(path, path.stat().st_size - 8 + 8 * 10**8)
    with peak_below(1 << 20):
        assert read_shape(path) == (10_000, 10_000)
    path.unlink()


@pytest.mark.parametrize("case", ["header of 4 GiB", "terabytes"])
def test_sizes_that_lie_take_no_memory(case: str, tmp_path: Path) -> None:
    with peak_below(4 << 20):
        check_bad(BAD[case], tmp_path)
        check_bad_shape(BAD[case], tmp_path)
