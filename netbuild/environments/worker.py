"""A process that makes batches ahead of the training, and the two pipes to it.

`Worker` starts the process; `main` runs in it. The process is first sent the recipe and its seed,
and then the step at which to begin. From there on it makes the batch of one step after the other, a
few more than have been read, until another step comes. The process ends when the pipe of its
requests does, and so when its parent ends in any way.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import traceback
import weakref
from itertools import count
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from netbuild import system
from netbuild.environments.recipe import Recipe
from netbuild.environments.registry import creators
from netbuild.environments.trials import Drawn
from netbuild.environments.windows import batches_of

Answer = tuple[dict[str, Any], Drawn | None]  # what it says, and the batch unless it is an error

AHEAD = 16  # batches; windows come in bursts, when their streams start again
PIPE = 1 << 20  # bytes of a pipe, where the system allows that many
SWITCH = 5e-4  # seconds until the thread that writes gets its turn; Python's own are 10 times that

# This process's paths come after the worker's own: a script's folder may hold a `random.py`.
_PROGRAM = """
import sys
sys.path.extend(path for path in sys.argv[3:] if path not in sys.path)
from netbuild.environments.worker import main
main()
"""


class Worker:
    """A process that makes the batches of a recipe.

    `close` ends it, and may be called again; it also ends with this process, however this one ends.
    """

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self._answers, answers = Pipe(duplex=False)
        requests, self._requests = Pipe(duplex=False)
        system.widen_pipe(answers.fileno(), PIPE)
        # Not a fork, which would take over the state of torch's threads; and in a new session,
        # since a Ctrl-C in the terminal should interrupt only this process.
        theirs = answers.fileno(), requests.fileno()
        paths = [path or os.getcwd() for path in sys.path]
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, *map(str, theirs), *paths],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=theirs,
            start_new_session=True,
        )
        answers.close()
        requests.close()
        self.close = weakref.finalize(self, _end, self.process, self._answers, self._requests)
        self._send(recipe, seed)

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed."""
        return self.close.alive

    def begin(self, step: int, size: int) -> None:
        """Have the batches of this step and of all later ones made."""
        self._send(step, size)

    def receive(self, patience: float = 0.0) -> Answer | None:
        """The next answer, or None where none has begun to come within so many seconds.

        The first answer says `ready`; each other one says the `step` and the `size` of its batch,
        and perhaps an `error`. Raises EOFError or OSError where the process has ended.
        """
        return self._answers.recv() if self._answers.poll(patience) else None

    def _send(self, *request: Any) -> None:
        with contextlib.suppress(OSError):  # the worker has ended: `receive` will raise the error
            self._requests.send(request)


def _end(process: subprocess.Popen[bytes], *pipes: Connection) -> None:
    """End the process and wait for its end, so that nothing of it is left."""
    process.kill()
    process.wait()
    for pipe in pipes:
        pipe.close()


# In the process


def main() -> None:
    """Answer until the pipe of the requests ends.

    A batch system tells every process of a job to end; this one ends with the training, which still
    needs it for its last evaluation.
    """
    for number in system.ENDING:
        if number != signal.SIGINT:
            signal.signal(number, signal.SIG_IGN)
    sys.setswitchinterval(SWITCH)
    answers = Connection(int(sys.argv[1]), readable=False)
    requests = Connection(int(sys.argv[2]), writable=False)
    with contextlib.suppress(KeyboardInterrupt, EOFError):
        batch = batches_of(*requests.recv())
        creators()
        # A separate thread writes, so that the next batch is made while this one is not read.
        made: queue.Queue[Answer] = queue.Queue(AHEAD)
        threading.Thread(target=_send_all, args=(answers, made), daemon=True).start()
        made.put(({"ready": True}, None))
        while True:
            start, size = requests.recv()
            for step in count(start):
                head = {"step": step, "size": size}
                try:
                    made.put((head, batch(step, size, None)))
                except Exception as error:
                    said = {"error": str(error), "traceback": traceback.format_exc()}
                    made.put((head | said, None))
                if requests.poll():
                    break
    os._exit(0)  # without a complaint about the pipe


def _send_all(answers: Connection, made: queue.Queue[Answer]) -> None:
    try:
        while True:
            answers.send(made.get())
    except OSError:
        os._exit(0)  # the reader of the answers has ended
