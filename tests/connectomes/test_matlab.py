"""MATLAB's files: what is read of them, and what is refused."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from edge_lists import source, words
from matrix_files import (
    MATRIX,
    PRE,
    as_matrix,
    mat,
    refused,
)

from netbuild.connectomes import matlab


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(
    "matrix",
    [
        MATRIX,
        MATRIX.astype(np.float32),
        MATRIX.astype(np.uint8),
        MATRIX.astype(np.int64),
        MATRIX > 0,
        scipy.sparse.csc_matrix(MATRIX),
        scipy.sparse.csc_matrix(MATRIX > 0),
        scipy.sparse.csc_matrix((4, 4)),
        np.asfortranarray(MATRIX),
    ],
    ids=str,
)
def test_matlab_matrices(compressed: bool, matrix: Any) -> None:
    content = mat(compressed, w=matrix, scalar=3.0, vector=np.ones(5))
    expected = matrix.toarray() if scipy.sparse.issparse(matrix) else matrix
    edges = matlab.read(source(Path("w.mat"), content), PRE)
    assert (as_matrix(edges) == expected).all()


def test_big_endian_matlab() -> None:
    """A file of the other byte order, put together by hand."""

    def element(kind: int, body: bytes) -> bytes:
        return struct.pack(">II", kind, len(body)) + body + b"\0" * (-len(body) % 8)

    inner = element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(">ii", 2, 2))
    inner += struct.pack(">HH", 1, 1) + b"w\0\0\0"  # a short element; of the size, then the kind
    inner += element(9, struct.pack(">4d", 0, 3, 5, 0))
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    edges = matlab.read(source(Path("w.mat"), header + element(14, inner)), PRE)
    assert (as_matrix(edges) == [[0, 5], [3, 0]]).all()


def test_matlab_variables_are_told_apart() -> None:
    content = mat(
        a=MATRIX,
        b=2 * MATRIX,
        names=np.array([["x"], ["y"]], object),
        z=MATRIX * 1j,
        s={"field": MATRIX},
        text="hello there",
    )
    edges = matlab.read(source(Path("w.mat"), content), words(rows="pre", array="b"))
    assert (as_matrix(edges) == 2 * MATRIX).all()
    assert "2 arrays: a, b" in refused("NB206", content, ".mat")
    assert "its arrays are: a, b" in refused("NB206", content, ".mat", words(array="c"))
    kinds = {"names": "a cell array", "s": "a struct", "z": "complex", "text": "text"}
    for array, kind in kinds.items():
        assert f"is {kind}" in refused("NB207", content, ".mat", words(array=array))
    assert "holds no arrays" in refused("NB206", mat(text="x"), ".mat")


def test_other_versions_of_matlab() -> None:
    assert "`-v7`" in refused("NB204", b"MATLAB 7.3 MAT-file".ljust(200), ".mat")
    assert "`-v7`" in refused("NB204", b"\x89HDF\r\n\x1a\n".ljust(200), ".mat")
    file = io.BytesIO()
    scipy.io.savemat(file, {"w": MATRIX}, format="4")
    assert "not that of version 5" in refused("NB204", file.getvalue(), ".mat")


def test_a_damaged_matlab_file() -> None:
    content = bytearray(mat(True, w=MATRIX))
    content[-2] ^= 1  # of the checksum
    assert "its checksum is wrong" in refused("NB204", bytes(content), ".mat")
    assert "is truncated" in refused("NB204", mat(w=MATRIX)[:-8], ".mat")


def test_a_bomb_in_a_matlab_file() -> None:
    """500 kB that would be 500 MB: refused from the sizes it declares."""
    (length,) = (8000 * 8000 * 8,)
    head = b"".join(
        (
            struct.pack("<IIII", 6, 8, 6, 0),
            struct.pack("<IIii", 5, 8, 8000, 8000),
            struct.pack("<HH4s", 1, 1, b"w"),
            struct.pack("<II", 9, length),
        )
    )
    packer = zlib.compressobj()
    packed = packer.compress(struct.pack("<II", 14, len(head) + length) + head)
    packed += packer.compress(bytes(1 << 16)) + packer.flush()
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    content = header + struct.pack("<II", 15, len(packed)) + packed
    assert "times its size" in refused("NB901", content, ".mat")
