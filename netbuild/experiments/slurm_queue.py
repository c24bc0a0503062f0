"""SLURM's own commands: what the queue holds, and what is to leave it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PATIENCE = 60.0  # seconds that a command has to answer
_ENDED = re.compile(r"\bJobState=(?P<state>[A-Z_]+)")


@dataclass(frozen=True)
class Queued:
    """A task that SLURM has in its queue, running ones included."""

    job: str  # what SLURM calls it, such as 42_3
    state: str  # such as PENDING


def queued(names: Iterable[str]) -> dict[tuple[str, int], Queued] | None:
    """The tasks of the user's jobs of these names, by name and index; None without an answer."""
    words = ["--me", "--noheader", "--array", f"--name={','.join(names)}", "--format=%i|%K|%T|%j"]
    said = _answer(["squeue", *words])
    if said is None:
        return None
    found = {}
    for line in said.splitlines():
        job, index, state, name = line.strip().split("|")
        found[name, int(index) if index.isdecimal() else 0] = Queued(job, state)
    return found


def cancel(tasks: Sequence[Queued]) -> None:
    """Take tasks that wait out of the queue, and ask those that run to save their runs."""
    waiting = [task.job for task in tasks if task.state == "PENDING"]
    running = [task.job for task in tasks if task.state != "PENDING"]
    if waiting:  # one that has begun meanwhile finds out by itself
        _answer(["scancel", "--quiet", "--state=PENDING", *waiting])
    if running:
        _answer(["scancel", "--quiet", "--signal=USR2", *running])


def state_at_the_end(job: str) -> str:
    """In which state a job has left the queue; "" where SLURM has forgotten it."""
    found = _ENDED.search(_answer(["scontrol", "--oneliner", "show", "job", job]) or "")
    return found["state"] if found else ""


def _answer(words: Sequence[str]) -> str | None:
    """What a command prints; None where it fails, for instance while SLURM does not answer."""
    environment = {key: value for key, value in os.environ.items() if not _changes(key)}
    try:
        done = subprocess.run(
            words,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout


def _changes(key: str) -> bool:
    """Whether a variable would change what these commands do."""
    return key.startswith(("SQUEUE_", "SCANCEL_", "SCONTROL_"))
