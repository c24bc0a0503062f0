"""Everything that depends on the operating system, with a fallback where a system lacks it.

Linux has all of these features. macOS has no CPU affinity of a process. Windows has hardly any of
them: there runs are not locked, folders are not synced to the disk, and only SIGINT and SIGTERM end
a training with its state saved.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def flags(*names: str) -> int:
    """Flags of `os.open` together; a flag that this system lacks counts as 0."""
    return sum(getattr(os, name, 0) for name in names)


NOFOLLOW = flags("O_NOFOLLOW")
# Opening a FIFO must not block, and opening a terminal must not make it the controlling one.
CAUTIOUS = flags("O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY", "O_BINARY")
READ = os.O_RDONLY | CAUTIOUS

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_BLOCK = 32 << 20  # bytes; glibc takes no larger threshold
_KEPT = 2**31 - 1

HAS_LOCKS = fcntl is not None
CAN_SYNC_FOLDERS = flags("O_DIRECTORY") != 0  # elsewhere a folder cannot be opened at all

# Signals that end a training with its state saved. A batch system may send SIGUSR1 some time before
# it takes the machine away; SIGHUP is sent when a terminal is closed.
ENDING: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")
    if hasattr(signal, name)
)


def worker_command(module: str) -> list[str]:
    """The command line of a Python process that runs `main` of a module.

    The process finds modules where this one does. These places come after its own, because the
    folder of a script may hold a `random.py`.
    """
    program = f"""
import sys
sys.path.extend(path for path in sys.argv[1:] if path not in sys.path)
from {module} import main
main()
"""
    return [sys.executable, "-P", "-c", program, *(path or os.getcwd() for path in sys.path)]


def cores() -> int:
    """How many cores this process may use; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine_cores() -> int:
    """How many cores the machine has, whether or not this process may use them all."""
    return max(os.cpu_count() or 1, cores())


def lock(descriptor: int, *, shared: bool = False) -> None:
    """Lock an open file without waiting, until it is closed; does nothing without `HAS_LOCKS`.

    Raises BlockingIOError where another process holds the lock, and OSError where the file system
    has no locks.
    """
    if fcntl is not None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def widen_pipe(stream: IO[bytes], size: int) -> None:
    """Give a pipe room for `size` bytes, where the system lets a process choose that."""
    if fcntl is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # then fewer bytes are read at a time
            fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, size)


def free_space(folder: str | os.PathLike[str]) -> int:
    """The bytes that the disk of a folder has free for this user; raises OSError."""
    if hasattr(os, "statvfs"):
        about = os.statvfs(folder)
        return about.f_bavail * about.f_frsize
    import shutil

    return shutil.disk_usage(folder).free


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


def memory_bytes() -> int:
    """The memory of this machine, or of its control group where that is less, in bytes."""
    limits = [1 << 62]
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = _text(name).strip()
        if text.isdecimal():
            limits.append(int(text))
    lines = _text("/proc/meminfo").splitlines()
    limits += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:")]
    found = min(limits)
    return found if found < 1 << 62 else 16 << 30  # a system that does not say: 16 GiB


def _text(name: str) -> str:
    try:
        return Path(name).read_text()
    except OSError:
        return ""
