"""What `run.json` and a checkpoint's `state.json` say, as models; both files are read through them.

A run may come from anybody: whatever a file says has the types that are declared here, or the file
is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from netbuild import rundir
from netbuild.durable import read_file, reading, steadily
from netbuild.errors import Exit, NetbuildError
from netbuild.rundir import FORMAT, other_format
from netbuild.training.progress import Best, Count, Progress

ENDED = ("finished", "stopped early")  # the status of a training that has come to its own end


class Model(BaseModel):
    """Plain data of exactly these types."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Input(Model):
    """A file that the spec names."""

    file: str = ""  # as the spec names it
    sha256: str
    bytes: int = 0


class Git(Model):
    """The commit that was checked out, and whether the run's own files differ from it."""

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
    """Where the run's files lay when it was started, relative to the run, with their SHA-256."""

    spec: str | None = None
    data_root: str | None = None
    files: dict[str, str] = {}


class Resumed(Model):
    """When a run was resumed, from which step, and what had changed of the environment."""

    step: Count
    time: str
    argv: list[str]
    environment: dict[str, Any] = {}


class RunInfo(Model):
    """What `run.json` says of a run."""

    format: int = FORMAT
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
    task_widths: dict[str, Any] | None  # what rebuilds the network where neurogym is missing
    environment: Environment
    own_task: bool = False  # whether the task was an object given in Python
    started: str
    sources: Sources = Sources()
    changed: str = ""  # the time of the latest change
    step: Count = 0  # of the newest checkpoint; at the end the last step
    error: str | None = None
    resumed: list[Resumed] = []
    # The last evaluation and the best one, at the end; a number is null where there is none.
    loss: float | None = None
    accuracy: float | None = None
    environments: dict[str, float | None] = {}
    best: Best | None = None

    @model_validator(mode="after")
    def _check_end(self) -> Self:
        if self.status in ENDED and "step" not in self.model_fields_set:
            raise ValueError("an end without a step")
        return self

    @property
    def has_ended(self) -> bool:
        """Whether the training has come to its own end."""
        return self.status in ENDED

    def to_data(self) -> dict[str, Any]:
        """What was set, as the file has it."""
        return dict(without_nan(self.model_dump(exclude_unset=True)))


class State(Progress):
    """What `state.json` says: where the training stands, and what belongs to this state."""

    format: int = FORMAT
    run: str  # its id
    metrics: Count  # bytes of the run's log then
    metrics_sha256: str  # of these bytes
    optimizer: dict[str, Any]  # the kind, and the groups of parameters
    sha256: dict[str, str]  # of the checkpoint's other files


def read_info(path: Path) -> RunInfo:
    """What a `run.json` says; raises NetbuildError (exit 5) for a damaged or another one."""
    with reading(path, KeyError):
        found = rundir.as_object(steadily(lambda: read_file(path, rundir.LARGEST_JSON)))
        version = found["format"]
    if version != FORMAT:
        raise NetbuildError(f"{path.parent} {other_format(version)}", Exit.RUN)
    try:
        info = RunInfo.model_validate(found)
        with reading(path):  # what is nested too deep to be written again is damage
            info.to_data()
        return info
    except ValidationError as error:
        keys = error.errors()[0]["loc"] or ("step",)
        raise NetbuildError(f"{path} is damaged: see `{keys[0]}`", Exit.RUN) from None


def without_nan(data: Any) -> Any:
    """Data whose numbers JSON can hold: null where one is not finite."""
    if isinstance(data, Mapping):
        return {key: without_nan(each) for key, each in data.items()}
    if isinstance(data, (list, tuple)):
        return [without_nan(each) for each in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def now() -> str:
    """The time, for people; nothing is ordered by it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
