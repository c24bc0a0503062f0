"""A short fuzz of the spec reader, the same in every run; `fuzz_specs.py` goes on for longer."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_specs import attempt, folder_of_specs, fuzz, mutated, structure, texts

from netbuild.check import load
from netbuild.errors import SpecError


@pytest.mark.parametrize("seed", [0, 1])
def test_whatever_a_spec_holds_is_told_or_built(tmp_path: Path, seed: int) -> None:
    counts = fuzz(folder_of_specs(tmp_path), random.Random(seed), 1500)
    assert counts["specs"] == 1500
    assert counts["accepted"] > 10
    assert len(counts) > 25  # codes of every kind


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    rng = random.Random(2)
    for _ in range(500):
        text = bytes(rng.randrange(256) for _ in range(rng.randrange(60)))
        assert isinstance(attempt(tmp_path, text, []), SpecError)


def test_mappings_that_are_no_specs() -> None:
    rng = random.Random(3)
    for _ in range(500):
        data = {"netbuild": 1, "layers": structure(rng), "training": structure(rng)}
        with pytest.raises(SpecError):
            load(data, memory_limit=10**6)


def test_checks_do_not_depend_on_the_order_of_sets(tmp_path: Path) -> None:
    """The same problems, word for word, whatever seeds Python's own hashes."""
    rng = random.Random(4)
    pool = texts()
    for i in range(30):
        (tmp_path / f"{i}.yaml").write_bytes(mutated(rng.choice(pool), pool, rng))
    program = """
import sys
from netbuild.check import load
from netbuild.errors import SpecError
for name in sys.argv[1:]:
    try:
        print(load(name, memory_limit=10**6).hash)
    except SpecError as error:
        print(*((str(p.place), p.what, p.hint) for p in error.problems), sep="\\n")
"""
    said = [
        subprocess.run(
            [sys.executable, "-c", program, *sorted(map(str, tmp_path.glob("*.yaml")))],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert said[0].count(b"\n") > 30
