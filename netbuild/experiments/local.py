"""The back end of one machine: processes of our own, each of which trains one run at a time."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from netbuild.errors import Exit, NetbuildError
from netbuild.experiments.backend import Event
from netbuild.experiments.job import Job, Outcome
from netbuild.language.backends import LocalOptions
from netbuild.system import cores, worker_command

PATIENCE = 30.0  # seconds that a worker has to end
MOST_LOST = 3  # workers that may end before their first job has, one after another


def local(options: LocalOptions, workers: int | None, threads: int) -> Local:
    """The back end of this machine; as many workers as cores, unless their number is given."""
    return Local(workers or most_at_once(threads))


def most_at_once(threads: int) -> int:
    """How many runs of so many threads this machine has cores for; at least 1."""
    return max(cores() // threads, 1)


class Worker:
    """A worker process, and the job that it has."""

    def __init__(self, events: queue.SimpleQueue[tuple[Worker, dict[str, Any] | None]]) -> None:
        self.job: Job | None = None
        self.process = subprocess.Popen(
            worker_command("netbuild.experiments.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._events = events
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._events.put((self, json.loads(line)))
        self._events.put((self, None))

    def end_input(self) -> None:
        """Close what the worker reads, which tells it to save its run and to end."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()

    def send(self, message: dict[str, Any]) -> None:
        """Send a line; a worker that has ended does not read it, and its end is an event."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()


class Local:
    """Trains on this machine, `slots` runs at once."""

    def __init__(self, slots: int) -> None:
        self.slots, self.waiting = slots, 0
        self._events: queue.SimpleQueue[tuple[Worker, dict[str, Any] | None]] = queue.SimpleQueue()
        self._workers: list[Worker] = []
        self._lost = 0
        self._stopping = False

    def submit(self, job: Job, log: str) -> None:
        """Give a job to a worker that has none; a worker is started where all have one."""
        idle = next((worker for worker in self._workers if worker.job is None), None)
        if idle is None:
            idle = Worker(self._events)
            self._workers.append(idle)
        idle.job = job
        idle.send({"job": job.to_data(), "log": log, "argv": sys.argv})

    def events(self, seconds: float) -> list[Event]:
        """What has happened since the last call; waits at most so long for the first event."""
        found: list[Event] = []
        with suppress(queue.Empty):
            found += self._event(*self._events.get(timeout=seconds))
            while True:
                found += self._event(*self._events.get_nowait())
        return found

    def _event(self, worker: Worker, message: dict[str, Any] | None) -> list[Event]:
        job = worker.job
        if message is None:
            return self._end_of(worker)
        if job is None:
            return []
        if message["kind"] == "step":
            return [Event(job, step=message["step"], steps=message["steps"])]
        worker.job, self._lost = None, 0
        outcome = Outcome(message["status"], message["exit_code"], message["error"])
        return [Event(job, outcome)]

    def _end_of(self, worker: Worker) -> list[Event]:
        """A worker has ended; the job that it had, unless it was to stop, has failed."""
        worker.end_input()
        job, code = worker.job, worker.process.wait()
        if worker in self._workers:
            self._workers.remove(worker)
        if job is None:
            return []
        worker.job = None
        if self._stopping and not code:  # it was asked to end before it had begun with the job
            return [Event(job, Outcome("interrupted"))]
        self._lost += 1
        if self._lost > MOST_LOST and not self._stopping:
            what = f"{self._lost} workers have ended at once, with exit code {code}"
            raise NetbuildError(what, Exit.RESOURCES, f"the log of run {job.hash} may say why")
        number = 128 - code if code < 0 else code
        what = f"the process was killed by signal {-code}" if code < 0 else "the process has ended"
        return [Event(job, Outcome("failed", number or int(Exit.BUG), what))]

    def stop(self) -> None:
        """Ask every worker to save its run and to end."""
        self._stopping = True
        for worker in self._workers:
            worker.send({"stop": True})

    def close(self) -> None:
        """End the workers; one that does not end in time is killed."""
        self._stopping = True
        for worker in self._workers:
            worker.end_input()
        end = time.monotonic() + PATIENCE
        for worker in self._workers:
            try:
                worker.process.wait(max(end - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        self._workers.clear()
