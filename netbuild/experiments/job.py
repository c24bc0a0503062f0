"""One run of an experiment, as any back end carries it out: plain data in, how it ended out."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netbuild import durable, process
from netbuild.errors import Exit, NetbuildError
from netbuild.system import cores, machine_cores

if TYPE_CHECKING:  # a process that only passes jobs on loads no torch
    from netbuild.runs.writer import RunWriter
    from netbuild.training.loop import Record, Trainer


@dataclass(frozen=True)
class Job:
    """A run to begin or to resume: JSON data alone, so that it can travel to any machine."""

    hash: str  # of the resolved spec; also the name of its folder
    spec: str  # the spec's file
    overrides: tuple[str, ...]
    unset: tuple[str, ...]
    data_root: str | None
    runs: str  # the folder that its folder is in
    until: int | None = None  # steps after which it pauses
    files: tuple[str, ...] = ()  # that the spec reads, its own included
    # The commit of the spec and the patch to its files, where these are copies outside of git.
    git: tuple[str | None, str | None] | None = None

    def to_data(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Job:
        """The job that JSON data describes."""
        lists = {key: tuple(data[key]) for key in ("overrides", "unset", "files")}
        git = None if data["git"] is None else tuple(data["git"])
        return cls(**{**data, **lists, "git": git})

    @property
    def run(self) -> Path:
        """The directory of the run."""
        return Path(self.runs) / self.hash


@dataclass(frozen=True)
class Outcome:
    """How a run has ended, for now or for good."""

    status: str  # that of `run.json`, or "failed"
    exit_code: int = 0
    error: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether it ended by an error; a divergence is a result."""
        return self.exit_code not in (Exit.DONE, Exit.DIVERGED)


def carry_out(job: Job, watch: Callable[[Record, Trainer], None]) -> Outcome:
    """Begin or resume a run, and train it until it ends, pauses, or `watch` stops its trainer.

    `watch` is called with every record of the training. No exception leaves this function, except
    those that end a process.
    """
    from netbuild.runs.run import RunFolder
    from netbuild.runs.writer import recording

    try:
        found = _trainer(job)
        if found is None:
            return Outcome(RunFolder(job.run).info.status)
        trainer, writer = found
        if job.until is not None:
            trainer.saves = (job.until,)
        with recording(trainer, writer) as records:
            for record in records:
                if job.until is not None and record.step >= job.until:
                    trainer.stop = True
                watch(record, trainer)
        return Outcome(writer.info.status)
    except NetbuildError as error:
        code = error.exit_code
        status = "diverged" if code == Exit.DIVERGED else "failed"
        hint = f" ({error.hint})" if error.hint else ""
        return Outcome(status, int(code), f"{error}{hint}")
    except MemoryError:
        return Outcome("failed", int(Exit.RESOURCES), "out of memory")
    except OSError as error:
        return Outcome("failed", int(Exit.IO), f"{error.filename or ''} {error.strerror or error}")
    except Exception as error:
        traceback.print_exc()
        return Outcome("failed", int(Exit.BUG), f"{type(error).__name__}: {error}")


def _trainer(job: Job) -> tuple[Trainer, RunWriter] | None:
    """The training of a job where it stands; None where it has ended."""
    from netbuild.language import load
    from netbuild.runs.git import GitState
    from netbuild.runs.resuming import resumed
    from netbuild.runs.run import RunFolder
    from netbuild.runs.start import new_trainer, start_run

    if (job.run / "run.json").is_file():
        run = RunFolder.open(job.run)
        if run.info.has_ended:
            return None
        process.prepare(min(run.info.environment.threads, machine_cores()))
        return resumed(run, if_changed="ignore", warn=_warn)
    if job.run.exists():  # a process was killed while it made the folder
        durable.remove(job.run)
    spec = load(job.spec, job.overrides, unset=job.unset, data_root=job.data_root)
    if spec.hash != job.hash:
        what = f"{job.spec}, or a file that it names, has changed since the sweep was started"
        raise NetbuildError(what, Exit.SPEC, "start the sweep again")
    threads = spec.model.training.threads
    process.prepare(1 if threads == "auto" else min(threads, cores()))
    trainer = new_trainer(spec)
    git = None if job.git is None else GitState(*job.git)
    return trainer, start_run(spec, Path(job.runs), trainer, name=job.hash, git=git)


def _warn(message: str) -> None:
    print(f"warning: {message}", flush=True)
