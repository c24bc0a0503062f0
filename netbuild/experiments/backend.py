"""What a back end is: something that carries out jobs and tells how they go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from netbuild.errors import Exit, NetbuildError
from netbuild.experiments.job import Job, Outcome
from netbuild.wording import near, show

# Where the class of each back end is; a back end is a file and an entry.
BACKENDS = {"local": ("netbuild.experiments.local", "Local")}


@dataclass(frozen=True)
class Event:
    """News of a job: how far it is, or how it ended."""

    job: Job
    outcome: Outcome | None = None  # None while it is being trained
    step: int = 0
    steps: int = 0


class Backend(Protocol):
    """Carries out jobs, `slots` of them at once."""

    slots: int

    def submit(self, job: Job, log: str) -> None:
        """Begin a job, what it says to be appended to a log; at most `slots` are begun at once."""

    def events(self, seconds: float) -> list[Event]:
        """What has happened since the last call; waits at most so long for the first event."""

    def stop(self) -> None:
        """Ask every job that was begun to save its run and to end, which is an event."""

    def close(self) -> None:
        """Release what the back end holds."""


def backend_of(name: str, slots: int) -> Backend:
    """The back end of a name; raises NetbuildError (exit 2) for an unknown one."""
    if name not in BACKENDS:
        what = f"`{show(name)}` is not a place to run"
        raise NetbuildError(what, Exit.USAGE, near(name, BACKENDS))
    module, attribute = BACKENDS[name]
    make: Callable[[int], Backend] = getattr(import_module(module), attribute)
    return make(slots)
