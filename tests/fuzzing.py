"""The long run of a fuzz: its cases run in separate processes, watched, counted and reported.

A fuzz is a class made from a seed and an empty folder. It draws a case from a number, judges it,
and writes it down for somebody to look at. A case that brings anything but an answer or an error of
netbuild, takes more than a second, or lets the process grow by more than 300 MB, is a failure; one
that kills or hangs its process is found in the memory that it shares with the run.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import hashlib
import multiprocessing
import os
import pickle
import random
import re
import resource
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

SECONDS = 1.0  # for one case
GROWTH = 300 << 20  # bytes above what the process takes before its first case
QUICK = 0.02  # seconds in which no case can take memory that matters
MEASURED = 50  # of so many cases, after which memory is measured whatever they took
WARM = 200  # cases before the clock and the memory count
BLOCK = 1000  # numbers that a process takes at once; a fuzz may draw in batches of so many
HANG = 60.0  # seconds after which a case is taken to hang
MOST_FAILURES = 20
ROOM = 4 << 20  # bytes of a case that is kept where a crash cannot reach it
SAVED = Path("build/fuzz")


class Fuzz(Protocol):
    """What is fuzzed; made as `make(seed, folder)`."""

    def case(self, number: int) -> Any:
        """The case of that number, which can be pickled."""

    def judge(self, case: Any) -> Sequence[str]:
        """The codes of the problems found, none if it was accepted; raises for a defect."""

    def save(self, case: Any, folder: Path) -> None:
        """Write the case's files."""


Make = Callable[[str, Path], Fuzz]


@dataclass
class Tally:
    """What came of so many cases."""

    cases: int = 0
    accepted: int = 0
    codes: Counter[str] = field(default_factory=Counter)  # each once a case
    slowest: tuple[float, int] = (0.0, 0)  # seconds, number of the case
    growth: int = 0  # bytes
    failures: list[tuple[int, str]] = field(default_factory=list)  # number of the case, what

    def add(self, other: Tally) -> None:
        """Count another's cases as well."""
        self.cases += other.cases
        self.accepted += other.accepted
        self.codes += other.codes
        self.slowest = max(self.slowest, other.slowest)
        self.growth = max(self.growth, other.growth)
        self.failures += other.failures


@dataclass(frozen=True)
class Job:
    """What one process does: which cases, and until when."""

    make: Make
    seed: str
    folder: Path
    saved: Path
    start: int  # the first block
    jobs: int
    end: float  # by time.monotonic, which all processes share
    cases: int


class Hand:
    """The case in hand, in memory that outlives the process that handles it."""

    HEAD = struct.Struct("<qq")  # its number, and the bytes of the case

    def __init__(self) -> None:
        self.memory = multiprocessing.RawArray("c", self.HEAD.size + ROOM)

    def put(self, number: int, case: Any) -> None:
        """Remember a case that is about to be judged."""
        content = pickle.dumps(case)
        size = len(content) if len(content) <= ROOM else 0
        view = memoryview(self.memory).cast("B")
        view[self.HEAD.size : self.HEAD.size + size] = content[:size]
        self.HEAD.pack_into(view, 0, number, size)

    def number(self) -> int:
        """The number of the case in hand."""
        return int(self.HEAD.unpack_from(memoryview(self.memory).cast("B"))[0])

    def case(self, fuzz: Fuzz) -> Any:
        """The case itself."""
        view = memoryview(self.memory).cast("B")
        number, size = self.HEAD.unpack_from(view)
        if not size:
            return fuzz.case(number)
        return pickle.loads(bytes(view[self.HEAD.size : self.HEAD.size + size]))


def peak() -> int:
    """The peak memory of this process, in bytes."""
    with contextlib.suppress(OSError):  # `ru_maxrss` begins with the peak of the parent
        status = Path("/proc/self/status").read_text()
        if found := re.search(r"VmHWM:\s*(\d+) kB", status):
            return int(found[1]) << 10
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size << 10


def limit_memory(more: int) -> None:
    """Let this process address so many more bytes and no others, where a system can say."""
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        size = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (size, resource.getrlimit(resource.RLIMIT_AS)[1]))


def try_case(fuzz: Fuzz, case: Any, number: int, base: int | None) -> Tally:
    """Judge one case; `base` is the memory that was taken before, None while warming up."""
    tally = Tally(cases=1)
    began = time.perf_counter()
    try:
        codes = fuzz.judge(case)
        taken = time.perf_counter() - began
        if taken > SECONDS and base is not None:
            taken = processor_time(fuzz, case)  # the machine may have been busy with something else
    except Exception as error:
        reason = "".join(traceback.format_exception(error, limit=-6))
        tally.failures.append((number, reason))
        return tally
    tally.accepted = int(not codes)
    tally.codes.update(set(codes))
    if base is None:
        return tally
    tally.slowest = (taken, number)
    if taken > SECONDS:
        tally.failures.append((number, f"took {taken:.1f} s"))
    if taken > QUICK or number % MEASURED == 0:
        tally.growth = max(0, peak() - base)
        if tally.growth > GROWTH:
            what = f"this case, or one of the {MEASURED} before it, took"
            tally.failures.append((number, f"{what} {tally.growth >> 20} MB"))
    return tally


def processor_time(fuzz: Fuzz, case: Any) -> float:
    """How long a case takes by the processor's clock."""
    began = time.process_time()
    fuzz.judge(case)
    return time.process_time() - began


def short(fuzz: Fuzz, count: int) -> Tally:
    """So many cases in this process, for a test."""
    total, base = Tally(), peak()
    for number in range(count):
        total.add(try_case(fuzz, fuzz.case(number), number, base))
    return total


def work(job: Job, hand: Hand, out: Connection) -> None:
    """One process: block after block, with a tally sent every second."""
    faulthandler.enable()
    warnings.simplefilter("error")
    fuzz = job.make(job.seed, job.folder)
    tally, base, sent = Tally(), None, time.monotonic()

    def attempt(number: int) -> int:
        case = fuzz.case(number)
        hand.put(number, case)
        found = try_case(fuzz, case, number, base)
        for _, reason in found.failures:
            save(job, fuzz, case, number, reason)
        tally.add(found)
        return len(found.failures)

    failed = sum(attempt(-1 - number) for number in range(WARM))
    gc.collect()
    base = peak()
    limit_memory(2 * GROWTH)
    for block in range(job.start, sys.maxsize, job.jobs):
        for number in range(block * BLOCK, min((block + 1) * BLOCK, job.cases)):
            if time.monotonic() > job.end or failed >= MOST_FAILURES:
                break
            failed += (attempted := attempt(number))
            if attempted and peak() - base > GROWTH:
                base = peak()  # the next is measured from here
            if time.monotonic() - sent > 1:
                out.send(tally)
                tally, sent = Tally(), time.monotonic()
        else:
            if (block + job.jobs) * BLOCK < job.cases:
                continue
        break
    out.send(tally)


def save(job: Job, fuzz: Fuzz, case: Any, number: int, reason: str) -> Path:
    """Write a failing case and its reason into a new folder."""
    folder = job.saved / f"{type(fuzz).__name__.lower()}-{job.seed}-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "reason.txt").write_text(reason)
    fuzz.save(case, folder)
    return folder


@dataclass
class Worker:
    """A process that judges cases, as the run sees it."""

    job: Job
    hand: Hand
    process: BaseProcess
    pipe: Connection
    seen: tuple[int, float]  # the case in hand, and since when

    @classmethod
    def start(cls, job: Job) -> Worker:
        """Start one."""
        spawn = multiprocessing.get_context("spawn")
        pipe, far_end = spawn.Pipe(duplex=False)
        hand = Hand()
        process = spawn.Process(target=work, args=(job, hand, far_end), daemon=True)
        process.start()
        far_end.close()
        return cls(job, hand, process, pipe, (0, time.monotonic()))

    def hangs(self) -> bool:
        """Whether one case has been in hand for too long."""
        number = self.hand.number()
        if number != self.seen[0]:
            self.seen = number, time.monotonic()
        return time.monotonic() - self.seen[1] > HANG

    def receive(self, tally: Tally) -> None:
        """Count what has come; an ended process closes its side."""
        with contextlib.suppress(EOFError):
            while self.pipe.poll():
                tally.add(self.pipe.recv())


def run(
    make: Make,
    seed: str,
    seconds: float,
    jobs: int = 1,
    cases: int = sys.maxsize,
    saved: Path = SAVED,
) -> Tally:
    """Judge cases in `jobs` processes for so long, or so many; what came of them."""
    total = Tally()
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(dir=quick_folder(), prefix="fuzz-") as name:

        def start(block: int, step: int) -> Worker:
            folder = Path(tempfile.mkdtemp(dir=name))
            return Worker.start(Job(make, seed, folder, saved, block, step, end, cases))

        workers = [start(j, jobs) for j in range(jobs)]
        while workers:
            time.sleep(0.05)
            for worker in list(workers):
                hung = worker.hangs()
                if hung:
                    worker.process.kill()
                    worker.process.join()
                alive = worker.process.is_alive()
                worker.receive(total)
                if alive:
                    continue
                worker.process.join()
                workers.remove(worker)
                if code := worker.process.exitcode:
                    number = worker.hand.number()
                    reason = "hung" if hung else f"ended its process ({how(code)})"
                    total.failures.append((number, reason))
                    keep(worker, number, reason, Path(tempfile.mkdtemp(dir=name)))
                    if len(total.failures) < MOST_FAILURES and time.monotonic() < end:
                        workers.append(start(number // BLOCK + jobs, jobs))
    return total


def keep(worker: Worker, number: int, reason: str, folder: Path) -> None:
    """Save the case that ended its process."""
    fuzz = worker.job.make(worker.job.seed, folder)
    save(worker.job, fuzz, worker.hand.case(fuzz), number, reason)


def how(code: int) -> str:
    """In words, how a process ended."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def quick_folder() -> str | None:
    """A folder in memory, where the system has one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def stream(seed: str, number: int) -> random.Random:
    """The random numbers of one case."""
    digest = hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest))


def table(name: str, seed: str, seconds: float, tally: Tally) -> str:
    """What came of a run, in lines."""
    taken, number = tally.slowest
    rows = [
        ("cases", f"{tally.cases:,}", f"{tally.cases / seconds:,.0f} a second"),
        ("accepted", f"{tally.accepted:,}", f"{tally.accepted / max(1, tally.cases):.1%}"),
        *((f"  {code}", f"{count:,}", "") for code, count in sorted(tally.codes.items())),
        ("slowest case", f"{1000 * taken:,.0f} ms", f"case {number}"),
        ("peak memory", f"{tally.growth / 2**20:,.0f} MB", "above the import"),
        ("failures", f"{len(tally.failures):,}", ""),
    ]
    lines = [f"{name}: seed {seed}, {seconds:,.0f} s"]
    lines += [f"  {what:<14}{value:>12}  {more}".rstrip() for what, value, more in rows]
    lines += [f"  case {n}: {reason.strip().splitlines()[-1]}" for n, reason in tally.failures[:20]]
    return "\n".join(lines)


def main(name: str, make: Make) -> int:
    """The command line of a fuzz: its exit code, 1 where anything failed."""
    parser = argparse.ArgumentParser(description=f"Fuzz the reader of {name}.")
    parser.add_argument("seconds", type=float, nargs="?", default=600)
    parser.add_argument("--seed", default=str(time.time_ns()))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cases", type=int, default=sys.maxsize)
    parser.add_argument("--case", type=int, help="judge this case of the seed alone")
    given = parser.parse_args()
    if given.case is not None:
        with tempfile.TemporaryDirectory(dir=quick_folder()) as folder:
            fuzz = make(given.seed, Path(folder))
            case = fuzz.case(given.case)
            SAVED.mkdir(parents=True, exist_ok=True)
            fuzz.save(case, SAVED)
            print(fuzz.judge(case) or "accepted")
        return 0
    began = time.monotonic()
    tally = run(make, given.seed, given.seconds, given.jobs, given.cases)
    print(table(name, given.seed, time.monotonic() - began, tally))
    if tally.failures:
        print(f"the failing cases are in {SAVED}/")
    return int(bool(tally.failures or not tally.cases))
