"""The native form: what was written is read, and what was tampered with is refused."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_lists import read_connectome, words
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netbuild.connectomes import Connectome, write_native
from netbuild.errors import DataFileError

EDGES = "pre,post,weight\nA,B,3\nB,A,2\nC,A,1\nC,C,4\nA,B,1\n"
NEURONS = 'name,kind,nt\nC,"x\ny",ACH\nB,é,GABA\nA,,ACH\nD,z,\n'
SIGNS = {"ACH": 1, "GABA": -1}


@pytest.fixture
def connectome(tmp_path: Path) -> Connectome:
    (tmp_path / "e.csv").write_text(EDGES)
    (tmp_path / "n.csv").write_text(NEURONS)
    return read_connectome(tmp_path / "e.csv", tmp_path / "n.csv", words(signs=SIGNS))


def same(one: Connectome, other: Connectome) -> bool:
    return (
        np.array_equal(one.wiring.starts, other.wiring.starts)
        and np.array_equal(one.wiring.sources, other.wiring.sources)
        and np.array_equal(one.counts, other.counts)
        and np.array_equal(one.signs, other.signs)  # type: ignore[arg-type]
        and np.array_equal(one.neurons.names, other.neurons.names)
        and list(one.neurons.columns) == list(other.neurons.columns)
        and all(
            np.array_equal(cells, other.neurons.columns[column])
            for column, cells in one.neurons.columns.items()
        )
    )


def test_what_was_written_is_read(connectome: Connectome, tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    write_native(connectome, path)
    found = read_connectome(path, None)
    assert same(found, connectome)
    assert found.report.as_dict()["wiring"] == connectome.report.as_dict()["wiring"]
    assert found.report.origin == json.loads(json.dumps(connectome.report.facts()))
    kinds = [found.wiring.starts.dtype, found.wiring.sources.dtype, found.counts.dtype]
    assert kinds == [np.int32, np.int32, np.float32]
    first = path.read_bytes()
    write_native(found, path)
    again = read_connectome(path, None)
    assert same(again, connectome)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["c.npz", "e.csv", "n.csv"]
    write_native(connectome, path)
    assert path.read_bytes() == first


def test_what_was_counted_when_it_was_made_is_kept(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("pre,post,Type\nA,B,chemical\nA,B,electrical\nB,A,chemical\n")
    write_native(read_connectome(tmp_path / "e.csv", None), tmp_path / "c.npz")
    report = read_connectome(tmp_path / "c.npz", None).report
    assert report.mixed == report.as_dict()["mixed"] == 1


def test_arrays_can_be_written_to(connectome: Connectome, tmp_path: Path) -> None:
    write_native(connectome, tmp_path / "c.npz")
    found = read_connectome(tmp_path / "c.npz", None)
    assert found.signs is not None
    for array in (found.wiring.starts, found.wiring.sources, found.counts, found.signs):
        assert array.flags.writeable
        assert array.flags.aligned


def test_policies_are_applied_to_it(connectome: Connectome, tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    write_native(connectome, path)
    options = words(self_connections=False, min_weight=2)
    found = read_connectome(path, None, options)
    assert found.report.as_dict()["removed"] == {"self_connections": 1, "min_weight": 1}
    assert found.counts.tolist() == [4, 2]
    both = read_connectome(path, None, words(symmetrize="sum"))
    matrix = both.wiring.matrix(both.counts)
    assert (matrix == matrix.T).all()
    other = read_connectome(path, None, words(signs={"ACH": -1}))
    assert other.signs is not None
    assert other.signs.tolist() == [-1, 0, -1, 0]
    with pytest.raises(DataFileError) as caught:
        read_connectome(path, None, words(min_weight=100))
    assert caught.value.what == "no connection is left of the 4 rows of c.npz"


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"pre": "x"}, "c.npz is a whole connectome, read once already; `pre` was for that"),
        (
            {"where": {"a": "b"}},
            "c.npz is a whole connectome, read once already; `where` was for that",
        ),
    ],
)
def test_options_that_it_has_no_use_for_are_refused(
    options: dict[str, Any], what: str, connectome: Connectome, tmp_path: Path
) -> None:
    write_native(connectome, tmp_path / "c.npz")
    with pytest.raises(DataFileError) as caught:
        read_connectome(tmp_path / "c.npz", None, words(**options))
    assert (caught.value.code, caught.value.what) == ("NB211", what)


def test_a_node_table_beside_it_is_refused(connectome: Connectome, tmp_path: Path) -> None:
    write_native(connectome, tmp_path / "c.npz")
    with pytest.raises(DataFileError) as caught:
        read_connectome(tmp_path / "c.npz", tmp_path / "n.csv")
    what = "c.npz is a whole connectome, with its neurons; n.csv is one more"
    assert (caught.value.code, caught.value.what) == ("NB211", what)


def test_only_npz_is_written(connectome: Connectome, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a connectome is written as \.npz, got c\.csv"):
        write_native(connectome, tmp_path / "c.csv")


def neurons_of(**changes: Any) -> np.ndarray:
    text = {"names": ["C", "B", "A", "D"], "columns": {}, "origin": {}, "signed": True} | changes
    return np.frombuffer(json.dumps(text).encode(), np.uint8)


TAMPERED: dict[str, tuple[dict[str, Any], str]] = {
    "another version": ({"netbuild_connectome": np.array([2], np.int32)}, "of another version"),
    "starts that fall": ({"starts": np.array([0, 3, 1, 3, 4], np.int32)}, "starts must not fall"),
    "starts that end early": (
        {"starts": np.array([0, 1, 2, 3, 3], np.int32)},
        "starts must be (5,), from 0 to the number of sources",
    ),
    "starts of 64 bits": (
        {"starts": np.array([0, 1, 2, 4, 4])},
        "its `starts` is not a list of the right kind",
    ),
    "a source that is not there": (
        {"sources": np.array([0, 2, 0, 4], np.int32)},
        "sources must lie between 0 and 3",
    ),
    "a negative source": (
        {"sources": np.array([-1, 2, 0, 1], np.int32)},
        "sources must lie between 0 and 3",
    ),
    "a pair twice": (
        {"sources": np.array([0, 2, 1, 1], np.int32)},
        "the sources onto one unit must rise, and be distinct",
    ),
    "sources that fall": (
        {"sources": np.array([0, 2, 1, 0], np.int32)},
        "the sources onto one unit must rise, and be distinct",
    ),
    "a count of 0": (
        {"counts": np.array([1, 0, 1, 1], np.float32)},
        "its counts are not positive, or not one for each connection",
    ),
    "a count that is NaN": (
        {"counts": np.array([1, np.nan, 1, 1], np.float32)},
        "its counts are not positive, or not one for each connection",
    ),
    "too few counts": (
        {"counts": np.ones(3, np.float32)},
        "its counts are not positive, or not one for each connection",
    ),
    "a sign of 2": (
        {"signs": np.array([1, 2, 0, 0], np.int8)},
        "its signs are not 1, -1 or 0, or not one for each neuron",
    ),
    "the sign -128": (
        {"signs": np.array([1, -128, 0, 0], np.int8)},
        "its signs are not 1, -1 or 0, or not one for each neuron",
    ),
    "a name twice": (
        {"neurons": neurons_of(names=["A", "A", "B", "C"])},
        "a neuron has no name, or that of another",
    ),
    "a name that is none": (
        {"neurons": neurons_of(names=["A", 1, "B", "C"])},
        "its neurons cannot be read",
    ),
    "a short column": (
        {"neurons": neurons_of(columns={"kind": ["x"]})},
        "its neurons cannot be read",
    ),
    "signs that are not said": ({"neurons": neurons_of(signed=None)}, "its neurons cannot be read"),
    "no JSON": ({"neurons": np.frombuffer(b"{", np.uint8)}, "its neurons cannot be read"),
    "deep JSON": ({"neurons": np.frombuffer(b"[" * 10**6, np.uint8)}, "its neurons cannot be read"),
    "a report that is not finite": (
        {"neurons": neurons_of(origin={"density": float("nan")})},
        "its neurons cannot be read",
    ),
    "a matrix of sources": (
        {"sources": np.zeros((2, 2), np.int32)},
        "its `sources` is not a list of the right kind",
    ),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_parts_that_contradict_each_other_are_refused(
    how: str, connectome: Connectome, tmp_path: Path
) -> None:
    changes, what = TAMPERED[how]
    path = tmp_path / "c.npz"
    write_native(connectome, path)
    with np.load(path) as parts:
        arrays = {key: parts[key] for key in parts.files}
    assert arrays["sources"].tolist() == [0, 2, 0, 1]
    assert arrays["starts"].tolist() == [0, 1, 2, 4, 4]
    np.savez(path, **(arrays | changes))
    with pytest.raises(DataFileError) as caught:
        read_connectome(path, None)
    assert caught.value.code == "NB204"
    assert what in caught.value.what


@pytest.mark.parametrize("part", ["starts", "sources", "counts", "neurons"])
def test_a_missing_part_is_named(part: str, connectome: Connectome, tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    write_native(connectome, path)
    with np.load(path) as parts:
        np.savez(path, **{key: parts[key] for key in parts.files if key != part})
    with pytest.raises(DataFileError, match=f"c.npz holds no array {part}") as caught:
        read_connectome(path, None)
    assert caught.value.code == "NB206"


def test_a_matrix_may_have_any_name_in_an_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", connectome=np.array([[0, 1], [2, 0]]), starts=np.zeros(3))
    options = words(array="connectome", rows="pre")
    assert read_connectome(tmp_path / "w.npz", None, options).counts.tolist() == [2, 1]


def test_signs_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(EDGES)
    write_native(read_connectome(tmp_path / "e.csv", None), tmp_path / "c.npz")
    assert read_connectome(tmp_path / "c.npz", None).signs is None


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1, exclude_max=True), bytes_=st.binary(min_size=1, max_size=8))
def test_a_mutated_file_is_the_same_connectome_or_an_error(
    at: float, bytes_: bytes, connectome: Connectome, tmp_path: Path
) -> None:
    path = tmp_path / "c.npz"
    write_native(connectome, path)
    content = path.read_bytes()
    place = int(at * len(content))
    path.write_bytes(content[:place] + bytes_ + content[place + len(bytes_) :])
    try:
        found = read_connectome(path, None)
    except DataFileError:
        return
    # A checksum guards every member: what was changed can only be what is not read.
    assert same(found, connectome)


def test_a_compressed_file_is_read_too(connectome: Connectome, tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    write_native(connectome, path)
    packed = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    path.write_bytes(packed.getvalue())
    assert same(read_connectome(path, None), connectome)
