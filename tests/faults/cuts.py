"""R4, R5, R19, R20, R21: trainings cut at known places, started cold, or given NaN."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from faults import end
from faults.lab import Counts, Lab, acked_in, cleared, recovered, spread, train
from faults.specs import EVERY, STEPS

LAST = STEPS - 1  # the step after which nothing is left to do

TERM, KILL = int(signal.SIGTERM), int(signal.SIGKILL)
PROGRAM = "from netbuild.cli import main; main()"
KINDS = ("linear", "ctrnn")


def every_step(lab: Lab, most: int = LAST) -> Counts:
    """R4: a training is stopped, or killed, in each of its steps, and resumed to the same bits."""
    counts = Counts("R4", f"stopped in each of {LAST} steps, or killed, and resumed; two networks")
    # A kill tells most where the checkpoint before is far.
    cases = [(step, TERM) for step in spread(range(LAST), most)]
    cases += [(step, KILL) for step in spread(range(9, LAST, 10), max(1, most // 10))]
    for kind in KINDS:
        _cut_in(lab, counts, kind, cases)
    return counts


def _cut_in(lab: Lab, counts: Counts, kind: str, cases: list[tuple[int, int]]) -> None:
    spec = lab.spec(kind)
    reference = lab.reference(spec)

    def check(case: tuple[int, int]) -> list[str]:
        step, number = case
        out, acks = lab.new(), lab.new()
        begun = lab.run(*train(spec, out), signal_at=case, acknowledge=str(acks))
        saved = end.newest(end.runs_in(out)[0])
        cut = (begun.code, saved) == (143, step + 1)
        if number == KILL:
            cut = (begun.code, saved // EVERY) == (-KILL, step // EVERY)
        found = [] if cut else [f"exit {begun.code}, step {saved} saved"]
        run, lost = recovered(lab, spec, out, acked_in(acks))
        found += lost + end.amiss(run, reference)
        if not found and end.about(run)["resumed"][-1]["step"] == saved:
            counts.add(resumed_to_the_same_bits=1)
        cleared(out)
        return found

    lab.each(counts, cases, check)


def anywhere(lab: Lab, most: int = 20) -> Counts:
    """R5: the command itself, from other folders, with other seeds of hashing: one digest."""
    counts = Counts("R5", "cold starts with another working directory and PYTHONHASHSEED")
    spec = lab.spec("linear")
    reference = lab.reference(spec)
    rng = random.Random(5)

    def check(number: int) -> list[str]:
        place = lab.new() / f"a folder, number {number} é"
        place.mkdir(parents=True)
        environment = {"PYTHONHASHSEED": str(rng.randrange(1 << 32)), "LANG": "C", "TERM": "dumb"}
        named = spec if number % 2 else Path(os.path.relpath(spec, place))
        found = _cold(train(named, Path("runs")), cwd=place, **environment)
        if found.returncode:
            return [f"exit {found.returncode}: {found.stderr[-300:]}"]
        (run,) = end.runs_in(place / "runs")
        return end.amiss(run, reference)

    lab.each(counts, range(most), check)
    return counts


def cold(lab: Lab, most: int = 10) -> Counts:
    """The commands themselves: `netbuild train` is killed, `netbuild resume` continues it."""
    counts = Counts("cold", "`netbuild train` killed at a random time, `netbuild resume`")
    every = {"evaluate": {"every": 100}, "checkpoint": {"every": 50}}
    spec = lab.spec("ctrnn", steps=600, log_every=5, **every)
    reference = lab.reference(spec)
    rng = random.Random(1)

    def check(number: int) -> list[str]:
        out = lab.new()
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, train(spec, out))],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        end_of_wait = time.monotonic() + 60
        while not end.runs_in(out) and process.poll() is None and time.monotonic() < end_of_wait:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 1.0))
        process.send_signal(KILL if number % 2 else TERM)
        _, said = process.communicate()
        (run,) = end.runs_in(out)
        wanted = -KILL if number % 2 else 143
        found = []
        if process.returncode != wanted and end.about(run)["status"] != "finished":
            found.append(f"exit {process.returncode} in place of {wanted}: {said[-300:]!r}")
        saved = end.newest(run)
        again = _cold(["resume", run, "--quiet"])
        if again.returncode or "warning" in again.stderr:
            found.append(f"exit {again.returncode}: {again.stderr[-300:]}")
        resumed = end.about(run).get("resumed", [{"step": saved}])
        if resumed[-1]["step"] != saved:
            found.append(f"went on from {resumed[-1]['step']} in place of {saved}")
        found += end.amiss(run, reference)
        cleared(out)
        return found

    lab.each(counts, range(most), check)
    return counts


# Writes a line as soon as Ctrl-C is the program's own; before that it is Python's.
STARTING = """
import signal, sys
import netbuild.cli
take = signal.signal
def told(number, handler):
    before = take(number, handler)
    signal.signal = take
    sys.stdout.write("\\n") and sys.stdout.flush()
    return before
signal.signal = told
netbuild.cli.main()
"""


def starting(lab: Lab, most: int = 80) -> Counts:
    """R25: Ctrl-C in the first second of commands: exit 130, one line, and nothing half-written."""
    counts = Counts("R25", "Ctrl-C while a command starts")
    spec = lab.spec("linear")
    out = lab.new()
    lab.run(*train(spec, out), healthy=True)
    (made,) = end.runs_in(out)
    rng = random.Random(24)
    commands = (
        [*train(spec, lab.new())],
        ["inspect", made],
        ["validate", spec],
        ["evaluate", made],
    )
    usual = {"validate": _cold(["validate", spec]).stderr}  # the warnings of a whole command

    def check(number: int) -> list[str]:
        argv = commands[number % len(commands)]
        process = subprocess.Popen(
            [sys.executable, "-c", STARTING, *map(str, argv)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.0, 1.0) ** 2)  # most of them early
        process.send_signal(signal.SIGINT)
        shown, said = process.communicate(timeout=60)
        # Python gives the signal back to the system when it ends, after the command's last line.
        is_whole = shown and said == usual.get(str(argv[0]), "")
        ending = process.returncode == -signal.SIGINT and is_whole
        if ending or (process.returncode == 0 and "Traceback" not in said):
            counts.add(too_late=1)
            return []
        last = said.splitlines()[-1:]
        if process.returncode != 130 or not last or not last[0].startswith("interrupted"):
            return [f"{argv[0]}: exit {process.returncode}: {said[-300:]!r}"]
        counts.add(interrupted=1)
        return [f"{argv[0]}: {said[-300:]!r}"] if "Traceback" in said else []

    lab.each(counts, range(most), check)
    counts.demand("interrupted", 1 / 2)
    cleared(out)
    return counts


def _cold(argv: list[Any], cwd: Path | None = None, **environment: str) -> Any:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, argv)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


PLACES = ("loss", "gradient", "weight", "input")


def not_finite(lab: Lab, most: int = 20) -> Counts:
    """R19: NaN comes in at a step: exit 8, the last good checkpoint stays, and none has NaN."""
    counts = Counts("R19", "NaN in the loss, a gradient, a weight or the input")
    spec = lab.spec("linear", checkpoint={"every": 5, "keep": 2})
    reference = lab.reference(spec)
    steps = spread(range(0, LAST, LAST // 20), most)

    def check(case: tuple[str, int]) -> list[str]:
        place, step = case
        out, acks = lab.new(), lab.new()
        ended = lab.run(*train(spec, out), bad=case, acknowledge=str(acks))
        (run,) = end.runs_in(out)
        found = []
        if ended.code != 8 or "at step" not in ended.said + "at step" * (place == "weight"):
            found.append(f"exit {ended.code}: {ended.said[-300:]}")
        status, lines = end.about(run)["status"], end.log(run)
        if status != "diverged" or lines[-1]["kind"] != "diverged":
            found.append(f"status {status}, the log ends with {lines[-1]}")
        saved = step // 5 * 5  # the last that was due before
        if end.newest(run) < saved or end.newest(run) > step:
            found.append(f"the newest checkpoint is of step {end.newest(run)}, good was {saved}")
        if saved and f"step {end.newest(run)} " not in ended.said:
            found.append(f"the last good checkpoint is not named: {ended.said!r}")
        bad = [p for p in end.checkpoints(run) if not end.is_whole(p) or end.holds_nan(p)]
        found += [f"{path.name} holds NaN, or is not whole" for path in bad]
        whole, lost = recovered(lab, spec, out, acked_in(acks))
        found += lost + end.amiss(whole, reference)
        cleared(out)
        return found

    lab.each(counts, [(place, step) for place in PLACES for step in steps], check)
    return counts


def held(lab: Lab, most: int = LAST) -> Counts:
    """R20: absent, frozen and signed weights after each step and resume; forgeries refused."""
    counts = Counts("R20", "constraints after every step, through resumes; forged checkpoints")
    for kind in KINDS:
        _held_in(lab, counts, kind, spread(range(LAST), most))
    return counts


def _held_in(lab: Lab, counts: Counts, kind: str, steps: list[int]) -> None:
    spec = lab.spec(kind)
    reference = lab.reference(spec)
    masks = {name: str(spec.parent / f"{name}.npy") for name in ("wiring", "plastic")}

    def check(step: int) -> list[str]:
        out = lab.new()
        verify = {"kind": kind, **masks}
        begun = lab.run(*train(spec, out), signal_at=(step, TERM), verify=verify)
        (run,) = end.runs_in(out)
        first = str(run / "initial.safetensors")
        again = lab.run("resume", run, "--quiet", verify=verify | {"first": first})
        both = (begun.values, again.values)
        found = [f"violated: {each['violations'][0]}" for each in both if each["violations"]]
        looks = sum(each["looks"] for each in both)
        counts.add(looks_at_all_weights=looks)
        if looks < STEPS:
            found.append(f"{looks} looks at the weights, of {STEPS} steps")
        found += end.amiss(run, reference)
        cleared(out)
        return found

    def forged(what: str) -> list[str]:
        out = lab.new()
        lab.run(*train(spec, out), signal_at=(30, TERM), healthy=True)
        (run,) = end.runs_in(out)
        damage = {"checkpoint": str(end.checkpoints(run)[-1]), "what": what, "kind": kind}
        lab.run(damage=damage | masks, healthy=True)
        found = []
        again = lab.run("resume", run, "--quiet")
        if again.code or "the one before is used" not in again.said:
            found.append(f"exit {again.code}: {again.said[-300:]!r}")
        found += end.amiss(run, reference, aside=1)
        cleared(out)
        return found

    lab.each(counts, steps, check)
    lab.each(counts, spread(["frozen", "absent", "sign", "nan"], len(steps) + 1), forged)


def clocks(lab: Lab, most: int = 20) -> Counts:
    """R21: the clock is set back, times of files are shuffled, the folder is a copy elsewhere."""
    counts = Counts("R21", "clocks set back or forward, file times shuffled, folders copied")
    spec = lab.spec("linear")
    reference = lab.reference(spec)
    rng = random.Random(21)

    def check(number: int) -> list[str]:
        out, elsewhere = lab.new(), lab.new() / f"eine Kopie é {number}"
        step = rng.randrange(21, LAST)
        year = 365.25 * 86400
        lab.run(*train(spec, out), signal_at=(step, TERM), clock=rng.uniform(-20, 20) * year)
        (run,) = end.runs_in(out)
        shutil.copytree(run, elsewhere)
        for path in elsewhere.rglob("*"):
            then = rng.uniform(0, 2**31)
            os.utime(path, (then, then))
        if number % 2:
            cleared(out)
        again = lab.run("resume", elsewhere, "--quiet", clock=rng.uniform(-20, 20) * year)
        found = [f"exit {again.code}: {again.said[-300:]}"] if again.code else []
        since = end.about(elsewhere)["resumed"][-1]["step"]
        if since != step + 1:
            found.append(f"went on from step {since} in place of {step + 1}")
        found += end.amiss(elsewhere, reference)
        cleared(out)
        cleared(elsewhere.parent)
        return found

    lab.each(counts, range(most), check)
    return counts
