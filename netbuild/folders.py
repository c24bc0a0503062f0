"""Folders whose contents are not trusted: their entries are opened without following a link.

A run directory is made to be passed on, so it can come from anybody. A symbolic link in it would
lead a command to read, or to overwrite, any file of the person who runs the command; a FIFO or a
device would make the command wait for ever. Here each part of a path below such a folder is opened
by itself, relative to the folder before it, and whatever is not a regular file or folder is
refused. Where the system cannot open relative to a folder, each part is examined first.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from netbuild.errors import Exit, NetbuildError
from netbuild.system import CAUTIOUS, NOFOLLOW, flags
from netbuild.wording import one_line

# The functions themselves are looked up when they are called; what they can do does not change.
RELATIVE = {os.open, os.stat, os.mkdir, os.rename, os.unlink, os.rmdir} <= os.supports_dir_fd
_FILE = CAUTIOUS | NOFOLLOW
_ENTER = flags("O_DIRECTORY", "O_CLOEXEC", "O_PATH")  # O_PATH needs no permission to list
_LIST = flags("O_DIRECTORY", "O_CLOEXEC")
_WRITES = os.O_WRONLY | os.O_RDWR
KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
)


class ForeignEntryError(NetbuildError):
    """An entry of a folder that is not a regular file or folder (exit 5)."""

    def __init__(self, path: Path, what: str) -> None:
        hint = "no link, FIFO or device in a run is followed; put the file or folder itself there"
        super().__init__(f"{one_line(str(path))} {what}", Exit.RUN, hint)


class TooLargeError(NetbuildError):
    """A file that has more bytes than it can sensibly have (exit 9)."""

    def __init__(self, path: Path, size: int, most: int) -> None:
        what = f"{one_line(str(path))} has {size:,} bytes; at most {most:,} are read"
        super().__init__(what, Exit.RESOURCES)


def refuse_foreign(path: Path, status: os.stat_result, *, in_place: bool = False) -> None:
    """Raise ForeignEntryError for what is not a regular file.

    With `in_place`, for a file of several names too: to write into it would change what the other
    names show, which may be a file of the user.
    """
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for is_kind, name in KINDS if is_kind(status.st_mode)), "a device")
        raise ForeignEntryError(path, f"is {kind}, and not a file")
    if in_place and status.st_nlink > 1:
        what = "has another name too (a hard link), and would be written in place"
        error = ForeignEntryError(path, what)
        error.hint = "copy the run, and resume the copy"
        raise error


class Folder:
    """An open folder, whose entries are named relative to it; all methods raise OSError."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self._descriptor = descriptor  # None: the system cannot open relative to a folder

    def close(self) -> None:
        """Close the folder; errors are ignored, since nothing was written through it."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)

    def stat(self, name: str) -> os.stat_result:
        """What an entry is; of a link, the link."""
        path, where = self._at(name)
        return os.stat(path, follow_symlinks=False, **where)

    def has(self, name: str) -> bool:
        """Whether there is an entry of that name."""
        try:
            self.stat(name)
        except FileNotFoundError:
            return False
        return True

    def check(self, name: str, *, in_place: bool = False) -> os.stat_result:
        """As `stat`; raises ForeignEntryError too, as `refuse_foreign` does."""
        status = self.stat(name)
        refuse_foreign(self.path / name, status, in_place=in_place)
        return status

    def open(self, name: str, flags: int = os.O_RDONLY) -> int:
        """The descriptor of a regular file; raises ForeignEntryError for anything else.

        Anything but a file is not even opened; a file with a second name is not opened for writing.
        """
        path, where = self._at(name)
        in_place = bool(flags & _WRITES)
        if flags & os.O_EXCL:  # it is made now
            return os.open(path, flags | _FILE, 0o666, **where)
        try:
            self.check(name, in_place=in_place)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
        descriptor = os.open(path, flags | _FILE, 0o666, **where)
        try:
            refuse_foreign(self.path / name, os.fstat(descriptor), in_place=in_place)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def below(self, name: str) -> Folder:
        """A folder in it; raises ForeignEntryError for a link."""
        inner, (path, where) = self.path / name, self._at(name)
        if stat.S_ISLNK(self.stat(name).st_mode):
            raise ForeignEntryError(inner, "is a symbolic link, and not a folder")
        if self._descriptor is None:
            return _plain(inner)
        return Folder(inner, os.open(path, _ENTER | NOFOLLOW, **where))

    @contextmanager
    def entered(self, name: str) -> Iterator[Folder]:
        """As `below`, closed at the end."""
        inner = self.below(name)
        try:
            yield inner
        finally:
            inner.close()

    @contextmanager
    def listed(self) -> Iterator[int | None]:
        """A descriptor to list and sync the folder by; None where the system has none."""
        if self._descriptor is None:
            yield None
            return
        descriptor = os.open(".", os.O_RDONLY | _LIST, dir_fd=self._descriptor)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def names(self) -> list[str]:
        """The names of all entries."""
        with self.listed() as descriptor:
            return os.listdir(self.path if descriptor is None else descriptor)

    def rename(self, name: str, to: str) -> None:
        """Give an entry another name; what had that name is replaced."""
        if self._descriptor is None:
            os.replace(self.path / name, self.path / to)
        else:
            here = self._descriptor
            os.rename(name, to, src_dir_fd=here, dst_dir_fd=here)

    def mkdir(self, name: str) -> None:
        """Make a folder in it."""
        path, where = self._at(name)
        os.mkdir(path, **where)

    def remove(self, name: str) -> None:
        """Remove a file or a link, or a folder with everything in it."""
        path, where = self._at(name)
        if not stat.S_ISDIR(self.stat(name).st_mode):
            os.unlink(path, **where)
            return
        with self.entered(name) as inner:
            for each in inner.names():
                inner.remove(each)
        os.rmdir(path, **where)

    def _at(self, name: str) -> tuple[Any, dict[str, int]]:
        """The path and the keywords by which a function of `os` reaches an entry."""
        if self._descriptor is None:
            return self.path / name, {}
        return name, {"dir_fd": self._descriptor}


def _plain(path: Path) -> Folder:
    """A folder on a system that cannot open relative to one."""
    os.stat(path)
    return Folder(path, None)


@contextmanager
def entered(path: Path, within: Path | None = None) -> Iterator[Folder]:
    """An open folder; of its path, no part below `within` is followed where it is a link.

    Without `within`, the user named the path, and links in it are followed. Raises
    OSError, and ForeignEntryError for a link below `within`.
    """
    start = path if within is None else within
    folder = Folder(start, os.open(start, os.O_RDONLY | _ENTER)) if RELATIVE else _plain(start)
    try:
        for part in path.relative_to(start).parts:
            inner = folder.below(part)
            folder.close()
            folder = inner
        yield folder
    finally:
        folder.close()


def check_file(path: Path, within: Path | None = None, *, in_place: bool = False) -> os.stat_result:
    """What a regular file is; raises OSError, and ForeignEntryError for anything else.

    `within` as `entered` has it, `in_place` as `refuse_foreign`; the file itself is never followed.
    """
    with entered(path.parent, within) as folder:
        return folder.check(path.name, in_place=in_place)


def check_files(path: Path, within: Path | None = None) -> None:
    """The same for every entry of a folder, which need not be there."""
    try:
        with entered(path, within) as folder:
            for name in folder.names():
                folder.check(name)
    except FileNotFoundError:
        return
