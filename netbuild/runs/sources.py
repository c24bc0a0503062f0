"""The files that a run was made from, where they lay, and whether they are still the same."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from netbuild.durable import LARGEST, digest, hash_beginning
from netbuild.errors import NetbuildError
from netbuild.files.door import project_root
from netbuild.language import Spec

RUNS = "runs"  # the folder that runs are written below unless somebody names another


class Changed(NamedTuple):
    """A file that is no longer what a run was started from."""

    file: Path
    then: str  # SHA-256
    now: str


def sources(spec: Spec, run: Path) -> dict[str, Any]:
    """The spec, what it extends and the files that it names, relative to the run, with digests.

    A run that was copied elsewhere finds none of them there, and needs none.
    """
    files = {os.path.realpath(path): digest(text.encode()) for path, text in spec.texts.items()}
    files |= {record.path: record.sha256 for record in spec.files.values()}
    own = None if spec.path is None else _relative(os.path.realpath(spec.path), run)
    root = spec.options.data_root
    return {
        "spec": own,
        "data_root": None if root is None else _relative(str(root), run),
        "files": {_relative(path, run): sha256 for path, sha256 in files.items()},
    }


def _relative(path: str, run: Path) -> str:
    return Path(os.path.relpath(path, os.path.realpath(run))).as_posix()


def place(run: Path, name: str) -> Path:
    """Where a file lies that `sources` has named relative to a run; links are resolved."""
    return Path(os.path.realpath(os.path.realpath(run) + "/" + name))


def roots(run: Path, data_root: str | Path | None = None) -> tuple[Path, ...]:
    """The folders whose files may be read because a run's `run.json` names them.

    A run may come from anybody, so its `run.json` is not trusted. Files are read only in folders
    that the user chose: the project of the run, which of a run in `FOLDER/runs/NAME/` is that of
    FOLDER, the project of the working directory, and `data_root`.
    """
    home = Path(os.path.realpath(run))
    beside = len(home.parents) > 2 and home.parents[1].name == RUNS
    found = [project_root(home.parents[2] if beside else home), project_root(Path.cwd())]
    return (*found, Path(os.path.realpath(data_root))) if data_root is not None else tuple(found)


def is_below(path: Path, folders: Iterable[Path]) -> bool:
    """Whether a path, with links resolved, is one of the folders or lies in one."""
    return any(path.is_relative_to(folder) for folder in folders)


def changed(run: Path, about: dict[str, Any], data_root: str | Path | None = None) -> list[Changed]:
    """The files of `about`, as `sources` gave it, that are there and hold something else.

    Files outside of `roots(run, data_root)` are not looked at.
    """
    found, allowed = [], roots(run, data_root)
    for name, then in about.get("files", {}).items():
        try:
            path = place(run, name)
            if not is_below(path, allowed):
                continue
            now = hash_beginning(path, LARGEST).hexdigest()
        except (OSError, ValueError, NetbuildError):  # it has gone; the run has its own copy
            continue
        if now != then:
            found.append(Changed(path, then, now))
    return found
