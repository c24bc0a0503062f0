"""The figure of fixed points: a panel for each condition, and a row a point."""

from __future__ import annotations

import numpy as np

import netbuild
from netbuild import plots
from netbuild.analysis import study


def test_every_condition_has_a_panel_and_every_point_a_row(decision: netbuild.Run) -> None:
    found = study(decision.network(), decision.batch(30), condition=["answer"], starts=4)
    figure, data = plots.fixed_points(found)
    assert [ax.get_title() for ax in figure.axes] == ["answer=1", "answer=2"]
    assert set(data["condition"]) == {"answer=1", "answer=2"}
    assert data["stability"].tolist() == list(found.points.stability)
    at = found.plane.project(found.points.states).numpy()
    assert np.array_equal(np.stack([data["pc1"], data["pc2"]], 1), at)
