"""Weights & Biases, online or offline as its own settings say (`WANDB_MODE`).

Its files are in the run's `tracking/wandb/`. The id of the run there is that of the run itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("WANDB_SILENT", "true")
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
import wandb
from wandb.proto import wandb_internal_pb2

from netbuild.tracking.trackers import Row, Subject

# The format of an offline file is that of LevelDB's log: blocks of records, of which one may be
# cut into parts.
_BLOCK, _FILE_HEADER, _HEADER = 32768, 7, 7
_FULL, _FIRST, _LAST = 1, 2, 4


class WandB:
    """One run of W&B for a run, resumed by its id."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.run: Any = None

    def begin(self) -> int:
        """Start or resume the run; offline, the files of earlier processes know the last step."""
        subject = self.subject
        last = max((last_step(path) for path in offline_files(subject.folder)), default=-1)
        self.run = wandb.init(
            id=subject.id,
            name=subject.name,
            project=os.environ.get("WANDB_PROJECT") or subject.project,
            config=dict(subject.config),
            dir=str(subject.folder),
            resume="allow",
            settings=wandb.Settings(  # nothing of this process, which is not the training
                console="off",
                disable_code=True,
                disable_git=True,
                save_code=False,
                x_disable_meta=True,
                x_disable_machine_info=True,
                x_disable_stats=True,
            ),
        )
        return last if self.run.offline else int(self.run.starting_step) - 1

    def put(self, rows: Sequence[Row]) -> None:
        """Log the rows."""
        for row in rows:
            self.run.log(dict(row.values), step=row.step)

    def end(self, status: str) -> None:
        """Wait until everything is sent, or written."""
        self.run.finish(exit_code=int(status not in ("finished", "stopped early", "interrupted")))
        wandb.teardown()


def offline_files(folder: Path) -> list[Path]:
    """The files of offline processes, by the folder of the trackers, oldest first."""
    return sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))


def last_step(path: Path) -> int:
    """The last step in an offline file, -1 without any."""
    return max((step for step, _ in history(path)), default=-1)


def history(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows in an offline file: the step, and each value as JSON; a torn end is left out."""
    for data in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        if record.HasField("history"):
            items = record.history.item
            values = {each.key or ".".join(each.nested_key): each.value_json for each in items}
            yield record.history.step.num, values


def _records(data: bytes) -> Iterator[bytes]:
    at, parts = _FILE_HEADER, b""
    while at + _HEADER <= len(data):
        if _BLOCK - at % _BLOCK < _HEADER:  # the rest of a block is padding
            at += _BLOCK - at % _BLOCK
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        at += _HEADER
        if at + size > len(data):
            return
        parts = (b"" if kind in (_FULL, _FIRST) else parts) + data[at : at + size]
        at += size
        if kind in (_FULL, _LAST):
            yield parts
