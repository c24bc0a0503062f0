"""Learning rates are a function of the step."""

from __future__ import annotations

import math
from typing import Any

import pytest

from netbuild.language.training import Training
from netbuild.training.schedule import factor


def training(schedule: dict[str, Any] | None) -> Training:
    optimizer = {"type": "Adam", "schedule": schedule}
    return Training.model_validate({"steps": 100, "optimizer": optimizer})


def test_without_a_schedule_it_stays() -> None:
    assert {factor(training(None), step, 100) for step in range(100)} == {1.0}


def test_cosine_falls_from_one_to_its_minimum() -> None:
    words = training({"type": "cosine", "min_factor": 0.1})
    values = [factor(words, step, 100) for step in range(101)]
    assert values[0] == 1.0
    assert values[50] == pytest.approx(0.55)
    assert values[100] == pytest.approx(0.1)
    assert values == sorted(values, reverse=True)


def test_warmup_rises_linearly_first() -> None:
    words = training({"type": "cosine", "warmup": 10})
    assert [factor(words, step, 100) for step in range(10)] == pytest.approx(
        [(step + 1) / 10 for step in range(10)]
    )
    assert factor(words, 10, 100) == 1.0


def test_step_and_exponential() -> None:
    steps = training({"type": "step", "every": 3, "factor": 0.5})
    assert [factor(steps, step, 100) for step in range(7)] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]
    decay = training({"type": "exponential", "factor": 0.9})
    assert factor(decay, 5, 100) == pytest.approx(0.9**5)


@pytest.mark.parametrize(
    "schedule", [{"type": "exponential", "factor": 2}, {"type": "step", "every": 1, "factor": 2}]
)
def test_what_grows_without_end_is_infinite(schedule: dict[str, Any]) -> None:
    assert factor(training(schedule), 1023, 5000) == 2.0**1023
    assert factor(training(schedule), 1024, 5000) == math.inf
