"""Counts what a process does to the files below a folder; ends it, fails it, or takes notes.

The functions of `os` are replaced in this process, so it must be one that was forked for a case.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import io
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What changes the disk, or waits for it.
CHANGES = ("open", "write", "fsync", "ftruncate", "rename", "replace", "mkdir", "unlink", "rmdir")
# What only looks, or ends: it can fail, and a kill there is one at the next change.
LOOKS = (
    *("look", "read", "listdir", "scandir", "stat"),
    *("fstat", "statvfs", "fopen", "flock", "close"),
)


class Shim:
    """`mode` says what happens at call number `at`, counted from 0.

    "count": nothing. "before", "after" and "half" (of a write) kill the process. "once" and
    "forever" fail the call with the error number `error`, and all later ones; "short" makes a write
    take only half of its bytes, and is no error. "record" writes all calls to `report` at the end.

    `reached` is whether there was such a call.
    """

    def __init__(
        self, folder: str, mode: str, at: int = -1, error: int = errno.EIO, report: str = ""
    ) -> None:
        self.folder, self.mode, self.at, self.error = folder, mode, at, error
        self.counted = CHANGES if mode in ("before", "after", "half", "kills") else CHANGES + LOOKS
        self.reached = False
        self.calls: list[str] = []
        self.trace: list[dict[str, Any]] = []
        self._paths: dict[int, str] = {}
        self._report = report

    def install(self) -> None:
        """Replace the functions; nothing is replaced back."""
        looks = ("read", "listdir", "scandir", "stat", "fstat", "statvfs", "close")
        self._real = {name: getattr(os, name) for name in (*CHANGES, *looks)}
        self._real |= {"fopen": io.open, "flock": fcntl.flock}
        os.open, os.close = self._open, self._close  # type: ignore[assignment]
        for name in ("write", "fsync", "ftruncate", "read", "fstat"):
            setattr(os, name, self._of_descriptor(name))
        for name in ("rename", "replace", "mkdir", "unlink", "rmdir"):
            setattr(os, name, self._of_path(name))
        for name in ("listdir", "scandir", "stat", "statvfs"):
            setattr(os, name, self._of_path(name))
        os.remove = os.unlink
        fcntl.flock = self._of_descriptor("flock")
        io.open = self._of_path("fopen")

    def finish(self) -> None:
        """Tell what was counted or recorded."""
        if self._report:
            Path(self._report).write_text(json.dumps({"calls": self.calls, "trace": self.trace}))

    def mark(self, **values: Any) -> None:
        """Note what the training has been told by now."""
        self.trace.append({"op": "mark", **values})

    def _inside(self, path: object, folder: int | None = None) -> str | None:
        """A path or a descriptor that a call is given, if it is below the folder."""
        if isinstance(path, int):
            return self._paths.get(path)
        if not isinstance(path, (str, os.PathLike)):
            return None
        if folder is not None and folder not in self._paths:
            return None
        whole = os.path.abspath(os.path.join(self._paths.get(folder or 0, ""), os.fspath(path)))
        return whole if whole == self.folder or whole.startswith(self.folder + os.sep) else None

    def _call(self, name: str, act: Callable[[], Any], write: Callable[[float], Any] | None) -> Any:
        if name not in self.counted:
            return act()
        number = len(self.calls)
        self.calls.append(name)
        if number == self.at:
            self.reached = True
            if self.mode == "before":
                self._end()
            elif self.mode == "after":
                act()
                self._end()
            elif self.mode == "half" and write is not None:
                write(0.5)
                self._end()
            elif self.mode == "short" and write is not None:
                return write(0.5)
        if (number == self.at and self.mode == "once") or (
            number >= self.at and self.mode == "forever"
        ):
            raise OSError(self.error, os.strerror(self.error))
        return act()

    def _end(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _note(self, op: str, **values: Any) -> None:
        if self.mode == "record":
            self.trace.append({"op": op, **values})

    def _open(self, path: Any, flags: int, *args: Any, **options: Any) -> int:
        inside = self._inside(path, options.get("dir_fd"))
        real = self._real["open"]
        if inside is None:
            return int(real(path, flags, *args, **options))
        there = os.path.lexists(inside)
        entered = flags & (os.O_DIRECTORY | os.O_PATH) == os.O_DIRECTORY | os.O_PATH
        changes = flags & (os.O_WRONLY | os.O_RDWR | os.O_DIRECTORY) and not entered
        name = "open" if changes else "look"
        found = int(self._call(name, lambda: real(path, flags, *args, **options), None))
        self._paths[found] = inside
        emptied = bool(flags & os.O_TRUNC)
        self._note("open", fd=found, path=inside, created=not there, emptied=emptied)
        return found

    def _close(self, descriptor: int) -> None:
        ours = self._paths.pop(descriptor, None) is not None
        self._real["close"](descriptor)
        if ours:
            self._note("close", fd=descriptor)
            self._call("close", lambda: None, None)  # closed it is, even where that fails

    def _of_descriptor(self, name: str) -> Callable[..., Any]:
        real = self._real[name]

        def call(descriptor: int, *args: Any) -> Any:
            if descriptor not in self._paths:
                return real(descriptor, *args)
            if name != "write":
                found = self._call(name, lambda: real(descriptor, *args), None)
                size = args[0] if name == "ftruncate" else None
                if name in CHANGES:
                    self._note(name, fd=descriptor, size=size)
                return found
            data = bytes(args[0])
            offset = os.lseek(descriptor, 0, os.SEEK_CUR)

            def part(fraction: float) -> int:
                return int(real(descriptor, data[: max(1, int(len(data) * fraction))]))

            written = int(self._call("write", lambda: real(descriptor, data), part))
            text = base64.b64encode(data[:written]).decode() if self.mode == "record" else ""
            self._note("write", fd=descriptor, offset=offset, data=text)
            return written

        return call

    def _of_path(self, name: str) -> Callable[..., Any]:
        real = self._real[name]

        def call(*args: Any, **options: Any) -> Any:
            folder = options.get("dir_fd", options.get("src_dir_fd"))
            inside = self._inside(args[0], folder) if args else None
            if name == "statvfs" and str(args[0]) == os.path.dirname(self.folder):
                inside = self.folder  # which is not there yet
            if inside is None:
                return real(*args, **options)
            found = self._call(name, lambda: real(*args, **options), None)
            if name in CHANGES:
                to = None
                if name in ("rename", "replace"):
                    to = self._inside(args[1], options.get("dst_dir_fd"))
                self._note("rename" if name == "replace" else name, path=inside, to=to)
            return found

        return call
