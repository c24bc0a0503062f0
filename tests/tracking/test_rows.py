"""The log as rows: whole steps only, whenever it is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbuild.tracking.rows import Log, values_of
from netbuild.tracking.trackers import Row


def line(kind: str, step: int, **values: Any) -> bytes:
    return (json.dumps({"step": step, "kind": kind, **values}) + "\n").encode()


LINES = [
    line("train", 2, loss=0.5),
    line("train", 4, loss=0.25),
    line("evaluation", 4, loss=1.5),
    line("evaluation", 5, loss=1.25),
    line("train", 6, loss=0.125),
]
ROWS = [
    Row(2, {"train/loss": 0.5}),
    Row(4, {"train/loss": 0.25, "test/loss": 1.5}),
    Row(5, {"test/loss": 1.25}),
    Row(6, {"train/loss": 0.125}),
]


def read(log: Log) -> list[Row]:
    return [row for rows in log.rows() for row in rows]


@given(cuts=st.lists(st.integers(0, sum(map(len, LINES))), max_size=6))
def test_the_rows_are_the_same_however_the_log_grows(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    run, data = tmp_path_factory.mktemp("run"), b"".join(LINES)
    log, found = Log(run), []
    for cut in [*sorted(cuts), len(data)]:
        (run / "metrics.jsonl").write_bytes(data[:cut])
        found += read(log)
    assert found == ROWS[:-1]
    assert log.last() == ROWS[-1]


def test_a_torn_line_that_is_written_again_is_read_once(tmp_path: Path) -> None:
    path, log = tmp_path / "metrics.jsonl", Log(tmp_path)
    path.write_bytes(LINES[0] + b'{"step": 3, "kind": "tra')
    assert read(log) == []
    path.write_bytes(b"".join(LINES))
    assert read(log) == ROWS[:-1]


def test_values_have_the_names_of_their_places() -> None:
    record = {
        "step": 8,
        "kind": "train",
        "stage": "easy",
        "loss": 1,
        "accuracy": None,
        "regularizers": {"rates": {"raw": 2.0, "weighted": 0.5}},
    }
    assert dict(values_of(record)) == {
        "train/loss": 1,
        "train/regularizers/rates/raw": 2.0,
        "train/regularizers/rates/weighted": 0.5,
    }
    record = {"step": 8, "kind": "evaluation", "on": "validation", "environments": {"go": 0.5}}
    assert dict(values_of(record)) == {"validation/environments/go": 0.5}
