"""Square matrices: dense, sparse and labelled ones, right and damaged."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from edge_lists import read_connectome, source, words
from matrix_files import (
    MATRIX,
    POST,
    PRE,
    READERS,
    TABLE,
    as_dict,
    as_matrix,
    mat,
    matrix_files,
    npy,
    refused,
    saved,
    sparse_npz_bytes,
)

from netbuild.connectomes import matrices
from netbuild.errors import DataFileError


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat"])
def test_a_square_matrix_lies_as_rows_says(suffix: str) -> None:
    content = matrix_files(MATRIX)[suffix]
    read = READERS[suffix]
    assert (as_matrix(read(source(Path("w" + suffix), content), PRE)) == MATRIX).all()
    assert (as_matrix(read(source(Path("w" + suffix), content), POST)) == MATRIX.T).all()
    said = refused("NB306", content, suffix, words())
    assert "without names, 4 by 4" in said
    assert "`rows: pre` where entry [i, j] is the connection from i to j" in said


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat"])
def test_matrices_have_no_columns(suffix: str) -> None:
    content = matrix_files(MATRIX)[suffix]
    for key in ("pre", "post", "weight", "transmitter"):
        said = refused("NB211", content, suffix, words(rows="pre", **{key: "x"}))
        assert f"leave `{key}` out" in said
    refused("NB211", content, suffix, words(rows="pre", where={"Type": "chemical"}))


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat", ".csv"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (-2.0, "is negative"),
        (np.nan, "is not a finite number"),
        (np.inf, "is not a finite number"),
        (1e30, r"is above 1e\+28"),
    ],
)
def test_weights_are_judged_with_their_place(
    suffix: str, value: float, problem: str, tmp_path: Path
) -> None:
    matrix = MATRIX.copy()
    matrix[2, 0] = value
    path = tmp_path / f"w{suffix}"
    labelled = ",a,b,c,d\n" + "".join(
        f"{name},{','.join(map(str, row))}\n" for name, row in zip("abcd", matrix, strict=True)
    )
    path.write_bytes((matrix_files(matrix) | {".csv": labelled.encode()})[suffix])
    place = "row c, column a" if suffix == ".csv" else "row 3, column 1"
    if suffix == ".csv" and not np.isfinite(value):  # a cell of text that is no number
        place = "row 4, column 2"
    for options in (PRE, POST):
        with pytest.raises(DataFileError, match=f"{place} of w{suffix} {problem}"):
            read_connectome(path, None, options)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat"])
def test_only_square_matrices(suffix: str) -> None:
    said = refused("NB201", matrix_files(np.ones((3, 5)))[suffix], suffix)
    assert "is 3 x 5" in said


def test_a_stack_of_matrices_is_not_one() -> None:
    assert "one subject" in refused("NB201", npy(np.ones((3, 3, 4))), ".npy")
    assert "one subject" in refused(
        "NB201", mat(w=np.ones((3, 3, 4))), ".mat", words(rows="pre", array="w")
    )


def test_dense_arrays_by_name() -> None:
    content = saved(w=MATRIX, other=np.ones(3))
    edges = matrices.read(source(Path("w.npz"), content), words(rows="pre", array="w"))
    assert (as_matrix(edges) == MATRIX).all()
    assert edges.read == 4
    assert not edges.dropped
    for array, said in ((None, "2 arrays: w, other"), ("weights", "its arrays are: w, other")):
        with pytest.raises(DataFileError) as caught:
            matrices.read(source(Path("w.npz"), content), words(rows="pre", array=array))
        assert caught.value.code == "NB206"
        assert said in caught.value.what + caught.value.hint
    assert "leave `array` out" in refused(
        "NB206", npy(MATRIX), ".npy", words(rows="pre", array="w")
    )


def test_pickled_arrays_are_never_read() -> None:
    assert "pickles are never read" in refused("NB204", npy(np.array([[None]])), ".npy")
    refused("NB207", npy(MATRIX.astype(complex)), ".npy")


# --- scipy's sparse matrices


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32, np.uint8, bool])
def test_sparse_forms(form: str, compressed: bool, kind: Any) -> None:
    for make in (scipy.sparse.csr_matrix, scipy.sparse.csr_array):
        content = sparse_npz_bytes(make(MATRIX.astype(kind)), form, compressed)
        assert matrices.is_sparse(content)
        edges = matrices.read_sparse(source(Path("w.npz"), content), POST)
        assert (as_matrix(edges) == MATRIX.astype(kind).T).all()


def test_stored_zeros_are_no_connections_and_duplicates_are_kept() -> None:
    rows, columns, values = [0, 0, 1, 2], [1, 1, 2, 0], [2.0, 3.0, 0.0, 1.0]
    matrix = scipy.sparse.coo_matrix((values, (rows, columns)), shape=(3, 3))
    edges = matrices.read_sparse(source(Path("w.npz"), sparse_npz_bytes(matrix, "coo")), PRE)
    assert edges.pre.tolist() == [0, 0, 1, 2]
    assert edges.read == 4


@pytest.mark.parametrize("form", ["bsr", "dia"])
def test_other_forms_are_refused_with_what_to_do(form: str) -> None:
    said = refused("NB207", sparse_npz_bytes(scipy.sparse.csr_matrix(MATRIX), form), ".npz")
    assert f"in {form} form" in said
    assert "tocsr()" in said


def test_what_is_no_sparse_matrix() -> None:
    for content in (saved(w=MATRIX), b"PK\x03\x04", b"", zlib.compress(b"x")):
        assert not matrices.is_sparse(content)


CSR = {
    "format": np.array(b"csr"),
    "shape": np.array([3, 3]),
    "data": np.array([1.0, 2.0]),
    "indices": np.array([1, 2], np.int32),
    "indptr": np.array([0, 1, 2, 2], np.int32),
}


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"indices": np.array([1, 3])}, "NB204", "a column outside its 3"),
        ({"indices": np.array([1, -1])}, "NB204", "a column outside its 3"),
        ({"indices": np.array([1.0, 2.0])}, "NB204", "not a list of whole numbers"),
        ({"indices": np.array([1, 2**64 - 1], np.uint64)}, "NB204", "that no position can be"),
        ({"indices": np.array([1, 2, 0])}, "NB204", "`indptr` does not fit"),
        ({"indptr": np.array([0, 1, 2])}, "NB204", "`indptr` does not fit"),
        ({"indptr": np.array([1, 1, 2, 2])}, "NB204", "`indptr` does not fit"),
        ({"indptr": np.array([0, 2, 1, 2])}, "NB204", "`indptr` falls"),
        ({"data": np.array([1.0, 2.0, 3.0])}, "NB204", "not equally many"),
        ({"data": np.array([1 + 1j, 2])}, "NB207", "complex"),
        ({"shape": np.array([3])}, "NB204", "not two numbers"),
        ({"shape": np.array([2**62, 2**62])}, "NB901", "4,611,686,018,427,387,904 neurons"),
        ({"shape": np.array([3.0, 3.0])}, "NB204", "not a list of whole numbers"),
        ({"format": np.array(b"xyz")}, "NB204", "not one that scipy writes"),
        ({"format": np.array(["x" * 999])}, "NB204", "`format` is too long"),
        ({"indices": None}, "NB206", "no array indices"),
    ],
)
def test_parts_that_do_not_belong_together(change: Any, code: str, said: str) -> None:
    parts = {key: value for key, value in (CSR | change).items() if value is not None}
    text = refused(code, saved(**parts), ".npz")
    assert re.search(said, text), text


def test_a_bomb_in_a_sparse_archive() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for key in ("format", "shape"):
            archive.writestr(f"{key}.npy", npy(CSR[key]))
        archive.writestr("data.npy", b"\0" * (70 << 20))
    assert "times its size" in refused("NB901", file.getvalue(), ".npz")


# --- matrices with names


def test_labelled_matrices() -> None:
    edges = READERS[".csv"](source(Path("w.csv"), TABLE.encode()), words())
    expected = {("ADAL", "B"): 2.5, ("ADAL", "MUSC"): 1, ("B", "B"): 7, ("C", "ADAL"): 3}
    assert as_dict(edges) == expected
    assert edges.names is not None
    assert edges.names.tolist() == ["ADAL", "B", "C", "MUSC"]  # rows, then what columns add
    assert edges.read == 4
    swapped = READERS[".csv"](source(Path("w.csv"), TABLE.encode()), POST)
    assert as_dict(swapped) == {(post, pre): value for (pre, post), value in expected.items()}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_line_ends_and_quotes(separator: str, end: str) -> None:
    lines = ["corner,'a b',b".replace("'", '"'), "a b,,2", "b,1e2,"]
    content = end.join(line.replace(",", separator) for line in lines) + end + end
    edges = READERS[".csv"](source(Path("w.csv"), b"\xef\xbb\xbf" + content.encode()), words())
    assert as_dict(edges) == {("a b", "b"): 2, ("b", "a b"): 100}


def test_ids_of_18_digits_stay_exact() -> None:
    content = b",720575940600000001,720575940600000002\n720575940600000002,5,\n"
    edges = READERS[".csv"](source(Path("w.csv"), content), words())
    assert as_dict(edges) == {("720575940600000002", "720575940600000001"): 5}


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (",a,b\nx,1,2\ny,1\n", "NB204", "row 3 of .* has 2 cells, the header has 3"),
        (",a,b\nx,1,2\n\ny,1,2\n", "NB204", "row 3 of .* is empty"),
        (",a,b\nx,1,z\n", "NB205", "row 2, column 3 of .* is not a number"),
        (",a,b\nx,1,NaN\n", "NB205", "row 2, column 3 of .* is not a finite number"),
        (";a;b\nx;0,5;\n", "NB205", "row 2, column 2 of .* decimal comma"),
        (",a,b\nx,1,2\nx,1,2\n", "NB204", "row 3 of .* has the name of row 2, x"),
        (",a, a\nx,1,2\n", "NB204", "column 3 of .* has the name of column 2, a"),
        (",a,\nx,1,2\n", "NB204", "column 3 of .* has no name"),
        (",a,b\n ,1,2\n", "NB204", "row 2 of .* has no name"),
        (",a,b\n", "NB204", "has no rows"),
        ("a\nb\n", "NB204", "has no columns"),
        ("", "NB204", "is empty"),
        ('"a,b\nx,1\n', "NB204", "row 1 of .* cannot be separated into cells"),
        (',a,b\n"x"y,1,2\n', "NB204", "row 2 of .* cannot be separated into cells"),
        (",a\0\nx,1\n", "NB204", "NUL"),
    ],
)
def test_faults_of_labelled_matrices(content: str, code: str, said: str) -> None:
    text = refused(code, content.encode(), ".csv", words())
    assert re.search(said, text), text


def test_other_encodings() -> None:
    assert "UTF-16" in refused("NB204", TABLE.encode("utf-16"), ".csv", words())
    latin = ",é\né,1\n".encode("latin-1")
    assert "is not UTF-8" in refused("NB204", latin, ".csv", words())


@pytest.mark.parametrize(
    ("header", "is_one"),
    [
        (["", "ADAL", "ADAR"], True),
        (["", "1", "2"], True),
        ([" ", "ADAL"], True),
        (["pre\\post", "ADAL", "ADAR"], True),
        (["0", "1", "0"], False),
        (["1.5", "2e3"], False),
        (["", "a", "a"], True),
        (["", "a", ""], True),
        (["x", "a", "a"], False),
        (["x", "a", ""], False),
        (["", ""], False),
        (["name"], False),
    ],
)
def test_what_a_labelled_matrix_begins_with(header: list[str], is_one: bool) -> None:
    assert matrices.looks_labelled(header) == is_one
