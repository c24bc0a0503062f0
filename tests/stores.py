"""What each tracker has of a run, read back by the tracker's own package in another process."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

from netbuild.runs.schema import read_info
from netbuild.runs.tracked import final_of
from netbuild.tracking.rows import values_of
from netbuild.tracking.trackers import TRACKERS, is_missing

History = dict[str, list[tuple[int, float]]]  # of each name: the steps and values, as they came
EACH = [
    pytest.param(name, marks=pytest.mark.skipif(is_missing(name), reason=f"{name} is missing"))
    for name in TRACKERS
]

_BEGIN = "import collections, json, sys\nrun = sys.argv[1]\nfound = collections.defaultdict(list)\n"
_END = "\nprint(json.dumps(found))\n"
READERS = {
    "tensorboard": """
from pathlib import Path
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
for path in sorted(Path(run, "tracking", "tensorboard").iterdir()):
    for event in LegacyEventFileLoader(str(path)).Load():
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found[value.tag].append((event.step, value.simple_value))
""",
    "wandb": """
from pathlib import Path
from netbuild.tracking.wandb import history, offline_files
for path in offline_files(Path(run, "tracking")):
    for step, values in history(path):
        for name, value in values.items():
            if not name.startswith("_"):
                found[name].append((step, json.loads(value)))
""",
    "mlflow": """
from pathlib import Path
from mlflow import MlflowClient
client, id = MlflowClient(), json.loads(Path(run, "run.json").read_text())["id"]
(one,) = client.search_runs(
    [each.experiment_id for each in client.search_experiments()], f"tags.`netbuild.run` = '{id}'"
)
for name in one.data.metrics:
    history = client.get_metric_history(one.info.run_id, name)
    found[name] = [(each.step, each.value) for each in history]
""",
    "trackio": """
from pathlib import Path
from trackio.sqlite_storage import SQLiteStorage
about = json.loads(Path(run, "run.json").read_text())
(name,) = [n for n in SQLiteStorage.get_runs(about["name"]) if n.endswith(about["id"][:6])]
for row in SQLiteStorage.get_logs(about["name"], name, max_points=None):
    for key, value in row.items():
        if "/" in key:
            found[key].append((row["step"], value))
""",
}


def offline(folder: Path) -> dict[str, str]:
    """The environment in which every tracker keeps what it has in this folder."""
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "WANDB_MODE": "offline",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder.as_posix()}/mlflow.db",
        "TRACKIO_DIR": str(folder / "trackio"),
        "HF_HUB_OFFLINE": "1",
    }


def stored(tracker: str, run: Path, folder: Path) -> History:
    """What a tracker has of a run."""
    program = _BEGIN + READERS[tracker] + _END
    result = subprocess.run(
        [sys.executable, "-c", program, str(run)],
        env=offline(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    return {name: [(step, value) for step, value in rows] for name, rows in found.items()}


def logged(run: Path) -> History:
    """What a tracker should have of a run: every number of its log, and the final scores."""
    found: History = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        for name, value in values_of(record):
            found.setdefault(name, []).append((record["step"], value))
    info = read_info(run / "run.json")
    return found | {name: [(info.step, value)] for name, value in final_of(info).items()}


def assert_complete(found: Mapping[str, Any], run: Path) -> None:
    """No gap, no duplicate, and the values of the log; the speed may be that of an earlier try."""
    wanted = logged(run)
    assert found.keys() == wanted.keys()
    for name, rows in wanted.items():
        assert [step for step, _ in found[name]] == [step for step, _ in rows], name
        if not name.endswith("steps_per_second"):
            pairs = zip(found[name], rows, strict=True)
            assert all(math.isclose(a[1], b[1], rel_tol=1e-6) for a, b in pairs), name
