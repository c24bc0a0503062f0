"""A session of a command that trains: its threads, and what it prints at the end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

import netbuild
from netbuild.cli.options import Format
from netbuild.cli.signals import Signals
from netbuild.cli.training import SMALL, Session, last_step, threads_of
from netbuild.language.training import UNTIL
from netbuild.system import cores


def test_threads_are_at_most_the_usable_cores(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert threads_of(netbuild.load(small, ["training.threads=4000"])) == cores()
    err = capsys.readouterr().err
    assert err.startswith("warning: training.threads is 4,000, but ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("threads", ["1", "auto"])
def test_threads_that_can_be_had_are_not_warned_of(small: Path, threads: str) -> None:
    spec = netbuild.load(small, [f"training.threads={threads}"])
    assert threads_of(spec) == 1


def test_small_layers_take_one_thread_and_large_ones_all_cores(small: Path) -> None:
    change = [f"layers[hidden].output_dim={SMALL // 40 + 1}", "training.threads=auto"]
    assert threads_of(netbuild.load(small, change)) == cores()


def test_the_last_step_is_unknown_while_a_stage_waits_for_its_end(small: Path) -> None:
    assert last_step(SimpleNamespace(steps=24)) == 24  # type: ignore[arg-type]
    assert last_step(SimpleNamespace(steps=UNTIL + 24)) is None  # type: ignore[arg-type]


def test_a_summary_has_the_scores_and_the_constraints(
    run: netbuild.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    Session(Signals(), Format.text, quiet=False).summary(run, 1.25)
    assert capsys.readouterr().out.splitlines() == [
        "small: finished after 24 steps, 1.2 s",
        f"test accuracy {run.final['accuracy']:.4f}, loss {run.final['loss']:.4f}",
        "constraints verified: 36 signs, 30 absent connections, 11 frozen weights; 0 violations",
        f"run: {run.path}",
    ]
