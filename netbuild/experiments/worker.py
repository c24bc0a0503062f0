"""A process that trains one run after another, and loads torch once.

It reads lines of JSON: a job, or `{"stop": true}`. It writes lines of JSON: how each training
stands, and how it ended. When its input ends, and so when its parent ends in any way, it saves the
run that it trains and ends too. What the trainings print goes to the log of the run.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

EVERY = 0.5  # seconds between two messages about a training


class Stopper:
    """Stops the training of a process after its step, once; `stop` says that it was asked to."""

    def __init__(self) -> None:
        self.stop = False
        self.trainer: Any = None
        self.step = 0  # of the training, at its last record

    def end(self, *_: object) -> None:
        """Stop the training after its step; also the handler of a signal."""
        self.stop = True
        if self.trainer is not None:
            self.trainer.stop = True

    def take(self, trainer: Any) -> None:
        """Register the trainer that `end` stops."""
        self.trainer = trainer
        if self.stop:
            trainer.stop = True


class Inbox(Stopper):
    """The lines that come, read by a thread of their own; `stop` once the process shall end."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.jobs: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._descriptor = descriptor
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with os.fdopen(self._descriptor, "rb") as stream:
            for line in stream:
                message = json.loads(line)
                if "stop" in message:
                    break
                self.jobs.put(message)
        self.end()

    def end(self, *_: object) -> None:
        """Stop the training after its step, and take no other job."""
        super().end()
        self.jobs.put(None)


def main() -> None:
    """Work until the input ends."""
    for name in ("SIGINT", "SIGHUP"):  # of the terminal, whose sweep says when to stop
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    inbox = Inbox(os.dup(0))
    signal.signal(signal.SIGTERM, inbox.end)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    redirect(null, null)
    from netbuild.system import keep_freed_memory

    keep_freed_memory()
    warnings.simplefilter("default")
    while (message := inbox.jobs.get()) is not None and not inbox.stop:
        sys.argv = message["argv"]
        log = os.open(message["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        redirect(log, log)
        ended = train(message["job"], inbox, partial(_tell, out), EVERY)
        if ended["exit_code"]:
            print(f"{ended['status']}, exit code {ended['exit_code']}: {ended['error']}")
        sys.stdout.flush()
        sys.stderr.flush()
        redirect(null, null)
        os.close(log)
        _tell(out, {"kind": "ended", **ended})
    os._exit(0)  # no library's clean-up delays the end


def train(
    data: dict[str, Any], stopper: Stopper, tell: Callable[[dict[str, Any]], None], every: float
) -> dict[str, Any]:
    """Carry out a job, given as JSON data; returns its outcome as JSON data.

    `tell` is called with the step of the training, at most once in `every` seconds.
    """
    from netbuild.experiments.job import Job, carry_out

    told = 0.0

    def watch(record: Any, trainer: Any) -> None:
        nonlocal told
        stopper.take(trainer)
        stopper.step = record.step
        now = time.monotonic()
        if record.kind in ("train", "evaluation") and now - told > every:
            told = now
            tell({"kind": "step", "step": record.step, "steps": trainer.steps})

    outcome = carry_out(Job.from_data(data), watch)
    stopper.trainer = None
    return {"status": outcome.status, "exit_code": outcome.exit_code, "error": outcome.error}


def redirect(output: int, errors: int) -> None:
    """Let everything that is printed go to these descriptors."""
    os.dup2(output, 1)
    os.dup2(errors, 2)


def _tell(out: Any, message: dict[str, Any]) -> None:
    try:
        out.write(json.dumps(message) + "\n")
        out.flush()
    except OSError:  # the parent has ended, and so does the input
        pass
