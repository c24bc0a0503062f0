"""What trains on a machine of a cluster: a worker of our own, in a folder that has what it needs.

The folder lies below the system's folder for temporary files. In it, the files of a spec and the
run have the paths that they have on the machine of the sweep, so that whatever is relative stays
the same. A `Node` gets plain data and gives plain data; it does not know which cluster it is in.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from netbuild import system
from netbuild.errors import NetbuildError
from netbuild.experiments.job import Job, Outcome
from netbuild.experiments.local import Local
from netbuild.experiments.parcel import Parcel, Stamps, checkpoints_in, pack, unpack

PREFIX = "netbuild-node-"  # of the folders


@dataclass(frozen=True)
class News:
    """What a node tells of its job since it was last asked."""

    log: bytes  # what was added to the log
    run: Parcel | None = None  # where there are new checkpoints, and at the end
    step: int = 0
    steps: int = 0  # 0: it does not say how far it is
    outcome: str = ""  # JSON of how the job has ended


class Node:
    """Trains one job at a time; the process of its worker loads torch once for all of them."""

    def __init__(self, argv: Sequence[str], variables: Mapping[str, str | None]) -> None:
        """`argv` is what the runs record; `variables` of the environment are set, or unset."""
        sys.argv = list(argv)
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self.home, self._lock = _home()
        self._local = Local(1)
        self._job: Job | None = None
        self._log = self.home / "log"
        self._told = 0  # bytes of the log
        self._known: Stamps = {}
        self._checkpoints: list[str] = []

    def ready(self) -> str:
        """Answers once the node can take a job: where its package lies."""
        return str(Path(__file__).parent.parent)

    def begin(self, job: str, run: Parcel | None, names: Sequence[str], *contents: bytes) -> News:
        """Begin a job, whose paths are relative to the node's folder, or resume its run.

        `names` and `contents` are the files that it needs and that the node does not have.
        """
        for name, data in zip(names, contents, strict=True):
            path = self.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        given = Job.from_data(json.loads(job))
        root = None if given.data_root is None else str(self.home / given.data_root)
        self._job = replace(
            given,
            spec=str(self.home / given.spec),
            runs=str(self.home / given.runs),
            data_root=root,
        )
        shutil.rmtree(self._job.run, ignore_errors=True)
        self._job.run.parent.mkdir(parents=True, exist_ok=True)
        self._known = {}
        if run is not None:
            unpack(self._job.run, run)
            pack(self._job.run, self._known)
        self._checkpoints = checkpoints_in(self._job.run)
        self._log.write_bytes(b"")
        self._told = 0
        self._local.submit(self._job, str(self._log))
        return self.news(0)

    def news(self, seconds: float) -> News:
        """What has happened since the last call; waits at most so long for the first event."""
        assert self._job is not None
        step = steps = 0
        outcome: Outcome | None = None
        try:
            for event in self._local.events(seconds):
                step, steps, outcome = event.step, event.steps, event.outcome or outcome
        except NetbuildError as error:
            outcome = Outcome("failed", int(error.exit_code), str(error))
        checkpoints = checkpoints_in(self._job.run)
        parcel = None
        if outcome is not None or checkpoints != self._checkpoints:
            self._checkpoints = checkpoints
            if (self._job.run / "run.json").is_file():
                parcel = pack(self._job.run, self._known)
        ended = "" if outcome is None else json.dumps(asdict(outcome))
        return News(self._new_lines(), parcel, step, steps, ended)

    def _new_lines(self) -> bytes:
        with self._log.open("rb") as stream:
            stream.seek(self._told)
            found = stream.read()
        self._told += len(found)
        return found

    def stop(self) -> None:
        """Ask the worker to save the run and to end."""
        self._local.stop()

    def close(self) -> None:
        """End the worker, and remove the folder."""
        self._local.close()
        shutil.rmtree(self.home, ignore_errors=True)
        os.close(self._lock)


def _home() -> tuple[Path, int]:
    """A new folder, and the lock that says that it is used; unused ones are removed.

    A node that is killed cannot remove its folder. The next one on the same machine does.
    """
    parent = Path(os.path.realpath(tempfile.gettempdir()))
    if system.HAS_LOCKS:
        for old in parent.glob(f"{PREFIX}*"):
            with suppress(OSError):
                lock = os.open(old / ".lock", os.O_RDWR)
                try:
                    system.lock(lock)
                    shutil.rmtree(old, ignore_errors=True)
                finally:
                    os.close(lock)
    fresh = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=parent))
    lock = os.open(fresh / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    system.lock(lock)  # before it has the name by which others find it
    home = fresh.with_name(fresh.name.removeprefix("."))
    fresh.rename(home)
    return home, lock
