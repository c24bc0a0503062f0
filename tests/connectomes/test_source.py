"""Files that are not what they seem: damaged, cut, packed, of another kind, no files at all."""

from __future__ import annotations

import contextlib
import gzip
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.io
import scipy.sparse
from edge_lists import SMALL, binary, edges_of, read, read_connectome, read_nodes, source, words
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matrix_files import (
    GRAPH,
    MATRIX,
    PRE,
    READERS,
    TABLE,
    mat,
    matrix_files,
    saved,
    sparse_npz_bytes,
)
from matrix_files import npy as npy_bytes

from netbuild.connectomes import edges, graphml, matlab, matrices, native, tables, write_native
from netbuild.errors import DataFileError
from netbuild.files import npy, npz

TEXT = b"pre,post,weight\nA,B,3\nB,C,2\n"
PARQUET = binary(pl.DataFrame({"pre": [1], "post": [2]}), ".parquet")
ARROW = binary(pl.DataFrame({"pre": [1], "post": [2]}), ".feather")
PACKED = gzip.compress(TEXT)
QUOTED = b'"pre","post","weight"\n"A","B","3"\n"B","C","2"\n'
EDGE = b"""<?xml version="1.0" encoding="UTF-8"?><graphml><graph edgedefault="directed">
<node id="A"/><node id="B"/><edge source="A" target="B"/></graph></graphml>"""


def array_file(write: Callable[..., object]) -> bytes:
    file = io.BytesIO()
    write(file, np.eye(2)[::-1])
    return file.getvalue()


def sparse_file() -> bytes:
    file = io.BytesIO()
    scipy.sparse.save_npz(file, scipy.sparse.csr_array(np.eye(2)[::-1]))
    return file.getvalue()


def mat_file() -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, {"m": np.eye(2)[::-1]})
    return file.getvalue()


def native_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        connectome = read(Path(folder) / "e.csv", TEXT)
        write_native(connectome, Path(folder) / "e.npz")
        return (Path(folder) / "e.npz").read_bytes()


DAMAGED: dict[str, tuple[str, bytes, str, str]] = {
    "empty": ("e.csv", b"", "NB204", "e.csv is empty"),
    "empty, packed": ("e.csv.gz", gzip.compress(b""), "NB204", "e.csv.gz is empty"),
    "gzip without its extension": (
        *("e.csv", PACKED, "NB204"),
        "e.csv is not what its extension says: its first bytes are those of gzip",
    ),
    "text that says .gz": (
        *("e.csv.gz", TEXT, "NB204"),
        "e.csv.gz is not what its extension says: its first bytes are not those of gzip",
    ),
    "Parquet inside .gz": (
        *("e.csv.gz", gzip.compress(PARQUET), "NB204"),
        "e.csv.gz is not what its extension says: its first bytes are those of Parquet",
    ),
    "Parquet that says .csv": (
        *("e.csv", PARQUET, "NB204"),
        "e.csv is not what its extension says: its first bytes are those of Parquet",
    ),
    "text that says .parquet": (
        *("e.parquet", TEXT, "NB204"),
        "e.parquet is not what its extension says: its first bytes are not those of Parquet",
    ),
    "HDF5": (
        *("e.feather", b"\x89HDF\r\n\x1a\n", "NB204"),
        "e.feather is not what its extension says: its first bytes are those of HDF5",
    ),
    "an old Feather": (
        *("e.feather", b"FEA1aaaa", "NB204"),
        "e.feather is not what its extension says: its first bytes are those of Feather of"
        " version 1",
    ),
    "line ends of an old Macintosh": (
        *("e.csv", TEXT.replace(b"\n", b"\r"), "NB204"),
        "row 1 of e.csv cannot be separated into cells",
    ),
    "gzip, cut": ("e.csv.gz", PACKED[:-9], "NB204", "e.csv.gz is truncated"),
    "gzip, damaged": (
        *("e.csv.gz", PACKED[:20] + b"\xff\xff\xff\xff" + PACKED[24:], "NB204"),
        "e.csv.gz is not an intact gzip file",
    ),
    "Parquet, cut": ("e.parquet", PARQUET[:-30], "NB204", "e.parquet is truncated"),
    "Feather, cut": ("e.feather", ARROW[:-30], "NB204", "e.feather is truncated"),
    "UTF-16": (
        *("e.csv", TEXT.decode().encode("utf-16"), "NB204"),
        "e.csv is text in UTF-16; UTF-8 is read",
    ),
    "Latin-1": (
        "e.csv",
        TEXT + "é,A,1\n".encode("latin-1"),
        "NB204",
        "row 4 of e.csv is not UTF-8",
    ),
    "a header that lies, in a table that ends as it should": (
        *("e.parquet", PARQUET[:4] + bytes(len(PARQUET) - 8) + PARQUET[-4:], "NB204"),
        "e.parquet is malformed",
    ),
    "another extension": (
        *("e.xlsx", b"PK\x03\x04", "NB204"),
        "the extension of e.xlsx is not one that is read",
    ),
    "another extension, packed": (
        *("e.parquet.gz", PACKED, "NB204"),
        "the extension of e.parquet.gz is not one that is read",
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_files(kind: str, tmp_path: Path) -> None:
    name, content, code, what = DAMAGED[kind]
    with pytest.raises(DataFileError) as caught:
        read(tmp_path / name, content)
    assert (caught.value.code, caught.value.what) == (code, what)


EVERY = ".npy, .npz, .csv, .tsv, .txt, .parquet, .feather, .arrow, .mat, .graphml"
HINTS = {
    "gzip, of text": ("e.csv", PACKED, "give it the extension of what it holds"),
    "gzip, of no text": ("e.npy", PACKED, f"gzip is not read here; save it as one of {EVERY}"),
    "gzip, twice": (
        *("e.csv.gz", gzip.compress(PACKED)),
        "gzip is not read here; save it as one of .csv, .tsv, .txt",
    ),
    "gzip, of a table": (
        *("e.csv.gz", gzip.compress(PARQUET)),
        "Parquet is not read here; save it as one of .csv, .tsv, .txt",
    ),
    "another extension": (
        *("e.parquet.gz", PACKED),
        f"accepted are {EVERY}; text also with .gz behind it",
    ),
}


@pytest.mark.parametrize("kind", HINTS)
def test_hints_lead_to_a_file_that_is_read(kind: str, tmp_path: Path) -> None:
    name, content, hint = HINTS[kind]
    with pytest.raises(DataFileError) as caught:
        read(tmp_path / name, content)
    assert caught.value.hint == hint


def test_a_matrix_is_no_node_table_whatever_its_extension(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_bytes(array_file(np.save))
    with pytest.raises(DataFileError) as caught:
        read_nodes(tmp_path / "n.csv", words())
    assert (caught.value.hint or "").startswith(".npy is not read here; save it as one of .csv")


@pytest.mark.parametrize("name", ["e.xlsx", "e.parquet", "e.csv", "e.csv.gz"])
def test_a_wrong_file_is_refused_before_it_is_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NeverWhole(io.FileIO):
        def readall(self) -> bytes:
            raise AssertionError("the whole file is read")

    monkeypatch.setattr(io, "FileIO", NeverWhole)
    with pytest.raises(DataFileError) as caught:
        read(tmp_path / name, b"\x93NUMPY" + bytes(100))
    assert caught.value.code == "NB204"


def test_gzip_members_and_padding_are_read(tmp_path: Path) -> None:
    content = gzip.compress(TEXT[:20]) + gzip.compress(TEXT[20:]) + b"\0" * 100
    assert edges_of(read(tmp_path / "e.csv.gz", content)) == SMALL


def test_a_gzip_bomb_is_refused_before_it_unfolds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npz, "SMALL", 1 << 20)
    bomb = gzip.compress(b"pre,post\n" + b"0" * (32 << 20))
    with pytest.raises(DataFileError, match="unpacks to more than") as caught:
        read(tmp_path / "e.csv.gz", bomb)
    assert caught.value.code == "NB901"
    assert len(bomb) * npz.RATIO < 32 << 20


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: path.mkdir(), "NB203"),
        (lambda path: path.symlink_to("other.csv"), "NB203"),
        (lambda path: None, "NB202"),
    ],
    ids=["folder", "link", "nothing"],
)
def test_only_regular_files_are_read(
    make: Callable[[Path], None], code: str, tmp_path: Path
) -> None:
    make(tmp_path / "edges.csv")
    with pytest.raises(DataFileError) as caught:
        read_connectome(tmp_path / "edges.csv", None)
    assert caught.value.code == code


# A function of netbuild's own on the way of each format, and what its files hold.
OWN = {
    "e.csv": (tables, "header_of", TEXT),
    "e.csv.gz": (edges, "coded", PACKED),
    "e.parquet": (
        tables.Table,
        "stripped",
        binary(pl.DataFrame({"pre": ["a"], "post": ["b"]}), ".parquet"),
    ),
    "e.feather": (edges, "whole_or_text", ARROW),
    "m.csv": (matrices, "entries_of", b",A,B\nA,0,1\nB,1,0\n"),
    "m.npy": (npy, "check_dtype", array_file(np.save)),
    "m.npz": (npz, "pick", array_file(np.savez)),
    "s.npz": (matrices, "check_entries", sparse_file()),
    "m.mat": (matlab, "variable_of", mat_file()),
    "g.graphml": (graphml.Reader, "add_edge", EDGE),
    "n.npz": (native, "texts", native_file()),
}


@pytest.mark.parametrize("name", OWN)
def test_a_bug_of_our_own_is_not_told_as_a_damaged_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, function, content = OWN[name]
    options = {"rows": "pre"} if name in ("m.npy", "m.npz", "s.npz", "m.mat") else {}
    assert len(read(tmp_path / name, content, **options).wiring)
    for error in (KeyError, ValueError, TypeError):

        def broken(*_: object, kind: type[Exception] = error, **__: object) -> None:
            raise kind("planted")

        monkeypatch.setattr(module, function, broken)
        with pytest.raises(error, match="planted"):
            read(tmp_path / name, content, **options)


@pytest.mark.parametrize("error", [KeyError, AttributeError, TypeError, ValueError])
def test_a_bug_in_reading_a_node_table_is_none_of_the_file(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "n.csv"
    path.write_text("name,kind\nA,x\n")
    assert len(read_nodes(path)) == 1

    def broken(*_: object) -> None:
        raise error("planted")

    monkeypatch.setattr(tables, "objects", broken)
    with pytest.raises(error, match="planted"):
        read_nodes(path)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    base=st.sampled_from([("e.csv", TEXT), ("e.csv", QUOTED), ("e.csv.gz", PACKED)]),
    at=st.floats(0, 1, exclude_max=True),
    length=st.integers(0, 8),
    bytes_=st.binary(max_size=8) | st.sampled_from([b'"', b"\n", b",,", b"\r", b"nan", b"1e999"]),
)
def test_no_mutated_text_escapes_as_another_error(
    base: tuple[str, bytes], at: float, length: int, bytes_: bytes, tmp_path: Path
) -> None:
    name, content = base
    place = int(at * len(content))
    mutated = content[:place] + bytes_ + content[place + length :]
    with contextlib.suppress(DataFileError):
        read(tmp_path / name, mutated)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    base=st.sampled_from([("e.parquet", PARQUET), ("e.feather", ARROW), ("e.csv.gz", PACKED)]),
    kept=st.floats(0, 1, exclude_max=True),
)
def test_every_cut_file_is_refused(base: tuple[str, bytes], kept: float, tmp_path: Path) -> None:
    name, content = base
    with pytest.raises(DataFileError) as caught:
        read(tmp_path / name, content[: int(kept * len(content))])
    assert caught.value.code == "NB204"


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
        ("w.npy", npy_bytes(np.zeros((3, 3)))),
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
