"""Where the cases are run: servers, folders, references; and what is counted."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from faults import end
from faults.server import Outcome, Server
from faults.specs import write_spec

Case = TypeVar("Case")
SHOWN = 5  # failures that are printed
WHOLE = 40  # cases, from which on a part must have met what it is to judge


@dataclass
class Counts:
    """What a part of the battery has counted."""

    measure: str  # "R1"
    what: str
    cases: int = 0
    numbers: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def line(self) -> str:
        """One line to print."""
        more = "".join(f", {value:,} {name}" for name, value in self.numbers.items())
        head = f"{self.measure:4} {self.what}: {self.cases:,} cases{more}"
        failed = len(self.failures)
        return f"{head}, {failed:,} failed, {self.seconds:.0f} s"

    def add(self, **numbers: int) -> None:
        """Count more."""
        with self._lock:
            for name, value in numbers.items():
                name = name.replace("_", " ")
                self.numbers[name] = self.numbers.get(name, 0) + value

    def demand(self, name: str, share: float) -> None:
        """Fail if less than a share of the cases were counted so; of a few, chance decides."""
        found = self.numbers.get(name, 0)
        if self.cases >= WHOLE and found < share * self.cases:
            self.failures.append(f"{found} {name}, of {self.cases} cases: too few to tell")


class Lab:
    """A folder and some servers; `bug` is planted in every child, if it is given.

    `jobs` cases are run at once; one of two processes takes a second server.
    """

    def __init__(self, jobs: int = 1, folder: Path | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="netbuild-faults-", dir=folder))
        self.bug: str | None = None
        self.jobs = jobs
        self._idle = [Server()]
        self._all = list(self._idle)
        self._lock = threading.Condition()
        self._numbers = count()
        self._references: dict[Any, end.Reference] = {}

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._all:
            server.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def planted(self, bug: str) -> Any:
        """Every case of this block has a bug."""
        self.bug = bug
        try:
            yield
        finally:
            self.bug = None

    def run(self, *argv: object, healthy: bool = False, **job: Any) -> Outcome:
        """Run a command in a child of a server that is idle."""
        with self._lock:
            if not self._idle and len(self._all) < max(2, self.jobs):
                self._all.append(Server())
                self._idle.append(self._all[-1])
            while not self._idle:
                self._lock.wait()
            server = self._idle.pop()
        try:
            bug = None if healthy else self.bug
            return server(argv=[str(each) for each in argv], bug=bug, **job)
        finally:
            with self._lock:
                self._idle.append(server)
                self._lock.notify()

    def warm(self) -> None:
        """Start a second server, so that two processes can begin at the same time."""
        with self._lock:
            if len(self._all) < 2:
                self._all.append(Server())
                self._idle.append(self._all[-1])
                self._all[-1]()

    def new(self) -> Path:
        """A folder that is not there yet."""
        with self._lock:
            return self.folder / str(next(self._numbers))

    def spec(self, kind: str, **training: Any) -> Path:
        """A spec of a kind, written once."""
        name = "-".join([kind, *(f"{key}{value}" for key, value in training.items())])
        folder = self.folder / "".join(c for c in name if c.isalnum() or c == "-")
        if not folder.exists():
            write_spec(folder, kind, **training)
        return folder / f"{kind}.yaml"

    def reference(self, spec: Path) -> end.Reference:
        """What a spec ends with, without a fault or a bug."""
        with self._lock:
            if spec not in self._references:
                out = spec.parent / "reference"
                server = self._idle[0]  # references are made before cases are run
                outcome = server(argv=["train", str(spec), "--out", str(out), "--quiet"])
                assert outcome.code == 0, outcome.said
                (run,) = end.runs_in(out)
                self._references[spec] = end.reference_of(run)
            return self._references[spec]

    def each(
        self, counts: Counts, cases: Iterable[Case], check: Callable[[Case], Sequence[str]]
    ) -> None:
        """Check all cases, as many at once as there are servers; with a bug until one fails."""
        began = time.monotonic()
        cases = list(cases)

        def checked(case: Case) -> list[str]:
            if self.bug is not None and counts.failures:
                return []
            try:
                return [f"{case}: {each}" for each in check(case)]
            except Exception as error:  # a case that cannot even be judged
                return [f"{case}: cannot be judged: {type(error).__name__}: {error}"]

        with ThreadPoolExecutor(self.jobs) as pool:
            for failures in pool.map(checked, cases):
                counts.failures += failures[:1]
        counts.cases += len(cases)
        counts.seconds += time.monotonic() - began


def train(spec: Path, out: Path) -> list[object]:
    """The arguments of a training."""
    return ["train", spec, "--out", out, "--quiet"]


def recovered(
    lab: Lab, spec: Path, out: Path, acked: int, *, warned: bool = False, **job: Any
) -> tuple[Path, list[str]]:
    """Bring what a fault left to its end: the run is resumed, or begun where there is none.

    `acked` is the step that the training took for saved, -1 before there was a run; `warned` is
    whether it may tell that a checkpoint is set aside. Returns the run and what was lost.
    """
    found = []
    runs = end.runs_in(out)
    if not runs and acked >= 0:
        found.append("the run is lost")
    argv: list[object] = ["resume", runs[0], "--quiet"] if runs else train(spec, out)
    there = end.newest(runs[0]) if runs else 0
    try:
        ended = bool(runs) and end.about(runs[0])["status"] == "finished"
    except ValueError:
        return runs[0], ["its run.json is damaged"]
    outcome = lab.run(*argv, **job)
    if outcome.code:
        found.append(f"exit {outcome.code} in going on: {outcome.said.strip()[-300:]}")
    warnings = [line for line in outcome.said.splitlines() if "warning" in line]
    found += [w[:300] for w in warnings if not (warned and "the one before is used" in w)]
    (run,) = end.runs_in(out)
    if there < acked:
        found.append(f"step {acked} was saved, and {there} is there")
    if runs and not ended:
        since = end.about(run).get("resumed", [{"step": -1}])[-1]["step"]
        if since != there:
            found.append(f"went on from step {since} in place of {there}")
    return run, found


def acked_in(file: Path) -> int:
    """The last step that a training took for saved, 0 if none."""
    lines = file.read_text().split() if file.exists() else []
    return int(lines[-1]) if lines else 0


def cleared(out: Path) -> None:
    """Remove what a case has written."""
    shutil.rmtree(out, ignore_errors=True)


def spread(cases: Sequence[Case], most: int | None) -> list[Case]:
    """At most so many of the cases, evenly from the first to the last."""
    if most is None or most >= len(cases):
        return list(cases)
    return [cases[round(i * (len(cases) - 1) / max(1, most - 1))] for i in range(most)]


def cores() -> int:
    return len(os.sched_getaffinity(0))
