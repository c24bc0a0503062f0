"""Runs the battery, or parts of it: python tests/faults [PART ...]; writes docs/faults.json."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from importlib import metadata
from pathlib import Path

TESTS = Path(__file__).parent.parent
sys.path.insert(0, str(TESTS))

from faults.battery import PARTS, part, planted  # noqa: E402
from faults.lab import SHOWN, Counts, Lab, cores  # noqa: E402

COUNTS = TESTS.parent / "docs" / "faults.json"


def machine() -> str:
    """The machine in words."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    name = names[0] if names else platform.machine()
    versions = f"Python {platform.python_version()}, torch {metadata.version('torch')}"
    return f"{name}, {cores()} cores, {platform.system()}, {versions}"


def main(names: list[str]) -> int:
    """Run these parts, or all; returns 1 if a case failed, else 0."""
    began = time.monotonic()
    found: list[Counts] = []
    with Lab(max(2, cores())) as lab:
        for name in names or [*PARTS, "planted"]:
            counts = planted(lab) if name == "planted" else part(name)(lab)
            found.append(counts)
            print(counts.line, flush=True)
            for failure in counts.failures[:SHOWN]:
                print(f"     {failure[:400]}", flush=True)
    seconds = time.monotonic() - began
    failed = sum(len(counts.failures) for counts in found)
    cases = sum(counts.cases for counts in found)
    print(f"{cases:,} cases, {failed:,} failed, {seconds:.0f} s")
    COUNTS.write_text(json.dumps(_data(found), indent=1) + "\n")
    print(f"wrote {os.path.relpath(COUNTS)}; docs/make_robustness.py puts them into the page")
    return int(failed > 0)


def _data(found: list[Counts]) -> dict[str, object]:
    """All counts as data; what was not counted now stays as it was, on the same machine."""
    before = json.loads(COUNTS.read_text()) if COUNTS.exists() else {}
    known = before["parts"] if before.get("machine") == machine() else []
    parts = {part["what"]: part for part in known}
    parts |= {
        counts.what: {
            "measure": counts.measure,
            "what": counts.what,
            "cases": counts.cases,
            "numbers": counts.numbers,
            "failed": len(counts.failures),
            "seconds": round(counts.seconds),
        }
        for counts in found
    }
    return {"machine": machine(), "parts": list(parts.values())}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
