"""All parts of the battery, and the bugs that it must find."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from typing import cast

from faults.bugs import BUGS
from faults.lab import Counts, Lab, cleared, train

Part = Callable[..., Counts]

# Every part, and how many cases a short run has of it. The whole has as many as there are, or as
# the part says by itself.
PARTS: dict[str, int] = {
    "kills.every_call": 4,
    "kills.random_times": 4,
    "cuts.every_step": 2,
    "cuts.anywhere": 1,
    "cuts.cold": 0,  # "cuts.anywhere" starts the commands too
    "power.power_loss": 8,
    "power.in_a_resume": 6,
    "logs.other_logs": 4,
    "inputs.failing_calls": 8,
    "inputs.partial_writes": 2,
    "kills.asked_to_stop": 3,
    "kills.races": 2,
    "inputs.flipped_bits": 4,
    "cuts.not_finite": 1,
    "cuts.held": 1,
    "cuts.clocks": 2,
    "hostile.foreign_entries": 14,
    "stages.lives": 0,  # tests/test_drawn_stages.py has some
    "loops.every_step": 0,  # tests/training/test_loops.py is its short run
    "cuts.starting": 2,
}
# A fault that the bug itself brings about would be found by anything.
OURS = ("Traceback", "exit 70", "cannot be judged")


def part(name: str) -> Part:
    """A part by its name, `module.function`."""
    module, _, function = name.partition(".")
    return cast(Part, getattr(importlib.import_module(f"faults.{module}"), function))


def planted(lab: Lab, names: Sequence[str] = tuple(BUGS)) -> Counts:
    """R23: each planted bug is found, and shows only when something goes wrong."""
    counts = Counts("R23", "planted bugs found by the battery")
    began = time.monotonic()
    spec = lab.spec("linear")
    lab.reference(spec)
    for name in names:
        bug = BUGS[name]
        counts.cases += 1
        with lab.planted(name):
            out = lab.new()
            quiet = lab.run(*train(spec, out))
            if quiet.code:
                counts.failures.append(f"{name}: shows without a fault: {quiet.said[-300:]}")
            cleared(out)
            where, cases = bug.found_by
            found = [e for e in part(where)(lab, cases).failures if not any(o in e for o in OURS)]
        if found:
            counts.add(found=1)
            print(f"     {bug.what}: {found[0][:150]}", flush=True)
        else:
            counts.failures.append(f"{name}: not found by {where}: {bug.what}")
    counts.seconds = time.monotonic() - began
    return counts
