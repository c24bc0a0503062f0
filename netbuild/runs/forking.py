"""Find the runs of a spec, and start a new run from the weights of another."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from netbuild.durable import io_errors, is_there, read_file
from netbuild.errors import Exit, NetbuildError
from netbuild.files.door import project_root
from netbuild.folders import ForeignEntryError
from netbuild.language import Spec, load
from netbuild.language.compose import standing
from netbuild.language.context import GivenStart
from netbuild.language.start import START
from netbuild.rundir import LARGEST_JSON, LATEST, as_object
from netbuild.runs.checkpoint import checkpoints, open_checkpoint
from netbuild.runs.lock import take_lock
from netbuild.runs.log import NotNowError
from netbuild.runs.provenance import is_below, place, roots
from netbuild.runs.resuming import Warn, lost_root, quoted
from netbuild.runs.run import RunFolder
from netbuild.runs.schema import ENDED
from netbuild.tasks import Task
from netbuild.wording import one_line

_STARTS = re.compile(r"\s*start_from\b")  # a new run does not inherit these overrides


def newest(out: Path, spec: Spec, *, ended: bool = False, same: bool = True) -> Path | None:
    """The newest run below `out` with the name of a spec that is unfinished, or that has `ended`.

    The run has the hash of the spec if `same`, else another hash. Runs that diverged are left out
    of the unfinished ones, since they would diverge again.
    """
    found = []
    for path in (out / spec.model.name).glob("*/run.json"):
        try:
            # Only what is compared here must be right. A run that fits and is damaged elsewhere,
            # or has another format, is found, and refused when it is opened.
            info = as_object(read_file(path, LARGEST_JSON))
            status, started = info["status"], str(info["started"])
            fits = status in ENDED if ended else status not in (*ENDED, "diverged")
            if fits and _is_of(info, spec) is same:
                found.append((started, path.parent.name, path.parent))
        except (OSError, NetbuildError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return max(found)[-1] if found else None


def _is_of(info: Mapping[str, Any], spec: Spec) -> bool:
    """Whether a run has a spec's hash, even if the run that the spec starts from has changed."""
    if info.get("own_task"):
        return False
    start = info["inputs"].get(START)
    return bool(info["spec_hash"] == (spec.hash_from(start["sha256"]) if start else spec.hash))


def refuse_own_latest(spec: Spec) -> None:
    """Raise NetbuildError (exit 2) for a spec that starts from the newest run of its own name.

    That may be the very run that `--resume` is to resume.
    """
    words = spec.model.start_from
    if words is not None and words.run.rstrip("/").split("/")[-2:] == [spec.model.name, LATEST]:
        what = f"`start_from: {{run: {words.run}}}` may be the very run that `--resume` resumes"
        raise NetbuildError(what, Exit.USAGE, "write the folder of the run in place of `latest`")


@contextmanager
def only_one(out: Path, spec: Spec) -> Iterator[None]:
    """Keep other processes from starting or resuming a run of this spec below `out`.

    Raises NetbuildError where another process has the lock.
    """
    folder = out / spec.model.name
    with io_errors(f"cannot write {folder}"):
        os.makedirs(folder, exist_ok=True)
    name = spec.hash_from("") if START in spec.files else spec.hash
    lock = take_lock(folder / f".{name}.lock", f"{spec.model.name} below {out}")
    try:
        yield
    finally:
        os.close(lock)


def forked_spec(
    run: str | Path,
    spec: str | Path | None,
    set: Sequence[str],
    warn: Warn,
    task: Task | None = None,
    data_root: str | Path | None = None,
) -> Spec:
    """The spec of a run as it is today, starting from the run's newest intact weights.

    Options and errors are those of `netbuild.fork`.
    """
    opened = RunFolder.open(run, task)
    opened.refuse_missing_task()
    path = _own_spec(opened, data_root) if spec is None else Path(spec)
    if path is None or not path.is_file():
        what = f"the spec that {run} was started from is no longer in its place"
        raise NetbuildError(what, Exit.RUN, "name the spec of the new run: `--spec SPEC`")
    lost = lost_root(opened, (project_root(path.parent),), data_root)
    if lost is not None:
        what = f"{run} was started with a data root outside of the project of its spec"
        raise NetbuildError(what, Exit.USAGE, f"give it again: `--data-root {quoted(lost)}`")
    step = _newest_whole(opened, warn)
    start = GivenStart(Path(os.path.realpath(opened.path)), step)
    kept = [each for each in opened.info.overrides if not _STARTS.match(each)]
    unset = [each for each in opened.info.unset if not _STARTS.match(each)]
    kept, unset = standing(kept, unset, set)
    return load(path, [*kept, *set], unset=unset, data_root=data_root, start=start)


def _own_spec(run: RunFolder, data_root: str | Path | None) -> Path | None:
    """The spec that a run was started from; None where `run.json` does not name it.

    Raises NetbuildError (exit 5) for a spec outside of the folders that may be read, and for a link
    in the run.
    """
    name = run.info.sources.spec
    if not name:
        return None
    home = Path(os.path.realpath(run.path))
    named, path = Path(os.path.normpath(home / name)), place(run.path, name)
    if named.is_relative_to(home):
        is_there(named, within=home)
    if not is_below(path, roots(run.path, data_root)):
        what = f"{run.path} was started from {one_line(str(path))}, which is outside its project"
        raise NetbuildError(what, Exit.RUN, "name the spec of the new run: `--spec SPEC`")
    return path


def _newest_whole(run: RunFolder, warn: Warn) -> int:
    """The step of the newest intact checkpoint; raises NetbuildError where all are damaged."""
    first = None
    for path in reversed(checkpoints(run.path / "checkpoints")):
        try:
            return open_checkpoint(path).step
        except (NotNowError, ForeignEntryError):
            raise
        except NetbuildError as error:
            warn(f"{error}; the one before is used")
            first = first or error
    if first is not None:
        raise first
    return run.step  # raises the error that there is no checkpoint
