"""A run directory while its training goes on: how it is begun, continued, and written to."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from netbuild.durable import (
    PASSING,
    append,
    canonical_json,
    cut_file,
    digest,
    hash_beginning,
    make_folders,
    need_folder,
    read_file,
    remove,
    remove_leftovers,
    replace_file,
    require_space,
    steadily,
    sync_file,
    sync_folder,
)
from netbuild.errors import Exit, NetbuildError
from netbuild.folders import check_file
from netbuild.language import Spec
from netbuild.language.context import FileRecord
from netbuild.language.dump import dump_yaml
from netbuild.language.neurogym_task import NeurogymPlan
from netbuild.layers import Network
from netbuild.runs.about import read_about
from netbuild.runs.checkpoint import (
    Checkpoint,
    NotNowError,
    pack_initial,
    refuse_not_finite,
    refuse_violations,
)
from netbuild.runs.environment import environment
from netbuild.runs.git import git_state
from netbuild.runs.lock import take_lock
from netbuild.runs.log import LARGEST_LOG
from netbuild.runs.sources import sources

METRICS = "metrics.jsonl"
FOLDERS = ("checkpoints", "evaluation", "figures", "inputs")
LONGEST_NAME = 200  # bytes of the name of a copied file; file systems take 255 with what is added
LONGEST_ENDING = 20
BRING_BACK = "bring the file back, or `--fork` starts a new run from the run's weights"
STATES = 3  # an optimizer keeps at most two tensors of a parameter's size beside it


class Logged(NamedTuple):
    """How far a log had come: its bytes, and their SHA-256, where that was written down."""

    size: int
    sha256: str | None


@dataclass
class RunWriter:
    """A run directory while its training goes on; it is locked until `close`."""

    path: Path
    about: dict[str, Any]
    _lock: int = field(repr=False)
    logged: int = 0  # bytes of `metrics.jsonl` that are of this training
    logged_hash: Any = field(default_factory=hashlib.sha256, repr=False)  # of these bytes

    def log(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Append one line to `metrics.jsonl`; a number that is not finite is written as null."""
        data = line_of(kind, step, values).encode()
        self.logged = append(self.path / METRICS, data, self.logged)
        self.logged_hash.update(data)

    def sync(self) -> int:
        """Wait until all lines are on the disk; returns the bytes of them.

        Where that fails it is not asked for again: the system tells of a failure once, and may then
        have forgotten what it could not write. The lines are written anew, into another file.
        """
        path = self.path / METRICS
        try:
            sync_file(path)
        except OSError as error:
            if error.errno not in PASSING:
                raise
            data = read_log(self.path)
            if digest(data) != self.logged_hash.hexdigest():
                raise
            replace_file(path, data)
        return self.logged

    def status(self, status: str, **more: Any) -> None:
        """Note in `run.json` how the run stands."""
        self.about |= {"status": status, "changed": now(), **more}
        replace_file(self.path / "run.json", json_bytes(self.about))

    def fail(self, error: BaseException, step: int) -> None:
        """Note, if it can still be noted, that the run has ended by an error after a step."""
        diverged = isinstance(error, NetbuildError) and error.exit_code == Exit.DIVERGED
        if diverged:
            with suppress(OSError, NetbuildError):
                self.log("diverged", step, {"error": str(error)})
        with suppress(OSError):
            self.status(
                "diverged" if diverged else "failed", error=f"{type(error).__name__}: {error}"
            )

    def write(self, name: str, data: bytes) -> None:
        """Write one file of the run, making its folder."""
        path = self.path / name
        need_folder(path.parent, within=self.path)
        replace_file(path, data, within=self.path)

    def close(self) -> None:
        """Give the lock back; once is enough."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def start_run(
    spec: Spec, out: Path, network: Network, device: torch.device, **more: Any
) -> RunWriter:
    """Make `out/<name>/<utc>-<hash>-<random>/`, never an existing one, and lock it.

    `more` is noted in its `run.json`, which is written last: what has none is no run. Raises
    NetbuildError (exit 7) where it cannot be written, or the disk has no room for two checkpoints.
    """
    read = _inputs(spec)
    refuse_not_finite(network, Exit.DIVERGED, "before the first step")
    refuse_violations(network.verify(), Exit.BUG)
    initial = pack_initial(spec, network)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = out / spec.model.name / f"{stamp}-{spec.hash[:8]}-{secrets.token_hex(2)}"
    resolved = _resolved(spec).encode()
    files = {
        "spec.yaml": spec.text.encode(),
        **{input_name(record): data for record, data in read},
        "resolved.yaml": resolved,
        "initial.safetensors": initial,
        "specs.json": json_bytes(network.get_specs()),
        METRICS: b"",
    }
    own = {path: text.encode() for path, text in spec.texts.items()}
    own |= {Path(record.path): data for record, data in read}
    git = git_state(spec.path.parent if spec.path else Path.cwd(), own)
    if git.difference:
        files["git.diff"] = git.difference.encode()
    about = {
        "format": 1,
        "id": secrets.token_hex(16),
        "name": spec.model.name,
        "spec_hash": spec.hash,
        "spec_sha256": digest(spec.text.encode()),
        "initial_sha256": digest(initial),
        "resolved_sha256": digest(resolved),
        "seed": spec.model.seed,
        "overrides": list(spec.overrides),
        "unset": list(spec.unset),
        "inputs": {
            where: {"file": record.reference, "sha256": record.sha256, "bytes": record.size}
            for where, record in spec.files.items()
        },
        "git": {"commit": git.commit, "changed": bool(git.difference)},
        "task_widths": _widths(spec),
        "environment": environment(device, spec),
        "started": now(),
        **more,
    }
    try:
        needed = sum(map(len, files.values())) + 2 * STATES * len(initial)
        folder = next(each for each in path.absolute().parents if each.is_dir())
        require_space(folder, needed, "free some, or name another folder: `--out DIR`")
        make_folders(path)
        lock = take_lock(path / ".lock", str(path))
        about["sources"] = sources(spec, path)
        return _fill(RunWriter(path, about, lock), files)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NetbuildError(f"cannot write the run directory {path}: {reason}", Exit.IO) from None


def _fill(writer: RunWriter, files: Mapping[str, bytes]) -> RunWriter:
    """Put a run's first files in place; what cannot be finished is taken away again."""
    try:
        for name in FOLDERS:
            os.mkdir(writer.path / name)
        for name, data in files.items():
            replace_file(writer.path / name, data, within=writer.path)
        writer.status("running")
        for folder in (writer.path / "inputs", writer.path, writer.path.parent):
            steadily(partial(sync_folder, folder))
    except BaseException:
        writer.close()
        with suppress(OSError):
            remove(writer.path)  # which has not begun
        raise
    return writer


def reopen(path: Path) -> RunWriter:
    """Lock a run to go on with it, and clear what an end without warning left half-written.

    Raises NetbuildError: exit 6 where another process trains it, 5 for a `run.json` that cannot
    be read, 7 where nothing can be written.
    """
    lock = take_lock(path / ".lock", str(path))
    try:
        about = read_about(path / "run.json")
        check_file(path / METRICS, in_place=True)  # before anything in the run is changed
        remove_leftovers(path)
        for name in FOLDERS:
            need_folder(path / name, within=path)  # empty ones are lost in some copies
            remove_leftovers(path / name, within=path)
        return RunWriter(path, about, lock)
    except OSError as error:
        os.close(lock)
        reason = error.strerror or type(error).__name__
        raise NetbuildError(f"{path} cannot be written: {reason}", Exit.IO) from None
    except BaseException:
        os.close(lock)
        raise


class OtherLogError(NetbuildError):
    """A log that is not the one that a checkpoint tells of (exit 5)."""


def refuse_other_log(run: Path, logged: Logged) -> None:
    """Raise OtherLogError unless the log begins with the bytes that a checkpoint tells.

    A checkpoint of an earlier version tells only how many they are. Raises NotNowError (exit 7)
    where the disk fails.
    """
    path = run / METRICS
    try:
        found = check_file(path).st_size
        begins = logged.sha256 in (None, hash_beginning(path, logged.size).hexdigest())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NotNowError(f"{path} cannot be read: {reason}", Exit.IO) from None
    if found < logged.size:
        what = f"{path} has {found:,} bytes, and had {logged.size:,} at its checkpoint"
        raise OtherLogError(what, Exit.RUN, f"lines were lost; {BRING_BACK}")
    if not begins:
        what = f"{path} is not the one that the run wrote"
        raise OtherLogError(what, Exit.RUN, f"lines were changed; {BRING_BACK}")


def logged_of(checkpoint: Checkpoint) -> Logged:
    """How far the log was at a checkpoint; ValueError for what tells of no such place."""
    size, sha256 = checkpoint.state.get("metrics"), checkpoint.state.get("metrics_sha256")
    if type(size) is not int or size < 0 or not isinstance(sha256, str | None):
        raise ValueError("a place in the log that there is not")
    return Logged(size, sha256)


def copy_log(run: Path) -> None:
    """Keep the log as it is beside itself, before it is cut; raises OSError."""
    copy = run / f"corrupt-{METRICS}-{secrets.token_hex(2)}"
    replace_file(copy, read_log(run))


def read_log(run: Path) -> bytes:
    """All of a run's log; raises OSError, and NetbuildError as `read_file` does."""
    return read_file(run / METRICS, LARGEST_LOG)


def rewind(writer: RunWriter, size: int) -> None:
    """Leave the first `size` bytes of the log, which it has; raises OSError."""
    path = writer.path / METRICS
    if check_file(path).st_size > size:
        cut_file(path, size)
    writer.logged, writer.logged_hash = size, hash_beginning(path, size)


def _widths(spec: Spec) -> dict[str, Any] | None:
    """What rebuilds the network where neurogym is not installed."""
    task = spec.plan.task
    return task.to_data() if isinstance(task, NeurogymPlan) else None


def _inputs(spec: Spec) -> list[tuple[FileRecord, bytes]]:
    """The files that a spec names, and their bytes; raises NetbuildError if one has changed."""
    found = []
    for record in spec.files.values():
        data = read_file(Path(record.path))
        if digest(data) != record.sha256:
            what = f"{record.reference} has changed since the spec was loaded"
            raise NetbuildError(what, Exit.DATA)
        found.append((record, data))
    return found


def input_name(record: FileRecord) -> str:
    """The run's own copy of a file, relative to the run."""
    return f"inputs/{record.sha256[:16]}-{_short(Path(record.path).name)}"


def _short(name: str) -> str:
    """A file's name, of at most LONGEST_NAME bytes; a longer one keeps its beginning and extension.

    The digest that stands before it tells files of one beginning apart.
    """
    if len(os.fsencode(name)) <= LONGEST_NAME:
        return name
    ending = "".join(Path(name).suffixes[-2:])  # `.csv.gz` is one
    ending = ending if len(os.fsencode(ending)) <= LONGEST_ENDING else ""
    kept = os.fsencode(name)[: LONGEST_NAME - len(os.fsencode(ending))]
    return kept.decode("utf-8", "ignore") + ending


def _resolved(spec: Spec) -> str:
    """The resolved spec, with the run's own copies of its files, so that it stands alone."""
    head = "# Written by netbuild: the whole spec, defaults included, with the run's own inputs.\n"
    return head + dump_yaml(spec.data_with(input_name))


def line_of(kind: str, step: int, values: Mapping[str, Any]) -> str:
    """A line of `metrics.jsonl`."""
    line = {"step": step, "kind": kind, **values}
    try:
        return canonical_json(line) + "\n"
    except ValueError:  # a number that is not finite, which JSON does not have
        return canonical_json(_finite(line)) + "\n"


def _finite(value: Any) -> Any:
    """Data whose numbers JSON can hold: null where one is not finite."""
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_bytes(data: object) -> bytes:
    """Data as an indented JSON file; a number that is not finite is null."""
    data = _finite(data)
    try:
        return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:  # a path that is no text
        return (json.dumps(data, indent=1) + "\n").encode()


def now() -> str:
    """The time, for people; nothing is ordered by it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
