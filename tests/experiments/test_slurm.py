"""The back end of SLURM: by stand-ins of its commands, and, slowly, on SLURM itself."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from experiments import slurm as clusters
from experiments.conftest import EXPERIMENT, command, experiment_in, netbuild
from experiments.test_sweep import are_equal
from places import ROOT

from netbuild.errors import Exit, SpecError
from netbuild.experiments import slurm
from netbuild.experiments.array import ArrayTask, JobArray
from netbuild.experiments.job import Job
from netbuild.experiments.slurm_task import identity
from netbuild.language.backends import SlurmOptions, options_from
from netbuild.language.design import load_experiment
from netbuild.language.options import load_options
from netbuild.language.points import points_of

PATIENCE = 200.0  # seconds
needs_commands = pytest.mark.skipif(sys.platform == "win32", reason="stand-ins are shell scripts")


def until(what: str, holds: Callable[[], object], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"no sign of {what}"
        time.sleep(0.05)


# Options


def test_a_task_of_an_array_is_called_by_the_array_and_its_number() -> None:
    assert identity({"SLURM_JOB_ID": "45"}) == "45"
    array = {"SLURM_ARRAY_JOB_ID": "42", "SLURM_ARRAY_TASK_ID": "3"}
    assert identity({"SLURM_JOB_ID": "45"} | array) == "42_3"


def test_the_options_are_those_of_submitit_and_those_of_a_sweep() -> None:
    options = SlurmOptions(backend="slurm", timeout_min=30, slurm_setup=["module load cuda"])
    found = slurm.parameters(options, 7, 2, "netbuild-1")
    assert found["timeout_min"] == 30
    assert found["cpus_per_task"] == 2
    assert found["name"] == "netbuild-1"
    assert found["slurm_array_parallelism"] == 7
    assert found["slurm_setup"] == ["trap '' TERM USR1 USR2", "module load cuda"]
    assert found["slurm_additional_parameters"] == {"requeue": True}
    assert found["slurm_srun_args"] == ["--cpus-per-task=2"]
    assert "slurm_partition" not in found


def test_every_key_is_a_key_of_submitit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submitit = pytest.importorskip("submitit", reason="the extra `slurm` is not installed")
    (tmp_path / "srun").write_text("")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    said = {"backend": "slurm"}
    for name, field in SlurmOptions.model_fields.items():
        said |= {name: field.examples[0]} if field.examples else {}
    found = slurm.parameters(options_from(said), 7, 2, "netbuild-1")
    executor = submitit.AutoExecutor(folder=tmp_path, cluster="slurm")
    executor.update_parameters(**found)
    assert len(executor.parameters) == len(found)


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        (
            "slurm_partion: gpu",
            "on.yaml:2:1: error[NB101] slurm_partion: unknown key `slurm_partion`",
            "did you mean `slurm_partition`?",
        ),
        ("mem_gb: 0", "on.yaml:2:9: error[NB104] mem_gb: must be more than 0, found `0`", ""),
        (
            "timeout_min: 1.5",
            "on.yaml:2:14: error[NB103] timeout_min: expected a whole number, found `1.5`",
            "",
        ),
    ],
)
def test_what_is_wrong_in_the_options_is_told_where_it_stands(
    text: str, line: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("on.yaml").write_text(f"backend: slurm\n{text}\n")
    with pytest.raises(SpecError) as caught:
        load_options("on.yaml")
    assert str(caught.value) == line
    assert [problem.hint for problem in caught.value.problems] == [hint]


def test_what_is_missing_is_told(tmp_path: Path, cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = experiment_in(tmp_path)
    monkeypatch.setitem(sys.modules, "submitit", None)
    result = cli("sweep", tmp_path / "try.yaml", "--on", "slurm", "--out", path.parent)
    assert result.code == Exit.MISSING
    assert "`--on slurm` needs submitit" in result.err
    assert "pip install 'netbuild[slurm]'" in result.err
    monkeypatch.setitem(sys.modules, "submitit", importlib)  # any module
    monkeypatch.setenv("PATH", str(tmp_path))
    result = cli("sweep", tmp_path / "try.yaml", "--on", "slurm", "--out", path.parent)
    assert result.code == Exit.MISSING
    assert "`--on slurm` needs the programs of SLURM: there is no `sbatch`" in result.err
    assert not path.exists()


# A task


def jobs_in(folder: Path, **changes: Any) -> list[tuple[Job, str]]:
    """The jobs of the experiment in a folder, and their logs, as a sweep submits them."""
    points = points_of(load_experiment(folder / "try.yaml"))
    out = folder / "experiments" / "try"
    for name in ("runs", "logs"):
        (out / name).mkdir(parents=True, exist_ok=True)
    found = []
    for point in points.points:
        spec, runs = str(folder / "small.yaml"), str(out / "runs")
        job = Job(point.hash, spec, point.overrides, (), None, runs, **changes)
        found.append((job, str(out / "logs" / f"{point.hash}.log")))
    return found


def array_of(folder: Path, jobs: list[tuple[Job, str]]) -> JobArray:
    out = folder / "experiments" / "try" / "slurm"
    return JobArray.create(out, [(job.to_data(), log) for job, log in jobs])


def stand_ins(folder: Path, **programs: str) -> str:
    """A PATH on which these programs come first; each notes how it was called."""
    folder.mkdir(exist_ok=True)
    for name, text in programs.items():
        note = f'echo "$@" >> "{folder}/{name}.said"'
        (folder / name).write_text(f"#!/bin/sh\n{note}\n{text}\n")
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def start(task: ArrayTask, path: str) -> subprocess.Popen[bytes]:
    program = f"from netbuild.experiments.slurm_task import work; work({str(task.path)!r})"
    array = {"SLURM_ARRAY_JOB_ID": "42", "SLURM_ARRAY_TASK_ID": "0", "SLURM_JOB_ID": "45"}
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": path} | array
    return subprocess.Popen([sys.executable, "-c", program], env=environment)


@needs_commands
def test_a_task_saves_its_run_and_is_queued_again_until_it_has_ended(tmp_path: Path) -> None:
    path = stand_ins(tmp_path / "bin", squeue="echo RUNNING None", scontrol="")
    experiment_in(tmp_path)
    job, log = jobs_in(tmp_path)[0]
    task = ArrayTask(array_of(tmp_path, [(job, log)]), 0)
    process = start(task, path)
    until("the log", Path(log).exists)
    process.send_signal(signal.SIGUSR2)
    assert process.wait(PATIENCE) == 0
    assert task.said() == {"kind": "saved"}
    assert json.loads((job.run / "run.json").read_text())["status"] == "interrupted"
    assert (tmp_path / "bin" / "scontrol.said").read_text() == "requeue 42_0\n"
    assert start(task, path).wait(PATIENCE) == 0
    assert task.said() == {"kind": "ended", "status": "finished", "exit_code": 0, "error": ""}
    about = json.loads((job.run / "run.json").read_text())
    assert (about["status"], about["step"], len(about["resumed"])) == ("finished", 24, 1)


@needs_commands
def test_a_task_that_was_stopped_in_the_queue_begins_nothing(tmp_path: Path) -> None:
    experiment_in(tmp_path)
    job, log = jobs_in(tmp_path)[0]
    task = ArrayTask(array_of(tmp_path, [(job, log)]), 0)
    task.stop()
    assert start(task, os.environ["PATH"]).wait(PATIENCE) == 0
    assert task.said() == {"kind": "saved"}
    assert not job.run.exists()


@needs_commands
def test_tasks_of_an_earlier_sweep_are_watched_or_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_in(tmp_path)
    jobs = jobs_in(tmp_path)[:3]
    array, old = array_of(tmp_path, jobs), array_of(tmp_path, jobs)
    states = ("RUNNING", "PENDING", "RUNNING")
    lines = [f"42_{i}|{i}|{state}|{array.name}" for i, state in enumerate(states)]
    queue = tmp_path / "queue"
    queue.write_text("\n".join([*lines, ""]))
    path = stand_ins(tmp_path / "bin", squeue=f"cat {queue}", scancel="", scontrol="echo")
    monkeypatch.setenv("PATH", path)
    monkeypatch.setattr(slurm, "EVERY", 0.0)
    monkeypatch.setattr(slurm, "GRACE", 0.0)
    backend = slurm.Slurm(None, lambda name: {})
    for job in jobs[:2]:
        backend.submit(*job)
    tasks = [ArrayTask(array, index) for index in range(3)]
    tasks[0].tell({"kind": "step", "step": 3, "steps": 24})
    (event,) = backend.events(0)
    assert (event.job, event.step, event.steps) == (jobs[0][0], 3, 24)
    assert not old.path.exists()
    assert [task.is_stopped() for task in tasks] == [False, False, True]
    said = tmp_path / "bin" / "scancel.said"
    assert said.read_text() == "--quiet --signal=USR2 42_2\n"
    tasks[0].tell({"kind": "ended", "status": "finished", "exit_code": 0, "error": ""})
    queue.write_text(lines[0] + "\n")
    finished, lost = [event.outcome for event in backend.events(0)]
    assert finished is not None
    assert (finished.status, finished.exit_code) == ("finished", 0)
    assert lost is not None
    assert (lost.status, lost.exit_code) == ("failed", Exit.BUG)
    assert "unknown to SLURM" in Path(jobs[1][1]).read_text()
    assert not array.path.exists()


@needs_commands
def test_stopping_cancels_what_waits_and_saves_what_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_in(tmp_path)
    jobs = jobs_in(tmp_path)[:2]
    array = array_of(tmp_path, jobs)
    lines = [f"42_0|0|RUNNING|{array.name}", f"42_1|1|PENDING|{array.name}"]
    queue = tmp_path / "queue"
    queue.write_text("\n".join([*lines, ""]))
    monkeypatch.setenv("PATH", stand_ins(tmp_path / "bin", squeue=f"cat {queue}", scancel=""))
    monkeypatch.setattr(slurm, "EVERY", 0.0)
    backend = slurm.Slurm(None, lambda name: {})
    for job in jobs:
        backend.submit(*job)
    assert backend.events(0) == []
    backend.stop()
    said = (tmp_path / "bin" / "scancel.said").read_text()
    assert said == "--quiet --state=PENDING 42_1\n--quiet --signal=USR2 42_0\n"
    queue.write_text("")
    assert [event.job for event in backend.events(0)] == [jobs[1][0]]  # the other runs still
    ArrayTask(array, 0).tell({"kind": "saved"})
    (event,) = backend.events(0)
    assert (event.job, event.outcome.status if event.outcome else "") == (jobs[0][0], "interrupted")


# SLURM itself

# A run that is asked to stop before its first step is trained up to the first line of its log, so
# that each time limit brings it further, however busy the machine is.
LONG = """\
set:
  training.steps: %d
  training.log_every: 500
  training.evaluate.every: 500
  training.checkpoint.every: 500
"""
LIMITS = "backend: slurm\ntimeout_min: %d\nslurm_signal_delay_s: 20\n"


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    if absent := clusters.missing():
        pytest.skip(
            f"there is no `{absent[0]}`: apt-get install slurmctld slurmd slurm-client munge"
        )
    if find_spec("submitit") is None:
        pytest.skip("there is no submitit: pip install 'netbuild[slurm]'")
    with clusters.Cluster() as found:
        yield found


class Sweeping:
    """A sweep of the experiment in a folder, on SLURM, as a process of its own."""

    def __init__(self, folder: Path, cluster: clusters.Cluster, minutes: int, workers: int) -> None:
        (folder / "on.yaml").write_text(LIMITS % minutes)
        self.process = subprocess.Popen(
            command("sweep", "try.yaml", "--on", "on.yaml", "--workers", workers),
            cwd=folder,
            env=cluster.environment | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=1200)
        return self.process.returncode, out, err


def running(cluster: clusters.Cluster) -> int:
    return cluster.ask("squeue", "--noheader", "--array", "--states=R", "--format=%i").count("\n")


@pytest.mark.slow
def test_runs_longer_than_their_time_limits_end_as_they_do_here(
    cluster: clusters.Cluster, tmp_path: Path
) -> None:
    """The sweep itself is killed meanwhile, and the same command continues."""
    paths = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        paths.append(experiment_in(tmp_path / name, EXPERIMENT + LONG % 5000))
    began = time.monotonic()
    first = Sweeping(tmp_path / "there", cluster, 1, 4)
    until("four tasks that run", lambda: running(cluster) == 4)
    until("runs", lambda: len(list(paths[1].glob("runs/*/metrics.jsonl"))) >= 4)
    first.process.kill()
    first.end()
    code, out, err = Sweeping(tmp_path / "there", cluster, 1, 4).end()
    seconds = time.monotonic() - began
    assert code == 0, (out, err)
    restarts = cluster.restarts()
    assert len({name.partition("_")[0] for name in restarts}) == 1, restarts
    assert len(restarts) == 12
    assert sum(restarts.values()) >= 4, restarts
    words = ("sweep", "try.yaml", "--workers", 2, "--quiet")
    here = netbuild(tmp_path / "here", *words, timeout=1200)
    assert here.returncode == 0, here.stderr
    are_equal(paths[1], paths[0])
    assert list((paths[1] / "slurm").iterdir()) == []
    print(f"\n12 runs in {seconds:.0f} s, queued again so often: {sorted(restarts.values())}")
    print(out)


@pytest.mark.slow
def test_ctrl_c_saves_what_runs_and_leaves_the_queue_empty(
    cluster: clusters.Cluster, tmp_path: Path
) -> None:
    path = experiment_in(tmp_path, EXPERIMENT + LONG % 500_000)
    sweep = Sweeping(tmp_path, cluster, 60, 2)
    until("checkpoints", lambda: len(list(path.glob("runs/*/checkpoints/step-*"))) >= 4)
    sweep.process.send_signal(signal.SIGINT)
    code, out, err = sweep.end()
    assert code == 130, (out, err)
    assert "every run saved: `netbuild sweep try.yaml` continues" in err
    assert "12 runs: 2 interrupted, 10 pending" in out
    assert cluster.ask("squeue", "--noheader") == ""
    for file in path.glob("runs/*/metrics.jsonl"):
        last = json.loads(file.read_text().splitlines()[-1])["step"]
        saved = max(path.name for path in file.parent.glob("checkpoints/step-*"))
        assert int(saved.removeprefix("step-")) >= last


@pytest.mark.slow
def test_a_job_that_is_cancelled_by_hand_is_a_failure(
    cluster: clusters.Cluster, tmp_path: Path
) -> None:
    text = EXPERIMENT.replace("seeds: 3", "seeds: 1").replace("[8, 12]", "[8]") + LONG % 500_000
    path = experiment_in(tmp_path, text)
    sweep = Sweeping(tmp_path, cluster, 60, 2)
    until("checkpoints", lambda: len(list(path.glob("runs/*/checkpoints/step-*"))) >= 2)
    cluster.ask("scancel", *cluster.ask("squeue", "--noheader", "--format=%A").split())
    code, out, err = sweep.end()
    assert code == Exit.TERMINATED, (out, err)
    assert "2 runs: 2 interrupted" in out
    assert "the job was cancelled" in err
    shutil.rmtree(path)
