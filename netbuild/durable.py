"""Files that survive a power loss: a reader sees the old file or the new one, never a part of it.

Every change reaches the disk through `write`, `fsync` and `rename` of this module and through
functions of `os`, which are looked up when they are called. A test can therefore count these calls,
let them fail, or end the process at any of them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from netbuild import system
from netbuild.errors import Exit, NetbuildError
from netbuild.folders import Folder, ForeignEntryError, TooLargeError, check_file, entered

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

PASSING = (errno.EIO, errno.ESTALE, errno.EAGAIN)  # errors that a second attempt may not meet
PAUSES = (0.02, 0.2)  # seconds before the second and the third attempt
PART = 1 << 24  # bytes of one write or read
LARGEST = 1 << 40  # bytes of a file that is read
FAIR = 1 << 26  # bytes; a larger file is read only if it fits into half of the machine's memory
MARGIN = 1 << 20  # bytes of the disk that stay free
# Errors that say that a part of a run is missing or is something else; other errors are the disk's.
ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_LEFT_OVER = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


def canonical_json(data: object) -> str:
    """JSON that is the same text for the same data."""
    return json.dumps(
        data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(data: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


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
    """Raise NetbuildError for a file of a run that cannot be read.

    The exit code is 5 for a file that is missing or damaged, 7 where the disk or a permission
    prevents the reading, and 9 where the memory is too small. Damaged text and JSON raise
    ValueError or RecursionError; `damaged` are the exceptions of another parser. Every other
    exception is a bug of ours, and passes.
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


def steady(action: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """The same function, tried up to three times where the disk reports an error that may pass.

    The function must be able to start again after it has failed half-way.
    """

    @wraps(action)
    def tried(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        for pause in PAUSES:
            try:
                return action(*args, **kwargs)
            except OSError as error:
                if error.errno not in PASSING:
                    raise
                time.sleep(pause)
        return action(*args, **kwargs)

    return tried


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
    """As `read_file`, for a file in an open folder.

    `limit` reads the beginning of the open file, and returns how many bytes the file may have.
    """
    descriptor = folder.open(name)
    try:
        size = os.fstat(descriptor).st_size
        most = most if size < FAIR else min(most, system.memory_bytes() // 2)
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


@steady
def hash_beginning(path: Path, size: int) -> Any:
    """The SHA-256 object of the first `size` bytes of a regular file, which can be updated.

    Raises the errors of `read_file`.
    """
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


@steady
def replace_file(path: Path, data: bytes, within: Path | None = None) -> None:
    """Write a file in place of another, at once; a link is replaced, and not followed.

    Raises OSError. No part of the path below `within` may be a link.
    """
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
    """Append to a file whose length is `at` bytes; returns its new length.

    Raises OSError, ForeignEntryError for what is not a regular file, and NetbuildError (exit 7)
    for a file of any other length: another program has appended to the file, or shortened it.
    """
    most = at

    @steady
    def add() -> None:
        nonlocal most
        with _in_place(path) as descriptor:
            found = os.fstat(descriptor).st_size
            if not at <= found <= most:
                what = (
                    f"{path} has {found:,} bytes instead of {at:,}: another program has changed it"
                )
                raise NetbuildError(what, Exit.IO, "everything that was saved before is intact")
            most = at + len(data)  # a failed attempt may have written a part of the data
            os.lseek(descriptor, at, os.SEEK_SET)
            write(descriptor, data)

    add()
    return at + len(data)


def sync_file(path: Path) -> None:
    """Wait until a file is on the disk; a failure is not tried again."""
    with _in_place(path) as descriptor:
        fsync(descriptor)


@steady
def cut_file(path: Path, size: int) -> None:
    """Shorten a file to its first `size` bytes, and wait until that is on the disk."""
    with _in_place(path) as descriptor:
        os.ftruncate(descriptor, size)
        fsync(descriptor)


@contextmanager
def _in_place(path: Path) -> Iterator[int]:
    """The descriptor of an existing file that is open for writing."""
    with entered(path.parent) as folder:
        descriptor = folder.open(path.name, os.O_WRONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@steady
def write_folder(path: Path, files: Mapping[str, bytes], within: Path | None = None) -> None:
    """Write a new folder with these files at once: the whole folder is there, or none of it.

    The files are read again. Raises OSError where the disk holds other bytes than these, or where a
    folder of that name is already there and holds something else.
    """
    name, temporary = path.name, _beside(path.name)
    with entered(path.parent, within) as folder:
        if folder.has(name):
            # An earlier attempt got this far. The folder is renamed again, because the system
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
                with suppress(OSError):
                    folder.remove(temporary)
                raise
        _sync(folder)
        with folder.entered(name) as inner:
            for each, data in files.items():
                if read_entry(inner, each) != data:
                    what = "the disk does not hold what was written"
                    raise OSError(errno.EIO, what, str(path / each))


def remove_folder(path: Path, within: Path | None = None) -> None:
    """Remove a folder of files at once: under its name the whole folder is there, or none of it."""
    temporary = _beside(path.name)
    with entered(path.parent, within) as folder:
        rename(folder, path.name, temporary)
        try:
            folder.remove(temporary)
        except OSError:  # a second attempt, so that an error that passes leaves no remains
            folder.remove(temporary)


def remove_leftovers(path: Path, within: Path | None = None) -> None:
    """Remove what a process that was killed had begun to write or to remove."""
    with entered(path, within) as folder:
        for name in folder.names():
            if _LEFT_OVER.fullmatch(name):
                folder.remove(name)


def remove(path: Path) -> None:
    """Remove a file or a link, or a folder with everything in it."""
    with entered(path.parent) as folder:
        folder.remove(path.name)


def rename_entry(path: Path, to: str, within: Path | None = None) -> Path:
    """Rename an entry within its folder, and wait until that is on the disk; returns its path."""
    with entered(path.parent, within) as folder:
        rename(folder, path.name, to)
        _sync(folder)
    return path.with_name(to)


def names_in(path: Path, within: Path | None = None) -> list[str]:
    """The names of a folder's entries; no part of the path below `within` may be a link."""
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
    return f".{name}.{os.urandom(4).hex()}.tmp"


def _sync(folder: Folder) -> None:
    with folder.listed() as descriptor:
        if descriptor is not None:  # some systems cannot sync a folder
            fsync(descriptor)


def make_folders(path: Path) -> None:
    """Make a new folder and the missing ones above it; raises FileExistsError for the new one."""
    missing = [folder for folder in path.parents if not folder.is_dir()]
    for folder in reversed(missing):
        with suppress(FileExistsError):  # another process was quicker
            os.mkdir(folder)
        sync_folder(folder.parent)
    os.mkdir(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Wait until a folder's entries are on the disk, on systems that can sync a folder."""
    if system.CAN_SYNC_FOLDERS:
        with entered(path) as folder:
            _sync(folder)


def require_space(
    folder: Path, needed: int, hint: str = "free some, and `netbuild resume` continues"
) -> None:
    """Raise NetbuildError (exit 7) unless the disk of a folder has room for `needed` bytes.

    A user's quota is not visible here; it shows when something is written.
    """
    free = system.free_space(folder)
    if free < needed + MARGIN:
        what = f"the disk of {folder} has {free:,} bytes free; {needed + MARGIN:,} are needed"
        raise NetbuildError(what, Exit.IO, hint)
