"""Logs that lost lines, or were edited, while nobody trained."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from faults import end
from faults.lab import Counts, Lab, cleared, spread, train

KILL = int(signal.SIGKILL)
CUT = 44  # the step in which the training is killed: after its checkpoint of step 40
FORMS = ("lost from here", "lost within", "edited", "taken out", "twice", "put before")


def harmed(log: bytes, number: int, form: str) -> bytes:
    """A log of which something happened to the line of a number."""
    lines = log.splitlines(keepends=True)
    before, line, after = b"".join(lines[:number]), lines[number], b"".join(lines[number + 1 :])
    if form == "lost from here":
        return before
    if form == "lost within":
        return before + line[: len(line) // 2]
    if form == "edited":  # a digit of the step
        at = line.index(b'"step":') + len(b'"step":')
        return before + line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :] + after
    if form == "taken out":
        return before + after
    return before + line + (line if form == "twice" else b'{"note":"mine"}\n' + line) + after


def other_logs(lab: Lab, most: int = 120) -> Counts:
    """A run is resumed from the newest checkpoint that the log fits; a changed log is kept.

    Where no checkpoint's log is there it changes nothing, until the log is brought back.
    """
    counts = Counts("logs", "a log that lost lines or was edited: taken back, or brought back")
    spec = lab.spec("linear")
    reference = lab.reference(spec)
    begun = lab.new()
    lab.run(*train(spec, begun), healthy=True, signal_at=(CUT, KILL))
    (first,) = end.runs_in(begun)
    log = (first / "metrics.jsonl").read_bytes()
    numbers = range(len(log.splitlines()))
    cases = [(number, form) for number in reversed(numbers) for form in FORMS]

    def check(case: tuple[int, str]) -> list[str]:
        out = lab.new()
        shutil.copytree(begun, out)
        (run,) = end.runs_in(out)
        odd = harmed(log, *case)
        (run / "metrics.jsonl").write_bytes(odd)
        from_step = end.newest(run)
        odder = sum(end.step_of(path) > from_step for path in end.checkpoints(run))
        outcome = lab.run("resume", run, "--quiet")
        if from_step:
            found = _went_on(run, from_step, odder > 0, odd, outcome.said, outcome.code)
            counts.add(taken_back=int(odder > 0))
        else:
            found = _refused(run, odd, outcome.said, outcome.code)
            counts.add(refused=1)
            (run / "metrics.jsonl").write_bytes(log)
            again = lab.run("resume", run, "--quiet")
            found += [] if again.code == 0 else [f"exit {again.code}: {again.said[-300:]}"]
        found += end.amiss(run, reference, odder if from_step else 0)
        cleared(out)
        return found

    lab.each(counts, spread(cases, most), check)
    counts.demand("taken back", 1 / 8)
    counts.demand("refused", 1 / 8)
    cleared(begun)
    return counts


def _went_on(run: Path, from_step: int, back: bool, odd: bytes, said: str, code: int) -> list[str]:
    """What is wrong with a resume from the newest checkpoint whose log was there."""
    found = [f"exit {code}: {said.strip()[-300:]!r}"] if code else []
    if ("the one before is used" in said) != back:
        found.append(f"from {from_step}, taken back: {back}, it says {said.strip()[-300:]!r}")
    since = end.about(run).get("resumed", [{"step": -1}])[-1]["step"]
    if since != from_step:
        found.append(f"went on from step {since} in place of {from_step}")
    kept = [path.read_bytes() for path in end.logs(run)[1:]]
    if kept != [odd] * back:
        found.append(f"{len(kept)} copies of the log as it was found, not {int(back)} of its bytes")
    return found


def _refused(run: Path, odd: bytes, said: str, code: int) -> list[str]:
    """What is wrong with a resume for which there was no usable checkpoint."""
    found = []
    if code != 5 or "restore the file" not in said:
        found.append(f"exit {code}: {said.strip()[-300:]!r}")
    if [path.read_bytes() for path in end.logs(run)] != [odd] or end.set_aside(run):
        found.append("something was changed all the same")
    return found
