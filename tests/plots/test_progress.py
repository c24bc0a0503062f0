"""The learning curve of a long training: few points are drawn, and the table has them all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netbuild.errors import Exit, NetbuildError
from netbuild.plots import learning
from netbuild.plots.progress import MOST_POINTS


def lines_of(loss: Any) -> list[dict[str, Any]]:
    return [
        {"step": step, "kind": "train", "loss": float(value), "accuracy": None}
        for step, value in enumerate(loss, 1)
    ]


def test_a_long_curve_is_thinned_and_keeps_its_extremes() -> None:
    loss = np.random.default_rng(0).normal(size=30_001)
    loss[17_123], loss[29_999] = 50.0, -50.0
    figure, data = learning(lines_of(loss))
    assert data["value"].tolist() == loss.tolist()
    assert data["step"].tolist() == list(range(1, 30_002))
    pale, mean = figure.axes[0].get_lines()
    assert len(pale.get_xdata()) <= MOST_POINTS
    assert (np.max(pale.get_ydata()), np.min(pale.get_ydata())) == (50.0, -50.0)
    assert len(mean.get_xdata()) <= MOST_POINTS
    whole = np.convolve(loss, np.full(600, 1 / 600), "valid")
    assert abs(np.mean(mean.get_ydata()) - np.mean(whole)) < 0.01


def test_a_curve_of_some_hundred_points_is_drawn_point_by_point() -> None:
    loss = np.random.default_rng(1).normal(size=400)
    figure, _ = learning(lines_of(loss))
    pale, mean = figure.axes[0].get_lines()
    assert pale.get_ydata().tolist() == loss.tolist()
    assert np.allclose(mean.get_ydata(), np.convolve(loss, np.full(8, 1 / 8), "valid"))


@pytest.mark.parametrize(
    "line",
    [
        {"step": 1, "kind": "train", "loss": "low"},
        {"step": 1, "kind": "train", "loss": True},
        {"step": 1, "kind": "train", "loss": 10**400},
        {"step": "1", "kind": "train", "loss": 0.5},
        {"step": 10**30, "kind": "train", "loss": 0.5},
    ],
)
def test_a_log_whose_numbers_are_none_is_refused(line: dict[str, Any]) -> None:
    with pytest.raises(NetbuildError) as caught:
        learning([line])
    assert caught.value.exit_code == Exit.RUN


def test_what_is_no_line_of_a_log_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="one run"):
        learning([3])  # type: ignore[list-item]
