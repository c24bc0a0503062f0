"""When to end early, from the evaluations so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netbuild.spec.training import StopWhen


def should_stop(rule: StopWhen, evaluations: Sequence[Mapping[str, float]]) -> bool:
    """Whether a rule ends the training after these evaluations, oldest first."""
    values = [evaluation[rule.metric] for evaluation in evaluations if rule.metric in evaluation]
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
