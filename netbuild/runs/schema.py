"""The models of `run.json` and of a checkpoint's `state.json`, through which both files are read.

A run may come from anybody, so a file with values of other types than declared here is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from netbuild import rundir
from netbuild.durable import read_file, reading, steady
from netbuild.errors import Exit, NetbuildError
from netbuild.rundir import FORMAT, RUN_FORMAT, RUN_FORMATS, other_format
from netbuild.splits import Selection, TrialSet
from netbuild.training.progress import Best, Count, Progress

ENDED = ("finished", "stopped early")  # the status of a training that needs no resume


class Model(BaseModel):
    """Plain data, whose types are checked strictly."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Input(Model):
    """A file that the spec names."""

    file: str = ""  # as the spec names it
    sha256: str
    bytes: int = 0


class Git(Model):
    """The commit that was checked out, and whether the run's own files differ from the commit."""

    commit: str | None
    changed: bool


class Environment(Model):
    """Versions, processor and threads: what the last bits of a training may depend on."""

    model_config = ConfigDict(strict=True, extra="ignore")

    python: str
    packages: dict[str, str | None]  # versions
    platform: str
    cpu: str | None
    cpu_capability: str
    threads: int = Field(ge=1)
    omp_wait_policy: str | None
    variables: dict[str, str]  # that libraries read
    device: str
    deterministic: bool
    argv: list[str]


class Sources(Model):
    """Paths, relative to the run, and SHA-256 of the files that the run was started from."""

    spec: str | None = None
    data_root: str | None = None
    files: dict[str, str] = {}


class Resumed(Model):
    """When and from which step a run was resumed, and what had changed in the environment."""

    step: Count
    time: str
    argv: list[str]
    environment: dict[str, Any] = {}


class Score(Model):
    """The scores of the weights of a step on one set of trials; a missing number is null."""

    step: Count
    loss: float | None = None
    accuracy: float | None = None
    environments: dict[str, float | None] = {}


class SetScores(Model):
    """The final scores on one set of trials."""

    last: Score  # of the last weights
    best: Score | None = None  # of the weights with the best evaluation of the last stage


class RunInfo(Model):
    """The contents of `run.json`."""

    format: int = RUN_FORMAT
    id: str
    name: str
    status: str  # "running", "interrupted", "failed", "diverged" or one of ENDED
    spec_hash: str
    spec_sha256: str
    initial_sha256: str
    resolved_sha256: str
    seed: int
    overrides: list[str]
    unset: list[str]
    inputs: dict[str, Input]  # by where the spec names them
    git: Git
    task_widths: dict[str, Any] | None  # to build the network where neurogym is missing
    environment: Environment
    kernels: dict[str, str] = {}  # by layer, those that compute the recurrences
    own_task: bool = False  # whether the task was an object given in Python
    started: str
    sources: Sources = Sources()
    changed: str = ""  # the time of the latest change
    step: Count = 0  # of the newest checkpoint; at the end the last step
    error: str | None = None
    resumed: list[Resumed] = []
    # What `stop_when` and the best checkpoint are chosen on; None where nothing is chosen, and in
    # format 1.
    selected_on: Selection | None = None
    scores: dict[TrialSet, SetScores] = {}  # at the end, but not in format 1
    # The last evaluation and the best evaluation, at the end; a missing number is null.
    loss: float | None = None
    accuracy: float | None = None
    environments: dict[str, float | None] = {}
    best: Best | None = None

    @model_validator(mode="after")
    def _check_end(self) -> Self:
        if self.status in ENDED and "step" not in self.model_fields_set:
            raise ValueError("an end without a step")
        if self.scores and "test" not in self.scores:
            raise ValueError("final scores without those on the test trials")
        return self

    @property
    def has_ended(self) -> bool:
        """Whether the training needs no resume."""
        return self.status in ENDED

    @property
    def has_separate_test(self) -> bool:
        """Whether test trials that a task draws are others than those of evaluations."""
        return self.format >= RUN_FORMAT

    def to_data(self) -> dict[str, Any]:
        """The fields that were set, as in the file."""
        return dict(without_nan(self.model_dump(exclude_unset=True)))


class State(Progress):
    """The contents of `state.json`: where the training stands, and what belongs to this state."""

    format: int = FORMAT
    run: str  # its id
    metrics: Count  # bytes of the run's log then
    metrics_sha256: str  # of these bytes
    optimizer: dict[str, Any]  # the kind, and the groups of parameters
    sha256: dict[str, str]  # of the checkpoint's other files


def read_info(path: Path) -> RunInfo:
    """Read a `run.json`; raises NetbuildError (exit 5) if damaged, or of another version."""
    with reading(path, KeyError):
        found = rundir.as_object(steady(read_file)(path, rundir.LARGEST_JSON))
        version = found["format"]
    if version not in RUN_FORMATS:
        raise NetbuildError(f"{path.parent} {other_format(version)}", Exit.RUN)
    try:
        info = RunInfo.model_validate(found)
        with reading(path):  # JSON that is nested too deep to be written again is damage
            info.to_data()
        return info
    except ValidationError as error:
        keys = error.errors()[0]["loc"] or ("step",)
        raise NetbuildError(f"{path} is damaged: see `{keys[0]}`", Exit.RUN) from None


def without_nan(data: Any) -> Any:
    """Data for JSON: None in place of numbers that are not finite."""
    if isinstance(data, Mapping):
        return {key: without_nan(each) for key, each in data.items()}
    if isinstance(data, (list, tuple)):
        return [without_nan(each) for each in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def now() -> str:
    """The present time, for people to read; nothing is ordered by it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
