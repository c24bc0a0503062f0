"""Trainings in stages that nobody would write, from the spec to a fork of their run."""

from __future__ import annotations

from pathlib import Path

from drawn.stages import life

FEW = range(4)  # `make faults` has some hundreds more


def test_what_is_accepted_lives(tmp_path: Path) -> None:
    found = []
    for seed in FEW:
        try:
            found.append(life(tmp_path / str(seed), seed))
        except Exception as error:
            error.add_note(f"drawn.stages.life(folder, {seed})")
            raise
    assert found.count("lived") >= len(FEW) // 2
