"""Batches prepared ahead of the training by a process of their own; the same bits, sooner."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import warnings
import weakref
from io import FileIO
from types import TracebackType
from typing import Any, cast

import numpy as np

from netbuild import system
from netbuild.environments import Drawn, EnvironmentFailed
from netbuild.environments.worker import Frames, parse
from netbuild.streams import rng_of
from netbuild.tasks.neurogym import NeurogymTask, as_batch
from netbuild.tasks.task import Batch

PATIENCE = 5.0  # seconds without an answer, which takes milliseconds
AHEAD = 16  # batches; windows come in bursts, when their streams begin anew
PIPE = 1 << 20  # bytes of it, where the system allows that many

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
    training's, and when it has ended, which a RuntimeWarning says once. So the batches never depend
    on it. Close it, or use it in a `with`; it also ends with this process, however this one ends.

        with Prefetch(task) as quick:
            batch = quick.batch(step, size, rng)
    """

    def __init__(self, task: NeurogymTask, *, ahead: int = AHEAD) -> None:
        if ahead < 1:
            raise ValueError(f"at least one batch is made ahead, not {ahead}")
        self.task, self.seed, self.ahead = task, task.seed, ahead
        self._process = _start()
        self._frames = Frames(cast(FileIO, self._process.stdout))
        self._asked: list[tuple[int, int]] = []  # (step, size), in the order of their answers
        self._arrived: dict[tuple[int, int], Answer] = {}
        self._ready = False
        self.close = weakref.finalize(self, _end, self._process)
        self._tell({"recipe": task.recipe.to_data(), "seed": task.seed})

    def whole_trials(self, count: int, rng: np.random.Generator) -> Batch:
        """As the task's own: the trials that are scored."""
        return self.task.whole_trials(count, rng)

    def batch(self, step: int, size: int, rng: np.random.Generator | None = None) -> Batch:
        """The task's own batch of one step; raises EnvironmentFailed as it does."""
        wanted = (step, size)
        if wanted not in self._arrived:
            self._look()
        if rng is not None and not self._is_its(rng, wanted):
            return self.task.batch(step, size, rng)
        if wanted in self._asked:
            self._wait(wanted)
        drawn = self._take(wanted)
        self._ask(step, size)
        return as_batch(drawn) if drawn is not None else self.task.batch(step, size, rng)

    def _is_its(self, rng: np.random.Generator, wanted: tuple[int, int]) -> bool:
        """Whether a batch of the training would be drawn from just these random numbers."""
        if self.task.recipe.window is not None:
            return True  # of windows the seed alone tells
        head, _ = self._arrived.get(wanted, ({}, None))
        # The worker says what it drew from, which spares computing that again.
        mine = head.get("rng") or rng_of(self.seed, "train", wanted[0]).bit_generator.state
        return bool(rng.bit_generator.state == mine)

    def _look(self) -> None:
        """Take in what has arrived."""
        while self.close.alive and self._receive():
            pass

    def _wait(self, wanted: tuple[int, int]) -> None:
        while wanted in self._asked:
            if not self._receive(PATIENCE) and wanted in self._asked:
                self._without("does not answer")

    def _receive(self, patience: float = 0.0) -> bool:
        """Take in one answer, if there is one within so many seconds."""
        try:
            content = self._frames.next(patience)
        except (EOFError, OSError, ValueError):
            if self.close.alive:
                self._without(f"has ended (exit {self._process.wait()})")
            self._asked = []
            return False
        if content is None:
            return False
        answer = parse(content)
        if "ready" in answer[0]:
            self._ready = True
            return True
        key = (answer[0]["step"], answer[0]["size"])
        self._asked.remove(key)
        self._arrived[key] = answer
        return True

    def _without(self, why: str) -> None:
        """The same bits are made here from now on."""
        self.close()
        self._ready, self._asked = False, []
        what = f"the process that prepares trials {why}; trials are made in this one, which takes"
        warnings.warn(f"{what} longer", RuntimeWarning, stacklevel=2)

    def _take(self, wanted: tuple[int, int]) -> Drawn | None:
        head, drawn = self._arrived.pop(wanted, ({}, None))
        if "error" in head:
            raise EnvironmentFailed(f"{head['error']} (in step {wanted[0]})")
        return drawn

    def _ask(self, step: int, size: int) -> None:
        """Have the steps after this one made, and forget all others.

        Several at once: each request may wake the worker, and that can cost as much as a step.
        """
        coming = [(step + i, size) for i in range(1, self.ahead + 1)]
        self._arrived = {key: answer for key, answer in self._arrived.items() if key in coming}
        if not self._ready or not self.close.alive:
            return
        new = [key for key in coming if key not in self._asked and key not in self._arrived]
        if len(new) < max(self.ahead // 2, 1):
            return
        asked = new[: self.ahead - len(self._asked)]
        if asked and self._tell({"steps": [key[0] for key in asked], "size": size}):
            self._asked += asked

    def _tell(self, what: dict[str, Any]) -> bool:
        """Send a line; False if there is nobody to read it, which the next answer will tell."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(what).encode() + b"\n")
        except OSError:
            return False
        return True

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _start() -> subprocess.Popen[bytes]:
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
    assert process.stdout is not None
    system.widen_pipe(process.stdout, PIPE)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the worker and wait for its end, so that nothing of it is left."""
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
