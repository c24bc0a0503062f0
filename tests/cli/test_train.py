"""`netbuild train`: finished runs are not trained again, and threads are those of the machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from places import files_below
from resuming import begun, stopped_at

import netbuild
from netbuild.errors import Exit


def test_resume_trains_nothing_where_the_run_is_finished(
    cli: Any, small: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    words = ("train", small, "--out", out, "--resume")
    path = begun(small, out, stopped_at(10))
    assert cli(*words).code == 0  # resumes it
    log = (path / "metrics.jsonl").read_bytes()
    result = cli(*words)
    assert result.code == 0
    assert "NB607" in result.err.splitlines()[0]  # it comes first, and says nothing of a run
    assert len(result.err.splitlines()) == 4
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


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("layers[hidden].output_dim=true", 3, "expected a whole number"),
        ("layers[hidden].name=forward", 3, "`forward`"),
        ("layers[readout].sparsity_mask=missing.npy", 4, "missing.npy"),
        ("layers[hidden].output_dim=1000000000000", 9, "GB"),
        ("device=cuda:99", 10, "cuda:99 is not there"),
    ],
)
def test_exit_codes_of_train(
    cli: Any, small: Path, tmp_path: Path, change: str, code: int, words: str
) -> None:
    before = files_below(tmp_path)
    result = cli("train", small, "--set", change, "--out", tmp_path / "runs")
    assert result.code == code
    assert words in result.err
    assert result.out == ""
    assert files_below(tmp_path) == before


def test_train_prints_results_on_stdout_and_progress_on_stderr(
    cli: Any, small: Path, tmp_path: Path
) -> None:
    result = cli("train", small, "--out", tmp_path / "runs")
    assert result.code == 0
    assert "0 violations" in result.out
    assert "test accuracy" in result.out
    assert "step 24/24" in result.err
    quiet = cli("train", small, "--out", tmp_path / "runs", "--quiet")
    assert quiet.err == ""
    assert Path(quiet.out.strip()).is_dir()
    record = json.loads(cli("train", small, "--out", tmp_path / "runs", "--format", "json").out)
    assert record["violations"] == 0
    assert record["status"] == "finished"
