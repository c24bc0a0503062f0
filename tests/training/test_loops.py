"""Drawn optimizers and training loops; `make faults` runs many more of them."""

from __future__ import annotations

import loops
import pytest

CASES = 16


def test_constraints_hold_in_drawn_loops() -> None:
    found = {number: faults for number in range(CASES) if (faults := loops.run(number))}
    assert not found


def test_loops_that_are_not_attached_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "attach", lambda module, optimizer: None)
    found = [number for number in range(4) if loops.run(number)]
    assert len(found) >= 3
