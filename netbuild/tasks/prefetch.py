"""Batches prepared ahead of the training by a process of their own; the same bits, sooner."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import warnings
import weakref
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from netbuild.environments import Drawn, EnvironmentFailed
from netbuild.environments.worker import parse, read
from netbuild.streams import rng_of
from netbuild.tasks.neurogym import NeurogymTask, as_batch
from netbuild.tasks.task import Batch

PATIENCE = 5.0  # seconds without an answer, which takes milliseconds
AHEAD = 8  # batches; windows come in bursts, when their streams begin anew

# This process's paths come after the worker's own: a script's folder may hold a `random.py`.
_PROGRAM = """
import sys
sys.path.extend(path for path in sys.argv[1:] if path not in sys.path)
from netbuild.environments.worker import main
main()
"""

Answer = tuple[dict[str, Any], Drawn | None]


class Prefetch:
    """A NeurogymTask whose next batches are being made while the last one is trained on.

    Whatever the worker cannot give is made here: while it starts, for another stream than the
    training's, and when it has ended. So the batches never depend on it. Close it, or use it in a
    `with`; it also ends with this process, however this one ends.

        with Prefetch(task) as quick:
            batch = quick.batch(step, size, rng)
    """

    def __init__(self, task: NeurogymTask, *, ahead: int = AHEAD) -> None:
        if ahead < 1:
            raise ValueError(f"at least one batch is made ahead, not {ahead}")
        self.task, self.seed, self.ahead = task, task.seed, ahead
        self._process = _start(task)
        self._answers: queue.Queue[bytearray | None] = queue.Queue()
        self._asked: list[tuple[int, int]] = []  # (step, size), in the order of their answers
        self._arrived: dict[tuple[int, int], Answer] = {}
        self._ready = False
        assert self._process.stdout is not None
        reading = (self._process.stdout, self._answers)
        threading.Thread(target=_read_all, args=reading, daemon=True).start()
        self.close = weakref.finalize(self, _end, self._process)

    def whole_trials(self, count: int, rng: np.random.Generator) -> Batch:
        """As the task's own: the trials that are scored."""
        return self.task.whole_trials(count, rng)

    def batch(self, step: int, size: int, rng: np.random.Generator | None = None) -> Batch:
        """The task's own batch of one step; raises EnvironmentFailed as it does."""
        if rng is not None and not _same(rng, rng_of(self.seed, "train", step)):
            return self.task.batch(step, size, rng)
        self._look()
        wanted = (step, size)
        drawn = self._wait(wanted) if wanted in self._asked else self._take(wanted)
        self._ask(step, size)
        return as_batch(drawn) if drawn is not None else self.task.batch(step, size, rng)

    def _look(self) -> None:
        """Take in what has arrived."""
        while not self._answers.empty():
            self._note(self._answers.get())

    def _wait(self, wanted: tuple[int, int]) -> Drawn | None:
        while wanted in self._asked:
            try:
                self._note(self._answers.get(timeout=PATIENCE))
            except queue.Empty:  # it stands still: the same bits are made here from now on
                self.close()
                self._ready, self._asked = False, []
        return self._take(wanted)

    def _note(self, content: bytearray | None) -> None:
        if content is None:
            if self.close.alive:
                code = self._process.wait()
                what = f"the process that prepares trials has ended (exit {code}); going on without"
                warnings.warn(what, RuntimeWarning, stacklevel=4)
            self._ready, self._asked = False, []
            return
        answer = parse(content)
        if "ready" in answer[0]:
            self._ready = True
            return
        key = (answer[0]["step"], answer[0]["size"])
        self._asked.remove(key)
        self._arrived[key] = answer

    def _take(self, wanted: tuple[int, int]) -> Drawn | None:
        head, drawn = self._arrived.pop(wanted, ({}, None))
        if "error" in head:
            raise EnvironmentFailed(f"{head['error']} (in step {wanted[0]})")
        return drawn

    def _ask(self, step: int, size: int) -> None:
        """Have the steps after this one made, and forget all others."""
        coming = [(step + i, size) for i in range(1, self.ahead + 1)]
        self._arrived = {key: answer for key, answer in self._arrived.items() if key in coming}
        if not self._ready or not self.close.alive:
            return
        free = self.ahead - len(self._asked)
        new = [key for key in coming if key not in self._asked and key not in self._arrived]
        stream = self._process.stdin
        assert stream is not None
        try:
            for key in new[: max(free, 0)]:
                stream.write(json.dumps({"step": key[0], "size": key[1]}).encode() + b"\n")
                self._asked.append(key)
            stream.flush()
        except OSError:  # it has ended; its reader says so
            self._ready = False

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _start(task: NeurogymTask) -> subprocess.Popen[bytes]:
    # Not a fork, which would take over the state of torch's threads; and in a session of its own,
    # since a Ctrl-C in the terminal is for this process alone.
    paths = [path or os.getcwd() for path in sys.path]
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _PROGRAM, *paths],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        start_new_session=True,
    )
    assert process.stdin is not None
    begin = {"recipe": task.recipe.to_data(), "seed": task.seed}
    process.stdin.write(json.dumps(begin).encode() + b"\n")
    process.stdin.flush()
    return process


def _read_all(stream: BinaryIO, answers: queue.Queue[bytearray | None]) -> None:
    # It does next to nothing in Python, since the interpreter is busy with the training.
    try:
        while True:
            answers.put(read(stream))
    except (EOFError, OSError, ValueError):
        answers.put(None)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the worker and wait for its end, so that nothing of it is left."""
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _same(one: np.random.Generator, other: np.random.Generator) -> bool:
    return bool(one.bit_generator.state == other.bit_generator.state)
