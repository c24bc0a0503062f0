"""Signals to the command: the state is saved, one line says how to resume."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from places import EXAMPLES

import netbuild
from netbuild.builder import build_task
from netbuild.cli import signals as signals_module
from netbuild.cli.signals import Signals
from netbuild.runs.checkpoint import checkpoints, open_checkpoint
from netbuild.system import ENDING
from netbuild.tasks import Prefetch
from netbuild.training.loop import Trainer

PROGRAM = "from netbuild.cli import main; main()"
# The same, and a line as soon as Ctrl-C is the program's own.
TOLD = """
import signal, sys
import netbuild.cli
take = signal.signal
def told(number, handler):
    before = take(number, handler)
    signal.signal = take
    sys.stdout.write("\\n") and sys.stdout.flush()
    return before
signal.signal = told
netbuild.cli.main()
"""
PATIENCE = 60.0  # seconds
NO_SCHEDULE = ("--set", "training.optimizer.schedule=null")
FOR_HOURS = ("--set", "training.steps=100000000", *NO_SCHEDULE)


def command(*arguments: object, program: str = PROGRAM) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(what: str, happened: object, process: subprocess.Popen[str]) -> None:
    """Wait for something; a process that has ended before tells why."""
    end = time.monotonic() + PATIENCE
    while not happened():  # type: ignore[operator]
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, what
        time.sleep(0.01)


def is_logged(folder: Path) -> bool:
    """Whether a training below a folder has written the first line of its log."""
    return any(path.stat().st_size for path in folder.glob("runs/small/*/metrics.jsonl"))


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_saves_and_says_how_to_go_on(
    cli: Any, small: Path, tmp_path: Path, number: signal.Signals
) -> None:
    def send() -> None:
        while not is_logged(tmp_path):
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    result = cli("train", small, "--out", tmp_path / "runs", *FOR_HOURS)
    sender.join()
    assert result.code == 128 + number
    (run,) = (tmp_path / "runs" / "small").iterdir()
    about = json.loads((run / "run.json").read_text())
    assert about["status"] == "interrupted"
    newest = open_checkpoint(checkpoints(run / "checkpoints")[-1])
    assert newest.step == about["step"] > 0
    said = result.err.splitlines()[-1]
    assert said == f"interrupted after step {newest.step}, saved: netbuild resume {run}"
    assert "interrupted after" in result.out


def test_a_second_signal_ends_at_once_and_the_run_goes_on(small: Path, tmp_path: Path) -> None:
    process = command("train", small, "--out", tmp_path / "runs", *FOR_HOURS)
    until("the first line of the log", lambda: is_logged(tmp_path), process)
    (run,) = (tmp_path / "runs" / "small").iterdir()
    os.kill(process.pid, signal.SIGTERM)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode in (128 + signal.SIGTERM, 128 + signal.SIGINT)
    again = command("resume", run)
    before = (run / "metrics.jsonl").stat().st_size
    until("a new line", lambda: (run / "metrics.jsonl").stat().st_size > before + 500, again)
    again.send_signal(signal.SIGTERM)
    assert again.communicate(timeout=PATIENCE)
    assert again.returncode == 143
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    trained = [step for step in steps if step % 10 == 0 and step % 8]
    assert trained == sorted(set(trained))


@pytest.mark.parametrize(
    ("name", "wait"),
    [("train", 0.0), ("train", 0.06), ("train", 0.4), ("inspect", 0.02), ("inspect", 0.15)],
)
def test_an_interrupt_while_starting_is_one_line(
    small: Path, tmp_path: Path, name: str, wait: float
) -> None:
    process = command(name, small, program=TOLD)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert len(error.splitlines()) == 1
    assert error.startswith("interrupted")


@pytest.mark.parametrize("raised", ["ImportError", "SystemError", "NetbuildError"])
def test_whatever_an_interrupt_turns_into_is_an_interrupt(small: Path, raised: str) -> None:
    program = f"""
import os, signal
from netbuild.cli import main
import netbuild.cli.main, netbuild.language
from netbuild.errors import NetbuildError, Exit
def load(*words, **more):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        raise {raised}("half loaded"{", Exit.MISSING" if raised == "NetbuildError" else ""})
netbuild.language.load = load
main()
"""
    process = command("config", small, program=program)
    _, error = process.communicate(timeout=PATIENCE)
    assert (process.returncode, error) == (130, "interrupted\n")


def test_under_nohup_a_closed_terminal_ends_no_training() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.received is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_ctrl_c_after_another_signal_keeps_the_code_of_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The state is saved, and the process has not ended yet."""
    left: list[int | None] = []
    monkeypatch.setattr(Signals, "_leave", lambda self: left.append(self.received))
    with Signals() as signals:
        signals.take(cast(Trainer, SimpleNamespace(stop=False, saving=False)))
        os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    assert left == [signal.SIGTERM]


def test_a_signal_between_two_stages_is_not_lost() -> None:
    first, second = (cast(Trainer, SimpleNamespace(stop=False, saving=False)) for _ in range(2))
    with Signals() as signals:
        signals.take(first)
        assert not first.stop
        os.kill(os.getpid(), signal.SIGUSR1)
        assert first.stop
        signals.take(second)
    assert second.stop
    assert signals.received == signal.SIGUSR1


@pytest.mark.parametrize(
    ("number", "seconds", "leaves"),
    [
        (signal.SIGTERM, 0.02, False),  # as SLURM sends it
        (signal.SIGUSR1, 0.9, False),
        (signal.SIGTERM, 1.1, True),
        (signal.SIGINT, 0.02, True),
    ],
)
def test_what_batch_systems_send_twice_counts_once(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, seconds: float, leaves: bool
) -> None:
    clock, left = [100.0], []
    monkeypatch.setattr(signals_module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(Signals, "_leave", lambda self: left.append(self.received))
    trainer = cast(Trainer, SimpleNamespace(stop=False, saving=False))
    with Signals() as signals:
        signals.take(trainer)
        os.kill(os.getpid(), number)
        assert trainer.stop
        clock[0] += seconds
        os.kill(os.getpid(), number)
        assert left == ([number] if leaves else [])
        os.kill(os.getpid(), signal.SIGINT)
        assert left


def test_the_process_that_prepares_trials_outlives_what_a_batch_system_sends_it(
    tmp_path: Path,
) -> None:
    pytest.importorskip("neurogym")
    example = EXAMPLES / "ei_decision.yaml"
    task = build_task(netbuild.load(example))
    with Prefetch(task) as quick:
        until("the worker is ready", quick.is_ready, quick.worker.process)
        for number in (signal.SIGTERM, signal.SIGUSR1):
            quick.worker.process.send_signal(number)
        for step in range(4):
            quick.batch(step, 2)
        assert quick.worker.process.poll() is None


SCRIPT = EXAMPLES / "slurm" / "train.sh"


def test_the_script_for_slurm_is_right_to_bash() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)


def stand_ins(folder: Path, netbuild: str, state: str, queues: int = 0) -> dict[str, str]:
    """Commands in place of SLURM's own, and the environment of a job in which they are found."""
    programs = {
        "srun": 'echo $BASHPID > "$HOME/pid"; echo "$1" > "$HOME/cores"; shift; exec "$@"',
        "squeue": f"echo '{state}'",
        "scontrol": f'echo "$@" >> "$HOME/queued"; exit {queues}',
        "netbuild": netbuild,
    }
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    return os.environ | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HOME": str(folder),
        "SLURM_JOB_ID": "42",
        "SLURM_CPUS_PER_TASK": "3",
        "PYTHONPATH": str(SCRIPT.parent.parent.parent),
    }


def test_the_script_for_slurm_goes_on_until_the_training_ends(small: Path, tmp_path: Path) -> None:
    netbuild = f'exec {sys.executable} -c "{PROGRAM}" "$@"'
    environment = stand_ins(tmp_path, netbuild, "RUNNING None")
    words = ["bash", str(SCRIPT), small.name]
    with subprocess.Popen(
        [*words, *FOR_HOURS], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as job:
        until("the first line of the log", lambda: is_logged(tmp_path), job)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGUSR1)
        out, _ = job.communicate(timeout=PATIENCE)
    assert job.returncode == 138
    assert out.splitlines()[-1] == "queued again"
    assert (tmp_path / "queued").read_text() == "requeue 42\n"
    assert (tmp_path / "cores").read_text() == "--cpus-per-task=3\n"
    done = subprocess.run(
        [*words, *NO_SCHEDULE, "--set", "training.steps=30"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stdout.splitlines()[-1] == "finished"


@pytest.mark.parametrize(
    ("code", "state", "queued"),
    [
        (138, "RUNNING None", True),  # the time limit is near
        (143, "RUNNING None", True),  # pre-empted, with time to end
        (143, "COMPLETING TimeLimit", True),  # the time limit was there first
        (143, "COMPLETING None", False),  # `scancel`, or SLURM has queued it again itself
        (3, "RUNNING None", False),
        (8, "RUNNING None", False),
    ],
)
def test_the_script_for_slurm_queues_again_what_is_to_go_on(
    tmp_path: Path, code: int, state: str, queued: bool
) -> None:
    """The states are what SLURM 22.05 says in each case."""
    environment = stand_ins(tmp_path, f"exit {code}", state)
    job = subprocess.run(["bash", SCRIPT, "a spec.yaml"], env=environment, timeout=PATIENCE)
    assert job.returncode == code
    assert (tmp_path / "queued").exists() is queued


def test_the_script_for_slurm_queues_a_task_of_an_array_again_by_its_number(tmp_path: Path) -> None:
    """The number of the job alone would be that of the whole array."""
    program = 'echo "$@" > "$HOME/words"; exit 138'
    environment = stand_ins(tmp_path, program, "RUNNING None")
    environment |= {"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "2"}
    job = subprocess.run(
        ["bash", SCRIPT, "a.yaml", "--set", "dt=1"], env=environment, timeout=PATIENCE
    )
    assert job.returncode == 138
    assert (tmp_path / "queued").read_text() == "requeue 40_2\n"
    words = "train a.yaml --resume --quiet --set seed=2 --set dt=1\n"
    assert (tmp_path / "words").read_text() == words


def test_the_script_for_slurm_says_where_a_job_may_not_be_queued_again(tmp_path: Path) -> None:
    environment = stand_ins(tmp_path, "exit 138", "RUNNING None", queues=1)
    job = subprocess.run(
        ["bash", SCRIPT, "spec.yaml"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
    )
    assert job.returncode == 138
    assert job.stdout == "SLURM does not queue this job again; submit it again to resume the run\n"
