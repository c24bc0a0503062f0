"""MLflow, in the store that its own settings name (`MLFLOW_TRACKING_URI`).

A run there has a tag with the id of the run, by which it is found again.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunStatus

from netbuild.tracking.trackers import Row, Subject

TAG = "netbuild.run"
MOST_METRICS, MOST_PARAMS = 1000, 100  # in one request
LONGEST_KEY, LONGEST_VALUE = 250, 6000  # characters
STATUS = {"finished": "FINISHED", "stopped early": "FINISHED", "diverged": "FAILED"}
STATUS |= {"failed": "FAILED"}  # any other is KILLED
Item = TypeVar("Item")


class MLflow:
    """One run of MLflow for a run; an experiment there has the name of the spec."""

    def __init__(self, subject: Subject) -> None:
        self.subject, self.client = subject, MlflowClient()
        self.run = ""
        self.done: dict[str, int] = {}  # the last step of each metric

    def begin(self) -> int:
        """Start the run or find it; each metric is continued from its own last step."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or self.subject.project
        client, subject = self.client, self.subject
        experiment = client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else client.create_experiment(name)
        found = client.search_runs([number], f"tags.`{TAG}` = '{subject.id}'")
        run = found[0] if found else None
        if run is None:
            run = client.create_run(number, run_name=subject.name, tags={TAG: subject.id})
        self.run = run.info.run_id
        client.update_run(self.run, RunStatus.to_string(RunStatus.RUNNING))
        for key in run.data.metrics:
            history = client.get_metric_history(self.run, key)
            self.done[key] = max(each.step for each in history)
        params = [
            Param(allowed(key), str(value)[:LONGEST_VALUE])
            for key, value in subject.config.items()
            if allowed(key) not in run.data.params
        ]
        for part in _parts(params, MOST_PARAMS):
            client.log_batch(self.run, params=part)
        return -1

    def put(self, rows: Sequence[Row]) -> None:
        """Log the rows; a value that the run has already is left out."""
        now = int(time.time() * 1000)
        metrics = [
            Metric(allowed(key), value, now, row.step)
            for row in rows
            for key, value in row.values.items()
            if row.step > self.done.get(allowed(key), -1)
        ]
        for part in _parts(metrics, MOST_METRICS):
            self.client.log_batch(self.run, metrics=part)

    def end(self, status: str) -> None:
        """Say how the training has ended."""
        self.client.set_terminated(self.run, STATUS.get(status, "KILLED"))


def allowed(key: str) -> str:
    """A key with `_` in place of the characters that MLflow does not allow."""
    return re.sub(r"[^\w\-. :/]", "_", key, flags=re.ASCII)[:LONGEST_KEY]


def _parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
