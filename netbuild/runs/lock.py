"""One process trains a run at a time: a lock that the kernel gives back however a process ends."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from pathlib import Path

from netbuild import system
from netbuild.durable import io_errors, read_file, reason_of
from netbuild.errors import Exit, NetbuildError
from netbuild.folders import entered
from netbuild.runs.schema import now

WAITS = 20  # times that the holder's name is looked for, when it has only just come
WAIT = 0.005  # seconds
_WITHOUT = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


def take_lock(path: Path, what: str) -> int:
    """The descriptor of a lock file, locked until it is closed or the process ends.

    Raises NetbuildError at once: exit 6 where another process has the lock of `what`, whom it
    names, exit 5 where the file is a link or no file, and exit 7 where it cannot be opened, or its
    file system has no locks.
    """
    with io_errors(f"{what} cannot be locked"), entered(path.parent) as folder:
        descriptor = folder.open(path.name, os.O_RDWR | os.O_CREAT)
    try:
        _lock(descriptor)
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now()}
        os.ftruncate(descriptor, 0)
        os.write(descriptor, (json.dumps(holder) + "\n").encode())
    except BlockingIOError:
        os.close(descriptor)
        raise NetbuildError(f"{what} is in use by {_holder(path)}", Exit.LOCKED) from None
    except OSError as error:
        os.close(descriptor)
        hint = "its file system has no locks" if error.errno in _WITHOUT else ""
        raise NetbuildError(f"{what} cannot be locked: {reason_of(error)}", Exit.IO, hint) from None
    return descriptor


def _lock(descriptor: int) -> None:
    """Lock it; whoever only looks whether it is locked holds it for an instant. BlockingIOError."""
    for left in reversed(range(WAITS)):
        try:
            system.lock(descriptor)
        except BlockingIOError:
            if not left:
                raise
            time.sleep(WAIT)
        else:
            return


def _holder(path: Path) -> str:
    """Who has a lock, as its file says."""
    for _ in range(WAITS):
        try:
            found = json.loads(read_file(path, 1 << 12))
            return f"process {int(found['pid'])} on {found['host']!s:.64}, since {found['since']}"
        except (OSError, NetbuildError, ValueError, KeyError, TypeError, RecursionError):
            time.sleep(WAIT)  # it has only just been locked
    return "another process"
