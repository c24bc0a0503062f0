"""Writing files so that a reader sees the old one or the new one, and never a part of it.

Whatever is written reaches the disk through `write`, `fsync` and `rename`, and through functions
of `os`, all looked up when they are called. So a test can count them, fail them, end the process at
any of them, or put something else in their place.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from netbuild import system
from netbuild.errors import Exit, NetbuildError
from netbuild.folders import Folder, ForeignEntryError, TooLargeError, check_file, entered
from netbuild.system import memory_bytes

Result = TypeVar("Result")

PASSING = (errno.EIO, errno.ESTALE, errno.EAGAIN)  # errors that a second attempt may not meet
PAUSES = (0.02, 0.2)  # seconds before each further attempt
PART = 1 << 24  # bytes of one write or read
LARGEST = 1 << 40  # bytes of a file that is read
FAIR = 1 << 26  # bytes, from which on a file is compared with the memory of the machine
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


# What says that something is missing from a run, or is something else; other errors are the disk's.
ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


def reason_of(error: OSError) -> str:
    """What the system says of an error, in a few words."""
    return error.strerror or type(error).__name__


@contextmanager
def io_errors(what: str, exit_code: Exit = Exit.IO, hint: str = "") -> Iterator[None]:
    """Raise NetbuildError, with `what` and the system's reason, in place of an OSError."""
    try:
        yield
    except OSError as error:
        raise NetbuildError(f"{what}: {reason_of(error)}", exit_code, hint) from None


@contextmanager
def reading(path: Path, *damaged: type[Exception]) -> Iterator[None]:
    """Raise NetbuildError for a run's file that is missing or damaged (exit 5), that the disk or a
    permission keeps from being read (exit 7), or that memory does not hold (exit 9).

    ValueError and RecursionError are what damaged text and JSON raise; `damaged` are those of
    another parser. Every other exception is a bug of ours, and passes.
    """
    kinds: tuple[type[Exception], ...] = (*ABSENT, ValueError, RecursionError, *damaged)
    try:
        yield
    except (ForeignEntryError, TooLargeError):
        raise
    except MemoryError:
        what = f"{path} cannot be read: there is not enough memory"
        raise NetbuildError(what, Exit.RESOURCES) from None
    except NetbuildError as error:
        what = str(error).partition("\n")[0]
        code = Exit.RESOURCES if error.exit_code == Exit.RESOURCES else Exit.RUN
        raise NetbuildError(f"{path} cannot be used: {what}", code) from None
    except kinds as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise NetbuildError(f"{path} cannot be read: {reason[:120]}", Exit.RUN) from None
    except OSError as error:
        raise NetbuildError(f"{path} cannot be read: {reason_of(error)}", Exit.IO) from None


def write(descriptor: int, data: bytes) -> None:
    """Write all bytes, at the place where the open file stands."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view[:PART]) :]


def fsync(descriptor: int) -> None:
    """Wait until an open file or folder is on the disk."""
    os.fsync(descriptor)


def rename(folder: Folder, name: str, to: str) -> None:
    """Give an entry of an open folder another name, in place of what has that name."""
    folder.rename(name, to)


def steadily(action: Callable[[], Result]) -> Result:
    """What an action returns; it is tried again after an error of the disk that may pass.

    The action must be one that can be started again.
    """
    for pause in PAUSES:
        try:
            return action()
        except OSError as error:
            if error.errno not in PASSING:
                raise
            time.sleep(pause)
    return action()


def _write_new(folder: Folder, name: str, data: bytes) -> None:
    """Write a new file and wait until it is on the disk; raises FileExistsError."""
    descriptor = folder.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        write(descriptor, data)
        fsync(descriptor)
    finally:
        os.close(descriptor)


def read_file(path: Path, most: int = LARGEST, within: Path | None = None) -> bytes:
    """The bytes of a regular file; a link in its place is not followed.

    Raises OSError, ForeignEntryError (exit 5) for what is no regular file, and TooLargeError
    (exit 9), before anything is read, for a file of more than `most` bytes, or of more than half
    of the machine's memory. `within` is a folder below which no part of the path may be a link.
    """
    with entered(path.parent, within) as folder:
        return read_entry(folder, path.name, most)


def read_entry(
    folder: Folder, name: str, most: int = LARGEST, limit: Callable[[int], int] | None = None
) -> bytes:
    """As `read_file`, of a file in an open folder.

    `limit` returns how many bytes a file may have, from the beginning of its open descriptor.
    """
    descriptor = folder.open(name)
    try:
        size = os.fstat(descriptor).st_size
        most = most if size < FAIR else min(most, memory_bytes() // 2)
        if limit is not None:
            most = min(most, limit(descriptor))
            os.lseek(descriptor, 0, os.SEEK_SET)
        if size > most:
            raise TooLargeError(folder.path / name, size, most)
        parts, left = [], most
        while part := os.read(descriptor, PART):
            parts.append(part)
            left -= len(part)
            if left < 0:  # it grows while it is read
                raise TooLargeError(folder.path / name, most - left, most)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def read_beginning(descriptor: int, size: int) -> bytes:
    """The next `size` bytes of an open file, fewer where it ends before; raises OSError."""
    data = b""
    while len(data) < size and (part := os.read(descriptor, min(size - len(data), PART))):
        data += part
    return data


def hash_beginning(path: Path, size: int) -> Any:
    """The running SHA-256 of the first `size` bytes of a regular file; raises as `read_file`."""
    return steadily(lambda: _hash_beginning(path, size))


def _hash_beginning(path: Path, size: int) -> Any:
    found, left = hashlib.sha256(), size
    with entered(path.parent) as folder:
        descriptor = folder.open(path.name)
    try:
        while left and (part := os.read(descriptor, min(left, PART))):
            found.update(part)
            left -= len(part)
    finally:
        os.close(descriptor)
    return found


def replace_file(path: Path, data: bytes, within: Path | None = None) -> None:
    """Write a file in place of another, at once; of a link, the link is replaced.

    Raises OSError. `within` as `read_file` has it.
    """
    steadily(lambda: _replace(path, data, within))


def _replace(path: Path, data: bytes, within: Path | None) -> None:
    with entered(path.parent, within) as folder:
        temporary = _beside(path.name)
        try:
            _write_new(folder, temporary, data)
            rename(folder, temporary, path.name)
        except BaseException:
            with suppress(OSError):
                folder.remove(temporary)
            raise
        _sync(folder)


def append(path: Path, data: bytes, at: int) -> int:
    """Write at the end of a file that has `at` bytes; returns how many it then has.

    Raises OSError, ForeignEntryError for what is not a regular file, and NetbuildError (exit 7)
    for a file of any other length: another program has written to it, or cut it.
    """
    most = at

    def add() -> None:
        nonlocal most
        with _in_place(path) as descriptor:
            found = os.fstat(descriptor).st_size
            if not at <= found <= most:
                what = f"{path} has {found:,} bytes, and had {at:,}: somebody else writes to it"
                raise NetbuildError(what, Exit.IO, "what was saved before is whole")
            most = at + len(data)  # of a second attempt: the first may have come so far
            os.lseek(descriptor, at, os.SEEK_SET)
            write(descriptor, data)

    steadily(add)
    return at + len(data)


def sync_file(path: Path) -> None:
    """Wait until what was appended to a file is on the disk; asked for once."""
    with _in_place(path) as descriptor:
        fsync(descriptor)


def cut_file(path: Path, size: int) -> None:
    """Leave the first `size` bytes of a file, and wait until that is on the disk."""

    def cut() -> None:
        with _in_place(path) as descriptor:
            os.ftruncate(descriptor, size)
            fsync(descriptor)

    steadily(cut)


@contextmanager
def _in_place(path: Path) -> Iterator[int]:
    """The descriptor of a file that is open for writing, in place."""
    with entered(path.parent) as folder:
        descriptor = folder.open(path.name, os.O_WRONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write_folder(path: Path, files: Mapping[str, bytes], within: Path | None = None) -> None:
    """Write a new folder with these files, at once: it is there whole, or not at all.

    It is read again, and nothing is returned unless the disk holds these very bytes. Raises
    OSError, also for a folder of that name that is there already and holds something else.
    """
    steadily(lambda: _write_folder(path, files, within))


def _write_folder(path: Path, files: Mapping[str, bytes], within: Path | None) -> None:
    name, temporary = path.name, _beside(path.name)
    with entered(path.parent, within) as folder:
        if folder.has(name):
            # The first attempt got this far. The entry is renamed again, because the system
            # reports a failed fsync only once.
            rename(folder, name, temporary)
            rename(folder, temporary, name)
        else:
            folder.mkdir(temporary)
            try:
                with folder.entered(temporary) as inner:
                    for each, data in files.items():
                        _write_new(inner, each, data)
                    _sync(inner)
                rename(folder, temporary, name)
            except BaseException:
                with suppress(OSError):  # as far as it can be
                    folder.remove(temporary)
                raise
        _sync(folder)
        with folder.entered(name) as inner:
            for each, data in files.items():
                if read_entry(inner, each) != data:
                    what = "the disk does not hold what was written"
                    raise OSError(errno.EIO, what, str(path / each))


def remove_folder(path: Path, within: Path | None = None) -> None:
    """Remove a folder of files: it is there whole, or not at all, for who looks for its name."""
    temporary = _beside(path.name)
    with entered(path.parent, within) as folder:
        rename(folder, path.name, temporary)
        try:
            folder.remove(temporary)
        except OSError:  # once more: a failure that passes leaves nothing half-removed
            folder.remove(temporary)


def remove_leftovers(path: Path, within: Path | None = None) -> None:
    """Remove what was being written, or removed, when a process ended at once."""
    with entered(path, within) as folder:
        for name in folder.names():
            if _LEFT_OVER.fullmatch(name):
                folder.remove(name)


def remove(path: Path) -> None:
    """Remove a file or a link, or a folder with everything in it."""
    with entered(path.parent) as folder:
        folder.remove(path.name)


def rename_entry(path: Path, to: str, within: Path | None = None) -> Path:
    """Give an entry of a folder another name there, on the disk at once; returns its path."""
    with entered(path.parent, within) as folder:
        rename(folder, path.name, to)
        _sync(folder)
    return path.with_name(to)


def names_in(path: Path, within: Path | None = None) -> list[str]:
    """The names of a folder's entries; `within` as `read_file` has it."""
    with entered(path, within) as folder:
        return folder.names()


def is_there(path: Path, within: Path | None = None) -> bool:
    """Whether there is a regular file; raises ForeignEntryError for anything else."""
    try:
        check_file(path, within)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def need_folder(path: Path, within: Path) -> None:
    """Make a folder where it is missing; raises ForeignEntryError for a link in its place."""
    with entered(path.parent, within) as folder:
        if not folder.has(path.name):
            folder.mkdir(path.name)
            _sync(folder)
        folder.below(path.name).close()


def _beside(name: str) -> str:
    """A unique hidden name in the same folder."""
    return f".{name}.{secrets.token_hex(4)}.tmp"


def _sync(folder: Folder) -> None:
    with folder.listed() as descriptor:
        if descriptor is not None:  # else there is no waiting for a folder on this system
            fsync(descriptor)


def make_folders(path: Path) -> None:
    """Make a new folder, and those above it that are not there; raises FileExistsError."""
    missing = [folder for folder in path.parents if not folder.is_dir()]
    for folder in reversed(missing):
        with suppress(FileExistsError):  # another process was quicker
            os.mkdir(folder)
        sync_folder(folder.parent)
    os.mkdir(path)
    sync_folder(path.parent)


def sync_folder(path: Path, within: Path | None = None) -> None:
    """Wait until a folder's entries are on the disk, where the system can be asked for that."""
    if not system.CAN_SYNC_FOLDERS:
        return
    with entered(path, within) as folder:
        _sync(folder)


def require_space(
    folder: Path, needed: int, hint: str = "free some, and `netbuild resume` continues"
) -> None:
    """Raise NetbuildError (exit 7) unless the disk of a folder has `needed` bytes, and some more.

    A quota is not seen here: it shows when something is written.
    """
    free = system.free_space(folder)
    if free < needed + MARGIN:
        what = f"the disk of {folder} has {free:,} bytes free; {needed + MARGIN:,} are needed"
        raise NetbuildError(what, Exit.IO, hint)
