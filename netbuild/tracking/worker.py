"""A process that follows the log of one run for one tracker.

It reads lines of JSON: what is to be tracked, and at last how the training has ended. Without the
last line its parent was killed. Everything that the tracker prints goes to its log, of which the
last line says why it has failed.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from netbuild import system
from netbuild.tracking.rows import Log
from netbuild.tracking.trackers import Row, Subject, Tracker, tracker_of

FAILED = "failed: "  # how the line begins that says why
EVERY = 1.0  # seconds between two looks at the log
LONGEST = 600.0  # seconds from the end of the training to that of this process, in any case
BEFORE = 60.0  # seconds that an earlier process has to end
# In these cases the training has written every line of its last step.
WHOLE = ("finished", "stopped early", "interrupted")


def main() -> None:
    """Follow a run until its training has ended."""
    for number in system.ENDING:  # the training says when to end
        signal.signal(number, signal.SIG_IGN)
    inbox = _inbox()
    code = 1
    try:
        about = inbox.get()
        if about is not None:
            _lock()
            _follow(about, inbox)
        code = 0
    except BaseException as error:
        traceback.print_exc()
        what = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"{FAILED}{what}", flush=True)
    os._exit(code)  # no library's clean-up delays the end


def _inbox() -> queue.SimpleQueue[dict[str, Any] | None]:
    """The lines of the standard input, and None at its end; no library reads that input."""
    found: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    stream = os.fdopen(os.dup(0), "rb")

    def read() -> None:
        for line in stream:
            found.put(json.loads(line))
        found.put(None)

    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    threading.Thread(target=read, daemon=True).start()
    return found


def _lock() -> None:
    """Wait until no earlier process follows the run; the log of the tracker is the lock."""
    until = time.monotonic() + BEFORE
    while True:
        try:
            return system.lock(1)
        except BlockingIOError:
            if time.monotonic() > until:
                raise TimeoutError("another process still follows this run") from None
            time.sleep(EVERY / 5)


def _follow(about: dict[str, Any], inbox: queue.SimpleQueue[dict[str, Any] | None]) -> None:
    subject = Subject(**{**about["subject"], "folder": Path(about["subject"]["folder"])})
    tracker, log = tracker_of(about["tracker"], subject), Log(Path(about["run"]))
    last = tracker.begin()
    print(f"begins after step {last}", flush=True)
    while True:
        _put(tracker, log, last)
        try:
            end = inbox.get(timeout=EVERY)
            break
        except queue.Empty:
            continue
    watchdog = threading.Timer(LONGEST, os._exit, [1])
    watchdog.daemon = True
    watchdog.start()
    _put(tracker, log, last)
    final, status = log.last(), "killed" if end is None else str(end["status"])
    if end is not None and final is not None and status in WHOLE and final.step > last:
        tracker.put([Row(final.step, {**final.values, **end["final"]})])
    tracker.end(status)


def _put(tracker: Tracker, log: Log, last: int) -> None:
    """Give a tracker the complete rows after its last step."""
    for rows in log.rows():
        if new := _after(rows, last):
            tracker.put(new)


def _after(rows: Iterable[Row], last: int) -> list[Row]:
    return [row for row in rows if row.step > last]
