"""R1, R2, R9, R10: processes that are ended, or meet another one."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

from faults import end
from faults.lab import Counts, Lab, acked_in, cleared, recovered, spread, train
from faults.shim import CHANGES
from faults.specs import MOMENTUM, SHORT

STEPS_A_KILL = 30  # of the run that is killed again and again
TERM, INT, KILL = int(signal.SIGTERM), int(signal.SIGINT), int(signal.SIGKILL)


def calls_of(lab: Lab, spec: Path) -> list[str]:
    """The calls that change the disk in one training, in order."""
    out, report = lab.new(), lab.new()
    shim = {"folder": str(out), "mode": "kills", "report": str(report)}
    outcome = lab.run(*train(spec, out), healthy=True, shim=shim)
    assert outcome.code == 0, outcome.said
    cleared(out)
    calls = json.loads(report.read_text())["calls"]
    assert set(calls) <= set(CHANGES)
    return list(calls)


def every_call(lab: Lab, most: int | None = None) -> Counts:
    """R1: kill -9 before each call of three checkpoints, in each write, and after the last one.

    After a call the disk holds what it does before the next.
    """
    counts = Counts("R1", "kill -9 at every file system call of three checkpoints, two optimizers")
    for kind, optimizer in (("linear", {"optimizer": MOMENTUM}), ("ctrnn", {})):
        spec = lab.spec(kind, **SHORT, **optimizer)
        _killed_in(lab, counts, spec, None if most is None else most // 2)
    return counts


def _killed_in(lab: Lab, counts: Counts, spec: Path, most: int | None) -> None:
    reference = lab.reference(spec)
    calls = calls_of(lab, spec)
    cases = [(number, "before") for number in range(len(calls))]
    cases += [(number, "half") for number, call in enumerate(calls) if call == "write"]
    cases = [*sorted(cases), (len(calls) - 1, "after")]
    counts.add(calls=len(calls))

    def check(case: tuple[int, str]) -> list[str]:
        number, mode = case
        out, acks = lab.new(), lab.new()
        shim = {"folder": str(out), "mode": mode, "at": number}
        outcome = lab.run(*train(spec, out), shim=shim, acknowledge=str(acks))
        if outcome.code != -KILL:
            return [f"exit {outcome.code}, not killed"]
        run, found = recovered(lab, spec, out, acked_in(acks) or -1)
        found += end.amiss(run, reference)
        cleared(out)
        return found

    lab.each(counts, spread(cases, most), check)


def random_times(lab: Lab, most: int = 200) -> Counts:
    """R2: one run is killed again and again, at random times, and resumed each time."""
    counts = Counts("R2", "kill -9 at random times in one run")
    began = time.monotonic()
    rng = random.Random(2)
    steps = STEPS_A_KILL * (most * 5 // 4 + 20)  # more than all kills let it take
    every = {"log_every": 5, "evaluate": {"every": steps // 10}}
    spec = lab.spec("linear", steps=steps, checkpoint={"every": 5, "keep": 2}, **every)
    reference = lab.reference(spec)
    out, acks = lab.new(), lab.new()
    there, longest = 0, 0.2  # the newest checkpoint; seconds until the latest kill
    begun = False  # on a busy machine every kill may come before there is a run
    for kill in range(most):
        runs = end.runs_in(out)
        argv: list[object] = ["resume", runs[0], "--quiet"] if runs else train(spec, out)
        signals = [(rng.uniform(0, longest), KILL)]
        outcome = lab.run(*argv, signals=signals, acknowledge=str(acks))
        if outcome.code != -KILL:
            counts.failures.append(f"kill {kill}: exit {outcome.code}: {outcome.said[-300:]}")
            break
        runs = end.runs_in(out)
        now = end.newest(runs[0]) if runs else 0
        begun = begun or bool(runs)
        if now < max(there, acked_in(acks)):
            counts.failures.append(f"kill {kill}: {max(there, acked_in(acks))} saved, {now} there")
        counts.cases += 1
        counts.add(kills_after_a_further_checkpoint=int(now > there))
        # However busy the machine is, some kills come while it begins, and some while it trains.
        longest *= 1.2 if now == there else 0.8 if now > there + STEPS_A_KILL / 2 else 1.0
        there = now
    run, found = recovered(lab, spec, out, acked_in(acks) if begun else -1)
    counts.failures += found + end.amiss(run, reference)
    cleared(out)
    counts.demand("kills after a further checkpoint", 1 / 4)
    counts.seconds = time.monotonic() - began
    return counts


def asked_to_stop(lab: Lab, most: int = 100) -> Counts:
    """R9: SIGTERM at random times: exit 143, the state is saved, and the end has the same bits.

    To some it is sent again soon, which counts as one, and to some SIGINT, which ends it at once.
    """
    counts = Counts("R9", "SIGTERM at random times")
    spec = lab.spec("linear", steps=150)
    reference = lab.reference(spec)
    rng = random.Random(9)
    # Begun and ended at once, so that the time of a training on this machine is known.
    out = lab.new()
    whole = lab.run(*train(spec, out), healthy=True).seconds
    cleared(out)

    def check(number: int) -> list[str]:
        found: list[str] = []
        second = (TERM, INT)[number // 4 % 2]
        one = number % 4 < 3 or second == TERM
        for _ in range(20):
            out, acks = lab.new(), lab.new()
            signals = [(rng.uniform(0.0, whole), TERM)]
            if number % 4 == 3:
                signals.append((signals[0][0] + rng.uniform(0.0, 0.05), second))
            outcome = lab.run(*train(spec, out), signals=signals, acknowledge=str(acks))
            runs = end.runs_in(out)
            status = end.about(runs[0])["status"] if runs else ""
            if status == "finished" and outcome.code in (0, -TERM):
                cleared(out)
                continue  # it came too late
            # Nobody listens before it has begun, nor for a second one after the last line.
            late = len(signals) > 1 and status == "interrupted"
            if outcome.code != 143 and not (outcome.code == -TERM and (late or not runs)):
                found.append(f"exit {outcome.code}: {outcome.said[-300:]}")
            acked = acked_in(acks)
            if status == "interrupted":
                counts.add(saved=1)
                last = end.log(runs[0])[-1]["step"]
                said = not one or f"after step {last}, saved" in outcome.said
                if not said or end.newest(runs[0]) != last:
                    found.append(f"{last} steps taken, {outcome.said!r}")
            elif runs and one and "nothing was to be saved" not in outcome.said:
                found.append(f"the state was not saved: {outcome.said!r}")
            run, lost = recovered(lab, spec, out, acked or -1)
            found += lost + end.amiss(run, reference)
            cleared(out)
            return found
        return ["the training was always quicker than the signal"]

    lab.each(counts, range(most), check)
    counts.demand("saved", 1 / 4)
    return counts


def races(lab: Lab, most: int = 100) -> Counts:
    """R10: two processes resume one run, or start one spec: one does, the other exits 6."""
    counts = Counts("R10", "two starters of one run at the same time")
    spec = lab.spec("linear", steps=200, log_every=50)
    reference = lab.reference(spec)
    rng = random.Random(10)

    def check(number: int) -> list[str]:
        from concurrent.futures import ThreadPoolExecutor

        out = lab.new()
        argv: list[object] = [*train(spec, out), "--resume"]
        if number % 2:
            lab.run(*train(spec, out), healthy=True, signal_at=(5, KILL))
            argv = ["resume", end.runs_in(out)[0], "--quiet"]
        lab.warm()
        begin = time.monotonic() + 0.05
        ats = [begin, begin + rng.choice([0.0, 0.0, rng.uniform(0, 0.02)])]
        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(lambda at: lab.run(*argv, at=at), ats))
        if max(outcome.values.get("late", 0) for outcome in outcomes) > 0.1:
            cleared(out)
            return check(number)  # on a busy machine one came when the other had ended
        codes = sorted(outcome.code for outcome in outcomes)
        found = []
        if codes != [0, 6]:
            found.append(f"exits {codes}: {[outcome.said for outcome in outcomes]}")
        runs = end.runs_in(out)
        if len(runs) != 1:
            found.append(f"{len(runs)} runs")
        told = next((o.said for o in outcomes if o.code == 6), "in use by process")
        if "in use by process" not in told:
            found.append(f"the other is not named: {told!r}")
        found += end.amiss(runs[0], reference)
        cleared(out)
        return found

    began = time.monotonic()
    for number in range(most):  # each takes two servers
        try:
            counts.failures += [f"{number}: {each}" for each in check(number)][:1]
        except (IndexError, ValueError, OSError) as error:
            what = f"{type(error).__name__}: {error}"
            counts.failures.append(f"{number}: cannot be judged: {what}")
    counts.cases, counts.seconds = most, time.monotonic() - began
    return counts
