"""A process that makes batches ahead of the training, and both ends of the pipes to it.

`Worker` starts the process; `main` runs in it. What it reads are lines of JSON: first the recipe
and its seed, then the step at which to begin. From there on it makes the batch of one step after
the other, a few more than have been read, until another line comes. What it writes are frames: a
length in 8 bytes, a line of JSON that says which arrays follow, and their bytes. The process ends
when its input does, and so when its parent ends in any way.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from io import FileIO
from itertools import count
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from netbuild import system
from netbuild.environments.recipe import Recipe
from netbuild.environments.registry import creators
from netbuild.environments.trials import Drawn
from netbuild.environments.windows import WHOLE, Share, WindowSource, batches_of

Array = NDArray[Any]
Answer = tuple[dict[str, Any], Drawn | None]  # what it says, and the batch unless it is an error

Made = tuple[int, Callable[[int], Drawn]]  # a step, and what makes its batch of a size

AHEAD = 16  # batches; windows come in bursts, when their streams start again
LENGTH = 8  # bytes of a frame's length
ALIGNED = 16  # arrays begin at multiples of this, so that they can be used where they lie
PIPE = 1 << 20  # bytes of a pipe, where the system allows that many
SWITCH = 5e-4  # seconds until the thread that writes gets its turn; Python's own are 10 times that
TABLE = "trials/"  # begins the names of the arrays that are columns of the table of trials


class Worker:
    """A process that makes the batches of a recipe.

    `close` ends it, and may be called again; it also ends with this process, however this one ends.
    """

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.process = _start()
        self._frames = Frames(cast(FileIO, self.process.stdout))
        self.close = weakref.finalize(self, _end, self.process)
        self._send({"recipe": recipe.to_data(), "seed": seed})

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed."""
        return self.close.alive

    def begin(self, step: int, size: int, share: Share = WHOLE) -> None:
        """Have the batches of this step and of all later ones made.

        As the worker k of n, the share (k, n), it makes its part of the rows of each window, or,
        of whole trials, the batches of the steps `step + k`, `step + k + n` and so on.
        """
        self._send({"step": step, "size": size, "share": share})

    def receive(self, patience: float = 0.0) -> Answer | None:
        """The next answer, or None where there is none within so many seconds.

        The first answer says `ready`; each other one says the `step`, the `size` and the `share` of
        its batch, and perhaps an `error`. Raises EOFError, OSError or ValueError where the process
        has ended.
        """
        content = self._frames.next(patience)
        return None if content is None else parse(content)

    def _send(self, words: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # the worker has ended: `receive` will raise the error
            self.process.stdin.write(json.dumps(words).encode() + b"\n")


def _start() -> subprocess.Popen[bytes]:
    # Not a fork, which would take over the state of torch's threads; and in a new session,
    # since a Ctrl-C in the terminal should interrupt only this process.
    process = subprocess.Popen(
        system.worker_command("netbuild.environments.worker"),
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
    """End the process and wait for its end, so that nothing of it is left."""
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


# In the process


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
    # Unbuffered, so that `select` sees each line that has not been read.
    with contextlib.suppress(KeyboardInterrupt), open(0, "rb", buffering=0) as lines:
        words = json.loads(lines.readline())
        batch = _shared(Recipe.from_data(words["recipe"]), int(words["seed"]))
        creators()
        # A separate thread writes, so that the next batch is made while this one is not read.
        frames: queue.Queue[bytes] = queue.Queue(AHEAD)
        threading.Thread(target=_write_all, args=(answers, frames), daemon=True).start()
        frames.put(frame({"ready": True}))
        for line in lines:
            request = json.loads(line)
            first, size, share = request["step"], request["size"], tuple(request["share"])
            for nth in count():
                step, make = batch(first, nth, share)
                head = {"step": step, "size": size, "share": share}
                try:
                    frames.put(frame(head, make(size)))
                except Exception as error:
                    said = {"error": str(error), "traceback": traceback.format_exc()}
                    frames.put(frame(head | said))
                if select.select([lines], [], [], 0)[0]:
                    break
    os._exit(0)  # without a complaint about the pipe


def _shared(recipe: Recipe, seed: int) -> Callable[[int, int, Share], Made]:
    """What a worker makes: (first step, number of the batch, share) to its step, and its maker."""
    make = batches_of(recipe, seed)
    windows = WindowSource(recipe, seed) if recipe.window is not None else None

    def batch(first: int, number: int, share: Share) -> Made:
        if windows is not None:
            step = first + number
            return step, lambda size: windows.batch(step, size, share=share)
        step = first + share[0] + number * share[1]
        return step, lambda size: make(step, size, None)

    return batch


def _write_all(stream: BinaryIO, frames: queue.Queue[bytes]) -> None:
    try:
        while True:
            stream.write(frames.get())
            stream.flush()
    except OSError:
        os._exit(0)  # the reader of the answers has ended


# Frames


def frame(head: dict[str, Any], drawn: Drawn | None = None) -> bytes:
    """One answer, with its length before it."""
    arrays: dict[str, Array] = {}
    if drawn is not None:
        fields = {"inputs": drawn.inputs, "targets": drawn.targets, "loss_mask": drawn.loss_mask}
        columns = {f"{TABLE}{name}": array for name, array in (drawn.trials or {}).items()}
        given = {name: array for name, array in fields.items() if array is not None} | columns
        arrays = {name: np.ascontiguousarray(array) for name, array in given.items()}
        forms = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
        head = head | {"arrays": forms, "trials": drawn.trials is not None}
    line = json.dumps(head).encode()
    parts = [line, b" " * (-(len(line) + 1) % ALIGNED), b"\n"]
    for array in arrays.values():
        parts += [array.tobytes(), bytes(-array.nbytes % ALIGNED)]
    content = b"".join(parts)
    return len(content).to_bytes(LENGTH, "big") + content


def parse(content: bytearray) -> Answer:
    """What an answer says, and the batch, whose arrays lie in `content`."""
    at = content.index(b"\n") + 1
    head = json.loads(content[:at])
    if "arrays" not in head:
        return head, None
    found: dict[str, Array] = {}
    for name, form, shape in head["arrays"]:
        dtype, values = np.dtype(form), math.prod(shape)
        found[name] = np.frombuffer(content, dtype, values, at).reshape(shape)
        at += -(-values * dtype.itemsize // ALIGNED) * ALIGNED
    columns = {
        name.removeprefix(TABLE): array for name, array in found.items() if name.startswith(TABLE)
    }
    trials = columns if head["trials"] else None
    return head, Drawn(found["inputs"], found["targets"], found.get("loss_mask"), trials)


class Frames:
    """The frames that come out of a pipe, read without waiting longer than the caller says."""

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
            read = self._stream.readinto(memoryview(self._part)[self._filled :])
            if read is None:  # nothing there
                rest = until - time.monotonic()
                if rest <= 0 or not self._ready.poll(math.ceil(rest * 1e3)):
                    return None
                continue
            if read == 0:
                raise EOFError
            self._filled += read
            if self._filled < len(self._part):
                continue
            full, self._filled = self._part, 0
            if self._is_length:
                self._part, self._is_length = bytearray(int.from_bytes(full, "big")), False
            else:
                self._part, self._is_length = bytearray(LENGTH), True
                return full
