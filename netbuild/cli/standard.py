"""The standard streams of a command.

Streams that are closed, full or without a reader end no training.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from netbuild.wording import printable

STREAMS = ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"))


def open_closed() -> None:
    """Open closed standard streams on the null device: else other files get their numbers."""
    for number, name, mode in STREAMS:
        try:
            os.fstat(number)
        except OSError:
            _open_null(number)
        if getattr(sys, name) is None:  # Python found the stream closed
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def write_any_text() -> None:
    """Let the streams escape what they cannot encode: names of files may be any bytes."""
    for stream in (sys.stdout, sys.stderr):
        # In the locale C, Python writes such bytes as they are, which is the name of the file.
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "surrogateescape":
            with suppress(OSError, ValueError):  # it is closed or replaced
                stream.reconfigure(errors="backslashreplace")


def say(text: object, end: str = "\n") -> None:
    """Print a result on standard output; raises OSError where it cannot be written."""
    print(printable(str(text)), end=end)


def say_json(data: object) -> None:
    """Print a result as JSON on standard output."""
    say(json.dumps(data, indent=1, ensure_ascii=False))


def tell(line: str) -> None:
    """Print a line on standard error, if it can be written."""
    with suppress(OSError):
        print(printable(line), file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """One line on standard error."""
    tell(f"warning: {message}")


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print each warning that Python code raises in the block as one line."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: warn(" ".join(str(message).split()))
        yield


class _Lines(logging.Handler):
    """Log records as lines on standard error; above information they are warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        (warn if record.levelno > logging.INFO else tell)(record.getMessage())


def log_as_lines() -> None:
    """Print what our own code logs: a step that takes seconds, a kernel that cannot run."""
    log = logging.getLogger("netbuild")
    log.setLevel(logging.INFO)
    log.handlers = [_Lines()]
    log.propagate = False


def drop_unwritten() -> None:
    """Drop what a stream could not write, at the end of the process.

    Python would try to write it again, and would exit with another code.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                _open_null(stream.fileno())
                stream.flush()


def _open_null(number: int) -> None:
    """Open the null device under this descriptor."""
    found = os.open(os.devnull, os.O_RDWR)
    if found != number:
        os.dup2(found, number)
        os.close(found)
    os.set_inheritable(number, True)
