"""R7, R16: calls that fail, and bits that flip."""

from __future__ import annotations

import errno
import json
import shutil
import signal
from pathlib import Path

from faults import end
from faults.lab import Counts, Lab, acked_in, cleared, recovered, spread, train
from faults.shim import CHANGES
from faults.specs import SHORT

KILL = int(signal.SIGKILL)
REMOVING = ("listdir", "stat", "unlink", "rmdir")  # what fails here is cleared by the resume
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
# What a call that only looks may say, and one that ends.
LOOKING: dict[str, tuple[int, ...]] = dict.fromkeys(
    ("look", "stat", "listdir", "scandir", "fopen"), (errno.EIO, errno.EACCES, errno.ESTALE)
)
LOOKING |= {
    "read": (errno.EIO, errno.ENOMEM, errno.ESTALE),
    "fstat": (errno.EIO, errno.ENOMEM),
    "statvfs": (errno.EIO, errno.EACCES),
    "flock": (errno.EIO, errno.ENOLCK),
    "close": (errno.EIO, errno.ENOSPC),
}
CUT = 15  # the step in which the training that is resumed was ended


class Calls:
    """A training, and one that is resumed, of which some call fails."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.spec = lab.spec("linear", **SHORT)
        self.reference = lab.reference(self.spec)
        self.begun = lab.new()
        lab.run(*train(self.spec, self.begun), healthy=True, signal_at=(CUT, KILL))
        self.saved = end.newest(end.runs_in(self.begun)[0])

    def first(self, resumed: bool) -> tuple[Path, list[object]]:
        """A folder, and the command that is run on it."""
        out = self.lab.new()
        if not resumed:
            return out, train(self.spec, out)
        shutil.copytree(self.begun, out)
        return out, ["resume", end.runs_in(out)[0], "--quiet"]

    def numbered(self, resumed: bool) -> list[tuple[int, str]]:
        """The calls of that command, numbered from 0."""
        out, argv = self.first(resumed)
        report = self.lab.new()
        shim = {"folder": str(out), "mode": "count", "report": str(report)}
        assert self.lab.run(*argv, healthy=True, shim=shim).code == 0
        cleared(out)
        return list(enumerate(json.loads(report.read_text())["calls"]))

    def check(self, case: tuple[bool, int, str, str, int], counts: Counts) -> list[str]:
        """Fail one call, check what is left, and resume from it."""
        resumed, number, call, mode, error = case
        out, argv = self.first(resumed)
        acks = self.lab.new()
        shim = {"folder": str(out), "mode": mode, "at": number, "error": error}
        outcome = self.lab.run(*argv, shim=shim, acknowledge=str(acks))
        runs = end.runs_in(out)
        acked = acked_in(acks) or (self.saved if resumed else -1)
        found = [] if outcome.values.get("reached") else ["the call was never reached"]
        # What only looks at a run's own files may be taken for damage of the run.
        wanted = (0,) if mode == "short" else (0, 7) if call in CHANGES else (0, 5, 7)
        if outcome.code not in wanted:
            found.append(f"exit {outcome.code}: {outcome.said.strip()[-300:]}")
        if outcome.code and outcome.said.count("\n") > 3:
            found.append(f"more than a message: {outcome.said[-300:]}")
        if not outcome.code and not (runs and end.about(runs[0])["status"] == "finished"):
            found.append("exit 0 without an end")
        counts.add(**{"went on all the same": int(not outcome.code)})
        saved = [path for run in runs for path in end.checkpoints(run)]
        found += [f"{path.name} is half-written" for path in saved if not end.is_whole(path)]
        aside = [path for run in runs for path in (run / "checkpoints").glob("corrupt-*")]
        found += [f"{path.name} was whole" for path in aside if end.is_whole(path)]
        left = [path.name for path in out.rglob("*.tmp")]
        if left and mode == "once" and not resumed and call not in REMOVING:
            found.append(f"left over: {left}")
        run, lost = recovered(self.lab, self.spec, out, acked)
        found += lost + end.amiss(run, self.reference)
        cleared(out)
        return found


def failing_calls(lab: Lab, most: int | None = None) -> Counts:
    """R7: the n-th call fails, once or from then on, in a training and in a resume."""
    counts = Counts("R7", "the n-th input or output call fails (ENOSPC, EIO ...), or all from it")
    calls = Calls(lab)
    for resumed in (False, True):
        numbered = calls.numbered(resumed)
        counts.add(calls=len(numbered))
        cases = []
        for number, call in numbered:
            if call in LOOKING:
                cases += [(resumed, number, call, "once", error) for error in LOOKING[call]]
                continue
            for place, mode in enumerate(("once", "once", "forever")):  # each at times for ever
                cases.append((resumed, number, call, mode, ERRORS[(number + place) % 3]))
        part = spread(cases, None if most is None else most // 2)
        lab.each(counts, part, lambda case: calls.check(case, counts))
    return counts


def partial_writes(lab: Lab, most: int | None = None) -> Counts:
    """R7: a write takes only half of the bytes, which is no error."""
    counts = Counts("R7", "a write takes half of its bytes")
    calls = Calls(lab)
    for resumed in (False, True):
        numbered = [(n, call) for n, call in calls.numbered(resumed) if call == "write"]
        cases = [(resumed, number, call, "short", 0) for number, call in numbered]
        part = spread(cases, None if most is None else most // 2)
        lab.each(counts, part, lambda case: calls.check(case, counts))
    return counts


def flipped_bits(lab: Lab, most: int | None = None) -> Counts:
    """R16: a bit flips in each 64 bytes of a checkpoint, or its files end early."""
    counts = Counts("R16", "a bit flipped in each 64 bytes of a checkpoint; files cut short")
    spec = lab.spec("linear")
    reference = lab.reference(spec)
    begun = lab.new()
    lab.run(*train(spec, begun), healthy=True, signal_at=(CUT, int(signal.SIGTERM)))
    *_, before, newest = end.checkpoints(end.runs_in(begun)[0])
    cases: list[tuple[str, int, int]] = []  # file, byte, bit; bit 8: the file ends there
    for path in sorted(newest.iterdir()):
        size = path.stat().st_size
        regions = range(0, size, 64)
        cases += [
            (path.name, min(at + at // 64 * 37 % 64, size - 1), at // 64 % 8) for at in regions
        ]
        cases += [(path.name, size * part // 16, 8) for part in range(16)]

    def check(case: tuple[str, int, int]) -> list[str]:
        name, at, bit = case
        out = lab.new()
        shutil.copytree(begun, out)
        (run,) = end.runs_in(out)
        path = end.checkpoints(run)[-1] / name
        data = bytearray(path.read_bytes())
        if bit < 8:
            data[at] ^= 1 << bit
        path.write_bytes(data if bit < 8 else data[:at])
        outcome = lab.run("resume", run, "--quiet")
        found: list[str] = []
        if outcome.code or "the one before is used" not in outcome.said:
            found.append(f"exit {outcome.code}: {outcome.said.strip()[-300:]!r}")
        since = end.about(run).get("resumed", [{"step": -1}])[-1]["step"]
        if since != end.step_of(before):
            found.append(f"went on from step {since} in place of {end.step_of(before)}")
        found += end.amiss(run, reference, aside=1)
        cleared(out)
        return found

    lab.each(counts, spread(cases, most), check)
    return counts
