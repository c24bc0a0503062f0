"""`netbuild resume`: what it prints of a finished run, its forks, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import netbuild
from netbuild.cli.resume import _beside


def test_a_finished_run_says_that_nothing_is_left(cli: Any, run: netbuild.Run) -> None:
    result = cli("resume", run.path)
    lines = [
        "small: finished after 24 steps; nothing is left to train",
        f"run: {run.path}",
    ]
    assert (result.code, result.out.splitlines(), result.err) == (0, lines, "")
    assert cli("resume", run.path, "--quiet").out == f"{run.path}\n"
    found = json.loads(cli("resume", run.path, "--format", "json").out)
    assert (found["status"], found["step"], found["violations"]) == ("finished", 24, 0)


@pytest.mark.parametrize("words", [["--spec", "x.yaml"], ["--set", "seed=1"], ["--out", "x"]])
def test_options_of_a_fork_need_fork(cli: Any, run: netbuild.Run, words: list[str]) -> None:
    result = cli("resume", run.path, *words)
    assert (result.code, result.out) == (2, "")
    assert "--spec, --set and --out need --fork" in result.err


def test_a_fork_is_a_run_beside_its_parent(cli: Any, run: netbuild.Run, small: Path) -> None:
    changes = ("--spec", small, "--set", "training.steps=8")
    result = cli("resume", run.path, "--fork", *changes, "-q")
    assert result.code == 0, result.err
    fork = netbuild.open_run(result.out.strip())
    assert fork.path.parent == run.path.parent
    assert fork.step == 8


def test_the_folder_of_a_fork(run: netbuild.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    home = run.path.parent.parent
    assert _beside(run.path) == home
    monkeypatch.chdir(home.parent)
    assert _beside(run.path.relative_to(home.parent)) == Path("runs")
    copied = shutil.copytree(run.path, home.parent / "elsewhere" / run.path.name)
    assert _beside(copied) == Path("runs")


def test_an_unknown_tracker_is_refused(cli: Any, run: netbuild.Run) -> None:
    result = cli("resume", run.path, "--track", "tensorbord")
    assert (result.code, result.out) == (2, "")
    assert "`tensorbord` is not a tracker" in result.err
    assert "did you mean `tensorboard`?" in result.err
