"""Tables beside figures: numbers stay numbers, and no name becomes a formula."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from netbuild.plots.drawing import write_table

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
