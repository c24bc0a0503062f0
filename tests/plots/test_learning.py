"""The learning curve: every point in the table, few of a long training in the figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netbuild
from netbuild import plots
from netbuild.drawing.look import new_axes
from netbuild.errors import Exit, NetbuildError
from netbuild.plots.figures.learning import MOST_POINTS


def test_learning_curve_holds_every_point() -> None:
    metrics = [
        {
            "kind": "train",
            "step": step,
            "loss": 1.0 / step,
            "accuracy": 0.5,
            "regularizers": {"dale": {"raw": 2.0, "weighted": 0.2}},
        }
        for step in (10, 20)
    ] + [{"kind": "evaluation", "step": 20, "loss": 0.1}]
    figure, data = plots.learning(metrics)
    loss, regularizers, accuracy = figure.axes
    assert loss.lines[0].get_xydata().tolist() == [[10, 0.1], [20, 0.05]]
    assert loss.lines[1].get_xydata().tolist() == [[20, 0.1]]
    assert regularizers.lines[0].get_xydata().tolist() == [[10, 0.2], [20, 0.2]]
    assert accuracy.get_ylabel() == "accuracy"
    assert accuracy.lines[0].get_xydata().tolist() == [[10, 0.5], [20, 0.5]]
    rows = list(zip(*data.values(), strict=True))
    assert rows[2] == (20, "loss", "evaluation", 0.1)
    assert len(rows) == 7
    ax = new_axes()
    plots.learning(metrics, ax, panel="accuracy")
    assert ax.get_ylabel() == "accuracy"
    with pytest.raises(netbuild.NetbuildError, match="no accuracy"):
        plots.learning(metrics[2:], panel="accuracy")
    with pytest.raises(netbuild.NetbuildError, match="no records yet"):
        plots.learning([])
    with pytest.raises(TypeError, match="one run, or the lines of its log, not a list of Run"):
        plots.learning([netbuild.Run(Path())])  # type: ignore[list-item]


def test_stages_of_a_training_are_named() -> None:
    lines = [
        {"kind": kind, "step": step, "stage": stage, "loss": 1.0, "accuracy": 0.5}
        for stage, steps in (("easy", (10, 20, 25)), ("hard", (30, 40)), ("last", (41,)))
        for step in steps
        for kind in ("train", "evaluation")
    ]
    figure, _ = plots.learning(lines)
    upper, lower = figure.axes
    assert [text.get_text() for text in upper.texts] == ["easy", "hard", "last"]
    for ax in (upper, lower):
        dashed = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]
        assert dashed == [25, 40]  # where the stage before has ended
    assert not lower.texts
    figure, _ = plots.learning([{**line, "stage": "only"} for line in lines])
    assert not figure.axes[0].texts
    assert not [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]


def lines_of(loss: Any) -> list[dict[str, Any]]:
    return [
        {"step": step, "kind": "train", "loss": float(value), "accuracy": None}
        for step, value in enumerate(loss, 1)
    ]


def test_a_long_curve_is_thinned_and_keeps_its_extremes() -> None:
    loss = np.random.default_rng(0).normal(size=30_001)
    loss[17_123], loss[29_999] = 50.0, -50.0
    figure, data = plots.learning(lines_of(loss))
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
    figure, _ = plots.learning(lines_of(loss))
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
        plots.learning([line])
    assert caught.value.exit_code == Exit.RUN


def test_what_is_no_line_of_a_log_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="one run"):
        plots.learning([3])  # type: ignore[list-item]
