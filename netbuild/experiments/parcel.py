"""A run directory on its way between two machines: the files that have changed, and all names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from netbuild import durable
from netbuild.rundir import CHECKPOINTS, METRICS, RUN

Stamps = dict[str, tuple[int, int]]  # the size and the time of each file that was packed


@dataclass(frozen=True)
class Parcel:
    """Files of a run by their names relative to it; the names of folders end with `/`."""

    files: dict[str, bytes]  # that are new or have changed
    names: tuple[str, ...]  # of everything that the run has now


def pack(run: Path, known: Stamps) -> Parcel:
    """What has changed in a run since `known`, which is brought up to date.

    The run may be written meanwhile. Its checkpoints are read first: the log, which is on the disk
    before a checkpoint is, then has the lines of all of them. A checkpoint that is removed while it
    is read is left out.
    """
    files: dict[str, bytes] = {}
    names: list[str] = [f"{CHECKPOINTS}/"]
    for folder in _folders(run / CHECKPOINTS):
        own = [f"{CHECKPOINTS}/{folder}/{name}" for name in _names(run / CHECKPOINTS / folder)]
        try:
            found = {name: _read(run, name) for name in own if name not in known}
        except FileNotFoundError:
            continue
        files |= {name: data for name, (data, _) in found.items()}
        known |= {name: stamp for name, (_, stamp) in found.items()}
        names += [f"{CHECKPOINTS}/{folder}/", *own]
    for name in _beside(run):
        names.append(name)
        if not name.endswith("/") and known.get(name) != _stamp(os.stat(run / name)):
            files[name], known[name] = _read(run, name)
    return Parcel(files, tuple(names))


def unpack(run: Path, parcel: Parcel) -> None:
    """Bring a copy of a run up to date; raises OSError.

    The run can be resumed whenever this ends, as if it had been stopped at a checkpoint: the log is
    written before the checkpoints, and `run.json`, without which a folder is no run, at the end.
    """
    os.makedirs(run, exist_ok=True)
    whole = {name for name in parcel.names if name.endswith("/")}
    for name in sorted(whole):
        if not name.startswith(f"{CHECKPOINTS}/") or name.count("/") == 1:
            durable.need_folder(run / name, within=run)
    steps: dict[str, dict[str, bytes]] = {}
    beside: list[str] = []
    for name in parcel.files:
        if name.startswith(f"{CHECKPOINTS}/"):
            folder, _, own = name.rpartition("/")
            steps.setdefault(folder, {})[own] = parcel.files[name]
        else:
            beside.append(name)
    if METRICS in beside:
        durable.replace_file(run / METRICS, parcel.files[METRICS], within=run)
    for folder, files in steps.items():
        if (run / folder).exists():
            durable.remove_folder(run / folder, within=run)
        durable.write_folder(run / folder, files, within=run)
    for name in sorted(set(beside) - {METRICS}, key=lambda name: (name == RUN, name)):
        durable.replace_file(run / name, parcel.files[name], within=run)
    for folder in _folders(run / CHECKPOINTS):
        if f"{CHECKPOINTS}/{folder}/" not in whole:
            durable.remove_folder(run / CHECKPOINTS / folder, within=run)


def checkpoints_in(run: Path) -> list[str]:
    """The names of a run's checkpoints; none where it has no folder for them yet."""
    return _folders(run / CHECKPOINTS)


def _folders(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(e.name for e in entries if _is_own(e.name) and _is_folder(e))
    except FileNotFoundError:
        return []


def _names(path: Path) -> list[str]:
    """The names of a folder's files; none where it is being removed."""
    try:
        with os.scandir(path) as entries:
            return sorted(e.name for e in entries if _is_own(e.name) and not _is_folder(e))
    except FileNotFoundError:
        return []


def _beside(run: Path) -> Iterator[str]:
    """The names of everything except the checkpoints, to a depth of two."""
    for folder in _folders(run):
        if folder != CHECKPOINTS:
            yield f"{folder}/"
            yield from (f"{folder}/{name}" for name in _names(run / folder))
    yield from _names(run)


def _is_own(name: str) -> bool:
    """Whether an entry belongs to the run: the lock and what is half-written are hidden."""
    return not name.startswith(".")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _read(run: Path, name: str) -> tuple[bytes, tuple[int, int]]:
    """The bytes of a file, and its stamp from before they were read."""
    stamp = _stamp(os.stat(run / name))
    return durable.read_file(run / name, within=run), stamp


def _stamp(about: os.stat_result) -> tuple[int, int]:
    return about.st_size, about.st_mtime_ns
