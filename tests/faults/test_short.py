"""The battery in short: some cases of each part, and some of the planted bugs."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from faults.battery import PARTS, part, planted
from faults.bugs import BUGS
from faults.inputs import Calls
from faults.lab import WHOLE, Counts, Lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


@pytest.mark.parametrize("name", [name for name, cases in PARTS.items() if cases])
def test_trainings_end_with_their_bits_whatever_happens(lab: Lab, name: str) -> None:
    counts = part(name)(lab, PARTS[name])
    assert not counts.failures, counts.failures[:3]
    assert counts.cases >= PARTS[name]


# Quickly found ones of each kind; the whole battery has them all.
QUICK = (
    *("no_fsync_of_files", "no_rename", "other_random_numbers", "no_optimizer_state"),
    *("digests_not_compared", "no_lock"),
)


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_found(lab: Lab, name: str) -> None:
    counts = planted(lab, [name])
    assert not counts.failures
    assert counts.numbers == {"found": 1}


def test_a_call_that_is_never_reached_is_a_failure(lab: Lab) -> None:
    case = (False, 1_000_000, "write", "once", errno.EIO)
    assert Calls(lab).check(case, Counts("", "")) == ["the call was never reached"]


def test_a_whole_run_that_met_too_little_fails() -> None:
    counts = Counts("", "", cases=WHOLE)
    counts.add(saved=WHOLE // 4)
    counts.demand("saved", 1 / 4)
    assert not counts.failures
    counts.demand("saved", 1 / 2)
    assert counts.failures


def test_there_are_enough_bugs_and_parts_that_find_them() -> None:
    assert len(BUGS) >= 20
    assert {bug.found_by[0] for bug in BUGS.values()} <= PARTS.keys()
