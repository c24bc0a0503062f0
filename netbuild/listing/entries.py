"""What is known of a run at a glance: its `run.json`, and the tail of its log while it trains."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from netbuild import system
from netbuild.durable import read_file
from netbuild.folders import ForeignEntryError, TooLargeError, entered
from netbuild.rundir import (
    CHECKPOINTS,
    METRICS,
    RUN,
    RUN_FORMATS,
    STATE,
    as_object,
    checkpoint_name,
    other_format,
    steps_in,
)

T = TypeVar("T")
LEVELS = 3  # of folders that are looked through
MOST_BYTES = 1 << 24  # of one file that is read
TAIL = 1 << 16  # bytes of a log's end
ENDED = ("finished", "stopped early", "interrupted")  # what a run says that has saved its end


@dataclass(frozen=True)
class Entry:
    """A run as a table shows it; None is what it does not say."""

    path: Path
    status: str  # of run.json; "interrupted" if it says "running" but no process has the lock
    name: str | None = None
    step: int | None = None  # the last logged one while it is running, else the last saved one
    on: str | None = None  # the trials of the last evaluation: "validation" or "test"
    accuracy: float | None = None  # of the last evaluation
    loss: float | None = None
    best: float | None = None  # of `stop_when`'s metric, else the accuracy, else the loss
    test: float | None = None  # at the end: the accuracy on test trials, else the loss
    seed: int | None = None
    spec: str | None = None  # its hash
    commit: str | None = None
    changed: bool | None = None  # whether there were uncommitted changes
    started: str | None = None  # UTC, ISO 8601
    problem: str = ""  # why it is "damaged"

    @property
    def run(self) -> str:
        """The folder's name."""
        return self.path.name


COLUMNS = ("run", *(field.name for field in fields(Entry)))


def entries(root: Path) -> list[Entry]:
    """Every run below a folder, damaged ones too, by the time at which it was started.

    Raises OSError where the folder cannot be read.
    """
    found = [entry(path) for path in run_folders(root)]
    return sorted(found, key=lambda each: (each.started or "", str(each.path)))


def run_folders(root: Path, levels: int = LEVELS) -> Iterator[Path]:
    """The run directories at or below a folder, in the order of their names, each one once.

    Hidden folders are left out, and what a run holds. Raises OSError where `root` cannot be read.
    """
    yield from _walk(root, levels, set())


def _walk(folder: Path, levels: int, seen: set[tuple[int, int]]) -> Iterator[Path]:
    about = folder.stat()
    if (about.st_dev, about.st_ino) in seen:  # a link to what has been here
        return
    seen.add((about.st_dev, about.st_ino))
    with os.scandir(folder) as items:
        found = {item.name: item for item in items}
    if RUN in found or {".lock", CHECKPOINTS, "inputs"} <= found.keys():
        yield folder
        return
    for name in sorted(found) if levels else ():
        if name.startswith(".") or not _is_folder(found[name]):
            continue
        try:
            yield from _walk(folder / name, levels - 1, seen)
        except PermissionError:
            yield folder / name  # it may be a run, and is listed with its problem
        except OSError:  # it was removed meanwhile
            continue


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:
        return False


def entry(path: Path) -> Entry:
    """What is known of one run; any fault of its files makes it "damaged"."""
    about = _about(path)
    if about is None:
        return Entry(path, "running")
    if isinstance(about, str):
        return Entry(path, "damaged", problem=about)
    status = _typed(str, about.get("status")) or "unknown"
    step, best = about.get("step"), about.get("best")
    scores: Mapping[str, Any] = about
    if status not in ENDED:  # what `run.json` says may be of an earlier start
        step, state = _saved(path)
        best, evaluations = state.get("best"), state.get("evaluations")
        scores = _mapping(evaluations[-1] if isinstance(evaluations, list) and evaluations else {})
        if status == "running" and is_locked(path) is False:
            status = "interrupted"
        elif status == "running":
            logged, evaluation = _logged(path)
            step, scores = logged if logged is not None else step, evaluation or scores
    final = _mapping(about.get("scores")) if status in ENDED else {}
    git = _mapping(about.get("git"))
    return Entry(
        path,
        status,
        name=_typed(str, about.get("name")),
        step=_typed(int, step),
        on=None if _number(scores.get("loss")) is None else _trials(path, status, final),
        accuracy=_number(scores.get("accuracy")),
        loss=_number(scores.get("loss")),
        best=_number(_mapping(best).get("value")),
        test=_test_score(final),
        seed=_typed(int, about.get("seed")),
        spec=_typed(str, about.get("spec_hash")),
        commit=_typed(str, git.get("commit")),
        changed=bool(git["changed"]) if "changed" in git else None,
        started=_typed(str, about.get("started")),
    )


def _trials(path: Path, status: str, final: Mapping[str, Any]) -> str:
    """The trials of a run's last evaluation, from its final scores, else from its log."""
    has_ended = status in ENDED and status != "interrupted"
    is_validated = (
        "validation" in final if has_ended else _logged(path)[1].get("on") == "validation"
    )
    return "validation" if is_validated else "test"


def _test_score(final: Mapping[str, Any]) -> float | None:
    """The accuracy of the last weights on the test trials; without one, their loss."""
    last = _mapping(_mapping(final.get("test")).get("last"))
    accuracy = _number(last.get("accuracy"))
    return _number(last.get("loss")) if accuracy is None else accuracy


def _about(path: Path) -> dict[str, Any] | str | None:
    """The `run.json` of a run; what is wrong with it; or None while the run is about to begin."""
    try:
        about = as_object(read_file(path / RUN, MOST_BYTES, path))
    except FileNotFoundError:
        return None if is_locked(path) else "no run.json: it ended before it began"
    except (ForeignEntryError, TooLargeError):
        return "run.json is not a regular file of fair size"
    except OSError as error:
        return f"run.json: {error.strerror or type(error).__name__}"
    except (ValueError, MemoryError):
        return "run.json is not that of a run"
    if "format" not in about:
        return "run.json is not that of a run"
    return about if about["format"] in RUN_FORMATS else f"it {other_format(about['format'])}"


def is_locked(path: Path) -> bool | None:
    """Whether a process trains a run now; None where that cannot be told.

    A shared lock is requested without waiting, and released immediately.
    """
    if not system.HAS_LOCKS:
        return None
    try:
        with entered(path) as folder:
            descriptor = folder.open(".lock")
    except FileNotFoundError:
        return False
    except (OSError, ForeignEntryError):
        return None
    try:
        system.lock(descriptor, shared=True)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return None
    finally:
        os.close(descriptor)
    return False


def newest_checkpoint(path: Path) -> int | None:
    """The step of a run's newest checkpoint, whole or not."""
    try:
        with entered(path / CHECKPOINTS, within=path) as folder:
            return max(steps_in(folder.names()), default=None)
    except (OSError, ForeignEntryError):
        return None


def _saved(path: Path) -> tuple[int | None, Mapping[str, Any]]:
    """The newest checkpoint's step and what its state says; (None, {}) without one."""
    step = newest_checkpoint(path)
    if step is None:
        return None, {}
    file = path / CHECKPOINTS / checkpoint_name(step) / STATE
    try:
        return step, as_object(read_file(file, MOST_BYTES, path))
    except (OSError, ValueError, MemoryError, ForeignEntryError, TooLargeError):
        return step, {}


def _logged(path: Path) -> tuple[int | None, Mapping[str, Any]]:
    """The last step in a run's log, and the last evaluation of those near its end."""
    try:
        with entered(path) as folder:
            descriptor = folder.open(METRICS)
        with os.fdopen(descriptor, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(size - TAIL, 0))
            lines = stream.read(TAIL).split(b"\n")[:-1]
    except (OSError, ForeignEntryError):
        return None, {}
    last: int | None = None
    for line in reversed(lines):
        try:
            record = as_object(line)
        except ValueError:
            continue  # the first of them is cut off
        step = _typed(int, record.get("step"))
        if step is None:
            continue
        last = step if last is None else last
        if record.get("kind") == "evaluation":
            return last, record
    return last, {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _typed(kind: type[T], value: object) -> T | None:
    """The value if it has that type; a bool is no int."""
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    """A finite number; the accuracy is NaN where no answer can be right."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    with suppress(OverflowError):
        if math.isfinite(number := float(value)):
            return number
    return None
