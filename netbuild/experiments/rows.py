"""What each run of an experiment says: its status and scores, from an index beside the runs.

The index has what the files of a run said when they were last read. A run whose `run.json` has
another size or time since is read again, and so is every run where there is no index.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from netbuild import durable
from netbuild.errors import Exit, NetbuildError
from netbuild.experiments.folder import INDEX, ExperimentFolder, score_name
from netbuild.listing import entry
from netbuild.rundir import LARGEST_JSON, METRICS, RUN, as_object
from netbuild.runs.log import records
from netbuild.runs.schema import ENDED

METRIC_NAMES = ("accuracy", "loss")
SETTLED = (*ENDED, "diverged")  # these runs are never trained again
_LAST = re.compile(rb"(?P<status>\w+), exit code (?P<code>\d+): (?P<error>[^\n]*)\n?\Z")
_TAIL = 4096  # bytes of a log's end


@dataclass(frozen=True)
class Row:
    """What is known of a run; None is what it does not say."""

    status: str = "pending"
    exit_code: int | None = None
    error: str | None = None
    step: int | None = None
    best_step: int | None = None
    scores: dict[str, float] = field(default_factory=dict)  # such as `test_accuracy_best`
    seconds: float | None = None  # of training, without evaluations

    @property
    def is_settled(self) -> bool:
        """Whether it is not trained again."""
        return self.status in SETTLED

    def score(self, name: str) -> float | None:
        """A score of a run that has ended; None where it has none."""
        return self.scores.get(name) if self.status in ENDED else None


class Rows:
    """The rows of an experiment's runs, by their hash."""

    def __init__(self, folder: ExperimentFolder) -> None:
        self.folder = folder
        self._index = _read(folder.path / INDEX)
        self._changed = False

    def of(self, identity: str) -> Row:
        """The row of a run, read from its files where they have changed."""
        path = self.folder.run(identity)
        try:
            about = os.stat(path / RUN, follow_symlinks=False)
            stamp = [about.st_size, about.st_mtime_ns]
        except OSError:
            stamp = []
        known = self._index.get(identity)
        if known is not None and known["stamp"] == stamp and stamp:
            with suppress(TypeError):
                return Row(**known["row"])
        row = _row(self.folder, identity) if stamp else _unborn(self.folder, identity)
        if stamp and row.is_settled:  # others may change while their `run.json` does not
            self._index[identity] = {"stamp": stamp, "row": asdict(row)}
            self._changed = True
        return row

    def save(self) -> None:
        """Write the index, if it has changed; a folder that cannot be written has none."""
        if self._changed:
            data = json.dumps(self._index, separators=(",", ":"), allow_nan=False).encode()
            with suppress(OSError, NetbuildError):
                durable.replace_file(self.folder.path / INDEX, data)
                self._changed = False


def _read(path: Path) -> dict[str, Any]:
    """The index; nothing where it is missing or damaged."""
    try:
        found = as_object(durable.read_file(path, LARGEST_JSON))
    except (OSError, ValueError, NetbuildError):
        return {}
    return {
        key: value
        for key, value in found.items()
        if isinstance(value, dict) and {"stamp", "row"} <= value.keys()
    }


def _row(folder: ExperimentFolder, identity: str) -> Row:
    path = folder.run(identity)
    found = entry(path)
    code, error = _ended(folder.log(identity))
    if found.status in (*ENDED, "running"):
        code = error = None
    best_step, scores = _scores(path)
    return Row(
        status=found.status,
        exit_code=int(Exit.RUN) if found.status == "damaged" else code,
        error=found.problem or error,
        step=found.step,
        best_step=best_step,
        scores=scores,
        seconds=_seconds(path),
    )


def _scores(path: Path) -> tuple[int | None, dict[str, float]]:
    """The step of the best evaluation, and the final scores, that a `run.json` has.

    A run that ended before there were validation trials has the scores of its evaluations alone,
    which were those of the test trials.
    """
    try:
        about = as_object(durable.read_file(path / RUN, LARGEST_JSON))
    except (OSError, ValueError, NetbuildError):
        return None, {}
    best = _mapping(about.get("best"))
    sets = _mapping(about.get("scores"))
    if not sets:
        value = {best.get("metric"): best.get("value"), "loss": best.get("loss")}
        sets = {"test": {"last": about, "best": value if best else None}}
    found = {}
    for on, kinds in sets.items():
        for checkpoint, scores in _mapping(kinds).items():
            for metric in METRIC_NAMES:
                value_ = _mapping(scores).get(metric)
                if _is_number(value_):
                    found[score_name(metric, str(on), str(checkpoint))] = float(value_)
    step = best.get("step")
    return step if isinstance(step, int) else None, found


def _mapping(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _seconds(path: Path) -> float | None:
    """The seconds of training that the log tells: the steps by their rate."""
    total, last = 0.0, 0
    try:
        for line in records(path / METRICS, "train"):
            rate, step = line.get("steps_per_second"), line["step"]
            if isinstance(rate, (int, float)) and rate > 0:
                total += (step - last) / rate
            last = step
    except (OSError, ValueError, TypeError, NetbuildError):
        return None
    return total


def _unborn(folder: ExperimentFolder, identity: str) -> Row:
    """The row of a run without a directory: pending, or failed before it began."""
    code, error = _ended(folder.log(identity))
    return Row() if code is None else Row("failed", code, error)


def _ended(log: Path) -> tuple[int | None, str | None]:
    """The exit code and the error that a log ends with; None for neither."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(os.fstat(stream.fileno()).st_size - _TAIL, 0))
            found = _LAST.search(stream.read())
    except OSError:
        return None, None
    if found is None:
        return None, None
    return int(found["code"]), found["error"].decode(errors="replace")


def evaluations(path: Path, metric: str) -> Iterator[tuple[int, float]]:
    """The step and the score of each evaluation of a run, oldest first; none where it has none."""
    with suppress(OSError, ValueError, NetbuildError):
        for line in records(path / METRICS, "evaluation"):
            value = line.get(metric)
            if _is_number(value):
                yield int(line["step"]), float(value)


def score_at(path: Path, metric: str, step: int) -> float | None:
    """The score of the last evaluation up to a step."""
    found = [value for at, value in evaluations(path, metric) if at <= step]
    return found[-1] if found else None


def mean_of(values: Iterable[float | None]) -> float | None:
    """The mean, or None where there is no value or one is missing."""
    known = list(values)
    if not known or any(value is None for value in known):
        return None
    return sum(value for value in known if value is not None) / len(known)


def counts(rows: Mapping[str, Row]) -> dict[str, int]:
    """How many runs have each status."""
    found: dict[str, int] = {}
    for row in rows.values():
        found[row.status] = found.get(row.status, 0) + 1
    return found
