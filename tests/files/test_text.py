"""Matrices as text: numbers are read exactly, and every fault is located without its text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from array_files import SECRET, Bad, assert_same, check_bad, refusal
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from netbuild.errors import DataFileError
from netbuild.files import text
from netbuild.files.arrays import read_array, read_shape

doubles = st.floats(allow_nan=False, allow_infinity=False)
matrices = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5), elements=doubles
)


@given(
    matrices,
    st.sampled_from([("csv", ","), ("csv", ";"), ("tsv", "\t"), ("txt", " "), ("txt", ", ")]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff"]),
    st.booleans(),
)
def test_text_round_trip(
    folder: Path, matrix: np.ndarray, form: tuple[str, str], end: str, bom: str, final: bool
) -> None:
    extension, separator = form
    rows = [separator.join(map(repr, row)) for row in matrix.tolist()]
    path = folder / f"m.{extension}"
    path.write_bytes((bom + end.join(rows) + end * final).encode())
    assert_same(read_array(path).array, matrix)
    assert read_shape(path) == matrix.shape


cells = st.text("0123456789+-.,eEnaif_x# \t\"'\r\x0b\x1f\xa0", max_size=6) | doubles.map(repr)


@given(cells)
@example("1_0")
@example("0x1p3")
@example("1e999")
@example("\xa01")
def test_a_cell_is_a_number_by_the_grammar_or_refused(folder: Path, cell: str) -> None:
    path = folder / "cell.csv"
    path.write_bytes(f"1;{cell};0\n".encode())
    is_number = bool(text.NUMBER.fullmatch(cell)) and np.isfinite(float(cell))
    try:
        array = read_array(path).array
    except DataFileError:
        assert not is_number
    else:
        assert is_number
        assert array.tolist() == [[1.0, float(cell), 0.0]]


BAD: Bad = {
    "no text": ("a.csv", b"", "NB204"),
    "blank lines": ("a.csv", b"\n \r\n\n", "NB204"),
    "a mark alone": ("a.csv", "\ufeff".encode(), "NB204"),
    "ragged, short": ("a.csv", b"1,0\n1\n", "NB204"),
    "ragged, long": ("a.csv", b"1,0\n1,0,1\n", "NB204"),
    "blank line inside": ("a.csv", b"1,0\n\n1,0\n", "NB204"),
    "blank line first": ("a.csv", b"\n1,0\n", "NB204"),
    "header row": ("a.csv", f"x,{SECRET}\n1,0\n".encode(), "NB205"),
    "quoted header row": ("a.csv", f'"x","{SECRET}"\n1,0\n'.encode(), "NB205"),
    "row names": ("a.csv", f"1,0\n{SECRET},0\n".encode(), "NB205"),
    "text cell": ("a.csv", f"1,0\n1,{SECRET}\n".encode(), "NB205"),
    "text file": ("a.txt", f"root:{SECRET}:0:0\n".encode(), "NB205"),
    "text cell in latin-1": ("a.csv", b"1,\xe9\n", "NB205"),
    "text cell to escape": ("a.csv", f"1,\x1b[2J{SECRET}\n".encode(), "NB205"),
    "nan": ("a.csv", b"1,0\n1,nan\n", "NB205"),
    "nan before text": ("a.csv", f"1,nan\n1,{SECRET}\n".encode(), "NB205"),
    "NA": ("a.csv", b"1,0\n1,NA\n", "NB205"),
    "inf": ("a.csv", b"1,-inf\n", "NB205"),
    "1e999": ("a.csv", b"1,1e999\n", "NB205"),
    "trailing comma": ("a.csv", b"1,0,\n1,0,\n", "NB204"),
    "empty cell": ("a.csv", b"1,,0\n", "NB204"),
    "comment": ("a.csv", f"1,0\n# {SECRET}\n1,0\n".encode(), "NB204"),
    "comment after a row": ("a.csv", f"1,0\n1,0 # {SECRET}\n".encode(), "NB205"),
    "decimal commas": ("a.csv", b"0,5;1,0\n0,5;1,0\n", "NB205"),
    "decimal commas and tabs": ("a.tsv", b"0,5\t1,0\n", "NB205"),
    "complex cell": ("a.csv", b"1j,0\n", "NB205"),
    "hexadecimal": ("a.csv", b"0x10,0\n", "NB205"),
    "digits of another script": ("a.csv", "١,0\n".encode(), "NB205"),
    "UTF-16": ("a.csv", "1,0\n".encode("utf-16"), "NB204"),
    "UTF-16 without a mark": ("a.csv", "1,0\n".encode("utf-16-le"), "NB204"),
    "NUL": ("a.csv", b"1,0\n\0\0\0", "NB204"),
    "old line ends": ("a.csv", b"1,0\r1,0\r", "NB205"),
    "old line ends and blanks": ("a.txt", b"1 0\r1 0\n", "NB204"),
    "form feeds": ("a.txt", b"1\x0c0\n", "NB204"),
    "half a million columns": ("a.csv", b"1," * 500_000 + b"x", "NB205"),
    "a member of a csv": ("a.csv:x", b"1,0\n", "NB206"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files(case: str, tmp_path: Path) -> None:
    check_bad(BAD[case], tmp_path)


@pytest.mark.parametrize(
    ("content", "where", "hint"),
    [
        ("1,0\n1,x\n", "row 2, column 2 of m.csv", ""),
        ("x,y\n1,0\n", "row 1, column 1 of m.csv", "header"),
        ("1,0\nx,0\n", "row 2, column 1 of m.csv", "names"),
        ("1,0\n1,0,\n", "row 2, column 3 of m.csv is empty", "separator at the end"),
        ("1,0\n1,inf\n", "row 2, column 2 of m.csv is not a finite number", ""),
        ("1,0\n1,1e999\n", "row 2, column 2 of m.csv is not a finite number", ""),
        ("1;0\n1;0,5\n", "row 2, column 2 of m.csv is a number with a decimal comma", "0.5"),
        ("1,0\n1\n", "row 2 of m.csv has 1 columns, the first row has 2", ""),
        ("1,0\n\n1,0\n", "row 2 of m.csv is empty", ""),
        ("1,0\n #x\n", "row 2 of m.csv is a comment", "remove it"),
    ],
)
def test_text_faults_are_located(folder: Path, content: str, where: str, hint: str) -> None:
    (folder / "m.csv").write_text(content)
    error = refusal(read_array, folder / "m.csv")
    assert error.what.startswith(where)
    assert hint in error.hint
