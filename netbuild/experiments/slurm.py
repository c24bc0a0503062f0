"""The back end of a SLURM cluster: one job array, each task of which trains one run.

submitit writes and submits the array; SLURM alone decides when and where a task runs. How a task
goes is read from the folder of the array, and from SLURM's queue. Tasks that an earlier sweep has
left in the queue are waited for, and not submitted again.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from netbuild import durable
from netbuild.durable import canonical_json
from netbuild.errors import Exit, NetbuildError
from netbuild.experiments.array import ArrayTask, JobArray
from netbuild.experiments.backend import Event
from netbuild.experiments.job import Job, Outcome
from netbuild.experiments.slurm_queue import Queued, cancel, queued, state_at_the_end
from netbuild.experiments.slurm_task import work
from netbuild.language.backends import SlurmOptions

EVERY = 10.0  # seconds between two looks at the queue
GRACE = 60.0  # seconds until a shared folder shows what a task said last
MOST = 1000  # tasks of an array; SLURM allows as many unless it is told otherwise
FOLDER = "slurm"  # in that of the experiment
# Without these, a shell that gets a signal ends, and its training is killed.
SETUP = ("trap '' TERM USR1 USR2",)
ENDINGS = {
    "CANCELLED": (Exit.TERMINATED, "the job was cancelled"),
    "TIMEOUT": (
        Exit.RESOURCES,
        "the time limit came before the run was saved: `timeout_min` or `slurm_signal_delay_s` "
        "is too short",
    ),
    "OUT_OF_MEMORY": (Exit.RESOURCES, "the job needed more memory than `mem_gb`"),
}


@dataclass
class Submitted:
    """A job that SLURM has, and what is known of its task."""

    job: Job
    log: str
    task: ArrayTask
    queued: Queued | None = None  # as it was seen last
    has_run: bool = False
    gone: float | None = None  # when it was missed in the queue, in seconds of a monotonic clock

    @property
    def is_running(self) -> bool:
        """Whether a node had it when SLURM was asked last."""
        return self.queued is not None and self.queued.state != "PENDING"


def slurm_cluster(options: SlurmOptions, workers: int | None, threads: int) -> Slurm:
    """The back end of a SLURM cluster; raises NetbuildError (exit 10) without it or submitit."""
    return Slurm(_submitit(), partial(parameters, options, workers or MOST, threads))


class Slurm:
    """Trains on a SLURM cluster, by submitit and its parameters for a name of the jobs."""

    def __init__(self, submitit: Any, parameters: Callable[[str], dict[str, Any]]) -> None:
        self.slots = MOST
        self._submitit, self._parameters = submitit, parameters
        self._waiting: list[tuple[Job, str]] = []
        self._tasks: list[Submitted] = []
        self._has_looked_back = False
        self._earlier: list[ArrayTask] = []  # tasks of an earlier sweep that are to leave the queue
        self._looked = 0.0
        self._stopping = False

    @property
    def waiting(self) -> int:
        """How many jobs are not on a node yet, as far as SLURM has said."""
        return len(self._waiting) + sum(not each.is_running for each in self._tasks)

    def submit(self, job: Job, log: str) -> None:
        """Note a job; `events` submits all that were noted as one array."""
        self._waiting.append((job, log))

    def events(self, seconds: float) -> list[Event]:
        """What has happened since the last call; waits at most so long, unless SLURM is asked."""
        if self._stopping and self._waiting:
            given_up, self._waiting = self._waiting, []
            return [Event(job, Outcome("interrupted")) for job, _ in given_up]
        if self._waiting and not self._has_looked_back:
            self._take_over()
        if self._waiting and not self._tasks and not self._earlier:
            self._submit()
        if time.monotonic() - self._looked >= EVERY:
            self._looked = time.monotonic()
            return self._look()
        time.sleep(seconds)
        return []

    def stop(self) -> None:
        """Take what waits out of the queue, and ask the rest to save their runs and to end."""
        self._stopping = True
        self._looked = 0.0
        self._cancel(self._ours())

    def close(self) -> None:
        """Ask tasks that are left to end, as `stop` does, without waiting for them."""
        if self._tasks and not self._stopping:
            self.stop()

    # Submitting

    def _take_over(self) -> None:
        """Watch the tasks of an earlier sweep that are wanted, and cancel the others."""
        self._has_looked_back = True
        wanted = {canonical_json(job.to_data()): (job, log) for job, log in self._waiting}
        arrays = JobArray.all_in(_folder(self._waiting[0][0]))
        found = queued(array.name for array in arrays) if arrays else {}
        if found is None:
            what = "SLURM does not say which jobs of an earlier sweep it still has"
            raise NetbuildError(what, Exit.IO, "`squeue --me` must answer")
        for array in arrays:
            entries = array.jobs()
            left = [index for name, index in found if name == array.name]
            if not left:
                _remove(array)
            for index in left:
                task = ArrayTask(array, index)
                job = entries[index]["job"] if index < len(entries) else {}
                same = wanted.pop(canonical_json(job), None)
                if same is None or task.is_stopped():
                    self._earlier.append(task)
                else:
                    self._tasks.append(Submitted(*same, task))
                    self._waiting.remove(same)
        self._cancel(self._earlier)

    def _submit(self) -> None:
        """Submit what waits as one array."""
        jobs, self._waiting = self._waiting, []
        folder = _folder(jobs[0][0])
        with durable.io_errors(f"cannot write {folder}"):
            array = JobArray.create(folder, [(job.to_data(), log) for job, log in jobs])
        tasks = [ArrayTask(array, index) for index in range(len(jobs))]
        executor = self._submitit.AutoExecutor(folder=str(array.path), cluster="slurm")
        try:
            executor.update_parameters(**self._parameters(array.name))
            executor.map_array(work, [str(task.path) for task in tasks])
        except Exception as error:  # of submitit, of several kinds
            _remove(array)
            said = " ".join(str(error).split()) or type(error).__name__
            what = f"SLURM does not take the jobs: {said}"
            raise NetbuildError(what, Exit.RESOURCES) from None
        self._tasks = [Submitted(*job, task) for job, task in zip(jobs, tasks, strict=True)]

    # Watching

    def _look(self) -> list[Event]:
        """What the queue and the files of the tasks say."""
        names = {task.array.name for task in (*self._ours(), *self._earlier)}
        found = queued(names) if names else {}
        if found is None:
            return []
        self._earlier = [task for task in self._earlier if task.key in found]
        events, left = [], []
        for submitted in self._tasks:
            event = self._event(submitted, found.get(submitted.task.key))
            if event is not None:
                events.append(event)
            if event is None or event.outcome is None:
                left.append(submitted)
        before, self._tasks = self._ours(), left
        for array in {task.array for task in before} - {task.array for task in self._ours()}:
            _remove(array)
        if self._stopping:
            self._cancel(self._ours())
        return events

    def _ours(self) -> list[ArrayTask]:
        return [submitted.task for submitted in self._tasks]

    def _event(self, submitted: Submitted, now: Queued | None) -> Event | None:
        """The news of a job that stands so in the queue; None for one that has left it."""
        said = submitted.task.said()
        kind = said.get("kind")
        if kind == "ended":
            outcome = Outcome(said["status"], said["exit_code"], said["error"])
            return Event(submitted.job, outcome)
        if now is not None:
            submitted.queued, submitted.gone = now, None
            submitted.has_run |= now.state != "PENDING"
            step, steps = said.get("step", 0), said.get("steps", 0)
            return Event(submitted.job, step=step, steps=steps) if steps else None
        if self._stopping and (kind == "saved" or not submitted.has_run):
            return Event(submitted.job, Outcome("interrupted"))
        submitted.gone = submitted.gone or time.monotonic()
        if time.monotonic() - submitted.gone < GRACE:
            return None
        return Event(submitted.job, _wordless(submitted, was_saved=kind == "saved"))

    def _cancel(self, tasks: list[ArrayTask]) -> None:
        """Take tasks out of the queue; those that run save their runs and end."""
        with suppress(OSError):
            for task in tasks:
                task.stop()
        found = (queued({task.array.name for task in tasks}) if tasks else None) or {}
        cancel([found[task.key] for task in tasks if task.key in found])


def parameters(options: SlurmOptions, at_once: int, threads: int, name: str) -> dict[str, Any]:
    """The parameters of submitit: those of the user, and those without which a sweep fails."""
    given = options.model_dump(exclude={"backend"}, exclude_none=True)
    cores = given.setdefault("cpus_per_task", threads)
    more: dict[str, Any] = {
        "name": name,
        "slurm_array_parallelism": at_once,
        "slurm_setup": [*SETUP, *options.slurm_setup],
        # `srun` does not inherit the job's cores per task.
        "slurm_srun_args": [f"--cpus-per-task={cores}", *options.slurm_srun_args],
        "slurm_additional_parameters": {"requeue": True, **options.slurm_additional_parameters},
    }
    return given | more


def _wordless(submitted: Submitted, *, was_saved: bool) -> Outcome:
    """How a task has failed that is not in the queue any more, and has not said how it ended."""
    task, queued = submitted.task, submitted.queued
    state = state_at_the_end(queued.job) if queued is not None else ""
    if was_saved:
        state = "CANCELLED"
    other = f"the job has ended as {state or 'unknown to SLURM'}, and has said nothing"
    code, what = ENDINGS.get(state, (Exit.BUG, other))
    with suppress(OSError), open(submitted.log, "a", encoding="utf-8", errors="replace") as log:
        for path in sorted(task.array.path.glob(f"*_{task.index}_0_log.err")):
            log.write(path.read_text(encoding="utf-8", errors="replace"))
        log.write(f"failed, exit code {int(code)}: {what}\n")
    return Outcome("failed", int(code), what)


def _folder(job: Job) -> Path:
    return Path(job.runs).parent / FOLDER


def _remove(array: JobArray) -> None:
    shutil.rmtree(array.path, ignore_errors=True)


def _submitit() -> Any:
    """submitit; raises NetbuildError (exit 10) where it or SLURM is missing."""
    try:
        import submitit
    except ImportError:
        what, hint = "`--on slurm` needs submitit", "pip install 'netbuild[slurm]'"
        raise NetbuildError(what, Exit.MISSING, hint) from None
    missing = [name for name in ("sbatch", "srun", "squeue", "scancel") if not shutil.which(name)]
    if missing:
        what = f"`--on slurm` needs the programs of SLURM: there is no `{missing[0]}`"
        raise NetbuildError(what, Exit.MISSING, "run the sweep where you would run `sbatch`")
    return submitit
