"""A short fuzz of the readers of data files; `fuzz_files.py` goes on for longer."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import fuzzing
import numpy as np
import pytest
from fuzz_files import MAKERS, USES, Case, Files, arrays, bombs, right_files

from netbuild.errors import DataFileError
from netbuild.masks import read_array, read_header


@pytest.mark.parametrize("seed", ["0", "1"])
def test_whatever_a_file_holds_is_told_or_read(tmp_path: Path, seed: str) -> None:
    tally = fuzzing.short(Files(seed, tmp_path), 5000)
    assert not tally.failures
    assert tally.cases == 5000
    assert tally.accepted > 1000
    assert set(tally.codes) >= {"NB201", "NB204", "NB205", "NB206", "NB207", "NB901"}


@pytest.mark.parametrize("suffix", list(MAKERS))
def test_files_of_every_format_are_read_and_refused(tmp_path: Path, suffix: str) -> None:
    fuzz, outcomes = Files("2", tmp_path), set()
    for number in range(300):
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
    for read in (read_header, read_array):
        with suppress(DataFileError):
            read(path)
    assert time.process_time() - began < 2  # about 0.01 s; quadratic, it takes half an hour
