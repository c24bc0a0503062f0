"""Signals to the command: the state is saved, one line says how to go on, the exit code tells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from netbuild.cli.signals import Signals
from netbuild.training import Trainer
from netbuild.training.checkpoint import checkpoints, open_checkpoint

PROGRAM = "from netbuild.cli import main; main()"
# The same, and a line as soon as it begins to load the rest.
TOLD = """
import netbuild.cli as c
load = c.import_module
c.import_module = lambda name: print(flush=True) or load(name)
c.main()
"""
PATIENCE = 60.0  # seconds


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


@pytest.fixture
def training(small: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A command that trains for hours and has taken its first steps, and its run."""
    changes = ["--set", "training.steps=100000000", "--set", "training.optimizer.schedule=null"]
    process = command("train", small, "--out", tmp_path / "runs", *changes)

    def logged() -> bool:
        return any(p.stat().st_size for p in tmp_path.glob("runs/small/*/metrics.jsonl"))

    until("the first line of the log", logged, process)
    (run,) = (tmp_path / "runs" / "small").iterdir()
    yield process, run
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_saves_and_says_how_to_go_on(
    training: tuple[subprocess.Popen[str], Path], number: signal.Signals
) -> None:
    process, run = training
    process.send_signal(number)
    out, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    about = json.loads((run / "run.json").read_text())
    assert about["status"] == "interrupted"
    newest, _ = open_checkpoint(checkpoints(run / "checkpoints")[-1])
    assert newest.step == about["step"]
    said = error.splitlines()[-1]
    assert said == f"interrupted after step {newest.step}, saved: netbuild resume {run}"
    assert "interrupted after" in out
    assert "Traceback" not in error


def test_a_second_signal_ends_at_once_and_the_run_goes_on(
    training: tuple[subprocess.Popen[str], Path], small: Path
) -> None:
    process, run = training
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


@pytest.mark.parametrize("wait", [0.0, 0.1, 0.3, 0.7])
def test_an_interrupt_while_starting_prints_no_traceback(
    small: Path, tmp_path: Path, wait: float
) -> None:
    process = command("train", small, "--out", tmp_path / "runs", program=TOLD)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in error


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


SCRIPT = Path(__file__).parent.parent / "examples" / "slurm" / "train.sh"


def test_the_script_for_slurm_is_right_to_bash() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)


def test_the_script_for_slurm_goes_on_until_the_training_ends(small: Path, tmp_path: Path) -> None:
    """With commands in place of SLURM's own that do what the script needs of them."""
    programs = {
        "srun": 'echo $BASHPID > "$HOME/pid"; exec "$@"',
        "scontrol": 'echo "$@" >> "$HOME/queued"',
        "netbuild": f'exec {sys.executable} -c "{PROGRAM}" "$@"',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    words = ["bash", SCRIPT, small.name, "--set", "training.optimizer.schedule=null"]
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "SLURM_JOB_ID": "42",
        "PYTHONPATH": str(SCRIPT.parent.parent.parent),
    }
    steps = ["--set", "training.steps=100000000"]
    with subprocess.Popen(
        [*words, *steps], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as job:

        def logged() -> bool:
            return any(p.stat().st_size for p in tmp_path.glob("runs/small/*/metrics.jsonl"))

        until("the first line of the log", logged, job)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGUSR1)
        out, _ = job.communicate(timeout=PATIENCE)
    assert job.returncode == 138
    assert out.splitlines()[-1] == "saved; queued again"
    assert (tmp_path / "queued").read_text() == "requeue 42\n"
    done = subprocess.run(
        [*words, "--set", "training.steps=30"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stdout.splitlines()[-1] == "finished"
