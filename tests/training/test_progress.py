"""Where a training stands: the best of its evaluations, and what comes back from JSON."""

from __future__ import annotations

import math

import pytest

from netbuild.language.training import Training
from netbuild.runs.schema import without_nan
from netbuild.training.progress import Progress

TRAINING = Training.model_validate({"steps": 100})


def best_of(evaluations: list[dict[str, float]], training: Training = TRAINING) -> int:
    """The number, from 1, of the best evaluation."""
    progress = Progress()
    for step, values in enumerate(evaluations, 1):
        before, progress.step = progress.best, step
        is_best = progress.score(dict(values), training)
        assert is_best is (progress.best is not before)
    assert progress.best is not None
    assert Progress.model_validate(without_nan(progress.model_dump())) == progress
    return progress.best.step


@pytest.mark.parametrize(
    ("accuracies", "losses", "best"),
    [
        ((0.5, 0.9, 0.7), (1.0, 2.0, 0.1), 2),
        ((0.5, 1.0, 1.0), (1.0, 0.3, 0.2), 3),  # of equal accuracies that of the lower loss
        ((0.5, 1.0, 1.0), (1.0, 0.2, 0.3), 2),
        ((1.0, 1.0, 1.0), (0.2, 0.2, 0.2), 1),  # of equal ones the first
        ((math.nan, math.nan), (0.3, 0.2), 2),  # no trial has a right answer
    ],
)
def test_the_best_evaluation(
    accuracies: tuple[float, ...], losses: tuple[float, ...], best: int
) -> None:
    found = [
        {"accuracy": accuracy, "loss": loss}
        for accuracy, loss in zip(accuracies, losses, strict=True)
    ]
    assert best_of(found) == best


def test_the_best_by_the_metric_of_the_early_end() -> None:
    rule = {"metric": "loss", "at_most": 0.0}
    training = Training.model_validate({"steps": 100, "stop_when": rule})
    found = [{"accuracy": 0.9, "loss": 0.3}, {"accuracy": 0.8, "loss": 0.2}]
    assert best_of(found, training) == 2


def test_a_number_that_is_nan_comes_back_from_null() -> None:
    scores = {"loss": 0.5, "accuracy": None, "environments": {"a": None, "b": 1.0}}
    (found,) = Progress.model_validate({"evaluations": [scores]}).evaluations
    assert math.isnan(found["accuracy"])
    assert math.isnan(found["environments"]["a"])
    assert without_nan(found) == scores
