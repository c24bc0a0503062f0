"""A run directory during training: each record of the training is written as soon as it comes."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from netbuild import durable
from netbuild.errors import Exit, NetbuildError
from netbuild.folders import check_file
from netbuild.rundir import METRICS
from netbuild.runs.checkpoint import Snapshot, prune, snapshot, write_checkpoint
from netbuild.runs.lock import take_lock
from netbuild.runs.log import line_of, read_log
from netbuild.runs.schema import RunInfo, now, read_info, without_nan
from netbuild.runs.scores import final_scores
from netbuild.runs.tracked import final_of, following
from netbuild.tracking.following import Following
from netbuild.training.loop import Record, Trainer
from netbuild.training.trials import trial_columns, trial_frame

FOLDERS = ("checkpoints", "evaluation", "figures", "inputs")
TRIALS = "evaluation/trials.parquet"


@dataclass
class RunWriter:
    """A run directory during training; it is locked until `close`."""

    path: Path
    info: RunInfo
    _lock: int = field(repr=False)
    initial: Mapping[str, Tensor] = field(repr=False)  # the parameters at the start
    track: Sequence[str] | None = ()  # trackers beside those of the spec; None: no tracker
    logged: int = 0  # bytes of `metrics.jsonl` up to now
    logged_hash: Any = field(default_factory=hashlib.sha256, repr=False)  # of these bytes
    # The step of the best state and the state, until the next checkpoint is written.
    _best: tuple[int, Snapshot] | None = field(default=None, repr=False)

    def put(self, record: Record, trainer: Trainer) -> None:
        """Write a record where it belongs; raises NetbuildError (exit 7) where that fails."""
        hint = "everything that was saved before is intact"
        with durable.io_errors(f"cannot write {self.path}", hint=hint):
            if record.kind in ("train", "evaluation"):
                self.log(record.kind, record.step, record.values)
                if record.is_best:
                    self._best = record.step, self._snapshot(trainer).kept()
            else:
                self._save(trainer)
                if record.kind == "end":
                    self._end(record.values["reason"], trainer)

    def log(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Append one line to `metrics.jsonl`; a number that is not finite is written as null."""
        data = line_of(kind, step, values).encode()
        self.logged = durable.append(self.path / METRICS, data, self.logged)
        self.logged_hash.update(data)

    def _snapshot(self, trainer: Trainer) -> Snapshot:
        """The present state of the training."""
        log = {"metrics": self.logged, "metrics_sha256": self.logged_hash.hexdigest()}
        return snapshot(trainer, self.initial, run=self.info.id, **log)

    def _save(self, trainer: Trainer) -> None:
        """Write the best state, if it is not on the disk yet, and the present state; then prune.

        The log is synced first, because a checkpoint records the length of the log.
        """
        folder, step = self.path / "checkpoints", trainer.step
        files = self._snapshot(trainer).packed()
        self.sync_log()
        if self._best is not None and self._best[0] != step:
            write_checkpoint(folder, self._best[0], self._best[1].packed())
        self._best = None
        write_checkpoint(folder, step, files)
        best = trainer.progress.best
        keep = trainer.training.checkpoint.keep
        prune(folder, keep, () if best is None else (best.step,))
        self.info.step = step

    def sync_log(self) -> None:
        """Wait until all lines are on the disk.

        The system reports a failed fsync only once, and may have dropped the data that it could not
        write. After a failure all lines are therefore written again, into a new file.
        """
        path = self.path / METRICS
        try:
            durable.sync_file(path)
        except OSError as error:
            if error.errno not in durable.PASSING:
                raise
            data = read_log(self.path)
            if durable.digest(data) != self.logged_hash.hexdigest():
                raise
            durable.replace_file(path, data)

    def _end(self, reason: str, trainer: Trainer) -> None:
        if reason != "interrupted":
            path = self.path / TRIALS
            durable.need_folder(path.parent, within=self.path)
            durable.replace_file(path, trial_table(trainer), within=self.path)
        self.status(reason, **end_of(trainer, reason, self.path))

    def status(self, status: str, **more: Any) -> None:
        """Write the status of the run, and changes of other fields, into `run.json`."""
        self.info = self.info.model_copy(update={"status": status, "changed": now(), **more})
        durable.replace_file(self.path / "run.json", json_bytes(self.info.to_data()))

    def fail(self, error: BaseException, step: int) -> None:
        """Write, if possible, that the run has ended by an error after a step."""
        status, what = "failed", f"{type(error).__name__}: {error}"
        if isinstance(error, NetbuildError) and error.exit_code == Exit.DIVERGED:
            status, saved = "diverged", self.info.step
            with suppress(OSError, NetbuildError):
                self.log(status, step, {"error": str(error)})
            good = f"the last good checkpoint is of step {saved}"
            last = good if saved else "there is no checkpoint"
            error.hint = f"{last} in {self.path}; {error.hint}".removesuffix("; ")
        with suppress(OSError):
            self.status(status, error=what)

    def rewind(self, size: int) -> None:
        """Shorten the log to its first `size` bytes; raises OSError."""
        path = self.path / METRICS
        if check_file(path).st_size > size:
            durable.cut_file(path, size)
        self.logged, self.logged_hash = size, durable.hash_beginning(path, size)

    def close(self) -> None:
        """Release the lock; a second call does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def reopen(path: Path) -> RunWriter:
    """Lock a run to resume it, and remove what a killed process has left half-written.

    Raises NetbuildError: exit 6 where another process trains it, 5 for a `run.json` that cannot
    be read, 7 where nothing can be written.
    """
    lock = take_lock(path / ".lock", str(path))
    try:
        with durable.io_errors(f"{path} cannot be written"):
            info = read_info(path / "run.json")
            check_file(path / METRICS, in_place=True)  # before anything in the run is changed
            durable.remove_leftovers(path)
            for name in FOLDERS:  # some ways of copying lose empty folders
                durable.need_folder(path / name, within=path)
                durable.remove_leftovers(path / name, within=path)
            return RunWriter(path, info, lock, {})
    except BaseException:
        os.close(lock)
        raise


@contextmanager
def recording(trainer: Trainer, writer: RunWriter) -> Iterator[Iterator[Record]]:
    """The records of a training, each of which is written into the run before it is yielded.

    Its trackers follow it; a RuntimeWarning tells of one that fails. At the end the run is
    unlocked. An error, of the training or of the `with` block, is written into `run.json`.
    """
    trackers = _trackers(trainer, writer)
    try:
        with closing(_written(trainer, writer, trackers)) as records:
            yield records
    except BaseException as error:
        writer.fail(error, trainer.step)
        raise
    finally:
        trackers.end(writer.info.status, final_of(writer.info))
        writer.close()


def _trackers(trainer: Trainer, writer: RunWriter) -> Following:
    if trainer.spec is None:
        return Following(writer.path, (), None)
    return following(writer.path, trainer.spec, writer.info, writer.track)


def _written(trainer: Trainer, writer: RunWriter, trackers: Following) -> Generator[Record]:
    with closing(trainer.records()) as records:
        for record in records:
            writer.put(record, trainer)
            trackers.check()
            yield record


def trial_table(trainer: Trainer) -> bytes:
    """The test trials with the network's answers, as the bytes of a Parquet file."""
    buffer, batch = io.BytesIO(), trainer.trials("test")
    columns = trial_columns(trainer.outputs("test").cpu(), batch, trainer.training.loss)
    trial_frame(columns).write_parquet(buffer)
    return buffer.getvalue()


def end_of(trainer: Trainer, reason: str, path: Path) -> dict[str, Any]:
    """The step and the scores that `run.json` holds at the end of a training.

    `path` is its run directory. A training that was interrupted, or that began in format 1, has no
    final scores.
    """
    progress = trainer.progress
    last: Mapping[str, Any] = progress.evaluations[-1] if progress.evaluations else {}
    best = {} if progress.best is None else {"best": progress.best}
    found = {"step": progress.step, **last, **best}
    if reason != "interrupted" and trainer.separate_test:
        found["scores"] = final_scores(trainer, path)
    return found


def json_bytes(data: object) -> bytes:
    """Data as an indented JSON file; a number that is not finite is null."""
    data = without_nan(data)
    try:
        return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:  # a path that is not UTF-8
        return (json.dumps(data, indent=1) + "\n").encode()
