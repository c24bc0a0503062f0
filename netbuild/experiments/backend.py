"""What a back end is: something that carries out jobs and tells how they go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from netbuild.errors import Exit, NetbuildError
from netbuild.experiments.job import Job, Outcome
from netbuild.language.backends import TELLER, Options, options_from
from netbuild.language.options import load_options
from netbuild.wording import near, show

# What makes each back end, from its options, how many runs are trained at once (None: as many as
# there is room for) and the threads of a run. A back end is a file, a class of options in
# `netbuild.language.backends`, and an entry.
BACKENDS = {
    "local": ("netbuild.experiments.local", "local"),
    "ray": ("netbuild.experiments.ray", "ray_cluster"),
    "slurm": ("netbuild.experiments.slurm", "slurm_cluster"),
}


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

    @property
    def waiting(self) -> int:
        """How many of the jobs that were submitted have not been begun yet."""

    def submit(self, job: Job, log: str) -> None:
        """Begin a job, what it says to be appended to a log; at most `slots` are begun at once."""

    def events(self, seconds: float) -> list[Event]:
        """What has happened since the last call; waits at most so long for the first event."""

    def stop(self) -> None:
        """Ask every job that was submitted to save its run and to end, which is an event."""

    def close(self) -> None:
        """Release what the back end holds."""


def options_of(on: str) -> Options:
    """The options of a back end that is named, or whose options a YAML file has.

    Raises NetbuildError (exit 2) for an unknown name, and SpecError for problems of the file.
    """
    if on in BACKENDS:
        return options_from({TELLER: on})
    if on.endswith((".yaml", ".yml")):
        return load_options(on)
    what = f"`{show(on)}` is not a place to run"
    hint = near(on, BACKENDS) or f"one of {', '.join(BACKENDS)}, or a file with `backend:`"
    raise NetbuildError(what, Exit.USAGE, hint)


def backend_of(options: Options, workers: int | None, threads: int) -> Backend:
    """The back end of these options, which `workers` changes; a run has so many threads.

    Raises NetbuildError where it cannot be used: exit 10 where its package is missing.
    """
    module, attribute = BACKENDS[options.backend]
    make: Callable[[Any, int | None, int], Backend] = getattr(import_module(module), attribute)
    return make(options, workers or options.workers, threads)
