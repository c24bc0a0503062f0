"""`netbuild train`: finished runs are not trained again, and threads are those of the machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from resuming import begun, stopped_at

import netbuild
from netbuild.errors import Exit
from netbuild.system import cores


def test_resume_trains_nothing_where_the_run_is_finished(
    cli: Any, small: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    words = ("train", small, "--out", out, "--resume")
    path = begun(small, out, stopped_at(10))
    assert cli(*words).code == 0  # resumes it
    log = (path / "metrics.jsonl").read_bytes()
    result = cli(*words)
    assert (result.code, result.err) == (0, "")
    assert result.out == f"small: finished after 24 steps; nothing is left to train\nrun: {path}\n"
    assert cli(*words, "--quiet").out == f"{path}\n"
    record = json.loads(cli(*words, "--format", "json").out)
    assert (record["run"], record["status"], record["step"]) == (str(path), "finished", 24)
    assert [*out.glob("small/*/run.json")] == [path / "run.json"]
    assert (path / "metrics.jsonl").read_bytes() == log
    edited = cli(*words, "--set", "seed=8")
    assert edited.code == 0
    assert len([*out.glob("small/*/run.json")]) == 2


def test_again_trains_a_finished_spec_anew_and_resumes_an_unfinished_run(
    cli: Any, small: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    words = ("train", small, "--out", out, "--resume", "--again")
    finished = netbuild.train(small, out).path
    assert cli(*words).code == 0
    runs = {path.parent for path in out.glob("small/*/run.json")}
    assert len(runs) == 2
    cut = begun(small, out, stopped_at(10))
    assert cli(*words, "--quiet").out == f"{cut}\n"
    assert netbuild.open_run(cut).about["status"] == "finished"
    assert {path.parent for path in out.glob("small/*/run.json")} == runs | {cut}
    assert finished in runs
    assert cli("train", small, "--again").code == Exit.USAGE


def test_threads_are_at_most_the_usable_cores(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from netbuild.cli.training import threads_of

    assert threads_of(netbuild.load(small, ["training.threads=4000"])) == cores()
    err = capsys.readouterr().err
    assert err.startswith("warning: training.threads is 4,000, but ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("threads", ["1", "auto"])
def test_threads_that_can_be_had_are_not_warned_of(small: Path, threads: str) -> None:
    from netbuild.cli.training import threads_of

    spec = netbuild.load(small, [f"training.threads={threads}"])
    assert threads_of(spec) == 1
