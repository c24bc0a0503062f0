"""A log is read line by line, from either end, and no more of it is in memory than a line."""

from __future__ import annotations

import json
import math
import os
import tracemalloc
from pathlib import Path

import pytest

from netbuild.folders import TooLargeError
from netbuild.runs import log
from netbuild.runs.log import records


def line(step: int, kind: str = "train", **values: object) -> str:
    return json.dumps({"step": step, "kind": kind, **values}, sort_keys=True) + "\n"


def written(path: Path, text: str) -> Path:
    (path / "metrics.jsonl").write_text(text)
    return path / "metrics.jsonl"


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("torn", ["", '{"step": 9, "ki'])
def test_both_directions_give_the_same_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, torn: str
) -> None:
    monkeypatch.setattr(log, "BLOCK", block)
    kinds = ["train", "train", "evaluation", "train", "evaluation", "diverged"]
    text = "".join(line(step, kind, note="evaluation") for step, kind in enumerate(kinds))
    path = written(tmp_path, text + torn)
    found = list(records(path))
    assert [record["step"] for record in found] == [0, 1, 2, 3, 4, 5]
    assert list(records(path, newest_first=True)) == found[::-1]
    assert [record["step"] for record in records(path, "evaluation")] == [2, 4]
    assert next(records(path, "evaluation", newest_first=True))["step"] == 4


@pytest.mark.parametrize("text", ["", "no end of a line"])
def test_a_log_without_a_whole_line_has_no_records(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    assert list(records(path)) == list(records(path, newest_first=True)) == []


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("bad", ["[1]\n", "{}\n", "{\n", "\n"])
def test_what_is_no_record_is_an_error(tmp_path: Path, bad: str, newest_first: bool) -> None:
    path = written(tmp_path, line(1) + bad + line(2))
    with pytest.raises(ValueError, match=r"."):
        list(records(path, newest_first=newest_first))


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_line_without_end_is_refused_before_memory_is(tmp_path: Path, newest_first: bool) -> None:
    path = written(tmp_path, line(1))
    with open(path, "ab") as stream:
        stream.truncate(1 << 31)  # a hole
    tracemalloc.start()
    with pytest.raises(ValueError, match="a line of more than"):
        list(records(path, newest_first=newest_first))
    assert tracemalloc.get_traced_memory()[1] < 1 << 27
    tracemalloc.stop()


def test_a_log_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path, line(1))
    os.truncate(path, 1 << 40)
    with pytest.raises(TooLargeError):
        next(records(path))


def test_a_long_log_takes_the_memory_of_a_short_one(tmp_path: Path) -> None:
    path = written(tmp_path, "".join(line(step, loss=0.5) for step in range(40_000)))
    tracemalloc.start()
    assert sum(1 for _ in records(path)) == 40_000
    assert sum(1 for _ in records(path, "evaluation", newest_first=True)) == 0
    assert tracemalloc.get_traced_memory()[1] < 10 * log.BLOCK
    tracemalloc.stop()


def test_numbers_that_are_not_finite_are_null_in_the_log() -> None:
    text = log.line_of("train", 3, {"accuracy": math.nan, "each": {"a": [1.0, math.inf]}})
    assert json.loads(text) == {
        "step": 3,
        "kind": "train",
        "accuracy": None,
        "each": {"a": [1.0, None]},
    }
