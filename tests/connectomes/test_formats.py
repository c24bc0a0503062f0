"""Matrices and graphs as connectomes: what each format gives, and what is said of damaged files."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from edge_lists import read_connectome, source, words
from hypothesis import given, settings
from hypothesis import strategies as st

from netbuild.connectomes import graphml, matlab, matrices
from netbuild.connectomes.rows import Rows
from netbuild.errors import DataFileError

PRE = words(rows="pre")
POST = words(rows="post")
READERS = {
    ".csv": matrices.read_labelled,
    ".npy": matrices.read,
    ".npz": matrices.read_sparse,
    ".mat": matlab.read,
    ".graphml": graphml.read,
}
# i -> j by entry [i, j]; 1 has a self-connection, 3 is isolated.
MATRIX = np.array([[0, 2.5, 0, 0], [0, 7, 1, 0], [3, 0, 0, 0], [0, 0, 0, 0]])


def saved(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def sparse_npz_bytes(matrix: Any, form: str = "csr", compressed: bool = True) -> bytes:
    file = io.BytesIO()
    scipy.sparse.save_npz(file, matrix.asformat(form), compressed=compressed)
    return file.getvalue()


def mat(compressed: bool = False, **arrays: Any) -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, arrays, do_compression=compressed)
    return file.getvalue()


def as_dict(edges: Rows) -> dict[tuple[Any, Any], float]:
    weight = np.ones(len(edges.pre)) if edges.weight is None else edges.weight
    assert edges.names is not None
    assert edges.n == len(edges.names)
    ends = (edges.names[edges.pre].tolist(), edges.names[edges.post].tolist())
    return dict(zip(zip(*ends, strict=True), weight, strict=True))


def as_matrix(edges: Rows) -> Any:
    assert edges.pre.dtype == edges.post.dtype == np.int64
    assert edges.weight is not None
    matrix = np.zeros((edges.n, edges.n))
    np.add.at(matrix, (edges.pre, edges.post), edges.weight)
    return matrix


def refused(code: str, content: bytes, suffix: str, options: Any = PRE) -> str:
    """The one line that is said of a file that cannot be read."""
    with pytest.raises(DataFileError) as caught:
        READERS[suffix](source(Path("data/brain" + suffix), content), options)
    assert caught.value.code == code, caught.value.what
    assert "\n" not in caught.value.what + caught.value.hint
    assert "brain" + suffix in caught.value.what
    return f"{caught.value.what} | {caught.value.hint}"


# --- matrices without names


def matrix_files(matrix: Any) -> dict[str, bytes]:
    """The same matrix in every format that has no names."""
    return {
        ".npy": npy(matrix),
        ".npz": sparse_npz_bytes(scipy.sparse.csr_matrix(matrix)),
        ".mat": mat(w=matrix),
    }


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


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (-2.0, "row 3, column 1 of .* is negative .*counts have no sign"),
        (np.nan, "row 3, column 1 of .* is not a finite number"),
        (np.inf, "row 3, column 1 of .* is not a finite number"),
        (-np.inf, "row 3, column 1 of .* is not a finite number"),
    ],
)
def test_weights_are_finite_and_not_negative(suffix: str, value: float, said: str) -> None:
    matrix = MATRIX.copy()
    matrix[2, 0] = value
    text = refused("NB205", matrix_files(matrix)[suffix], suffix)
    assert re.search(said, text), text


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
    assert edges.pre.tolist() == [0, 0, 2]
    assert edges.dropped == {matrices.ZERO: 1}
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
        ({"data": np.array([1.0, np.nan])}, "NB205", "row 2, column 3 .* not a finite"),
        ({"data": np.array([1 + 1j, 2])}, "NB207", "complex"),
        ({"shape": np.array([3])}, "NB204", "not two numbers"),
        ({"shape": np.array([2**62, 2**62])}, "NB901", "4,611,686,018,427,387,904 neurons"),
        ({"shape": np.array([3.0, 3.0])}, "NB204", "not a list of whole numbers"),
        ({"format": np.array(b"xyz")}, "NB204", "none that scipy writes"),
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


# --- MATLAB


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


@pytest.mark.parametrize("suffix", [".npz", ".mat", ".graphml", ".csv"])
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_files_are_refused_or_read(suffix: str, data: st.DataObject) -> None:
    """Whatever the bytes are, what comes out is edges or one line."""
    whole = {
        ".npz": sparse_npz_bytes(scipy.sparse.csr_matrix(MATRIX), "csr", False),
        ".mat": data.draw(st.sampled_from([mat(w=MATRIX), mat(w=scipy.sparse.csc_matrix(MATRIX))])),
        ".graphml": GRAPH.encode(),
        ".csv": TABLE.encode(),
    }[suffix]
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(len(content) // 2, len(content)))]
    options = words() if suffix == ".graphml" else PRE
    try:
        edges = READERS[suffix](source(Path("x" + suffix), bytes(content)), options)
    except DataFileError as error:
        assert "\n" not in error.what  # noqa: PT017 - an error is one of two right outcomes
    else:
        assert len(edges.pre) == len(edges.post)
        assert edges.weight is None or ((edges.weight >= 0) & np.isfinite(edges.weight)).all()


# --- matrices with names

TABLE = ",ADAL , B,MUSC\nADAL,,2.5,1\n B ,0,7,\n C,3,,0.0\n"


def test_labelled_matrices() -> None:
    edges = matrices.read_labelled(source(Path("w.csv"), TABLE.encode()), words())
    expected = {("ADAL", "B"): 2.5, ("ADAL", "MUSC"): 1, ("B", "B"): 7, ("C", "ADAL"): 3}
    assert as_dict(edges) == expected
    assert edges.names is not None
    assert edges.names.tolist() == ["ADAL", "B", "C", "MUSC"]  # rows, then what columns add
    assert edges.read == 4
    swapped = matrices.read_labelled(source(Path("w.csv"), TABLE.encode()), POST)
    assert as_dict(swapped) == {(post, pre): value for (pre, post), value in expected.items()}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_line_ends_and_quotes(separator: str, end: str) -> None:
    lines = ["corner,'a b',b".replace("'", '"'), "a b,,2", "b,1e2,"]
    content = end.join(line.replace(",", separator) for line in lines) + end + end
    edges = matrices.read_labelled(
        source(Path("w.csv"), b"\xef\xbb\xbf" + content.encode()), words()
    )
    assert as_dict(edges) == {("a b", "b"): 2, ("b", "a b"): 100}


def test_ids_of_18_digits_stay_exact() -> None:
    content = b",720575940600000001,720575940600000002\n720575940600000002,5,\n"
    edges = matrices.read_labelled(source(Path("w.csv"), content), words())
    assert as_dict(edges) == {("720575940600000002", "720575940600000001"): 5}


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (",a,b\nx,1,2\ny,1\n", "NB204", "row 3 of .* has 2 cells, the header has 3"),
        (",a,b\nx,1,2\n\ny,1,2\n", "NB204", "row 3 of .* is empty"),
        (",a,b\nx,1,z\n", "NB205", "row 2, column 3 of .* is not a number"),
        (",a,b\nx,1,NaN\n", "NB205", "row 2, column 3 of .* is not a finite number"),
        (",a,b\nx,1,1e999\n", "NB205", "row 2, column 3 of .* is not a finite number"),
        (",a,b\nx,-1,\n", "NB205", "row 2, column 2 of .* is negative"),
        (";a;b\nx;0,5;\n", "NB205", "row 2, column 2 of .* decimal comma"),
        (",a,b\nx,1,2\nx,1,2\n", "NB204", "row 3 of .* has the name of row 2, x"),
        (",a, a\nx,1,2\n", "NB204", "column 3 of .* has the name of column 2, a"),
        (",a,\nx,1,2\n", "NB204", "column 3 of .* has no name"),
        (",a,b\n ,1,2\n", "NB204", "row 2 of .* has no name"),
        (",a,b\n", "NB204", "has no rows"),
        ("a\nb\n", "NB204", "has no columns"),
        ("", "NB204", "is empty"),
        ('"a,b\nx,1\n', "NB204", "row 1 of .* cannot be parted into cells"),
        (',a,b\n"x"y,1,2\n', "NB204", "row 2 of .* cannot be parted into cells"),
        (",a\0\nx,1\n", "NB204", "NUL"),
    ],
)
def test_faults_of_labelled_matrices(content: str, code: str, said: str) -> None:
    text = refused(code, content.encode(), ".csv", words())
    assert re.search(said, text), text


def test_other_encodings() -> None:
    assert "UTF-16" in refused("NB204", TABLE.encode("utf-16"), ".csv", words())
    latin = ",é\né,1\n".encode("latin-1")
    assert "not text in UTF-8" in refused("NB204", latin, ".csv", words())


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


# --- GraphML

GRAPH = """<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key id="d0" for="node" attr.name="name" attr.type="string"/>
  <key id="d1" for="edge" attr.name="Weight" attr.type="double"><default>1</default></key>
  <key id="d2" for="edge" attr.name="nt_type" attr.type="string"/>
  <key id="d3" for="edge" attr.name="kind" attr.type="string"/>
  <graph id="G" edgedefault="directed">
    <node id="n0"><data key="d0"> ADAL </data></node>
    <node id="n1"><data key="d0">ADAR</data></node>
    <edge source="n0" target="n1"><data key="d1">2.5</data><data key="d2">ACH</data>
      <data key="d3">chemical</data></edge>
    <edge source="n1" target="n1"><data key="d3">electrical</data></edge>
  </graph>
</graphml>
"""


def transmitters(edges: Rows) -> list[str]:
    assert edges.transmitter is not None
    return list(edges.transmitter.words[edges.transmitter.at])


def test_graphml() -> None:
    edges = graphml.read(source(Path("g.graphml"), GRAPH.encode()), words())
    assert as_dict(edges) == {("ADAL", "ADAR"): 2.5, ("ADAR", "ADAR"): 1}
    assert edges.names is not None
    assert edges.names.tolist() == ["ADAL", "ADAR"]
    assert transmitters(edges) == ["ACH", ""]
    assert edges.columns["weight"] == "Weight"
    assert edges.columns["name"] == "name"
    assert edges.read == 2


def test_graphml_where_and_columns() -> None:
    options = words(where={"kind": "chemical"}, transmitter="kind")
    edges = graphml.read(source(Path("g.graphml"), GRAPH.encode()), options)
    assert as_dict(edges) == {("ADAL", "ADAR"): 2.5}
    assert edges.dropped == {"kind is not chemical": 1}
    both = words(where={"KIND": ["electrical", "chemical"]})
    both = graphml.read(source(Path("g.graphml"), GRAPH.encode()), both)
    assert len(both.pre) == 2
    assert transmitters(edges) == ["chemical"]
    said = refused("NB211", GRAPH.encode(), ".graphml", words(weight="weigth"))
    assert "did you mean `Weight`?" in said
    refused("NB211", GRAPH.encode(), ".graphml", words(where={"Type": "x"}))
    refused("NB211", GRAPH.encode(), ".graphml", PRE)


@pytest.mark.parametrize(
    ("attribute", "found", "columns", "types"),
    [
        ("type", ("chemical", "electrical"), {"kind": "type"}, {"chemical": 1, "electrical": 1}),
        ("Synapse", ("gj", "chem"), {"kind": "Synapse"}, {"gj": 1, "chem": 1}),
        ("type", ("GABA", "ACH"), {"transmitter": "type"}, {"GABA": 1, "ACH": 1}),
        ("type", ("chemical", "GABA"), {"transmitter": "type"}, {"chemical": 1, "GABA": 1}),
        ("colour", ("chemical", "electrical"), {}, {}),
    ],
)
def test_kinds_of_synapse_in_graphml_are_no_transmitters(
    attribute: str,
    found: tuple[str, str],
    columns: dict[str, str],
    types: dict[str, int],
    tmp_path: Path,
) -> None:
    edges = "".join(f'<edge source="A" target="B"><data key="t">{w}</data></edge>' for w in found)
    path = tmp_path / "g.graphml"
    path.write_text(
        f'<graphml><key id="t" for="edge" attr.name="{attribute}"/><graph edgedefault="directed">'
        f'<node id="A"/><node id="B"/>{edges}</graph></graphml>'
    )
    report = read_connectome(path, None).report
    assert report.columns["edges"] == {"name": "id", "pre": "source", "post": "target"} | columns
    assert report.types == types
    assert report.mixed == int("kind" in columns)
    first = read_connectome(path, None, words(where={attribute: found[0]})).report
    assert first.mixed == 0
    assert first.dropped == {f"{attribute} is not {found[0]}": 1}
    signs = words(signs={found[0]: -1})
    if "transmitter" in columns:
        assert read_connectome(path, None, signs).signs is not None
    else:
        with pytest.raises(DataFileError, match="no column of neurotransmitters"):
            read_connectome(path, None, signs)
        said = words(transmitter=attribute, where={attribute: found[0]}, signs={found[0]: -1})
        read = read_connectome(path, None, said)
        assert read.signs is not None
        assert read.signs.tolist() == [-1, 0]


def test_numbers_of_graphml_are_kept_by_their_value() -> None:
    content = GRAPH.replace("electrical", "2.0").encode()
    edges = graphml.read(source(Path("g.graphml"), content), words(where={"kind": 2}))
    assert as_dict(edges) == {("ADAR", "ADAR"): 1}
    assert edges.dropped == {"kind is not 2": 1}


def test_nodes_go_by_id_where_names_are_not_distinct() -> None:
    for changed in (GRAPH.replace("ADAR", "ADAL"), GRAPH.replace("ADAR", "")):
        edges = graphml.read(source(Path("g.graphml"), changed.encode()), words())
        assert as_dict(edges) == {("n0", "n1"): 2.5, ("n1", "n1"): 1}
        assert edges.columns["name"] == "id"


def test_undirected_edges_go_both_ways() -> None:
    content = GRAPH.replace('"directed"', '"undirected"').encode()
    edges = graphml.read(source(Path("g.graphml"), content), words())
    expected = {("ADAL", "ADAR"): 2.5, ("ADAR", "ADAL"): 2.5, ("ADAR", "ADAR"): 1}
    assert as_dict(edges) == expected
    assert len(edges.pre) == 3
    one = GRAPH.replace('source="n0"', 'directed="false" source="n0"').encode()
    assert as_dict(graphml.read(source(Path("g.graphml"), one), words())) == expected


def test_what_drawing_programs_add_is_skipped() -> None:
    """Values that hold elements of their own, however long and whatever they are called."""
    drawn = f"<y:node xmlns:y='urn:y'><y:port/><y:data key='d1'>9</y:data>{'x' * 9000}</y:node>"
    content = GRAPH.replace('<data key="d3">', f'<data key="d9">{drawn}</data><data key="d3">')
    edges = graphml.read(source(Path("g.graphml"), content.encode()), words())
    assert as_dict(edges) == {("ADAL", "ADAR"): 2.5, ("ADAR", "ADAR"): 1}


def test_graphml_without_weights() -> None:
    content = GRAPH.replace("Weight", "age").encode()
    edges = graphml.read(source(Path("g.graphml"), content), words())
    assert edges.weight is None


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("<graphml ", BOMB + "<graphml ", "NB204", "line 2 .*document type"),
        ("<graphml ", '<!DOCTYPE x SYSTEM "file:///x"><graphml ', "NB204", "document type"),
        (" ADAL ", "&a;", "NB204", "line 8 .* not well-formed"),
        ("</graph>", "", "NB204", "not well-formed"),
        ("<graph id", "<graph/><graph id", "NB204", "line 7 .*second graph"),
        ("<edge source", "<hyperedge/><edge source", "NB204", "line 10 .*hyperedge"),
        ('<node id="n1">', '<node id="n0">', "NB204", "line 9 .*second node n0"),
        ('<node id="n1">', "<node>", "NB204", "line 9 .*without an id"),
        ('target="n1"', 'target="n7"', "NB204", "line 10 .*not there, n7"),
        ("2.5", "-2.5", "NB205", "line 10 .*negative"),
        ("2.5", "NaN", "NB205", "line 10 .*finite"),
        ("2.5", "1e999", "NB205", "line 10 .*finite"),
        ("2.5", "many", "NB205", "line 10 .*not a number"),
        ("<default>1</default>", "", "NB205", "line 12 .*without a weight"),
        ("ADAL", "A" * 5000, "NB204", "line 8 .*too long"),
        ("<graph id", "<a>" * 20 + "<graph id", "NB204", "inside each other"),
        ("graphml", "svg", "NB204", "no GraphML"),
        ('"UTF-8"', '"EBCDIC-7"', "NB204", "the encoding of .* is unknown"),
    ],
)
def test_faults_of_graphml(old: str, new: str, code: str, said: str) -> None:
    assert old in GRAPH
    text = refused(code, GRAPH.replace(old, new).encode(), ".graphml", words())
    assert re.search(said, text), text


# --- through the front door


def on_disk(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_every_format_gives_the_same_connectome(tmp_path: Path) -> None:
    names = ["A", "B", "C", "D"]
    rows = [f"{n},{','.join(map(str, row))}" for n, row in zip(names, MATRIX, strict=True)]
    nodes = "".join(f'<node id="{n}"/>' for n in names)
    entries = [(names[i], names[j], MATRIX[i, j]) for i, j in np.argwhere(MATRIX)]
    edges = "".join(
        f'<edge source="{i}" target="{j}"><data key="w">{w}</data></edge>' for i, j, w in entries
    )
    key = '<key id="w" for="edge" attr.name="weight"/>'
    graph = f'<graphml>{key}<graph edgedefault="directed">{nodes}{edges}</graph></graphml>'
    files = {
        "w.csv": ("," + ",".join(names) + "\n" + "\n".join(rows)).encode(),
        "list.csv": "\n".join(
            ["pre,post,weight", *(f"{i},{j},{w}" for i, j, w in entries)]
        ).encode(),
        "w.graphml": graph.encode(),
        **{f"w{suffix}": content for suffix, content in matrix_files(MATRIX).items()},
        "dense.npz": saved(w=MATRIX),
    }
    neurons = on_disk(tmp_path, "neurons.csv", ("name\n" + "\n".join(names)).encode())
    for name, content in files.items():
        path = on_disk(tmp_path, name, content)
        named = name.endswith((".csv", ".graphml"))
        options = words() if named else PRE
        connectome = read_connectome(path, neurons if named else None, options)
        assert (connectome.wiring.matrix(connectome.counts) == MATRIX).all(), name
        assert connectome.report.as_dict()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("w.csv", b",a,b\na,0,\nb,,0\n"),
        ("w.npy", npy(np.zeros((3, 3)))),
        ("w.mat", mat(w=np.zeros((3, 3)))),
        ("w.mat", mat(w=scipy.sparse.csc_matrix((3, 3)))),
        ("w.npz", sparse_npz_bytes(scipy.sparse.csr_matrix(([0.0], ([1], [2])), shape=(3, 3)))),
        ("w.npz", sparse_npz_bytes(scipy.sparse.csr_matrix((3, 3)))),
        ("w.graphml", b'<graphml><graph><node id="a"/></graph></graphml>'),
    ],
)
def test_no_connection_at_all(tmp_path: Path, name: str, content: bytes) -> None:
    path = on_disk(tmp_path, name, content)
    with pytest.raises(DataFileError) as caught:
        read_connectome(path, None, words() if "graphml" in name else PRE)
    assert caught.value.code == "NB215"
