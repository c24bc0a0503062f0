"""Writing files so that a reader sees the old one or the new one, and never a part of it.

Everything that changes the disk is a function of `os`, looked up when it is called, so that a test
can count the calls, fail them, or end the process at any of them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from netbuild import system
from netbuild.errors import Exit, NetbuildError

Result = TypeVar("Result")

PASSING = (errno.EIO, errno.ESTALE, errno.EAGAIN)  # errors that a second attempt may not meet
PAUSES = (0.02, 0.2)  # seconds before each further attempt
PART = 1 << 24  # bytes of one write or read
LARGEST = 1 << 40  # bytes of a file that is read
MARGIN = 1 << 20  # bytes that stay free
_LEFT_OVER = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


def canonical_json(data: object) -> str:
    """JSON that is the same text for the same data."""
    return json.dumps(
        data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(data: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def steadily(action: Callable[[], Result]) -> Result:
    """What an action returns; it is tried again where the disk failed in a way that may pass.

    The action must be one that can be begun anew.
    """
    for pause in PAUSES:
        try:
            return action()
        except OSError as error:
            if error.errno not in PASSING:
                raise
            time.sleep(pause)
    return action()


def write_file(path: Path, data: bytes) -> None:
    """Write a new file and wait until it is on the disk; raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | system.O_CLOEXEC, 0o666)
    try:
        _write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view[:PART]) :]


def read_file(path: Path, most: int = LARGEST) -> bytes:
    """The bytes of a regular file; raises OSError, for one of more than `most` bytes too."""
    descriptor = os.open(path, os.O_RDONLY | system.O_CLOEXEC | system.O_NONBLOCK)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if about.st_size > most:
            raise OSError(errno.EFBIG, f"larger than {most:,} bytes", str(path))
        parts = []
        while part := os.read(descriptor, PART):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def hash_beginning(path: Path, size: int) -> Any:
    """The running SHA-256 of the first `size` bytes of a regular file; raises OSError."""
    return steadily(lambda: _hash_beginning(path, size))


def _hash_beginning(path: Path, size: int) -> Any:
    found, left = hashlib.sha256(), size
    descriptor = os.open(path, os.O_RDONLY | system.O_CLOEXEC | system.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        while left and (part := os.read(descriptor, min(left, PART))):
            found.update(part)
            left -= len(part)
    finally:
        os.close(descriptor)
    return found


def replace_file(path: Path, data: bytes) -> None:
    """Write a file in place of another, at once."""
    steadily(lambda: _replace(path, data))


def _replace(path: Path, data: bytes) -> None:
    temporary = _beside(path)
    try:
        write_file(temporary, data)
        os.rename(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def append(path: Path, data: bytes, at: int) -> int:
    """Write at the end of a file that has `at` bytes; returns how many it then has.

    Raises OSError, and NetbuildError (exit 7) for a file of any other length: somebody else has
    written to it, or cut it.
    """
    most = at

    def write() -> None:
        nonlocal most
        descriptor = os.open(path, os.O_WRONLY | system.O_CLOEXEC | system.O_NONBLOCK)
        try:
            found = os.fstat(descriptor).st_size
            if not at <= found <= most:
                what = f"{path} has {found:,} bytes, and had {at:,}: somebody else writes to it"
                raise NetbuildError(what, Exit.IO, "what was saved before is whole")
            most = at + len(data)  # of a second attempt: the first may have come so far
            os.lseek(descriptor, at, os.SEEK_SET)
            _write_all(descriptor, data)
        finally:
            os.close(descriptor)

    steadily(write)
    return at + len(data)


def sync_file(path: Path) -> None:
    """Wait until what was appended to a file is on the disk; asked for once."""
    _with_descriptor(path, lambda descriptor: None)


def cut_file(path: Path, size: int) -> None:
    """Leave the first `size` bytes of a file, and wait until that is on the disk."""
    steadily(lambda: _with_descriptor(path, lambda descriptor: os.ftruncate(descriptor, size)))


def _with_descriptor(path: Path, action: Callable[[int], None]) -> None:
    descriptor = os.open(path, os.O_WRONLY | system.O_CLOEXEC)
    try:
        action(descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder with these files, at once: it is there whole, or not at all.

    It is read again, and nothing is returned unless the disk holds these very bytes. Raises
    OSError, also for a folder of that name that is there already and holds something else.
    """
    steadily(lambda: _write_folder(path, files))


def _write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    temporary = _beside(path)
    if os.path.lexists(path):
        # The first attempt came as far as that. The entry is made anew, or waiting for it again
        # would tell nothing: the system tells of a failure once.
        os.rename(path, temporary)
        os.rename(temporary, path)
    else:
        os.mkdir(temporary)
        try:
            for name, data in files.items():
                write_file(temporary / name, data)
            sync_folder(temporary)
            os.rename(temporary, path)
        except BaseException:
            with suppress(OSError):  # as far as it can be
                remove(temporary)
            raise
    sync_folder(path.parent)
    for name, data in files.items():
        if read_file(path / name) != data:
            raise OSError(errno.EIO, "the disk does not hold what was written", str(path / name))


def remove_folder(path: Path) -> None:
    """Remove a folder of files: it is there whole, or not at all, for who looks for its name."""
    temporary = _beside(path)
    os.rename(path, temporary)
    remove_leftovers(path.parent, only=temporary.name)


def remove_leftovers(folder: Path, only: str | None = None) -> None:
    """Remove what was being written, or removed, when a process ended at once."""
    for name in os.listdir(folder):
        if not _LEFT_OVER.fullmatch(name) or only not in (None, name):
            continue
        path = folder / name
        remove(path)


def remove(path: Path) -> None:
    """Remove a file or a link, or a folder with all that somebody may have put into it."""
    if os.path.isdir(path) and not os.path.islink(path):
        for inner in os.listdir(path):
            remove(path / inner)
        os.rmdir(path)
    else:
        os.unlink(path)


def _beside(path: Path) -> Path:
    """A hidden name in the same folder, which nobody else has."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def make_folders(path: Path) -> None:
    """Make a new folder, and those above it that are not there; raises FileExistsError."""
    missing = [folder for folder in path.parents if not folder.is_dir()]
    for folder in reversed(missing):
        with suppress(FileExistsError):  # another process was quicker
            os.mkdir(folder)
        sync_folder(folder.parent)
    os.mkdir(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Wait until a folder's entries are on the disk, where the system can be asked for that."""
    if not system.CAN_SYNC_FOLDERS:
        return
    descriptor = os.open(path, os.O_RDONLY | system.O_DIRECTORY | system.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_space(
    folder: Path, needed: int, hint: str = "free some, and `netbuild resume` goes on"
) -> None:
    """Raise NetbuildError (exit 7) unless the disk of a folder has `needed` bytes, and some more.

    A quota is not seen here: it shows when something is written.
    """
    free = system.free_space(folder)
    if free < needed + MARGIN:
        what = f"the disk of {folder} has {free:,} bytes free; {needed + MARGIN:,} are needed"
        raise NetbuildError(what, Exit.IO, hint)
