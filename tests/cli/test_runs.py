"""`netbuild runs` and RUN by name: what is listed, sorted, filtered, and what is only damaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from run_folders import listed, make_run

import netbuild

SPLIT = "split: {train: 0.6, validation: 0.2}"

# What is listed


def test_a_trained_run_is_listed_as_it_says(cli: Any, small: Path, here: Path) -> None:
    run = netbuild.train(small)
    (found,) = listed(cli)
    assert found == {
        "run": run.path.name,
        "path": str(run.path),
        "status": "finished",
        "name": "small",
        "step": 24,
        "on": "test",
        "accuracy": run.final["accuracy"],
        "loss": run.final["loss"],
        "best": max(x["accuracy"] for x in run.metrics if x["kind"] == "evaluation"),
        "test": run.scores["test"]["last"]["accuracy"],
        "seed": 3,
        "spec": run.about["spec_hash"],
        "commit": run.about["git"]["commit"],
        "changed": run.about["git"]["changed"],
        "started": run.about["started"],
        "problem": "",
    }


def test_scores_of_validation_trials_are_told_from_those_of_test_trials(
    cli: Any, small: Path, here: Path
) -> None:
    assert "on" not in cli("runs").out.split()
    small.write_text(small.read_text().replace("targets: y\n", f"targets: y\n  {SPLIT}\n"))
    cut: list[netbuild.Run] = []
    for stop in (False, True):

        def watch(record: Any, trainer: Any, stop: bool = stop) -> None:
            trainer.stop = stop and record.step >= 10

        cut.append(netbuild.train(small, watch=watch))
    ended, unfinished = listed(cli)
    scores = cut[0].scores
    assert (ended["on"], ended["test"]) == ("validation", scores["test"]["last"]["accuracy"])
    assert ended["accuracy"] == scores["validation"]["last"]["accuracy"]
    assert (unfinished["on"], unfinished["test"]) == ("validation", None)
    assert {"on", "test"} <= set(cli("runs").out.splitlines()[0].split())
    assert [each["status"] for each in listed(cli, "--filter", "test>=0")] == ["finished"]


def test_runs_are_in_order_of_their_start_the_newest_last(cli: Any, here: Path) -> None:
    paths = [make_run(here, number, name=name) for number, name in ((2, "a"), (0, "c"), (1, "b"))]
    assert [row["seed"] for row in listed(cli)] == [0, 1, 2]
    assert cli("runs", "-q").out.splitlines() == [str(paths[i]) for i in (1, 2, 0)]


def test_the_table_is_plain_and_whole_in_a_pipe(cli: Any, here: Path) -> None:
    make_run(here, 1)
    make_run(here, 0, status="interrupted")
    result = cli("runs")
    assert result.err == ""
    head, first, second = result.out.splitlines()
    assert head.split() == [
        *("name", "run", "status", "step", "accuracy", "loss", "best", "seed", "spec", "commit"),
        "started",
    ]
    assert first.split() == [
        *("small", "20261122T060000Z-0000beef-00ab", "interrupted", "24", "0.0000", "1.0000"),
        *("0.9000", "0", "0000beef", "0000000", "2026-11-22", "06:00:00"),
    ]
    assert "1111111+" in second
    assert len({line.index("2026-11-22 06") for line in (first, second)}) == 1


def test_without_runs_it_says_so(cli: Any, here: Path) -> None:
    assert cli("runs").out == "no run below runs\n"
    make_run(here)
    assert cli("runs", "--filter", "seed=9").out == ("no run below runs passes the filters, of 1\n")
    here.rename("elsewhere")
    assert cli("runs").out == "no run below runs\n"
    assert listed(cli) == []
    missing = cli("runs", "nowhere")
    assert (missing.code, missing.out) == (7, "")


# How runs stand


def test_control_characters_do_not_reach_the_terminal(cli: Any, here: Path) -> None:
    make_run(here, status="\x1b[2Jfinished\nrunning")
    result = cli("runs")
    assert "\x1b" not in result.out
    assert len(result.out.splitlines()) == 2


# Sorting and filtering


@pytest.mark.parametrize(
    ("key", "order"),
    [
        ("seed", [0, 1, 2, 3]),
        ("-seed", [3, 2, 1, 0]),
        ("loss", [3, 2, 1, 0]),
        ("accuracy", [0, 1, 2, 3]),
        ("run", [0, 1, 2, 3]),
        ("training.lr", [2, 1, 0, 3]),
        ("-training.lr", [0, 3, 1, 2]),
        ("layers[hidden].activation", [0, 1, 2, 3]),
    ],
)
def test_sorting_by_columns_and_paths(cli: Any, here: Path, key: str, order: list[int]) -> None:
    for number in range(4):
        make_run(here, number)
    rows = listed(cli, "--sort", key)
    assert [row["seed"] for row in rows] == order
    if "." in key:
        assert key.removeprefix("-") in rows[0]
        assert key.removeprefix("-") in cli("runs", "--sort", key).out.splitlines()[0].split()


def test_what_is_missing_is_sorted_first(cli: Any, here: Path) -> None:
    for number in range(3):
        make_run(here, number, accuracy=None if number == 1 else 0.5)
    assert [row["seed"] for row in listed(cli, "--sort", "accuracy")] == [1, 0, 2]


def test_hundreds_of_runs_are_listed(here: Path, cli: Any) -> None:
    for number in range(300):
        make_run(here, number % 60, name=f"name{number}")
    assert len(cli("runs").out.splitlines()) == 301


def test_torch_is_not_waited_for(here: Path) -> None:
    make_run(here)
    program = "import sys; from netbuild.cli import main\ntry: main()\nfinally: "
    program += "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    command = [sys.executable, "-c", program, "runs", "--filter", "training.lr=1"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(result.stdout.splitlines()) == 2
    assert "yaml" in result.stderr.split()
    assert not {"torch", "polars", "scipy", "matplotlib"} & set(result.stderr.split())


def test_a_narrow_terminal_leaves_columns_out(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from netbuild import render
    from netbuild.cli.runs import DISPENSABLE

    row = {"run": "r" * 30, "name": "n" * 10, "status": "finished", "commit": "c" * 8, "best": "1"}

    def narrow(stream: Any = None) -> Console:
        out = stream or sys.stdout
        return Console(file=out, force_terminal=True, width=60, color_system=None)

    monkeypatch.setattr(render, "console", narrow)
    render.run_table([row], dict.fromkeys(row, False), DISPENSABLE)
    captured = capsys.readouterr()
    assert "n" * 10 in captured.out
    assert "cccccccc" not in captured.out
    assert captured.err == "no room for commit; --format json has them\n"
