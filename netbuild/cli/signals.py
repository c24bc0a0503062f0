"""Signals: a training finishes its step and saves; a command with nothing to save just ends."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

from netbuild import system

if TYPE_CHECKING:
    from netbuild.training.loop import Trainer

TWICE = 1.0  # seconds


class Signals:
    """The first signal asks the trainer to stop after its step, which saves the state.

    A second signal ends the process at once, or, while a checkpoint is being written, as soon as
    the checkpoint is whole; a third signal always ends it at once. A signal that repeats within a
    second counts once, except Ctrl-C: SLURM sends SIGTERM to a job's step and to each process.

    Before there is a trainer there is nothing to save, and the first signal ends the process. The
    exit code is 128 plus the number of the first signal.
    """

    def __init__(self) -> None:
        self.trainer: Trainer | None = None
        self.received: int | None = None
        self.count = 0
        self._came = 0.0  # when the first signal did, in seconds of the monotonic clock
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        for number in system.ENDING:
            if number.name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN:
                continue  # under `nohup`
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self.received is not None:
            return  # the process is about to end, with the code of the first signal
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def take(self, trainer: Trainer) -> None:
        """Register the trainer that signals stop; one that has come already stops it now."""
        self.trainer = trainer
        if self.received is not None:
            trainer.stop = True

    def written(self) -> None:
        """Note that a record is written: a second signal that waited for it ends the process."""
        if self.count > 1:
            self._leave()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == self.received != signal.SIGINT and now - self._came < TWICE:
            return
        self.count += 1
        if self.received is None:
            self.received, self._came = number, now
        if self.trainer is None:
            _write(b"interrupted: nothing was to be saved\n")
            self._leave()
        elif self.count == 1:
            self.trainer.stop = True
        elif self.count > 2 or not self.trainer.saving:
            self._leave()

    def _leave(self) -> None:
        if os.isatty(2):
            _write(b"\x1b[?25h")  # the cursor, which a progress bar hides
        os._exit(128 + (self.received or 0))


class Interrupt:
    """Raises KeyboardInterrupt at Ctrl-C, as Python does, and remembers that it came.

    For a command that has nothing to save. Code that is being loaded may turn the
    KeyboardInterrupt into another error.
    """

    def __init__(self) -> None:
        self.came = False
        self._before: Any = None

    def __enter__(self) -> Interrupt:
        try:
            self._before = signal.signal(signal.SIGINT, self._handle)
        except ValueError:  # another thread than the main one, which no signal reaches
            self._before = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        raise KeyboardInterrupt


def _write(text: bytes) -> None:
    with suppress(OSError):  # nobody reads it
        os.write(2, text)
