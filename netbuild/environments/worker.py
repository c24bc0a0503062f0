"""A process that prepares batches: asked for steps on its input, it answers on its output.

It reads lines of JSON: what to draw from, then requests of several steps a line; it ends when its
input does, as it does when its parent ends in any way. Each answer is a frame: its length in 8
bytes, a line of JSON, which says what arrays follow, and their bytes.
"""

from __future__ import annotations

import json
import math
import os
import queue
import select
import signal
import sys
import threading
import time
import traceback
from io import FileIO
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from netbuild import system
from netbuild.environments.drawn import Drawn
from netbuild.environments.player import Player
from netbuild.environments.recipe import Recipe
from netbuild.environments.registry import creators
from netbuild.environments.trials import draw_trials
from netbuild.environments.windows import WindowSource
from netbuild.streams import rng_of

Array = NDArray[Any]

LENGTH = 8  # bytes of a frame's length
ALIGNED = 16  # arrays begin at multiples of it, so that they can be used where they lie
SWITCH = 5e-4  # seconds until the thread that writes gets its turn; Python's own are 10 times that


def main() -> None:
    """Answer until the input ends.

    A batch system tells every process of a job to end; this one ends with the training, which still
    needs it for its last evaluation.
    """
    for number in system.ENDING:
        if number != signal.SIGINT:
            signal.signal(number, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever an environment prints must not come between the answers
    sys.setswitchinterval(SWITCH)
    try:
        begin = json.loads(sys.stdin.buffer.readline())
        source = _Source(Recipe.from_data(begin["recipe"]), int(begin["seed"]))
        creators()
        # A thread of its own writes, so that the next batch is made while this one is not read.
        frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=_write_all, args=(answers, frames), daemon=True).start()
        frames.put(frame({"ready": True}, None))
        for line in sys.stdin.buffer:
            request = json.loads(line)
            for step in request["steps"]:
                frames.put(source.answer(int(step), int(request["size"])))
    except (BrokenPipeError, KeyboardInterrupt):
        pass  # nobody reads the answers any more
    os._exit(0)  # without a complaint about the pipe


def _write_all(stream: BinaryIO, frames: queue.SimpleQueue[bytes]) -> None:
    try:
        while True:
            stream.write(frames.get())
            stream.flush()
    except OSError:
        os._exit(0)  # nobody reads the answers any more


class _Source:
    """The batches of a recipe, as frames."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe, self.seed = recipe, seed
        self._windows = None if recipe.window is None else WindowSource(recipe, seed)
        self._players: dict[int, Player] = {}

    def answer(self, step: int, size: int) -> bytes:
        """The batch of one step with what it was drawn from, or the error in its place."""
        head: dict[str, Any] = {"step": step, "size": size}
        try:
            if self._windows is not None:
                return frame(head, self._windows.batch(step, size))
            rng = rng_of(self.seed, "train", step)
            head["rng"] = rng.bit_generator.state
            return frame(head, draw_trials(self.recipe, size, rng, self._players))
        except Exception as error:
            told = {"error": str(error), "traceback": traceback.format_exc()}
            return frame(head | told, None)


def frame(head: dict[str, Any], drawn: Drawn | None) -> bytes:
    """One answer, with its length before it."""
    arrays: list[Array] = []
    if drawn is not None:
        given = {"inputs": drawn.inputs, "targets": drawn.targets, "loss_mask": drawn.loss_mask}
        named = [(name, array) for name, array in given.items() if array is not None]
        named += [(f"trials/{name}", array) for name, array in (drawn.trials or {}).items()]
        arrays = [np.ascontiguousarray(array) for _, array in named]
        forms = [(name, a.dtype.str, a.shape) for (name, _), a in zip(named, arrays, strict=True)]
        head = head | {"arrays": forms, "trials": drawn.trials is not None}
    line = json.dumps(head).encode()
    parts = [line, b" " * (-(len(line) + 1) % ALIGNED), b"\n"]
    for array in arrays:
        parts += [array.tobytes(), bytes(-array.nbytes % ALIGNED)]
    content = b"".join(parts)
    return len(content).to_bytes(LENGTH, "big") + content


class Frames:
    """The frames that come out of a pipe, read without waiting longer than one is told to."""

    def __init__(self, stream: FileIO) -> None:
        os.set_blocking(stream.fileno(), False)
        self._stream = stream
        self._ready = select.poll()
        self._ready.register(stream.fileno(), select.POLLIN)
        self._part, self._filled = bytearray(LENGTH), 0  # of the length, or of what it announced
        self._is_length = True

    def next(self, patience: float = 0.0) -> bytearray | None:
        """The content of the next frame, or None if it is not there after so many seconds.

        Raises EOFError where the pipe has ended, and OSError or ValueError where it is closed.
        """
        until = time.monotonic() + patience
        while True:
            count = self._stream.readinto(memoryview(self._part)[self._filled :])
            if count is None:  # nothing there
                rest = until - time.monotonic()
                if rest <= 0 or not self._ready.poll(math.ceil(rest * 1e3)):
                    return None
                continue
            if count == 0:
                raise EOFError
            self._filled += count
            if self._filled < len(self._part):
                continue
            full, self._filled = self._part, 0
            if self._is_length:
                self._part, self._is_length = bytearray(int.from_bytes(full, "big")), False
            else:
                self._part, self._is_length = bytearray(LENGTH), True
                return full


def parse(content: bytearray) -> tuple[dict[str, Any], Drawn | None]:
    """What an answer says, and what it brings: arrays that lie in `content`."""
    at = content.index(b"\n") + 1
    head = json.loads(content[:at])
    if "arrays" not in head:
        return head, None
    found: dict[str, Array] = {}
    for name, form, shape in head["arrays"]:
        dtype, count = np.dtype(form), math.prod(shape)
        found[name] = np.frombuffer(content, dtype, count, at).reshape(shape)
        at += -(-count * dtype.itemsize // ALIGNED) * ALIGNED
    mask = found.get("loss_mask")
    trials = {
        name.removeprefix("trials/"): array
        for name, array in found.items()
        if name.startswith("trials/")
    }
    return head, Drawn(found["inputs"], found["targets"], mask, trials if head["trials"] else None)
