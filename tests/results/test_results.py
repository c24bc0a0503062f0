"""Results: one door to what is drawn, each part computed once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from choices import simulated

import netbuild
from netbuild import plots


def test_what_no_curve_can_be_drawn_of(small: Path, tmp_path: Path) -> None:
    run = netbuild.train(small, tmp_path / "runs")
    for draw, words in (
        (plots.psychometric, "no coherence"),
        (plots.trajectories, "no time"),
        (plots.rates, "no time"),
        (plots.eigenvalues, "recurrent layers"),
    ):
        with pytest.raises(netbuild.NetbuildError, match=words) as caught:
            draw(run)
        assert caught.value.exit_code == 2
    with pytest.raises(netbuild.NetbuildError, match="something is chosen"):
        plots.psychometric({"coh": np.zeros(3)})
    with pytest.raises(netbuild.NetbuildError, match="no variable `speed`") as caught:
        plots.psychometric(simulated(0, 1, seed=0), condition="speed")
    assert caught.value.hint == "there are coh, ground_truth, answer, choice, correct"
    with pytest.raises(netbuild.NetbuildError, match="no map `hidden2`"):
        plots.weights(run, layer="hidden2")
