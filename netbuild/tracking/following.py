"""The trackers of a training: a process for each, and one line about each that fails."""

from __future__ import annotations

import json
import os
import subprocess
import time
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from netbuild.durable import need_folder
from netbuild.folders import entered
from netbuild.system import worker_command
from netbuild.tracking.trackers import TRACKERS, Subject, install, is_missing
from netbuild.tracking.worker import FAILED

FOLDER = "tracking"  # in a run directory
TAIL = 1 << 13  # bytes of a log that are searched for the reason of a failure
# Seconds that trackers have after a training. What is left of one that was interrupted is sent when
# it is resumed, and a batch system may take the machine away soon.
PATIENCE = 60.0
PATIENCE_INTERRUPTED = 15.0


def followed_before(run: Path) -> list[str]:
    """The trackers that have followed a run."""
    try:
        with entered(run / FOLDER, within=run) as folder:
            names = set(folder.names())
    except Exception:
        return []
    return [name for name in TRACKERS if f"{name}.log" in names]


class Follower:
    """The process of one tracker."""

    def __init__(self, name: str, run: Path, subject: Mapping[str, Any]) -> None:
        self.name, self.log = name, run / FOLDER / f"{name}.log"
        self.told = False  # whether its failure has been told
        with entered(self.log.parent, within=run) as folder:
            log = folder.open(self.log.name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            self.process = subprocess.Popen(
                worker_command("netbuild.tracking.worker"),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # signals of a terminal do not reach what a tracker starts
            )
        finally:
            os.close(log)
        self._send({"tracker": name, "run": str(run.absolute()), "subject": subject})

    def _send(self, message: Mapping[str, Any]) -> None:
        """Send a line; a process that has ended does not read it."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def failure(self) -> str:
        """Why the process has ended too early; "" while it has not."""
        code = self.process.poll()
        return "" if code in (None, 0) else self._reason() or f"its process ended with code {code}"

    def _reason(self) -> str:
        with suppress(Exception), entered(self.log.parent) as folder:
            with os.fdopen(folder.open(self.log.name), "rb") as stream:
                stream.seek(max(stream.seek(0, os.SEEK_END) - TAIL, 0))
                lines = stream.read(TAIL).decode(errors="replace").splitlines()
            found = [line for line in lines if line.startswith(FAILED)]
            return found[-1].removeprefix(FAILED)[:300] if found else ""
        return ""

    def finish(self, status: str, final: Mapping[str, float]) -> None:
        """Say how the training has ended."""
        self._send({"status": status, "final": dict(final)})

    def wait(self, seconds: float) -> str:
        """Wait for the end of the process; returns why it has failed, "" if it has not."""
        try:
            self.process.wait(max(seconds, 0.1))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "it did not come to an end"
        finally:
            with suppress(OSError):
                self.process.stdin.close()  # type: ignore[union-attr]
        return self.failure()


class Following:
    """The trackers of a training. No method raises an error: a failure is one warning."""

    def __init__(self, run: Path, names: Iterable[str], subject: Subject | None) -> None:
        self.run = run
        self._followers: list[Follower] = []
        for name in dict.fromkeys(names):
            try:
                assert subject is not None
                if is_missing(name):
                    self._tell(name, f"the package {name} is not installed: {install(name)}")
                    continue
                need_folder(run / FOLDER, within=run)
                need_folder(run / FOLDER / name, within=run)
                about = {**asdict(subject), "folder": str(subject.folder.absolute())}
                self._followers.append(Follower(name, run, about))
            except Exception as error:
                self._tell(name, str(error) or type(error).__name__)

    def check(self) -> None:
        """Tell of each tracker that has failed, once."""
        for each in self._followers:
            if not each.told and (reason := each.failure()):
                each.told = True
                self._tell(each.name, f"{reason}; its log is {each.log}")

    def end(
        self, status: str, final: Mapping[str, float], patience: float | None = None
    ) -> list[str]:
        """Let the trackers send the rest, for so many seconds; returns those that have failed."""
        if patience is None:
            patience = PATIENCE_INTERRUPTED if status == "interrupted" else PATIENCE
        until = time.monotonic() + patience
        for each in self._followers:
            each.finish(status, final)
        for each in self._followers:
            reason = each.wait(until - time.monotonic())
            if reason and not each.told:
                each.told = True
                again = f"`netbuild resume {self.run} --track {each.name}` sends what is missing"
                self._tell(each.name, f"{reason}; {again}; its log is {each.log}")
        return [each.name for each in self._followers if each.told]

    def _tell(self, name: str, what: str) -> None:
        with suppress(Warning):  # where warnings are errors, a tracker still ends no training
            what = f"tracker {name} failed, and the training goes on without it: {what}"
            warnings.warn(what, RuntimeWarning, stacklevel=2)
