"""The process of a command: its standard streams, and the memory that it frees.

Streams that are closed, full or without a reader end no training.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from netbuild.wording import printable

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST_BLOCK = 32 << 20  # bytes; glibc takes no larger threshold
_KEPT = 2**31 - 1
STREAMS = ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"))


def open_closed() -> None:
    """Lead closed standard streams nowhere: else the next file that is opened would be one."""
    for number, name, mode in STREAMS:
        try:
            os.fstat(number)
        except OSError:
            _lead_nowhere(number)
        if getattr(sys, name) is None:  # as Python leaves it
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def write_any_text() -> None:
    """Let the streams write what their encoding has not: names of files may be any bytes."""
    for stream in (sys.stdout, sys.stderr):
        # In the locale C Python gives such bytes back as they are, which names the file.
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "surrogateescape":
            with suppress(OSError, ValueError):  # it is closed, or leads elsewhere by now
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
    """Python's own warnings of what happens meanwhile, each as one line."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: warn(" ".join(str(message).split()))
        yield


def drop_unwritten() -> None:
    """Drop what a stream could not write: Python would try again, and set its own exit code.

    To be called at the end of the process.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                _lead_nowhere(stream.fileno())
                stream.flush()


def _lead_nowhere(number: int) -> None:
    """Make a descriptor that of a file without content."""
    found = os.open(os.devnull, os.O_RDWR)
    if found != number:
        os.dup2(found, number)
        os.close(found)
    os.set_inheritable(number, True)


def keep_freed_memory() -> bool:
    """Let glibc keep freed blocks of up to 32 MiB; whether it does (other systems: False).

    Each step of a training frees tensors of some megabytes and asks for them again. Given back to
    the system they return as fresh pages, one fault for every 4 KiB, which costs a recurrent
    network of 256 units about a tenth of its time.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    kept = mallopt(_TRIM_THRESHOLD, _KEPT)
    return bool(kept and mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK))
