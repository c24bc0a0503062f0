"""Early stopping, counted in evaluations."""

from __future__ import annotations

from typing import Any

import pytest

from netbuild.spec.training import StopWhen
from netbuild.training.stopping import should_stop


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
