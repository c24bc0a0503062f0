"""Trainings in stages that nobody would write, from the spec to a fork of their run."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn_stages import life

FEW = range(12)  # `make faults` has some hundreds more


@pytest.mark.parametrize("seed", FEW)
def test_what_is_accepted_lives(tmp_path: Path, seed: int) -> None:
    life(tmp_path / "drawn", seed)


def test_enough_of_them_are_accepted(tmp_path: Path) -> None:
    from drawn_stages import drawn

    import netbuild
    from netbuild.errors import SpecError

    accepted = 0
    for seed in FEW:
        (tmp_path / str(seed)).mkdir()
        try:
            netbuild.load(drawn(tmp_path / str(seed), seed))
            accepted += 1
        except SpecError:
            continue
    assert accepted >= len(FEW) * 2 // 3
