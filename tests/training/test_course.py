"""The course of a training: the best of its evaluations."""

from __future__ import annotations

import math

import pytest

from netbuild.language.training import Training
from netbuild.training.course import Point
from netbuild.training.trainer import Record

TRAINING = Training.model_validate({"steps": 100})


def best_of(evaluations: list[dict[str, float]], training: Training = TRAINING) -> int:
    """The number, from 1, of the best evaluation."""
    point = Point()
    for step, values in enumerate(evaluations, 1):
        before = point.best
        is_best = point.score(Record("evaluation", step, dict(values)), training)
        assert is_best is (point.best is not before)
    assert point.best is not None
    assert point == Point.from_data(point.to_data())
    return int(point.best["step"])


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
