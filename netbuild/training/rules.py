"""Rules of a training as pure functions: the learning rate at a step, and early stopping."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from netbuild.language.training import Cosine, StepDecay, StopWhen, Training

Evaluations = Sequence[Mapping[str, Any]]  # oldest first


def rate_factor(training: Training, step: int, steps: int) -> float:
    """The factor of the base learning rate at a step, counted from 0, of `steps`.

    It is infinity where a growing schedule leaves the range of numbers.
    """
    schedule = training.optimizer.schedule
    if schedule is None:
        return 1.0
    if isinstance(schedule, Cosine):
        if step < schedule.warmup:
            return (step + 1) / schedule.warmup
        progress = (step - schedule.warmup) / max(steps - schedule.warmup, 1)
        wave = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        return schedule.min_factor + (1 - schedule.min_factor) * wave
    count = step // schedule.every if isinstance(schedule, StepDecay) else step
    try:
        return float(schedule.factor**count)
    except OverflowError:
        return math.inf


def should_stop(rule: StopWhen, evaluations: Evaluations) -> bool:
    """Whether a rule ends the training after these evaluations."""
    values = [_value(rule, scores) for scores in evaluations if _counts(rule, scores)]
    if len(values) >= rule.mean_of_last:
        mean = sum(values[-rule.mean_of_last :]) / rule.mean_of_last
        if rule.at_least is not None and mean >= rule.at_least:
            return True
        if rule.at_most is not None and mean <= rule.at_most:
            return True
    if rule.patience is None or len(values) <= rule.patience:
        return False
    better = max if rule.metric == "accuracy" else min
    before, since = better(values[: -rule.patience]), better(values[-rule.patience :])
    return better(before, since) == before


def still_needed(rule: StopWhen | None, evaluations: Evaluations) -> list[Mapping[str, Any]]:
    """The evaluations that `should_stop` may still look at, and the last one, which is shown.

    `should_stop` reads the last few and the best one before them, so the list stays short in a long
    training.
    """
    if rule is None:
        return list(evaluations[-1:])
    known = [scores for scores in evaluations if _counts(rule, scores)]
    shown = [] if known and known[-1] is evaluations[-1] else list(evaluations[-1:])
    count = max(rule.mean_of_last, rule.patience or 0)
    before, last = known[:-count], known[-count:]
    if rule.patience is None or not before:
        return [*last, *shown]
    better = max if rule.metric == "accuracy" else min
    return [better(before, key=lambda scores: _value(rule, scores)), *last, *shown]


def _counts(rule: StopWhen, scores: Mapping[str, Any]) -> bool:
    """Whether an evaluation has the metric of a rule.

    Without right answers there is no accuracy, and without steps that count there is no loss.
    """
    return scores.get(rule.metric) is not None and not math.isnan(_value(rule, scores))


def _value(rule: StopWhen, scores: Mapping[str, Any]) -> float:
    """The metric of a rule, over all trials or in the environment where the metric is worst."""
    if rule.of == "worst_task" and rule.metric == "accuracy":
        # An environment in which no trial has a right answer has no accuracy.
        known = [x for x in scores.get("environments", {}).values() if not math.isnan(x)]
        if known:
            return float(min(known))
    return float(scores[rule.metric])
