"""The run of a fuzz finds what it is there to find: every planted defect is told and saved."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fuzzing
import pytest


class Planted:
    """A fuzz of which every case is fine but one, which its seed names."""

    def __init__(self, seed: str, folder: Path) -> None:
        self.seed = seed

    def case(self, number: int) -> Any:
        return number

    def judge(self, case: Any) -> Sequence[str]:
        if case == 13:
            getattr(self, self.seed)()
        return () if case % 2 else ("NB101", "NB102")

    def save(self, case: Any, folder: Path) -> None:
        (folder / "case.txt").write_text(str(case))

    def good(self) -> None:
        pass

    def wrong(self) -> None:
        raise KeyError("planted")

    def slow(self) -> None:
        end = time.process_time() + 1.2
        while time.process_time() < end:
            pass

    def greedy(self) -> None:
        held = bytearray(400 << 20)
        held[:: 1 << 12] = b"x" * len(held[:: 1 << 12])

    def bomb(self) -> None:
        bytearray(8 << 30)

    def killed(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    def ended(self) -> None:
        os._exit(3)


def planted(seed: str, folder: Path) -> fuzzing.Tally:
    return fuzzing.run(Planted, seed, 60, cases=2 * fuzzing.BLOCK, saved=folder)


def test_a_run_counts_its_cases(tmp_path: Path) -> None:
    tally = fuzzing.run(Planted, "good", 60, jobs=2, cases=2 * fuzzing.BLOCK, saved=tmp_path)
    counted = 2 * fuzzing.BLOCK + 2 * fuzzing.WARM  # each process warms up
    assert (tally.cases, tally.accepted) == (counted, counted // 2)
    assert tally.codes == {"NB101": counted // 2, "NB102": counted // 2}
    assert not tally.failures
    assert not list(tmp_path.iterdir())
    assert "failures" in fuzzing.table("x", "good", 1.0, tally)


@pytest.mark.parametrize(
    ("seed", "reason"),
    [
        ("wrong", "KeyError: 'planted'"),
        ("slow", r"took 1\.\d s"),
        ("greedy", "MB"),
        ("bomb", "MemoryError"),
        ("killed", r"signal 11"),
        ("ended", "exit code 3"),
    ],
)
def test_a_planted_defect_is_told_and_saved(tmp_path: Path, seed: str, reason: str) -> None:
    tally = planted(seed, tmp_path)
    assert [number for number, _ in tally.failures] == [13]
    folder = tmp_path / f"planted-{seed}-13"
    assert (folder / "case.txt").read_text() == "13"
    assert pytest.RaisesExc(AssertionError, match=reason).matches(
        AssertionError((folder / "reason.txt").read_text())
    )
    assert tally.cases > fuzzing.BLOCK  # it went on


def test_a_case_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "HANG", 1.5)
    monkeypatch.setattr(Planted, "slow", lambda self: None)
    tally = fuzzing.run(Sleeping, "x", 60, cases=20, saved=tmp_path)
    assert tally.failures == [(13, "hung")]
    assert (tmp_path / "sleeping-x-13" / "case.txt").exists()


class Sleeping(Planted):
    """A case of it never ends."""

    def judge(self, case: Any) -> Sequence[str]:
        if case == 13:
            time.sleep(600)
        return ()


def test_a_failing_run_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, code in (("wrong", 1), ("good", 0)):
        monkeypatch.setattr("sys.argv", ["x", "30", "--seed", seed, "--cases", "20"])
        assert fuzzing.main("nothing", Planted) == code
    assert "case 13: KeyError: 'planted'" in capsys.readouterr().out
    assert (fuzzing.SAVED / "planted-wrong-13" / "case.txt").exists()
