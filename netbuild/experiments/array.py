"""The folder of a job array: which runs its tasks train, and what each task says of its run.

<token>/array.json     the jobs, in the order of the tasks, and the command line of the sweep
<token>/<task>.json    what a task said last
<token>/<task>.stop    is there once the sweep wants the task to end

The folder is new for each array and open to its user alone, because it also holds the files of
submitit, which are pickles. All that netbuild itself reads in it is JSON.
"""

from __future__ import annotations

import errno
import json
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netbuild import durable
from netbuild.errors import NetbuildError
from netbuild.rundir import LARGEST_JSON, as_object

ARRAY = "array.json"


@dataclass(frozen=True)
class JobArray:
    """A job array, by its folder."""

    path: Path

    @classmethod
    def create(cls, folder: Path, jobs: Sequence[tuple[dict[str, Any], str]]) -> JobArray:
        """The new array of jobs, as JSON data, and of their logs; raises OSError."""
        array = cls(folder / secrets.token_hex(8))
        folder.mkdir(exist_ok=True)
        if folder.is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, "it is a link", str(folder))
        array.path.mkdir(mode=0o700)
        entries = [{"job": job, "log": log} for job, log in jobs]
        _write(array.path / ARRAY, {"argv": sys.argv, "jobs": entries})
        return array

    @classmethod
    def all_in(cls, folder: Path) -> list[JobArray]:
        """The arrays that a folder has."""
        paths = [] if folder.is_symlink() else sorted(folder.glob(f"*/{ARRAY}"))
        return [cls(path.parent) for path in paths if not path.parent.is_symlink()]

    @property
    def name(self) -> str:
        """What its jobs are called in the queue."""
        return f"netbuild-{self.path.name}"

    def jobs(self) -> list[dict[str, Any]]:
        """The jobs as JSON data, with `job` and `log`; none where the file is damaged."""
        found = _read(self.path / ARRAY).get("jobs")
        return found if isinstance(found, list) and all(map(_is_entry, found)) else []

    def argv(self) -> list[str]:
        """The command line of the sweep."""
        return [str(word) for word in _read(self.path / ARRAY).get("argv", ())]


@dataclass(frozen=True)
class ArrayTask:
    """A task of a job array; indices are from 0 on."""

    array: JobArray
    index: int

    @classmethod
    def of(cls, path: str) -> ArrayTask:
        """The task that a file is of."""
        return cls(JobArray(Path(path).parent), int(Path(path).stem))

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from all other tasks of a queue."""
        return self.array.name, self.index

    @property
    def path(self) -> Path:
        """The file in which the task says how it goes."""
        return self.array.path / f"{self.index}.json"

    def said(self) -> dict[str, Any]:
        """What the task said last; nothing where it has not said anything."""
        return _read(self.path)

    def tell(self, message: dict[str, Any]) -> None:
        """Say how the task goes; raises OSError and NetbuildError."""
        _write(self.path, message)

    def stop(self) -> None:
        """Let the task end at once if it has not begun its run; raises OSError."""
        self.path.with_suffix(".stop").touch()

    def is_stopped(self) -> bool:
        """Whether the sweep wants the task to end."""
        return self.path.with_suffix(".stop").exists()


def _is_entry(found: object) -> bool:
    return isinstance(found, dict) and isinstance(found.get("job"), dict) and "log" in found


def _read(path: Path) -> dict[str, Any]:
    try:
        return as_object(durable.read_file(path, LARGEST_JSON))
    except (OSError, ValueError, NetbuildError):
        return {}


def _write(path: Path, data: dict[str, Any]) -> None:
    durable.replace_file(path, json.dumps(data).encode(errors="backslashreplace"))
