"""A session of a command that trains: its threads, and what it prints at the end."""

from __future__ import annotations

import json
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
        "best after 24 steps, which is the last one",
        "constraints verified: 36 signs, 30 absent connections, 11 frozen weights; 0 violations",
        f"run: {run.path}",
    ]


def test_a_summary_names_the_best_step_beside_the_last(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [
        "training.optimizer={type: SGD, lr: 0.2, schedule: {type: exponential, factor: 1.25}}",
        "training.clip_grad_norm=null",
    ]
    split = "task.split={train: 0.7, validation: 0.15}"
    for more, sets in (([], ["test"]), ([split], ["test", "validation"])):
        run = netbuild.train(netbuild.load(small, [*changes, *more]), small.parent / "runs")
        Session(Signals(), Format.text, quiet=False).summary(run, 1.0)
        last, best = capsys.readouterr().out.splitlines()[1:3]
        for line, which in ((last, "last"), (best, "best")):
            told = [
                f"{on} accuracy {run.scores[on][which]['accuracy']:.4f}, "
                f"loss {run.scores[on][which]['loss']:.4f}"
                for on in sets
            ]
            named = f"best after {run.best['step']} steps: " if which == "best" else ""
            assert line == named + "; ".join(told)
        Session(Signals(), Format.json, quiet=False).summary(run, 1.0)
        record = json.loads(capsys.readouterr().out)
        assert record["loss"] == run.scores["test"]["last"]["loss"]
        assert (record["selected_on"], record["scores"]) == (sets[-1], run.scores)


def test_without_a_choice_there_is_no_best_step(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = netbuild.load(small, ["training.evaluate.every=null"])
    run = netbuild.train(spec, small.parent / "runs")
    Session(Signals(), Format.text, quiet=False).summary(run, 1.0)
    assert "best" not in capsys.readouterr().out
