"""Sweeps: every run once, whatever ends them in between, and the same tables in the end."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars
import pytest
from experiments.conftest import EXPERIMENT, command, experiment_in, netbuild
from places import ROOT

from netbuild import open_experiment
from netbuild.experiments.folder import ExperimentFolder
from netbuild.experiments.rows import Rows
from netbuild.language.design import load_experiment
from netbuild.language.points import points_of

VOLATILE = ("seconds",)


def table_of(path: Path) -> polars.DataFrame:
    return polars.read_parquet(path / "table.parquet").drop(VOLATILE)


def weights_of(path: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.glob("runs/*/checkpoints/step-00000024/network.safetensors"))
    }


def test_a_sweep_has_a_run_for_each_point(swept: Path) -> None:
    found = table_of(swept)
    assert len(found) == 12
    assert set(found["status"]) == {"finished"}
    assert found["step"].unique().to_list() == [24]
    for row in found.to_dicts():
        about = json.loads((swept / row["path"] / "run.json").read_text())
        assert about["seed"] == row["seed"]
        assert about["spec_hash"] == row["path"].removeprefix("runs/")
        assert about["environment"]["threads"] == 1
        assert about["environment"]["argv"][1:] == [
            "sweep",
            "try.yaml",
            "--workers",
            "2",
            "--quiet",
        ]
        assert row["score"] == row["test_accuracy"]
        assert row["score"] is not None
    assert weights_of(swept)


def test_what_has_ended_is_not_trained_again(copied: Path, cli: Any) -> None:
    path = copied
    before = {file: file.stat().st_mtime_ns for file in path.glob("runs/*/run.json")}
    larger = EXPERIMENT.replace("[8, 12]", "[8, 12, 16]").replace("seeds: 3", "seeds: [0, 1]")
    Path("try.yaml").write_text(larger)
    result = cli("sweep", "try.yaml", "--workers", 1)
    assert result.code == 0, result.err
    assert "try: 9/12 runs" in result.err
    assert "try: 7/12" not in result.err
    assert {file: file.stat().st_mtime_ns for file in before} == before
    found = table_of(path)
    assert len(found) == 12
    assert set(found["seed"]) == {0, 1}


def started(folder: Path, **words: Any) -> subprocess.Popen[bytes]:
    """The sweep of a folder, in a process of its own; `words` are those of `Popen`."""
    return subprocess.Popen(
        command("sweep", "try.yaml", "--workers", 2, "--quiet"),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **words,
    )


def killed(folder: Path, kills: int, rng: random.Random) -> int:
    """Kill the sweep of a folder so often, at random moments; how often it was running."""
    count = 0
    for _ in range(kills):
        process = started(folder)
        end = time.monotonic() + rng.uniform(2, 6)
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        count += process.poll() is None
        process.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
        process.wait(60)
    return count


def test_a_sweep_that_is_killed_ends_with_the_same_tables(swept: Path, tmp_path: Path) -> None:
    path = experiment_in(tmp_path)
    assert killed(tmp_path, 3, random.Random(3)) > 0
    result = netbuild(tmp_path, "sweep", "try.yaml", "--workers", 2, "--quiet")
    assert result.returncode == 0, result.stderr
    are_equal(path, swept)


def are_equal(one: Path, other: Path) -> None:
    """Assert that two experiments have the same bits, but for times and places."""
    assert table_of(one).equals(table_of(other))
    for file in other.glob("runs/*/checkpoints/step-*/*.safetensors"):
        assert (one / file.relative_to(other)).read_bytes() == file.read_bytes()
    for name in ("summary.csv", "comparisons.csv", "experiment.json"):
        if (other / name).exists():  # an experiment without a baseline compares nothing
            assert (one / name).read_bytes() == (other / name).read_bytes()


def killed_as_a_group(folder: Path, kills: int, rng: random.Random) -> int:
    """Kill a sweep and its workers at once, so often; how often it was not finished by then.

    One kill of four comes while the processes start, the others some time after a run went on.
    """
    count = 0
    for _ in range(kills):
        process = started(folder, start_new_session=True)
        began, early, wait = time.time(), rng.random() < 0.25, rng.uniform(0, 4)
        while process.poll() is None and not (early or _went_on(folder, began)):
            time.sleep(0.01)
        end = time.monotonic() + wait
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        count += process.poll() is None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
    return count


def _went_on(folder: Path, since: float) -> bool:
    logs = folder.glob("experiments/try/runs/*/metrics.jsonl")
    return any(log.stat().st_mtime > since for log in logs)


LONG = """
set:
  training.steps: 2000
  training.evaluate.every: 250
  training.checkpoint.every: 50
"""
LONG_HALVING = """\
netbuild: 1
experiment: try
spec: small.yaml
seeds: 2
set: {training.steps: 2000, training.evaluate.every: 250, training.checkpoint.every: 50}
parameters: {training.optimizer.lr: [1e-6, 1e-2, 1e-7, 2e-2, 1e-8, 1e-9]}
stop_early: {type: successive_halving, min_steps: 500, keep: 0.5}
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no process groups")
@pytest.mark.parametrize(
    ("text", "kills"),
    [(EXPERIMENT + LONG, 20), (LONG_HALVING, 8)],
    ids=["grid", "halving"],
)
def test_kills_of_all_its_processes_change_no_bit(text: str, kills: int, tmp_path: Path) -> None:
    paths = []
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
        paths.append(experiment_in(tmp_path / name, text))
    count = killed_as_a_group(tmp_path / "killed", kills, random.Random(kills))
    for name in ("killed", "whole"):
        result = netbuild(
            tmp_path / name, "sweep", "try.yaml", "--workers", 2, "--quiet", timeout=1200
        )
        assert result.returncode == 0, result.stderr
    print(f"{kills} kills, {count} of them before the sweep had ended")
    assert count >= kills // 2
    are_equal(*paths)


def test_ctrl_c_saves_every_run(tmp_path: Path) -> None:
    path = experiment_in(tmp_path, EXPERIMENT + "set: {training.steps: 200000}\n")
    process = subprocess.Popen(
        command("sweep", "try.yaml", "--workers", 2),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 100
    while len(list(path.glob("runs/*/checkpoints/step-*"))) < 4 and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "every run saved: `netbuild sweep try.yaml` continues" in err
    assert "12 runs: 2 interrupted, 10 pending" in out
    statuses = [json.loads(f.read_text())["status"] for f in path.glob("runs/*/run.json")]
    assert statuses == ["interrupted"] * 2


BAD = """
conditions:
  signed: {}
  wild: {set: {training.optimizer: {type: SGD, lr: 1e30}, training.clip_grad_norm: null}}
baseline: signed
"""


@pytest.fixture(scope="session")
def diverged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("diverged")
    text = EXPERIMENT.partition("conditions:")[0].replace("[8, 12]", "[8]") + BAD
    path = experiment_in(folder, text.replace("seeds: 3", "seeds: 2"))
    return path, netbuild(folder, "sweep", "try.yaml", "--workers", 2)


def test_what_diverges_is_counted_and_listed(diverged: tuple[Path, Any]) -> None:
    path, result = diverged
    assert result.returncode == 0, result.stderr
    assert "4 runs: 2 finished, 2 diverged" in result.stdout
    assert "diverged, exit code 8: wild, layers.hidden.output_dim=8, seed 1: " in result.stdout
    found = table_of(path)
    wild = found.filter(polars.col("condition") == "wild")
    assert wild["status"].to_list() == ["diverged"] * 2
    assert wild["exit_code"].to_list() == [8, 8]
    assert wild["score"].to_list() == [None, None]
    said = open_experiment(path).summary().filter(polars.col("condition") == "wild").to_dicts()
    assert [(row["n"], row["n_diverged"], row["mean"]) for row in said] == [(0, 2, None)]
    before = {file: file.read_bytes() for file in path.glob("runs/*/run.json")}
    again = netbuild(path.parent.parent, "sweep", "try.yaml", "--workers", 1)
    assert "4 runs: 2 finished, 2 diverged" in again.stdout
    assert {file: file.read_bytes() for file in before} == before


def test_fail_fast_stops_at_the_first(here: Path, cli: Any) -> None:
    text = EXPERIMENT.partition("conditions:")[0] + BAD
    experiment_in(Path(), text)
    result = cli("sweep", "try.yaml", "--workers", 1, "--fail-fast")
    assert "1 diverged" in result.out
    assert "pending" in result.out


HALVING = """\
netbuild: 1
experiment: try
spec: small.yaml
seeds: 2
set: {training.evaluate.every: 4}
parameters: {training.optimizer.lr: [1e-6, 1e-2, 1e-7, 2e-2, 1e-8, 1e-9]}
stop_early: {type: successive_halving, min_steps: 8, keep: 0.5}
"""


def test_successive_halving_trains_the_best_to_the_end(here: Path, cli: Any) -> None:
    path = experiment_in(Path(), HALVING)
    result = cli("sweep", "try.yaml", "--workers", 2)
    assert result.code == 0, result.err
    found = table_of(path)
    ended = found.filter(polars.col("status") == "finished")
    assert len(ended) == 4
    assert {1e-2, 2e-2} >= set(ended["training.optimizer.lr"])
    dropped = found.filter(polars.col("status") == "dropped")
    assert sorted(dropped["step"].to_list()) == [8] * 6 + [16] * 2
    said = open_experiment(path).summary()
    assert said.filter(polars.col("score") == "test_accuracy")["n_dropped"].sum() == 8


def test_a_worker_that_is_killed_is_a_failure_and_another_continues(tmp_path: Path) -> None:
    text = EXPERIMENT.replace("seeds: 3", "seeds: 1")
    text += "set: {training.steps: 3000, training.checkpoint.every: 100}\n"
    path = experiment_in(tmp_path, text)
    process = subprocess.Popen(
        command("sweep", "try.yaml", "--workers", 1, "--quiet"),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 100
    while not list(path.glob("runs/*/checkpoints/step-*")) and time.monotonic() < end:
        time.sleep(0.02)
    holder = json.loads(next(path.glob("runs/*/.lock")).read_text())
    os.kill(holder["pid"], signal.SIGKILL)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 137, err
    assert "the process was killed by signal 9" in err
    statuses = [row.status for row in map(Rows(ExperimentFolder(path)).of, _hashes(path))]
    assert sorted(statuses) == ["finished"] * 3 + ["interrupted"]


def _hashes(path: Path) -> list[str]:
    return [point.hash for point in ExperimentFolder(path).about().points]


def test_a_large_experiment_is_listed_from_its_index(swept: Path, tmp_path: Path) -> None:
    """Without the index, the same rows are read from the runs."""
    shutil.copytree(swept, tmp_path / "try")
    with_index = open_experiment(tmp_path / "try").table()
    (tmp_path / "try" / "index.json").unlink()
    again = open_experiment(tmp_path / "try").table()
    assert again.equals(with_index)
    assert (tmp_path / "try" / "index.json").is_file()
    (tmp_path / "try" / "index.json").write_text("[1, 2")
    assert open_experiment(tmp_path / "try").table().equals(with_index)


def test_a_run_that_fails_ends_the_sweep_with_its_exit_code(here: Path, cli: Any) -> None:
    """The others are trained all the same."""
    path = experiment_in(Path())
    point = points_of(load_experiment(Path("try.yaml"))).points[0]
    (path / "runs" / point.hash).mkdir(parents=True)
    (path / "runs" / point.hash / "run.json").write_text("{}")
    about = {"name": "try", "source": "../../try.yaml", "spec": "../../small.yaml", "points": []}
    about |= {"metric": "loss", "minimizes": True, "on": "test", "checkpoint": "last"}
    about |= {"baseline": None, "method": "grid", "conditions": [], "parameters": [], "format": 1}
    (path / "experiment.json").write_text(json.dumps(about))
    result = cli("sweep", "try.yaml", "--workers", 2)
    assert result.code == 5, result.err
    assert "12 runs: 1 damaged, 11 finished" in result.out
    folder = ExperimentFolder(path)
    assert Rows(folder).of(point.hash).status == "damaged"
    assert "exit code 5" in folder.log(point.hash).read_text()


def test_replicates_without_a_file(here: Path, cli: Any) -> None:
    path, seeds = experiment_in(Path()).with_name("small"), ("--seeds", 2)
    result = cli("train", "small.yaml", *seeds, "--workers", 1, "--set", "training.steps=8")
    assert result.code == 0, result.err
    assert "2 runs: 2 finished" in result.out
    assert table_of(path)["step"].to_list() == [8, 8]
    assert cli("train", "small.yaml", *seeds, "--resume").code == 2


@pytest.fixture
def copied(swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of an experiment whose runs have ended, in the working directory."""
    shutil.copytree(swept.parent.parent, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "experiments" / "try"


def test_a_folder_of_another_file_is_refused(copied: Path, cli: Any) -> None:
    Path("other.yaml").write_text(EXPERIMENT)
    result = cli("sweep", "other.yaml")
    assert result.code == 3
    line = "other.yaml:2:13: error[NB406] experiment: experiments/try belongs to try.yaml\n"
    assert line in result.err
    Path("try.yaml").rename("moved.yaml")  # a file that was moved is the same experiment
    assert cli("sweep", "moved.yaml", "--quiet").code == 0


def test_two_sweeps_of_one_experiment_exclude_each_other(copied: Path, cli: Any) -> None:
    with ExperimentFolder(copied).locked():
        result = cli("sweep", "try.yaml")
    assert result.code == 6
    assert "is in use by process" in result.err


def test_a_dry_run_lists_the_points_and_writes_nothing(tmp_path: Path, cli: Any) -> None:
    path = experiment_in(tmp_path)
    result = cli("sweep", tmp_path / "try.yaml", "--dry-run", "--workers", 2)
    assert result.code == 0
    assert "4 settings x 3 seeds (0, 1, 2): 12 runs" in result.out
    assert "free, layers.hidden.output_dim=12: 24 steps" in result.out
    assert not path.exists()


def test_an_unknown_place_to_run_is_refused(copied: Path, cli: Any) -> None:
    result = cli("sweep", "try.yaml", "--on", "cluster")
    assert (result.code, "`cluster` is not a place to run" in result.err) == (2, True)
