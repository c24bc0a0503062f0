"""The back end of a Ray cluster: each worker is an actor, which Ray puts where there is room.

The machines need no disk in common. The package travels as a module of Ray's runtime environment,
the files of a spec as bytes, and each run that is begun as a copy of its directory; its checkpoints
come back as they are written. The folder of the experiment is written by the sweep alone, so that
a worker that was only cut off cannot disturb the run that another one has resumed.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from netbuild import durable
from netbuild.errors import Exit, NetbuildError
from netbuild.experiments.backend import Event
from netbuild.experiments.job import Job, Outcome
from netbuild.experiments.node import News, Node
from netbuild.experiments.parcel import Parcel, pack, unpack
from netbuild.language.backends import RayOptions
from netbuild.language.needs import in_real_folder, markers_of
from netbuild.rundir import RUN
from netbuild.runs.git import git_state
from netbuild.runs.lock import take_lock
from netbuild.wording import show

POLL = 1.0  # seconds that a worker waits for news
ALONE = "local"  # Ray's word for a new cluster on this machine
KNOCK = 10.0  # seconds until a cluster is out of reach
PATIENCE = 30.0  # seconds that the workers have to end
MOST_LOST = 3  # times that a run may lose its worker, and workers in a row that never start
_VARIABLES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")  # of which Ray sets the first


def ray_cluster(options: RayOptions, workers: int | None, threads: int) -> RayCluster:
    """The back end of a cluster; as many workers as it has room for, unless their number is given.

    Raises NetbuildError: exit 10 without Ray, 7 where the cluster cannot be reached, 9 where none
    of its machines has what a run asks for.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        what, hint = "`--on ray` needs Ray", "pip install 'netbuild[ray]'"
        raise NetbuildError(what, Exit.MISSING, hint) from None
    needs = {"CPU": options.num_cpus or float(threads), "GPU": options.num_gpus}
    needs |= {"memory": options.memory or 0.0, **options.resources}
    _connect(ray, options)
    slots = workers or _room(ray.nodes(), needs)
    if not slots:
        ray.shutdown()
        asked = ", ".join(f"{name}: {value:g}" for name, value in needs.items() if value)
        what = f"no machine of the Ray cluster has what a run asks for ({show(asked)})"
        hint = "`--workers N` waits for machines that are still to come"
        raise NetbuildError(what, Exit.RESOURCES, hint)
    actor = ray.remote(Node).options(
        num_cpus=needs["CPU"],
        num_gpus=options.num_gpus,
        memory=options.memory,
        resources=options.resources or None,
        scheduling_strategy="SPREAD",
    )
    variables = {name: os.environ.get(name) for name in _VARIABLES if name not in options.env_vars}
    return RayCluster(ray, actor, slots, variables)


def _connect(ray: Any, options: RayOptions) -> None:
    """Connect to the cluster, to which this package is copied; raises NetbuildError (exit 7).

    Without a working directory, an empty one here, Ray would let workers import from the folders of
    this machine's program wherever a machine has folders of that name.
    """
    environment = {
        "py_modules": [str(Path(__file__).parent.parent)],
        "excludes": ["__pycache__"],
        "env_vars": options.env_vars,
    }
    address = options.address or os.environ.get("RAY_ADDRESS") or ALONE
    alone = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    try:
        _knock(address)
        with tempfile.TemporaryDirectory() as empty:
            ray.init(
                address=address,
                runtime_env=environment | {"working_dir": empty},
                log_to_driver=False,
                logging_level="error",
                **(alone if address == ALONE else {}),
            )
    except (OSError, ImportError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        what = f"the Ray cluster at {show(address)} cannot be used: {_first_line(error)}"
        hint = "`ray status` says whether it runs; its Ray and Python are those of this machine"
        raise NetbuildError(what, Exit.IO, hint) from None


def _knock(address: str) -> None:
    """Raise OSError where nobody answers at `HOST:PORT`, which Ray would wait for for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK).close()


def _room(nodes: list[dict[str, Any]], needs: dict[str, float]) -> int:
    """How many workers fit on the machines of a cluster."""
    return sum(
        int(min(node["Resources"].get(each, 0) / need for each, need in needs.items() if need))
        for node in nodes
        if node["Alive"]
    )


@dataclass
class Copy:
    """The copy of a run that the sweep keeps; it is locked while a worker trains the run."""

    job: Job
    log: Path
    _lock: int = -1

    def packed(self) -> Parcel | None:
        """The run, for a worker that resumes it; None where it is still to be made."""
        if not (self.job.run / RUN).is_file():
            if self.job.run.exists():  # the sweep was killed before the first copy was whole
                durable.remove(self.job.run)
            return None
        self._take_lock()
        return pack(self.job.run, {})

    def update(self, news: News) -> None:
        """Write what a worker tells of the run; raises NetbuildError (exit 7)."""
        with durable.io_errors(f"cannot write {self.job.run}"):
            self.say(news.log)
            if news.run is not None:
                self.job.run.mkdir(exist_ok=True)
                self._take_lock()
                unpack(self.job.run, news.run)

    def say(self, text: bytes) -> None:
        """Add to the log, which is made where it is missing."""
        with self.log.open("ab") as stream:
            stream.write(text)

    def _take_lock(self) -> None:
        if self._lock < 0:
            self._lock = take_lock(self.job.run / ".lock", str(self.job.run))

    def close(self) -> None:
        """Unlock the run; a second call does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


@dataclass(eq=False)
class Worker:
    """An actor, and the call that it has not answered yet; None where it has nothing to do."""

    actor: Any
    call: Any
    copy: Copy | None = None
    is_ready: bool = False
    given: set[str] = field(default_factory=set)  # files that it has


class RayCluster:
    """Trains in a Ray cluster, `slots` runs at once where the cluster has room for them."""

    def __init__(
        self, ray: Any, actor: Any, slots: int, variables: Mapping[str, str | None]
    ) -> None:
        """`actor` is the class of workers; `variables` of their environment are set, or unset."""
        self.slots, self.variables = slots, variables
        self._ray, self.actor = ray, actor
        self._queue: deque[Copy] = deque()
        self._workers: list[Worker] = []
        self._ended: list[Event] = []
        self._lost: Counter[str] = Counter()  # workers, by the hash of the run
        self._unborn = 0  # workers that were lost before they could do anything, in a row
        self._contents: dict[str, Any] = {}  # of files, in Ray's store
        self._git: dict[tuple[str, ...], tuple[str | None, str | None]] = {}
        self._stopping = False

    @property
    def waiting(self) -> int:
        """How many jobs no worker has yet."""
        return len(self._queue)

    def submit(self, job: Job, log: str) -> None:
        """Queue a job for the next worker that has none; one is asked for where there is none."""
        self._queue.append(Copy(job, Path(log)))
        self._hire()

    def _hire(self) -> None:
        """Ask for workers, as long as more jobs wait than there are workers without one."""
        free = sum(worker.copy is None for worker in self._workers)
        while free < len(self._queue) and len(self._workers) < self.slots:
            actor = self.actor.remote(sys.argv, self.variables)
            self._workers.append(Worker(actor, actor.ready.remote()))
            free += 1

    def events(self, seconds: float) -> list[Event]:
        """What has happened since the last call; waits at most so long for the first event.

        Raises NetbuildError where no worker can be started, or the copy of a run not be written.
        """
        self._assign()
        calls = {worker.call: worker for worker in self._workers if worker.call is not None}
        if calls:
            patience = 0.0 if self._ended else seconds
            self._ray.wait(list(calls), num_returns=1, timeout=patience)
            answered, _ = self._ray.wait(list(calls), num_returns=len(calls), timeout=0)
            for call in answered:
                self._ended += self._answered(calls[call])
        self._assign()
        found, self._ended = self._ended, []
        return found

    def _answered(self, worker: Worker) -> list[Event]:
        """What the answer of a worker says; the worker is asked again, or is free."""
        try:
            news = self._ray.get(worker.call)
        except self._ray.exceptions.RayTaskError as error:
            return self._failed(worker, error)
        except self._ray.exceptions.RayError as error:
            return self._is_lost(worker, error)
        worker.call, worker.is_ready, self._unborn = None, True, 0
        copy = worker.copy
        if copy is None:
            return []
        copy.update(news)
        if not news.outcome:
            worker.call = worker.actor.news.remote(POLL)
            return [Event(copy.job, step=news.step, steps=news.steps)] if news.steps else []
        copy.close()
        worker.copy = None
        return [Event(copy.job, Outcome(**json.loads(news.outcome)))]

    def _failed(self, worker: Worker, error: Exception) -> list[Event]:
        """A worker could not do what it was asked to."""
        self._dismiss(worker)
        what = f"a worker failed: {_first_line(error)}"
        if worker.copy is None:
            raise NetbuildError(what, Exit.IO, "do its machines have the packages of netbuild?")
        return [self._end(worker.copy, Outcome("failed", int(Exit.IO), what))]

    def _is_lost(self, worker: Worker, error: Exception) -> list[Event]:
        """A worker is out of reach; another one resumes its run from the last checkpoint."""
        self._dismiss(worker)
        copy = worker.copy
        if copy is None:
            self._unborn += not worker.is_ready
            if self._unborn > MOST_LOST:
                what = f"{self._unborn} workers could not be started: {_first_line(error)}"
                raise NetbuildError(what, Exit.RESOURCES)
            self._hire()
            return []
        if self._stopping:
            return [self._end(copy, Outcome("interrupted"))]
        identity = copy.job.hash
        self._lost[identity] += 1
        if self._lost[identity] > MOST_LOST:
            what = f"its worker was lost {self._lost[identity]} times: {_first_line(error)}"
            return [self._end(copy, Outcome("failed", int(Exit.RESOURCES), what))]
        copy.say(b"warning: the worker was lost; the run continues from its last checkpoint\n")
        copy.close()
        self._queue.appendleft(copy)
        self._hire()
        return []

    def _dismiss(self, worker: Worker) -> None:
        self._workers.remove(worker)
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(worker.actor)

    def _end(self, copy: Copy, outcome: Outcome) -> Event:
        """A job ends here, and not on a worker."""
        if outcome.exit_code:
            line = f"{outcome.status}, exit code {outcome.exit_code}: {outcome.error}\n"
            copy.say(line.encode(errors="replace"))
        copy.close()
        return Event(copy.job, outcome)

    def _assign(self) -> None:
        """Give the jobs that wait to workers that have none."""
        for worker in self._workers:
            if self._queue and worker.is_ready and worker.call is None:
                copy = self._queue.popleft()
                try:
                    self._begin(worker, copy)
                except NetbuildError as error:
                    code = int(error.exit_code)
                    self._ended.append(self._end(copy, Outcome("failed", code, str(error))))

    def _begin(self, worker: Worker, copy: Copy) -> None:
        job = copy.job
        with durable.io_errors(f"cannot read what {job.run} needs"):
            run = copy.packed()
            files = {path: self._content(path) for path in job.files if path not in worker.given}
            files |= {path: b"" for path in markers_of(job.files) if path not in worker.given}
            root = None if job.data_root is None else _there(os.path.realpath(job.data_root))
            there = replace(
                job,
                spec=_there(str(in_real_folder(Path(job.spec)))),
                runs=_there(os.path.realpath(job.runs)),
                data_root=root,
                files=(),
                git=self._state(job),
            )
        names = [_there(path) for path in files]
        data = json.dumps(there.to_data())
        worker.call = worker.actor.begin.remote(data, run, names, *files.values())
        worker.copy = copy
        worker.given |= files.keys()

    def _content(self, path: str) -> Any:
        """The bytes of a file, in Ray's store."""
        if path not in self._contents:
            data = durable.read_file(Path(os.path.realpath(path)))
            self._contents[path] = self._ray.put(data)
        return self._contents[path]

    def _state(self, job: Job) -> tuple[str | None, str | None]:
        """The git commit of the spec and how its files differ, which a copy cannot tell."""
        if job.files not in self._git:
            paths = [Path(os.path.realpath(path)) for path in job.files]
            files = {path: durable.read_file(path) for path in paths}
            self._git[job.files] = git_state(Path(job.spec).parent, files)
        return self._git[job.files]

    def stop(self) -> None:
        """Ask every worker to save its run and to end; jobs that wait are not begun."""
        self._stopping = True
        self._ended += [self._end(copy, Outcome("pending")) for copy in self._queue]
        self._queue.clear()
        for worker in self._workers:
            if worker.copy is not None:
                worker.actor.stop.remote()

    def close(self) -> None:
        """End the workers, and leave the cluster; copies stay as they are."""
        closing = [worker.actor.close.remote() for worker in self._workers if worker.is_ready]
        with suppress(self._ray.exceptions.RayError):
            self._ray.wait(closing, num_returns=len(closing), timeout=PATIENCE)
        for worker in self._workers:
            if worker.copy is not None:
                worker.copy.close()
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(worker.actor)
        self._workers.clear()
        self._ray.shutdown()


def _there(path: str) -> str:
    """An absolute path as it is called below a node's folder."""
    own = Path(path)
    return "/".join([own.drive.strip(":\\/") or "files", *own.parts[1:]])


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return show(lines[0] if lines else type(error).__name__, 200)
