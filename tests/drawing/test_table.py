"""Tables beside figures: numbers stay numbers, and no name becomes a formula."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

import netbuild
from netbuild.drawing.table import write_table

NAMES = ["=1+1", "+a", "-a", "@a", "\ta", "\ra", "a=1", "'a", ""]


def test_no_text_of_a_csv_is_a_formula() -> None:
    data = {
        "unit": np.array(NAMES),
        "=cmd": np.array(NAMES, object),
        "value": -np.arange(len(NAMES), dtype=float),
        "count": -np.arange(len(NAMES)),
    }
    text = write_table(Path("w.csv"), data).decode()
    head, *rows = csv.reader(io.StringIO(text, newline=""))
    assert head == ["unit", "'=cmd", "value", "count"]
    escaped = [f"'{name}" for name in NAMES[:6]] + NAMES[6:]
    assert [row[0] for row in rows] == escaped
    assert [row[1] for row in rows] == escaped
    assert [float(row[2]) for row in rows] == [-float(i) for i in range(len(NAMES))]
    assert [row[3] for row in rows] == [str(-i) for i in range(len(NAMES))]
    arrays = np.load(io.BytesIO(write_table(Path("w.npz"), {"unit": data["unit"]})))
    assert arrays["unit"].tolist() == NAMES


def test_tables_are_written_as_they_are(tmp_path: Path) -> None:
    data = {"name": np.array(["a, b", "c"]), "value": np.array([0.1, np.nan])}
    rows = list(csv.reader(io.StringIO(write_table(tmp_path / "x.csv", data).decode())))
    assert rows == [["name", "value"], ["a, b", "0.1"], ["c", "NaN"]]
    with np.load(io.BytesIO(write_table(tmp_path / "x.npz", data)), allow_pickle=False) as file:
        assert file["name"].tolist() == ["a, b", "c"]
    with pytest.raises(netbuild.NetbuildError, match=r"\.csv or \.npz"):
        write_table(tmp_path / "x.txt", data)
