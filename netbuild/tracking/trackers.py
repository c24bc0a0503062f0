"""What a tracker is, and which there are; a tracker is a file and an entry of `TRACKERS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

from netbuild.errors import Exit, NetbuildError

Name = Literal["tensorboard", "wandb", "mlflow", "trackio"]

# Where the class of each tracker is. The package that it needs, and the extra that installs it,
# have the name of the tracker.
TRACKERS: dict[Name, tuple[str, str]] = {
    "tensorboard": ("netbuild.tracking.tensorboard", "TensorBoard"),
    "wandb": ("netbuild.tracking.wandb", "WandB"),
    "mlflow": ("netbuild.tracking.mlflow", "MLflow"),
    "trackio": ("netbuild.tracking.trackio", "Trackio"),
}


@dataclass(frozen=True)
class Subject:
    """The run that is tracked."""

    folder: Path  # of the trackers, in the run directory
    id: str  # the run's own, which it keeps when it is resumed
    project: str  # the name of the spec
    name: str  # for people, unlike that of any other run
    config: Mapping[str, Any]  # the resolved spec, flattened: `layers.hidden.tau`


@dataclass(frozen=True)
class Row:
    """All numbers of one step, by name: `train/loss`, `test/accuracy`."""

    step: int
    values: Mapping[str, float]


class Tracker(Protocol):
    """Takes the numbers of one run; it may raise any error, and may take any time."""

    def begin(self) -> int:
        """Begin, or continue after an earlier process; returns the last step it has, else -1."""

    def put(self, rows: Sequence[Row]) -> None:
        """Take the rows of some steps, in rising order, each once."""

    def end(self, status: str) -> None:
        """Send what is left; `status` is that of `run.json`, or "killed"."""


def tracker_of(name: str, subject: Subject) -> Tracker:
    """The tracker of a name of `TRACKERS`; raises ImportError where its package is missing."""
    module, attribute = TRACKERS[name]  # type: ignore[index]
    make: Callable[[Subject], Tracker] = getattr(import_module(module), attribute)
    return make(subject)


def install(name: str) -> str:
    """The command that installs what a tracker needs."""
    return f"pip install 'netbuild[{name}]'"


def is_missing(name: str) -> bool:
    """Whether the package of a tracker is not installed.

    A folder of that name is no package: some trackers write into such a folder.
    """
    found = find_spec(name)
    return found is None or found.origin is None


def refuse_missing(names: Iterable[str]) -> None:
    """Raise NetbuildError (exit 10) for a tracker whose package is not installed."""
    for name in names:
        if is_missing(name):
            what = f"`track: {name}` needs the package {name}, which is not installed"
            raise NetbuildError(what, Exit.MISSING, install(name))
