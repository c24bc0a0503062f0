"""Learning rates are a function of the step; early stopping is counted in evaluations."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbuild.language.training import StopWhen, Training
from netbuild.training.rules import rate_factor, should_stop, still_needed


def training(schedule: dict[str, Any] | None) -> Training:
    optimizer = {"type": "Adam", "schedule": schedule}
    return Training.model_validate({"steps": 100, "optimizer": optimizer})


def test_without_a_schedule_it_stays() -> None:
    assert {rate_factor(training(None), step, 100) for step in range(100)} == {1.0}


def test_cosine_falls_from_one_to_its_minimum() -> None:
    words = training({"type": "cosine", "min_factor": 0.1})
    values = [rate_factor(words, step, 100) for step in range(101)]
    assert values[0] == 1.0
    assert values[50] == pytest.approx(0.55)
    assert values[100] == pytest.approx(0.1)
    assert values == sorted(values, reverse=True)


def test_warmup_rises_linearly_first() -> None:
    words = training({"type": "cosine", "warmup": 10})
    assert [rate_factor(words, step, 100) for step in range(10)] == pytest.approx(
        [(step + 1) / 10 for step in range(10)]
    )
    assert rate_factor(words, 10, 100) == 1.0


def test_step_and_exponential() -> None:
    steps = training({"type": "step", "every": 3, "factor": 0.5})
    assert [rate_factor(steps, step, 100) for step in range(7)] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]
    decay = training({"type": "exponential", "factor": 0.9})
    assert rate_factor(decay, 5, 100) == pytest.approx(0.9**5)


@pytest.mark.parametrize(
    "schedule", [{"type": "exponential", "factor": 2}, {"type": "step", "every": 1, "factor": 2}]
)
def test_what_grows_without_end_is_infinite(schedule: dict[str, Any]) -> None:
    assert rate_factor(training(schedule), 1023, 5000) == 2.0**1023
    assert rate_factor(training(schedule), 1024, 5000) == math.inf


def stops(values: list[float], **rule: Any) -> bool:
    words = StopWhen.model_validate({"metric": "accuracy", **rule})
    return should_stop(words, [{words.metric: value} for value in values])


@pytest.mark.parametrize(
    ("values", "rule", "expected"),
    [
        ([0.9], {"at_least": 0.85}, True),
        ([0.8], {"at_least": 0.85}, False),
        ([0.9], {"at_least": 0.85, "mean_of_last": 2}, False),
        ([0.8, 0.9], {"at_least": 0.85, "mean_of_last": 2}, True),
        ([0.1, 0.8, 0.9], {"at_least": 0.85, "mean_of_last": 2}, True),
        ([0.3], {"metric": "loss", "at_most": 0.3}, True),
        ([0.31], {"metric": "loss", "at_most": 0.3}, False),
        ([], {"at_least": 0.0}, False),
        ([0.5, 0.6, 0.6], {"patience": 2}, False),
        ([0.6, 0.6, 0.5], {"patience": 2}, True),
        ([0.6, 0.6, 0.61], {"patience": 2}, False),
        ([0.5, 0.6, 0.7], {"metric": "loss", "patience": 2}, True),
        ([0.5, 0.6, 0.4], {"metric": "loss", "patience": 2}, False),
        ([0.5, 0.6], {"metric": "loss", "patience": 2}, False),
    ],
)
def test_rule(values: list[float], rule: dict[str, Any], expected: bool) -> None:
    assert stops(values, **rule) is expected


@pytest.mark.parametrize("names", ["ab", "ba"])
def test_an_environment_without_right_answers_is_no_task(names: str) -> None:
    rule = StopWhen.model_validate({"metric": "accuracy", "of": "worst_task", "at_least": 0.9})
    for known, expected in ((0.95, True), (0.5, False)):
        worst = dict(zip(names, (float("nan"), known), strict=True))
        found = {"accuracy": known, "environments": dict(sorted(worst.items()))}
        assert should_stop(rule, [found]) is expected


def test_a_score_that_is_none_is_no_best() -> None:
    nan = float("nan")
    assert stops([nan, 0.5, 0.4, 0.3, 0.2], patience=2)
    assert not stops([nan, 0.5, 0.6, 0.7], patience=2)


def test_an_evaluation_without_a_loss_never_ends_a_training() -> None:
    rule = StopWhen.model_validate({"metric": "loss", "at_most": 0.1, "patience": 1})
    assert not should_stop(rule, [{"loss": None}, {"loss": None}, {"loss": None}])
    assert still_needed(rule, [{"loss": None}]) == [{"loss": None}]


SCORES = st.lists(
    st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, float("nan")]), min_size=1, max_size=30
)
COUNTS = st.integers(1, 6)
RULES = st.fixed_dictionaries(
    {"metric": st.sampled_from(["accuracy", "loss"]), "mean_of_last": COUNTS},
    optional={"patience": COUNTS, "at_least": st.sampled_from([0.5, 0.9])},
).filter(lambda rule: len(rule) > 2)


@given(RULES, SCORES)
def test_what_is_left_out_no_longer_counts(rule: dict[str, Any], scores: list[float]) -> None:
    words = StopWhen.model_validate(rule)
    kept: list[Any] = []
    for count in range(1, len(scores) + 1):
        found = [{words.metric: score, "number": n} for n, score in enumerate(scores[:count])]
        kept = still_needed(words, [*kept, found[-1]])
        assert should_stop(words, kept) is should_stop(words, found)
        assert kept[-1] == found[-1]
        most = 1 + max(words.mean_of_last, words.patience or 0)
        assert len(kept) <= most + math.isnan(scores[count - 1])  # which is shown alone


def test_without_a_rule_the_last_one_is_left() -> None:
    assert still_needed(None, [{"loss": 2.0}, {"loss": 1.0}]) == [{"loss": 1.0}]
