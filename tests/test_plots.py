"""Figures show what they are given."""

from __future__ import annotations

from pathlib import Path

import netbuild
from netbuild import plots


def test_a_panel_a_layer(small: Path) -> None:
    network = netbuild.build(small)
    for kind in ("weights", "distributions"):
        figure = plots.layers(network, kind)
        titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
        assert titles == ["hidden", "readout"]


def test_learning_curve_holds_every_point() -> None:
    metrics = [
        {"kind": "train", "step": step, "loss": 1.0 / step, "accuracy": 0.5} for step in (10, 20)
    ] + [{"kind": "evaluation", "step": 20, "loss": 0.1}]
    figure = plots.learning(metrics)
    loss, accuracy = figure.axes
    assert loss.lines[0].get_xydata().tolist() == [[10, 0.1], [20, 0.05]]
    assert loss.lines[1].get_xydata().tolist() == [[20, 0.1]]
    assert accuracy.get_ylabel() == "accuracy"
    assert len(accuracy.lines[1].get_xdata()) == 0
