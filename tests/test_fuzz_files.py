"""A short fuzz of the readers of data files; `fuzz_files.py` runs longer."""

from __future__ import annotations

import gzip
import time
from contextlib import suppress
from pathlib import Path

import fuzzing
import numpy as np
import pytest
from edge_lists import read_connectome
from fuzz_connectomes import Connectomes
from fuzz_files import MAKERS, USES, Case, Files, arrays, bombs, right_files

from netbuild.errors import DataFileError
from netbuild.files.arrays import read_array, read_shape


def test_whatever_a_file_holds_is_told_or_read(tmp_path: Path) -> None:
    tally = fuzzing.short(Files("0", tmp_path), 3000)
    assert not tally.failures
    assert tally.cases == 3000
    assert tally.accepted > 600
    assert set(tally.codes) >= {"NB201", "NB204", "NB205", "NB206", "NB207", "NB901"}


@pytest.mark.parametrize("suffix", list(MAKERS))
def test_files_of_every_format_are_read_and_refused(tmp_path: Path, suffix: str) -> None:
    fuzz, outcomes = Files("2", tmp_path), set()
    for number in range(100):
        content = MAKERS[suffix](fuzzing.stream(suffix, number))
        outcomes.add(bool(fuzz.judge(Case(suffix, content, None, ""))))
    assert outcomes == {True, False}


def test_right_files_are_read(tmp_path: Path) -> None:
    fuzz = Files("", tmp_path)
    for array, content in zip(arrays(), right_files(), strict=True):
        assert not fuzz.judge(Case(".npy", content, None, ""))
        assert np.array_equal(read_array(tmp_path / "f.npy").array, array)


@pytest.mark.parametrize("key", list(USES))
def test_a_right_file_goes_through_a_spec(tmp_path: Path, key: str) -> None:
    content = b"1\n0\n1\n" if key == "bias" else b"1,0,1\n0,1,1\n1,1,1\n1,0,0\n"
    (tmp_path / "f.csv").write_bytes(content)
    fuzz = Files("", tmp_path)
    assert not fuzz.judge(Case(".csv", content, None, key))
    assert fuzz.judge(Case(".csv", b"1,x\n", None, key)) == ("NB205",)


@pytest.mark.parametrize("number", range(len(bombs())))
def test_bombs_are_refused_or_small(tmp_path: Path, number: int) -> None:
    before = fuzzing.peak()
    tally = fuzzing.try_case(Files("", tmp_path), Case(".npz", bombs()[number], "m", ""), 0, before)
    assert not tally.failures


@pytest.mark.parametrize("letter", list('9 .,;e-\t"#'))
@pytest.mark.parametrize("end", ["", "x", "1", ","])
def test_a_long_cell_takes_no_longer_than_its_length(tmp_path: Path, letter: str, end: str) -> None:
    path = tmp_path / "f.csv"
    path.write_text("1," + letter * 300_000 + end + "\n")
    began = time.process_time()
    for read in (read_shape, read_array):
        with suppress(DataFileError):
            read(path)
    assert time.process_time() - began < 2  # about 0.01 s; quadratic, it takes half an hour


def test_whatever_a_connectome_holds_is_told_or_read(tmp_path: Path) -> None:
    tally = fuzzing.short(Connectomes("0", tmp_path), 400)
    assert not tally.failures
    assert tally.accepted > 80
    wanted = {"NB201", "NB204", "NB205", "NB206", "NB211", "NB212", "NB214", "NB215"}
    assert set(tally.codes) >= wanted


def test_right_connectomes_are_read(tmp_path: Path) -> None:
    fuzz = Connectomes("", tmp_path)
    assert not any(fuzz.judge(case) for case in fuzz.pool)
    kinds = {case.edges.partition(".")[2] for case in fuzz.pool}
    assert kinds >= {"csv", "tsv", "txt", "csv.gz", "graphml", "npy", "npz", "mat"}


@pytest.mark.parametrize("entity", ["laughs", "file"])
def test_entities_of_a_graph_are_never_looked_up(tmp_path: Path, entity: str) -> None:
    """Expanded, the first would be gigabytes, and the second would hold what is in the file."""
    (tmp_path / "secret").write_text("secret")
    grow = "".join(f'<!ENTITY e{i + 1} "{f"&e{i};" * 100}">' for i in range(9))
    own = f'<!ENTITY e0 "ha">{grow}' if entity == "laughs" else '<!ENTITY e9 SYSTEM "secret">'
    graph = '<graph edgedefault="directed"><node id="&e9;"/></graph>'
    path = tmp_path / "g.graphml"
    path.write_text(f"<!DOCTYPE g [{own}]><graphml>{graph}</graphml>")
    before = fuzzing.peak()
    with pytest.raises(DataFileError, match="document type") as caught:
        read_connectome(path, None)
    assert caught.value.code == "NB204"
    assert fuzzing.peak() - before < 10 << 20


def test_a_bomb_of_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.csv.gz"
    path.write_bytes(gzip.compress(b"pre,post\n" + b"1,2\n" * (40 << 20), compresslevel=1))
    before = fuzzing.peak()
    with pytest.raises(DataFileError, match="unpacks to more than"):
        read_connectome(path, None)
    assert fuzzing.peak() - before < fuzzing.GROWTH
