"""What people read: problems in three forms, tables that line up, and progress."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from netbuild.errors import Exit, NetbuildError, Place, Problem, SpecError
from netbuild.render import MOST_PROBLEMS, Progress, aligned, problems_json, report, run_table

PROBLEM = Problem("NB104", "too small", "seed", Place("a.yaml", 3, 7, 9, "seed: -1"), "use 0")


def test_an_error_is_a_line_and_its_hint(capsys: pytest.CaptureFixture[str]) -> None:
    error = NetbuildError("there is no [bold]folder x", Exit.IO, "make it")
    report(error)
    assert capsys.readouterr().err == "error: there is no [bold]folder x\n   help: make it\n"
    report(error, "json")
    found = json.loads(capsys.readouterr().err)
    assert found["exit_code"] == 7
    assert found["problems"] == [
        {"message": "there is no [bold]folder x", "hint": "make it", "severity": "error"}
    ]


def test_a_problem_in_each_form(capsys: pytest.CaptureFixture[str]) -> None:
    report(SpecError([PROBLEM]))
    assert capsys.readouterr().err.splitlines() == [
        "a.yaml:3:7: error[NB104] seed: too small",
        "    3 | seed: -1",
        "      |       ^^",
        "   help: use 0",
    ]
    report(SpecError([PROBLEM]), "github")
    where = "file=a.yaml,line=3,col=7,endColumn=9,title=NB104"
    assert capsys.readouterr().err == f"::error {where}::seed: too small (use 0)\n"
    record = json.loads(problems_json([PROBLEM]))
    assert (record["exit_code"], record["problems"][0]["column"]) == (3, 7)


@pytest.mark.parametrize(("more", "words"), [(1, "1 more problem"), (2, "2 more problems")])
def test_problems_beyond_fifty_are_counted(
    capsys: pytest.CaptureFixture[str], more: int, words: str
) -> None:
    report(SpecError([PROBLEM] * (MOST_PROBLEMS + more)))
    assert capsys.readouterr().err.endswith(f"... and {words}\n")


@given(st.lists(st.tuples(*[st.text("a中 b", max_size=6)] * 3), min_size=1, max_size=5))
def test_columns_line_up_by_what_letters_take(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for line, row in zip(aligned(rows), rows, strict=True):
        first, second = (
            " " * (w - cell_len(c)) + c for w, c in zip(widths[:2], row[:2], strict=True)
        )
        assert line == f"{first}  {second}  {row[-1]}".rstrip()


def test_the_table_of_runs_is_whole_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"run": "a" * 200, "step": "7"}, {"run": "b\nc", "step": "1,000"}]
    run_table(rows, {"run": False, "step": True}, ["run"])
    assert capsys.readouterr().out.splitlines() == [
        f"{'run':<200}   step",
        f"{'a' * 200}      7",
        f"{'b' + chr(92) + 'nc':<200}  1,000",
    ]


def test_progress_in_a_pipe_is_a_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    values: dict[str, Any] = {"loss": 0.25, "accuracy": None, "steps_per_second": 1234.5}
    with Progress("x") as progress:
        progress.begin(100)
        for step in range(1, 101):
            progress.update("train", step, 100, values)
        progress.update("evaluation", 100, None, {"loss": 0.5, "stage": "late"})
        progress.update("checkpoint", 100, 100, {})
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "step 1/100: loss 0.2500, steps/s 1,234"
    assert lines[-1] == "step 100: test late, loss 0.5000"
    assert len(lines) == 11
