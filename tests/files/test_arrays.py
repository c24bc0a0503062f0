"""Array files of every format: the door in front of them, the sizes, and the messages."""

from __future__ import annotations

import io
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_files import (
    GOOD_NPY,
    GOOD_NPZ,
    MATRIX,
    SECRET,
    Bad,
    assert_same,
    check_bad,
    edited,
    header,
    npy_of,
    npy_with,
    npz_of,
    peak_below,
    refusal,
)

from netbuild.errors import DataFileError
from netbuild.files import arrays as readers
from netbuild.files import door, npy, npz, text
from netbuild.files.arrays import read_array, read_shape


def test_what_numpy_writes_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "n.npy", MATRIX)
    np.savez(tmp_path / "n.npz", x=MATRIX, y=MATRIX[0])
    np.savez_compressed(tmp_path / "one.npz", np.zeros((2000, 2000)))  # of ratio 1000, but small
    np.savetxt(tmp_path / "n.txt", MATRIX)
    np.savetxt(tmp_path / "n.csv", MATRIX, delimiter=",", fmt="%d")
    assert_same(read_array(tmp_path / "n.npy").array, MATRIX)
    assert_same(read_array(tmp_path / "n.npz", "y").array, MATRIX[0])
    assert_same(read_array(tmp_path / "one.npz").array, np.zeros((2000, 2000)))
    assert_same(read_array(tmp_path / "n.txt").array, MATRIX)
    assert_same(read_array(tmp_path / "n.csv").array, MATRIX)


def test_upper_case_extensions(tmp_path: Path) -> None:
    (tmp_path / "M.NPY").write_bytes(npy_of(MATRIX))
    assert_same(read_array(tmp_path / "M.NPY").array, MATRIX)


def test_the_array_is_ours(tmp_path: Path) -> None:
    path = tmp_path / "ours.npy"
    path.write_bytes(npy_of(MATRIX))
    read_array(path).array[:] = -1
    assert_same(read_array(path).array, MATRIX)


BAD: Bad = {
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
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files(case: str, tmp_path: Path) -> None:
    check_bad(BAD[case], tmp_path)


def test_messages(tmp_path: Path) -> None:
    """The wording of the errors that users will meet most."""
    (tmp_path / "m.npy").write_bytes(GOOD_NPY[:-1])
    assert refusal(read_array, tmp_path / "m.npy").what == (
        "m.npy is truncated: its header declares 96 bytes of data, the file holds 95"
    )
    (tmp_path / "m.npy").write_bytes(edited(GOOD_NPY, b"NUMPY\1\0", b"NUMPY\x09\0"))
    error = refusal(read_array, tmp_path / "m.npy")
    assert error.what == "m.npy is not an intact .npy: its format version 9.0 is unknown"
    (tmp_path / "m.npy").write_bytes(npy_with(" " * 20_000, version=2))
    error = refusal(read_array, tmp_path / "m.npy")
    assert error.what.endswith("its header of 20,000 bytes is longer than 10,000")
    (tmp_path / "m.npz").write_bytes(npz_of(("x.npy", GOOD_NPY), ("y.npy", GOOD_NPY)))
    error = refusal(read_array, tmp_path / "m.npz")
    assert (error.what, error.hint) == (
        "m.npz holds 2 arrays: x, y",
        "say which one: `array: NAME`",
    )
    error = refusal(lambda path, _: read_array(path, "z"), tmp_path / "m.npz")
    assert error.what == "m.npz holds no array z"
    (tmp_path / "m.npz").write_bytes(npz_of(*((f"{i}.npy", b"") for i in range(12))))
    assert refusal(read_array, tmp_path / "m.npz").what.endswith("7, 8, 9 and 2 more")
    (tmp_path / "m.csv").write_bytes(GOOD_NPY)
    assert refusal(read_array, tmp_path / "m.csv").hint == "give it the extension of what it holds"
    (tmp_path / "m.mat").write_bytes(b"MATLAB 5.0")
    hint = refusal(read_array, tmp_path / "m.mat").hint
    assert hint == "accepted are .npy, .npz, .csv, .tsv, .txt"


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


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the refusal is played."""

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "m.npy").write_bytes(GOOD_NPY)
    monkeypatch.setattr(os, "open", refuse)
    error = refusal(read_array, tmp_path / "m.npy")
    assert (error.code, error.what) == ("NB202", "m.npy cannot be read (Permission denied)")


def test_a_failing_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    (tmp_path / "m.npy").write_bytes(GOOD_NPY)
    monkeypatch.setattr(readers, "read_whole", fail)
    error = refusal(read_array, tmp_path / "m.npy")
    assert (error.code, error.what) == ("NB202", "m.npy cannot be read (Input/output error)")


def test_too_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    for module, name, content in (
        (npy, "m.npy", GOOD_NPY),
        (npz, "m.npz", GOOD_NPZ),
        (text, "m.csv", b"1,0\n"),
    ):
        (tmp_path / name).write_bytes(content)
        with monkeypatch.context() as patch:
            patch.setattr(module, "array_from", fail)
            assert refusal(read_array, tmp_path / name).code == "NB901"


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.npy"
    path.write_bytes(GOOD_NPY)
    for size in (len(GOOD_NPY) - 1, len(GOOD_NPY) + 1):
        with io.FileIO(path) as file, pytest.raises(DataFileError, match="changed"):
            door.read_whole(file, size, "m.npy")


def test_size_is_judged_before_memory_is_taken(tmp_path: Path) -> None:
    """A file of 1 GB (of holes), whatever it says it is, and headers that declare more."""
    for name in ("big.csv", "big.npy", "big.npz", "big.pkl"):
        path = tmp_path / name
        path.write_bytes({"npy": header(), "npz": GOOD_NPZ}.get(name[4:], b"1,0\n"))
        os.truncate(path, 10**9)
        with peak_below(4 << 20):
            for read in (read_array, read_shape):
                assert refusal(read, path).code == ("NB901" if name == "big.csv" else "NB204")
        path.unlink()


def test_max_bytes(tmp_path: Path) -> None:
    row = b"1," * 11 + b"1"
    for name, content, limit in (
        ("m.npy", GOOD_NPY, 96),
        ("m.npz", GOOD_NPZ, len(GOOD_NPY)),
        ("m.csv", row, 96),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        assert read_array(path, max_bytes=limit).array.size == 12
        with pytest.raises(DataFileError, match="the limit is") as caught:
            read_array(path, max_bytes=limit - 1)
        assert caught.value.code == "NB901"


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
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    def broken(*_: object) -> None:
        raise error("planted")

    assert read_array(path)
    monkeypatch.setattr(module, function, broken)
    for reader in (read_array, read_shape):
        with pytest.raises(error, match="planted"):
            reader(path)


def test_words_do_not_wait_for_maths() -> None:
    heavy = ("torch", "polars", "scipy", "matplotlib")
    program = f"import netbuild.files.arrays, sys; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert found.stdout.strip() == b"[]"
