"""What machine code shares: the parts of its work, and why it cannot run."""

from __future__ import annotations

import threading

import pytest

from netbuild.kernels import machine


def test_parts_cover_the_whole_once_and_run_on_several_threads() -> None:
    both = threading.Barrier(2, timeout=30)  # which one thread alone never passes
    found = []

    def run(low: int, high: int) -> None:
        both.wait()
        found.append((low, high))

    machine.in_parts(run, [0, 4, 7])
    assert sorted(found) == [(0, 4), (4, 7)]


def test_an_error_of_a_part_reaches_the_caller() -> None:
    def run(low: int, high: int) -> None:
        if low:
            raise ValueError(f"{low} to {high}")

    with pytest.raises(ValueError, match="2 to 5"):
        machine.in_parts(run, [0, 2, 5])


def test_a_failure_has_one_line() -> None:
    def refuse() -> None:
        raise RuntimeError("no locator\nmore lines")

    def lack() -> None:
        raise ImportError("No module named 'numba'")

    assert machine.failure("x", lambda: None) == ""
    assert machine.failure("x", refuse) == "numba cannot compile x (no locator)"
    assert machine.failure("x", lack) == "numba cannot be imported (No module named 'numba')"
