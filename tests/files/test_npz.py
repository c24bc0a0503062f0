"""The .npz format: members are read exactly, and bombs and damaged archives are refused."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_files import (
    GOOD_NPY,
    GOOD_NPZ,
    MATRIX,
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
    npz_of,
    peak_below,
)
from hypothesis import given
from hypothesis import strategies as st

from netbuild.errors import DataFileError
from netbuild.files import npz
from netbuild.files.arrays import read_array, read_shape

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


STORED = npz_of(("m.npy", GOOD_NPY), method=zipfile.ZIP_STORED)
HALF = GOOD_NPY[: -MATRIX.nbytes // 2]

BAD: Bad = {
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
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files(case: str, tmp_path: Path) -> None:
    check_bad(BAD[case], tmp_path)
    if case not in ("wrong checksum", "data for half of the shape"):  # only the data show these
        check_bad_shape(BAD[case], tmp_path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive_in_memory_gives_the_same_array(save: Any) -> None:
    file = io.BytesIO()
    save(file, m=np.arange(6), n=np.zeros(2))
    content = file.getvalue()
    array = npz.array_from(content, "m", "a.npz", 1000)
    assert array.tolist() == list(range(6))
    assert array.flags.writeable
    start = content.index(b"m.npy") + len(b"m.npy")
    for at in (0, 28, start + 40):  # its signature, the length of a field, its content
        broken = bytearray(content)
        broken[at] ^= 0x55
        with pytest.raises(DataFileError, match="not an intact") as caught:
            npz.array_from(bytes(broken), "m", "a.npz", 1000)
        assert caught.value.code == "NB204"


@pytest.mark.parametrize("case", ["bomb", "4 GiB declared"])
def test_bombs_take_no_memory(case: str, tmp_path: Path) -> None:
    name, content, code = BAD[case]
    made = content() if callable(content) else content  # which takes memory itself
    with peak_below(4 << 20):
        check_bad((name, made, code), tmp_path)
        check_bad_shape((name, made, code), tmp_path)
