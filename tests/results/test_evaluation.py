"""Scores of a checkpoint are those that the training has logged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import small_spec

import netbuild
from netbuild.errors import Exit, NetbuildError
from netbuild.results.evaluation import evaluate


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> netbuild.Run:
    folder = tmp_path_factory.mktemp("evaluated")
    return netbuild.train(small_spec(folder), folder / "runs")


def test_scores_are_those_of_the_log(run: netbuild.Run) -> None:
    last = evaluate(run)
    assert (last.step, last.stage, last.trials) == (24, "", 12)
    assert last.values == last.logged
    best = evaluate(run, "best")
    assert best.values["accuracy"] == run.best["value"]
    between = evaluate(run, 20)  # a checkpoint without an evaluation
    assert between.logged is None


def test_some_trials_are_the_first_ones(run: netbuild.Run) -> None:
    whole, some = evaluate(run), evaluate(run, trials=5)
    assert some.logged is None  # the log is of all trials
    for name, column in some.columns.items():
        assert np.array_equal(column, whole.columns[name][:5]), name
    assert some.values["accuracy"] == np.mean(some.columns["correct"])


def test_a_task_given_in_python_is_given_again(small: Path, tmp_path: Path) -> None:
    task = netbuild.builder.build_task(netbuild.load(small))
    with pytest.warns(RuntimeWarning, match="are chosen on the test trials of the task"):
        trained = netbuild.train(small, tmp_path / "runs", task=task)
    assert trained.about["selected_on"] == "test"
    assert evaluate(trained).values == evaluate(trained).logged
    with pytest.raises(NetbuildError, match="was trained on a task given in Python") as caught:
        evaluate(netbuild.open_run(trained.path))
    assert caught.value.exit_code == Exit.RUN
