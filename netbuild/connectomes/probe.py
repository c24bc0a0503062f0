"""Binary tables are read in another process first: see `trial`, which may die of a damaged one."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from netbuild.errors import DataFileError

PROGRAM = Path(__file__).with_name("trial.py")
PATIENCE = 5  # seconds until a process that should end is ended
KILLED = -getattr(signal, "SIGKILL", 9)


class Probe:
    """Another process that holds the same bytes, and reads them before this one does.

    It starts at once and loads polars while this process does other things. To be closed.
    Raises DataFileError NB901 where no process can be started.
    """

    def __init__(self, content: bytes, suffix: str, name: str) -> None:
        self.name = name
        self._known = False
        try:
            # No site packages but those on the path that it is given, no variables of Python's.
            self._process = subprocess.Popen(
                [sys.executable or "", "-I", "-S", str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # where a panic would leave its trace
            )
        except OSError as error:
            raise self._not_started(error.strerror or "no reason is given") from None
        self._commands = cast(BinaryIO, self._process.stdin)
        self._answers = cast(BinaryIO, self._process.stdout)
        order = {"path": list(map(str, sys.path)), "suffix": suffix, "size": len(content)}
        self._feeding = threading.Thread(target=self._feed, args=(order, content), daemon=True)
        self._feeding.start()

    def table(self) -> None:
        """Return once the other process knows the table's columns; raises DataFileError NB204."""
        if self._known:
            return
        if self._answer() != b"ready\n":
            self.close()
            raise self._not_started("it ended at once")
        self._expect_ok()
        self._known = True

    def columns(self, columns: Sequence[str]) -> None:
        """Return once it has read these columns, all of them; raises DataFileError NB204."""
        self.table()
        with contextlib.suppress(OSError):  # it is gone, as the missing answer will show
            self._commands.write(json.dumps(list(columns)).encode() + b"\n")
            self._commands.flush()
        self._expect_ok()

    def close(self) -> None:
        """End the other process, if it has not ended; harmless the second time."""
        if self._process.returncode is None:
            self._process.kill()
        self._process.wait(PATIENCE)
        self._feeding.join(PATIENCE)
        for pipe in (self._commands, self._answers):
            with contextlib.suppress(OSError):  # what was not delivered
                pipe.close()

    def _feed(self, order: dict[str, object], content: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):  # it is gone, or closed here
            self._commands.write(json.dumps(order).encode() + b"\n")
            self._commands.write(content)
            self._commands.flush()

    def _answer(self) -> bytes:
        try:
            return self._answers.readline()
        except OSError:
            return b""

    def _expect_ok(self) -> None:
        """Wait for the answer; if it does not come, the table is what ended the process."""
        if self._answer() == b"ok\n":
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        killed = self._process.returncode == KILLED
        self.close()
        if killed:
            what = f"the process that reads {self.name} first was ended from outside"
            hint = "it may need more memory than there is; save it as .csv"
            raise DataFileError("NB901", what, hint)
        raise DataFileError("NB204", f"{self.name} is malformed", "write it again, or as .csv")

    def _not_started(self, reason: str) -> DataFileError:
        what = f"the process that reads {self.name} first cannot be started ({reason})"
        return DataFileError("NB901", what, "save the table as .csv, which needs none")
