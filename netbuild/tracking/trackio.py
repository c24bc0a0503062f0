"""Trackio: a database on this machine, or a server, as its own settings say (`TRACKIO_DIR`)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
import trackio

from netbuild.tracking.trackers import Row, Subject


class Trackio:
    """One run of Trackio for a run, found again by its name."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.run: Any = None

    def begin(self) -> int:
        """Start or resume the run, which knows the step that would follow its last one."""
        self.run = trackio.init(
            project=self.subject.project,
            name=self.subject.name,
            config=dict(self.subject.config),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        return int(self.run._next_step) - 1  # Trackio has no public name for it

    def put(self, rows: Sequence[Row]) -> None:
        """Log the rows."""
        for row in rows:
            self.run.log(dict(row.values), step=row.step)

    def end(self, status: str) -> None:
        """Wait until everything is written."""
        self.run.finish()
