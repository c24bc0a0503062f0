"""The folder of an experiment: its file, its points, and where each run and log lies.

experiment.yaml    the file as it was when the sweep was last started
experiment.json    its points, and what they are compared by
runs/<hash>/       a run directory for each resolved spec
logs/<hash>.log    what the training of that spec said
index.json         what is known of each run; made again from the runs where it is missing
table.parquet, table.csv, summary.csv, comparisons.csv
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from netbuild import durable
from netbuild.errors import Exit, NetbuildError, SpecError
from netbuild.language.points import Point, Points
from netbuild.rundir import LARGEST_JSON, as_object, other_format
from netbuild.runs.lock import take_lock
from netbuild.wording import show

FORMAT = 1  # of experiment.json
ABOUT, FILE, INDEX = "experiment.json", "experiment.yaml", "index.json"
RUNS, LOGS = "runs", "logs"


def score_name(metric: str, on: str, checkpoint: str) -> str:
    """What a score is called in tables: `test_accuracy`, `validation_loss_best`."""
    return f"{on}_{metric}" + ("_best" if checkpoint == "best" else "")


class PointInfo(BaseModel):
    """A point as the folder keeps it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    hash: str
    condition: str
    draw: int | None
    seed: int
    parameters: dict[str, Any]
    steps: int | None
    trial: int | None = None  # of an estimator
    dropped: int | None = None  # the steps after which it fell behind

    @property
    def setting(self) -> tuple[Any, ...]:
        """What its replicates share."""
        return self.condition, self.draw, json.dumps(self.parameters, sort_keys=True)


class About(BaseModel):
    """The contents of `experiment.json`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    format: int = FORMAT
    name: str
    source: str  # the experiment's file, or the spec of replicates, relative to the folder
    spec: str  # relative to the folder
    metric: str
    minimizes: bool
    on: str
    checkpoint: str
    baseline: str | None
    method: str
    conditions: list[str]
    parameters: list[str]
    derived: list[str] = []
    points: list[PointInfo]

    @property
    def score(self) -> str:
        """The name of the score that is compared."""
        return score_name(self.metric, self.on, self.checkpoint)


@dataclass(frozen=True)
class ExperimentFolder:
    """The folder of an experiment; what it holds may come from anybody, and is checked."""

    path: Path

    def run(self, identity: str) -> Path:
        """The directory of a run."""
        return self.path / RUNS / identity

    def log(self, identity: str) -> Path:
        """The log of a run's trainings."""
        return self.path / LOGS / f"{identity}.log"

    def about(self) -> About:
        """What `experiment.json` says; raises NetbuildError (exit 5) where it is damaged."""
        path = self.path / ABOUT
        with durable.reading(path, KeyError):
            found = as_object(durable.read_file(path, LARGEST_JSON))
            version = found["format"]
        if version != FORMAT:
            raise NetbuildError(f"{self.path} {other_format(version)}", Exit.RUN)
        try:
            about = About.model_validate(found)
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise NetbuildError(f"{path} is damaged: see `{show(where)}`", Exit.RUN) from None
        if bad := [p.hash for p in about.points if not _is_hash(p.hash)]:
            raise NetbuildError(f"{path} is damaged: `{show(bad[0])}` is no hash", Exit.RUN)
        return about

    def write_about(self, about: About) -> None:
        """Write `experiment.json`."""
        data = json.dumps(about.model_dump(), indent=1, ensure_ascii=False) + "\n"
        durable.replace_file(self.path / ABOUT, data.encode(errors="backslashreplace"))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from sweeping here; raises NetbuildError (exit 6)."""
        lock = take_lock(self.path / ".lock", str(self.path))
        try:
            yield
        finally:
            os.close(lock)


def _is_hash(text: str) -> bool:
    return len(text) == 16 and all(c in "0123456789abcdef" for c in text)


def find_experiment(
    target: str | Path, root: Path = Path("experiments")
) -> ExperimentFolder | None:
    """The experiment that a folder is, or that is called so below `root`; None for neither."""
    for path in (Path(target), root / target):
        if (path / ABOUT).is_file():
            return ExperimentFolder(path)
    return None


def need_experiment(target: str | Path) -> ExperimentFolder:
    """As `find_experiment`; raises NetbuildError (exit 2) where there is none."""
    found = find_experiment(target)
    if found is None:
        hint = "`netbuild sweep` makes one; it is a folder with experiment.json"
        raise NetbuildError(f"{show(str(target))} is not an experiment", Exit.USAGE, hint)
    return found


def prepare(points: Points, out: Path) -> ExperimentFolder:
    """Make or find the folder of an experiment below `out`, and refuse that of another file.

    Raises SpecError (NB406) where the folder belongs to another file, and NetbuildError (exit 7)
    where it cannot be written.
    """
    experiment = points.experiment
    folder = ExperimentFolder(out / experiment.name)
    source = experiment.path or experiment.spec
    if (folder.path / ABOUT).is_file():
        before = Path(os.path.realpath(folder.path / folder.about().source))
        if before.is_file() and before != Path(os.path.realpath(source)):
            what = f"{folder.path} belongs to {show(os.path.relpath(before))}"
            hint = "give this experiment another name, or name another folder with `--out`"
            raise SpecError([experiment.problem("NB406", ("experiment",), what, hint)])
    elif folder.path.is_dir() and any(folder.path.iterdir()):
        what = f"{folder.path} is there, and is not the folder of an experiment"
        raise NetbuildError(what, Exit.IO, "name another folder with `--out`")
    with durable.io_errors(f"cannot write {folder.path}"):
        for each in (folder.path, folder.path / RUNS, folder.path / LOGS):
            os.makedirs(each, exist_ok=True)
    return folder


def write(folder: ExperimentFolder, points: Points, known: Sequence[PointInfo] = ()) -> About:
    """Write the file and the points of an experiment into its folder, which is locked."""
    experiment = points.experiment
    model = experiment.model
    about = About(
        name=experiment.name,
        source=_relative(experiment.path or experiment.spec, folder.path),
        spec=_relative(experiment.spec, folder.path),
        metric=points.metric,
        minimizes=points.minimizes,
        on=model.metric.on,
        checkpoint=model.metric.checkpoint,
        baseline=model.baseline,
        method=model.method.type,
        conditions=list(model.conditions),
        parameters=list(model.parameters),
        derived=list(model.derive),
        points=[*known] or [info_of(point) for point in points.points],
    )
    with durable.io_errors(f"cannot write {folder.path}"):
        durable.replace_file(folder.path / FILE, experiment.text.encode())
        folder.write_about(about)
    return about


def info_of(point: Point, trial: int | None = None) -> PointInfo:
    """A point as the folder keeps it."""
    return PointInfo(
        hash=point.hash,
        condition=point.condition,
        draw=point.draw,
        seed=point.seed,
        parameters=_plain(point.parameters),
        steps=point.steps,
        trial=trial,
    )


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(dict(parameters))))


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(os.path.realpath(path), os.path.realpath(folder))).as_posix()
