"""What a task of a SLURM job array does: it trains its run, and is queued again when time is up.

SLURM sends SIGUSR2 some time before the time limit, and SIGTERM before it ends a job for another
one. In both cases the run is saved after its step, and SLURM is asked to queue the task again,
which resumes the same run. A task that the sweep has stopped is not queued again.

This module loads no heavy library before it handles those signals.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from netbuild.errors import Exit, NetbuildError
from netbuild.experiments.array import ArrayTask
from netbuild.experiments.worker import Stopper, redirect, train
from netbuild.system import keep_freed_memory

EVERY = 5.0  # seconds between two messages about a training
SIGNALS = ("SIGTERM", "SIGUSR1", "SIGUSR2")


def work(path: str) -> None:
    """Carry out the task whose file this is; what happens is written into that file."""
    stopper = Stopper()
    for name in SIGNALS:
        signal.signal(getattr(signal, name), stopper.end)
    task = ArrayTask.of(path)
    if task.is_stopped():
        task.tell({"kind": "saved"})
        return
    entry = task.array.jobs()[task.index]
    keep_freed_memory()
    with _printing_to(entry["log"]):
        sys.argv = task.array.argv()
        ended = train(entry["job"], stopper, partial(_tell, task), EVERY)
        if stopper.stop and ended["status"] == "interrupted" and not _is_over(entry, stopper):
            task.tell({"kind": "saved"})
            complaint = "" if task.is_stopped() else _queue_again()
            if not complaint:
                return
            what = f"SLURM does not queue the job again: {complaint}"
            ended = {"status": "failed", "exit_code": int(Exit.TERMINATED), "error": what}
        if ended["exit_code"]:
            print(f"{ended['status']}, exit code {ended['exit_code']}: {ended['error']}")
        task.tell({"kind": "ended", **ended})


def _is_over(entry: dict[str, Any], stopper: Stopper) -> bool:
    """Whether a run was trained as long as it was asked to be."""
    until = entry["job"].get("until")
    return until is not None and stopper.step >= until


def identity(environment: Mapping[str, str]) -> str:
    """What SLURM calls a job; a task of an array has its number in it.

    SLURM_JOB_ID would name the whole array in one of its tasks.
    """
    if "SLURM_ARRAY_JOB_ID" in environment:
        return f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    return environment["SLURM_JOB_ID"]


def _queue_again() -> str:
    """Have SLURM queue this job again, unless SLURM does so itself or the job was cancelled.

    Returns what SLURM complains of; it ends this process while it queues the job.
    """
    name = identity(os.environ)
    words = ["squeue", "--noheader", f"--jobs={name}", "--format=%T %r"]
    state = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    if state.startswith("COMPLETING") and not state.endswith("TimeLimit"):
        return ""
    words = ["scontrol", "requeue", name]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return (done.stderr.strip() or f"exit code {done.returncode}") if done.returncode else ""


def _tell(task: ArrayTask, message: dict[str, Any]) -> None:
    with suppress(OSError, NetbuildError):  # what a task says meanwhile is only shown
        task.tell(message)


@contextmanager
def _printing_to(path: str) -> Iterator[None]:
    """Append all that is printed to a file."""
    warnings.simplefilter("default")
    before = os.dup(1), os.dup(2)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    sys.stdout.flush()
    redirect(log, log)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        redirect(*before)
        for descriptor in (log, *before):
            os.close(descriptor)
