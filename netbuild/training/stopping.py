"""When to end early, from the evaluations so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from netbuild.language.training import StopWhen


def should_stop(rule: StopWhen, evaluations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a rule ends the training after these evaluations, oldest first."""
    values = [_value(rule, found) for found in evaluations if _counts(rule, found)]
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


def still_needed(
    rule: StopWhen | None, evaluations: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Those of the evaluations that `should_stop` and whoever shows the last one will look at.

    The last few, and the best of all before, so that a long training has no long list to keep.
    """
    if rule is None:
        return list(evaluations[-1:])
    known = [found for found in evaluations if _counts(rule, found)]
    shown = [] if known and known[-1] is evaluations[-1] else list(evaluations[-1:])
    count = max(rule.mean_of_last, rule.patience or 0)
    before, last = known[:-count], known[-count:]
    if rule.patience is None or not before:
        return [*last, *shown]
    better = max if rule.metric == "accuracy" else min
    return [better(before, key=lambda found: _value(rule, found)), *last, *shown]


def _counts(rule: StopWhen, found: Mapping[str, Any]) -> bool:
    """Whether an evaluation has the metric.

    Without a right answer there is no accuracy, and without a step that counts no loss.
    """
    return found.get(rule.metric) is not None and not math.isnan(_value(rule, found))


def _value(rule: StopWhen, found: Mapping[str, Any]) -> float:
    """The metric, over all trials or in the environment where it is worst."""
    if rule.of == "worst_task" and rule.metric == "accuracy":
        # One in which no trial has a right answer has no accuracy, and is no task to be learnt.
        known = [x for x in found.get("environments", {}).values() if not math.isnan(x)]
        if known:
            return float(min(known))
    return float(found[rule.metric])
