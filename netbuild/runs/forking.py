"""Runs of a spec: an unfinished one is found, a new one starts from the weights of another."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from netbuild.durable import io_errors, read_file
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
from netbuild.runs.resuming import Warn, default_warn, lost_root, quoted
from netbuild.runs.run import Run, open_run, refuse_own_task
from netbuild.runs.schema import ENDED
from netbuild.runs.start import train
from netbuild.runs.writer import Watcher
from netbuild.tasks import Task
from netbuild.wording import one_line

_STARTS = re.compile(r"\s*start_from\b")  # a new run does not inherit these overrides


def unfinished(out: Path, spec: Spec) -> Path | None:
    """The newest run below `out` of a spec's name and hash that has not come to an end.

    One that diverged would do so again, and is not resumed.
    """
    return _newest(out, spec, same=True)


def finished(out: Path, spec: Spec) -> Path | None:
    """The newest run below `out` of a spec's name and hash that has come to its own end."""
    return _newest(out, spec, same=True, ended=True)


def of_another_spec(out: Path, spec: Spec) -> Path | None:
    """The newest unfinished run below `out` of a spec's name and another hash.

    Somebody may think that it is a run of this spec.
    """
    return _newest(out, spec, same=False)


def _newest(out: Path, spec: Spec, *, same: bool, ended: bool = False) -> Path | None:
    found = []
    for path in (out / spec.model.name).glob("*/run.json"):
        try:
            # Only what is compared must be right: a run that fits and is damaged otherwise, or of
            # another format, is found, and refused when it is opened.
            info = as_object(read_file(path, LARGEST_JSON))
            status, started = info["status"], str(info["started"])
            fits = status in ENDED if ended else status not in (*ENDED, "diverged")
            if fits and _is_of(info, spec) is same:
                found.append((started, path.parent.name, path.parent))
        except (OSError, NetbuildError, ValueError, KeyError, TypeError, AttributeError):
            continue  # it is no run, or not one that may be resumed
    return max(found)[-1] if found else None


def _is_of(info: Mapping[str, Any], spec: Spec) -> bool:
    """Whether a run is of a spec, even if the run that both start from has other weights now."""
    if info.get("own_task"):
        return False
    start = info["inputs"].get(START)
    return bool(info["spec_hash"] == (spec.hash_from(start["sha256"]) if start else spec.hash))


def refuse_own_latest(spec: Spec) -> None:
    """Raise NetbuildError (exit 2) for a spec that starts from the newest run of its own name.

    That would be the very run that is to be resumed.
    """
    words = spec.model.start_from
    if words is not None and words.run.rstrip("/").split("/")[-2:] == [spec.model.name, LATEST]:
        what = f"`start_from: {{run: {words.run}}}` may be the very run that `--resume` resumes"
        raise NetbuildError(what, Exit.USAGE, "name the run that is meant")


@contextmanager
def only_one(out: Path, spec: Spec) -> Iterator[None]:
    """A lock on starting or resuming this spec below `out`.

    Of two processes that both find no run, only one starts it then. Raises NetbuildError.
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


def fork(
    run: str | Path,
    out: str | Path,
    task: Task | None = None,
    *,
    spec: str | Path | None = None,
    set: Sequence[str] = (),
    data_root: str | Path | None = None,
    device: str | None = None,
    watch: Watcher | None = None,
    warn: Warn | None = None,
) -> Run:
    """Start a new run below `out` from the newest weights of another, with its spec as it is today.

    `spec` replaces the file that the run was started from; `set` holds overrides beside those that
    it was started with. What the spec names lies in the spec's project, or in `data_root`, which
    is named again for a run that was started with one. `warn` (default `warnings.warn`) is called
    with a line for each checkpoint that is damaged, and passed over. Raises SpecError and
    NetbuildError.
    """
    checked = forked_spec(run, spec, set, warn, task, data_root)
    return train(checked, out, task, device=device, watch=watch)


def forked_spec(
    run: str | Path,
    spec: str | Path | None = None,
    set: Sequence[str] = (),
    warn: Warn | None = None,
    task: Task | None = None,
    data_root: str | Path | None = None,
) -> Spec:
    """The spec of a run as it is today, which starts from the run's newest whole weights."""
    opened = open_run(run, task, verify=False)
    refuse_own_task(opened)
    path = _own_spec(opened, data_root) if spec is None else Path(spec)
    if path is None or not path.is_file():
        what = f"the spec that {run} was started from is not where it was"
        raise NetbuildError(what, Exit.RUN, "name the spec of the new run: `--spec SPEC`")
    lost = lost_root(opened, (project_root(path.parent),), data_root)
    if lost is not None:
        what = f"{run} was started with a data root outside of the project of its spec"
        raise NetbuildError(what, Exit.USAGE, f"name it again: `--data-root {quoted(lost)}`")
    step = _newest_whole(opened, warn or default_warn)
    start = GivenStart(Path(os.path.realpath(opened.path)), step)
    kept = [each for each in opened.info.overrides if not _STARTS.match(each)]
    unset = [each for each in opened.info.unset if not _STARTS.match(each)]
    kept, unset = standing(kept, unset, set)
    return load(path, [*kept, *set], unset=unset, data_root=data_root, start=start)


def _own_spec(run: Run, data_root: str | Path | None) -> Path | None:
    """The spec that a run was started from, None where it does not say.

    Raises NetbuildError (exit 5) for one that a `run.json` cannot be trusted to name.
    """
    if not run.info.sources.spec:
        return None
    path = place(run.path, run.info.sources.spec)
    if not is_below(path, roots(run.path, data_root)):
        what = f"{run.path} says that it was started from {one_line(str(path))}, outside of its"
        hint = "name the spec of the new run: `--spec SPEC`"
        raise NetbuildError(f"{what} project", Exit.RUN, hint)
    return path


def _newest_whole(run: Run, warn: Warn) -> int:
    """The step of the newest checkpoint that is whole; raises NetbuildError where none is."""
    first = None
    for path in reversed(checkpoints(run.path / "checkpoints")):
        try:
            return open_checkpoint(path)[0].step
        except (NotNowError, ForeignEntryError):
            raise
        except NetbuildError as error:
            warn(f"{error}; the one before is used")
            first = first or error
    if first is not None:
        raise first
    return run.step  # raises the error that there is no checkpoint
