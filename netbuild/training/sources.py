"""The files that a run was made from, where they lay, and whether they are still the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from netbuild.check import Spec
from netbuild.training.files import digest, read_file


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


def changed(run: Path, about: dict[str, Any]) -> list[Changed]:
    """The files of `about`, as `sources` gave it, that are there and hold something else."""
    found = []
    for name, then in about.get("files", {}).items():
        path = Path(os.path.normpath(os.path.realpath(run) + "/" + name))
        try:
            now = digest(read_file(path))
        except (OSError, ValueError):  # it has gone; the run has its own copy
            continue
        if now != then:
            found.append(Changed(path, then, now))
    return found
