"""Distributions of weights: a panel for each map."""

from __future__ import annotations

from pathlib import Path

import netbuild
from netbuild import plots
from netbuild.results.results import Results


def test_every_map_has_a_panel(small: Path) -> None:
    figure, data = plots.distributions(Results(spec=netbuild.load(small)))
    assert [ax.get_title() for ax in figure.axes] == ["hidden", "readout"]
    assert not data
