"""A lock, so that one process at a time trains a run; it ends with the process in any case."""

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

WAITS = 20  # attempts to take the lock, and to read the name of its holder
WAIT = 0.005  # seconds between them
_WITHOUT = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


def take_lock(path: Path, what: str) -> int:
    """The descriptor of a lock file, locked until it is closed or the process ends.

    Raises NetbuildError: exit 6 where another process, which is named, has the lock of `what`,
    exit 5 where the file is a link or not a file, and exit 7 where it cannot be opened, or its file
    system has no locks.
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
    """Lock a file; raises BlockingIOError.

    A process that only tests the lock, such as `netbuild runs`, holds it for an instant, so a
    failure is tried again.
    """
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
    """The process that has a lock, as its file says."""
    for _ in range(WAITS):
        try:
            found = json.loads(read_file(path, 1 << 12))
            return f"process {int(found['pid'])} on {found['host']!s:.64}, since {found['since']}"
        except (OSError, NetbuildError, ValueError, KeyError, TypeError, RecursionError):
            time.sleep(WAIT)  # the holder has not written its name yet
    return "another process"
